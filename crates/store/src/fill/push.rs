//! Bytes of a fill on their way in: room is made for them, the pipe takes them, its queue is written out, and what the hashing missed is read back.

use std::io::{self, ErrorKind};

use bytes::Bytes;

use crate::{
    fill::{active::Active, end::End},
    history::event::Need,
    part::{
        error::FillError,
        pipe::{Batch, Broken},
        state::SLACK,
    },
    space::ledger::{Reservation, Short, on_disk},
};

/// Steps in which room is reserved while the length is unknown.
const STEP_MIN: u64 = 1 << 20;
const STEP_MAX: u64 = 64 << 20;
/// What is evicted at least when the disk is full although room was reserved.
const FULL_EVICT_MIN: u64 = 1 << 20;

impl Active {
    /// Waits until the `more` bytes before `end` may be pushed.
    pub(crate) async fn prepare(&self, end: u64, more: u64) -> Result<(), FillError> {
        if !self.fill.is_running() {
            return Err(FillError::closed());
        }
        match self.fill.spec.len {
            Some(expected) if end > expected => {
                self.reject(End::Reject);
                return Err(FillError::Length { expected, found: end });
            }
            Some(_) => {}
            None => self.grow(end).await?,
        }
        self.pipe().until_room(more).await
    }

    /// Reserves in growing steps while the length is unknown; in a small one if there is no room for a large one.
    async fn grow(&self, len: u64) -> Result<(), FillError> {
        let needed = on_disk(len) + SLACK;
        let reserved = self.pipe().reservation.lock().as_ref().map_or(0, Reservation::bytes);
        if needed <= reserved {
            return Ok(());
        }
        let step = reserved.clamp(STEP_MIN, STEP_MAX).max(needed - reserved);
        if self.try_grow(step).is_ok() {
            return Ok(());
        }
        let missing = needed - reserved;
        self.store.with_room(self.need(missing), needed, || self.try_grow(missing)).await
    }

    fn need(&self, bytes: u64) -> Need {
        Need::fill(bytes, &self.fill.spec.label)
    }

    fn try_grow(&self, bytes: u64) -> Result<(), Short> {
        match &mut *self.pipe().reservation.lock() {
            Some(reservation) => reservation.grow(bytes),
            None => Ok(()),
        }
    }

    /// Takes the bytes that begin at `offset`. Does not wait: the caller has prepared for them.
    pub(crate) fn push(&self, offset: u64, bytes: Bytes) {
        let begin = self.pipe().push(offset, bytes);
        if begin.writing {
            self.store.io.spawn(self.clone().write_out());
        }
        if begin.reading_back {
            self.store.io.spawn(self.clone().read_back());
        }
    }

    /// Gives the hashing what the front jumped over, and what came meanwhile, until it has caught up.
    async fn read_back(self) {
        let pipe = self.pipe();
        while let Some(span) = pipe.next_behind().await {
            let len = span.len() as usize;
            let read = self.store.disk.read(pipe.body.file().clone(), span.start, len).await;
            match read
                .and_then(|bytes| if bytes.len() == len { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) })
            {
                Ok(bytes) => pipe.feed_behind(bytes.into()),
                Err(error) => {
                    self.store.counters.disk_errors.add(1);
                    pipe.break_off(Broken::ReadBack(error.kind(), error.raw_os_error()));
                }
            }
        }
    }

    /// Writes what is queued until nothing is.
    async fn write_out(self) {
        let pipe = self.pipe();
        while let Some(Batch { offset, pieces, bytes }) = pipe.next_batch() {
            if let Err(broken) = self.write(pieces, offset, bytes).await {
                pipe.break_off(broken);
                return;
            }
            pipe.advance(offset, bytes);
        }
    }

    /// One write. Should the disk be full although room was reserved (somebody else fills it too), evicts once and tries again.
    async fn write(&self, pieces: Vec<Bytes>, offset: u64, bytes: u64) -> Result<(), Broken> {
        let (disk, file) = (&self.store.disk, self.pipe().body.file());
        let Err(first) = disk.write(file.clone(), pieces.clone(), offset).await else { return Ok(()) };
        if first.kind() != ErrorKind::StorageFull {
            return Err(self.broken(&first));
        }
        self.store.make_room(self.need(bytes.max(FULL_EVICT_MIN))).await;
        match disk.write(file.clone(), pieces, offset).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::StorageFull => Err(Broken::NoRoom { needed: bytes }),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> Broken {
        self.store.counters.disk_errors.add(1);
        Broken::Write(error.kind(), error.raw_os_error())
    }
}
