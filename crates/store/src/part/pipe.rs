//! The pipeline of one fill: what is pushed goes to the file and to the hashing at the same time.
//!
//! ```text
//! push --+-> queue of writes -> one write at a time, adjacent pieces in one -> watermark -> followers
//!        +-> actor of both hashes -> a lane
//! ```
//! The watermark follows the writes alone; the hashes only have to be done before the tail is released. Who takes the writes out of
//! the queue and does them is told by [`Pipe::push`] to begin.
//!
//! Bytes are pushed at the *front*, or ahead of it: then they are written only. When the front reaches such a run it jumps over it, and the
//! hashing falls *behind*: from there on it reads from the file what is written, until it has caught up.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{
    digest::{Digests, DigestsHasher, Md5},
    span::Span,
};
use tokio::sync::Notify;

use crate::{
    options::Options,
    part::{
        error::FillError,
        extents::Extents,
        lane::{Actor, Lanes},
    },
    read::{body::Body, growing::Growing},
    space::ledger::Reservation,
    wait::until,
};

/// Most bytes and pieces in one write: large enough that a write costs little, small enough that followers are woken often.
const WRITE_MAX: usize = 2 << 20;
const PIECES_MAX: usize = 256;
/// Fills of at most so many bytes are hashed where they are pushed: less than waking a lane costs.
const HASH_HERE_MAX: u64 = 16 << 10;
/// One read of what the hashing catches up with, and how many bytes it may have been given and not hashed yet.
const READ_BACK: u64 = 1 << 20;
const READ_BACK_IN_FLIGHT: u64 = 4 << 20;

/// The pipeline.
pub(crate) struct Pipe {
    pub(crate) body: Arc<Body>,
    pub(crate) growing: Arc<Growing>,
    pub(crate) hashing: Arc<Actor>,
    pub(crate) reservation: Mutex<Option<Reservation>>,
    len: Option<u64>,
    /// Of the store's options.
    withheld_tail: u64,
    fill_buffer_max: u64,
    lanes: Arc<Lanes>,
    /// The front: all bytes before it were taken.
    pushed: AtomicU64,
    /// All bytes before it are written.
    written: AtomicU64,
    /// Given to the hashing: as far as the front unless it is behind.
    fed: AtomicU64,
    /// Taken, wherever, and not written yet.
    queued: AtomicU64,
    writes: Mutex<Writes>,
    broken: Mutex<Option<Broken>>,
    moved: Arc<Notify>,
}

struct Writes {
    pieces: VecDeque<Piece>,
    running: bool,
    /// What was taken ahead of the front.
    ahead: Extents,
    /// The hashing catches up with the front and is given nothing else meanwhile.
    is_behind: bool,
    is_stopped: bool,
}

struct Piece {
    offset: u64,
    bytes: Bytes,
}

/// What somebody has to begin after a push.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Writing what is queued.
    pub(crate) writing: bool,
    /// Reading back what the front jumped over.
    pub(crate) reading_back: bool,
}

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    NoRoom { needed: u64 },
    Write(io::ErrorKind, Option<i32>),
    ReadBack(io::ErrorKind, Option<i32>),
}

/// What is to be written at once: at which byte, the pieces, and how many bytes they are.
pub(crate) struct Batch {
    pub(crate) offset: u64,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) bytes: u64,
}

/// A part that a fill can go on with.
pub(crate) struct OpenPart {
    /// Its number.
    pub(crate) id: u64,
    pub(crate) body: Arc<Body>,
    pub(crate) reservation: Reservation,
    /// The hashing of what it holds up to the front.
    pub(crate) hasher: DigestsHasher,
    /// What it holds beyond.
    pub(crate) ahead: Extents,
}

impl Pipe {
    pub(crate) fn new(
        options: &Options,
        lanes: &Arc<Lanes>,
        growing: Arc<Growing>,
        len: Option<u64>,
        part: OpenPart,
    ) -> Self {
        let OpenPart { body, reservation, hasher, ahead, .. } = part;
        let position = hasher.position();
        let moved = Arc::new(Notify::new());
        Self {
            body,
            growing,
            hashing: Actor::new(hasher, moved.clone()),
            reservation: Mutex::new(Some(reservation)),
            len,
            withheld_tail: options.withheld_tail,
            fill_buffer_max: options.fill_buffer_max,
            lanes: lanes.clone(),
            pushed: AtomicU64::new(position),
            written: AtomicU64::new(position),
            fed: AtomicU64::new(position),
            queued: AtomicU64::new(0),
            writes: Mutex::new(Writes {
                pieces: VecDeque::new(),
                running: false,
                ahead,
                is_behind: false,
                is_stopped: false,
            }),
            broken: Mutex::new(None),
            moved,
        }
    }

