//! `POST /.outpost/v1/reports`: what a proxy or an agent holds, and how it is.
//!
//! The first report is full; then only what came and went is told, each with the number of the one before it. An origin that has missed one, or
//! has forgotten who reports, answers with `full` and is told everything again. Who has not reported by `expires_in` counts as away.
//!
//! A full report of many contents comes in pages: the first is `full`, the others follow at once, each with the next number, and add what they hold.
//! Who does not know whether a report arrived sends one with the same number again, with what has happened since: what came and went is told
//! as it is now, so that hearing it twice does no harm.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Md5,
    enrolment::{OrderState, Role},
    jobs::JobState,
    topology::DomainName,
};

/// Contents that one node may hold; more are refused with 413.
pub const HOLDS_MAX: usize = 1_000_000;
/// Contents that one report tells, of `holds` and `dropped` together; who has more sends several, each but the first with `full` unset.
pub const PAGE_MAX: usize = 10_000;
/// Contents on their way that one report tells.
pub const FETCHING_MAX: usize = 1_000;
/// Bytes of one report.
pub const REPORT_BYTES_MAX: usize = 1 << 20;
/// Nodes of one page, and holders of one answer.
pub const NODES_MAX: usize = 1_000;
/// Of what is refused, and of what needs a restart, that many are told.
pub const REFUSED_MAX: usize = 64;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who.
    pub node: String,
    /// What it is.
    pub role: Role,
    /// Its release.
    pub version: String,
    /// `http://10.7.0.2:8080/`: where it serves what it holds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// 1 for the first since its start, then one more each.
    pub sequence: u64,
    /// `holds` is everything, and not only what came.
    pub full: bool,
    /// Contents that are here, whole and verified.
    #[serde(default)]
    pub holds: Vec<Md5>,
    /// Contents that are here no more.
    #[serde(default)]
    pub dropped: Vec<Md5>,
    /// Contents on their way.
    #[serde(default)]
    pub fetching: Vec<Fetching>,
    /// Of its capacity, in percent.
    #[serde(default)]
    pub load: u8,
    /// Bytes that it could still take.
    #[serde(default)]
    pub free: u64,
    /// The configuration that it runs with.
    #[serde(default)]
    pub configuration: u64,
    /// Orders that have not ended, and those that have since the last report.
    #[serde(default)]
    pub orders: Vec<OrderState>,
    /// What it does not take of the configuration that was delivered last, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// Options that were delivered and are in use with its next start only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
    /// How all jobs stand, where that is not what was told last; in a full report in any case. Absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<JobState>>,
}

/// Something that was delivered and is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `serve.max_requesters`; empty: all of it.
    pub option: String,
    /// For a person.
    pub reason: String,
}

/// A content on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetching {
    /// Its name.
    pub md5: Md5,
    /// Bytes here.
    pub fetched: u64,
    /// Bytes in all.
    pub total: u64,
    /// Seconds until it will be here, as far as can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_in: Option<u64>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The next one must be full.
    #[serde(default)]
    pub full: bool,
    /// Seconds until the next one is expected.
    pub next_in: u64,
    /// Seconds after which one counts as away.
    pub expires_in: u64,
    /// The report is taken, but not its `url`, which is at another address than it came from: nobody is sent there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub url_refused: bool,
}

/// `GET /.outpost/v1/objects/MD5/holders?domain=DOMAIN&limit=NUMBER`: who holds a content, of those that are not away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// If there are more than were asked for, others each time.
    pub holders: Vec<Node>,
}

/// `GET /.outpost/v1/nodes?cursor=CURSOR&limit=NUMBER`: everybody who has reported, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// One page of them.
    pub nodes: Vec<Node>,
    /// Where the next page begins; absent behind the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET /.outpost/v1/nodes/NAME`: what is known of one who has reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unlike all others.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Where it is; absent: in no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Where it serves what it holds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its release.
    pub version: String,
    /// Of its capacity, in percent.
    pub load: u8,
    /// Bytes that it could still take.
    pub free: u64,
    /// How many contents it holds.
    pub holds: u64,
    /// How many are on their way to it.
    pub fetching: u64,
    /// The configuration that it runs with.
    pub configuration: u64,
    /// What it does not take of the configuration that was delivered last, and why; not all of it if that is much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// Options that were delivered and are in use with its next start only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
    /// How its jobs stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobState>,
    /// RFC 3339, UTC: when it reported last.
    pub last_seen: String,
    /// RFC 3339, UTC: when it counts as away unless it reports.
    pub expires: String,
    /// It has not reported in time, so that nobody is sent to it.
    pub away: bool,
}
