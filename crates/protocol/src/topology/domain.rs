//! Domains, what belongs to each, and in which of them an address is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::machines::{Mac, Machines};

/// Longest name, in bytes.
const NAME_LEN_MAX: usize = 255;
/// Levels of a name.
const LEVELS_MAX: usize = 16;
/// Domains of one tree.
const DOMAINS_MAX: usize = 100_000;

/// A domain's name from the root down, its labels between dots: `hq.north.branch7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Box<str>);

/// Text that names no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no domain: write its labels from the root down with dots between them, such as hq.north.branch7")]
pub struct BadDomain(String);

/// How soon a machine is admitted where many ask at once: the first are admitted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A proxy that others depend on, with a good line.
    Unconstrained,
    /// A proxy behind a thin line.
    Constrained,
    /// Everybody else.
    #[default]
    Client,
}

impl Tier {
    /// All, the first to be admitted first.
    pub const ALL: [Self; 3] = [Self::Unconstrained, Self::Constrained, Self::Client];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unconstrained => "unconstrained",
            Self::Constrained => "constrained",
            Self::Client => "client",
        }
    }
}

/// A proxy, and where it serves files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Unlike all others of the tree.
    pub name: String,
    /// `http://10.7.0.2:8080/`
    pub url: String,
}

/// One domain of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// Whose addresses are in it.
    #[serde(default)]
    pub ranges: Vec<IpNet>,
    /// Whose network cards are in it, whatever their addresses.
    #[serde(default)]
    pub machines: Vec<Machines>,
    /// The tier of its proxies when they ask. All other machines of it are clients.
    #[serde(default = "constrained")]
    pub tier: Tier,
    /// Its proxies, the first to be asked first.
    #[serde(default)]
    pub proxies: Vec<Proxy>,
}

const fn constrained() -> Tier {
    Tier::Constrained
}

/// The tree. Domains above one that is written need not be: they have nothing of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    pub(super) domains: BTreeMap<DomainName, Domain>,
    /// The narrowest first.
    ranges: Vec<(IpNet, DomainName)>,
    /// The narrowest first.
    machines: Vec<(Machines, DomainName)>,
    /// Which domain a proxy is in, by its name.
    homes: BTreeMap<String, DomainName>,
    /// As they were written: who stands beside whom, and in which order.
    pub(super) children: BTreeMap<Option<DomainName>, Vec<DomainName>>,
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

impl FromStr for DomainName {
    type Err = BadDomain;

    fn from_str(text: &str) -> Result<Self, BadDomain> {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        let is_label = |label: &str| !label.is_empty() && label.chars().all(is_letter);
        let levels = text.split('.').count();
        if text.len() > NAME_LEN_MAX || levels > LEVELS_MAX || !text.split('.').all(is_label) {
            return Err(BadDomain(text.chars().take(NAME_LEN_MAX).collect()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = BadDomain;

    fn try_from(text: String) -> Result<Self, BadDomain> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DomainName {
    /// The domain that it is a part of; `None` of a root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.into()))
    }
}

impl Topology {
    /// Of domains as they were written.
    pub fn new(written: Vec<Domain>) -> Result<Self, TopologyError> {
        if written.len() > DOMAINS_MAX {
            return Err(TopologyError::TooMany(written.len()));
        }
        let (mut tree, mut hung) = (Self::default(), BTreeSet::new());
        for domain in written {
            tree.ranges.extend(domain.ranges.iter().map(|range| (range.trunc(), domain.name.clone())));
            tree.machines.extend(domain.machines.iter().map(|machines| (*machines, domain.name.clone())));
            for proxy in &domain.proxies {
                if tree.homes.insert(proxy.name.clone(), domain.name.clone()).is_some() {
                    return Err(TopologyError::SameProxy(proxy.name.clone()));
                }
            }
            tree.hang(&domain.name, &mut hung);
            let name = domain.name.clone();
            if tree.domains.insert(name.clone(), domain).is_some() {
                return Err(TopologyError::Twice(name));
            }
        }
        tree.ranges.sort_by_key(|(range, _)| (std::cmp::Reverse(range.prefix_len()), *range));
        tree.machines.sort_by_key(|(machines, _)| (std::cmp::Reverse(machines.bits()), *machines));
        same(&tree.ranges)?;
        same(&tree.machines)?;
        Ok(tree)
    }

    /// Puts a domain, and those above it, in their places.
    fn hang(&mut self, name: &DomainName, hung: &mut BTreeSet<DomainName>) {
        let mut next = Some(name.clone());
        while let Some(name) = next.filter(|name| hung.insert(name.clone())) {
            next = name.parent();
            self.children.entry(next.clone()).or_default().push(name);
        }
    }

    /// The domain of a machine: by its network card if that is in one, else by the narrowest range that its address is in.
    pub fn domain_of(&self, address: IpAddr, mac: Option<Mac>) -> Option<&DomainName> {
        let by_card = mac.and_then(|mac| self.machines.iter().find(|(machines, _)| machines.contains(mac)));
        if let Some((_, name)) = by_card {
            return Some(name);
        }
        let address = address.to_canonical();
        self.ranges.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| name)
    }

    /// The domain that a proxy is in.
    pub fn home_of(&self, proxy: &str) -> Option<&DomainName> {
        self.homes.get(proxy)
    }

    /// The tier of who asks: that of its domain for a proxy of the tree, and that of clients for everybody else.
    pub fn tier_of(&self, node: &str) -> Tier {
        self.home_of(node).and_then(|home| self.domain(home)).map_or(Tier::Client, |domain| domain.tier)
    }

    /// All that were written, by name.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.domains.values()
    }

    /// What was written of a domain.
    pub fn domain(&self, name: &DomainName) -> Option<&Domain> {
        self.domains.get(name)
    }
}

fn same<T: PartialEq + fmt::Display>(sorted: &[(T, DomainName)]) -> Result<(), TopologyError> {
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some([(range, one), (_, other)]) => {
            Err(TopologyError::SameRange { range: range.to_string(), one: one.clone(), other: other.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn names_are_labels_with_dots() {
        assert_eq!("HQ.North".parse::<DomainName>().unwrap().to_string(), "hq.north");
        let parent = |text: &str| text.parse::<DomainName>().unwrap().parent().map(|parent| parent.to_string());
        assert_eq!(parent("hq.north.b7"), Some("hq.north".into()));
        assert_eq!(parent("hq"), None);
        let deep = vec!["a"; LEVELS_MAX + 1].join(".");
        for text in ["", ".", "hq.", ".hq", "hq..b", "h q", "hq/b", "\u{fc}", &deep, &"a".repeat(256)] {
            assert!(text.parse::<DomainName>().is_err(), "{text}");
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
