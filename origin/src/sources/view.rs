//! The tree as a person wants to see it: who stands where, and who of them is there.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    timestamp,
    topology::{Domain, DomainName, Tier, Topology},
};
use serde::Serialize;

use crate::registry::NodeState;

/// Domains of one view; of those that are left out it is said how many there are.
const DOMAINS_MAX: usize = 2_000;

/// A domain with those below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct View {
    domain: String,
    /// Absent where nothing was written of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    machines: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    proxies: Vec<Proxy>,
    /// Right below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domains: Vec<View>,
    /// Right below it, and not shown: ask for this domain.
    #[serde(skip_serializing_if = "is_none")]
    left_out: usize,
}

/// A proxy, and what it has said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Proxy {
    name: String,
    url: String,
    state: State,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

/// Whether it can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Alive,
    /// It has not reported in time.
    Away,
    /// It has never reported: nobody knows.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Said {
    version: String,
    last_seen: String,
    /// Percent.
    load: u8,
    /// Bytes.
    free: u64,
    holds: u64,
    fetching: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(left_out: &usize) -> bool {
    *left_out == 0
}

/// Of a domain and all below it, or of the whole tree; `None` if there is no such domain. Level by level, as far as there is room.
pub(crate) fn view(
    topology: &Topology,
    top: Option<&DomainName>,
    node: impl Fn(&str) -> Option<Arc<NodeState>>,
    now: SystemTime,
) -> Option<Vec<View>> {
    let is_there =
        |name: &DomainName| topology.domain(name).is_some() || topology.children_of(Some(name)).next().is_some();
    let tops: Vec<DomainName> = match top {
        Some(top) => is_there(top).then(|| vec![top.clone()])?,
        None => topology.children_of(None).take(DOMAINS_MAX).cloned().collect(),
    };
    let shown = shown(topology, &tops);
    let make = |name: &DomainName| of_domain(name, topology.domain(name), &node, now);
    Some(tops.iter().map(|top| hang(topology, top, &shown, &make)).collect())
}

/// The domains for which there is room.
fn shown(topology: &Topology, tops: &[DomainName]) -> std::collections::HashSet<DomainName> {
    let mut shown = std::collections::HashSet::new();
    let mut waiting: VecDeque<DomainName> = tops.iter().cloned().collect();
    while let Some(name) = waiting.pop_front().filter(|_| shown.len() < DOMAINS_MAX) {
        let room = DOMAINS_MAX.saturating_sub(shown.len() + waiting.len());
        waiting.extend(topology.children_of(Some(&name)).take(room).cloned());
        shown.insert(name);
    }
    shown
}

/// As deep as names are, so that this ends.
fn hang(
    topology: &Topology,
    name: &DomainName,
    shown: &std::collections::HashSet<DomainName>,
    make: &impl Fn(&DomainName) -> View,
) -> View {
    let (here, left_out): (Vec<_>, Vec<_>) = topology.children_of(Some(name)).partition(|child| shown.contains(*child));
    let domains = here.into_iter().map(|child| hang(topology, child, shown, make)).collect();
    View { domains, left_out: left_out.len(), ..make(name) }
}

fn of_domain(
    name: &DomainName,
    domain: Option<&Domain>,
    node: &impl Fn(&str) -> Option<Arc<NodeState>>,
    now: SystemTime,
) -> View {
    let texts = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>();
    let proxies = domain.map_or(&[][..], |domain| &domain.proxies).iter().map(|proxy| {
        let (state, said) = match node(&proxy.name) {
            None => (State::Silent, None),
            Some(node) if node.is_away(now) => (State::Away, Some(said(&node))),
            Some(node) => (State::Alive, Some(said(&node))),
        };
        Proxy { name: proxy.name.clone(), url: proxy.url.clone(), state, said }
    });
    View {
        domain: name.to_string(),
        tier: domain.map(|domain| domain.tier),
        ranges: texts(&mut domain.iter().flat_map(|domain| &domain.ranges).map(ToString::to_string)),
        machines: texts(&mut domain.iter().flat_map(|domain| &domain.machines).map(ToString::to_string)),
        proxies: proxies.collect(),
        domains: Vec::new(),
        left_out: 0,
    }
}

fn said(node: &NodeState) -> Said {
    // Fractions of a second say nothing here.
    let seconds = node.last_seen.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Said {
        version: node.version.clone(),
        last_seen: timestamp::rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        load: node.load,
        free: node.free,
        holds: node.holds,
        fetching: node.fetching.len(),
    }
}
