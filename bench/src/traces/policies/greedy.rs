//! Policies that give each object a priority and raise a floor with each eviction: LFU with dynamic ageing, and GDSF.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::Policy;

/// What an object's hits are worth per byte of room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// Hits count, whatever the size: LFU-DA.
    Bytes,
    /// Hits are divided by the size: Greedy-Dual-Size-Frequency.
    Objects,
}

/// A priority; ordered as numbers are.
#[derive(Clone, Copy, PartialEq)]
struct Priority(f64);

impl Eq for Priority {}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What is known of an object that is here.
#[derive(Clone, Copy, Default)]
struct Held {
    size: u64,
    hits: u32,
    /// Which entry of the heap is valid; 0 if the object is not here.
    stamp: u64,
}

/// Objects by priority. Entries that were overtaken stay in the heap until they come up.
pub(crate) struct Greedy {
    cost: Cost,
    heap: BinaryHeap<Reverse<(Priority, u64, u32)>>,
    held: Vec<Held>,
    floor: f64,
    stamps: u64,
    used: u64,
    room: u64,
}

impl Greedy {
    fn new(cost: Cost, room: u64, objects: usize) -> Self {
        let held = vec![Held::default(); objects];
        Self { cost, heap: BinaryHeap::new(), held, floor: 0.0, stamps: 0, used: 0, room }
    }

    /// Least frequently used, aged: what was just evicted tells what a hit is worth now.
    pub(crate) fn lfu(room: u64, objects: usize) -> Self {
        Self::new(Cost::Bytes, room, objects)
    }

    pub(crate) fn gdsf(room: u64, objects: usize) -> Self {
        Self::new(Cost::Objects, room, objects)
    }

    fn enter(&mut self, id: u32) {
        self.stamps += 1;
        let held = &mut self.held[id as usize];
        held.stamp = self.stamps;
        let size = if self.cost == Cost::Objects { held.size as f64 } else { 1.0 };
        let priority = Priority(self.floor + f64::from(held.hits) / size);
        self.heap.push(Reverse((priority, self.stamps, id)));
    }

    fn evict(&mut self) {
        while let Some(Reverse((priority, stamp, id))) = self.heap.pop() {
            let held = &mut self.held[id as usize];
            if held.stamp == stamp {
                self.used -= held.size;
                *held = Held::default();
                self.floor = priority.0;
                return;
            }
        }
    }
}

impl Policy for Greedy {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        let is_here = self.held[id as usize].stamp > 0;
        if !is_here {
            while self.used + size > self.room {
                self.evict();
            }
            self.used += size;
            self.held[id as usize].size = size;
        }
        self.held[id as usize].hits += 1;
        self.enter(id);
        is_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::policies::tests::hits;

    #[test]
    fn lfu_keeps_what_is_asked_for_often_and_forgets_in_time() {
        let mut asks = vec![0; 20];
        asks.extend(1..10);
        asks.push(0);
        let mut lfu = Greedy::lfu(3, 200);
        assert_eq!(hits(&mut lfu, &asks).len(), 20, "nine strangers do not push it out");
        hits(&mut lfu, &(10..100).collect::<Vec<_>>());
        assert!(!lfu.ask(0, 1), "ninety do");
    }

    #[test]
    fn gdsf_lets_the_large_one_go_and_lfu_does_not() {
        for (mut policy, large_stays) in [(Greedy::lfu(10, 4), true), (Greedy::gdsf(10, 4), false)] {
            assert!(!policy.ask(0, 8) && policy.ask(0, 8) && !policy.ask(1, 2));
            policy.ask(2, 2);
            assert_eq!(policy.ask(0, 8), large_stays);
        }
    }
}
