//! What goes on without being asked: loading the tables after a start and finding out what is pinned, keeping limits that others break, writing
//! use counts, removing old parts.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::time::MissedTickBehavior;

use crate::{
    history::event::Event,
    index::{record::Record, row::md5_hash, table::SHARDS},
    journal::recover::{Recovered, Search},
    shared::Shared,
};

/// How often limits are looked at, which costs one question to the file system: who fills the disk is seen within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks in a round of what is not so urgent, and of the rest.
const LOOKS_PER_TIDYING: u32 = 8;
const LOOKS_PER_ROUND: u32 = 240;
/// Use counts written per round.
const USES_MAX: usize = 50_000;

/// Starts what goes on in the background. Ends with the store.
pub(crate) fn start(store: &Arc<Shared>, recovered: Recovered) {
    let sweep = store.pins.begin(store.options.pinning.clone());
    store.io.spawn(settle(Arc::downgrade(store), recovered, sweep));
    store.io.spawn(keep(Arc::downgrade(store)));
}

/// What a start leaves to be done: reading the rest of the tables, and searching the directory if need be.
async fn settle(store: Weak<Shared>, recovered: Recovered, sweep: u64) {
    let Some(store) = store.upgrade() else { return };
    let loader = store.clone();
    let load = move || {
        loader.load_all();
        loader.sweep_pins(sweep);
    };
    store.io.blocking(load).await;
    let damaged = recovered.snapshot.is_some_and(|snapshot| snapshot.is_damaged());
    let search = if damaged { Search::Everything } else { recovered.search };
    if damaged {
        store.counted.store(false, Ordering::Release);
    }
    store.moved.notify_waiters();
    store.search(search).await;
    if recovered.torn || damaged {
        store.compact().await;
    }
}

async fn keep(store: Weak<Shared>) {
    let mut look = 0u32;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(store) = store.upgrade().filter(|store| !store.is_closed()) else { return };
        look = look.wrapping_add(1);
        store.tell_time(SystemTime::now());
        store.shrink();
        if look.is_multiple_of(LOOKS_PER_ROUND) {
            store.note_uses(USES_MAX);
            let expiring = store.clone();
            store.io.detach(move || expiring.parts.expire(expiring.options.part_age_max));
        }
        if look.is_multiple_of(LOOKS_PER_TIDYING) {
            // Beside the looks: what writes tables takes its time.
            store.io.spawn(tidy(store.clone()));
        }
    }
}

/// What has become too long is shortened, and pins that did not fit are tried again. One at a time.
async fn tidy(store: Arc<Shared>) {
    let Ok(_one_at_a_time) = store.tidying.try_lock() else { return };
    let looking = store.clone();
    store.io.blocking(move || looking.look_after_pins()).await;
    if store.is_compaction_due(false) {
        store.compact().await;
    }
    store.trim_history().await;
}

impl Shared {
    /// Writes changed use counts to the journal, at most so many.
    pub(super) fn note_uses(&self, most: usize) {
        let now = self.clock.now();
        let mut left = most;
        for at in 0..SHARDS {
            let mut shard = self.objects.shard_at(at);
            let from = shard.extra.touched.len().saturating_sub(left);
            let touched = shard.extra.touched.split_off(from);
            left -= touched.len();
            for md5 in touched {
                let hash = md5_hash(&md5);
                if let Some(place) = shard.rows.find(hash, |row| row.md5 == md5) {
                    let object = shard.rows.at_mut(place);
                    object.clean();
                    let uses = object.usage.written(now);
                    let asked = self.asked(object);
                    self.journal.append(&Record::Uses(md5, uses), now);
                    if asked.times > 0 {
                        self.history.note(md5, Event::Asked(asked));
                    }
                }
            }
        }
    }

    /// Reads what of the tables is still on disk. Blocks.
    fn load_all(&self) {
        let now = self.clock.now();
        for at in 0..SHARDS {
            while !self.is_closed() && (self.objects.load_some(at, now) || self.names.load_some(at, now)) {}
        }
    }
}
