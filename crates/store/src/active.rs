//! A fill from its beginning to its end: the part file, the room, the pipeline and the slot, held together.
//!
//! | from | by | to |
//! | --- | --- | --- |
//! | vacancy | [`Active::begin`] | running |
//! | running | [`Active::verify`], all right | verified: readers have everything, the slot says so |
//! | running | verify, not right | rejected: part in quarantine, readers fail |
//! | running | [`Active::end`] | suspended (a part that can be continued) or discarded |
//! | verified | `commit` | sealed: in the index; or a duplicate: dropped |
//! | verified | [`Active::drop_verified`] | dropped; who reads it keeps it |
//!
//! Each arrow is taken once: [`Stage`] decides, whoever comes second does nothing. The slot is always given free before the
//! readers are told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::digest::{Digests, Md5};

use crate::{
    fill_error::FillError,
    fill_spec::FillSpec,
    growing::{Growing, ReadError},
    pipe::Pipe,
    shared::Shared,
    space::{Account, Reservation, Short, on_disk},
};

/// Room kept for the directories that an object may need, and the file that describes its part.
pub(crate) const SLACK: u64 = 3 * 4096;
/// Steps in which room is reserved while the length is unknown.
const STEP_MIN: u64 = 1 << 20;
const STEP_MAX: u64 = 64 << 20;
/// A part smaller than this is sooner fetched again than continued.
const PART_MIN: u64 = 64 << 10;
/// A fill is made continuable every so many bytes, or every so often if so many bytes came.
const CHECKPOINT_BYTES: u64 = 64 << 20;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);
const CHECKPOINT_MIN: u64 = 1 << 20;

/// How a fill stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The part is kept if it is worth it.
    Suspend,
    /// The part is removed.
    Discard,
    /// The part goes to quarantine.
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Verified,
    Suspended,
    Over,
}

/// One fill.
pub(crate) struct Active {
    pub(crate) store: Arc<Shared>,
    pub(crate) pipe: Arc<Pipe>,
    /// The part file's number.
    pub(crate) id: u64,
    pub(crate) spec: FillSpec,
    slot: Option<Md5>,
    stage: Mutex<Stage>,
    checkpoint: Mutex<Checkpoint>,
    /// The position in the file beside the part; 0 if there is none. Held while that file is written.
    pub(crate) described: tokio::sync::Mutex<u64>,
}

/// When the next checkpoint is due.
struct Checkpoint {
    position: u64,
    at: Instant,
    running: bool,
}

impl Active {
    /// Reserves room, makes or takes up the part, and tells the followers.
    pub(crate) async fn begin(
        store: &Arc<Shared>,
        slot: Option<Md5>,
        growing: Arc<Growing>,
        spec: FillSpec,
    ) -> Result<Arc<Self>, FillError> {
        if store.is_closed() {
            return Err(FillError::closed());
        }
        let (id, body, reservation, hasher) = match store.earlier_part(&spec).await? {
            Some(taken) => taken,
            None => store.fresh_part(spec.len).await?,
        };
        let pipe = Pipe::new(store, body.clone(), growing.clone(), spec.len, reservation, hasher);
        let checkpoint = Checkpoint { position: pipe.pushed(), at: Instant::now(), running: false };
        let active = Arc::new(Self {
            store: store.clone(),
            pipe,
            id,
            spec,
            slot,
            stage: Mutex::new(Stage::Running),
            described: tokio::sync::Mutex::new(checkpoint.position),
            checkpoint: Mutex::new(checkpoint),
        });
        growing.begin(body, active.spec.len);
        growing.advance(active.pipe.released());
        store.register(&active);
        Ok(active)
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.stage.lock() == Stage::Running
    }

    pub(crate) fn is_suspended(&self) -> bool {
        *self.stage.lock() == Stage::Suspended
    }

    /// Takes the arrow out of `from`, unless somebody took one before.
    fn leave(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock();
        let mine = *stage == from;
        if mine {
            *stage = to;
        }
        mine
    }

