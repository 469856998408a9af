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
};

/// Contents that one node may hold; more are refused with 413.
pub const HOLDS_MAX: usize = 1_000_000;

/// Contents that one report tells, of `holds` and `dropped` together; who has more sends several, each but the first with `full` unset.
pub const PAGE_MAX: usize = 10_000;
/// Contents on their way that one report tells.
pub const FETCHING_MAX: usize = 1_000;
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
}
