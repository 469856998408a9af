//! Making room: what goes when something has to come in. First what is in quarantine, then parts, then the objects that are worth
//! least. Objects that somebody reads are passed over: unlinking them gives nothing free now. Pinned ones never go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    history::event::Need,
    objects::{
        remove::Cause,
        victim::{Census, Victim},
    },
    part::error::FillError,
    shared::Shared,
    space::{
        ledger::{Reservation, Short},
        pressure::Pace,
    },
};

/// Attempts to reserve after evicting: others reserve at the same time and may take what was freed.
const ATTEMPTS_MAX: usize = 16;
/// Victims chosen by one census, in one stretch: it is a little out of date then, and sampling does not mind.
const CENSUS_HOLDS: usize = 64;

impl Shared {
    /// Reserves the bytes of a need, evicting if need be.
    pub(crate) async fn reserve(self: &Arc<Self>, need: Need) -> Result<Reservation, FillError> {
        let (mut reservation, bytes) = (None, need.bytes);
        self.with_room(need, bytes, || {
            reservation = Some(self.space.reserve(bytes)?);
            Ok(())
        })
        .await?;
        reservation.ok_or(FillError::NoRoom { needed: bytes })
    }

    /// Tries to `take` the bytes of a need, and evicts until it succeeds. `needed` is what is reported if it cannot.
    pub(crate) async fn with_room(
        self: &Arc<Self>,
        need: Need,
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
                Err(Short::Now { bytes: short }) => {
                    nothing_left = self.make_room(Need { bytes: short, ..need.clone() }).await < short;
                }
            }
        }
        Err(self.no_room(needed.max(need.bytes)))
    }

    /// Why something that would fit into an empty cache does not fit now.
    fn no_room(&self, needed: u64) -> FillError {
        let (pinned, capacity) = (self.pins.sums.bytes(), self.space.capacity());
        if pinned > 0 && pinned.saturating_add(needed) > capacity {
            FillError::Pinned { needed, pinned, capacity }
        } else {
            FillError::NoRoom { needed }
        }
    }

    /// Evicts until the bytes of a need are free, or nothing is left that could go. Answers the bytes freed.
    pub(crate) async fn make_room(self: &Arc<Self>, need: Need) -> u64 {
        // Until all is in memory nobody knows what is worth least, and used bytes may be counted too high; nor what is pinned.
        self.until_settled().await;
        let store = self.clone();
        self.io.spawn(store.evict(need)).await.unwrap_or(0)
    }

    /// The same in stretches, with rests between them: most needs take one, but limits may have been lowered a moment ago.
    async fn evict(self: Arc<Self>, need: Need) -> u64 {
        let mut freed = 0;
        loop {
            let (store, left) = (self.clone(), Need { bytes: need.bytes - freed, ..need.clone() });
            let Some((more, rest)) = self.io.blocking(move || store.evict_stretch(&left)).await else { return freed };
            freed += more;
            match rest {
                Some(rest) if freed < need.bytes => tokio::time::sleep(rest).await,
                _ => return freed,
            }
        }
    }

    /// Evicts for a while. Answers the bytes freed, and how long to rest if there may be more to free. Blocks.
    fn evict_stretch(&self, need: &Need) -> (u64, Option<Duration>) {
        let _one_at_a_time = self.evicting.lock();
        let pinned = self.pins.sums.bytes();
        if pinned > 0 && self.space.evictable(pinned) < need.bytes {
            // It would go in vain.
            return (0, None);
        }
        let (begun, pace, census) = (Instant::now(), Pace::awaited(), self.census());
        let mut freed = 0;
        for _ in 0..CENSUS_HOLDS {
            let Some(more) = self.evict_one(&census, need, false) else { return (freed, None) };
            freed += more;
            if freed >= need.bytes || begun.elapsed() >= pace.work {
                break;
            }
        }
        (freed, Some(pace.rest(begun.elapsed())))
    }

    /// Lets one thing go; the bytes it gave free. `None` if there is nothing that may go.
    pub(crate) fn evict_one(&self, census: &Census, need: &Need, also_read: bool) -> Option<u64> {
        if let Some(freed) = self.quarantine.drop_oldest() {
            return Some(freed);
        }
        if let Some(part) = self.parts.take_oldest() {
            return Some(self.parts.remove(part));
        }
        let unread = self.victim(census, false);
        let victim = if also_read { unread.or_else(|| self.victim(census, true)) } else { unread };
        let Victim { md5, merit, others } = victim?;
        self.remove_object(&md5, Cause::Evicted { need, merit, others })
    }
}
