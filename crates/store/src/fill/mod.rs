//! Filling an object: [`Vacancy`] -> [`Fill`] -> [`Verified`] -> [`Reader`]. Each step consumes the one before; dropping one is
//! the abort: followers are told, and what can be continued later is kept as a part.
//!
//! A fill of a store is [`active`]; its steps are [`begin`], [`push`] and [`end`], then [`suspend`] or [`commit`].

pub(crate) mod active;
mod begin;
pub(crate) mod commit;
pub(crate) mod end;
mod push;
mod suspend;

use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    digest::{Digests, Md5},
    span::Span,
};

use self::{active::Active, end::End};
use crate::{
    part::{error::FillError, extents::Extents, spec::FillSpec},
    read::{
        growing::{Growing, ReadError},
        reader::Reader,
    },
    shared::Shared,
};

/// The right, held by one, to fill the object of a digest. Dropping it gives the digest free and tells who follows.
pub struct Vacancy {
    store: Arc<Shared>,
    md5: Md5,
    growing: Arc<Growing>,
    spent: bool,
}

/// A fill in progress; one writer. Dropping it is [`Fill::suspend`].
pub struct Fill {
    active: Active,
}

/// What of a fill is here, and who waits for what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Everything before this byte is here.
    pub front: u64,
    /// What is here beyond it.
    pub ahead: Extents,
    /// What readers wait for far ahead of the front, in order, each once.
    pub wishes: Vec<Span>,
    /// Whether somebody waits for what comes next at the front.
    pub is_front_followed: bool,
}

/// All bytes are there and right; readers have them all; not durable yet. Dropping it without [`Verified::commit`] removes the part.
pub struct Verified {
    active: Active,
    digests: Digests,
}

impl Vacancy {
    pub(crate) fn new(store: &Arc<Shared>, md5: Md5, growing: Arc<Growing>) -> Self {
        Self { store: store.clone(), md5, growing, spent: false }
    }

    /// A reader that follows whatever becomes of this vacancy.
    pub fn reader(&self) -> Reader {
        Reader::following(self.growing.clone())
    }

    /// Reserves room (evicting if need be) and begins. On an error the digest is free again and followers are told.
    /// Dropping the future is dropping the vacancy.
    pub async fn begin(mut self, mut spec: FillSpec) -> Result<Fill, FillError> {
        spec.claims.md5 = Some(self.md5);
        match Fill::begin(&self.store, Some(self.md5), self.growing.clone(), spec).await {
            Ok(fill) => {
                self.spent = true;
                Ok(fill)
            }
            Err(error) => {
                self.give_up(&error.to_string());
                Err(error)
            }
        }
    }

    /// Gives up, with a reason for those who follow.
    pub fn abandon(mut self, reason: &str) {
        self.give_up(reason);
    }

    fn give_up(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.spent, true) {
            // The slot first: who is told that this is over finds a new vacancy.
            self.store.vacate(&self.md5, &self.growing);
            self.growing.fail(ReadError::Abandoned { reason: reason.into() });
        }
    }
}

impl Drop for Vacancy {
    fn drop(&mut self) {
        self.give_up("nobody began it");
    }
}

impl Fill {
    /// Begins on the store's own executor, so that a caller who goes away in the middle leaves nothing half made.
    pub(crate) async fn begin(
        store: &Arc<Shared>,
        slot: Option<Md5>,
        growing: Arc<Growing>,
        spec: FillSpec,
    ) -> Result<Self, FillError> {
        let task = {
            let store = store.clone();
            async move { Active::begin(&store, slot, growing, spec).await.map(|active| Self { active }) }
        };
        store.io.spawn(task).await.unwrap_or_else(|_| Err(FillError::closed()))
    }

    /// The front: the first byte that is wanted. Above 0 when a part is continued.
    pub fn position(&self) -> u64 {
        self.active.pipe().pushed()
    }

    /// A reader that follows this fill.
    pub fn reader(&self) -> Reader {
        Reader::following(self.active.pipe().growing.clone())
    }

