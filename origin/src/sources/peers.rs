//! Which peers are told of: a few of those that hold a content, others to each who asks, and the less loaded rather than the busy.

use std::sync::Arc;

use protocol::{enrolment::Role, patience::Spread};

use crate::registry::NodeState;

/// Of those who hold a content so many are looked at.
pub(crate) const PEERS_LOOKED_MAX: usize = 24;
/// In percent of its capacity; who has more to do is no help.
const LOAD_MAX: u8 = 90;

/// At most `max` of those who hold it, in the order in which they are to be asked. Each is drawn by how much of its capacity is left.
pub(crate) fn choose(holders: Vec<Arc<NodeState>>, asker: Option<&str>, max: usize, seed: u64) -> Vec<Arc<NodeState>> {
    let can_give = |node: &Arc<NodeState>| {
        node.role == Role::Agent && node.url.is_some() && node.load < LOAD_MAX && Some(node.name.as_str()) != asker
    };
    let mut holders: Vec<_> = holders.into_iter().filter(can_give).collect();
    // The registry tells them in any order; the same seed is to give the same list.
    holders.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut spread = Spread::new(seed);
    let mut drawn: Vec<(f64, _)> = holders.into_iter().map(|node| (key(&node, &mut spread), node)).collect();
    drawn.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    drawn.into_iter().take(max).map(|(_, node)| node).collect()
}

/// When it would be its turn if each came as often as it has capacity left: who sorts by this draws with weights.
fn key(node: &NodeState, spread: &mut Spread) -> f64 {
    let share = (spread.number() >> 11) as f64 / (1_u64 << 53) as f64;
    -(share + f64::MIN_POSITIVE).ln() / f64::from(100 - node.load.min(LOAD_MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::tests::node, *};

    fn agent(name: &str, load: u8) -> Arc<NodeState> {
        Arc::new(NodeState { role: Role::Agent, load, ..node(name, false) })
    }

    fn names(chosen: &[Arc<NodeState>]) -> String {
        chosen.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_agents_that_can_give_it_and_not_oneself() {
        let mute = Arc::new(NodeState { url: None, ..(*agent("mute", 0)).clone() });
        let holders = vec![agent("self", 0), Arc::new(node("proxy", false)), mute, agent("busy", 90), agent("a", 89)];
        assert_eq!(names(&choose(holders.clone(), Some("self"), 4, 1)), "a");
        assert_eq!(choose(holders, None, 4, 1).len(), 2);
        assert_eq!(choose(vec![agent("a", 0)], None, 0, 1).len(), 0);
    }

    #[test]
    fn the_same_seed_is_the_same_list_however_they_are_told() {
        let mut holders: Vec<_> = (0..20).map(|number| agent(&format!("a{number}"), number)).collect();
        let chosen = names(&choose(holders.clone(), None, 4, 7));
        assert_eq!(chosen.split(' ').count(), 4);
        holders.reverse();
        assert_eq!(names(&choose(holders.clone(), None, 4, 7)), chosen);
        assert_ne!(names(&choose(holders, None, 4, 8)), chosen);
    }

    #[test]
    fn everybody_is_first_to_some_and_the_busy_to_fewer() {
        let holders = [("idle", 0), ("half", 50), ("other", 0), ("full", 80)].map(|(name, load)| agent(name, load));
        let mut first = BTreeMap::new();
        for seed in 0..25_000 {
            let chosen = choose(holders.to_vec(), None, 4, seed);
            assert_eq!(chosen.len(), 4);
            *first.entry(chosen[0].name.clone()).or_insert(0_u32) += 1;
        }
        // By what is left: 100 + 50 + 100 + 20 of 270.
        for (name, share) in [("idle", 100), ("half", 50), ("other", 100), ("full", 20)] {
            let expected = 25_000 * share / 270;
            assert!(first[name].abs_diff(expected) < expected / 10, "{name}: {} instead of {expected}", first[name]);
        }
    }
}
