//! The rule over small trees, written as `domain: proxy proxy`; who is there, who is away and who holds the content is told in a line each.

mod cost;
mod desk;
mod properties;
mod scenario;
mod table;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    digest::Md5,
    enrolment::Role,
    report::Fetching,
    topology::{Domain, DomainName, Proxy, Tier, Topology},
};

use super::{
    rule::{Facts, NotReady, Pick, Verdict, decide},
    scene::Scene,
    terms::Terms,
};
use crate::registry::NodeState;

pub(super) const NOW: SystemTime = SystemTime::UNIX_EPOCH;
/// The content that all tests are about.
pub(super) const MD5: Md5 = Md5([7; 16]);

/// A tree, and what is known of its proxies. Those of whom nothing is said have never reported.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) topology: Topology,
    pub(super) nodes: BTreeMap<String, Arc<NodeState>>,
    pub(super) holds: BTreeSet<String>,
    pub(super) told: BTreeSet<String>,
    pub(super) terms: Terms,
    pub(super) peers: usize,
    pub(super) is_unknown: bool,
}

pub(super) fn node(name: &str, is_away: bool) -> NodeState {
    NodeState {
        name: name.into(),
        role: Role::Proxy,
        domain: None,
        url: Some(format!("http://{name}/")),
        version: String::new(),
        load: 0,
        free: 0,
        holds: 0,
        configuration: 0,
        fetching: Vec::new(),
        refused: Vec::new(),
        needs_restart: Vec::new(),
        jobs: Vec::new(),
        last_seen: NOW,
        expires: if is_away { NOW } else { NOW + Duration::from_secs(60) },
    }
}

/// Domains named `+...` have good lines.
pub(super) fn tree(written: &[&str]) -> Topology {
    let domain = |text: &&str| {
        let (name, proxies) = text.split_once(':').unwrap();
        let proxy = |name: &str| Proxy { name: name.into(), url: format!("http://{name}/") };
        Domain {
            name: name.trim_start_matches('+').parse().unwrap(),
            ranges: Vec::new(),
            machines: Vec::new(),
            tier: if name.starts_with('+') { Tier::Unconstrained } else { Tier::Constrained },
            proxies: proxies.split_whitespace().map(proxy).collect(),
        }
    };
    Topology::new(written.iter().map(domain).collect()).unwrap()
}

impl World {
    pub(super) fn of(written: &[&str]) -> Self {
        Self { topology: tree(written), ..Self::default() }
    }

    /// These have reported.
    pub(super) fn live(mut self, names: &str) -> Self {
        self.nodes.extend(names.split_whitespace().map(|name| (name.to_owned(), Arc::new(node(name, false)))));
        self
    }

    /// All of the tree have.
    pub(super) fn all_live(self) -> Self {
        let names: Vec<_> =
            self.topology.domains().flat_map(|domain| &domain.proxies).map(|proxy| proxy.name.clone()).collect();
        self.live(&names.join(" "))
    }

    /// These have not for too long.
    pub(super) fn away(mut self, names: &str) -> Self {
        self.nodes.extend(names.split_whitespace().map(|name| (name.to_owned(), Arc::new(node(name, true)))));
        self
    }

    pub(super) fn holding(mut self, names: &str) -> Self {
        self.holds = names.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// These were told to fetch it.
    pub(super) fn told(mut self, names: &str) -> Self {
        self.told = names.split_whitespace().map(str::to_owned).collect();
        self
    }

    pub(super) fn fetching(mut self, name: &str, ready_in: Option<u64>) -> Self {
        let fetching = vec![Fetching { md5: MD5, fetched: 0, total: 1, ready_in }];
        self.nodes.insert(name.into(), Arc::new(NodeState { fetching, ..node(name, false) }));
        self
    }

    pub(super) fn peers(self, peers: usize) -> Self {
        Self { peers, ..self }
    }

    pub(super) fn unknown(self) -> Self {
        Self { is_unknown: true, ..self }
    }

    pub(super) fn at_once(mut self) -> Self {
        self.terms.staging = false;
        self
    }

    /// Of a proxy of the tree by its name, or of a machine in a domain.
    pub(super) fn scene<'t>(&'t self, proxy: Option<&str>, domain: Option<&'t DomainName>) -> Scene<'t> {
        Scene::of(&self.topology, proxy, domain, |name| self.nodes.get(name).cloned(), &self.terms, NOW)
    }

    pub(super) fn facts(&self, scene: &Scene<'_>) -> Facts {
        Facts {
            is_known: !self.is_unknown,
            size: Some(10 << 20),
            holds: scene.around.iter().map(|around| self.holds.contains(&around.neighbour.proxy.name)).collect(),
            fetching: scene.around.iter().map(|around| around.fetching(&MD5, NOW)).collect(),
            told: (0..scene.around.len())
                .filter(|at| self.told.contains(&scene.around[*at].neighbour.proxy.name))
                .collect(),
            peers: self.peers,
            origins: 1,
        }
    }

    pub(super) fn verdict(&self, scene: &Scene<'_>) -> Verdict {
        decide(scene, &self.facts(scene), &self.terms)
    }

    /// What a machine in a domain is told, in words.
    pub(super) fn client(&self, domain: &str) -> String {
        let domain = domain.parse().ok();
        let scene = self.scene(None, domain.as_ref());
        words(&scene, &self.verdict(&scene))
    }

    /// What a proxy of the tree is told, in words.
    pub(super) fn proxy(&self, name: &str) -> String {
        let scene = self.scene(Some(name), None);
        words(&scene, &self.verdict(&scene))
    }
}

/// `a b origin`, or why not, and who is told.
pub(super) fn words(scene: &Scene<'_>, verdict: &Verdict) -> String {
    let name = |at: usize| scene.around[at].neighbour.proxy.name.clone();
    let names = |picks: Vec<String>| picks.join(" ");
    match verdict {
        Verdict::Ready(picks) => names(
            picks
                .iter()
                .map(|pick| match pick {
                    Pick::Peer(at) => format!("peer{at}"),
                    Pick::Proxy(at) => name(*at),
                    Pick::Origin(_) => "origin".into(),
                })
                .collect(),
        ),
        Verdict::NotReady(NotReady { reason, tell }) => {
            let tell = names(tell.iter().map(|at| name(*at)).collect());
            let reason = format!("{reason:?}");
            let reason = reason.split(['(', ' ']).next().unwrap_or_default().to_owned();
            format!("not ready ({reason}), told: {tell}").trim_end().to_owned()
        }
    }
}
