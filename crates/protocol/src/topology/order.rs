//! In which order the proxies of the tree are asked; see the table above.

use std::collections::VecDeque;

use super::{DomainName, Proxy, Topology};

impl Topology {
    /// Who is to be asked from within a domain, the first first. `is_away` tells whom nobody has heard of for long: they come last, in the
    /// same order among themselves. Of a domain that is not in the tree, the nearest above it counts.
    pub fn order(&self, from: &DomainName, is_away: impl Fn(&Proxy) -> bool) -> Vec<&Proxy> {
        let (here, away): (Vec<_>, Vec<_>) = self.near_to_far(from).into_iter().partition(|proxy| !is_away(proxy));
        here.into_iter().chain(away).collect()
    }

    fn near_to_far(&self, from: &DomainName) -> Vec<&Proxy> {
        let mut order = Vec::new();
        order.extend(self.proxies(from));
        let mut at = from.clone();
        loop {
            let parent = at.parent();
            for beside in self.children_of(parent.as_ref()).filter(|beside| **beside != at) {
                self.add_all(beside, &mut order);
            }
            let Some(parent) = parent else { break };
            order.extend(self.proxies(&parent));
            at = parent;
        }
        for below in self.children_of(Some(from)) {
            self.add_all(below, &mut order);
        }
        order
    }

    /// A domain and all below it, level by level: who is higher up has the better line.
    fn add_all<'t>(&'t self, top: &'t DomainName, order: &mut Vec<&'t Proxy>) {
        let mut waiting = VecDeque::from([top]);
        while let Some(name) = waiting.pop_front() {
            order.extend(self.proxies(name));
            waiting.extend(self.children_of(Some(name)));
        }
    }

    fn proxies(&self, name: &DomainName) -> &[Proxy] {
        self.domains.get(name).map_or(&[], |domain| &domain.proxies)
    }

    fn children_of(&self, name: Option<&DomainName>) -> impl Iterator<Item = &DomainName> {
        self.children.get(&name.cloned()).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
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

    fn asked(tree: &Topology, from: &str, away: &[&str]) -> String {
        let order = tree.order(&from.parse().unwrap(), |proxy| away.contains(&proxy.name.as_str()));
        order.iter().map(|proxy| proxy.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn from_near_to_far() {
        let tree = tree(&[
            "hq: h1 h2",
            "hq.north: n1",
            "hq.north.b1: b1 b1b",
            "hq.north.b2: b2",
            "hq.north.b2.lab: lab",
            "hq.south: s1",
            "hq.south.b3: b3",
            "other: o1",
        ]);
        for (from, expected) in [
            ("hq.north.b1", "b1 b1b b2 lab n1 s1 b3 h1 h2 o1"),
            ("hq.north.b2", "b2 b1 b1b n1 s1 b3 h1 h2 o1 lab"),
            ("hq.north", "n1 s1 b3 h1 h2 o1 b1 b1b b2 lab"),
            ("hq", "h1 h2 o1 n1 b1 b1b b2 lab s1 b3"),
            // Nobody wrote it: what is above it is.
            ("hq.north.new.deep", "b1 b1b b2 lab n1 s1 b3 h1 h2 o1"),
            ("nowhere", "h1 h2 n1 s1 b1 b1b b2 b3 lab o1"),
        ] {
            assert_eq!(asked(&tree, from, &[]), expected, "{from}");
        }
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
}
