//! Reading an object: sealed or still growing, the same way. A sealed object is one whose watermark stands at its end.

use std::{fs::File, sync::Arc, time::Duration};

use bytes::Bytes;
use protocol::{
    digest::{Digests, Sha256},
    span::Span,
};

use crate::read::{
    expected::Expected,
    growing::{Growing, ReadError},
    sealed::Sealed,
};

/// A place to read an object from. Clones share the file; as long as one lives, the bytes stay readable, evicted or not.
#[derive(Clone)]
pub struct Reader(Kind);

#[derive(Clone)]
enum Kind {
    Sealed(Arc<Sealed>),
    Growing(Arc<Growing>, Option<Arc<Expected>>),
}

impl Reader {
    pub(crate) fn of(sealed: Arc<Sealed>) -> Self {
        Self(Kind::Sealed(sealed))
    }

    pub(crate) fn following(growing: Arc<Growing>) -> Self {
        Self(Kind::Growing(growing, None))
    }

    /// The same for somebody who knows what a span must be. That is readable to him as soon as it is written and has this digest, also where it is
    /// withheld until all is verified; of a span of more than 32 MiB, or with another digest, it is not.
    #[must_use]
    pub fn expecting(&self, span: Span, sha256: Sha256) -> Self {
        match &self.0 {
            Kind::Sealed(_) => self.clone(),
            Kind::Growing(growing, _) => {
                Self(Kind::Growing(growing.clone(), Expected::new(span, sha256).map(Arc::new)))
            }
        }
    }

    /// Complete length; `None` while it is not known.
    #[expect(clippy::len_without_is_empty, reason = "an unknown length is neither empty nor not")]
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.len),
            Kind::Growing(growing, _) => growing.len(),
        }
    }

    /// Bytes that may be read now from the first on.
    pub fn watermark(&self) -> u64 {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.len,
            Kind::Growing(growing, _) => growing.watermark(),
        }
    }

    /// Bytes that are here and may be read, also those beyond the [watermark](Self::watermark) that came before their turn.
    pub fn fetched(&self) -> u64 {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.len,
            Kind::Growing(growing, _) => growing.watermark() + growing.ahead().bytes(),
        }
    }

    /// What can be read now without waiting: runs of bytes in order, no two of which touch; at most one more than [`EXTENTS_MAX`](crate::EXTENTS_MAX).
    pub fn here(&self) -> Vec<Span> {
        match &self.0 {
            Kind::Sealed(sealed) => {
                Some(Span::new(0, sealed.len)).filter(|span| !span.is_empty()).into_iter().collect()
            }
            Kind::Growing(growing, _) => growing.here(),
        }
    }

    /// What is in the file, as [`Reader::here`] has it, with what nobody may read yet who [expects](Reader::expecting) nothing of it.
    pub fn written(&self) -> Vec<Span> {
        match &self.0 {
            Kind::Sealed(_) => self.here(),
            Kind::Growing(growing, _) => growing.written(),
        }
    }

    /// Whether it is verified and whole. A sealed reader never waits and never fails.
    pub fn is_sealed(&self) -> bool {
        match &self.0 {
            Kind::Sealed(_) => true,
            Kind::Growing(growing, _) => matches!(growing.end(), Some(Ok(_))),
        }
    }

    /// Why it will not grow any more, if it has failed.
    pub fn failure(&self) -> Option<ReadError> {
        match &self.0 {
            Kind::Sealed(_) => None,
            Kind::Growing(growing, _) => growing.end()?.as_ref().err().cloned(),
        }
    }

    /// Known for sealed objects.
    pub fn digests(&self) -> Option<Digests> {
        match &self.0 {
            Kind::Sealed(sealed) => Some(sealed.digests),
            Kind::Growing(growing, _) => growing.end()?.as_ref().ok().copied(),
        }
    }

    /// Waits until the byte at `position` may be read, and answers up to where those that follow may be; equal to `position` only at the end of
    /// the object. Woken by progress. Dropping the future loses nothing.
    pub async fn readable(&self, position: u64) -> Result<u64, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.len.max(position)),
            Kind::Growing(..) => self.readable_of(Span::new(position, position.saturating_add(1))).await,
        }
    }

    /// Likewise for the first byte of a span, by somebody who will want the others too: if it is far ahead of the watermark, it may come first.
    pub async fn readable_of(&self, wanted: Span) -> Result<u64, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.len.max(wanted.start)),
            Kind::Growing(growing, None) => growing.readable(wanted).await,
            Kind::Growing(growing, Some(expected)) => expected.readable(growing, wanted).await,
        }
    }

    /// Waits until the object is sealed or has failed.
    pub async fn sealed(&self) -> Result<Digests, ReadError> {
        match &self.0 {
            Kind::Sealed(sealed) => Ok(sealed.digests),
            Kind::Growing(growing, _) => growing.sealed().await,
        }
    }

    /// The open file. It is never written where it may be read, never truncated there, never renamed over: safe for `sendfile`.
    ///
    /// # Panics
    /// Before the fill has begun: ask [`Reader::readable`] first.
    pub fn file(&self) -> &Arc<File> {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.body.file(),
            Kind::Growing(growing, _) => {
                growing.body().expect("readable() was asked before, so the fill has begun").file()
            }
        }
    }

    /// All bytes of a small object that is asked for often. Once they are there they stay as long as this reader.
    pub fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.hot.get(sealed.body.file(), sealed.len),
            Kind::Growing(..) => None,
        }
    }

    /// Whether somebody saw the whole object in the page cache a moment before `now`, so that nobody needs to look again. All who send
    /// count the time from the same start.
    pub fn was_in_page_cache(&self, now: Duration) -> bool {
        match &self.0 {
            Kind::Sealed(sealed) => sealed.was_in_page_cache(now),
            Kind::Growing(..) => false,
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
            Kind::Growing(growing, _) => growing.engine(),
        }
    }
}
