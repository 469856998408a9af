//! Which object goes when room is needed: a pure policy, without I/O, clock or locks, that a trace can be replayed against.
//!
//! Objects are ranked by how often they were asked for, aged: every epoch of lookups halves all counts, so that old popularity
//! fades. The victim is the least worth of a few random objects and of the best candidates of earlier rounds; with few
//! objects all are looked at, and the choice is exact. Sampling needs no queue: 8 bytes per object, and no object is moved when
//! it is asked for. Who was admitted last is passed over for a few admissions, so that a newcomer gets its chance; it is few enough
//! that a scan does not push out what is popular. What is evicted is remembered for a while by a fingerprint: who comes back soon is not a stranger.
//!
//! Size counts only mildly (at most half a use between one byte and the largest file): what an eviction costs is bytes over
//! the line, what it gains is bytes of room, and the two cancel out.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Objects looked at per victim.
const SAMPLES: usize = 24;
/// Candidates remembered between victims.
const POOL_MAX: usize = 16;
/// Up to this many objects all of them are looked at.
const EXACT_MAX: usize = 64;
/// Remembered fingerprints of evicted objects.
const GHOSTS: usize = 1 << 15;
/// Fewest lookups in an epoch.
const EPOCH_MIN: u64 = 4096;
/// Lookups per object in an epoch, where that is more.
const EPOCH_PER_OBJECT: u64 = 8;
/// Lookups per tick: recency needs no finer grain, and a tick then fits 32 bits for long.
const LOOKUPS_PER_TICK: u64 = 4;
/// Admissions in a generation: one of so many objects. The last generation and the one before are passed over.
const OBJECTS_PER_NEWBORN: u64 = 64;
/// Above anything that uses can be worth.
const NEWBORN: u64 = 1 << 63;

/// The moment as the policy counts it: in lookups, not in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Counts lookups, coarsely; wraps.
    pub(crate) tick: u32,
    /// Counts halvings; wraps.
    pub(crate) epoch: u16,
    /// Counts admissions, coarsely; wraps.
    pub(crate) generation: u8,
}

/// Counts lookups and cuts them into epochs. Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    lookups: AtomicU64,
    epoch: AtomicU32,
    epoch_ends: AtomicU64,
    admissions: AtomicU64,
    generation: AtomicU32,
    generation_ends: AtomicU64,
}

/// What is remembered of one object: 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    last: u32,
    epoch: u16,
    uses: u8,
    born: u8,
}

/// One object that might go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<K> {
    /// Its name.
    pub(crate) key: K,
    /// What is remembered of it.
    pub(crate) usage: Usage,
    /// Bytes.
    pub(crate) size: u64,
}

/// Which object the evictor wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick<K> {
    /// Any one: the number chooses among `0..total`.
    At(usize),
    /// One that it saw before, if it is still there.
    Known(K),
}

/// Chooses victims. One at a time; deterministic for a seed.
#[derive(Debug)]
pub(crate) struct Evictor<K> {
    random: u64,
    pool: Vec<K>,
    /// A fingerprint in the upper 24 bits, uses in the lower 8.
    ghosts: Box<[u32]>,
}

impl Clock {
    /// The moment.
    pub(crate) fn now(&self) -> Now {
        Now {
            tick: (self.lookups.load(Ordering::Relaxed) / LOOKUPS_PER_TICK) as u32,
            epoch: self.epoch.load(Ordering::Relaxed) as u16,
            generation: self.generation.load(Ordering::Relaxed) as u8,
        }
    }

    /// Adds lookups, `objects` being how many there are; begins a new epoch when it is time. Callers may add in batches.
    pub(crate) fn advance(&self, lookups: u64, objects: u64) {
        let count = self.lookups.fetch_add(lookups, Ordering::Relaxed) + lookups;
        cut(&self.epoch_ends, &self.epoch, count, (objects * EPOCH_PER_OBJECT).max(EPOCH_MIN));
    }

    /// One object more was admitted, `objects` being how many there are.
    pub(crate) fn admitted(&self, objects: u64) {
        let count = self.admissions.fetch_add(1, Ordering::Relaxed) + 1;
        cut(&self.generation_ends, &self.generation, count, (objects / OBJECTS_PER_NEWBORN).max(1));
    }
}

