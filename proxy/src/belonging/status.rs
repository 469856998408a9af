//! What people are told of the origin that this proxy belongs to.

use std::time::SystemTime;

use protocol::{
    enrolment::OrderState,
    report::Refusal,
    topology::{DomainName, Tier},
};
use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It belongs to none.
    #[default]
    None,
    /// It has not been answered yet.
    Asking,
    /// It belongs to it.
    Member,
    /// The origin has no such interface.
    NoInterface,
    /// The origin does not want it.
    Refused,
}

/// All that is told.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// The name of the upstream whose origin it is.
    pub(crate) upstream: Option<String>,
    /// As whom it speaks.
    pub(crate) node: String,
    pub(crate) enrolled: bool,
    /// Whether the origin's changes are heard as they happen.
    pub(crate) live: bool,
    /// What is wrong now.
    pub(crate) trouble: Option<String>,
    /// Under which others are told to reach it.
    pub(crate) url: Option<String>,
    pub(crate) domain: Option<DomainName>,
    pub(crate) tier: Option<Tier>,
    pub(crate) configuration: Wanted,
    pub(crate) reports: Reports,
    /// Those that are being done, then the last ones that ended.
    pub(crate) orders: Vec<OrderState>,
}

/// What was delivered.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Wanted {
    /// The generation that is in use.
    pub(crate) generation: Option<u64>,
    /// Keys that have their values from the origin.
    pub(crate) options: Vec<String>,
    /// Keys whose values are in use with the next start only.
    pub(crate) needs_restart: Vec<String>,
    /// What is not taken of it, or of a later one.
    pub(crate) refused: Vec<Refusal>,
}

/// What was told.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reports {
    /// That were answered.
    pub(crate) sent: u64,
    /// That were not.
    pub(crate) failed: u64,
    /// Contents that the origin knows to be here.
    pub(crate) holds: u64,
    /// When the last one was answered, in seconds since 1970.
    pub(crate) last: Option<u64>,
}

/// Seconds since 1970.
pub(super) fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
