//! What it is worth to keep an object of a class at an age: the chance that it is asked for, by the time it would have to be kept
//! until then. Pure: evidence in, a table out.

use super::{
    ages::{AGES, begin, length, step},
    class::{CLASSES, Class},
    clock::Now,
    evidence::{Counted, Evidence},
    returns::place,
    usage::Usage,
};

/// So many objects the assumption counts as, against which evidence has to weigh. Much of it where an object was asked for only once:
/// that strangers come back must be shown by many before one of them displaces what is known to.
const PROOF_ONCE: f32 = 256.0;
const PROOF_AGAIN: f32 = 16.0;
/// Uses that are assumed beside those that were seen: of one that was asked for once, and of others.
const ASSUMED_ONCE: f32 = 0.2;
const ASSUMED_AGAIN: f32 = 0.5;
/// The largest part that can be expected to come back within a step.
const PART_MAX: f32 = 0.98;

/// The table: hits per lookup that an object is kept for.
#[derive(Debug)]
pub(crate) struct Worths(Box<[f32]>);

impl Worths {
    /// What follows from the evidence. `turnover` is in how many lookups the whole cache is replaced once.
    pub(crate) fn new(evidence: &Evidence, turnover: f32, half_life: f32) -> Self {
        let mut table = vec![0.0; CLASSES * AGES].into_boxed_slice();
        for class in Class::all() {
            let parts = parts(class, &evidence.counted(class, half_life), turnover);
            for (step, worth) in best(&parts).into_iter().enumerate() {
                table[place(class, step)] = worth;
            }
        }
        Self(table)
    }

    /// What an object is worth now. Between two steps it lies between both.
    pub(crate) fn of(&self, usage: &Usage, now: Now) -> f32 {
        let age = usage.age(now);
        let at = step(age);
        let here = self.0[place(usage.class(), at)];
        if at + 1 == AGES {
            return here;
        }
        let part = (age - begin(at)) as f32 / length(at);
        here + (self.0[place(usage.class(), at + 1)] - here) * part
    }
}

/// For each step of age the part of a class that is expected back within it, of those that are still waited for at its begin.
fn parts(class: Class, counted: &[Counted; AGES], turnover: f32) -> [f32; AGES] {
    let (again, interval) = class.typical();
    let (uses, proof) = if again > 0.0 { (again + ASSUMED_AGAIN, PROOF_AGAIN) } else { (ASSUMED_ONCE, PROOF_ONCE) };
    let mut parts = [0.0; AGES];
    for (step, part) in parts.iter_mut().enumerate().take(AGES - 1) {
        let middle = begin(step) as f32 + length(step) / 2.0;
        // What is not known is assumed: so many uses in the time since the first, and a turnover beside, for nobody is sure of the first few.
        let assumed = uses / (again * interval + middle + turnover) * length(step);
        *part = ((counted[step].returned + proof * assumed) / (counted[step].of + proof)).min(PART_MAX);
    }
    parts
}

/// For each step of age: the most hits per lookup of waiting, over all times at which one could give up waiting.
fn best(parts: &[f32; AGES]) -> [f32; AGES] {
    let mut left = [1.0; AGES + 1];
    for (step, part) in parts.iter().enumerate() {
        left[step + 1] = left[step] * (1.0 - part);
    }
    let mut best = [0.0; AGES];
    for (from, best) in best.iter_mut().enumerate().take(AGES - 1) {
        let mut waited = 0.0;
        for until in from..AGES - 1 {
            waited += (left[until] + left[until + 1]) / 2.0 * length(until);
            *best = f32::max(*best, (left[from] - left[until + 1]) / waited);
        }
    }
    best[AGES - 1] = best[AGES - 2];
    best
}

#[cfg(test)]
mod tests {
    use super::{
        super::{returns::Returns, usage::Return},
        *,
    };

    const NEVER: f32 = 1e12;

    fn now() -> Now {
        Now::at(1 << 30)
    }

    fn usage(uses: u8, interval: u64, age: u64) -> Usage {
        Usage::remembered(now().before(age), uses, interval)
    }

    #[test]
    fn without_evidence_more_uses_are_worth_more_and_long_silence_less() {
        let worths = Worths::new(&Evidence::default(), 10_000.0, NEVER);
        let worth = |uses, interval, age| worths.of(&usage(uses, interval, age), now());
        assert!(worth(2, 100, 50) > worth(1, 0, 0), "once is less than twice");
        assert!(worth(9, 100, 3000) > worth(2, 100, 3000));
        assert!(worth(9, 100, 3000) > worth(9, 2000, 3000), "short intervals are better");
        assert!(worth(1, 0, 100) > worth(1, 0, 20_000));
        assert!(worth(5, 100, 1_000_000) < worth(1, 0, 0), "popular once is not popular for ever");
    }

    #[test]
    fn what_never_comes_back_is_worth_less_than_assumed() {
        let (mut evidence, assumed) = (Evidence::default(), Worths::new(&Evidence::default(), 1000.0, NEVER));
        (0..10_000).for_each(|_| evidence.forgotten(Class::of(1, 0), step(1_000_000)));
        let worths = Worths::new(&evidence, 1000.0, NEVER);
        let new = usage(1, 0, 0);
        assert!(worths.of(&new, now()) < assumed.of(&new, now()) / 10.0);
    }

    #[test]
    fn in_a_loop_the_one_that_is_soon_to_come_is_worth_most() {
        let (mut evidence, returns, before) = (Evidence::default(), Returns::default(), usage(1, 0, 0));
        (0..10_000).for_each(|_| returns.note(Return { before, age: 1100 }, false));
        evidence.collect(&returns, 0, NEVER);
        let worths = Worths::new(&evidence, 1000.0, NEVER);
        let worth = |age| worths.of(&usage(1, 0, age), now());
        assert!(worth(0) < worth(500) && worth(500) < worth(1000));
        assert!(worth(100_000) < worth(0) / 10.0, "who missed its turn");
    }

    #[test]
    fn worth_has_no_jumps_between_steps() {
        let worths = Worths::new(&Evidence::default(), 10_000.0, NEVER);
        for age in 1..5000 {
            let (before, after) = (worths.of(&usage(3, 300, age - 1), now()), worths.of(&usage(3, 300, age), now()));
            assert!(after < before * 1.001 && after > before * 0.9, "at {age}: {before} and {after}");
        }
    }
}
