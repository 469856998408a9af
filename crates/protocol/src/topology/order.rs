//! In which order the proxies of the tree are asked; see the tables above.

use std::{collections::VecDeque, ops::Range};

use super::{DomainName, Proxy, Tier, Topology, tree::Place};

/// Proxies of one list, those that are away included.
pub const PROXIES_MAX: usize = 24;
/// Proxies of one domain in a list.
const DOMAIN_PROXIES_MAX: usize = 12;
/// Proxies of one level that stand beside the way up, of those that are not away.
pub const ACROSS_MAX: usize = 6;
/// Proxies of one level that are looked at for that.
const LOOKED_MAX: usize = 64;

/// How a proxy stands to who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// In the domain that serves who asks; to a proxy, one of its own domain that stands before it.
    Home,
    /// Beside that one, or beside one above it.
    Across,
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// A proxy as somebody in a domain sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour<'t> {
    /// The proxy.
    pub proxy: &'t Proxy,
    /// Where it is.
    pub domain: &'t DomainName,
    /// When it asks itself.
    pub tier: Tier,
    /// How it stands to who asks.
    pub relation: Relation,
    /// Nobody has heard of it for long.
    pub is_away: bool,
}

impl Topology {
    /// Who is to be asked from within a domain, the first first. `is_away` tells whom nobody has heard of for long: they come last, in the
    /// same order among themselves. Of a domain that is not in the tree, the nearest above it counts; who is in none asks from the roots down.
    pub fn order<'t>(
        &'t self,
        from: Option<&DomainName>,
        is_away: impl FnMut(&'t Proxy) -> bool,
    ) -> Vec<Neighbour<'t>> {
        let mut list = List::new(self, is_away);
        match from.and_then(|name| self.nearest(name)) {
            Some(own) => list.near_to_far(own),
            None => list.add_branches(self.branches.iter().copied(), Relation::Below),
        }
        list.ended()
    }

    /// Whom a proxy of the tree may fetch from, but for the origin: none that might fetch from it. Empty for one that is not in the tree.
    pub fn upstreams<'t>(&'t self, proxy: &str, is_away: impl FnMut(&'t Proxy) -> bool) -> Vec<Neighbour<'t>> {
        let mut list = List::new(self, is_away);
        if let Some((own, number)) = self.place_of(proxy) {
            list.add(own, 0..number, Relation::Home);
            list.up_from(own);
            list.before(own);
        }
        list.ended()
    }

    /// The domain that serves the machines of one: the nearest, it or one above it, that has proxies; if there is none, it itself.
    fn home(&self, own: usize) -> usize {
        let mut next = Some(own);
        while let Some(at) = next {
            if !self.places[at].proxies().is_empty() {
                return at;
            }
            next = self.places[at].parent;
        }
        own
    }

    /// The domains with proxies below one, or the roots.
    fn branches_of(&self, parent: Option<usize>) -> &[usize] {
        parent.map_or(&self.branches, |parent| &self.places[parent].branches)
    }
}

/// A list in the making.
struct List<'t, F> {
    tree: &'t Topology,
    is_away: F,
    here: Vec<Neighbour<'t>>,
    away: Vec<Neighbour<'t>>,
}

/// How much of a level may still be looked at and taken.
struct Level {
    looked: usize,
    taken: usize,
}

impl Level {
    const NEW: Self = Self { looked: LOOKED_MAX, taken: ACROSS_MAX };

    fn is_full(&self) -> bool {
        self.looked == 0 || self.taken == 0
    }
}

