//! The slots of the index: what is decided under a shard's lock besides the rows themselves.
//!
//! | state of a digest | row | filling | leaving | a lookup answers |
//! | --- | --- | --- | --- | --- |
//! | vacant | - | - | - | `Miss`, and it is filling |
//! | filling | - | running | - | `Filling` |
//! | verified, not durable yet | - | verified | - | `Filling`, complete |
//! | sealed | yes | - | - | `Hit` |
//! | being unlinked | - | - | yes | as vacant; a commit waits |
//!
//! A verified fill takes the slot from a running one; the one that comes second finds the object sealed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use protocol::digest::Md5;

use crate::{
    growing::Growing,
    open_files::OpenFiles,
    record::{Object, md5_hash},
    store::Shared,
};

/// Beside the rows of a shard.
#[derive(Default)]
pub(crate) struct Slots {
    pub(crate) filling: HashMap<Md5, Slot>,
    pub(crate) leaving: HashSet<Md5>,
    pub(crate) open: OpenFiles,
    /// Objects whose uses changed since they were last written.
    pub(crate) touched: Vec<Md5>,
    /// Lookups that the clock has not been told of.
    pub(crate) lookups: u64,
}

/// Who fills a digest.
pub(crate) struct Slot {
    pub(crate) growing: Arc<Growing>,
    pub(crate) verified: bool,
}

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
}
