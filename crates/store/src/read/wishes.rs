//! Who waits for bytes of a fill, as the fill sees it: near its front, where they come soon by themselves, or far ahead, where they may be worth
//! fetching first. What follows from that is for the fetch to decide.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use protocol::span::Span;
use tokio::sync::Notify;

use crate::wait::until;

/// A wait is near its front within so many bytes.
const NEAR_BYTES: u64 = 4 << 20;
/// Waits far ahead that are noted; more wait all the same, and nobody knows what for.
const WISHES_MAX: usize = 1024;

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
    /// A number for each, and what it waits for.
    waits: Vec<(u64, Span)>,
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
    /// Somebody begins to wait for the first byte of a span, and will want the others, of a file that is there up to `front`. What is behind
    /// `useful_max` he does not get before all is verified: to fetch that first is of no use.
    pub(crate) fn wait(&self, span: Span, front: u64, useful_max: u64) -> Wait<'_> {
        let kind = if span.start.saturating_sub(front) < NEAR_BYTES {
            self.near.fetch_add(1, Ordering::Relaxed);
            Kind::Near
        } else if span.start < useful_max {
            self.note(Span::new(span.start, span.end.min(useful_max)))
        } else {
            Kind::Unnoted
        };
        Wait { wishes: self, kind }
    }

    fn note(&self, span: Span) -> Kind {
        let mut far = self.far.lock();
        if far.waits.len() >= WISHES_MAX {
            return Kind::Unnoted;
        }
        let number = far.next;
        far.next += 1;
        far.waits.push((number, span));
        self.count.store(far.waits.len(), Ordering::Release);
        drop(far);
        self.noted.notify_waiters();
        Kind::Far(number)
    }

    /// What those far ahead wait for, in order.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<_> = self.far.lock().waits.iter().map(|(_, span)| *span).collect();
        spans.sort_unstable_by_key(|span| (span.start, span.end));
        spans.dedup();
        spans
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
        let at = |place: u64| Span::new(place * NEAR_BYTES, place * NEAR_BYTES + 1);
        let near = wishes.wait(Span::new(1000, 2000), 1000, end);
        let also_near = wishes.wait(Span::new(NEAR_BYTES - 1, end), 0, end);
        assert!(wishes.is_front_followed() && !wishes.is_any());
        let far = wishes.wait(at(3), NEAR_BYTES, end);
        let first = wishes.wait(at(2), NEAR_BYTES, end);
        let twice = wishes.wait(at(2), 0, end);
        let withheld = wishes.wait(at(100), 0, end);
        assert_eq!(wishes.spans(), [at(2), at(3)]);
        drop((near, first, withheld));
        assert_eq!(wishes.spans(), [at(2), at(3)]);
        drop((also_near, twice, far));
        let across = wishes.wait(Span::new(end - 5, end + 5), 0, end);
        assert_eq!(wishes.spans(), [Span::new(end - 5, end)]);
        drop(across);
        assert!(!wishes.is_front_followed() && !wishes.is_any());
    }

    #[test]
    fn more_than_are_noted_wait_all_the_same() {
        let wishes = Wishes::default();
        let at = |place: u64| Span::new(place * NEAR_BYTES, place * NEAR_BYTES + 1);
        let waits: Vec<_> = (1..2 * WISHES_MAX as u64).map(|place| wishes.wait(at(place), 0, u64::MAX)).collect();
        assert_eq!(wishes.spans().len(), WISHES_MAX);
        drop(waits);
        assert!(wishes.spans().is_empty());
    }
}
