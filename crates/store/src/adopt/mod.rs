//! Taking in bytes that this machine has already: files of a share that is given up, or of a disk that came by post. As a fill it reserves,
//! writes aside, verifies and commits; unlike a fill it evicts nothing for its room, nobody follows it before it is whole, and the work is
//! done on the caller's own thread, which may be one that gives way to all others.
//!
//! Whatever way the bytes come, what is hashed is the file that becomes the object:
//!
//! | way | by | what is hashed |
//! | --- | --- | --- |
//! | blocks shared | [`Incoming::share_blocks`] | the part, which from that moment on is nobody else's |
//! | copied | [`Incoming::copy`] | what was copied, read from the part |
//! | pushed | [`Incoming::push`] | what is written to the part |
//! | moved | [`Store::incoming_move`], [`Incoming::read`] | the file itself, which nobody can write to meanwhile: see [`moving`] |
//!
//! A file that would stay reachable under its old name, for others to write to, never becomes an object: between a look at it and the last
//! byte that is sent of it somebody could write.

mod ending;
mod error;
mod moving;

use std::{
    fs::File,
    io::ErrorKind,
    num::NonZeroU64,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::digest::{Digests, DigestsHasher};
use rustix::fs::Advice;

pub use self::{error::AdoptError, moving::OldName};
use crate::{
    part::{error::FillError, state::SLACK},
    read::body::Body,
    shared::Shared,
    space::ledger::{Reservation, Short, on_disk},
    store::Store,
};

/// Bytes that are copied or read, and then hashed, at a time; between two of these the caller can stop.
const WINDOW: usize = 1 << 20;

/// Asked before each window, with the bytes done since it was asked before: whether to go on.
pub type GoOn<'a> = &'a mut dyn FnMut(u64) -> bool;

/// Whether bytes need room on the disk, or stand there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// They will be written.
    New,
    /// Their blocks are shared with another file: they count in the cache, and take nothing of what is free.
    InPlace,
}

/// A file on its way in. Dropping it removes what came of it. Everything blocks but for [`Incoming::commit`].
pub struct Incoming {
    store: Arc<Shared>,
    /// The part's number.
    id: u64,
    body: Arc<Body>,
    len: u64,
    hasher: DigestsHasher,
    reservation: Mutex<Option<Reservation>>,
    buffer: Vec<u8>,
    /// The system refused once to copy from this file to ours.
    by_hand: bool,
    moving: Option<moving::Moving>,
    /// What the history is to tell of how it came.
    about: Bytes,
    spent: bool,
}

/// An object that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its digests.
    pub digests: Digests,
    /// Whether the same content was here before: then that one stays.
    pub was_here: bool,
}

impl Store {
    /// Reserves room for `len` bytes, without evicting anything for it, and makes an empty part.
    pub async fn incoming(&self, len: u64, room: Room) -> Result<Incoming, FillError> {
        let store = self.shared.clone();
        store.until_counted().await;
        let making = store.clone();
        let made = store.io.blocking(move || {
            let mut reservation = making.room_for(len, room)?;
            let id = making.parts.next_id();
            let allocated = (room == Room::New).then_some(len);
            match making.create_part(id, allocated, &mut reservation) {
                Ok(body) => Ok((id, body, reservation)),
                Err(error) if is_full(error.kind()) => Err(FillError::NoRoom { needed: len }),
                Err(error) => Err(making.disk_trouble("create a file in the cache", error)),
            }
        });
        let (id, body, reservation) = made.await.ok_or_else(FillError::closed)??;
        Ok(Incoming::new(&store, id, body, len, reservation))
    }
}

impl Shared {
    /// Room that is free now.
    fn room_for(&self, len: u64, room: Room) -> Result<Reservation, FillError> {
        if self.is_closed() {
            return Err(FillError::closed());
        }
        let needed = on_disk(len).saturating_add(SLACK);
        let reserved = match room {
            Room::New => self.space.reserve(needed),
            Room::InPlace => self.space.reserve_in_place(needed),
        };
        reserved.map_err(|short| match short {
            Short::Ever { capacity } => FillError::TooLarge { needed, capacity },
            Short::Now { .. } => FillError::NoRoom { needed },
        })
    }
}

impl Incoming {
    fn new(store: &Arc<Shared>, id: u64, body: Arc<Body>, len: u64, reservation: Reservation) -> Self {
        Self {
            store: store.clone(),
            id,
            body,
            len,
            hasher: DigestsHasher::default(),
            reservation: Mutex::new(Some(reservation)),
            buffer: Vec::new(),
            by_hand: false,
            moving: None,
            about: Bytes::new(),
            spent: false,
        }
    }

    /// What the history is to tell of how it came, in the caller's own way: at most 4,096 bytes.
    #[must_use]
    pub fn told(mut self, about: Bytes) -> Self {
        self.about = about;
        self
    }

    /// Bytes that are here and hashed.
    pub fn position(&self) -> u64 {
        self.hasher.position()
    }