    /// Takes the next bytes. Waits only while `fill_buffer_max` bytes are not yet written and hashed, or for more room when the length is unknown.
    /// Cancel safe: a dropped future took all or nothing.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), FillError> {
        self.push_at(self.position(), bytes).await
    }

    /// Takes bytes that begin at `offset`, which may be ahead of the front. Dropped are those that are here already, and of those ahead all of a
    /// file of at most 16 KiB or of unknown length, and what would be one run more than [`EXTENTS_MAX`](crate::EXTENTS_MAX). Waits, and can be
    /// cancelled, as [`Fill::push`].
    pub async fn push_at(&self, offset: u64, bytes: Bytes) -> Result<(), FillError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let more = bytes.len() as u64;
        self.active.prepare(offset.saturating_add(more), more).await?;
        self.active.push(offset, bytes);
        self.active.checkpoint_if_due();
        Ok(())
    }

    /// What is here, and who waits for what is not.
    pub fn demand(&self) -> Demand {
        let pipe = self.active.pipe();
        let wishes = &pipe.growing.wishes;
        Demand {
            front: pipe.pushed(),
            ahead: pipe.ahead(),
            wishes: wishes.spans(),
            is_front_followed: wishes.is_front_followed(),
        }
    }

    /// Bytes taken so far, also ahead of the front.
    pub fn taken(&self) -> u64 {
        self.active.pipe().taken()
    }

    /// Whether somebody waits far ahead of the front.
    pub fn has_wishes(&self) -> bool {
        self.active.pipe().growing.wishes.is_any()
    }

    /// Waits until somebody does. Dropping the future loses nothing.
    pub async fn wished(&self) {
        self.active.pipe().growing.wishes.any().await;
    }

    /// The end of the bytes: waits for writes and hashes, compares length and claims, then releases the withheld tail to all readers.
    /// On a mismatch the part goes to quarantine and readers fail. `is_unchanged`: whether the source, asked when all bytes had been read, is what
    /// it was when the first was; if not, readers fail likewise, but without quarantine.
    pub async fn verify(self, is_unchanged: bool) -> Result<Verified, FillError> {
        let digests = self.active.verify(is_unchanged).await?;
        Ok(Verified { active: self.active.clone(), digests })
    }

    /// Stops here, keeps the part for a later continuation (if it is worth it and `source` is not empty), and tells the readers the reason.
    pub fn suspend(self, reason: &str) {
        self.active.end(End::Suspend, reason);
    }

    /// Stops here and removes the part: what came is of no use (the source changed).
    pub fn discard(self, reason: &str) {
        self.active.end(End::Discard, reason);
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // Does nothing if it was ended or verified.
        self.active.end(End::Suspend, "it was broken off");
    }
}

impl Verified {
    /// What it turned out to be.
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// A reader of it, whole.
    pub fn reader(&self) -> Reader {
        Reader::following(self.active.pipe().growing.clone())
    }

    /// What the history is to tell of how it came, in the caller's own way: at most 4,096 bytes.
    #[must_use]
    pub fn told(self, about: Bytes) -> Self {
        *self.active.fill.about.lock() = about;
        self
    }

    /// Makes it durable: data synced, renamed to its digest, directory synced, journaled. If the same content is here already, that one stays
    /// and this one is dropped. Does not block other requests. From an error nothing remains in the index.
    /// Dropping the future does not stop the commit.
    pub async fn commit(self) -> Result<Reader, FillError> {
        let active = self.active.clone();
        // Before anything is awaited: a drop of this future takes nothing back from here on.
        if !active.begin_commit() {
            return Err(FillError::closed());
        }
        let store = active.store.clone();
        store.io.spawn(active.commit(self.digests)).await.unwrap_or_else(|_| Err(FillError::closed()))
    }
}

impl Drop for Verified {
    fn drop(&mut self) {
        self.active.drop_verified(&self.digests.md5);
    }
}
