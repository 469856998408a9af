//! A domain: its name, and what belongs to it.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::machines::Machines;

/// Longest name, in bytes.
const NAME_LEN_MAX: usize = 255;
/// Levels of a name.
const LEVELS_MAX: usize = 16;

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
    /// With dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain that it is a part of; `None` of a root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.into()))
    }

    /// Its first levels; `None` if it has not as many.
    pub(super) fn up_to(&self, levels: usize) -> Option<Self> {
        let mut ends = self.0.match_indices('.').map(|(at, _)| at).chain([self.0.len()]);
        ends.nth(levels.checked_sub(1)?).map(|end| Self(self.0[..end].into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_with_dots() {
        assert_eq!("HQ.North".parse::<DomainName>().unwrap().to_string(), "hq.north");
        let parent = |text: &str| text.parse::<DomainName>().unwrap().parent().map(|parent| parent.to_string());
        assert_eq!(parent("hq.north.b7"), Some("hq.north".into()));
        assert_eq!(parent("hq"), None);
        let up_to = |levels| "hq.north.b7".parse::<DomainName>().unwrap().up_to(levels).map(|name| name.to_string());
        let expected = [None, Some("hq"), Some("hq.north"), Some("hq.north.b7"), None];
        assert_eq!([0, 1, 2, 3, 4].map(up_to), expected.map(|name| name.map(str::to_owned)));
        let deep = vec!["a"; LEVELS_MAX + 1].join(".");
        for text in ["", ".", "hq.", ".hq", "hq..b", "h q", "hq/b", "\u{fc}", &deep, &"a".repeat(256)] {
            assert!(text.parse::<DomainName>().is_err(), "{text}");
        }
    }
}