    /// Bytes taken so far without a gap, from the object's first.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Bytes in the file without a gap, from its first.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// What followers may read while nothing is verified.
    pub(crate) fn released(&self) -> u64 {
        let written = self.written();
        match self.len {
            Some(len) => written.min(len.saturating_sub(self.withheld_tail)),
            None => written.saturating_sub(self.withheld_tail),
        }
    }

    /// Waits until `more` bytes may be taken.
    pub(crate) async fn until_room(&self, more: u64) -> Result<(), FillError> {
        self.until(|| {
            let unhashed = self.fed().saturating_sub(self.hashing.done());
            let in_flight = unhashed.max(self.queued.load(Ordering::Acquire));
            in_flight == 0 || in_flight + more <= self.fill_buffer_max
        })
        .await
    }

    /// Waits until everything taken is written and hashed.
    pub(crate) async fn until_settled(&self) -> Result<(), FillError> {
        self.until(|| self.settled() == self.pushed() && self.queued.load(Ordering::Acquire) == 0).await
    }

    fn settled(&self) -> u64 {
        self.written().min(self.hashing.done())
    }

    async fn until(&self, reached: impl Fn() -> bool) -> Result<(), FillError> {
        until(&self.moved, || match self.check() {
            Ok(()) => reached().then_some(Ok(())),
            broken => Some(broken),
        })
        .await
    }

    /// The error, if writing failed.
    pub(crate) fn check(&self) -> Result<(), FillError> {
        let (action, kind, number) = match *self.broken.lock() {
            None => return Ok(()),
            Some(Broken::NoRoom { needed }) => return Err(FillError::NoRoom { needed }),
            Some(Broken::Write(kind, number)) => ("write what has come", kind, number),
            Some(Broken::ReadBack(kind, number)) => ("read back what has come", kind, number),
        };
        let source = number.map_or_else(|| kind.into(), io::Error::from_raw_os_error);
        Err(FillError::Io { action, source })
    }

    /// Takes the bytes that begin at `offset`, but for those that were taken already. Does not wait: the caller has asked for room.
    pub(crate) fn push(&self, mut offset: u64, mut bytes: Bytes) -> Begin {
        let mut begin = Begin::default();
        let mut writes = self.writes.lock();
        while !bytes.is_empty() {
            let gap = writes.ahead.gap_from(offset.max(self.pushed()), u64::MAX);
            let known = (gap.start - offset).min(bytes.len() as u64);
            offset += known;
            let _known = bytes.split_to(known as usize);
            let piece = bytes.split_to(gap.len().min(bytes.len() as u64) as usize);
            if !piece.is_empty() {
                let len = piece.len() as u64;
                self.take(&mut writes, offset, piece, &mut begin);
                offset += len;
            }
        }
        begin
    }

    /// Takes bytes that lie in one gap.
    fn take(&self, writes: &mut Writes, offset: u64, bytes: Bytes, begin: &mut Begin) {
        let end = offset + bytes.len() as u64;
        if offset > self.pushed() {
            // What is hashed where it is pushed comes in order; what would be one run too many comes again.
            if self.len.is_none_or(|len| len <= HASH_HERE_MAX) || !writes.ahead.insert(Span::new(offset, end)) {
                return;
            }
        } else {
            begin.reading_back |= self.take_at_front(writes, &bytes, end);
        }
        self.queued.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        writes.pieces.push_back(Piece { offset, bytes });
        begin.writing |= !std::mem::replace(&mut writes.running, true);
    }

    /// Moves the front to `end` and over what was taken there before. `true` if the hashing is behind from now on.
    fn take_at_front(&self, writes: &mut Writes, bytes: &Bytes, end: u64) -> bool {
        if !writes.is_behind {
            if self.len.is_some_and(|len| len <= HASH_HERE_MAX) {
                self.hashing.hash_here(bytes);
            } else {
                self.hashing.feed(bytes.clone(), &self.lanes);
            }
            self.fed.store(end, Ordering::Release);
        }
        let front = if writes.ahead.is_empty() { end } else { writes.ahead.reach(end) };
        self.pushed.store(front, Ordering::Release);
        front > end && !std::mem::replace(&mut writes.is_behind, true)
    }

