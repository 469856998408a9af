//! Who may be asked for a content, and how near it is.

use protocol::sources::{self, Kind};

/// How near a source is: the lower, the nearer. Who is nearer is asked first, and spares those that are farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Another agent of the same domain.
    Peer,
    /// A proxy of one's own domain.
    Proxy,
    /// A proxy of another domain.
    Parent,
    /// An origin, or the web server that a URL names.
    Origin,
}

/// Somebody to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How near.
    pub rank: Rank,
    /// For people.
    pub name: String,
    /// `http://10.7.0.2:8080/`; two sources with one URL are one server.
    pub url: String,
    /// It is still fetching: pieces can be had there, and not the whole.
    pub partial: bool,
}

impl Rank {
    /// Whether its bytes come over the line: those of other agents do not.
    pub fn is_behind_line(self) -> bool {
        self > Self::Peer
    }

    /// For people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Proxy => "proxy",
            Self::Parent => "parent",
            Self::Origin => "origin",
        }
    }
}

impl From<Kind> for Rank {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Peer => Self::Peer,
            Kind::Proxy => Self::Proxy,
            Kind::Parent => Self::Parent,
            Kind::Origin => Self::Origin,
        }
    }
}

impl From<sources::Source> for Source {
    fn from(source: sources::Source) -> Self {
        Self { rank: source.kind.into(), name: source.name, url: source.url, partial: source.partial }
    }
}
