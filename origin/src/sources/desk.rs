//! Answers a question about sources: looks up what the rule needs for each digest, and writes down what it says. Gives no orders itself: who is to be
//! told comes back with the answer.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::SystemTime};

use protocol::{
    digest::{Md5, Sha256},
    enrolment::Content,
    sources::{Answer, Kind, MACHINES_MAX, Question, SOURCES_MAX, Source, Sources},
    topology::{DomainName, Topology},
};

use super::{
    peers::{PEERS_LOOKED_MAX, choose},
    pending::Pending,
    rule::{Facts, NotReady, Pick, Reason, Verdict, decide, home},
    scene::{Scene, Standing},
    terms::{ORIGINS_MAX, PARTIALS_MAX, PEERS_MAX, Terms},
    wait::{Asked, UNKNOWN_AFTER},
};
use crate::registry::{NodeState, Registry};

/// What is known, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) terms: &'a Terms,
    /// Where the origins of this site are reached, the first to be asked first.
    pub(crate) origins: &'a [String],
    pub(crate) registry: &'a dyn Registry,
    pub(crate) pending: &'a Pending,
    /// A file with these bytes.
    pub(crate) file_of: &'a dyn Fn(&Md5) -> Option<File>,
}

/// Where a content is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Encoded, with its leading `/`.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// The root of its list of pieces, if it has several and they are known.
    pub(crate) pieces: Option<Sha256>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    /// Its name.
    pub(crate) node: Option<&'a str>,
    pub(crate) address: IpAddr,
}

/// The answer, and what follows from it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    /// Proxies by name, each with what it is to fetch for others.
    pub(crate) tell: BTreeMap<String, Vec<Content>>,
}

/// One question, with what is the same for all its digests.
struct Counter<'a> {
    desk: Desk<'a>,
    scene: Scene<'a>,
    node: Option<&'a str>,
    now: SystemTime,
    seed: u64,
}

impl<'a> Desk<'a> {
    /// Answers; `seed` is another one for each question.
    pub(crate) fn answer(self, who: &Who<'a>, question: &Question, now: SystemTime, seed: u64) -> Answered {
        let domain = self.domain_of(who, &question.machines);
        let node = |name: &str| self.registry.node(name);
        let scene = Scene::of(self.topology, who.node, domain, node, self.terms, now);
        let domain = scene.domain.cloned();
        let counter = Counter { desk: self, scene, node: who.node, now, seed };
        let mut tell = BTreeMap::<String, Vec<Content>>::new();
        let contents = question.digests.iter().map(|md5| counter.content(*md5, &mut tell)).collect();
        let expires_in = self.terms.source_expiry.as_secs();
        Answered { answer: Answer { domain, expires_in, contents }, tell }
    }

    /// By a network card, else by the address, else where it was when it reported: behind an address translation only its card tells.
    fn domain_of(&self, who: &Who<'_>, machines: &[String]) -> Option<&'a DomainName> {
        let cards = machines.iter().take(MACHINES_MAX).filter_map(|text| text.parse().ok());
        let by_card = cards.filter_map(|mac| self.topology.domain_of_card(mac)).next();
        let reported = || {
            let node = self.registry.node(who.node?)?;
            self.topology.domain(node.domain.as_ref()?).map(|domain| &domain.name)
        };
        by_card.or_else(|| self.topology.domain_of(who.address, None)).or_else(reported)
    }
}

impl Counter<'_> {
    fn content(&self, md5: Md5, tell: &mut BTreeMap<String, Vec<Content>>) -> Sources {
        let file = (self.desk.file_of)(&md5);
        let seed = self.seed ^ u64::from_be_bytes(std::array::from_fn(|at| md5.0[at]));
        let peers = self.peers(&md5, seed);
        let facts = self.facts(&md5, file.as_ref(), peers.len());
        let known = Sources {
            md5,
            ready: true,
            path: file.as_ref().map(|file| file.path.clone()),
            size: file.as_ref().map(|file| file.size),
            pieces: file.as_ref().and_then(|file| file.pieces),
            sources: Vec::new(),
            retry_after: None,
            unknown: false,
        };
        match decide(&self.scene, &facts, self.desk.terms) {
            Verdict::Ready(picks) => {
                let mut sources: Vec<_> = picks.into_iter().map(|pick| self.source(pick, &facts, &peers)).collect();
                sources.extend(self.partials(&md5, SOURCES_MAX.saturating_sub(sources.len()), &peers, !seed));
                Sources { sources, ..known }
            }
            Verdict::NotReady(not_ready) => self.not_ready(&not_ready, known, tell),
        }
    }

