//! Many branches of one headquarters. Each has a line, a proxy and agents of its own; what they share is the uplink at headquarters.
//!
//! Approximated: all begin together and fetch the same, so each has the same share of the uplink as long as it fetches; a branch that has ended gives nothing
//! back to the others. Of many branches a few are simulated with different seeds, and the others are taken to be like them.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use outpost_agent::decide::swarm::terms::Terms;

use super::{
    pieces,
    setup::{Contest, Setup},
    story::Story,
    whole,
};

/// Headquarters with its branches.
#[derive(Clone, Debug)]
pub(crate) struct Company {
    /// Of one branch.
    pub(crate) setup: Setup,
    /// What agents do at once, in pieces.
    pub(crate) terms: Terms,
    pub(crate) branches: u32,
    /// Branches of them that are simulated.
    pub(crate) simulated: u32,
    /// Bits per second that all lines share.
    pub(crate) uplink: u64,
    /// Simulations at a time.
    pub(crate) threads: Option<NonZero<usize>>,
}

/// What a contest came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) contest: Contest,
    /// Of the branches that were simulated.
    pub(crate) stories: Vec<Story>,
}

impl Company {
    /// What a branch has of its line when all fetch.
    pub(crate) fn setup(&self) -> Setup {
        let share = (self.uplink / u64::from(self.branches)).max(1);
        Setup { line: self.setup.line.min(share), ..self.setup.clone() }
    }

    /// Runs a contest in all branches that are simulated.
    pub(crate) fn run(&self, contest: Contest) -> Outcome {
        let setup = self.setup();
        let next = AtomicUsize::new(0);
        let stories = Mutex::new(vec![None; self.simulated as usize]);
        let work = || {
            while let at = next.fetch_add(1, Ordering::Relaxed)
                && at < self.simulated as usize
            {
                // Far apart: agents draw their seeds from that of their branch.
                let seed = setup.seed.wrapping_add((at as u64) << 32);
                let story = one(&Setup { seed, ..setup.clone() }, self.terms, contest);
                stories.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(story);
            }
        };
        let threads = self.threads.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
        thread::scope(|scope| {
            for _ in 0..threads.min(self.simulated as usize) {
                scope.spawn(work);
            }
        });
        let stories = stories.into_inner().unwrap_or_else(PoisonError::into_inner);
        Outcome { contest, stories: stories.into_iter().flatten().collect() }
    }
}

fn one(setup: &Setup, terms: Terms, contest: Contest) -> Story {
    match contest {
        Contest::Pieces => pieces::run(setup, terms),
        contest => whole::run(setup, contest),
    }
}

impl Outcome {
    fn mean(&self, value: impl Fn(&Story) -> f64) -> f64 {
        self.stories.iter().map(value).sum::<f64>() / self.stories.len().max(1) as f64
    }

    /// Of a branch, on average.
    pub(crate) fn line_copies(&self) -> f64 {
        self.mean(Story::line_copies)
    }

    /// Of a branch, on average.
    pub(crate) fn proxy_copies(&self) -> f64 {
        self.mean(Story::proxy_copies)
    }

    /// Of a branch, on average.
    pub(crate) fn per_branch(&self, count: impl Fn(&Story) -> u64) -> f64 {
        self.mean(|story| count(story) as f64)
    }

    /// When that part of the agents was done: of the branches the median for the median, the last for the last.
    pub(crate) fn seconds(&self, part: f64) -> Option<f64> {
        let mut all = self.stories.iter().map(|story| story.seconds(part)).collect::<Option<Vec<f64>>>()?;
        all.sort_by(f64::total_cmp);
        if part < 1.0 { all.get(all.len() / 2).copied() } else { all.last().copied() }
    }

    /// Agents that were never done, of those that were simulated.
    pub(crate) fn not_done(&self) -> u64 {
        self.stories.iter().map(|story| u64::from(story.agents) - story.done.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn company(branches: u32, uplink: u64, threads: usize) -> Company {
        Company {
            setup: Setup::small(),
            terms: Terms::default(),
            branches,
            simulated: branches.min(3),
            uplink,
            threads: NonZero::new(threads),
        }
    }

    #[test]
    fn the_uplink_is_shared_where_it_is_less_than_all_lines() {
        assert_eq!(company(4, 1_000_000_000, 1).setup().line, 100_000_000);
        assert_eq!(company(40, 1_000_000_000, 1).setup().line, 25_000_000);
    }

    #[test]
    fn how_many_threads_run_them_changes_nothing() {
        let (one, two) =
            (company(8, 1 << 40, 1).run(Contest::ProxyAndPeers), company(8, 1 << 40, 2).run(Contest::ProxyAndPeers));
        assert_eq!(one.stories, two.stories);
        assert_eq!((one.stories.len(), one.not_done(), one.line_copies()), (3, 0, 1.0));
        assert_ne!(one.stories[0].done, one.stories[1].done, "each branch has a seed of its own");
        let last = one.stories.iter().filter_map(|story| story.seconds(1.0)).fold(0.0, f64::max);
        assert_eq!(one.seconds(1.0), Some(last));
    }
}