impl<'t, F: FnMut(&'t Proxy) -> bool> List<'t, F> {
    fn new(tree: &'t Topology, is_away: F) -> Self {
        Self { tree, is_away, here: Vec::new(), away: Vec::new() }
    }

    fn near_to_far(&mut self, own: usize) {
        let home = self.tree.home(own);
        self.add(home, 0..usize::MAX, Relation::Home);
        let mut at = home;
        loop {
            let parent = self.tree.places[at].parent;
            self.add_branches(self.round(at, parent), Relation::Across);
            let Some(parent) = parent else { break };
            self.add(parent, 0..usize::MAX, Relation::Above);
            at = parent;
        }
        self.add_branches(self.tree.places[home].branches.iter().copied(), Relation::Below);
    }

    /// The branches beside a domain, from the one behind it round to the one before it.
    fn round(&self, at: usize, parent: Option<usize>) -> impl Iterator<Item = usize> + use<'t, F> {
        let branches = self.tree.branches_of(parent);
        let behind = branches.partition_point(|branch| *branch <= at);
        branches[behind..].iter().chain(&branches[..behind]).copied().filter(move |branch| *branch != at)
    }

    /// All that are above, the nearest first.
    fn up_from(&mut self, own: usize) {
        let mut next = self.tree.places[own].parent;
        while let Some(at) = next {
            self.add(at, 0..usize::MAX, Relation::Above);
            next = self.tree.places[at].parent;
        }
    }

    /// Those beside a proxy's domain that stand before it, and all beside those above it; the nearest of each level first.
    fn before(&mut self, own: usize) {
        let mut next = Some(own);
        while let Some(at) = next {
            let parent = self.tree.places[at].parent;
            let branches = self.tree.branches_of(parent);
            let before = branches.partition_point(|branch| *branch < at);
            // Whoever stands behind one above it still stands before it: it is on a higher level.
            let behind = branches.partition_point(|branch| *branch <= at);
            let behind = if at == own { &[] } else { &branches[behind..] };
            let mut level = Level::NEW;
            for branch in branches[..before].iter().rev().chain(behind.iter().rev()) {
                if level.is_full() {
                    break;
                }
                self.add_of_level(*branch, Relation::Across, &mut level);
            }
            next = parent;
        }
    }

    /// Domains with all below them, each from the top down: who is higher up has the better line.
    fn add_branches(&mut self, branches: impl Iterator<Item = usize>, relation: Relation) {
        let mut level = Level::NEW;
        for branch in branches {
            let mut waiting = VecDeque::from([branch]);
            while let Some(at) = waiting.pop_front() {
                if level.is_full() || self.is_full() {
                    return;
                }
                self.add_of_level(at, relation, &mut level);
                waiting.extend(self.tree.places[at].branches.iter().take(LOOKED_MAX));
            }
        }
    }

    fn add_of_level(&mut self, at: usize, relation: Relation, level: &mut Level) {
        let place = &self.tree.places[at];
        for proxy in place.proxies().iter().take(DOMAIN_PROXIES_MAX) {
            if level.is_full() {
                return;
            }
            level.looked -= 1;
            level.taken -= usize::from(self.push(place, proxy, relation));
        }
    }

    fn add(&mut self, at: usize, numbers: Range<usize>, relation: Relation) {
        let place = &self.tree.places[at];
        let proxies = place.proxies();
        let first = numbers.start.min(proxies.len());
        for proxy in proxies[first..numbers.end.min(proxies.len())].iter().take(DOMAIN_PROXIES_MAX) {
            self.push(place, proxy, relation);
        }
    }

    fn is_full(&self) -> bool {
        self.here.len() >= PROXIES_MAX
    }

    /// Answers whether it is here.
    fn push(&mut self, place: &'t Place, proxy: &'t Proxy, relation: Relation) -> bool {
        if self.is_full() {
            return false;
        }
        let is_away = (self.is_away)(proxy);
        let neighbour = Neighbour { proxy, domain: &place.name, tier: place.tier(), relation, is_away };
        let list = if is_away { &mut self.away } else { &mut self.here };
        if list.len() < PROXIES_MAX {
            list.push(neighbour);
        }
        !is_away
    }

    fn ended(mut self) -> Vec<Neighbour<'t>> {
        self.here.append(&mut self.away);
        self.here.truncate(PROXIES_MAX);
        self.here
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Domain, Tier},
        *,
    };

    /// Each written as `name: proxy proxy`.
    fn tree(written: &[&str]) -> Topology {
        let domain = |text: &&str| {
            let (name, proxies) = text.split_once(':').unwrap();
            let proxy = |name: &str| Proxy { name: name.into(), url: format!("http://{name}/") };
            let proxies = proxies.split_whitespace().map(proxy).collect();
            Domain {
                name: name.parse().unwrap(),
                ranges: Vec::new(),
                machines: Vec::new(),
                tier: Tier::Constrained,
                proxies,
            }
        };
        Topology::new(written.iter().map(domain).collect()).unwrap()
    }

    fn names(list: &[Neighbour<'_>]) -> String {
        list.iter().map(|neighbour| neighbour.proxy.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn asked(tree: &Topology, from: &str, away: &[&str]) -> String {
        names(&tree.order(Some(&from.parse().unwrap()), |proxy| away.contains(&proxy.name.as_str())))
    }

    fn upstreams(tree: &Topology, proxy: &str, away: &[&str]) -> String {
        names(&tree.upstreams(proxy, |proxy| away.contains(&proxy.name.as_str())))
    }

    const BRANCHES: [&str; 8] = [
        "hq: h1 h2",
        "hq.north: n1",
        "hq.north.b1: b1 b1b",
        "hq.north.b2: b2",
        "hq.north.b2.lab: lab",
        "hq.south: s1",
        "hq.south.b3: b3",
        "other: o1",
    ];

    #[test]
    fn from_near_to_far() {
        let tree = tree(&BRANCHES);
        for (from, expected) in [
            ("hq.north.b1", "b1 b1b b2 lab n1 s1 b3 h1 h2 o1"),
            ("hq.north.b2", "b2 b1 b1b n1 s1 b3 h1 h2 o1 lab"),
            ("hq.north", "n1 s1 b3 h1 h2 o1 b1 b1b b2 lab"),
            ("hq", "h1 h2 o1 n1 b1 b1b b2 lab s1"),
            // Without a proxy of its own, and nobody wrote it: what is above it serves it.
            ("hq.north.new.deep", "n1 s1 b3 h1 h2 o1 b1 b1b b2 lab"),
            ("nowhere", "h1 h2 n1 s1 b1 b1b"),
        ] {
            assert_eq!(asked(&tree, from, &[]), expected, "{from}");
        }
        assert_eq!(names(&tree.order(None, |_| false)), "h1 h2 n1 s1 b1 b1b");
    }

    #[test]
    fn those_beside_are_asked_from_the_next_one_round() {
        let tree = tree(&["hq: h", "hq.a: a", "hq.b: b", "hq.c:", "hq.d: d"]);
        for (from, expected) in [("hq.a", "a b d h"), ("hq.b", "b d a h"), ("hq.d", "d a b h"), ("hq.c", "h a b d")] {
            assert_eq!(asked(&tree, from, &[]), expected, "{from}");
        }
    }

    #[test]
    fn proxies_ask_upwards_and_those_before_them() {
        let tree = tree(&BRANCHES);
        for (proxy, expected) in [
            ("h1", ""),
            ("h2", "h1"),
            ("o1", "h1 h2"),
            ("n1", "h1 h2 o1"),
            ("s1", "h1 h2 n1 o1"),
            ("b1", "n1 h1 h2 s1 o1"),
            ("b1b", "b1 n1 h1 h2 s1 o1"),
            ("b2", "n1 h1 h2 b1 b1b s1 o1"),
            ("lab", "b2 n1 h1 h2 b1 b1b s1 o1"),
            ("nobody", ""),
        ] {
            assert_eq!(upstreams(&tree, proxy, &[]), expected, "{proxy}");
        }
        assert_eq!(upstreams(&tree, "lab", &["b2", "n1"]), "h1 h2 b1 b1b s1 o1 b2 n1");
    }

    /// 10,000 branches beside each other.
    fn wide() -> Topology {
        let branches = (0..10_000).map(|number| format!("hq.b{number}: p{number}"));
        let written: Vec<_> = ["hq: upper1 upper2".to_owned()].into_iter().chain(branches).collect();
        tree(&written.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn of_a_large_tree_a_few_are_told_and_whom_all_depend_on_is_among_them() {
        let wide = wide();
        assert_eq!(asked(&wide, "hq.b17", &[]), "p17 p18 p19 p20 p21 p22 p23 upper1 upper2");
        assert_eq!(asked(&wide, "hq.b9998", &["p9998"]), "p9999 p0 p1 p2 p3 p4 upper1 upper2 p9998");
        assert_eq!(upstreams(&wide, "p17", &[]), "upper1 upper2 p16 p15 p14 p13 p12 p11");
        // All of them are away: not all are looked at for that.
        let mut looked = 0;
        let order = wide.order(Some(&"hq.b17".parse().unwrap()), |_| {
            looked += 1;
            true
        });
        assert_eq!((order.len(), looked), (PROXIES_MAX, 1 + LOOKED_MAX + 2));
        let many = (0..40).map(|number| format!("p{number} ")).collect::<String>();
        let crowded = tree(&["hq: upper", &format!("hq.b1: {many}")]);
        assert!(asked(&crowded, "hq.b1", &[]).ends_with(" upper"));
    }

    #[test]
    fn whoever_loses_its_proxies_goes_to_others_than_its_neighbours_do() {
        let wide = wide();
        let mut asked_first = std::collections::HashMap::new();
        for number in 0..10_000 {
            let own = format!("p{number}");
            let order = asked(&wide, &format!("hq.b{number}"), &[&own]);
            *asked_first.entry(order.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(asked_first.values().max(), Some(&1));
    }

    /// Managers at the root, at the domain of agents 1 and 2, and at that of agents 3 and 4.
    #[test]
    fn managers_that_go_and_come_back() {
        let all = ["hq: root", "hq.one: agent1", "hq.three: agent3"];
        let (two, four) = ("hq.one.second", "hq.three.fourth");
        let first = |tree: &Topology, from: &str, away: &[&str]| {
            asked(tree, from, away).split(' ').next().unwrap_or_default().to_owned()
        };
        let whole = tree(&all);
        for (away, from, expected) in [
            (&[][..], "hq.one", "agent1"),
            (&[], two, "agent1"),
            (&[], "hq.three", "agent3"),
            (&[], four, "agent3"),
            (&["agent3"], four, "agent1"),
            (&["agent3", "agent1"], two, "root"),
            (&["agent3", "agent1"], "hq.three", "root"),
            (&["agent3", "agent1"], four, "root"),
        ] {
            assert_eq!(first(&whole, from, away), expected, "{from} without {away:?}");
        }
        let withdrawn = tree(&["hq:", "hq.one: agent1", "hq.three: agent3"]);
        for from in [two, "hq.three", four] {
            assert_eq!(first(&withdrawn, from, &["agent1"]), "agent3", "{from}");
        }
        // A new one below is taken by those above it when they have nobody else.
        let grown = tree(&["hq:", "hq.one: agent1", "hq.one.new: new", "hq.three: agent3"]);
        assert_eq!(first(&grown, "hq.one", &["agent1", "agent3"]), "new");
        assert_eq!(first(&grown, "hq.one", &[]), "agent1");
        assert_eq!(asked(&grown, "hq.one", &["agent1"]), "agent3 new agent1", "who is away may be back");
    }

    /// A tree of up to 40 domains in up to four levels, some with up to three proxies; some of those are away.
    fn any_tree() -> impl Strategy<Value = (Topology, Vec<String>)> {
        let domain = (proptest::collection::vec(0..3_u8, 1..5), 0..4_usize);
        (proptest::collection::btree_map(domain.0, domain.1, 1..40), any::<u64>()).prop_map(|(domains, away)| {
            let name = |labels: &[u8]| labels.iter().map(|label| format!("d{label}")).collect::<Vec<_>>().join(".");
            let mut number = 0;
            let mut proxies = |count: usize| {
                (0..count)
                    .map(|_| {
                        number += 1;
                        format!("p{number} ")
                    })
                    .collect::<String>()
            };
            let written: Vec<_> =
                domains.iter().map(|(labels, count)| format!("{}: {}", name(labels), proxies(*count))).collect();
            let tree = tree(&written.iter().map(String::as_str).collect::<Vec<_>>());
            let away = (1..=number).filter(|number| away >> (number % 64) & 1 == 1);
            (tree, away.map(|number| format!("p{number}")).collect())
        })
    }

    proptest! {
        /// However the proxies follow what they are told, and whoever is away: no chain of fetches comes back to where it was.
        #[test]
        fn no_proxy_can_come_to_ask_itself((tree, away) in any_tree()) {
            let rank = |proxy: &str| tree.place_of(proxy).unwrap();
            for proxy in tree.domains().flat_map(|domain| &domain.proxies) {
                for upstream in tree.upstreams(&proxy.name, |proxy| away.contains(&proxy.name)) {
                    prop_assert!(rank(&upstream.proxy.name) < rank(&proxy.name));
                    prop_assert!(upstream.relation != Relation::Below);
                }
            }
        }

        #[test]
        fn nobody_is_told_twice_and_who_is_away_comes_last((tree, away) in any_tree()) {
            for domain in tree.domains() {
                let order = tree.order(Some(&domain.name), |proxy| away.contains(&proxy.name));
                prop_assert!(order.len() <= PROXIES_MAX);
                prop_assert!(order.windows(2).all(|pair| pair[0].is_away <= pair[1].is_away));
                let names: std::collections::BTreeSet<_> = order.iter().map(|neighbour| &neighbour.proxy.name).collect();
                prop_assert_eq!(names.len(), order.len());
                // Those of one's own domain come before all others, in their order.
                let own: Vec<_> = domain.proxies.iter().filter(|proxy| !away.contains(&proxy.name)).collect();
                let first: Vec<_> = order.iter().take(own.len()).map(|neighbour| neighbour.proxy).collect();
                prop_assert_eq!(first, own);
            }
        }
    }
}
