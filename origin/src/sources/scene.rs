//! Who asks, and everybody around: made once for a question, whatever it asks for.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    digest::Md5,
    topology::{DomainName, Neighbour, Proxy, Relation, Tier, Topology},
};

use super::terms::Terms;
use crate::registry::NodeState;

/// What who asks is, to the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A proxy of the tree with a good line.
    Unconstrained,
    /// A proxy of the tree behind a thin line.
    Constrained,
    /// Everybody else.
    Client,
}

/// What who fetches a content says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forecast {
    /// It will be there then.
    In(Duration),
    /// It cannot tell.
    Unknown,
}

/// A proxy of the tree, and what it has said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Around<'t> {
    pub(crate) neighbour: Neighbour<'t>,
    /// `None`: it has never reported.
    pub(crate) node: Option<Arc<NodeState>>,
}

/// Who asks, and everybody around, those who are away last.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'t> {
    pub(crate) standing: Standing,
    /// Its own domain, whose peers it may ask; `None`: it is in none.
    pub(crate) domain: Option<&'t DomainName>,
    pub(crate) around: Vec<Around<'t>>,
    /// How long the blackout of its tier still lasts.
    pub(crate) blackout_left: Option<Duration>,
    /// Likewise for the other proxies, in the order of [`Tier::ALL`].
    pub(crate) blackouts: [Option<Duration>; 3],
    /// The way up from who asks: the proxies of one domain each that are not away. To a client the first is its home.
    pub(crate) levels: Vec<Level>,
}

/// Proxies of one domain that can fetch for those below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) tier: Tier,
    pub(crate) relation: Relation,
    /// By their places in the scene.
    pub(crate) members: Vec<usize>,
}

impl Around<'_> {
    /// What it said of a content that it fetches.
    pub(crate) fn fetching(&self, md5: &Md5, now: SystemTime) -> Option<Forecast> {
        let node = self.node.as_ref().filter(|_| !self.neighbour.is_away)?;
        let fetching = node.fetching.iter().find(|fetching| fetching.md5 == *md5)?;
        let since = now.duration_since(node.last_seen).unwrap_or_default();
        let left = |seconds| Duration::from_secs(seconds).saturating_sub(since);
        Some(fetching.ready_in.map_or(Forecast::Unknown, |seconds| Forecast::In(left(seconds))))
    }
}

impl<'t> Scene<'t> {
    /// Of `proxy`, the name of who asks if it is a proxy of the tree; else of a machine in `domain`. `node` knows who has reported.
    pub(crate) fn of(
        topology: &'t Topology,
        proxy: Option<&str>,
        domain: Option<&'t DomainName>,
        node: impl Fn(&str) -> Option<Arc<NodeState>>,
        terms: &Terms,
        now: SystemTime,
    ) -> Self {
        let home = proxy.and_then(|name| topology.home_of(name).map(|home| (name, home)));
        let is_away = |proxy: &'t Proxy| node(&proxy.name).is_some_and(|node| node.is_away(now));
        let (standing, tier, domain, neighbours) = match home {
            Some((name, home)) => {
                let tier = topology.tier_of(name);
                let standing =
                    if tier == Tier::Unconstrained { Standing::Unconstrained } else { Standing::Constrained };
                (standing, tier, Some(home), topology.upstreams(name, is_away))
            }
            None => (Standing::Client, Tier::Client, domain, topology.order(domain, is_away)),
        };
        let around = |neighbour: Neighbour<'t>| Around { neighbour, node: node(&neighbour.proxy.name) };
        let around: Vec<_> = neighbours.into_iter().map(around).collect();
        let blackouts = Tier::ALL.map(|tier| terms.blackout_left(tier, now));
        Self { standing, domain, blackout_left: of_tier(&blackouts, tier), blackouts, levels: levels(&around), around }
    }

    /// How long the blackout of a tier still lasts.
    pub(crate) fn blackout_of(&self, tier: Tier) -> Option<Duration> {
        of_tier(&self.blackouts, tier)
    }
}

fn of_tier(blackouts: &[Option<Duration>; 3], tier: Tier) -> Option<Duration> {
    Tier::ALL.iter().zip(blackouts).find(|(each, _)| **each == tier).and_then(|(_, left)| *left)
}

/// Who is not away, at home and above, domain by domain.
fn levels(around: &[Around<'_>]) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut last = None;
    for (at, Around { neighbour, .. }) in around.iter().enumerate() {
        let is_on_the_way = matches!(neighbour.relation, Relation::Home | Relation::Above);
        if neighbour.is_away || !is_on_the_way {
            continue;
        }
        if last != Some(neighbour.domain) {
            levels.push(Level { tier: neighbour.tier, relation: neighbour.relation, members: Vec::new() });
            last = Some(neighbour.domain);
        }
        if let Some(level) = levels.last_mut() {
            level.members.push(at);
        }
    }
    levels
}

/// What somebody keeps of the tree for times without an origin: the proxies that it may ask, from near to far. `node` may be a proxy of the tree, and is
/// told only of those that it may fetch from.
pub(crate) fn near_to_far(topology: &Topology, node: Option<&str>, domain: Option<&DomainName>) -> Vec<Proxy> {
    let proxy = node.filter(|node| topology.home_of(node).is_some());
    let neighbours = match proxy {
        Some(proxy) => topology.upstreams(proxy, |_| false),
        None => topology.order(domain, |_| false),
    };
    // Those beside a proxy hold what they hold: without an origin nobody knows what, so it is not sent to them.
    let is_kept = |neighbour: &Neighbour<'_>| proxy.is_none() || neighbour.relation != Relation::Across;
    neighbours.into_iter().filter(is_kept).map(|neighbour| neighbour.proxy.clone()).collect()
}