    /// Writes and hashes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), AdoptError> {
        let (position, more) = (self.position(), bytes.len() as u64);
        if position + more > self.len {
            return Err(AdoptError::Changed);
        }
        let written = self.store.disk.write_all_at(self.body.file(), bytes, position);
        written.map_err(|error| self.not_written(error))?;
        self.came(more);
        self.hasher.update(bytes);
        Ok(())
    }

    /// Takes the content that `from` has at this moment by sharing its blocks, and hashes it. `false` if the file system cannot do that: then
    /// nothing has happened.
    pub fn share_blocks(&mut self, from: &File, go_on: GoOn<'_>) -> Result<bool, AdoptError> {
        let shared = self.store.disk.share_blocks(from, self.body.file());
        if !shared.map_err(|error| self.not_written(error))? {
            return Ok(false);
        }
        let found = self.body.file().metadata().map_err(AdoptError::Read)?.len();
        if found != self.len {
            return Err(AdoptError::Changed);
        }
        self.hash(go_on).map(|()| true)
    }

    /// Copies `from`, in the kernel where that can be done, and hashes what was copied.
    pub fn copy(&mut self, from: &File, go_on: GoOn<'_>) -> Result<(), AdoptError> {
        let mut done = 0;
        while self.position() < self.len {
            if !go_on(done) {
                return Err(AdoptError::Stopped);
            }
            let (position, want) = (self.position(), self.next_window());
            let was_resident = os::residency::is_resident(from.as_fd(), position, want).unwrap_or(true);
            done = self.copy_some(from, position, want as usize)?;
            if done == 0 {
                return Err(AdoptError::Changed);
            }
            if !was_resident {
                // What is read once only displaces what others use. Advice, and no more.
                let _ = rustix::fs::fadvise(from, position, NonZeroU64::new(done), Advice::DontNeed);
            }
        }
        go_on(done);
        Ok(())
    }

    /// Answers how many bytes came; 0 if there are no more.
    fn copy_some(&mut self, from: &File, position: u64, want: usize) -> Result<u64, AdoptError> {
        if !self.by_hand {
            let copied = self.store.disk.copy_range(from, self.body.file(), position, want);
            match copied.map_err(|error| self.not_written(error))? {
                Some(copied) => {
                    self.came(copied as u64);
                    self.hash_back(copied)?;
                    return Ok(copied as u64);
                }
                None => self.by_hand = true,
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(WINDOW, 0);
        let read = loop {
            match from.read_at(&mut buffer[..want], position) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.map_err(AdoptError::Read)?,
            }
        };
        self.push(&buffer[..read])?;
        self.buffer = buffer;
        Ok(read as u64)
    }

    /// Hashes a file that is being moved.
    pub fn read(&mut self, go_on: GoOn<'_>) -> Result<(), AdoptError> {
        self.hash(go_on)
    }

    /// Hashes what stands in the part already, to its end.
    fn hash(&mut self, go_on: GoOn<'_>) -> Result<(), AdoptError> {
        let mut done = 0;
        while self.position() < self.len {
            if !go_on(done) {
                return Err(AdoptError::Stopped);
            }
            if self.moving.as_ref().is_some_and(|moving| !moving.is_alone()) {
                return Err(AdoptError::IsWritten);
            }
            done = self.next_window();
            self.hash_back(done as usize)?;
        }
        go_on(done);
        Ok(())
    }

    /// Reads the next bytes of the part and hashes them.
    fn hash_back(&mut self, len: usize) -> Result<(), AdoptError> {
        let position = self.position();
        self.buffer.resize(WINDOW, 0);
        let read = self.store.disk.read_exact_at(self.body.file(), &mut self.buffer[..len], position);
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => AdoptError::Changed,
            _ => AdoptError::Read(error),
        })?;
        self.hasher.update(&self.buffer[..len]);
        Ok(())
    }

    fn next_window(&self) -> u64 {
        (self.len - self.position()).min(WINDOW as u64)
    }

    fn came(&self, bytes: u64) {
        if let Some(reservation) = &mut *self.reservation.lock() {
            reservation.back(bytes);
        }
    }

    fn not_written(&self, error: std::io::Error) -> AdoptError {
        match error.kind() {
            kind if is_full(kind) => FillError::NoRoom { needed: self.len }.into(),
            _ => self.store.disk_trouble("take a file into the cache", error).into(),
        }
    }

    /// Has the disk write what came. The commit does that too; this way it is done on the caller's thread.
    pub fn sync(&self) -> Result<(), AdoptError> {
        self.store.disk.sync_file(self.body.file()).map_err(|error| self.not_written(error))
    }

    /// The digests of what came; `None` while it is not whole.
    pub fn digests(&self) -> Option<Digests> {
        (self.position() == self.len).then(|| self.hasher.clone().finish())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.spent {
            self.store.unlink_part(self.id);
        }
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
