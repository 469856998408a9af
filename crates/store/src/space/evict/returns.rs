//! Who came back, after how long: counted where it happens, by many threads, and collected when somebody draws conclusions.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{
    ages::{AGES, step},
    class::{CLASSES, Class},
    usage::Return,
};

/// Who was asked for more often than this is popular, and comes back all the time: a sample of it is enough.
const POPULAR: u8 = 8;

/// Lookups of which one is told, of what is popular. Also how many a thread counts before it tells the clock.
pub(crate) const TOLD: u64 = 16;

/// A count for each class and age.
#[derive(Debug)]
pub(crate) struct Returns(Box<[AtomicU32]>);

impl Default for Returns {
    fn default() -> Self {
        Self((0..CLASSES * AGES).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Returns {
    /// One came back, as every hit does: inlined, for most are not counted (benchmark `lookup`). `is_told` is true for one of [`TOLD`] lookups; of popular objects only those are counted, as that many.
    #[inline]
    pub(crate) fn note(&self, back: Return, is_told: bool) {
        match (back.before.uses() > POPULAR, is_told) {
            (false, _) => self.add(back, 1),
            (true, true) => self.add(back, TOLD as u32),
            (true, false) => {}
        }
    }

    fn add(&self, back: Return, count: u32) {
        self.0[place(back.before.class(), step(back.age))].fetch_add(count, Ordering::Relaxed);
    }

    /// Hands out what was counted since the last time, in the order of [`place`].
    pub(crate) fn collect(&self, mut take: impl FnMut(usize, u32)) {
        for (at, count) in self.0.iter().enumerate() {
            if count.load(Ordering::Relaxed) > 0 {
                take(at, count.swap(0, Ordering::Relaxed));
            }
        }
    }
}

/// Where the count of a class at a step of age stands.
pub(crate) fn place(class: Class, step: usize) -> usize {
    class.number() * AGES + step
}

#[cfg(test)]
mod tests {
    use super::{
        super::{clock::Now, usage::Usage},
        *,
    };

    #[test]
    fn what_is_popular_is_sampled_and_counts_as_much() {
        let returns = Returns::default();
        let of = |uses| Usage::remembered(Now::at(0), uses, 50);
        let (rare, popular) = (of(2), of(90));
        for lookup in 1..=2 * TOLD {
            returns.note(Return { before: rare, age: 40 }, lookup % TOLD == 0);
            returns.note(Return { before: popular, age: 40 }, lookup % TOLD == 0);
        }
        let mut found = Vec::new();
        returns.collect(|at, count| found.push((at, count)));
        assert_eq!(found, [rare, popular].map(|usage| (place(usage.class(), step(40)), 32)));
        returns.collect(|at, count| panic!("{at} was counted twice: {count}"));
    }
}
