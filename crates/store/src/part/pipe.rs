//! The pipeline of one fill: what is pushed goes to the file and to the hashing at the same time.
//!
//! ```text
//! push --+-> queue of writes -> one write at a time, adjacent pieces in one -> watermark -> followers
//!        +-> actor of both hashes -> a lane
//! ```
//! The watermark follows the writes alone; the hashes only have to be done before the tail is released. Who takes the writes out of
//! the queue and does them is told by [`Pipe::push`] to begin.

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
use protocol::digest::{Digests, DigestsHasher, Md5};
use tokio::sync::Notify;

use crate::{
    options::Options,
    part::{
        error::FillError,
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
    pushed: AtomicU64,
    written: AtomicU64,
    writes: Mutex<Writes>,
    broken: Mutex<Option<Broken>>,
    moved: Arc<Notify>,
}

struct Writes {
    pieces: VecDeque<Bytes>,
    running: bool,
}

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    NoRoom { needed: u64 },
    Io(io::ErrorKind, Option<i32>),
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
    /// The hashing of what it holds.
    pub(crate) hasher: DigestsHasher,
}

impl Pipe {
    pub(crate) fn new(
        options: &Options,
        lanes: &Arc<Lanes>,
        growing: Arc<Growing>,
        len: Option<u64>,
        part: OpenPart,
    ) -> Self {
        let OpenPart { body, reservation, hasher, .. } = part;
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
            writes: Mutex::new(Writes { pieces: VecDeque::new(), running: false }),
            broken: Mutex::new(None),
            moved,
        }
    }

    /// Bytes taken so far, from the object's first.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Bytes in the file, from its first.
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
            let in_flight = self.pushed() - self.settled();
            in_flight == 0 || in_flight + more <= self.fill_buffer_max
        })
        .await
    }

    /// Waits until everything taken is written and hashed.
    pub(crate) async fn until_settled(&self) -> Result<(), FillError> {
        self.until(|| self.settled() == self.pushed()).await
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
        match *self.broken.lock() {
            None => Ok(()),
            Some(Broken::NoRoom { needed }) => Err(FillError::NoRoom { needed }),
            Some(Broken::Io(kind, number)) => {
                let source = number.map_or_else(|| kind.into(), io::Error::from_raw_os_error);
                Err(FillError::Io { action: "write what has come", source })
            }
        }
    }

    /// Takes the next bytes; `true` if nobody is writing what is queued, so that it has to be begun. Does not wait: the caller has asked
    /// for room.
    #[must_use]
    pub(crate) fn push(&self, bytes: Bytes) -> bool {
        self.pushed.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        if self.len.is_some_and(|len| len <= HASH_HERE_MAX) {
            self.hashing.hash_here(&bytes);
        } else {
            self.hashing.feed(bytes.clone(), &self.lanes);
        }
        let mut writes = self.writes.lock();
        writes.pieces.push_back(bytes);
        !std::mem::replace(&mut writes.running, true)
    }

    /// What is queued need not be written any more.
    pub(crate) fn stop(&self) {
        self.writes.lock().pieces.clear();
    }

    /// What is to be written next; `None` if nothing is queued, and then whoever pushes next has to begin the writing again.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        let mut writes = self.writes.lock();
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while pieces.len() < PIECES_MAX {
            match writes.pieces.front() {
                Some(piece) if bytes == 0 || bytes + piece.len() <= WRITE_MAX => bytes += piece.len(),
                _ => break,
            }
            pieces.extend(writes.pieces.pop_front());
        }
        if pieces.is_empty() {
            writes.running = false;
            return None;
        }
        Some(Batch { offset: self.written(), pieces, bytes: bytes as u64 })
    }

    /// So many bytes more are in the file: raises the watermark.
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(reservation) = &mut *self.reservation.lock() {
            reservation.back(bytes);
        }
        self.written.fetch_add(bytes, Ordering::Release);
        self.growing.advance(self.released());
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

    /// Asks for the MD5 of what was taken until now, to be waited for with [`Pipe::until_marked`].
    pub(crate) fn mark(&self) {
        self.hashing.mark(&self.lanes);
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
