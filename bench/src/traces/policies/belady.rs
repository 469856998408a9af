//! The offline bound: policies that know what will be asked for. With sizes the best choice is a knapsack that nobody can compute; these
//! two approximate it, the first for bytes, the second for objects.

use std::collections::BinaryHeap;

use super::Policy;

/// Objects looked at per victim where the order changes as time passes.
const SAMPLES: usize = 64;

/// What is known of an object that is here.
#[derive(Clone, Copy, Default)]
struct Held {
    size: u64,
    next: usize,
    is_here: bool,
}

/// Who is asked for last goes first: Belady's MIN. A newcomer that would be the first to go does not come in.
pub(crate) struct Belady {
    next_asks: Vec<usize>,
    at: usize,
    held: Vec<Held>,
    /// By next ask; entries that were overtaken stay until they come up.
    heap: BinaryHeap<(usize, u32)>,
    used: u64,
    room: u64,
}

impl Belady {
    pub(crate) fn new(room: u64, objects: usize, next_asks: Vec<usize>) -> Self {
        Self { next_asks, at: 0, held: vec![Held::default(); objects], heap: BinaryHeap::new(), used: 0, room }
    }

    /// Makes room at the cost of those that are asked for later than `next`; `false` if that is not enough.
    fn make_room(&mut self, size: u64, next: usize) -> bool {
        while self.used + size > self.room {
            let Some((theirs, id)) = self.heap.peek().copied() else { return false };
            let held = self.held[id as usize];
            if held.is_here && held.next == theirs {
                if theirs <= next {
                    return false;
                }
                self.used -= held.size;
                self.held[id as usize] = Held::default();
            }
            self.heap.pop();
        }
        true
    }
}

impl Policy for Belady {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        let next = self.next_asks[self.at];
        self.at += 1;
        let is_here = self.held[id as usize].is_here;
        if !is_here && (next == usize::MAX || !self.make_room(size, next)) {
            return false;
        }
        self.used += if is_here { 0 } else { size };
        self.held[id as usize] = Held { size, next, is_here: true };
        self.heap.push((next, id));
        is_here
    }
}

/// The largest product of size and time to the next ask goes first: Belady-Size, by sampling.
pub(crate) struct BeladySize {
    next_asks: Vec<usize>,
    at: usize,
    held: Vec<Held>,
    here: Vec<u32>,
    places: Vec<u32>,
    random: u64,
    used: u64,
    room: u64,
}

impl BeladySize {
    pub(crate) fn new(room: u64, objects: usize, next_asks: Vec<usize>) -> Self {
        let held = vec![Held::default(); objects];
        Self { next_asks, at: 0, held, here: Vec::new(), places: vec![0; objects], random: 1, used: 0, room }
    }

    fn burden(&self, id: u32) -> f64 {
        let held = self.held[id as usize];
        if held.next == usize::MAX { f64::INFINITY } else { (held.next - self.at) as f64 * held.size as f64 }
    }

    fn victim(&mut self) -> u32 {
        let total = self.here.len();
        let mut best = (f64::NEG_INFINITY, 0);
        for sample in 0..SAMPLES.min(total) {
            let at = if total <= SAMPLES { sample } else { self.random() % total };
            let id = self.here[at];
            let burden = self.burden(id);
            if burden > best.0 {
                best = (burden, id);
            }
        }
        best.1
    }

    fn random(&mut self) -> usize {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) as usize
    }

    fn evict(&mut self) {
        let id = self.victim();
        let place = self.places[id as usize] as usize;
        self.here.swap_remove(place);
        if let Some(moved) = self.here.get(place) {
            self.places[*moved as usize] = place as u32;
        }
        self.used -= self.held[id as usize].size;
        self.held[id as usize] = Held::default();
    }
}

impl Policy for BeladySize {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        let next = self.next_asks[self.at];
        self.at += 1;
        let is_here = self.held[id as usize].is_here;
        if !is_here {
            if next == usize::MAX {
                return false;
            }
            while self.used + size > self.room {
                self.evict();
            }
            self.used += size;
            self.places[id as usize] = self.here.len() as u32;
            self.here.push(id);
        }
        self.held[id as usize] = Held { size, next, is_here: true };
        is_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{
        policies::{queued::Queue, tests::hits},
        trace::{Builder, Changed},
    };

    fn next_asks(asks: &[u32]) -> Vec<usize> {
        let mut builder = Builder::new(Changed::Same);
        asks.iter().for_each(|id| builder.ask(*id, 1));
        builder.done().next_asks()
    }

    #[test]
    fn a_loop_larger_than_the_cache_is_hit_as_often_as_can_be() {
        let asks: Vec<u32> = (0..100).map(|at| at % 5).collect();
        assert_eq!(hits(&mut Queue::lru(4, 5), &asks).len(), 0);
        // Of five in a row four places of memory save three at least, for one is always passed through.
        assert_eq!(hits(&mut Belady::new(4, 5, next_asks(&asks)), &asks).len(), 76);
        assert!(hits(&mut BeladySize::new(4, 5, next_asks(&asks)), &asks).len() >= 60);
    }

    #[test]
    fn the_large_one_goes_first_where_objects_count() {
        let asks = [(0, 8), (1, 2), (2, 2), (1, 2), (2, 2), (0, 8)];
        let ids: Vec<u32> = asks.iter().map(|(id, _)| *id).collect();
        let mut policy = BeladySize::new(10, 3, next_asks(&ids));
        let found: Vec<bool> = asks.iter().map(|(id, size)| policy.ask(*id, *size)).collect();
        assert_eq!(found, [false, false, false, true, true, false]);
    }
}
