//! Taking objects out: of the index first, then their files. Whoever reads one keeps it, and its bytes stay counted until the last
//! reader is gone.

use std::{io, sync::Arc};

use protocol::digest::Md5;

use crate::{
    disk::layout::leaf_of,
    history::event::{Event, Eviction, Merit, Need, Others},
    index::{
        record::Record,
        row::{Object, md5_hash},
    },
    read::body::Body,
    shared::Shared,
    space::ledger::{Account, on_disk},
};

/// Why an object goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause<'a> {
    /// For room, instead of the others.
    Evicted {
        /// For what.
        need: &'a Need,
        /// What the policy knew of it.
        merit: Merit,
        /// What it was compared with.
        others: Others,
    },
    /// Somebody wanted it gone; who.
    Removed(&'a str),
    /// Its file is gone, or not as long as it was.
    Missing,
    /// It was never durable.
    Undone,
}

impl Cause<'_> {
    fn event(self, store: &Shared, object: &Object) -> Option<Event> {
        let asked = store.asked(object);
        Some(match self {
            Self::Evicted { need, merit, others } => {
                Event::Evicted(Eviction { size: object.size(), need: need.clone(), merit, others, asked })
            }
            Self::Removed(by) => Event::Removed { by: by.into(), asked },
            Self::Missing => Event::Missing,
            Self::Undone => return None,
        })
    }
}

impl Shared {
    /// Takes an object out of index and directory; what somebody reads stays readable and counted. Answers the bytes that are
    /// free now; `None` if it was not there, or the disk would not let its file go. Blocks.
    pub(crate) fn remove_object(&self, md5: &Md5, cause: Cause<'_>) -> Option<u64> {
        let (now, hash) = (self.clock.now(), md5_hash(md5));
        let mut locked = self.objects.shard(hash, now);
        let place = locked.shard.rows.find(hash, |row| row.md5 == *md5)?;
        let object = locked.take(place);
        self.unpin_row(&object);
        let body = locked.shard.extra.open.take(md5);
        locked.shard.extra.leaving.insert(*md5);
        self.journal.append(&Record::ObjectRemoved(*md5), now);
        drop(locked);
        self.touched.went(*md5);
        let freed = self.unlink_object(&object, body.as_ref());
        self.left(md5);
        if let Some(event) = cause.event(self, &object) {
            self.history.note(*md5, event);
        }
        if let Cause::Evicted { .. } = cause {
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
                self.note_disk_trouble("remove an object", error);
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

    /// The name of an object is free again.
    pub(crate) fn left(&self, md5: &Md5) {
        self.dirs.leave(leaf_of(md5));
        self.objects.shard(md5_hash(md5), self.clock.now()).shard.extra.leaving.remove(md5);
        self.moved.notify_waiters();
    }

    /// A file that is not what its name says goes to quarantine. Its bytes are in the account of the objects, its row is gone. Blocks.
    pub(crate) fn expel(&self, md5: &Md5, len: u64) {
        tracing::warn!(%md5, "a file in the cache has not the bytes that its digest says; it goes to quarantine, and is fetched again when it is asked for");
        self.counters.rejections.add(1);
        let path = self.layout.object(md5);
        match self.quarantine.take_in(self.parts.next_id(), &path, md5, len) {
            Some(bytes) => self.space.shift(Account::Objects, Account::Quarantine, bytes),
            None => {
                let _ = self.disk.unlink(&path);
                self.space.sub(Account::Objects, on_disk(len));
            }
        }
    }
}
