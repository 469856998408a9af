//! A sealed object with its file open, as readers hold it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use protocol::digest::Digests;

use crate::read::{body::Body, hot::HotBody};

/// What was in memory a moment ago is taken to be there still, for so long: what is asked for more often is the last that the kernel drops.
const SEEN_MAX: Duration = Duration::from_secs(1);

/// One is kept per hot object, so that a hit is the clone of an `Arc`.
pub(crate) struct Sealed {
    pub(crate) digests: Digests,
    pub(crate) len: u64,
    pub(crate) body: Arc<Body>,
    pub(crate) hot: HotBody,
    /// When the whole file was last seen in the page cache: milliseconds of the senders' clock, plus one.
    seen: AtomicU64,
}

impl Sealed {
    pub(crate) fn new(digests: Digests, len: u64, body: Arc<Body>, hot: HotBody) -> Arc<Self> {
        Arc::new(Self { digests, len, body, hot, seen: AtomicU64::new(0) })
    }

    /// Whether somebody saw all of it in the page cache a moment before `now`.
    pub(crate) fn was_in_page_cache(&self, now: Duration) -> bool {
        match self.seen.load(Relaxed).checked_sub(1) {
            Some(seen) => now.saturating_sub(Duration::from_millis(seen)) < SEEN_MAX,
            None => false,
        }
    }

    pub(crate) fn seen_in_page_cache(&self, now: Duration) {
        self.seen.store(now.as_millis() as u64 + 1, Relaxed);
    }
}
