//! What happened since the start, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// One figure.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures of a store.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: Count,
    pub(crate) duplicates: Count,
    pub(crate) rejections: Count,
    pub(crate) evictions: Count,
    pub(crate) evicted_bytes: Count,
    pub(crate) disk_errors: Count,
}
