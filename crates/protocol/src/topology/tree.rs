//! The tree that domains make, and in which of them a machine or a proxy is. Every look is one of a few in maps, however large the tree is.

use std::{collections::HashMap, fmt, net::IpAddr};

use ipnet::IpNet;

use super::{Domain, DomainName, Tier, prefixes::Prefixes};
use crate::machines::Mac;

/// Domains of one tree.
const DOMAINS_MAX: usize = 100_000;
/// Bits of the addresses of IPv4, IPv6 and network cards.
const WIDTHS: [u8; 3] = [32, 128, 48];

/// The tree. Domains above one that is written need not be: they have nothing of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// All domains, those that were not written too; whoever is higher up stands before who is lower, and among equals they stand as written.
    pub(super) places: Vec<Place>,
    by_name: HashMap<DomainName, usize>,
    /// Those that were written, by name.
    written: Vec<usize>,
    /// Domains without one above them.
    roots: Vec<usize>,
    /// Roots with a proxy in or below them.
    pub(super) branches: Vec<usize>,
    v4: Prefixes<usize>,
    v6: Prefixes<usize>,
    cards: Prefixes<usize>,
    /// Where a proxy is, by its name: the domain, and its number there.
    homes: HashMap<String, (usize, usize)>,
}

/// A domain in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: DomainName,
    pub(super) parent: Option<usize>,
    /// As they were written.
    pub(super) children: Vec<usize>,
    /// Those of them with a proxy in or below them.
    pub(super) branches: Vec<usize>,
    /// What was written of it.
    pub(super) domain: Option<Domain>,
}

/// Domains that are no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// One of the two would never be looked at.
    #[error("the domain {0} is there twice; write it once")]
    Twice(DomainName),
    /// Nobody could tell in which of them a machine is.
    #[error("the range {range} is in both {one} and {other}; give it to one of them")]
    SameRange {
        /// Addresses, or network cards.
        range: String,
        /// A domain.
        one: DomainName,
        /// Another.
        other: DomainName,
    },
    /// What is known of one would be taken for the other.
    #[error("two proxies are named '{0}'; each needs a name of its own")]
    SameProxy(String),
    /// More than a tree may have.
    #[error("{0} domains are more than the {DOMAINS_MAX} that a tree may have")]
    TooMany(usize),
}

impl Default for Topology {
    fn default() -> Self {
        let [v4, v6, cards] = WIDTHS.map(Prefixes::of_width);
        Self {
            places: Vec::new(),
            by_name: HashMap::new(),
            written: Vec::new(),
            roots: Vec::new(),
            branches: Vec::new(),
            v4,
            v6,
            cards,
            homes: HashMap::new(),
        }
    }
}

impl Topology {
    /// Of domains as they were written.
    pub fn new(written: Vec<Domain>) -> Result<Self, TopologyError> {
        if written.len() > DOMAINS_MAX {
            return Err(TopologyError::TooMany(written.len()));
        }
        let mut tree = Self::default();
        tree.hang_all(&written);
        for domain in written {
            let at = tree.by_name[&domain.name];
            if tree.places[at].domain.is_some() {
                return Err(TopologyError::Twice(domain.name));
            }
            tree.know_machines(at, &domain)?;
            for (number, proxy) in domain.proxies.iter().enumerate() {
                if tree.homes.insert(proxy.name.clone(), (at, number)).is_some() {
                    return Err(TopologyError::SameProxy(proxy.name.clone()));
                }
            }
            tree.places[at].domain = Some(domain);
            tree.written.push(at);
        }
        let Self { places, written, .. } = &mut tree;
        written.sort_unstable_by(|one, other| places[*one].name.cmp(&places[*other].name));
        tree.find_branches();
        Ok(tree)
    }

    /// Makes the places of all domains and of those above them, level by level.
    fn hang_all(&mut self, written: &[Domain]) {
        let levels = |domain: &Domain| domain.name.as_str().split('.').count();
        for level in 1..=written.iter().map(levels).max().unwrap_or(0) {
            for domain in written {
                if let Some(name) = domain.name.up_to(level) {
                    self.hang(name);
                }
            }
        }
    }

    /// Puts a domain into its place; the one above it has one.
    fn hang(&mut self, name: DomainName) {
        if self.by_name.contains_key(&name) {
            return;
        }
        let (at, parent) = (self.places.len(), name.parent().and_then(|parent| self.by_name.get(&parent).copied()));
        match parent {
            Some(parent) => self.places[parent].children.push(at),
            None => self.roots.push(at),
        }
        self.by_name.insert(name.clone(), at);
        self.places.push(Place { name, parent, children: Vec::new(), branches: Vec::new(), domain: None });
    }