/// Begins the next stretch of `length` if `count` has reached the end of this one.
fn cut(ends: &AtomicU64, stretch: &AtomicU32, count: u64, length: u64) {
    let end = ends.load(Ordering::Relaxed);
    if count >= end
        && ends.compare_exchange(end, count + length, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        && end > 0
    {
        stretch.fetch_add(1, Ordering::Relaxed);
    }
}

impl Usage {
    /// Of an object that comes in; `uses` is what is remembered of it from before.
    pub(crate) fn admitted(now: Now, uses: u8) -> Self {
        Self { last: now.tick, epoch: now.epoch, uses: uses.max(1), born: now.generation }
    }

    /// Of an object found at a start, with its recorded uses.
    pub(crate) fn restored(now: Now, uses: u8) -> Self {
        Self { last: now.tick, epoch: now.epoch, uses, born: now.generation.wrapping_sub(u8::MAX / 2) }
    }

    /// The object was asked for.
    pub(crate) fn touch(&mut self, now: Now) {
        *self = Self { last: now.tick, epoch: now.epoch, uses: self.uses(now).saturating_add(1), born: self.born };
    }

    /// How often it was asked for, halved for every epoch since.
    pub(crate) fn uses(&self, now: Now) -> u8 {
        self.uses.checked_shr(u32::from(now.epoch.wrapping_sub(self.epoch))).unwrap_or(0)
    }

    /// What it is worth to keep it; the least goes first. Equal uses are told apart by size (a little) and recency.
    pub(crate) fn worth(&self, now: Now, size: u64) -> u64 {
        let age = now.tick.wrapping_sub(self.last);
        let newborn = if now.generation.wrapping_sub(self.born) <= 1 { NEWBORN } else { 0 };
        let light = 2 * u64::from(size.leading_zeros());
        let uses = (u64::from(self.uses(now)) << 8) + light;
        newborn | uses << 32 | u64::from(u32::MAX - age)
    }
}

impl<K: Copy + PartialEq> Evictor<K> {
    /// A new one; `seed` decides its sampling.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: seed | 1, pool: Vec::with_capacity(POOL_MAX + 1), ghosts: vec![0; GHOSTS].into() }
    }

    /// What the policy keeps of an object that comes in. `hash` is well spread over the objects.
    pub(crate) fn admit(&mut self, now: Now, hash: u64) -> Usage {
        let (place, print) = ghost(hash);
        let found = std::mem::take(&mut self.ghosts[place]);
        let remembered = if found & !0xff == print { (found & 0xff) as u8 } else { 0 };
        Usage::admitted(now, remembered.saturating_add(1))
    }

    /// An object was evicted: half of its uses are remembered.
    pub(crate) fn remove(&mut self, now: Now, hash: u64, usage: Usage) {
        let (place, print) = ghost(hash);
        self.ghosts[place] = print | u32::from(usage.uses(now) / 2);
    }

    /// The object that is worth least among those looked at. `look` answers with the object or `None` if it is gone or may not go.
    pub(crate) fn victim(
        &mut self,
        now: Now,
        total: usize,
        mut look: impl FnMut(Pick<K>) -> Option<Candidate<K>>,
    ) -> Option<K> {
        let mut seen: Vec<(u64, K)> = Vec::with_capacity(EXACT_MAX);
        let mut consider = |found: Option<Candidate<K>>| {
            if let Some(found) = found
                && !seen.iter().any(|(_, key)| *key == found.key)
            {
                seen.push((found.usage.worth(now, found.size), found.key));
            }
        };
        for key in std::mem::take(&mut self.pool) {
            consider(look(Pick::Known(key)));
        }
        if total <= EXACT_MAX {
            (0..total).for_each(|at| consider(look(Pick::At(at))));
        } else {
            for _ in 0..SAMPLES {
                let at = (self.random() % total as u64) as usize;
                consider(look(Pick::At(at)));
            }
        }
        seen.sort_unstable_by_key(|(worth, _)| *worth);
        self.pool.extend(seen.iter().skip(1).take(POOL_MAX).map(|(_, key)| *key));
        seen.first().map(|(_, key)| *key)
    }

    /// xorshift64*: repeatable, and good enough to choose samples.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// Where a fingerprint is kept, and the fingerprint (never 0 in its upper bits).
fn ghost(hash: u64) -> (usize, u32) {
    let place = hash as usize % GHOSTS;
    (place, ((hash >> 24) as u32 & !0xff) | 0x100)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A cache of objects in memory that is driven as the store drives the policy.
    struct Replay {
        clock: Clock,
        evictor: Evictor<u64>,
        objects: Vec<Candidate<u64>>,
        room: u64,
        hits: HashMap<u64, u64>,
    }

    impl Replay {
        fn new(room: u64) -> Self {
            Self { clock: Clock::default(), evictor: Evictor::new(7), objects: Vec::new(), room, hits: HashMap::new() }
        }

        /// Asks for an object; `true` if it was there.
        fn ask(&mut self, key: u64, size: u64) -> bool {
            self.clock.advance(1, self.objects.len() as u64);
            let now = self.clock.now();
            if let Some(object) = self.objects.iter_mut().find(|object| object.key == key) {
                object.usage.touch(now);
                *self.hits.entry(key).or_default() += 1;
                return true;
            }
            while self.objects.iter().map(|object| object.size).sum::<u64>() + size > self.room {
                self.evict();
            }
            self.clock.admitted(self.objects.len() as u64);
            let usage = self.evictor.admit(self.clock.now(), spread(key));
            self.objects.push(Candidate { key, usage, size });
            false
        }

        fn evict(&mut self) -> u64 {
            let now = self.clock.now();
            let objects = &self.objects;
            let victim = self
                .evictor
                .victim(now, objects.len(), |pick| match pick {
                    Pick::At(at) => objects.get(at).copied(),
                    Pick::Known(key) => objects.iter().find(|object| object.key == key).copied(),
                })
                .expect("there is something to evict");
            let at = self.objects.iter().position(|object| object.key == victim).expect("it is there");
            let gone = self.objects.swap_remove(at);
            self.evictor.remove(now, spread(victim), gone.usage);
            victim
        }

        fn has(&self, key: u64) -> bool {
            self.objects.iter().any(|object| object.key == key)
        }
    }

    fn spread(key: u64) -> u64 {
        (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn asked_for_often_outlives_asked_for_once() {
        let mut replay = Replay::new(10);
        (0..5).for_each(|key| {
            (0..8).for_each(|_| {
                replay.ask(key, 1);
            })
        });
        for key in 100..1000 {
            replay.ask(key, 1);
        }
        assert!((0..5).all(|key| replay.has(key)), "a scan pushed out what is popular");
    }

    #[test]
    fn old_popularity_fades() {
        let mut replay = Replay::new(10);
        (0..200).for_each(|_| {
            replay.ask(1, 1);
        });
        for round in 0..20 {
            for key in 10..19 {
                (0..EPOCH_MIN / 8).for_each(|_| {
                    replay.ask(key + round % 2, 1);
                });
            }
        }
        replay.ask(500, 1);
        replay.ask(501, 1);
        assert!(!replay.has(1), "popular once, popular for ever");
    }

    #[test]
    fn a_newcomer_is_not_the_next_victim() {
        let mut replay = Replay::new(10);
        (0..10).for_each(|key| {
            (0..3).for_each(|_| {
                replay.ask(key, 1);
            })
        });
        (0..2000).for_each(|at| {
            replay.ask(at % 10, 1);
        });
        replay.ask(77, 1);
        replay.ask(78, 1);
        assert!(replay.has(77), "evicted at once");
        (80..100).for_each(|key| {
            replay.ask(key, 1);
        });
        assert!(!replay.has(77), "kept for ever");
    }

    #[test]
    fn who_comes_back_is_remembered() {
        let mut replay = Replay::new(3);
        (0..8).for_each(|_| {
            replay.ask(1, 1);
        });
        let now = replay.clock.now();
        let gone = replay.objects.pop().expect("it is there");
        replay.evictor.remove(now, spread(1), gone.usage);
        assert_eq!(replay.evictor.admit(now, spread(1)).uses(now), 5);
        assert_eq!(replay.evictor.admit(now, spread(2)).uses(now), 1);
    }

    #[test]
    fn the_larger_goes_first_only_when_all_else_is_equal() {
        let now = Now { tick: 100, epoch: 3, generation: 9 };
        let small = Usage::admitted(now, 2).worth(now, 1000);
        let large = Usage::admitted(now, 2).worth(now, 1 << 32);
        let large_but_popular = Usage::admitted(now, 3).worth(now, 1 << 32);
        assert!(large < small && small < large_but_popular);
    }

    #[test]
    fn better_than_random_on_a_skewed_trace() {
        // 10,000 objects asked for with 1/rank popularity, room for 500: sampling has to keep most of the head.
        let mut replay = Replay::new(500);
        let mut random = Evictor::<u64>::new(99);
        let (mut hits, rounds) = (0, 60_000);
        for _ in 0..rounds {
            let rank = (10_000f64.powf((random.random() % 1_000_000) as f64 / 1e6)) as u64;
            hits += u64::from(replay.ask(rank, 1));
        }
        // The 500 most popular get ln(500)/ln(10000) = 67 % of all requests: the best a policy could do.
        assert!(hits * 100 / rounds >= 60, "{} % hits", hits * 100 / rounds);
    }

    #[test]
    fn eight_bytes_per_object() {
        assert_eq!(size_of::<Usage>(), 8);
    }
}
