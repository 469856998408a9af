//! Making room: what goes when something has to come in. First what is in quarantine, then parts, then the objects that are worth
//! least. Objects that somebody reads are passed over: unlinking them gives nothing free now.

use std::sync::{Arc, atomic::Ordering};

use protocol::digest::Md5;

use crate::{
    index::{row::md5_hash, table::SHARDS},
    part::error::FillError,
    shared::Shared,
    space::{
        evict::{Candidate, Pick},
        ledger::{Reservation, Short},
    },
};

/// Attempts to reserve after evicting: others reserve at the same time and may take what was freed.
const ATTEMPTS_MAX: usize = 16;
/// Victims chosen by one census: it is a little out of date then, and sampling does not mind.
const CENSUS_HOLDS: usize = 32;
/// Objects evicted per step when limits were lowered.
const STEP_OBJECTS: usize = 16;

/// The sums of objects up to and including each shard, to draw any one of them by number.
struct Census {
    ends: Vec<usize>,
}

impl Census {
    fn total(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The shard of an object, and its place there.
    fn find(&self, at: usize) -> (usize, usize) {
        let shard = self.ends.partition_point(|end| *end <= at);
        let first = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        (shard, at - first)
    }
}

impl Shared {
    /// Reserves `bytes`, evicting if need be.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, FillError> {
        let mut reservation = None;
        self.with_room(bytes, bytes, || {
            reservation = Some(self.space.reserve(bytes)?);
            Ok(())
        })
        .await?;
        reservation.ok_or(FillError::NoRoom { needed: bytes })
    }

    /// Tries to `take` `bytes`, and evicts until it succeeds. `needed` is what is reported if it cannot.
    pub(crate) async fn with_room(
        self: &Arc<Self>,
        bytes: u64,
        needed: u64,
        mut take: impl FnMut() -> Result<(), Short>,
    ) -> Result<(), FillError> {
        self.until_counted().await;
        let mut nothing_left = false;
        for _ in 0..ATTEMPTS_MAX {
            match take() {
                Ok(()) => return Ok(()),
                Err(Short::Ever { capacity }) => return Err(FillError::TooLarge { needed, capacity }),
                Err(Short::Now { .. }) if nothing_left => break,
                Err(Short::Now { bytes: short }) => nothing_left = self.make_room(short).await < short,
            }
        }
        Err(FillError::NoRoom { needed: needed.max(bytes) })
    }

    /// Evicts until `bytes` are free, or nothing is left that could go. Answers the bytes freed.
    pub(crate) async fn make_room(self: &Arc<Self>, bytes: u64) -> u64 {
        // Until all is in memory nobody knows what is worth least, and used bytes may be counted too high.
        self.until_loaded().await;
        let store = self.clone();
        self.io.blocking(move || store.evict(bytes)).await.unwrap_or(0)
    }

    /// The same, blocking.
    fn evict(&self, bytes: u64) -> u64 {
        let _one_at_a_time = self.evicting.lock();
        let (mut freed, mut census) = (0, self.census());
        for round in 1.. {
            if freed >= bytes {
                break;
            }
            let Some(more) = self.evict_one(&census, false) else { break };
            freed += more;
            if round % CENSUS_HOLDS == 0 {
                census = self.census();
            }
        }
        freed
    }

    /// Lets one thing go; the bytes it gave free. `None` if there is nothing that may go.
    fn evict_one(&self, census: &Census, also_read: bool) -> Option<u64> {
        if let Some(freed) = self.quarantine.drop_oldest() {
            return Some(freed);
        }
        if let Some(part) = self.parts.take_oldest() {
            return Some(self.parts.remove(part));
        }
        let unread = self.victim(census, false);
        let victim = if also_read { unread.or_else(|| self.victim(census, true)) } else { unread };
        self.remove_object(&victim?, true)
    }

    /// How many objects there are in each shard.
    fn census(&self) -> Census {
        let ends = (0..SHARDS).scan(0, |sum, at| {
            *sum += self.objects.shard_at(at).rows.len();
            Some(*sum)
        });
        Census { ends: ends.collect() }
    }

    /// The object that is worth least.
    fn victim(&self, census: &Census, also_read: bool) -> Option<Md5> {
        let now = self.clock.now();
        self.evictor.lock().victim(now, census.total(), |pick| {
            let candidate = match pick {
                Pick::At(at) => {
                    let (shard, place) = census.find(at);
                    let shard = self.objects.shard_at(shard);
                    let row = (place < shard.rows.len()).then(|| *shard.rows.at(place as u32))?;
                    (row, shard.extra.open.is_read(&row.md5))
                }
                Pick::Known(md5) => {
                    let hash = md5_hash(&md5);
                    let locked = self.objects.shard(hash, now);
                    let place = locked.shard.rows.find(hash, |row| row.md5 == md5)?;
                    (*locked.shard.rows.at(place), locked.shard.extra.open.is_read(&md5))
                }
            };
            let (row, is_read) = candidate;
            (also_read || !is_read).then(|| Candidate { key: row.md5, usage: row.usage, size: row.size() })
        })
    }

    /// Reaches limits that are exceeded, in steps, in the background.
    pub(crate) fn shrink(self: &Arc<Self>) {
        let exceeded = self.space.excess() > self.space.sums().unlinked;
        if !exceeded || self.shrinking.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = Arc::downgrade(self);
        self.io.detach(move || {
            while store.upgrade().is_some_and(|store| store.shrink_step()) {}
            if let Some(store) = store.upgrade() {
                store.shrinking.store(false, Ordering::Release);
            }
        });
    }

    /// One step towards limits that are exceeded (they were lowered, or others filled the disk); `true` if there is more to do.
    /// Blocks.
    fn shrink_step(&self) -> bool {
        let _one_at_a_time = self.evicting.lock();
        let census = self.census();
        for _ in 0..STEP_OBJECTS {
            // What is unlinked and still read comes free by itself; evicting more in its stead would be too much.
            let coming = self.space.sums().unlinked;
            if self.space.excess() <= coming || self.evict_one(&census, true).is_none() {
                return false;
            }
        }
        true
    }
}