    /// Waits until `more` bytes may be pushed.
    pub(crate) async fn prepare(self: &Arc<Self>, more: u64) -> Result<(), FillError> {
        if !self.is_running() {
            return Err(FillError::closed());
        }
        let after = self.pipe.pushed() + more;
        match self.spec.len {
            Some(expected) if after > expected => {
                self.end(End::Reject, "more bytes came than were announced");
                return Err(FillError::Length { expected, found: after });
            }
            Some(_) => {}
            None => self.grow(after).await?,
        }
        self.pipe.until_room(more).await
    }

    /// Reserves in growing steps while the length is unknown; in a small one if there is no room for a large one.
    async fn grow(&self, len: u64) -> Result<(), FillError> {
        let needed = on_disk(len) + SLACK;
        let reserved = self.pipe.reservation.lock().as_ref().map_or(0, Reservation::bytes);
        if needed <= reserved {
            return Ok(());
        }
        let step = reserved.clamp(STEP_MIN, STEP_MAX).max(needed - reserved);
        if self.try_grow(step).is_ok() {
            return Ok(());
        }
        let missing = needed - reserved;
        self.store.with_room(missing, needed, || self.try_grow(missing)).await
    }

    fn try_grow(&self, bytes: u64) -> Result<(), Short> {
        match &mut *self.pipe.reservation.lock() {
            Some(reservation) => reservation.grow(bytes),
            None => Ok(()),
        }
    }

