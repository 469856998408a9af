//! The eviction policy without a disk: what a trace of requests is replayed against (`outpost-bench traces`). There is no decision in
//! here. An index of objects that have no files drives `space::evict` in the order in which the store does: a lookup tells the clock
//! and touches a row, a miss makes room first, and what then comes in is admitted.

use std::{collections::HashMap, sync::Arc};

use crate::space::evict::{Candidate, Clock, Evictor, Pick, Returns, TOLD, Usage};

/// A cache of sizes without contents.
pub struct Replay {
    clock: Clock,
    returns: Arc<Returns>,
    evictor: Evictor<u64>,
    rows: Vec<Row>,
    places: HashMap<u64, u32>,
    lookups: u64,
    used: u64,
    room: u64,
}

struct Row {
    key: u64,
    usage: Usage,
    size: u64,
}

impl Replay {
    /// An empty one with `room` bytes; `seed` decides the policy's sampling.
    pub fn new(room: u64, seed: u64) -> Self {
        let (clock, returns) = (Clock::default(), Arc::new(Returns::default()));
        let evictor = Evictor::new(seed, returns.clone());
        Self { clock, returns, evictor, rows: Vec::new(), places: HashMap::new(), lookups: 0, used: 0, room }
    }

    /// Asks for an object; `true` if it was here. One that was not is here afterwards, unless it is larger than the room: that passes.
    pub fn ask(&mut self, key: u64, size: u64) -> bool {
        self.clock.advance(1);
        self.lookups += 1;
        if let Some(place) = self.places.get(&key) {
            if let Some(back) = self.rows[*place as usize].usage.touch(self.clock.now()) {
                self.returns.note(back, self.lookups.is_multiple_of(TOLD));
            }
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

    /// The server is started anew: what stands in its index is all that is left.
    pub fn restart(&mut self, seed: u64) {
        let now = self.clock.now();
        let anew = Self::new(self.room, seed);
        (self.clock, self.returns, self.evictor) = (anew.clock, anew.returns, anew.evictor);
        for row in &mut self.rows {
            row.usage = Usage::restored(self.clock.now(), row.usage.written(now));
        }
    }

    fn fill(&mut self, key: u64, size: u64) {
        while self.used + size > self.room {
            self.evict();
        }
        let usage = self.evictor.admit(self.clock.now(), spread(key));
        self.places.insert(key, self.rows.len() as u32);
        self.rows.push(Row { key, usage, size });
        self.used += size;
    }

    fn evict(&mut self) {
        let (now, rows, places) = (self.clock.now(), &self.rows, &self.places);
        let candidate = |row: &Row| Candidate { key: row.key, usage: row.usage };
        let victim = self
            .evictor
            .victim(now, rows.len(), |pick| match pick {
                Pick::At(at) => rows.get(at).map(candidate),
                Pick::Known(key) => places.get(&key).map(|place| candidate(&rows[*place as usize])),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asks for the same object so often, other lookups between.
    fn ask_often(replay: &mut Replay, keys: &[u64], times: u64) {
        for _ in 0..times {
            keys.iter().for_each(|key| {
                replay.ask(*key, 1);
            });
        }
    }

    fn kept(replay: &Replay, keys: &[u64]) -> usize {
        keys.iter().filter(|key| replay.has(**key)).count()
    }

    #[test]
    fn asked_for_often_outlives_asked_for_once() {
        let mut replay = Replay::new(10, 7);
        let popular = [0, 1, 2, 3, 4];
        ask_often(&mut replay, &popular, 8);
        (100..1000).for_each(|key| {
            replay.ask(key, 1);
        });
        assert_eq!(kept(&replay, &popular), 5, "a scan pushed out what is popular");
    }

    #[test]
    fn old_popularity_fades() {
        let mut replay = Replay::new(10, 7);
        ask_often(&mut replay, &[1], 200);
        for round in 0..20 {
            let keys: Vec<u64> = (10..19).map(|key| key + round % 2 * 10).collect();
            ask_often(&mut replay, &keys, 500);
        }
        assert!(!replay.has(1), "popular once, popular for ever");
    }

    #[test]
    fn who_comes_back_soon_is_not_a_stranger() {
        let mut replay = Replay::new(100, 7);
        let popular: Vec<u64> = (0..50).collect();
        ask_often(&mut replay, &popular, 4);
        // Pushed out by force, as a lowered limit does.
        while replay.used > 0 {
            replay.evict();
        }
        ask_often(&mut replay, &popular, 1);
        (1000..3000).for_each(|key| {
            replay.ask(key, 1);
        });
        assert!(kept(&replay, &popular) > 45, "{} were remembered", kept(&replay, &popular));
    }

    #[test]
    fn of_a_loop_that_is_too_long_a_part_stays() {
        let mut replay = Replay::new(500, 7);
        let asks = 40_000;
        let hits = (0..asks).filter(|at| replay.ask(at % 1000, 1)).count() as u64;
        assert!(hits * 100 / asks > 40, "{} % hits; whoever lets the oldest go has none", hits * 100 / asks);
    }

    #[test]
    fn most_of_what_can_be_had_of_a_skewed_trace() {
        // 10,000 objects asked for with 1/rank popularity, room for 500.
        let (mut replay, mut random) = (Replay::new(500, 7), 99u64);
        let (mut hits, asks) = (0, 60_000);
        for _ in 0..asks {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rank = 10_000f64.powf((random >> 33) as f64 / (1u64 << 31) as f64) as u64;
            hits += u64::from(replay.ask(rank, 1));
        }
        // The 500 most popular get ln(500)/ln(10000) = 67 % of all requests: the best a policy could do.
        assert!(hits * 100 / asks >= 62, "{} % hits", hits * 100 / asks);
    }

    /// What an object is worth now.
    fn worth(replay: &Replay, key: u64) -> f32 {
        replay.evictor.worths().of(&replay.rows[replay.places[&key] as usize].usage, replay.clock.now())
    }

    #[test]
    fn a_restart_keeps_the_order() {
        let mut replay = Replay::new(3000, 7);
        let groups: [Vec<u64>; 4] = [0, 1, 2, 3].map(|group| (group * 1000..group * 1000 + 300).collect());
        let [popular, twice, once_late, once_early] = &groups;
        ask_often(&mut replay, once_early, 1);
        ask_often(&mut replay, popular, 8);
        ask_often(&mut replay, twice, 2);
        ask_often(&mut replay, once_late, 1);
        for is_restarted in [false, true] {
            if is_restarted {
                replay.restart(8);
            }
            let worths = groups.each_ref().map(|group| worth(&replay, group[150]));
            assert!(worths.is_sorted_by(|more, less| more > less), "restarted: {is_restarted}, {worths:?}");
        }
        (5000..7500).for_each(|key| {
            replay.ask(key, 1);
        });
        assert!(kept(&replay, popular) > 290, "{} of the popular are here", kept(&replay, popular));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Whatever the room and the sizes: strangers that fit beside what is asked for often do not push it out.
        #[test]
        fn one_timers_do_not_displace(seed: u64, popular in 4..60u64, size in 1..9u64, strangers in 200..2000u64) {
            let mut replay = Replay::new(2 * popular * size, seed);
            let keys: Vec<u64> = (0..popular).collect();
            for _ in 0..6 {
                for key in &keys {
                    replay.ask(*key, size);
                }
            }
            (0..strangers).for_each(|key| {
                replay.ask(1_000_000 + key, 1 + key % size);
            });
            prop_assert!(kept(&replay, &keys) * 10 >= keys.len() * 9, "{} of {}", kept(&replay, &keys), keys.len());
        }

        /// The bytes are never exceeded, the same seed decides alike, and what is told as a hit was here.
        #[test]
        fn a_replay_is_right_and_repeatable(seed: u64, asks in prop::collection::vec((0..60u64, 1..40u64), 1..600), room in 1..400u64) {
            let (mut one, mut other) = (Replay::new(room, seed), Replay::new(room, seed));
            let sizes: HashMap<u64, u64> = asks.iter().rev().copied().collect();
            for (key, _) in &asks {
                let (size, was_here) = (sizes[key], one.has(*key));
                prop_assert_eq!(one.ask(*key, size), was_here);
                prop_assert_eq!(other.ask(*key, size), was_here);
                prop_assert!(one.used <= room && one.used == one.rows.iter().map(|row| row.size).sum::<u64>());
                prop_assert_eq!(one.has(*key), size <= room);
            }
        }
    }
}
