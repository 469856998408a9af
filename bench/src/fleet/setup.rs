//! What a branch is like, and in which ways its agents may go about it.

use std::time::Duration;

use super::events::{Moment, SECOND};

/// A branch that wants one file.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) agents: u32,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Bits per second between the origin and the branch.
    pub(crate) line: u64,
    /// Bits per second of a machine's card, in each direction.
    pub(crate) card: u64,
    /// From a request to the first byte of its answer, within the branch.
    pub(crate) near: Moment,
    /// The same over the line.
    pub(crate) far: Moment,
    /// All agents begin within so long.
    pub(crate) begin: Moment,
    /// Places of the proxy for one content; 0: no limit.
    pub(crate) places: usize,
    /// What the proxy tells who finds none.
    pub(crate) retry_delay: Duration,
    /// Transfers that an agent serves at once.
    pub(crate) uploads: usize,
    /// What an agent has is asked of it so often, in pieces.
    pub(crate) peer_every: Duration,
    /// The proxy has the file before anybody asks.
    pub(crate) warm: bool,
    /// The proxy is gone when it has this part of the file.
    pub(crate) proxy_dies: Option<f64>,
    /// The part of the agents that send wrong bytes.
    pub(crate) liars: f64,
    /// Who has the file leaves.
    pub(crate) leave: bool,
    pub(crate) seed: u64,
}

/// A way to go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contest {
    /// Each pulls from the origin.
    Nobody,
    /// Whole files from whoever has reported one; the origin gives to anybody.
    Peers,
    /// The same, and the origin has as many places for the branch as a proxy would have.
    PeersInTurn,
    /// One proxy with its places, and nobody else.
    Proxy,
    /// The same, and whole files from whoever has reported one.
    ProxyAndPeers,
    /// Pieces, with the proxy as the one that fetches and that knows who is around.
    Pieces,
}

impl Contest {
    pub(crate) const ALL: [Self; 6] =
        [Self::Nobody, Self::Peers, Self::PeersInTurn, Self::Proxy, Self::ProxyAndPeers, Self::Pieces];

    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody managing",
            Self::Peers => "whole-file peers",
            Self::PeersInTurn => "whole-file peers, origin with places",
            Self::Proxy => "proxy",
            Self::ProxyAndPeers => "proxy and whole-file peers",
            Self::Pieces => "pieces",
        }
    }

    /// On the command line.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Peers => "peers",
            Self::PeersInTurn => "peers-in-turn",
            Self::Proxy => "proxy",
            Self::ProxyAndPeers => "proxy-and-peers",
            Self::Pieces => "pieces",
        }
    }

    pub(crate) const fn has_proxy(self) -> bool {
        matches!(self, Self::Proxy | Self::ProxyAndPeers | Self::Pieces)
    }

    /// Whether those who have the whole file are named.
    pub(crate) const fn has_whole_peers(self) -> bool {
        matches!(self, Self::Peers | Self::PeersInTurn | Self::ProxyAndPeers)
    }
}

impl std::str::FromStr for Contest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|contest| contest.id() == text);
        found.ok_or_else(|| format!("'{text}' is none of {}", Self::ALL.map(Self::id).join(", ")))
    }
}

impl Setup {
    /// How long the line needs for one copy: what nobody can be faster than, but with a warm proxy.
    pub(crate) fn one_copy(&self) -> Moment {
        (self.size as f64 * 8.0 / self.line as f64 * SECOND as f64) as Moment
    }

    /// The least time in which the agents can have it of each other, however it came into the branch: a card has to receive it once.
    pub(crate) fn least(&self) -> Moment {
        let own = (self.size as f64 * 8.0 / self.card as f64 * SECOND as f64) as Moment;
        if self.warm { own } else { own.max(self.one_copy()) }
    }

    /// Of the fleet in the issue of all this: 1,000 agents, 4 GiB, 100 Mbit/s, cards of 1 Gbit/s.
    #[cfg(test)]
    pub(crate) fn small() -> Self {
        Self {
            agents: 20,
            size: 64 << 20,
            line: 100_000_000,
            card: 1_000_000_000,
            near: SECOND / 1_000,
            far: SECOND / 50,
            begin: SECOND,
            places: 5,
            retry_delay: Duration::from_secs(90),
            uploads: 2,
            peer_every: Duration::from_secs(1),
            warm: false,
            proxy_dies: None,
            liars: 0.0,
            leave: false,
            seed: 1,
        }
    }
}
