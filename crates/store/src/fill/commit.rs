//! From verified to sealed: data synced, renamed to its digest, directory synced, in the index and the journal. In this order, so
//! that after a crash at any point the object is either wholly there or not there.

use std::{io, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::digest::{Digests, Md5};

use crate::{
    disk::layout::leaf_of,
    fill::active::Active,
    history::event::{Arrival, Event},
    index::{
        record::Record,
        row::{Object, md5_hash},
    },
    journal::Durable,
    objects::{claim::Turn, remove::Cause},
    part::error::FillError,
    read::{body::Body, growing::Growing, hot::HotBody, reader::Reader, sealed::Sealed},
    shared::Shared,
    space::ledger::{Account, Reservation, on_disk},
    wait::until,
};

/// What a commit seals: a part that is whole, and was hashed.
pub(crate) struct Whole<'a> {
    pub(crate) store: &'a Arc<Shared>,
    /// The part's number.
    pub(crate) id: u64,
    pub(crate) body: &'a Arc<Body>,
    pub(crate) growing: &'a Arc<Growing>,
    pub(crate) reservation: &'a Mutex<Option<Reservation>>,
    pub(crate) len: u64,
    /// What the history is to tell of how it came.
    pub(crate) told: (Arrival, Bytes),
}

/// What a file needs that had a name of its own before. Both block.
pub(crate) trait Owned: Send + Sync {
    /// Done when the file is in its place and before anybody can find it there. If it fails, the file is given back and leaves that place.
    fn take(&self) -> Result<(), FillError>;
    /// Gives it its old name again, if that is gone. `false` if it cannot be done: then our name is the last one.
    fn give_back(&self) -> bool;
}

impl Active {
    /// Makes the object durable and seals it; or finds it here already. [`Active::begin_commit`] was answered with yes.
    pub(crate) async fn commit(self, digests: Digests) -> Result<Reader, FillError> {
        let result = self.seal(digests).await;
        if !matches!(result, Ok((_, true))) {
            self.give_back(&digests.md5);
        }
        self.store.moved.notify_waiters();
        result.map(|(reader, _)| reader)
    }

    /// The reader, and whether it is of our own file.
    async fn seal(&self, digests: Digests) -> Result<(Reader, bool), FillError> {
        let pipe = self.pipe();
        let whole = Whole {
            store: &self.store,
            id: self.fill.id,
            body: &pipe.body,
            growing: &pipe.growing,
            reservation: &pipe.reservation,
            len: pipe.written(),
            told: (Arrival::Filled, self.fill.about.lock().clone()),
        };
        let (reader, is_ours) = whole.seal(digests, None).await?;
        if is_ours {
            let active = self.clone();
            self.store.io.spawn(async move {
                active.forget_description().await;
                active.store.unregister(active.fill.id);
            });
        }
        Ok((reader, is_ours))
    }
}