    /// Agents of the same domain that hold it, for who is no proxy.
    fn peers(&self, md5: &Md5, seed: u64) -> Vec<Arc<NodeState>> {
        match self.scene.domain {
            Some(domain) if self.scene.standing == Standing::Client => {
                let holders = self.desk.registry.holders(md5, Some(domain), PEERS_LOOKED_MAX, self.now);
                choose(holders, self.node, PEERS_MAX, seed)
            }
            _ => Vec::new(),
        }
    }

    /// Agents of the same domain that are fetching it, but those that have it already.
    fn partials(&self, md5: &Md5, room: usize, peers: &[Arc<NodeState>], seed: u64) -> Vec<Source> {
        let domain = self.scene.domain.filter(|_| self.scene.standing == Standing::Client);
        let fetching = domain
            .map(|domain| self.desk.registry.fetching(md5, domain, PEERS_LOOKED_MAX, self.now))
            .unwrap_or_default();
        let only = fetching.into_iter().filter(|node| !peers.iter().any(|peer| peer.name == node.name)).collect();
        let chosen = choose(only, self.node, PARTIALS_MAX.min(room), seed);
        chosen.iter().map(|node| Source { holds: false, partial: true, ..peer(node) }).collect()
    }

    fn facts(&self, md5: &Md5, file: Option<&File>, peers: usize) -> Facts {
        let around = &self.scene.around;
        let holds = |name: &str| self.desk.registry.holds(name, md5, self.now);
        Facts {
            is_known: file.is_some(),
            size: file.map(|file| file.size),
            holds: around.iter().map(|around| around.node.is_some() && holds(&around.neighbour.proxy.name)).collect(),
            fetching: around.iter().map(|around| around.fetching(md5, self.now)).collect(),
            told: self.told(md5),
            peers,
            origins: self.desk.origins.len().min(ORIGINS_MAX),
        }
    }

    /// Who of those that serve a client has been told to fetch it.
    fn told(&self, md5: &Md5) -> Vec<usize> {
        let home = home(&self.scene).filter(|_| self.scene.standing == Standing::Client);
        let names = |at: usize| self.scene.around[at].neighbour.proxy.name.as_str();
        home.map(|home| self.desk.pending.told(md5, &home.members, names)).unwrap_or_default()
    }

    fn source(&self, pick: Pick, facts: &Facts, peers: &[Arc<NodeState>]) -> Source {
        match pick {
            Pick::Peer(at) => peer(&peers[at]),
            Pick::Proxy(at) => {
                let neighbour = self.scene.around[at].neighbour;
                let kind = if Some(neighbour.domain) == self.scene.domain { Kind::Proxy } else { Kind::Parent };
                let (name, url) = (neighbour.proxy.name.clone(), neighbour.proxy.url.clone());
                Source { kind, name, url, holds: facts.holds[at], partial: false }
            }
            Pick::Origin(at) => {
                let url = &self.desk.origins[at];
                Source {
                    kind: Kind::Origin,
                    name: url.clone(),
                    url: url.clone(),
                    holds: facts.is_known,
                    partial: false,
                }
            }
        }
    }

    /// Says when to come again, and notes who is to fetch it.
    fn not_ready(&self, not_ready: &NotReady, known: Sources, tell: &mut BTreeMap<String, Vec<Content>>) -> Sources {
        let name = |at: usize| self.scene.around[at].neighbour.proxy.name.as_str();
        let seed = self.seed ^ u64::from_be_bytes(std::array::from_fn(|at| known.md5.0[at + 8]));
        let asked = Asked { terms: self.desk.terms, now: self.now, seed };
        let wait = self.desk.pending.wait(known.md5, self.scene.standing, not_ready, name, &asked);
        if let Some(path) = &known.path {
            for at in wait.tell {
                let content = Content { md5: known.md5, path: path.clone() };
                tell.entry(name(at).to_owned()).or_default().push(content);
            }
        }
        let unknown = not_ready.reason == Reason::Unknown && wait.waited >= UNKNOWN_AFTER;
        Sources { ready: false, retry_after: Some(wait.retry_after), unknown, ..known }
    }
}

/// An agent that holds it.
fn peer(node: &NodeState) -> Source {
    let url = node.url.clone().unwrap_or_default();
    Source { kind: Kind::Peer, name: node.name.clone(), url, holds: true, partial: false }
}
