//! Who fills a digest: the slot is taken, given free, or waited for, each under the lock of its shard.

use std::sync::Arc;

use protocol::digest::Md5;

use crate::{
    index::{
        row::{Object, md5_hash},
        slots::Slot,
    },
    read::growing::Growing,
    shared::Shared,
};

/// Whether a verified fill may commit.
pub(crate) enum Turn {
    /// It holds the slot.
    Ours,
    /// The content is here already.
    Sealed(Object),
    /// Another one commits, or the old file is being removed: to be asked again after the next move.
    Wait,
}

impl Shared {
    /// Gives a slot free, if it is held by this fill.
    pub(crate) fn vacate(&self, md5: &Md5, growing: &Arc<Growing>) {
        let mut locked = self.objects.shard(md5_hash(md5), self.clock.now());
        let filling = &mut locked.shard.extra.filling;
        if filling.get(md5).is_some_and(|slot| Arc::ptr_eq(&slot.growing, growing)) {
            filling.remove(md5);
        }
        drop(locked);
        self.moved.notify_waiters();
    }

    /// A verified fill takes the slot of its digest, also from one that still runs.
    pub(crate) fn claim(&self, md5: &Md5, growing: &Arc<Growing>) {
        let mut locked = self.objects.shard(md5_hash(md5), self.clock.now());
        if !locked.shard.extra.filling.get(md5).is_some_and(|slot| slot.verified) {
            let slot = Slot { growing: growing.clone(), verified: true };
            locked.shard.extra.filling.insert(*md5, slot);
        }
    }

    /// Whether a verified fill may commit now.
    pub(crate) fn turn(&self, md5: &Md5, growing: &Arc<Growing>) -> Turn {
        let mut locked = self.objects.shard(md5_hash(md5), self.clock.now());
        let shard = &mut *locked.shard;
        if let Some(place) = shard.rows.find(md5_hash(md5), |row| row.md5 == *md5) {
            return Turn::Sealed(*shard.rows.at(place));
        }
        if shard.extra.leaving.contains(md5) {
            return Turn::Wait;
        }
        match shard.extra.filling.get(md5) {
            Some(slot) if slot.verified && !Arc::ptr_eq(&slot.growing, growing) => Turn::Wait,
            _ => {
                let slot = Slot { growing: growing.clone(), verified: true };
                shard.extra.filling.insert(*md5, slot);
                Turn::Ours
            }
        }
    }

    /// Whether the index has it, or it is on its way in or out.
    pub(crate) fn knows(&self, md5: &Md5) -> bool {
        let hash = md5_hash(md5);
        let locked = self.objects.shard(hash, self.clock.now());
        let extra = &locked.shard.extra;
        extra.filling.get(md5).is_some_and(|slot| slot.verified)
            || extra.leaving.contains(md5)
            || locked.shard.rows.find(hash, |row| row.md5 == *md5).is_some()
    }
}
