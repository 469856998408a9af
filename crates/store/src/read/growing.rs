//! What a fill and those who follow it share: a watermark that only rises, the runs of bytes that came before their turn, and an end that is set
//! once.
//!
//! | state | `body` | `end` | who moves it on |
//! | --- | --- | --- | --- |
//! | not begun | unset | unset | `Vacancy::begin` |
//! | growing | set | unset | the writer, batch by batch |
//! | sealed | set | digests | `Fill::verify` |
//! | failed | either | why | whoever gives up |

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use protocol::{
    digest::{Digests, Sha256},
    span::Span,
};
use tokio::sync::Notify;

use crate::{
    disk::Disk,
    part::{extents::Extents, lane::Lanes},
    read::{body::Body, proofs::Proofs, wishes::Wishes},
    wait::until,
};

/// A length that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// Progress of one fill.
pub(crate) struct Growing {
    body: OnceLock<Arc<Body>>,
    len: AtomicU64,
    /// Everything before it is written.
    front: AtomicU64,
    /// Everything before it may be read.
    watermark: AtomicU64,
    /// From here on nothing that came ahead is read before all is verified.
    readable_max: AtomicU64,
    /// What is written beyond the front. Looked at only where there is something.
    ahead: Mutex<Extents>,
    is_ahead: AtomicBool,
    pub(crate) wishes: Wishes,
    end: OnceLock<Result<Digests, ReadError>>,
    moved: Notify,
    proofs: Proofs,
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
    pub(crate) fn new(disk: Arc<dyn Disk>, lanes: Arc<Lanes>) -> Arc<Self> {
        Arc::new(Self {
            disk,
            proofs: Proofs::new(lanes),
            body: OnceLock::new(),
            len: AtomicU64::new(UNKNOWN),
            front: AtomicU64::new(0),
            watermark: AtomicU64::new(0),
            readable_max: AtomicU64::new(0),
            ahead: Mutex::default(),
            is_ahead: AtomicBool::new(false),
            wishes: Wishes::default(),
            end: OnceLock::new(),
            moved: Notify::new(),
        })
    }

    /// Before it begins: bytes beyond the front may be read as they come, but for those from `readable_max` on, and these are here from before.
    pub(crate) fn allow_ahead(&self, readable_max: u64, ahead: Extents) {
        self.readable_max.store(readable_max, Ordering::Release);
        self.is_ahead.store(!ahead.is_empty(), Ordering::Release);
        *self.ahead.lock() = ahead;
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

    /// Everything before `front` is written, and before `watermark` may be read: wakes who waits for that.
    pub(crate) fn advance(&self, front: u64, watermark: u64) {
        let has_moved = self.front.fetch_max(front, Ordering::AcqRel) < front;
        if self.watermark.fetch_max(watermark, Ordering::AcqRel) < watermark || has_moved {
            self.moved.notify_waiters();
        }
    }

    /// A span beyond the front is written.
    pub(crate) fn came_ahead(&self, span: Span) {
        let noted = self.ahead.lock().insert(span);
        debug_assert!(noted, "as many runs are written as were taken, or fewer");
        self.is_ahead.store(true, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// The front is written up to `front`: how far it comes with the runs that it has reached. They are still to be [forgotten](Self::forget_ahead).
    pub(crate) fn reach(&self, front: u64) -> u64 {
        if self.is_ahead.load(Ordering::Acquire) { self.ahead.lock().covered_from(front) } else { front }
    }

    /// The watermark stands at the runs' ends now, so nobody looks for them.
    pub(crate) fn forget_ahead(&self, front: u64) {
        if self.is_ahead.load(Ordering::Acquire) {
            let mut ahead = self.ahead.lock();
            ahead.reach(front);
            self.is_ahead.store(!ahead.is_empty(), Ordering::Release);
        }
    }

    /// What is written beyond the front.
    pub(crate) fn ahead(&self) -> Extents {
        if self.is_ahead.load(Ordering::Acquire) { self.ahead.lock().clone() } else { Extents::default() }
    }

    /// What can be read now. The runs ahead are looked at first: what the front reaches meanwhile is seen twice, and not missed.
    pub(crate) fn here(&self) -> Vec<Span> {
        self.ahead_unless_failed()
            .unwrap_or_default()
            .behind(self.watermark(), self.readable_max.load(Ordering::Acquire))
    }

    /// What is written, also of that which nobody may read yet.
    pub(crate) fn written(&self) -> Vec<Span> {
        let Some(ahead) = self.ahead_unless_failed() else { return self.here() };
        ahead.behind(self.front.load(Ordering::Acquire).max(self.watermark()), u64::MAX)
    }

    /// `None`: what came ahead is not read any more.
    fn ahead_unless_failed(&self) -> Option<Extents> {
        if self.end.get().is_some_and(Result::is_err) { None } else { Some(self.ahead()) }
    }

    /// Whether all of a span is written. The runs are looked at first, as above.
    fn is_written(&self, span: Span) -> bool {
        let is_ahead = self.is_ahead.load(Ordering::Acquire) && self.ahead.lock().covered_from(span.start) >= span.end;
        is_ahead || self.front.load(Ordering::Acquire) >= span.end
    }

    /// The digest of a span that is written; `None` if it cannot be read.
    pub(crate) async fn sha256(&self, span: Span) -> Option<Sha256> {
        self.proofs.sha256(&*self.disk, self.body.get()?.file(), span).await
    }

    /// Up to where a run beyond the front can be read from `position`; `position` itself if not at all.
    fn readable_ahead(&self, position: u64) -> u64 {
        if !self.is_ahead.load(Ordering::Acquire) {
            return position;
        }
        self.ahead.lock().covered_from(position).min(self.readable_max.load(Ordering::Acquire)).max(position)
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

    /// Up to where bytes from the start of the span on may be read, as soon as there are any or will be no more.
    pub(crate) async fn readable(&self, wanted: Span) -> Result<u64, ReadError> {
        let position = wanted.start;
        if let Some(found) = self.look(position) {
            return found;
        }
        let _wait = self.wishes.wait(wanted, self.watermark(), self.readable_max.load(Ordering::Acquire));
        until(&self.moved, || self.look(position)).await
    }

    /// Likewise, for somebody to whom it is of use that a span is written, whether or not it may be read: `None` as soon as all of it is.
    pub(crate) async fn readable_or_written(&self, wanted: Span, span: Span) -> Result<Option<u64>, ReadError> {
        let look = || match self.look(wanted.start) {
            Some(found) => Some(found.map(Some)),
            None => self.is_written(span).then_some(Ok(None)),
        };
        if let Some(found) = look() {
            return found;
        }
        let useful_max = self.readable_max.load(Ordering::Acquire).max(span.end);
        let _wait = self.wishes.wait(wanted, self.watermark(), useful_max);
        until(&self.moved, look).await
    }

    fn look(&self, position: u64) -> Option<Result<u64, ReadError>> {
        // The end is read before the watermark: who sees it sealed sees the watermark at the end as well.
        let end = self.end.get();
        let watermark = self.watermark();
        if watermark > position {
            return Some(Ok(watermark));
        }
        match end {
            Some(Ok(_)) => Some(Ok(position)),
            Some(Err(error)) => Some(Err(error.clone())),
            None => Some(self.readable_ahead(position)).filter(|readable| *readable > position).map(Ok),
        }
    }

    /// The digests, as soon as all is there.
    pub(crate) async fn sealed(&self) -> Result<Digests, ReadError> {
        until(&self.moved, || self.end.get().cloned()).await
    }
}