impl Whole<'_> {
    /// The reader, and whether it is of our own file: then the slot is given back and the part is none any more.
    pub(crate) async fn seal(
        &self,
        digests: Digests,
        owned: Option<Arc<dyn Owned>>,
    ) -> Result<(Reader, bool), FillError> {
        let (store, md5) = (self.store, digests.md5);
        loop {
            let turn = || match store.turn(&md5, self.growing) {
                Turn::Wait => None,
                turn => Some(turn),
            };
            if let Turn::Sealed(object) = until(&store.moved, turn).await {
                match store.duplicate(&object, &digests)? {
                    Some(reader) => return Ok((reader, false)),
                    // Its file is gone, and now its row too: our turn.
                    None => continue,
                }
            }
            break;
        }
        store.disk.sync(self.body.file().clone()).await.map_err(|error| store.disk_trouble("sync the file", error))?;
        let (placing, id, taken) = (store.clone(), self.id, owned.clone());
        let placed = store.io.blocking(move || placing.place_finally(id, &md5, taken.as_deref())).await;
        placed.ok_or_else(FillError::closed)??;
        let (sealed, durable) = self.enter(digests);
        if let Err(error) = durable.await.unwrap_or_else(|_| Err(io::Error::other("the journal has ended"))) {
            let removing = store.clone();
            let undone = move || {
                if owned.is_none_or(|owned| owned.give_back()) {
                    removing.remove_object(&md5, Cause::Undone);
                }
            };
            store.io.blocking(undone).await;
            return Err(store.disk_trouble("write the journal", error));
        }
        store.counters.commits.add(1);
        store.touched.came(md5);
        let (by, about) = self.told.clone();
        store.history.note(md5, Event::Came { by, size: self.len, about });
        Ok((Reader::of(sealed), true))
    }

    /// Into the index, and on the way into the journal, under one lock: a snapshot has one or the other, or both.
    fn enter(&self, digests: Digests) -> (Arc<Sealed>, Durable) {
        let store = self.store;
        let (now, hash) = (store.clock.now(), md5_hash(&digests.md5));
        let len = self.len;
        let usage = store.evictor.lock().admit(now, hash);
        let mut object = Object::new(digests, len, usage);
        let sealed = Sealed::new(digests, len, self.body.clone(), HotBody::new(&store.hot));
        if let Some(reservation) = self.reservation.lock().take() {
            reservation.settle(Account::Objects, on_disk(len));
        }
        let mut locked = store.objects.shard(hash, now);
        store.pin_row(&mut object);
        locked.push(object);
        locked.shard.extra.filling.remove(&digests.md5);
        locked.shard.extra.open.keep(sealed.clone());
        let durable = store.journal.append_durably(&[&Record::ObjectPut(object)], now);
        drop(locked);
        store.note_open(digests.md5);
        (sealed, durable)
    }
}

impl Shared {
    /// The content is here already: a reader of that. `None` if its file turns out to be gone. An equal MD5 with another SHA-256
    /// is somebody's collision: what was here first stays, what came second is refused.
    fn duplicate(self: &Arc<Self>, object: &Object, digests: &Digests) -> Result<Option<Reader>, FillError> {
        if object.sha256 != digests.sha256 {
            let (claimed, found) = (format!("sha256:{}", object.sha256), format!("sha256:{}", digests.sha256));
            tracing::warn!(md5 = %digests.md5, "two different files have the same MD5: the first stays, the second is refused. Somebody may have made it so on purpose");
            self.counters.rejections.add(1);
            return Err(FillError::Digest { claimed, found });
        }
        match self.open_sealed(&digests.md5) {
            Some(reader) => {
                self.counters.duplicates.add(1);
                Ok(Some(reader))
            }
            None if self.knows(&digests.md5) => {
                let source = io::Error::other("too many open files");
                Err(FillError::Io { action: "open the object, which is here already", source })
            }
            None => Ok(None),
        }
    }

    /// Renames a synced part to its digest, durably, and takes it over. Blocks.
    fn place_finally(&self, id: u64, md5: &Md5, owned: Option<&dyn Owned>) -> Result<(), FillError> {
        self.place(id, md5).map_err(|error| self.disk_trouble("move the file to its place", error))?;
        let Some((owned, error)) = owned.and_then(|owned| Some((owned, owned.take().err()?))) else { return Ok(()) };
        if owned.give_back() {
            let _ = self.disk.unlink(&self.layout.object(md5));
            self.dirs.leave(leaf_of(md5));
        }
        Err(error)
    }

    /// Renames a synced part to its digest, durably. Blocks.
    fn place(&self, id: u64, md5: &Md5) -> io::Result<()> {
        let leaf = leaf_of(md5);
        let placed = self.place_in(leaf, id, md5);
        self.dirs.entered(leaf);
        if placed.is_err() {
            let _ = self.disk.unlink(&self.layout.object(md5));
            self.dirs.leave(leaf);
        }
        placed
    }

    fn place_in(&self, leaf: u16, id: u64, md5: &Md5) -> io::Result<()> {
        self.dirs.enter(leaf)?;
        let (from, to) = (self.layout.part(id), self.layout.object(md5));
        match self.disk.rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.dirs.make_again(leaf)?;
                self.disk.rename(&from, &to)?;
            }
            renamed => renamed?,
        }
        self.disk.sync_dir(&self.layout.leaf(leaf))
    }
}
