//! What a fill and those who follow it share: a watermark that only rises, and an end that is set once.
//!
//! | state | `body` | `end` | who moves it on |
//! | --- | --- | --- | --- |
//! | not begun | unset | unset | `Vacancy::begin` |
//! | growing | set | unset | the writer, batch by batch |
//! | sealed | set | digests | `Fill::verify` |
//! | failed | either | why | whoever gives up |

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use protocol::digest::Digests;
use tokio::sync::Notify;

use crate::{disk::Disk, read::body::Body, wait::until};

/// A length that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// Progress of one fill.
pub(crate) struct Growing {
    body: OnceLock<Arc<Body>>,
    len: AtomicU64,
    watermark: AtomicU64,
    end: OnceLock<Result<Digests, ReadError>>,
    moved: Notify,
    disk: Arc<dyn Disk>,
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
    #[error("what came has not the digest or the length that was announced; ask again")]
    Rejected,
}

impl Growing {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Arc<Self> {
        Arc::new(Self {
            disk,
            body: OnceLock::new(),
            len: AtomicU64::new(UNKNOWN),
            watermark: AtomicU64::new(0),
            end: OnceLock::new(),
            moved: Notify::new(),
        })
    }

    /// The fill has begun.
    pub(crate) fn begin(&self, body: Arc<Body>, len: Option<u64>) {
        if let Some(len) = len {
            self.len.store(len, Ordering::Release);
        }
        let fresh = self.body.set(body).is_ok();
        debug_assert!(fresh, "a fill begins once");
        self.moved.notify_waiters();
    }

    pub(crate) fn engine(&self) -> &os::engine::Engine {
        self.disk.engine()
    }

    pub(crate) fn body(&self) -> Option<&Arc<Body>> {
        self.body.get()
    }

    pub(crate) fn len(&self) -> Option<u64> {
        Some(self.len.load(Ordering::Acquire)).filter(|len| *len != UNKNOWN)
    }

    pub(crate) fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> Option<&Result<Digests, ReadError>> {
        self.end.get()
    }

    /// Raises the watermark and wakes who waits.
    pub(crate) fn advance(&self, watermark: u64) {
        if self.watermark.fetch_max(watermark, Ordering::AcqRel) < watermark {
            self.moved.notify_waiters();
        }
    }

    /// All bytes are there and right.
    pub(crate) fn seal(&self, len: u64, digests: Digests) {
        self.len.store(len, Ordering::Release);
        self.watermark.fetch_max(len, Ordering::AcqRel);
        let _ = self.end.set(Ok(digests));
        self.moved.notify_waiters();
    }

    /// It will not grow any more. Says nothing to a sealed one.
    pub(crate) fn fail(&self, error: ReadError) {
        let _ = self.end.set(Err(error));
        self.moved.notify_waiters();
    }

    /// The watermark, as soon as it is beyond `position` or will move no more.
    pub(crate) async fn readable(&self, position: u64) -> Result<u64, ReadError> {
        until(&self.moved, || {
            // The end is read before the watermark: who sees it sealed sees the watermark at the end as well.
            let end = self.end.get();
            let watermark = self.watermark();
            match end {
                _ if watermark > position => Some(Ok(watermark)),
                Some(Ok(_)) => Some(Ok(position)),
                Some(Err(error)) => Some(Err(error.clone())),
                None => None,
            }
        })
        .await
    }

    /// The digests, as soon as all is there.
    pub(crate) async fn sealed(&self) -> Result<Digests, ReadError> {
        until(&self.moved, || self.end.get().cloned()).await
    }
}
