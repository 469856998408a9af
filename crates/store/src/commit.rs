//! From verified to sealed: data synced, renamed to its digest, directory synced, in the index and the journal. In this order, so
//! that after a crash at any point the object is either wholly there or not there.

use std::{io, sync::Arc};

use protocol::digest::{Digests, Md5};
use rustix::io::Errno;

use crate::{
    active::Active,
    body::Body,
    fill::{FillError, closed},
    hot::HotBody,
    journal::Durable,
    layout::leaf_of,
    reader::{Reader, Sealed},
    record::{Object, Record, md5_hash, on_disk},
    slots::Turn,
    space::Account,
    store::Shared,
    wait::until,
};

impl Active {
    /// Makes the object durable and seals it; or finds it here already. [`Active::begin_commit`] was answered with yes.
    pub(crate) async fn commit(self: Arc<Self>, digests: Digests) -> Result<Reader, FillError> {
        let result = self.seal(digests).await;
        if !matches!(result, Ok((_, true))) {
            self.drop_committing(&digests.md5);
        }
        self.store.moved.notify_waiters();
        result.map(|(reader, _)| reader)
    }

    /// The reader, and whether it is of our own file.
    async fn seal(self: &Arc<Self>, digests: Digests) -> Result<(Reader, bool), FillError> {
        let (store, md5) = (&self.store, digests.md5);
        loop {
            let turn = || match store.turn(&md5, &self.pipe.growing) {
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
        let file = self.pipe.body.file().clone();
        store.disk.sync(file).await.map_err(|error| store.disk_trouble("sync the object", error))?;
        let active = self.clone();
        let placed = store.io.blocking(move || active.store.place(active.id, &md5));
        placed.await.ok_or_else(closed)?.map_err(|error| store.disk_trouble("put the object in its place", error))?;
        let (sealed, durable) = self.enter(digests);
        if let Err(error) = durable.await.unwrap_or_else(|_| Err(io::Error::other("the journal has ended"))) {
            let store = store.clone();
            self.store.io.blocking(move || store.remove_object(&md5, false)).await;
            return Err(self.store.disk_trouble("write the journal", error));
        }
        store.counters.commits.add(1);
        let active = self.clone();
        store.io.spawn(async move {
            active.forget_description().await;
            active.store.unregister(active.id);
        });
        Ok((Reader::of(sealed), true))
    }

    /// Into the index, and on the way into the journal, under one lock: a snapshot has one or the other, or both.
    fn enter(&self, digests: Digests) -> (Arc<Sealed>, Durable) {
        let store = &self.store;
        store.clock.admitted(store.objects.len() as u64);
        let (now, hash) = (store.clock.now(), md5_hash(&digests.md5));
        let len = self.pipe.written();
        let usage = store.evictor.lock().admit(now, hash);
        let object = Object::new(digests, len, usage);
        let sealed = Sealed::new(digests, len, self.pipe.body.clone(), HotBody::new(&store.hot));
        if let Some(reservation) = self.pipe.reservation.lock().take() {
            reservation.settle(Account::Objects, on_disk(len));
        }
        let mut locked = store.objects.shard(hash, now);
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
            let (claimed, found) = (format!("{:?}", object.sha256), format!("{:?}", digests.sha256));
            tracing::warn!(md5 = %digests.md5, "two contents with one MD5: the first one is kept, the second one refused");
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

    /// Takes an object out of index and directory; what somebody reads stays readable and counted. Answers the bytes that are
    /// free now; `None` if it was not there, or the disk would not let its file go. Blocks.
    pub(crate) fn remove_object(&self, md5: &Md5, evicted: bool) -> Option<u64> {
        let (now, hash) = (self.clock.now(), md5_hash(md5));
        let mut locked = self.objects.shard(hash, now);
        let place = locked.shard.rows.find(hash, |row| row.md5 == *md5)?;
        let object = locked.take(place);
        let body = locked.shard.extra.open.take(md5);
        locked.shard.extra.leaving.insert(*md5);
        self.journal.append(&Record::ObjectRemoved(*md5), now);
        drop(locked);
        let freed = self.unlink_object(&object, body.as_ref());
        self.left(md5);
        if evicted {
            self.evictor.lock().remove(now, hash, object.usage);
            self.counters.evictions.add(1);
            self.counters.evicted_bytes.add(object.size());
        }
        freed
    }

    fn unlink_object(&self, object: &Object, body: Option<&Arc<Body>>) -> Option<u64> {
        let bytes = on_disk(object.size());
        match self.disk.unlink(&self.layout.object(&object.md5)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It still occupies its bytes, so they stay counted; the next start finds it again.
                let _ = self.disk_trouble("remove an object", error);
                return None;
            }
            _ => {}
        }
        let Some(body) = body else {
            self.space.sub(Account::Objects, bytes);
            return Some(bytes);
        };
        self.space.shift(Account::Objects, Account::Unlinked, bytes);
        body.unlinked(bytes);
        // Ours is the last hold if nobody reads it: then it is free as soon as we return.
        Some(if Arc::strong_count(body) == 1 { bytes } else { 0 })
    }

    /// A reader of a sealed object; its file is opened unless it is open. `None` if it is not here; a file that is found missing or
    /// of another length takes the object out of the index.
    pub(crate) fn open_sealed(self: &Arc<Self>, md5: &Md5) -> Option<Reader> {
        let hash = md5_hash(md5);
        let (object, body) = {
            let mut locked = self.objects.shard(hash, self.clock.now());
            let place = locked.shard.rows.find(hash, |row| row.md5 == *md5)?;
            if let Some(sealed) = locked.shard.extra.open.find(md5) {
                return Some(Reader::of(sealed));
            }
            (*locked.shard.rows.at(place), locked.shard.extra.open.body(md5))
        };
        self.open_object(&object, body)
    }

    /// Opens the file of an object that was in the index a moment ago.
    pub(crate) fn open_object(self: &Arc<Self>, object: &Object, body: Option<Arc<Body>>) -> Option<Reader> {
        let (md5, hash) = (object.md5, md5_hash(&object.md5));
        let body = match body {
            Some(body) => body,
            None => self.open_file(object)?,
        };
        let digests = Digests { md5, sha256: object.sha256 };
        let sealed = Sealed::new(digests, object.size(), body, HotBody::new(&self.hot));
        let mut locked = self.objects.shard(hash, self.clock.now());
        locked.shard.rows.find(hash, |row| row.md5 == md5)?;
        if let Some(other) = locked.shard.extra.open.find(&md5) {
            drop(locked);
            return Some(Reader::of(other));
        }
        locked.shard.extra.open.keep(sealed.clone());
        drop(locked);
        self.note_open(md5);
        Some(Reader::of(sealed))
    }

    fn open_file(self: &Arc<Self>, object: &Object) -> Option<Arc<Body>> {
        let path = self.layout.object(&object.md5);
        let lost = match self.with_descriptors(|| self.disk.open(&path, false)) {
            Ok(file) if file.metadata().is_ok_and(|found| found.len() == object.size()) => {
                return Some(Body::new(file, self.space.clone()));
            }
            Ok(_) => "has another length than it had".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "is gone".to_owned(),
            Err(error) if is_lack_of_descriptors(&error) => {
                tracing::warn!(
                    "no file can be opened: the limit of open files is reached; raise it (ulimit -n, LimitNOFILE=)"
                );
                return None;
            }
            Err(error) => {
                self.counters.disk_errors.add(1);
                format!("cannot be opened ({error})")
            }
        };
        tracing::warn!(md5 = %object.md5, "the file of an object {lost}; it will be fetched again");
        self.remove_object(&object.md5, false);
        None
    }

    /// Opens a file; when no descriptors are left, those that are only kept for speed go first.
    pub(crate) fn with_descriptors<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if is_lack_of_descriptors(&error) => {
                self.close_kept();
                open()
            }
            opened => opened,
        }
    }
}

fn is_lack_of_descriptors(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    number == Some(Errno::MFILE.raw_os_error()) || number == Some(Errno::NFILE.raw_os_error())
}
