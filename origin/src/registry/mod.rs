//! What each proxy and each agent has said of itself: what it holds, where it is, how it is, and until when that counts.
//!
//! [`Registry`] is what the rest of the origin asks. All of it is in memory, so that an answer takes microseconds and may be had on any thread; a database beside it
//! only lets a restart know what was known. What is checked of a report before it comes here is `control::reports`' business.

mod book;
mod counters;
mod database;
mod fetching;
mod nodes;
mod numbering;
mod objects;
mod sqlite;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    digest::Md5,
    enrolment::Role,
    jobs::JobState,
    report::{Fetching, HOLDS_MAX, Refusal, Report, Reported},
    topology::DomainName,
};

pub use self::database::RegistryError;
pub(crate) use self::{counters::Counters, sqlite::SqliteRegistry};

/// Who holds what. Nothing here waits for a disk; a report of ten thousand digests takes a few milliseconds, everything else microseconds.
pub(crate) trait Registry: Send + Sync {
    /// Takes a report of somebody in a domain, and says what is expected of them next.
    fn report(
        &self,
        report: &Report,
        domain: Option<&DomainName>,
        intervals: Intervals,
        now: SystemTime,
    ) -> Result<Reported, NotTaken>;

    /// Who holds a content and is not away, of everybody or of one domain (without those below it). If there are more than `max`, others each time: so that who asks is
    /// not always sent to the same.
    fn holders(&self, md5: &Md5, within: Option<&DomainName>, max: usize, now: SystemTime) -> Vec<Arc<NodeState>>;

    /// Who of one domain (without those below it) has a content on its way, as it said last, and is not away. Likewise others each time.
    fn fetching(&self, md5: &Md5, within: &DomainName, max: usize, now: SystemTime) -> Vec<Arc<NodeState>>;

    /// Whether somebody holds a content and is not away.
    fn holds(&self, node: &str, md5: &Md5, now: SystemTime) -> bool;

    /// Somebody who has reported at some time: see [`NodeState::is_away`]. Who has not for very long is forgotten.
    fn node(&self, name: &str) -> Option<Arc<NodeState>>;

    /// Those whose names come behind one, in the order of their names; at most `max`.
    fn nodes(&self, behind: &str, max: usize) -> Vec<Arc<NodeState>>;
}

/// What is known of one who has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    /// Unlike all others.
    pub(crate) name: String,
    /// What it is.
    pub(crate) role: Role,
    /// Where it was when it reported; `None`: in no domain.
    pub(crate) domain: Option<DomainName>,
    /// Where it serves what it holds, if it does.
    pub(crate) url: Option<String>,
    /// Its release.
    pub(crate) version: String,
    /// Of its capacity, in percent.
    pub(crate) load: u8,
    /// Bytes that it could still take.
    pub(crate) free: u64,
    /// How many contents it holds.
    pub(crate) holds: u64,
    /// The configuration that it runs with.
    pub(crate) configuration: u64,
    /// Contents on their way to it. Not known after a restart, until it reports.
    pub(crate) fetching: Vec<Fetching>,
    /// What it does not take of the configuration that was delivered last, and why. Not known after a restart, until it reports.
    pub(crate) refused: Vec<Refusal>,
    /// Options that it uses with its next start only. Likewise.
    pub(crate) needs_restart: Vec<String>,
    /// How its jobs stand.
    pub(crate) jobs: Vec<JobState>,
    /// When it reported last.
    pub(crate) last_seen: SystemTime,
    /// When it counts as away unless it reports.
    pub(crate) expires: SystemTime,
}

impl NodeState {
    /// Of one of whom nothing is known yet, and who is away until something is.
    fn new(name: &str, role: Role, now: SystemTime) -> Self {
        Self {
            name: name.into(),
            role,
            domain: None,
            url: None,
            version: String::new(),
            load: 0,
            free: 0,
            holds: 0,
            configuration: 0,
            fetching: Vec::new(),
            refused: Vec::new(),
            needs_restart: Vec::new(),
            jobs: Vec::new(),
            last_seen: now,
            expires: now,
        }
    }

    /// Whether it has not reported in time: it may be switched off, and nobody is sent to it.
    pub(crate) fn is_away(&self, now: SystemTime) -> bool {
        self.expires <= now
    }
}

/// How much is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Proxies that are not away.
    pub(crate) proxies: u64,
    /// Agents that are not away.
    pub(crate) agents: u64,
    /// Nodes that are away.
    pub(crate) away: u64,
    /// Different contents that are held.
    pub(crate) objects: u64,
    /// What each node holds, together.
    pub(crate) holdings: u64,
    /// Nodes whose news are not in the database yet.
    pub(crate) unwritten: u64,
}

/// When a node is to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intervals {
    /// From one report to the next.
    pub(crate) next_in: Duration,
    /// Until it counts as away.
    pub(crate) expires_in: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { next_in: Duration::from_secs(60), expires_in: Duration::from_secs(200) }
    }
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// As many nodes as there may be, and none of them is away.
    #[error("this origin knows as many proxies and agents as it can; ask again later")]
    TooManyNodes,
    /// As many different contents as there may be.
    #[error("this origin knows as many different contents as it can; ask again later")]
    TooManyObjects,
    /// More contents than one node may hold.
    #[error("this node holds more than {HOLDS_MAX} contents, which is more than one may tell of")]
    HoldsTooMuch,
}

#[cfg(test)]
mod tests;
