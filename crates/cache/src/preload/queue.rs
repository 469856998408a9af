//! What is still to be fetched of an upstream, and in which order: by the priority that was asked for, by the first of the priority patterns that
//! matches, then the newest first. Pure.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use protocol::target::Target;

/// Files of one queue.
pub(crate) const WANTS_MAX: usize = 1_000_000;

/// A file that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) order: Order,
    /// Bytes, if they are known.
    pub(crate) size: Option<u64>,
    /// How often it was tried in vain.
    pub(crate) tries: u32,
}

/// Its place among others: what is less goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    priority: Reverse<i64>,
    /// The place of the first pattern that matches; more than all if none does.
    rank: usize,
    modified: Reverse<u64>,
    /// Below the mount.
    pub(crate) target: Target,
}

impl Order {
    pub(crate) fn new(priority: i64, rank: usize, modified: Option<SystemTime>, target: Target) -> Self {
        let modified =
            modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs());
        Self { priority: Reverse(priority), rank, modified: Reverse(modified), target }
    }
}

/// A file of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) order: Order,
    pub(crate) size: Option<u64>,
    /// Whether it is here as it is there, as far as the listing tells.
    pub(crate) is_here: bool,
}

/// What came of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Files that are here already, and their bytes.
    pub(crate) here: Count,
    /// Files that the cache is too small for: they would push out what goes before them.
    pub(crate) beyond: Count,
    /// Bytes of all that are to be in the cache.
    pub(crate) bytes: u64,
}

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Files in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    wants: BTreeMap<Order, (Option<u64>, u32)>,
    bytes: u64,
    /// Of these nobody knows how long they are.
    unknown: u64,
}

impl Queue {
    /// Of a listing, as much as there is room for: a cache that is too small keeps what goes first, in place of fetching all again in each round.
    pub(crate) fn choose(mut found: Vec<Found>, room: u64) -> (Self, Chosen) {
        found.sort_unstable_by(|one, other| one.order.cmp(&other.order));
        let (mut queue, mut chosen) = (Self::default(), Chosen::default());
        for Found { order, size, is_here } in found {
            let bytes = size.unwrap_or(0);
            let with_it = chosen.bytes.saturating_add(bytes);
            if with_it > room {
                chosen.beyond.add(bytes);
                continue;
            }
            chosen.bytes = with_it;
            if is_here {
                chosen.here.add(bytes);
            } else {
                queue.push(Want { order, size, tries: 0 });
            }
        }
        (queue, chosen)
    }

    /// `false` if there is no place left.
    pub(crate) fn push(&mut self, want: Want) -> bool {
        if self.wants.len() >= WANTS_MAX {
            return false;
        }
        let size = want.size;
        if self.wants.insert(want.order, (size, want.tries)).is_none() {
            self.bytes += size.unwrap_or(0);
            self.unknown += u64::from(size.is_none());
        }
        true
    }

    /// The one that goes first.
    pub(crate) fn pop(&mut self) -> Option<Want> {
        let (order, (size, tries)) = self.wants.pop_first()?;
        self.bytes -= size.unwrap_or(0);
        self.unknown -= u64::from(size.is_none());
        Some(Want { order, size, tries })
    }

    pub(crate) fn len(&self) -> u64 {
        self.wants.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Bytes still to be fetched, where a file of unknown length counts as much as those before it had on the average.
    pub(crate) fn bytes(&self, average: u64) -> u64 {
        self.bytes.saturating_add(self.unknown.saturating_mul(average))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn order(priority: i64, rank: usize, modified: u64, path: &str) -> Order {
        let modified = (modified > 0).then(|| UNIX_EPOCH + Duration::from_secs(modified));
        Order::new(priority, rank, modified, Target::parse(path.as_bytes()).unwrap())
    }

    fn want(order: Order, size: Option<u64>) -> Want {
        Want { order, size, tries: 0 }
    }

    fn paths(mut queue: Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|want| want.order.target.to_string()).collect()
    }

    #[test]
    fn priority_then_pattern_then_the_newest_then_the_name() {
        let mut queue = Queue::default();
        for (priority, rank, modified, path) in [
            (0, 1, 50, "/other-new"),
            (0, 1, 10, "/other-b"),
            (0, 1, 10, "/other-a"),
            (0, 1, 0, "/other-unknown"),
            (0, 0, 5, "/first"),
            (7, 9, 1, "/asked-for"),
            (-1, 0, 99, "/last"),
        ] {
            assert!(queue.push(want(order(priority, rank, modified, path), None)));
        }
        let expected = ["/asked-for", "/first", "/other-new", "/other-a", "/other-b", "/other-unknown", "/last"];
        assert_eq!(paths(queue), expected);
    }

    #[test]
    fn bytes_are_counted_once() {
        let mut queue = Queue::default();
        assert!(queue.push(want(order(0, 0, 1, "/a"), Some(10))));
        assert!(queue.push(want(order(0, 0, 1, "/a"), Some(10))));
        assert!(queue.push(want(order(0, 0, 2, "/b"), None)));
        assert_eq!((queue.len(), queue.bytes(7)), (2, 17));
        queue.pop();
        queue.pop();
        assert_eq!((queue.len(), queue.bytes(7)), (0, 0));
    }

    #[test]
    fn what_is_here_costs_nothing_and_a_small_cache_keeps_what_goes_first() {
        let found = |modified, path, size, is_here| Found { order: order(0, 0, modified, path), size, is_here };
        let listing = vec![
            found(1, "/oldest", Some(30), false),
            found(2, "/old", Some(60), true),
            found(3, "/here", Some(40), true),
            found(4, "/new", Some(50), false),
            found(5, "/unknown", None, false),
        ];
        let (queue, chosen) = Queue::choose(listing, 120);
        assert_eq!(chosen.here, Count { files: 1, bytes: 40 });
        assert_eq!(chosen.beyond, Count { files: 1, bytes: 60 }, "it is not fetched again and again");
        assert_eq!(chosen.bytes, 120, "a smaller one that fits behind it is taken");
        assert_eq!(paths(queue), ["/unknown", "/new", "/oldest"]);
    }
}
