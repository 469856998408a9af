//! The pipeline of one fill: what is pushed goes to the file and to the hashing at the same time.
//!
//! ```text
//! push --+-> queue of writes -> one write at a time, adjacent pieces in one -> watermark -> followers
//!        +-> actor of both hashes -> a lane
//! ```
//! The watermark follows the writes alone; the hashes only have to be done before the tail is released.

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
    body::Body, fill_error::FillError, growing::Growing, lane::Actor, shared::Shared, space::Reservation, wait::until,
};

/// Most bytes and pieces in one write: large enough that a write costs little, small enough that followers are woken often.
const WRITE_MAX: usize = 2 << 20;
const PIECES_MAX: usize = 256;
/// Fills of at most so many bytes are hashed where they are pushed: less than waking a lane costs.
const HASH_HERE_MAX: u64 = 16 << 10;

/// The pipeline.
pub(crate) struct Pipe {
    store: Arc<Shared>,
    pub(crate) body: Arc<Body>,
    pub(crate) growing: Arc<Growing>,
    pub(crate) hashing: Arc<Actor>,
    pub(crate) reservation: Mutex<Option<Reservation>>,
    len: Option<u64>,
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
enum Broken {
    NoRoom { needed: u64 },
    Io(io::ErrorKind, Option<i32>),
}

impl Pipe {
    pub(crate) fn new(
        store: &Arc<Shared>,
        body: Arc<Body>,
        growing: Arc<Growing>,
        len: Option<u64>,
        reservation: Reservation,
        begun: DigestsHasher,
    ) -> Arc<Self> {
        let position = begun.position();
        let moved = Arc::new(Notify::new());
        Arc::new(Self {
            store: store.clone(),
            body,
            growing,
            hashing: Actor::new(begun, moved.clone()),
            reservation: Mutex::new(Some(reservation)),
            len,
            pushed: AtomicU64::new(position),
            written: AtomicU64::new(position),
            writes: Mutex::new(Writes { pieces: VecDeque::new(), running: false }),
            broken: Mutex::new(None),
            moved,
        })
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
        let tail = self.store.options.withheld_tail;
        match self.len {
            Some(len) => written.min(len.saturating_sub(tail)),
            None => written.saturating_sub(tail),
        }
    }

    /// Waits until `more` bytes may be taken.
    pub(crate) async fn until_room(&self, more: u64) -> Result<(), FillError> {
        self.until(|| {
            let in_flight = self.pushed() - self.settled();
            in_flight == 0 || in_flight + more <= self.store.options.fill_buffer_max
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
                Err(FillError::Io { action: "write the part", source })
            }
        }
    }

    /// Takes the next bytes. Does not wait: the caller has asked for room.
    pub(crate) fn push(self: &Arc<Self>, bytes: Bytes) {
        self.pushed.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        if self.len.is_some_and(|len| len <= HASH_HERE_MAX) {
            self.hashing.hash_here(&bytes);
        } else {
            self.hashing.feed(bytes.clone(), &self.store.lanes);
        }
        let mut writes = self.writes.lock();
        writes.pieces.push_back(bytes);
        let start = !std::mem::replace(&mut writes.running, true);
        drop(writes);
        if start {
            self.store.io.spawn(self.clone().write_out());
        }
    }

    /// What is queued need not be written any more.
    pub(crate) fn stop(&self) {
        self.writes.lock().pieces.clear();
    }

    /// Writes what is queued until nothing is.
    async fn write_out(self: Arc<Self>) {
        while let Some((pieces, bytes)) = self.next_write() {
            let offset = self.written();
            if let Err(error) = self.write(pieces, offset, bytes).await {
                *self.broken.lock() = Some(error);
                self.moved.notify_waiters();
                return;
            }
            if let Some(reservation) = &mut *self.reservation.lock() {
                reservation.back(bytes);
            }
            self.written.store(offset + bytes, Ordering::Release);
            self.growing.advance(self.released());
            self.moved.notify_waiters();
        }
    }

    fn next_write(&self) -> Option<(Vec<Bytes>, u64)> {
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
        Some((pieces, bytes as u64))
    }

    /// One write. Should the disk be full although room was reserved (somebody else fills it too), evicts once and tries again.
    async fn write(&self, pieces: Vec<Bytes>, offset: u64, bytes: u64) -> Result<(), Broken> {
        let file = self.body.file();
        let Err(first) = self.store.disk.write(file.clone(), pieces.clone(), offset).await else { return Ok(()) };
        if first.kind() != io::ErrorKind::StorageFull {
            return Err(self.broken(first));
        }
        self.store.make_room(bytes.max(1 << 20)).await;
        match self.store.disk.write(file.clone(), pieces, offset).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Broken::NoRoom { needed: bytes }),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, error: io::Error) -> Broken {
        self.store.counters.disk_errors.add(1);
        tracing::warn!(%error, "a part cannot be written");
        Broken::Io(error.kind(), error.raw_os_error())
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
        self.hashing.mark(&self.store.lanes);
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
