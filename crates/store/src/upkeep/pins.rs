//! What is pinned, found out: at the start and whenever other patterns are to be in force, all names are gone through.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use protocol::digest::Md5;

use crate::{index::table::SHARDS, shared::Shared, space::pins::Pinning};

/// Contents that are counted every few seconds, at most.
const COUNTED_MAX: usize = 200_000;

impl Shared {
    /// Other patterns are in force when this returns, unless it was called again meanwhile. Blocks for a look at every name.
    pub(crate) fn repin(self: &Arc<Self>, pinning: Pinning) {
        let sweep = self.pins.begin(pinning);
        self.sweep_pins(sweep);
    }

    /// Goes through the names for the patterns that are coming. Blocks.
    pub(crate) fn sweep_pins(&self, sweep: u64) {
        if self.pins.wants_names(sweep) {
            for at in 0..SHARDS {
                let Some(found) = self.sweep_shard(sweep, at) else { return };
                for md5 in found {
                    self.settle_pin(&md5);
                }
            }
        }
        let Some(gone) = self.pins.finish(sweep) else { return };
        for md5 in gone {
            self.settle_pin(&md5);
        }
        if self.is_refit_due() {
            self.refit_pins();
        }
        self.count_pins(usize::MAX);
        self.moved.notify_waiters();
    }

    /// Counts anew what each pattern has pinned, unless they pin more contents than `most`. Blocks.
    fn count_pins(&self, most: usize) {
        let Ok(contents) = self.pins.contents(most) else { return };
        let mut sums: HashMap<usize, (u64, u64)> = HashMap::new();
        for (md5, pattern) in contents {
            if let Some(bytes) = self.settle_pin(&md5) {
                let sum = sums.entry(pattern).or_default();
                *sum = (sum.0 + 1, sum.1 + bytes);
            }
        }
        self.pins.set_tally(&sums);
    }

    fn sweep_shard(&self, sweep: u64, at: usize) -> Option<Vec<Md5>> {
        while self.names.load_some(at, self.clock.now()) {}
        let shard = self.names.shard_at(at);
        self.pins.sweep(sweep, at, shard.rows.iter().map(|row| (row.key(), row.md5())))
    }

    /// What of the pins can be done now that could not before, and says if not all fits.
    pub(crate) fn look_after_pins(&self) {
        if self.is_refit_due() {
            self.refit_pins();
        }
        // Whenever something was pinned or let go; of very many only at the next reload, for it is but for people.
        let pinned = self.pins.sums.pinned();
        if self.pins.has_moved(pinned) {
            self.count_pins(COUNTED_MAX);
        }
        let (objects, bytes) = self.pins.sums.refused();
        let was_told = self.pins_told.swap(objects > 0, Ordering::Relaxed);
        if objects > 0 && !was_told {
            let (_, pinned) = pinned;
            tracing::warn!(
                objects,
                bytes,
                pinned,
                "not all that cache.pin names fits: these objects are kept like any other; pin less, or raise cache.max_size"
            );
        }
    }
}
