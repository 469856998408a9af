//! What holds in every tree, whoever asks, and whatever is believed of whom.

use proptest::prelude::*;

use super::{
    super::{
        rule::{NotReady, Pick, Reason, Verdict},
        scene::Scene,
    },
    World, words,
};

/// A tree of up to 30 domains in up to four levels; of each proxy a word says whether it is there and holds the content.
fn any_world() -> impl Strategy<Value = World> {
    let domain = (proptest::collection::vec(0..3_u8, 1..5), (0..4_usize, any::<bool>()));
    let states = proptest::collection::vec(0..6_u8, 128);
    let rest = (0..3_usize, any::<bool>(), any::<bool>());
    (proptest::collection::btree_map(domain.0, domain.1, 1..30), states, rest).prop_map(
        |(domains, states, (peers, staging, is_unknown))| {
            let mut names = (0..).map(|number| format!("p{number}"));
            let mut written = Vec::new();
            for (labels, (count, is_good)) in domains {
                let name = labels.iter().map(|label| format!("d{label}")).collect::<Vec<_>>().join(".");
                let proxies = names.by_ref().take(count).collect::<Vec<_>>().join(" ");
                written.push(format!("{}{name}: {proxies}", if is_good { "+" } else { "" }));
            }
            let mut world = World::of(&written.iter().map(String::as_str).collect::<Vec<_>>());
            let all: Vec<_> = world.topology.domains().flat_map(|domain| &domain.proxies).cloned().collect();
            for (proxy, state) in all.iter().zip(states) {
                world = match state {
                    0 => world,
                    1 => world.away(&proxy.name),
                    2 => world.fetching(&proxy.name, Some(30)),
                    3 => world.fetching(&proxy.name, None),
                    _ => world.live(&proxy.name),
                };
                // Also who is away is believed to hold something.
                if state == 1 || state == 4 {
                    world.holds.insert(proxy.name.clone());
                }
            }
            world.terms.staging = staging;
            World { peers, is_unknown, ..world }
        },
    )
}

fn proxies(scene: &Scene<'_>, verdict: &Verdict) -> Vec<String> {
    let Verdict::Ready(picks) = verdict else { return Vec::new() };
    let name = |pick: &Pick| match pick {
        Pick::Proxy(at) => Some(scene.around[*at].neighbour.proxy.name.clone()),
        Pick::Peer(_) | Pick::Origin(_) => None,
    };
    picks.iter().filter_map(name).collect()
}

proptest! {
    #[test]
    fn a_list_is_never_empty_and_nobody_is_in_it_twice(world in any_world()) {
        let asked = |scene: &Scene<'_>| {
            let verdict = world.verdict(scene);
            if let Verdict::Ready(picks) = &verdict {
                let different: std::collections::HashSet<_> = picks.iter().collect();
                prop_assert!(!picks.is_empty() && different.len() == picks.len(), "{}", words(scene, &verdict));
                prop_assert!(picks.len() <= protocol::sources::SOURCES_MAX);
            }
            // The same again.
            prop_assert_eq!(&world.verdict(scene), &verdict);
            Ok(())
        };
        asked(&world.scene(None, None))?;
        for domain in world.topology.domains() {
            asked(&world.scene(None, Some(&domain.name)))?;
            for proxy in &domain.proxies {
                asked(&world.scene(Some(&proxy.name), None))?;
            }
        }
    }

    #[test]
    fn the_proxies_of_ones_own_domain_that_are_alive_come_before_all_others(world in any_world()) {
        for domain in world.topology.domains() {
            let scene = world.scene(None, Some(&domain.name));
            let Verdict::Ready(picks) = world.verdict(&scene) else { continue };
            let is_own = |pick: &Pick| matches!(pick, Pick::Proxy(at)
                if scene.around[*at].neighbour.domain == &domain.name && !scene.around[*at].neighbour.is_away);
            let others = picks.iter().skip_while(|pick| matches!(pick, Pick::Peer(_)) || is_own(pick));
            prop_assert!(!others.clone().any(is_own), "{}", words(&scene, &Verdict::Ready(picks.clone())));
        }
    }

    /// Also over what was told at different times: what is told depends on who holds what, but who may be told does not.
    #[test]
    fn no_chain_of_fetches_comes_back(world in any_world(), later in any_world()) {
        let mut asks = std::collections::BTreeMap::<String, Vec<String>>::new();
        let others = World { nodes: later.nodes, holds: later.holds, terms: later.terms, ..world.clone() };
        for domain in world.topology.domains() {
            for proxy in &domain.proxies {
                for world in [&world, &others] {
                    let scene = world.scene(Some(&proxy.name), None);
                    let told = proxies(&scene, &world.verdict(&scene));
                    prop_assert!(!told.contains(&proxy.name));
                    asks.entry(proxy.name.clone()).or_default().extend(told);
                }
            }
        }
        // Whoever asks nobody that is left is taken away, until nobody is: a circle would stay.
        while !asks.is_empty() {
            let ends: Vec<_> = asks
                .iter()
                .filter(|(_, told)| !told.iter().any(|name| asks.contains_key(name)))
                .map(|(name, _)| name.clone())
                .collect();
            prop_assert!(!ends.is_empty(), "a circle among {:?}", asks.keys());
            asks.retain(|name, _| !ends.contains(name));
        }
    }

    #[test]
    fn nobody_waits_for_what_nobody_is_told_or_about_to_bring(world in any_world()) {
        for domain in world.topology.domains() {
            let scene = world.scene(None, Some(&domain.name));
            let Verdict::NotReady(NotReady { reason: Reason::OnItsWay { .. }, tell }) = world.verdict(&scene) else {
                continue;
            };
            let is_fetched = scene.around.iter().any(|around| around.fetching(&super::MD5, super::NOW).is_some());
            prop_assert!(!tell.is_empty() || is_fetched);
        }
    }
}
