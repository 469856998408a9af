//! How many objects are pinned, how many would be if they fitted, and how many bytes may be: pure but for being counted by many. Pinned objects
//! never take all of the cache, or nothing else could come in any more.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of so many parts of `max_size`, one is left for what is not pinned.
const LEFT_FOR_OTHERS: u64 = 16;

/// How an object that is here stands to the pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Nothing pins it.
    #[default]
    No,
    /// It is never evicted.
    Yes,
    /// It would be pinned, and does not fit beside those that are: it may be evicted like any other.
    Refused,
}

/// Objects and their bytes on disk.
#[derive(Debug, Default)]
struct Sum {
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct PinnedSums {
    pinned: Sum,
    refused: Sum,
}

/// Bytes that pinned objects may take in a cache of so many.
pub(crate) fn pinned_max(max_size: u64) -> u64 {
    max_size - max_size / LEFT_FOR_OTHERS
}

impl Sum {
    fn add(&self, bytes: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: u64) {
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        (self.objects.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl PinnedSums {
    /// What becomes of an object of so many bytes, which stands like `before`, if it is `wanted` or not and `most` bytes may be pinned.
    pub(crate) fn judge(&self, before: Pin, is_wanted: bool, bytes: u64, most: u64) -> Pin {
        let pinned = self.bytes();
        match before {
            _ if !is_wanted => Pin::No,
            Pin::Yes if pinned <= most => Pin::Yes,
            Pin::Yes => Pin::Refused,
            Pin::No | Pin::Refused if pinned.saturating_add(bytes) <= most => Pin::Yes,
            Pin::No | Pin::Refused => Pin::Refused,
        }
    }

    /// An object of so many bytes stands otherwise now.
    pub(crate) fn moved(&self, before: Pin, after: Pin, bytes: u64) {
        if before == after {
            return;
        }
        self.of(after).inspect(|sum| sum.add(bytes));
        self.of(before).inspect(|sum| sum.sub(bytes));
    }

    fn of(&self, pin: Pin) -> Option<&Sum> {
        match pin {
            Pin::No => None,
            Pin::Yes => Some(&self.pinned),
            Pin::Refused => Some(&self.refused),
        }
    }

    /// Bytes of pinned objects.
    pub(crate) fn bytes(&self) -> u64 {
        self.pinned.read().1
    }

    /// Pinned objects, and their bytes.
    pub(crate) fn pinned(&self) -> (u64, u64) {
        self.pinned.read()
    }

    /// Objects that would be pinned if they fitted, and their bytes.
    pub(crate) fn refused(&self) -> (u64, u64) {
        self.refused.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_stays_within_its_room() {
        let sums = PinnedSums::default();
        sums.moved(Pin::No, Pin::Yes, 90);
        for (before, is_wanted, bytes, most, after) in [
            (Pin::No, false, 1, 100, Pin::No),
            (Pin::No, true, 10, 100, Pin::Yes),
            (Pin::No, true, 11, 100, Pin::Refused),
            (Pin::Refused, true, 11, 100, Pin::Refused),
            (Pin::Refused, true, 10, 100, Pin::Yes),
            (Pin::Refused, false, 10, 100, Pin::No),
            // There may be fewer than there are: who is looked at gives way.
            (Pin::Yes, true, 10, 90, Pin::Yes),
            (Pin::Yes, true, 10, 89, Pin::Refused),
            (Pin::Yes, false, 10, 100, Pin::No),
            (Pin::No, true, u64::MAX, 100, Pin::Refused),
        ] {
            assert_eq!(sums.judge(before, is_wanted, bytes, most), after, "{before:?} {is_wanted} {bytes} {most}");
        }
    }

    #[test]
    fn every_object_is_counted_where_it_stands() {
        let sums = PinnedSums::default();
        sums.moved(Pin::No, Pin::Refused, 7);
        sums.moved(Pin::No, Pin::Yes, 5);
        sums.moved(Pin::Yes, Pin::Yes, 5);
        assert_eq!((sums.pinned(), sums.refused()), ((1, 5), (1, 7)));
        sums.moved(Pin::Refused, Pin::Yes, 7);
        assert_eq!((sums.pinned(), sums.refused()), ((2, 12), (0, 0)));
        sums.moved(Pin::Yes, Pin::No, 5);
        assert_eq!(sums.pinned(), (1, 7));
    }

    #[test]
    fn a_part_is_left_for_what_is_not_pinned() {
        assert_eq!((pinned_max(1600), pinned_max(15), pinned_max(0)), (1500, 15, 0));
    }
}
