//! What a cache tells about itself.

use std::sync::atomic::{AtomicU64, Ordering};

mod preload;

pub use preload::{Files, PreloadRound, PreloadState, PreloadStatus, PreloadedFailed, Preloading, ReadyByStatus};

/// Totals since the start. Written with relaxed ordering.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answered from the store.
    pub hits: AtomicU64,
    /// Made a fetch begin.
    pub misses: AtomicU64,
    /// Followed a fetch that another request began.
    pub collapsed: AtomicU64,
    /// Were found unchanged upstream.
    pub revalidated: AtomicU64,
    /// Answered with the last good copy.
    pub stale: AtomicU64,
    /// Passed through.
    pub passed: AtomicU64,
    /// Refused for want of a requester place.
    pub refused_requesters: AtomicU64,
    /// Refused at a limit.
    pub refused_overloaded: AtomicU64,
    /// Refused because files come only beforehand, and this one was not here.
    pub refused_not_preloaded: AtomicU64,
    /// Body bytes that came from upstreams.
    pub upstream_bytes: AtomicU64,
    /// Of these, bytes that were fetched before their turn because somebody waited for them.
    pub upstream_bytes_ahead: AtomicU64,
    /// Requests to upstreams.
    pub upstream_requests: AtomicU64,
    /// Tries that failed: unreachable, timed out, cut.
    pub upstream_errors: AtomicU64,
    /// Fills that were continued at their byte.
    pub resumed: AtomicU64,
    /// Fills whose bytes were wrong.
    pub mismatches: AtomicU64,
    /// Files that were found here when they were to be preloaded.
    pub preload_here: AtomicU64,
    /// Files that were preloaded.
    pub preload_fetched: AtomicU64,
    /// Files that could not be preloaded.
    pub preload_failed: AtomicU64,
    /// Bytes that were preloaded.
    pub preload_bytes: AtomicU64,
    /// Rounds of preload that were done.
    pub preload_rounds: AtomicU64,
    /// Streams of changes that origins began to tell.
    pub streams: AtomicU64,
    /// Changes and other events that origins told.
    pub changes: AtomicU64,
    /// Answers to what is here in pieces.
    pub have: AtomicU64,
    /// Lists of digests of pieces that were made from objects here.
    pub piece_lists_made: AtomicU64,
    /// Lists that upstreams sent and that were of another content.
    pub piece_lists_refused: AtomicU64,
    /// Fetches saved because an upstream's digest was already here.
    pub known_by_digest: AtomicU64,
}

/// A fill in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct FillStatus {
    /// The upstream's name.
    pub upstream: String,
    /// What is fetched.
    pub path: String,
    /// Its digest, if known beforehand.
    pub md5: Option<protocol::digest::Md5>,
    /// Bytes here.
    pub fetched: u64,
    /// Bytes in all, if known.
    pub total: Option<u64>,
    /// Seconds since it began.
    pub seconds: f64,
    /// Readers of it now.
    pub followers: usize,
}

/// An upstream as it is seen now.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Its mount.
    pub mount: String,
    /// Its location, as written.
    pub location: String,
    /// Whether the last try reached it.
    pub reachable: bool,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// The line to it.
    pub line: LineStatus,
    /// Its servers in their order, of a web server or an Outpost.
    pub origins: Vec<OriginStatus>,
    /// Whether it tells what changes; `None` where that is not asked for.
    pub stream: Option<StreamStatus>,
}

/// How an origin's stream of changes stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// It is up: names need no question.
    pub is_live: bool,
    /// The last change that was told, by the origin's count.
    pub generation: u64,
    /// Why it is not up.
    pub trouble: Option<String>,
}

/// One of the servers of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginStatus {
    /// Where it is.
    pub url: String,
    /// Whether it is the one that is asked.
    pub in_use: bool,
    /// How often it failed in a row.
    pub failures: u32,
}

/// A line as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LineStatus {
    /// Bytes per second that may come now; `None`: no limit.
    pub rate: Option<u64>,
    /// Fetches that clients wait for and that wait for their turn.
    pub demand_waiting: usize,
    /// Preloads that do.
    pub preload_waiting: usize,
    /// Bytes per second of fetches that yield to others on the line, where some do.
    pub background_rate: Option<u64>,
    /// How long packets wait in the queues of the line, as those saw it last.
    pub queueing: Option<std::time::Duration>,
    /// Bytes that came while there were limits, heads and records of TLS too.
    pub bytes: u64,
    /// What all together waited for their turns.
    pub held: std::time::Duration,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