    /// Waits for writes and hashes and judges what came.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        check: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Digests, FillError> {
        self.pipe.until_settled().await?;
        let found = self.pipe.pushed();
        if let Some(expected) = self.spec.len.filter(|expected| *expected != found) {
            self.end(End::Reject, "the length is wrong");
            return Err(FillError::Length { expected, found });
        }
        let digests = self.pipe.digests();
        if self.spec.claims.refuted_by(&digests) {
            self.end(End::Reject, "the digest is wrong");
            return Err(self.refuted(&digests));
        }
        if self.store.io.blocking(check).await != Some(true) {
            self.end_rejected(End::Discard);
            return Err(FillError::Changed);
        }
        if !self.leave(Stage::Running, Stage::Verified) {
            return Err(FillError::closed());
        }
        self.store.claim(&digests.md5, &self.pipe.growing);
        if let Some(slot) = self.slot.filter(|slot| *slot != digests.md5) {
            self.store.vacate(&slot, &self.pipe.growing);
        }
        self.pipe.growing.seal(found, digests);
        Ok(digests)
    }

    fn refuted(&self, found: &Digests) -> FillError {
        match self.spec.claims.md5 {
            Some(md5) if md5 != found.md5 => {
                FillError::Digest { claimed: format!("{md5:?}"), found: format!("{:?}", found.md5) }
            }
            _ => FillError::Digest {
                claimed: self.spec.claims.sha256.map_or_else(String::new, |sha256| format!("{sha256:?}")),
                found: format!("{:?}", found.sha256),
            },
        }
    }

    /// Ends a running fill.
    pub(crate) fn end(self: &Arc<Self>, end: End, reason: &str) {
        match end {
            End::Reject => self.end_rejected(end),
            End::Suspend | End::Discard => self.finish(end, ReadError::Abandoned { reason: reason.into() }),
        }
    }

    fn end_rejected(self: &Arc<Self>, end: End) {
        self.finish(end, ReadError::Rejected);
    }

    fn finish(self: &Arc<Self>, end: End, error: ReadError) {
        let keep = end == End::Suspend && self.is_worth_keeping();
        if !self.leave(Stage::Running, if keep { Stage::Suspended } else { Stage::Over }) {
            return;
        }
        if error == ReadError::Rejected {
            self.store.counters.rejections.add(1);
        }
        // What can be continued is known before anybody is told: who comes at once finds it.
        if keep {
            self.store.suspend(self);
        }
        if let Some(slot) = self.slot {
            self.store.vacate(&slot, &self.pipe.growing);
        }
        self.pipe.growing.fail(error);
        match end {
            _ if keep => {}
            End::Reject => self.remove_part(true),
            End::Suspend | End::Discard => self.remove_part(false),
        }
    }

    fn is_worth_keeping(&self) -> bool {
        !self.spec.source.is_empty() && self.pipe.pushed() >= PART_MIN && self.pipe.check().is_ok()
    }

    /// Takes the part's name, or moves it to quarantine, in the background.
    pub(crate) fn remove_part(self: &Arc<Self>, quarantine: bool) {
        self.pipe.stop();
        let active = self.clone();
        self.store.io.spawn(async move {
            active.forget_description().await;
            let store = active.store.clone();
            let disposing = move || {
                // Gone after a failed commit: then the file has been dealt with as an object.
                if let Some(reservation) = active.pipe.reservation.lock().take() {
                    active.dispose(reservation, quarantine);
                }
                active.store.unregister(active.id);
            };
            store.io.blocking(disposing).await;
        });
    }

    fn dispose(&self, reservation: Reservation, quarantine: bool) {
        if let Some(bytes) = quarantine.then(|| self.quarantine()).flatten() {
            reservation.settle(Account::Quarantine, bytes);
            return;
        }
        self.store.unlink_part(self.id);
        let bytes = reservation.bytes();
        reservation.settle(Account::Unlinked, bytes);
        self.pipe.body.unlinked(bytes);
    }

    /// Moves the part to quarantine, cut to what was written of it; the bytes it occupies there.
    fn quarantine(&self) -> Option<u64> {
        let (store, len) = (&self.store, self.pipe.written());
        store.disk.truncate(self.pipe.body.file(), len).ok()?;
        store.quarantine.take_in(self.id, &store.layout.part(self.id), &self.suspect(), len)
    }

    /// Removes the file beside the part, if there is one: it is none any more. A checkpoint being written is waited for, and not on one
    /// of the few threads that may block, for it needs one itself.
    pub(crate) async fn forget_description(&self) {
        if *self.described.lock().await > 0 {
            let (store, id) = (self.store.clone(), self.id);
            self.store.io.blocking(move || store.parts.forget_state(id)).await;
        }
    }

    /// The name under which a rejected part is kept: what it was claimed to be, else what was hashed of it.
    fn suspect(&self) -> Md5 {
        self.spec.claims.md5.unwrap_or_else(|| self.pipe.hashing.md5())
    }

    /// Verified, but not to be kept.
    pub(crate) fn drop_verified(self: &Arc<Self>, md5: Md5) {
        if self.leave(Stage::Verified, Stage::Over) {
            self.store.vacate(&md5, &self.pipe.growing);
            self.remove_part(false);
        }
    }

    /// The commit takes over from here: a drop does nothing any more.
    pub(crate) fn begin_commit(&self) -> bool {
        self.leave(Stage::Verified, Stage::Over)
    }

    /// The commit failed or was not needed.
    pub(crate) fn drop_committing(self: &Arc<Self>, md5: &Md5) {
        self.store.vacate(md5, &self.pipe.growing);
        self.remove_part(false);
    }

    /// Makes the fill continuable from where it is, if it is time to.
    pub(crate) fn checkpoint_if_due(self: &Arc<Self>) {
        if self.spec.source.is_empty() {
            return;
        }
        let pushed = self.pipe.pushed();
        let mut checkpoint = self.checkpoint.lock();
        let new = pushed - checkpoint.position;
        let due = new >= CHECKPOINT_BYTES || (new >= CHECKPOINT_MIN && checkpoint.at.elapsed() >= CHECKPOINT_AFTER);
        if !due || checkpoint.running {
            return;
        }
        *checkpoint = Checkpoint { position: pushed, at: Instant::now(), running: true };
        drop(checkpoint);
        self.pipe.mark();
        let active = self.clone();
        self.store.io.spawn(async move {
            active.store.checkpoint(&active, pushed).await;
            active.checkpoint.lock().running = false;
        });
    }
}
