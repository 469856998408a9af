//! Reading an object: sealed or still growing, the same way. A sealed object is one whose watermark stands at its end.

use std::{fs::File, sync::Arc};

use protocol::digest::Digests;

/// A place to read an object from. Clones share the file; as long as one lives, the bytes stay readable, evicted or not.
#[derive(Clone)]
pub struct Reader {}

/// Why a growing object will not grow any more. The bytes below the watermark stay readable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The fill was given up before it had begun or at some byte.
    #[error("the fetch was given up: {reason}")]
    Abandoned {
        /// In a sentence.
        reason: Arc<str>,
    },
    /// What arrived is not what it should be.
    #[error("what arrived has the wrong digest or length")]
    Rejected,
}

impl Reader {
    /// Complete length; `None` while it is not known.
    pub fn len(&self) -> Option<u64> {
        todo!()
    }

    /// Bytes that may be read now.
    pub fn watermark(&self) -> u64 {
        todo!()
    }

    /// Whether it is verified and whole. A sealed reader never waits and never fails.
    pub fn is_sealed(&self) -> bool {
        todo!()
    }

    /// Known for sealed objects (SHA-256 may be missing until a scrub of an adopted file).
    pub fn digests(&self) -> Option<Digests> {
        todo!()
    }

    /// Waits until bytes beyond `position` may be read, and answers the watermark; equal to `position` only at the end of the object.
    /// Woken by progress. Dropping the future loses nothing.
    pub async fn readable(&self, _position: u64) -> Result<u64, ReadError> {
        todo!()
    }

    /// Waits until the object is sealed or has failed.
    pub async fn sealed(&self) -> Result<Digests, ReadError> {
        todo!()
    }

    /// The open file. It is never written below the watermark, never truncated, never renamed over: safe for `sendfile`.
    pub fn file(&self) -> &Arc<File> {
        todo!()
    }

    /// The disk engine, to read ahead with.
    pub fn engine(&self) -> &os::engine::Engine {
        todo!()
    }
}