    /// Whose addresses and cards are in a domain.
    fn know_machines(&mut self, at: usize, domain: &Domain) -> Result<(), TopologyError> {
        let same = |range: &dyn fmt::Display, one: usize, places: &[Place]| TopologyError::SameRange {
            range: range.to_string(),
            one: places[one].name.clone(),
            other: domain.name.clone(),
        };
        for range in &domain.ranges {
            let table = match range {
                IpNet::V4(_) => &mut self.v4,
                IpNet::V6(_) => &mut self.v6,
            };
            if let Some(one) = table.insert(number(range.addr()), range.prefix_len(), at) {
                return Err(same(&range.trunc(), *one, &self.places));
            }
        }
        for machines in &domain.machines {
            if let Some(one) = self.cards.insert(machines.first().number().into(), machines.bits(), at) {
                return Err(same(machines, *one, &self.places));
            }
        }
        Ok(())
    }

    /// Tells, from below, in which domains and below which there are proxies.
    fn find_branches(&mut self) {
        let mut has_any = vec![false; self.places.len()];
        for at in (0..self.places.len()).rev() {
            let of = |children: &[usize]| children.iter().copied().filter(|child| has_any[*child]).collect::<Vec<_>>();
            let branches = of(&self.places[at].children);
            has_any[at] = !branches.is_empty() || !self.places[at].proxies().is_empty();
            self.places[at].branches = branches;
        }
        self.branches = self.roots.iter().copied().filter(|root| has_any[*root]).collect();
    }

    /// The domain of a machine: by its network card if that is in one, else by the narrowest range that its address is in.
    pub fn domain_of(&self, address: IpAddr, mac: Option<Mac>) -> Option<&DomainName> {
        let address = address.to_canonical();
        let by_address = || match address {
            IpAddr::V4(_) => self.v4.find(number(address)),
            IpAddr::V6(_) => self.v6.find(number(address)),
        };
        let by_card = mac.and_then(|mac| self.domain_of_card(mac));
        by_card.or_else(|| by_address().map(|at| &self.places[*at].name))
    }

    /// The domain that a network card is in.
    pub fn domain_of_card(&self, mac: Mac) -> Option<&DomainName> {
        self.cards.find(mac.number().into()).map(|at| &self.places[*at].name)
    }

    /// The domain that a proxy is in.
    pub fn home_of(&self, proxy: &str) -> Option<&DomainName> {
        self.place_of(proxy).map(|(at, _)| &self.places[at].name)
    }

    /// The tier of who asks: that of its domain for a proxy of the tree, and that of clients for everybody else.
    pub fn tier_of(&self, node: &str) -> Tier {
        self.home_of(node).and_then(|home| self.domain(home)).map_or(Tier::Client, |domain| domain.tier)
    }

    /// All that were written, by name.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.written.iter().filter_map(|at| self.places[*at].domain.as_ref())
    }

    /// What was written of a domain.
    pub fn domain(&self, name: &DomainName) -> Option<&Domain> {
        self.by_name.get(name).and_then(|at| self.places[*at].domain.as_ref())
    }

    /// The domains right below one, or without one above them, as they were written.
    pub fn children_of(&self, name: Option<&DomainName>) -> impl Iterator<Item = &DomainName> {
        let children = match name {
            Some(name) => self.by_name.get(name).map_or(&[][..], |at| &self.places[*at].children),
            None => &self.roots,
        };
        children.iter().map(|at| &self.places[*at].name)
    }

    /// Where a proxy stands: its domain, and its number there.
    pub(super) fn place_of(&self, proxy: &str) -> Option<(usize, usize)> {
        self.homes.get(proxy).copied()
    }

    /// Where a domain stands; of one that is not there, the nearest above it that is.
    pub(super) fn nearest(&self, name: &DomainName) -> Option<usize> {
        let mut next = Some(name.clone());
        while let Some(name) = next {
            if let Some(at) = self.by_name.get(&name) {
                return Some(*at);
            }
            next = name.parent();
        }
        None
    }
}

impl Place {
    pub(super) fn proxies(&self) -> &[super::Proxy] {
        self.domain.as_ref().map_or(&[], |domain| &domain.proxies)
    }

    pub(super) fn tier(&self) -> Tier {
        self.domain.as_ref().map_or(Tier::Constrained, |domain| domain.tier)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Proxy, *};

