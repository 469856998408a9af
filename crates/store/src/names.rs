//! The journaled table of names: an opaque key to a digest and opaque meta data. Lives beside the objects in the same journal, so that an
//! entry is never durable before its object is.

use std::sync::Arc;

use bytes::Bytes;
use protocol::digest::Md5;

use crate::{
    history::event::Event,
    index::{
        record::{Record, Row},
        row::{NameRow, md5_hash},
        table::{SHARDS, shard_of},
    },
    shared::Shared,
};

/// Names looked at to find one that may go when there are too many.
const SAMPLES: usize = 16;

/// Handle to the table.
#[derive(Clone)]
pub struct Names {
    store: Arc<Shared>,
}

impl Names {
    pub(crate) fn new(store: Arc<Shared>) -> Self {
        Self { store }
    }

    /// Looks a name up and lets `read` see it under a short lock; `None` if there is no such name. Never waits for the disk longer
    /// than one small read (and only while the table is still being loaded after a start).
    pub fn read<T>(&self, key: &[u8], read: impl FnOnce(&Md5, &[u8]) -> T) -> Option<T> {
        let table = &self.store.names;
        let hash = table.sip().hash(key);
        let locked = table.shard(hash, self.store.clock.now());
        let place = locked.shard.rows.find(hash, |row| row.key() == key)?;
        let row = locked.shard.rows.at(place);
        Some(read(&row.md5(), row.meta()))
    }

    /// Sets or replaces. Journaled in the background; survives `kill -9` within a second, a power loss with the next sync.
    /// A key of more than 65,535 bytes or meta data of more than 64 KiB cannot be kept: then the name is removed.
    pub fn put(&self, key: &[u8], md5: &Md5, meta: &[u8]) {
        let Some(row) = NameRow::new(key, md5, meta) else {
            self.remove(key);
            return;
        };
        let (table, now) = (&self.store.names, self.store.clock.now());
        let hash = row.hash(table.sip());
        let mut locked = table.shard(hash, now);
        self.store.journal.append(&Record::NamePut(row.clone()), now);
        let before = match locked.shard.rows.find(hash, |found| found.same(&row)) {
            Some(place) => Some(std::mem::replace(locked.shard.rows.at_mut(place), row).md5()),
            None => {
                locked.push(row);
                None
            }
        };
        let is_pin_moved = self.store.pins.renamed(shard_of(hash), key, before.as_ref(), Some(md5));
        drop(locked);
        if is_pin_moved {
            self.store.settle_pin(md5);
        }
        match before {
            Some(before) if before != *md5 => {
                self.store.history.note(before, Event::Replaced { key: Bytes::copy_from_slice(key), by: *md5 });
                if is_pin_moved {
                    self.store.settle_pin(&before);
                }
            }
            None if table.len() > self.store.options.names_max => self.forget_one(hash),
            _ => {}
        }
    }

    /// Parts in which [`Names::each_of`] tells them.
    pub const PARTS: usize = SHARDS;

    /// Shows every name of one part, in no order, under one lock: what is done with it must be short.
    pub fn each_of(&self, part: usize, mut see: impl FnMut(&[u8], &Md5, &[u8])) {
        let (table, now) = (&self.store.names, self.store.clock.now());
        while table.load_some(part, now) {}
        table.shard_at(part).rows.iter().for_each(|row| see(row.key(), &row.md5(), row.meta()));
    }

    /// Removes; `true` if it was there.
    pub fn remove(&self, key: &[u8]) -> bool {
        let (table, now) = (&self.store.names, self.store.clock.now());
        let hash = table.sip().hash(key);
        let mut locked = table.shard(hash, now);
        let Some(place) = locked.shard.rows.find(hash, |row| row.key() == key) else { return false };
        let md5 = locked.take(place).md5();
        self.store.journal.append(&Record::NameRemoved(key.into()), now);
        let is_pin_moved = self.store.pins.renamed(shard_of(hash), key, Some(&md5), None);
        drop(locked);
        if is_pin_moved {
            self.store.settle_pin(&md5);
        }
        true
    }

    /// There are too many names: one goes, of a content that is not here if there is such a one among a few of the shard (or of the
    /// next that has any), and none that pins one. `hash` is that of the name that came, and its lower bits are as good as random.
    fn forget_one(&self, hash: u64) {
        let first = shard_of(hash);
        for at in (first..SHARDS).chain(0..first) {
            let samples = self.samples(at, hash);
            if let Some(row) = samples.iter().find(|row| self.is_dangling(row)).or(samples.first()) {
                self.remove(row.key());
                return;
            }
        }
    }

    /// A few names of a shard, other than the one of this hash.
    fn samples(&self, at: usize, hash: u64) -> Vec<NameRow> {
        let shard = self.store.names.shard_at(at);
        let len = shard.rows.len();
        let some = (0..SAMPLES.min(len)).map(|nth| shard.rows.at(((hash as usize % len + nth) % len) as u32));
        let others = some.filter(|row| row.hash(self.store.names.sip()) != hash);
        others.filter(|row| self.store.pins.pattern_of(row.key()).is_none()).cloned().collect()
    }

    /// Whether the content of a name is not here.
    fn is_dangling(&self, row: &NameRow) -> bool {
        let (md5, now) = (row.md5(), self.store.clock.now());
        let locked = self.store.objects.shard(md5_hash(&md5), now);
        locked.shard.rows.find(md5_hash(&md5), |object| object.md5 == md5).is_none()
    }
}
