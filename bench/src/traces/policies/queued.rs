//! FIFO, LRU and SIEVE: one queue each.

use super::{Policy, queues::Queues};

/// First in, first out; or with hits that move to the front, least recently used.
pub(crate) struct Queue {
    queue: Queues<1>,
    room: u64,
    moves_hits: bool,
}

impl Queue {
    pub(crate) fn fifo(room: u64, objects: usize) -> Self {
        Self { queue: Queues::new(objects), room, moves_hits: false }
    }

    pub(crate) fn lru(room: u64, objects: usize) -> Self {
        Self { moves_hits: true, ..Self::fifo(room, objects) }
    }
}

impl Policy for Queue {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        if self.queue.place(id).is_some() {
            if self.moves_hits {
                self.queue.move_to(0, id);
            }
            return true;
        }
        while self.queue.bytes(0) + size > self.room {
            let last = self.queue.last(0).expect("what fits alone fits into an empty cache");
            self.queue.take(last);
        }
        self.queue.push(0, id, size);
        false
    }
}

/// SIEVE (NSDI 2024): one queue in which nothing moves, and a hand that passes over what was asked for since it came by.
pub(crate) struct Sieve {
    queue: Queues<1>,
    room: u64,
    visited: Vec<bool>,
    hand: Option<u32>,
}

impl Sieve {
    pub(crate) fn new(room: u64, objects: usize) -> Self {
        Self { queue: Queues::new(objects), room, visited: vec![false; objects], hand: None }
    }

    fn evict(&mut self) {
        let mut at = self.hand.or(self.queue.last(0));
        while let Some(id) = at.filter(|id| self.visited[*id as usize]) {
            self.visited[id as usize] = false;
            at = self.queue.before(id).or(self.queue.last(0));
        }
        let victim = at.expect("bytes are used, so that the queue is not empty");
        self.hand = self.queue.before(victim);
        self.queue.take(victim);
    }
}

impl Policy for Sieve {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        if self.queue.place(id).is_some() {
            self.visited[id as usize] = true;
            return true;
        }
        while self.queue.bytes(0) + size > self.room {
            self.evict();
        }
        self.visited[id as usize] = false;
        self.queue.push(0, id, size);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::policies::tests::hits;

    #[test]
    fn fifo_forgets_hits_and_lru_does_not() {
        let asks = [0, 1, 2, 0, 3, 0];
        assert_eq!(hits(&mut Queue::fifo(3, 4), &asks), [3]);
        assert_eq!(hits(&mut Queue::lru(3, 4), &asks), [3, 5]);
    }

    #[test]
    fn bytes_are_what_counts() {
        let mut lru = Queue::lru(10, 3);
        assert!(!lru.ask(0, 4) && !lru.ask(1, 4) && lru.ask(0, 4));
        assert!(!lru.ask(2, 6), "only the older one has to go");
        assert!(lru.ask(0, 4) && !lru.ask(1, 4));
    }

    #[test]
    fn sieve_keeps_what_was_asked_for_and_drops_newcomers_that_were_not() {
        // The hand stays at the newcomers, so that a scan passes through one place.
        let mut sieve = Sieve::new(3, 9);
        assert_eq!(hits(&mut sieve, &[0, 1, 2, 0, 1, 3, 0, 1, 4, 0, 1]), [3, 4, 6, 7, 9, 10]);
        assert!(hits(&mut sieve, &[5, 6, 0]).is_empty(), "who was not asked for since the hand came by goes after all");
    }
}
