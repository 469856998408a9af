//! What the registry counts.

use std::sync::atomic::AtomicU64;

/// Totals since the start unless said. Written with relaxed ordering.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Reports that told everything, or began to.
    pub(crate) full: AtomicU64,
    /// Reports that told what changed.
    pub(crate) changes: AtomicU64,
    /// Reports that followed one that was not heard, so that everything was asked for.
    pub(crate) missed: AtomicU64,
    /// Reports that were not taken.
    pub(crate) refused: AtomicU64,
    /// Reports whose url was not taken.
    pub(crate) urls_refused: AtomicU64,
    /// Batches written to the database.
    pub(crate) batches: AtomicU64,
    /// Batches that could not be written, and were tried again.
    pub(crate) write_errors: AtomicU64,
    /// Size of the database now, with its log.
    pub(crate) database_bytes: AtomicU64,
}
