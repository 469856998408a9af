//! What the origin counts besides what its listener counts.

use std::sync::atomic::AtomicU64;

/// Totals since the start unless said. Written with relaxed ordering.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files seen by the last complete scan; while the first one runs, by this one so far.
    pub files: AtomicU64,
    /// Files read for their digests.
    pub hashed: AtomicU64,
    /// Bytes read for digests.
    pub hashed_bytes: AtomicU64,
    /// Files that changed while they were read, so that the digest was thrown away.
    pub changed_while_hashing: AtomicU64,
    /// Files that could not be read or recorded.
    pub hash_errors: AtomicU64,
    /// Files that wait to be hashed now.
    pub pending: AtomicU64,
    /// Complete scans.
    pub scans: AtomicU64,
}