    fn domain(name: &str, ranges: &[&str], machines: &[&str], proxies: &[&str]) -> Domain {
        let proxy = |name: &&str| Proxy { name: (*name).to_owned(), url: format!("http://{name}/") };
        Domain {
            name: name.parse().unwrap(),
            ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
            machines: machines.iter().map(|machines| machines.parse().unwrap()).collect(),
            tier: Tier::Constrained,
            proxies: proxies.iter().map(proxy).collect(),
        }
    }

    #[test]
    fn a_machine_is_where_its_card_is_or_else_in_the_narrowest_range() {
        let tree = Topology::new(vec![
            domain("hq", &["10.0.0.0/8", "fd00::/8"], &["52:54:00:00:00:00/24"], &[]),
            domain("hq.b7", &["10.7.0.0/16"], &[], &[]),
            domain("hq.b7.lab", &["10.7.9.0/24", "192.0.2.7/32"], &["52:54:00:00:00:01"], &[]),
        ])
        .unwrap();
        for (address, mac, expected) in [
            ("10.1.2.3", None, Some("hq")),
            ("10.7.1.1", None, Some("hq.b7")),
            ("10.7.9.200", None, Some("hq.b7.lab")),
            ("::ffff:10.7.9.200", None, Some("hq.b7.lab")),
            ("fd00::1", None, Some("hq")),
            ("192.0.2.7", None, Some("hq.b7.lab")),
            ("192.0.2.8", None, None),
            ("192.0.2.8", Some("52:54:00:00:00:01"), Some("hq.b7.lab")),
            ("10.7.1.1", Some("52:54:00:00:00:02"), Some("hq")),
            ("10.7.1.1", Some("52:54:01:00:00:02"), Some("hq.b7")),
        ] {
            let mac = mac.map(|text: &str| text.parse().unwrap());
            let found = tree.domain_of(address.parse().unwrap(), mac).map(|name| name.to_string());
            assert_eq!(found.as_deref(), expected, "{address} {mac:?}");
        }
    }

    #[test]
    fn places_are_numbered_from_the_root_down_and_as_written() {
        let tree = Topology::new(vec![
            domain("hq.b.deep", &[], &[], &[]),
            domain("other", &[], &[], &[]),
            domain("hq.a", &[], &[], &[]),
        ])
        .unwrap();
        let places: Vec<_> = tree.places.iter().map(|place| place.name.to_string()).collect();
        assert_eq!(places, ["hq", "other", "hq.b", "hq.a", "hq.b.deep"]);
        let below = |name: Option<&str>| {
            let name = name.map(|name| name.parse().unwrap());
            tree.children_of(name.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([below(None), below(Some("hq")), below(Some("hq.a"))], ["hq other", "hq.b hq.a", ""]);
        assert_eq!(
            tree.domains().map(|domain| domain.name.as_str()).collect::<Vec<_>>(),
            ["hq.a", "hq.b.deep", "other"]
        );
    }

    #[test]
    fn proxies_of_the_tree_have_the_tier_of_their_domain() {
        let tree = Topology::new(vec![
            Domain { tier: Tier::Unconstrained, ..domain("hq", &[], &[], &["upper"]) },
            domain("hq.b7", &[], &[], &["lower"]),
        ])
        .unwrap();
        for (node, expected) in
            [("upper", Tier::Unconstrained), ("lower", Tier::Constrained), ("somebody", Tier::Client)]
        {
            assert_eq!(tree.tier_of(node), expected, "{node}");
        }
        assert_eq!(tree.home_of("lower").map(ToString::to_string).as_deref(), Some("hq.b7"));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let twice = Topology::new(vec![domain("hq", &[], &[], &[]), domain("hq", &[], &[], &[])]);
        assert!(matches!(twice, Err(TopologyError::Twice(_))));
        // The same addresses, written in two ways.
        let ranges =
            Topology::new(vec![domain("a", &["10.0.0.1/8"], &[], &[]), domain("b", &["10.0.0.0/8"], &[], &[])]);
        let message = ranges.unwrap_err().to_string();
        assert_eq!(message, "the range 10.0.0.0/8 is in both a and b; give it to one of them");
        let card = ["52:54:00:00:00:01"];
        let cards = Topology::new(vec![domain("a", &[], &card, &[]), domain("b", &[], &card, &[])]);
        assert!(matches!(cards, Err(TopologyError::SameRange { .. })));
        let proxies = Topology::new(vec![domain("a", &[], &[], &["p"]), domain("b", &[], &[], &["p"])]);
        assert_eq!(proxies, Err(TopologyError::SameProxy("p".into())));
    }
}
