//! Reading an object: sealed or still growing, the same way. A sealed object is one whose watermark stands at its end.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use protocol::digest::{Digests, Md5};

use crate::{body::Body, growing::Growing, hot::HotBody};

/// What was in memory a moment ago is taken to be there still, for so long: what is asked for more often is the last that the kernel drops.
const SEEN_MAX: Duration = Duration::from_secs(1);

/// A sealed object with its file open. One is kept per hot object, so that a hit is the clone of an `Arc`.
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
}

/// A place to read an object from. Clones share the file; as long as one lives, the bytes stay readable, evicted or not.
#[derive(Clone)]
pub struct Reader(Kind);

#[derive(Clone)]
enum Kind {
    Sealed(Arc<Sealed>),
    Growing(Arc<Growing>),
}

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
    pub(crate) fn of(sealed: Arc<Sealed>) -> Self {
        Self(Kind::Sealed(sealed))
    }

    pub(crate) fn following(growing: Arc<Growing>) -> Self {
        Self(Kind::Growing(growing))
    }

    /// Complete length; `None` while it is not known.
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.len),
            Kind::Growing(growing) => growing.len(),
        }
    }

    /// Whether the object is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Bytes that may be read now.
    pub fn watermark(&self) -> u64 {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.len,
            Kind::Growing(growing) => growing.watermark(),
        }
    }

    /// Whether it is verified and whole. A sealed reader never waits and never fails.
    pub fn is_sealed(&self) -> bool {
        match &self.0 {
            Kind::Sealed(_) => true,
            Kind::Growing(growing) => matches!(growing.end(), Some(Ok(_))),
        }
    }

    /// Why it will not grow any more, if it has failed.
    pub fn failure(&self) -> Option<ReadError> {
        match &self.0 {
            Kind::Sealed(_) => None,
            Kind::Growing(growing) => growing.end()?.as_ref().err().cloned(),
        }
    }

    /// Known for sealed objects.
    pub fn digests(&self) -> Option<Digests> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.digests),
            Kind::Growing(growing) => growing.end()?.as_ref().ok().copied(),
        }
    }

    /// The digest that names the object, known for sealed ones.
    pub fn md5(&self) -> Option<Md5> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.digests.md5),
            Kind::Growing(_) => self.digests().map(|digests| digests.md5),
        }
    }

    /// Waits until bytes beyond `position` may be read, and answers the watermark; equal to `position` only at the end of the object.
    /// Woken by progress. Dropping the future loses nothing.
    pub async fn readable(&self, position: u64) -> Result<u64, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.len.max(position)),
            Kind::Growing(growing) => growing.readable(position).await,
        }
    }

    /// Waits until the object is sealed or has failed.
    pub async fn sealed(&self) -> Result<Digests, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.digests),
            Kind::Growing(growing) => growing.sealed().await,
        }
    }

    /// The open file. It is never written below the watermark, never truncated, never renamed over: safe for `sendfile`.
    ///
    /// # Panics
    /// Before the fill has begun: ask [`Reader::readable`] first.
    pub fn file(&self) -> &Arc<File> {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.body.file(),
            Kind::Growing(growing) => {
                growing.body().expect("readable() was asked before, so the fill has begun").file()
            }
        }
    }

    /// All bytes of a small object that is asked for often. Once they are there they stay as long as this reader.
    pub fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.hot.get(sealed.body.file(), sealed.len),
            Kind::Growing(_) => None,
        }
    }

    /// Whether somebody saw the whole object in the page cache a moment before `now`, so that nobody needs to look again. All who send
    /// count the time from the same start.
    pub fn was_in_page_cache(&self, now: Duration) -> bool {
        match &self.0 {
            Kind::Sealed(sealed) => match sealed.seen.load(Relaxed).checked_sub(1) {
                Some(seen) => now.saturating_sub(Duration::from_millis(seen)) < SEEN_MAX,
                None => false,
            },
            Kind::Growing(_) => false,
        }
    }

    /// The whole object was seen in the page cache.
    pub fn seen_in_page_cache(&self, now: Duration) {
        if let Kind::Sealed(sealed) = &self.0 {
            sealed.seen.store(now.as_millis() as u64 + 1, Relaxed);
        }
    }

    /// The disk engine, to read ahead with.
    pub fn engine(&self) -> &os::engine::Engine {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.body.engine(),
            Kind::Growing(growing) => growing.engine(),
        }
    }
}
