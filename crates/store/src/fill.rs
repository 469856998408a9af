//! Filling an object: [`Vacancy`] -> [`Fill`] -> [`Verified`] -> [`Reader`]. Each step consumes the one before; dropping one is
//! the abort: followers are told, and what can be continued later is kept as a part.

use bytes::Bytes;
use protocol::digest::{Claims, Digests, Md5};

use crate::reader::Reader;

/// The right, held by one, to fill the object of a digest. Dropping it gives the digest free and tells who follows.
pub struct Vacancy {}

/// What is about to be filled.
#[derive(Clone, Debug, Default)]
pub struct FillSpec {
    /// Complete length, if known. Room for it is reserved before the first byte.
    pub len: Option<u64>,
    /// What the bytes are claimed to be; checked before the tail is released.
    pub claims: Claims,
    /// Of what this is a fill, as the caller understands it: name and validators. A part with an equal source can be continued.
    pub source: Bytes,
    /// Continue at the part's end, as [`crate::Store::resumable`] told. `false` begins at 0 and discards an old part.
    pub resume: bool,
}

/// A part from before that can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// The first byte that is missing. What is before it is durable and hashed anew.
    pub position: u64,
}

/// A fill in progress; one writer. Dropping it is [`Fill::suspend`] with the reason "abandoned".
pub struct Fill {}

/// All bytes are there and right; readers have them all; not durable yet.
pub struct Verified {}

/// Why a fill cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// Larger than the cache may ever be: pass it through.
    #[error("{needed} bytes do not fit into the cache, which may hold {capacity}")]
    TooLarge {
        /// Bytes asked for.
        needed: u64,
        /// Bytes that an empty cache would take.
        capacity: u64,
    },
    /// No room now, although everything evictable was evicted.
    #[error("no room for {needed} bytes: everything in the cache is in use, or the disk is full")]
    NoRoom {
        /// Bytes asked for.
        needed: u64,
    },
    /// More or fewer bytes than announced.
    #[error("the length is wrong: {expected} bytes were announced, {found} came")]
    Length {
        /// Announced.
        expected: u64,
        /// Came.
        found: u64,
    },
    /// Not the digest that was claimed.
    #[error("the digest is wrong: {claimed} was announced, {found} came")]
    Digest {
        /// As claimed.
        claimed: String,
        /// As computed.
        found: String,
    },
    /// The disk failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// `write the part`, `sync`, ...
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl FillError {
    /// Whether the bytes were wrong (as against: no room, disk trouble).
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::Digest { .. })
    }

    /// Whether the cache has no room for it.
    pub fn is_room(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::NoRoom { .. })
    }
}

impl Vacancy {
    /// The digest that is to be filled.
    pub fn md5(&self) -> Md5 {
        todo!()
    }

    /// Reserves room (evicting if need be) and begins. On an error the digest is free again and followers are told.
    pub async fn begin(self, _spec: FillSpec) -> Result<Fill, FillError> {
        todo!()
    }

    /// Gives up, with a reason for those who follow.
    pub fn abandon(self, _reason: &str) {
        todo!()
    }
}

impl Fill {
    /// The next byte wanted; above 0 when a part is continued.
    pub fn position(&self) -> u64 {
        todo!()
    }

    /// A reader that follows this fill.
    pub fn reader(&self) -> Reader {
        todo!()
    }

    /// Takes the next bytes. Waits only while `fill_buffer_max` bytes are not yet written and hashed, or for more room when the length is unknown.
    /// Cancel safe: a dropped future took all or nothing.
    pub async fn push(&mut self, _bytes: Bytes) -> Result<(), FillError> {
        todo!()
    }

    /// The end of the bytes: waits for writes and hashes, compares length and claims, then releases the withheld tail to all readers.
    /// On a mismatch the part goes to quarantine and readers fail. `check` is asked last, off the reactor, before the tail is
    /// released: `false` means that the source changed while it was read (then likewise, but without quarantine).
    pub async fn verify(self, _check: impl FnOnce() -> bool + Send + 'static) -> Result<Verified, FillError> {
        todo!()
    }

    /// Stops here, keeps the part for a later continuation (if it is worth it and `source` is not empty), and tells the readers the reason.
    pub fn suspend(self, _reason: &str) {
        todo!()
    }

    /// Stops here and removes the part: what came is of no use (the source changed).
    pub fn discard(self, _reason: &str) {
        todo!()
    }
}

impl Verified {
    /// What it turned out to be.
    pub fn digests(&self) -> Digests {
        todo!()
    }

    /// Makes it durable: data synced, renamed to its digest, directory synced, journaled. If the same content is here already, that one stays
    /// and this one is dropped. Does not block other requests. From an error nothing remains in the index.
    pub async fn commit(self) -> Result<Reader, FillError> {
        todo!()
    }
}
