//! `POST /.outpost/v1/sources`: where contents are to be had, the nearest first.
//!
//! | `ready` | `sources` | what to do |
//! | --- | --- | --- |
//! | true | at least one | ask them in this order |
//! | false | none | not here yet, and somebody has been told to fetch it: ask again after `retry_after`, not before |
//! | false, and `unknown` | none | no file has had this digest for a good while: ask for that of its path ([`info`](crate::info)), it has changed or is gone |
//!
//! There is no fourth kind: a list is never empty without a time. A digest that no file is known to have is at first not here yet: its file may be
//! read for it just now. One that was known and whose file changed is ready as long as somebody near holds it; nobody else can give it.

use serde::{Deserialize, Serialize};

use crate::{
    digest::{Md5, Sha256},
    topology::DomainName,
};

/// Digests of one question; more are refused with 413.
pub const DIGESTS_MAX: usize = 1_000;

/// Sources of one content.
pub const SOURCES_MAX: usize = 32;
/// Network cards of one question; of more, the first count.
pub const MACHINES_MAX: usize = 16;

/// The question. Who asks is known from its name, else by its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is wanted.
    pub digests: Vec<Md5>,
    /// The addresses of one's network cards, for who has not enrolled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Where who asks is; `None`: in no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// Seconds for which it may be used (`source_expiry`).
    pub expires_in: u64,
    /// One for each digest that was asked for, in that order.
    pub contents: Vec<Sources>,
}

/// Where one content is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Its name.
    pub md5: Md5,
    /// Whether it can be had now.
    pub ready: bool,
    /// A path at which it is, encoded; absent when no file with this digest is known, which may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The root of its list of [pieces](crate::pieces), if it has several and they are known: with it a list can be believed that comes from anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Sha256>,
    /// The nearest first; at most [`SOURCES_MAX`].
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Seconds; there whenever it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// No file with this digest is known, and none has been for longer than it takes to read one for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// Somebody to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What it is.
    pub kind: Kind,
    /// Its name in the topology or the registry; of an origin its URL.
    pub name: String,
    /// `http://10.7.0.2:8080/`; the content is at `/.outpost/v1/objects/MD5?path=PATH` there.
    pub url: String,
    /// Whether it has reported that it holds it. Who has not may fetch it.
    #[serde(default)]
    pub holds: bool,
    /// A peer that is still fetching it, and may have some pieces already. Such ones stand behind all others, and nobody is ready because of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another agent of the same domain.
    Peer,
    /// A proxy of one's own domain.
    Proxy,
    /// A proxy of another one.
    Parent,
    /// An origin.
    Origin,
}
