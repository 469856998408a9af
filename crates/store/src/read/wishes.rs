//! Who waits for bytes of a fill, as the fill sees it: near its front, where they come soon by themselves, or far ahead, where they may be worth
//! fetching first. What follows from that is for the fetch to decide.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::wait::until;

/// A wait is near its front within so many bytes.
const NEAR_BYTES: u64 = 16 << 20;
/// Waits far ahead that are noted; more wait all the same, and nobody knows what for.
const WISHES_MAX: usize = 64;

/// The waits of one fill.
#[derive(Default)]
pub(crate) struct Wishes {
    near: AtomicUsize,
    far: Mutex<Far>,
    /// How many are noted.
    count: AtomicUsize,
    noted: Notify,
}

#[derive(Default)]
struct Far {
    /// A number for each, and where it waits.
    waits: Vec<(u64, u64)>,
    next: u64,
}

/// One wait that goes on. Dropping it is its end.
pub(crate) struct Wait<'a> {
    wishes: &'a Wishes,
    kind: Kind,
}

enum Kind {
    Near,
    Far(u64),
    Unnoted,
}

impl Wishes {
    /// Somebody begins to wait for the byte at `position` of a file that is there up to `front`. What is behind `readable_max` nobody gets before
    /// all is verified: to fetch that first is of no use.
    pub(crate) fn wait(&self, position: u64, front: u64, readable_max: u64) -> Wait<'_> {
        let kind = if position.saturating_sub(front) < NEAR_BYTES {
            self.near.fetch_add(1, Ordering::Relaxed);
            Kind::Near
        } else if position < readable_max {
            self.note(position)
        } else {
            Kind::Unnoted
        };
        Wait { wishes: self, kind }
    }

    fn note(&self, position: u64) -> Kind {
        let mut far = self.far.lock();
        if far.waits.len() >= WISHES_MAX {
            return Kind::Unnoted;
        }
        let number = far.next;
        far.next += 1;
        far.waits.push((number, position));
        self.count.store(far.waits.len(), Ordering::Release);
        drop(far);
        self.noted.notify_waiters();
        Kind::Far(number)
    }

    /// Where those far ahead wait, in order.
    pub(crate) fn positions(&self) -> Vec<u64> {
        let mut positions: Vec<_> = self.far.lock().waits.iter().map(|(_, position)| *position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Whether somebody waits near the front.
    pub(crate) fn is_front_followed(&self) -> bool {
        self.near.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody waits far ahead.
    pub(crate) fn is_any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Waits until somebody does.
    pub(crate) async fn any(&self) {
        until(&self.noted, || self.is_any().then_some(())).await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        match self.kind {
            Kind::Near => _ = self.wishes.near.fetch_sub(1, Ordering::Relaxed),
            Kind::Far(number) => {
                let mut far = self.wishes.far.lock();
                far.waits.retain(|(other, _)| *other != number);
                self.wishes.count.store(far.waits.len(), Ordering::Release);
            }
            Kind::Unnoted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_noted_by_its_distance_for_as_long_as_it_lasts() {
        let wishes = Wishes::default();
        let end = 100 * NEAR_BYTES;
        let near = wishes.wait(1000, 1000, end);
        let also_near = wishes.wait(NEAR_BYTES - 1, 0, end);
        assert!(wishes.is_front_followed() && !wishes.is_any());
        let far = wishes.wait(3 * NEAR_BYTES, NEAR_BYTES, end);
        let first = wishes.wait(2 * NEAR_BYTES, NEAR_BYTES, end);
        let twice = wishes.wait(2 * NEAR_BYTES, 0, end);
        let withheld = wishes.wait(end, 0, end);
        assert_eq!(wishes.positions(), [2 * NEAR_BYTES, 3 * NEAR_BYTES]);
        drop((near, first, withheld));
        assert_eq!(wishes.positions(), [2 * NEAR_BYTES, 3 * NEAR_BYTES]);
        drop((also_near, twice, far));
        assert!(!wishes.is_front_followed() && !wishes.is_any());
    }

    #[test]
    fn more_than_are_noted_wait_all_the_same() {
        let wishes = Wishes::default();
        let waits: Vec<_> = (1..2 * WISHES_MAX as u64).map(|at| wishes.wait(at * NEAR_BYTES, 0, u64::MAX)).collect();
        assert_eq!(wishes.positions().len(), WISHES_MAX);
        drop(waits);
        assert!(wishes.positions().is_empty());
    }
}
