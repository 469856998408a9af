//! What is to happen when: a queue of events by their moment. What is due at the same moment happens in the order in which it was put there, so that a
//! run can be had again.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Nanoseconds since the beginning.
pub(crate) type Moment = u64;

/// Nanoseconds of a second.
pub(crate) const SECOND: Moment = 1_000_000_000;

/// Events to come.
#[derive(Debug)]
pub(crate) struct Events<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    /// Events so far: the later one is behind the earlier one of the same moment.
    number: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Moment,
    number: u64,
    event: E,
}

impl<E> Events<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), number: 0 }
    }

    /// Puts one in.
    pub(crate) fn put(&mut self, at: Moment, event: E) {
        self.number += 1;
        self.heap.push(Reverse(Entry { at, number: self.number, event }));
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next one, and when it is due.
    pub(crate) fn take(&mut self) -> Option<(Moment, E)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_their_moment_and_then_as_they_were_put() {
        let mut events = Events::new();
        for (at, event) in [(5, 'd'), (1, 'a'), (5, 'e'), (2, 'b'), (2, 'c')] {
            events.put(at, event);
        }
        assert_eq!(events.due(), Some(1));
        let all: Vec<_> = std::iter::from_fn(|| events.take()).collect();
        assert_eq!(all, [(1, 'a'), (2, 'b'), (2, 'c'), (5, 'd'), (5, 'e')]);
    }
}
