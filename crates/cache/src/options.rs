//! What a cache is made with.

use std::{path::PathBuf, time::Duration};

/// Options of the read-through side, typed and checked by `config`.
#[derive(Clone, Debug)]
pub struct Options {
    /// At least one; the longest matching mount wins.
    pub upstreams: Vec<UpstreamOptions>,
    /// Transfers of one object at once; 0: no limit. More: 503 `max-requesters`.
    pub max_requesters: usize,
    /// `Retry-After` of a refusal.
    pub retry_delay: Duration,
    /// What counts as a requester.
    pub requesters_by: RequestersBy,
    /// Fills at once; more: 503 `overloaded`.
    pub fills_max: usize,
    /// What to do with a file that does not fit.
    pub no_room: NoRoom,
    /// How long a last good copy may stand in for an upstream that cannot be reached.
    pub stale_if_error: Duration,
    /// This machine's name in `Via`.
    pub via: String,
}

/// One upstream and where it is mounted.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// For people, logs and metrics; also part of the key under which names are kept.
    pub name: String,
    /// Prefix such as `/` or `/prod`.
    pub mount: String,
    /// Which kind, and where.
    pub location: Location,
    /// To connect, TLS included.
    pub connect_timeout: Duration,
    /// To the head of an answer, and between two pieces of its body.
    pub read_timeout: Duration,
    /// Tries of one fill that make no progress before it is given up.
    pub retries_max: u32,
    /// Wait before the first retry; doubles with jitter.
    pub retry_backoff: Duration,
    /// Longest such wait.
    pub retry_backoff_max: Duration,
    /// How long a name is believed before it is looked at again (directory: 1 s; Outpost: 5 s; `http` follows RFC 9111 instead).
    pub recheck: Duration,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory: local disk, or a mounted share.
    Directory(PathBuf),
    /// A web server: `http://` or `https://`.
    Http(String),
    /// An Outpost origin or proxy, as `http://` or `https://` (without `outpost+`).
    Outpost(String),
}

/// Text that is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not an upstream: {reason}; write a directory (/srv/share), http://HOST/, https://HOST/ or outpost+http://HOST:8090/"
)]
pub struct BadLocation {
    /// As written.
    pub text: String,
    /// What is wrong.
    pub reason: String,
}

/// What counts as a requester.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestersBy {
    /// Each connection (default).
    #[default]
    Connection,
    /// All connections of one address together.
    Address,
}

/// What becomes of a file that does not fit in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoRoom {
    /// It is passed through, uncached.
    #[default]
    Pass,
    /// 507.
    Refuse,
}

impl std::str::FromStr for Location {
    type Err = BadLocation;
    fn from_str(_text: &str) -> Result<Self, BadLocation> {
        todo!()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

impl UpstreamOptions {
    /// The defaults for a location.
    pub fn new(name: impl Into<String>, mount: impl Into<String>, location: Location) -> Self {
        let recheck = match location {
            Location::Directory(_) => Duration::from_secs(1),
            Location::Http(_) => Duration::ZERO,
            Location::Outpost(_) => Duration::from_secs(5),
        };
        Self {
            name: name.into(),
            mount: mount.into(),
            location,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            retries_max: 8,
            retry_backoff: Duration::from_millis(250),
            retry_backoff_max: Duration::from_secs(10),
            recheck,
        }
    }
}

impl Options {
    /// The defaults for some upstreams.
    pub fn new(upstreams: Vec<UpstreamOptions>) -> Self {
        Self {
            upstreams,
            max_requesters: 5,
            retry_delay: Duration::from_secs(90),
            requesters_by: RequestersBy::Connection,
            fills_max: 256,
            no_room: NoRoom::Pass,
            stale_if_error: Duration::from_secs(7 * 86_400),
            via: "outpost".into(),
        }
    }
}
