//! What is known of who comes back: for each class and age those who did, those who are still waited for, and those who were forgotten
//! meanwhile. The last two are why counting who came back is not enough: a scan is seen by those who do not come.

use super::{
    ages::{AGES, begin},
    class::{CLASSES, Class},
    clock::Now,
    ghosts::Ghosts,
    returns::{Returns, place},
};

/// The counts, in the order of [`place`]. What is old counts less.
#[derive(Debug)]
pub(crate) struct Evidence {
    returned: Box<[f32]>,
    forgotten: Box<[f32]>,
    waiting: Box<[f32]>,
    /// Rounds of draws in `waiting`.
    rounds: f32,
    /// Ghosts, who are waited for too.
    ghosts: Box<[f32]>,
}

/// Of one class, by age: how many came back, and of how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) returned: f32,
    pub(crate) of: f32,
}

impl Default for Evidence {
    fn default() -> Self {
        let none = || vec![0.0; CLASSES * AGES].into_boxed_slice();
        Self { returned: none(), forgotten: none(), waiting: none(), rounds: 0.0, ghosts: none() }
    }
}

impl Evidence {
    /// An object that nobody came back for so far was drawn at random; `weight` is for how many it stands in this round.
    pub(crate) fn drawn(&mut self, class: Class, step: usize, weight: f32) {
        self.waiting[place(class, step)] += weight;
    }

    /// All draws of a round are done.
    pub(crate) fn round_ends(&mut self) {
        self.rounds += 1.0;
    }

    /// Rounds since the last [`Evidence::collect`].
    pub(crate) fn rounds(&self) -> f32 {
        self.rounds
    }

    /// Nothing is known any more of an object that was asked for so long ago.
    pub(crate) fn forgotten(&mut self, class: Class, step: usize) {
        self.forgotten[place(class, step)] += 1.0;
    }

    /// Looks at the ghosts anew.
    pub(crate) fn see(&mut self, ghosts: &mut Ghosts, now: Now) {
        self.ghosts.fill(0.0);
        let weight = ghosts.look(now, |class, step| self.ghosts[place(class, step)] += 1.0);
        self.ghosts.iter_mut().for_each(|count| *count *= weight);
    }

    /// Takes in what came back, `elapsed` lookups after the last time; half of what is known counts after `half_life`.
    pub(crate) fn collect(&mut self, returns: &Returns, elapsed: u64, half_life: f32) {
        let fade = (-(elapsed as f32) / half_life).exp2();
        self.returned.iter_mut().chain(&mut self.forgotten).for_each(|count| *count *= fade);
        returns.collect(|at, count| self.returned[at] += count as f32);
    }

    /// Begins new rounds. A part of the old stays: few draws say little.
    pub(crate) fn draw_anew(&mut self) {
        self.waiting.iter_mut().for_each(|count| *count /= 2.0);
        self.rounds /= 2.0;
    }

    /// Of those of a class that were not asked for until each age, how many were within its step. Who is still waited for was at risk
    /// of it up to its age, as in the estimator of Kaplan and Meier. What began `half_life` earlier counts half.
    pub(crate) fn counted(&self, class: Class, half_life: f32) -> [Counted; AGES] {
        let mut counted = [Counted { returned: 0.0, of: 0.0 }; AGES];
        let mut older = 0.0;
        for step in (0..AGES).rev() {
            let at = place(class, step);
            let fade = (-(begin(step) as f32) / half_life).exp2();
            let returned = self.returned[at] * fade;
            let waiting = if self.rounds > 0.0 { self.waiting[at] / self.rounds } else { 0.0 };
            let here = returned + (self.forgotten[at] + self.ghosts[at] + waiting) * fade;
            // Who is in the midst of the step is half in it.
            counted[step] = Counted { returned, of: older + here / 2.0 + returned / 2.0 };
            older += here;
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::usage::{Return, Usage},
        *,
    };

    #[test]
    fn who_waits_and_who_was_forgotten_counts_up_to_its_age() {
        let (mut evidence, returns, class) = (Evidence::default(), Returns::default(), Class::of(1, 0));
        let before = Usage::new(Now::at(0));
        (0..10).for_each(|_| returns.note(Return { before, age: 2 }, false));
        evidence.collect(&returns, 0, 1e9);
        evidence.forgotten(class, 3);
        for _ in 0..4 {
            evidence.drawn(class, 1, 20.0);
            evidence.round_ends();
        }
        let counted = evidence.counted(class, 1e9);
        let near = |step: usize, returned: f32, of: f32| {
            let found = counted[step];
            assert!((found.returned - returned).abs() < 0.1 && (found.of - of).abs() < 0.1, "{step}: {found:?}");
        };
        near(0, 0.0, 31.0);
        near(1, 0.0, 21.0);
        near(2, 10.0, 11.0);
        near(3, 0.0, 0.5);
        near(4, 0.0, 0.0);
    }

    #[test]
    fn what_was_long_ago_counts_less() {
        let (mut evidence, returns, class) = (Evidence::default(), Returns::default(), Class::of(2, 5));
        let before = Usage::remembered(Now::at(0), 2, 5);
        (0..8).for_each(|_| returns.note(Return { before, age: 0 }, false));
        evidence.collect(&returns, 0, 100.0);
        evidence.collect(&returns, 200, 100.0);
        assert_eq!(evidence.counted(class, 100.0)[0].returned, 2.0);
    }
}
