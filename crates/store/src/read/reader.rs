//! Reading an object: sealed or still growing, the same way. A sealed object is one whose watermark stands at its end.

use std::{fs::File, sync::Arc, time::Duration};

use bytes::Bytes;
use protocol::{digest::Digests, span::Span};

use crate::read::{
    growing::{Growing, ReadError},
    sealed::Sealed,
};

/// A place to read an object from. Clones share the file; as long as one lives, the bytes stay readable, evicted or not.
#[derive(Clone)]
pub struct Reader(Kind);

#[derive(Clone)]
enum Kind {
    Sealed(Arc<Sealed>),
    Growing(Arc<Growing>),
}

impl Reader {
    pub(crate) fn of(sealed: Arc<Sealed>) -> Self {
        Self(Kind::Sealed(sealed))
    }

    pub(crate) fn following(growing: Arc<Growing>) -> Self {
        Self(Kind::Growing(growing))
    }

    /// Complete length; `None` while it is not known.
    #[expect(clippy::len_without_is_empty, reason = "an unknown length is neither empty nor not")]
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.len),
            Kind::Growing(growing) => growing.len(),
        }
    }

    /// Bytes that may be read now from the first on.
    pub fn watermark(&self) -> u64 {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.len,
            Kind::Growing(growing) => growing.watermark(),
        }
    }

    /// Bytes that are here and may be read, also those beyond the [watermark](Self::watermark) that came before their turn.
    pub fn fetched(&self) -> u64 {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.len,
            Kind::Growing(growing) => growing.watermark() + growing.ahead().bytes(),
        }
    }

    /// What can be read now without waiting: runs of bytes in order, no two of which touch; at most one more than [`EXTENTS_MAX`](crate::EXTENTS_MAX).
    pub fn here(&self) -> Vec<Span> {
        match &self.0 {
            Kind::Sealed(sealed) => {
                Some(Span::new(0, sealed.len)).filter(|span| !span.is_empty()).into_iter().collect()
            }
            Kind::Growing(growing) => growing.here(),
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

    /// Waits until the byte at `position` may be read, and answers up to where those that follow may be; equal to `position` only at the end of
    /// the object. Woken by progress. Dropping the future loses nothing.
    pub async fn readable(&self, position: u64) -> Result<u64, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.len.max(position)),
            Kind::Growing(growing) => growing.readable(Span::new(position, position.saturating_add(1))).await,
        }
    }

    /// Likewise for the first byte of a span, by somebody who will want the others too: if it is far ahead of the watermark, it may come first.
    pub async fn readable_of(&self, wanted: Span) -> Result<u64, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.len.max(wanted.start)),
            Kind::Growing(growing) => growing.readable(wanted).await,
        }
    }

    /// Waits until the object is sealed or has failed.
    pub async fn sealed(&self) -> Result<Digests, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.digests),
            Kind::Growing(growing) => growing.sealed().await,
        }
    }

    /// The open file. It is never written where it may be read, never truncated there, never renamed over: safe for `sendfile`.
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
            Kind::Sealed(sealed) => sealed.was_in_page_cache(now),
            Kind::Growing(_) => false,
        }
    }

    /// The whole object was seen in the page cache.
    pub fn seen_in_page_cache(&self, now: Duration) {
        if let Kind::Sealed(sealed) = &self.0 {
            sealed.seen_in_page_cache(now);
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
