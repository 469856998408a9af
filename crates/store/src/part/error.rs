//! Why a fill cannot begin or go on, as its caller hears it.

use std::io;

/// Why a fill cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// Larger than the cache may ever be: pass it through.
    #[error("{needed} bytes do not fit into the cache, which may hold {capacity} bytes")]
    TooLarge {
        /// Bytes asked for.
        needed: u64,
        /// Bytes that an empty cache would take.
        capacity: u64,
    },
    /// No room now, although everything evictable was evicted.
    #[error("there is no room for {needed} bytes: everything in the cache is in use, or the disk is full")]
    NoRoom {
        /// Bytes asked for.
        needed: u64,
    },
    /// No room, for what is here may not go: nothing was evicted in vain.
    #[error(
        "there is no room for {needed} bytes beside {pinned} bytes that are pinned, of {capacity} bytes that the cache may hold; raise cache.max_size, lower cache.min_free or pin less"
    )]
    Pinned {
        /// Bytes asked for.
        needed: u64,
        /// Bytes of pinned objects.
        pinned: u64,
        /// Bytes that an empty cache would take.
        capacity: u64,
    },
    /// More or fewer bytes than announced.
    #[error("{expected} bytes were announced, and {found} bytes came")]
    Length {
        /// Announced.
        expected: u64,
        /// Came.
        found: u64,
    },
    /// Not the digest that was claimed.
    #[error("{claimed} was announced, and {found} came")]
    Digest {
        /// As claimed.
        claimed: String,
        /// As computed.
        found: String,
    },
    /// The source is not what it was when the fill began.
    #[error("the file changed while it was read")]
    Changed,
    /// The disk failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// `write the part`, `sync`, ...
        action: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl FillError {
    /// Whether the bytes were wrong (as against: no room, disk trouble).
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::Digest { .. } | Self::Changed)
    }

    /// Whether the cache has no room for it.
    pub fn is_room(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::NoRoom { .. } | Self::Pinned { .. })
    }

    /// The store is closing.
    pub(crate) fn closed() -> Self {
        Self::Io { action: "continue the fetch", source: io::Error::other("this server is stopping") }
    }
}
