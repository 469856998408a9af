//! Searching the directory for objects that are not in the index: after a crash the few that were renamed but not journaled, after the loss
//! of the index all of them. The files are the truth: one that is what its name says is adopted, after it was read and
//! hashed; one that is not goes to quarantine; one whose name is not ours is left alone.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use os::lease::{Lease, Leased};
use protocol::digest::{Digests, DigestsHasher, Md5};

use crate::{
    disk::layout::{leaf_of, object_name},
    history::event::{Arrival, Event},
    index::{
        record::Record,
        row::{Object, md5_hash},
        strays::Stray,
    },
    journal::recover::Search,
    read::{
        body::Body,
        growing::{Growing, ReadError},
    },
    shared::Shared,
    space::{
        evict::Usage,
        ledger::{Account, on_disk},
    },
};

impl Shared {
    /// Finds and adopts what the index does not know.
    pub(crate) async fn search(self: &Arc<Self>, search: Search) {
        if search == Search::No {
            return;
        }
        let store = self.clone();
        let strays = self.io.blocking(move || store.strays()).await.unwrap_or_default();
        self.strays.set(&strays);
        self.counted.store(true, Ordering::Release);
        self.moved.notify_waiters();
        // What a crash has brought back may be too much.
        self.shrink();
        let (mut adopted, mut rejected) = (0, 0);
        for stray in strays {
            if self.is_closed() {
                // Not complete: the next start searches again.
                return;
            }
            if let Some(stray) = self.strays.take(&stray.md5) {
                let right = self.adopt(stray, true).await.is_some();
                (adopted, rejected) = (adopted + u64::from(right), rejected + u64::from(!right));
            }
        }
        self.searched.store(self.strays.all_seen(), Ordering::Release);
        if adopted + rejected > 0 {
            tracing::info!(
                adopted,
                rejected,
                "files that the index of the cache did not know were checked: whole ones were adopted, the others put in quarantine"
            );
        }
    }

    /// An object that is asked for may be a stray: then it is looked at now, and who asked follows. `false` if it is none.
    pub(crate) fn rescue(self: &Arc<Self>, md5: &Md5, growing: &Arc<Growing>) -> bool {
        let Some(stray) = self.strays.take(md5) else { return false };
        let (store, growing) = (self.clone(), growing.clone());
        self.io.spawn(async move {
            let adopted = store.adopt(stray, false).await;
            if let Some((body, _)) = &adopted {
                growing.begin(body.clone(), Some(stray.len));
            }
            store.vacate(&stray.md5, &growing);
            match adopted {
                Some((_, digests)) => growing.seal(stray.len, digests),
                None => {
                    growing.fail(ReadError::Abandoned { reason: "its file in the cache was damaged; ask again".into() })
                }
            }
        });
        true
    }

    /// All files named by a digest that the index does not know; their bytes are counted from now on. Blocks.
    fn strays(&self) -> Vec<Stray> {
        let mut strays = Vec::new();
        for branch in 0..=u8::MAX {
            let leaves = self.disk.list(&self.layout.branch(branch)).unwrap_or_default();
            for leaf in 0..=u8::MAX {
                let name = format!("{leaf:02x}");
                if leaves.iter().any(|item| item.directory && item.name == *name) {
                    self.strays_in(u16::from_be_bytes([branch, leaf]), &mut strays);
                }
            }
        }
        strays
    }

    fn strays_in(&self, leaf: u16, strays: &mut Vec<Stray>) {
        self.dirs.there(leaf);
        for item in self.disk.list(&self.layout.leaf(leaf)).unwrap_or_default() {
            let Some(md5) = object_name(&item.name).filter(|md5| leaf_of(md5) == leaf) else { continue };
            if self.knows(&md5) {
                continue;
            }
            if let Ok(stat) = self.disk.stat(&self.layout.object(&md5)) {
                self.space.add(Account::Objects, on_disk(stat.len));
                strays.push(Stray { md5, len: stat.len });
            }
        }
    }

