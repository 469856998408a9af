//! Who goes: the one that is worth least of a few drawn at random and of the best candidates of earlier rounds; with few objects all are
//! looked at. No object is moved when it is asked for, and none has a place in a queue.

use std::sync::Arc;

use super::{
    ages::step,
    clock::Now,
    evidence::Evidence,
    ghosts::Ghosts,
    returns::{Returns, TOLD},
    usage::Usage,
    worth::Worths,
};

/// Objects looked at per victim.
const SAMPLES: usize = 24;
/// Candidates remembered between victims.
const POOL_MAX: usize = 16;
/// Up to this many objects all of them are looked at.
const EXACT_MAX: usize = 64;
/// Lookups after which conclusions are drawn: soon at first, and rarely when nothing much is new any more.
const LEARN_EVERY_MIN: u64 = 128;
const LEARN_EVERY: u64 = 1024;
const LEARN_EVERY_MAX: u64 = 1 << 16;
/// And after so many victims, so that enough objects were looked at.
const ROUNDS_MIN: f32 = 16.0;
/// What was learned counts half after so many turnovers of the cache, and not before so many lookups.
const HALF_LIFE_TURNOVERS: f32 = 16.0;
const HALF_LIFE_MIN: f32 = (1 << 20) as f32;

/// One object that might go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<K> {
    /// Its name.
    pub(crate) key: K,
    /// What is remembered of it.
    pub(crate) usage: Usage,
}

/// Which object the evictor wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick<K> {
    /// Any one: the number chooses among `0..total`.
    At(usize),
    /// One that it saw before, if it is still there.
    Known(K),
}

/// Chooses victims. One at a time; deterministic for a seed and what was told.
#[derive(Debug)]
pub(crate) struct Evictor<K> {
    random: u64,
    pool: Vec<K>,
    returns: Arc<Returns>,
    evidence: Evidence,
    worths: Arc<Worths>,
    ghosts: Ghosts,
    /// When conclusions were drawn, and what came in since.
    learned: Option<Now>,
    admissions: u64,
    /// Lookups per admission.
    pause: f32,
}

impl<K: Copy + PartialEq> Evictor<K> {
    /// A new one; `seed` decides its sampling, `returns` is where hits are noted.
    pub(crate) fn new(seed: u64, returns: Arc<Returns>) -> Self {
        let (evidence, pool) = (Evidence::default(), Vec::with_capacity(POOL_MAX + 1));
        let worths = Arc::new(Worths::new(&evidence, 1.0, HALF_LIFE_MIN));
        let ghosts = Ghosts::default();
        Self { random: seed | 1, pool, returns, evidence, worths, ghosts, learned: None, admissions: 0, pause: 1.0 }
    }

    /// What the policy keeps of an object that comes in. `hash` is well spread over the objects.
    pub(crate) fn admit(&mut self, now: Now, hash: u64) -> Usage {
        self.admissions += 1;
        let Some(back) = self.ghosts.take(now, hash) else { return Usage::new(now) };
        let is_told = self.admissions.is_multiple_of(TOLD);
        self.returns.note(back, is_told);
        let mut usage = back.before;
        usage.touch(now);
        usage
    }

    /// An object was evicted.
    pub(crate) fn remove(&mut self, now: Now, hash: u64, usage: Usage) {
        if let Some((class, step)) = self.ghosts.put(now, hash, &usage) {
            self.evidence.forgotten(class, step);
        }
    }

    /// What objects are worth at present.
    pub(crate) fn worths(&self) -> Arc<Worths> {
        self.worths.clone()
    }

    /// The object that is worth least among those looked at. `look` answers with the object or `None` if it is gone or may not go.
    pub(crate) fn victim(
        &mut self,
        now: Now,
        total: usize,
        mut look: impl FnMut(Pick<K>) -> Option<Candidate<K>>,
    ) -> Option<K> {
        self.learn(now, total);
        let mut seen: Vec<(f32, u64, K)> = Vec::with_capacity(EXACT_MAX);
        let pool =
            std::mem::take(&mut self.pool).into_iter().filter_map(|key| look(Pick::Known(key))).collect::<Vec<_>>();
        let drawn = self.draw(total, look);
        self.count(now, total, &drawn);
        for found in pool.into_iter().chain(drawn) {
            if !seen.iter().any(|(_, _, key)| *key == found.key) {
                seen.push((self.worths.of(&found.usage, now), u64::MAX - found.usage.age(now), found.key));
            }
        }
        // Of equals the one that waits longest.
        seen.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        self.pool.extend(seen.iter().skip(1).take(POOL_MAX).map(|(_, _, key)| *key));
        seen.first().map(|(_, _, key)| *key)
    }

    fn draw(&mut self, total: usize, mut look: impl FnMut(Pick<K>) -> Option<Candidate<K>>) -> Vec<Candidate<K>> {
        if total <= EXACT_MAX {
            return (0..total).filter_map(|at| look(Pick::At(at))).collect();
        }
        let draws = (0..SAMPLES).filter_map(|_| look(Pick::At((self.random() % total as u64) as usize)));
        draws.collect()
    }

    /// What was drawn tells who is waited for.
    fn count(&mut self, now: Now, total: usize, drawn: &[Candidate<K>]) {
        let weight = total as f32 / total.min(if total <= EXACT_MAX { EXACT_MAX } else { SAMPLES }).max(1) as f32;
        for found in drawn.iter().filter(|found| !found.usage.is_restored()) {
            self.evidence.drawn(found.usage.class(), step(found.usage.age(now)), weight);
        }
        self.evidence.round_ends();
    }

    /// Draws conclusions, when it is time.
    fn learn(&mut self, now: Now, total: usize) {
        self.ghosts.fit(total);
        let elapsed = self.learned.map_or(now.lookups(), |learned| now.since(learned));
        let due =
            (now.lookups() / 8).clamp(LEARN_EVERY_MIN, LEARN_EVERY).max(now.lookups() / 1024).min(LEARN_EVERY_MAX);
        if self.learned.is_some() && (elapsed < due || self.evidence.rounds() < ROUNDS_MIN) {
            return;
        }
        if self.admissions > 0 {
            let pause = elapsed as f32 / self.admissions as f32;
            self.pause = if self.learned.is_none() { pause } else { self.pause + (pause - self.pause) / 4.0 };
        }
        let turnover = (self.pause * total as f32).max(1.0);
        let half_life = (turnover * HALF_LIFE_TURNOVERS).max(HALF_LIFE_MIN);
        self.evidence.collect(&self.returns, elapsed, half_life);
        self.evidence.see(&mut self.ghosts, now);
        self.worths = Arc::new(Worths::new(&self.evidence, turnover, half_life));
        self.evidence.draw_anew();
        (self.learned, self.admissions) = (Some(now), 0);
    }

    /// xorshift64*: repeatable, and good enough to choose samples.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}
