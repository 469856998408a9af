//! The eviction policy without a disk: what a trace of requests is replayed against (`outpost-bench traces`). There is no decision in
//! here. An index of objects that have no files drives `space::evict` in the order in which the store does: a lookup tells the clock
//! and touches a row, a miss makes room first, and what then comes in is admitted.

use std::collections::HashMap;

use crate::space::evict::{Candidate, Clock, Evictor, Pick};

/// A cache of sizes without contents.
pub struct Replay {
    clock: Clock,
    evictor: Evictor<u64>,
    rows: Vec<Candidate<u64>>,
    places: HashMap<u64, u32>,
    used: u64,
    room: u64,
}

impl Replay {
    /// An empty one with `room` bytes; `seed` decides the policy's sampling.
    pub fn new(room: u64, seed: u64) -> Self {
        let (rows, places) = (Vec::new(), HashMap::new());
        Self { clock: Clock::default(), evictor: Evictor::new(seed), rows, places, used: 0, room }
    }

    /// Asks for an object; `true` if it was here. One that was not is here afterwards, unless it is larger than the room: that passes.
    pub fn ask(&mut self, key: u64, size: u64) -> bool {
        self.clock.advance(1, self.rows.len() as u64);
        let now = self.clock.now();
        if let Some(place) = self.places.get(&key) {
            self.rows[*place as usize].usage.touch(now);
            return true;
        }
        if size <= self.room {
            self.fill(key, size);
        }
        false
    }

    /// Whether an object is here.
    pub fn has(&self, key: u64) -> bool {
        self.places.contains_key(&key)
    }

    fn fill(&mut self, key: u64, size: u64) {
        while self.used + size > self.room {
            self.evict();
        }
        self.clock.admitted(self.rows.len() as u64);
        let usage = self.evictor.admit(self.clock.now(), spread(key));
        self.places.insert(key, self.rows.len() as u32);
        self.rows.push(Candidate { key, usage, size });
        self.used += size;
    }

    fn evict(&mut self) {
        let (now, rows, places) = (self.clock.now(), &self.rows, &self.places);
        let victim = self
            .evictor
            .victim(now, rows.len(), |pick| match pick {
                Pick::At(at) => rows.get(at).copied(),
                Pick::Known(key) => places.get(&key).map(|place| rows[*place as usize]),
            })
            .expect("bytes are used, so that there is an object that may go");
        let place = self.places.remove(&victim).expect("a victim is one of the rows");
        let gone = self.rows.swap_remove(place as usize);
        if let Some(moved) = self.rows.get(place as usize) {
            self.places.insert(moved.key, place);
        }
        self.used -= gone.size;
        self.evictor.remove(now, spread(victim), gone.usage);
    }
}

/// Spreads keys as digests are spread (the finalizer of SplitMix64).
fn spread(key: u64) -> u64 {
    let mut hash = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