    /// Reads a stray and takes it into the index if it is what its name says.
    async fn adopt(self: &Arc<Self>, stray: Stray, gently: bool) -> Option<(Arc<Body>, Digests)> {
        let path = self.layout.object(&stray.md5);
        let store = self.clone();
        let opened = self.io.blocking(move || store.with_descriptors(|| store.disk.open(&path, false))).await;
        let file = match opened {
            Some(Ok(file)) => file,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.space.sub(Account::Objects, on_disk(stray.len));
                return None;
            }
            // It cannot be opened for now, or the store is closing: its bytes stay counted.
            Some(Err(_)) | None => {
                self.strays.miss();
                return None;
            }
        };
        if !is_ours_alone(&file) {
            let store = self.clone();
            self.io.blocking(move || store.let_go(&stray)).await;
            return None;
        }
        let body = Body::new(file, self.space.clone());
        let found = self.hash(&body, stray.len, gently).await.map(DigestsHasher::finish);
        match found {
            Some(digests) if digests.md5 == stray.md5 => self.take_in(digests, stray.len).then_some((body, digests)),
            _ => {
                let store = self.clone();
                self.io.blocking(move || store.expel_stray(&stray)).await;
                None
            }
        }
    }

    /// A file that was being moved in when the power went, and still has its old name: that one stays, ours goes. Unless it is a commit of just now, whose
    /// fill still has it open. Blocks.
    fn let_go(&self, stray: &Stray) {
        if !self.begins_to_leave(stray) {
            return;
        }
        tracing::info!(md5 = %stray.md5, "a file in the cache has another name besides, or is open for writing: it is not kept");
        let _ = self.disk.unlink(&self.layout.object(&stray.md5));
        self.space.sub(Account::Objects, on_disk(stray.len));
        self.left(&stray.md5);
    }

    /// Into the index, unless it came there by itself meanwhile.
    fn take_in(&self, digests: Digests, len: u64) -> bool {
        let (now, hash) = (self.clock.now(), md5_hash(&digests.md5));
        let mut locked = self.objects.shard(hash, now);
        let shard = &locked.shard;
        let taken = shard.rows.find(hash, |row| row.md5 == digests.md5).is_some()
            || shard.extra.filling.get(&digests.md5).is_some_and(|slot| slot.verified);
        if taken {
            // What was committed has replaced the file, and is counted itself.
            drop(locked);
            self.space.sub(Account::Objects, on_disk(len));
            return false;
        }
        let mut object = Object::new(digests, len, Usage::restored(now, 0));
        self.pin_row(&mut object);
        locked.push(object);
        self.journal.append(&Record::ObjectPut(object), now);
        drop(locked);
        self.touched.came(digests.md5);
        self.history.note(digests.md5, Event::Came { by: Arrival::Found, size: len, about: Bytes::new() });
        true
    }

    /// The same for one that is not what its name says, unless what is under that name has been replaced meanwhile. Blocks.
    fn expel_stray(&self, stray: &Stray) {
        if self.begins_to_leave(stray) {
            self.expel(&stray.md5, stray.len);
            self.left(&stray.md5);
            self.history.note(stray.md5, Event::Damaged);
        }
    }

    /// Nobody commits under its name from now on. `false`: somebody has, or is about to, and counts it himself.
    fn begins_to_leave(&self, stray: &Stray) -> bool {
        let (md5, hash) = (stray.md5, md5_hash(&stray.md5));
        let mut locked = self.objects.shard(hash, self.clock.now());
        let shard = &mut *locked.shard;
        let is_replaced = shard.rows.find(hash, |row| row.md5 == md5).is_some()
            || shard.extra.filling.get(&md5).is_some_and(|slot| slot.verified);
        if is_replaced {
            drop(locked);
            self.space.sub(Account::Objects, on_disk(stray.len));
        } else {
            shard.extra.leaving.insert(md5);
        }
        !is_replaced
    }
}

/// Whether nobody else can write to it: under another name, or because it is open.
fn is_ours_alone(file: &File) -> bool {
    let Ok(file) = file.try_clone().map(Arc::new) else { return false };
    let is_written = matches!(Lease::take(&file), Ok(Leased::IsWritten));
    !is_written && file.metadata().is_ok_and(|found| found.nlink() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FillSpec, Limit, Options, Store};

    /// The search lists a file just as it is renamed, before its row is there; its fill may still have it open for writing.
    #[tokio::test]
    async fn what_is_committed_while_it_is_searched_is_no_stray() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { min_free: Limit::Bytes(0), ..Options::new(dir.path().join("cache")) };
        let store = Store::open(options).expect("it opens");
        let content = Bytes::from_static(b"content");
        let mut fill = store.fill(FillSpec { len: Some(7), ..FillSpec::default() }).await.expect("it begins");
        fill.push(content.clone()).await.expect("it takes the bytes");
        fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
        let stray = Stray { md5: Digests::of(&content).md5, len: 7 };
        let shared = &store.shared;
        let used = shared.space.balance(Account::Objects);
        for looks in [Shared::let_go, Shared::expel_stray] {
            shared.space.add(Account::Objects, on_disk(stray.len));
            looks(shared, &stray);
            assert_eq!(shared.space.balance(Account::Objects), used);
            assert!(shared.disk.stat(&shared.layout.object(&stray.md5)).is_ok(), "its file is there");
        }
        store.close().await;
        assert_eq!(store.scrub(|_| {}).await.missing, 0);
    }
}