    /// What was taken ahead of the front.
    pub(crate) fn ahead(&self) -> Extents {
        self.writes.lock().ahead.clone()
    }

    /// Bytes taken in all.
    pub(crate) fn taken(&self) -> u64 {
        self.pushed() + self.writes.lock().ahead.bytes()
    }

    /// Bytes given to the hashing so far.
    pub(crate) fn fed(&self) -> u64 {
        self.fed.load(Ordering::Acquire)
    }

    /// The span of the file that the hashing has to be given next; `None` once it has caught up with the front, or the fill is over.
    pub(crate) async fn next_behind(&self) -> Option<Span> {
        until(&self.moved, || {
            let mut writes = self.writes.lock();
            let fed = self.fed();
            if fed == self.pushed() || writes.is_stopped || self.check().is_err() {
                writes.is_behind = false;
                return Some(None);
            }
            let end = self.written().min(fed + READ_BACK);
            let has_room = fed - self.hashing.done() <= READ_BACK_IN_FLIGHT;
            (end > fed && has_room).then_some(Some(Span::new(fed, end)))
        })
        .await
    }

    /// Gives the hashing what was read of that span.
    pub(crate) fn feed_behind(&self, bytes: Bytes) {
        let _writes = self.writes.lock();
        self.fed.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        self.hashing.feed(bytes, &self.lanes);
    }

    /// What is queued need not be written any more, nor hashed what is written.
    pub(crate) fn stop(&self) {
        let mut writes = self.writes.lock();
        writes.pieces.clear();
        writes.is_stopped = true;
        drop(writes);
        self.moved.notify_waiters();
    }

    /// What is to be written next; `None` if nothing is queued, and then whoever pushes next has to begin the writing again.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        let mut writes = self.writes.lock();
        let Some(offset) = writes.pieces.front().map(|piece| piece.offset) else {
            writes.running = false;
            return None;
        };
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while pieces.len() < PIECES_MAX {
            let adjoins = |piece: &Piece| piece.offset == offset + bytes as u64;
            match writes.pieces.front().filter(|piece| adjoins(piece)) {
                Some(Piece { bytes: piece, .. }) if bytes == 0 || bytes + piece.len() <= WRITE_MAX => {
                    bytes += piece.len();
                }
                _ => break,
            }
            pieces.extend(writes.pieces.pop_front().map(|piece| piece.bytes));
        }
        Some(Batch { offset, pieces, bytes: bytes as u64 })
    }

    /// So many bytes more are in the file, at `offset`: raises the watermark if that is where it stands.
    pub(crate) fn advance(&self, offset: u64, bytes: u64) {
        if let Some(reservation) = &mut *self.reservation.lock() {
            reservation.back(bytes);
        }
        let end = offset + bytes;
        if offset == self.written() {
            let front = self.growing.reach(end);
            self.written.store(front, Ordering::Release);
            self.growing.advance(front, self.released());
            self.growing.forget_ahead(front);
        } else {
            self.growing.came_ahead(Span::new(offset, end));
        }
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Nothing can be written any more.
    pub(crate) fn break_off(&self, reason: Broken) {
        *self.broken.lock() = Some(reason);
        self.moved.notify_waiters();
    }

    /// Digests of everything taken. All of it must be hashed.
    pub(crate) fn digests(&self) -> Digests {
        debug_assert_eq!(self.settled(), self.pushed());
        self.hasher().finish()
    }

    /// The state of the hashing after everything taken. All of it must be hashed.
    pub(crate) fn hasher(&self) -> DigestsHasher {
        self.hashing.hasher()
    }

    /// Asks for the MD5 of what the hashing was given until now, to be waited for with [`Pipe::until_marked`]. Answers how many bytes that are.
    pub(crate) fn mark(&self) -> u64 {
        let _writes = self.writes.lock();
        self.hashing.mark(&self.lanes);
        self.fed()
    }

    /// The MD5 of the bytes before a mark at `position`, once they are written too.
    pub(crate) async fn until_marked(&self, position: u64) -> Result<Md5, FillError> {
        until(&self.moved, || match self.check() {
            Ok(()) => match self.hashing.marked() {
                Some((marked, prefix)) if marked == position && self.written() >= position => Some(Ok(prefix)),
                _ => None,
            },
            Err(error) => Some(Err(error)),
        })
        .await
    }
}
