//! When something that is done again and again is done next.
//!
//! | what happened | when it is due |
//! | --- | --- |
//! | it was done | after the time that was said for the next one, up to a tenth earlier |
//! | it failed | after a back-off, and nothing makes that shorter |
//! | it was told to come back later | when it was said |
//! | something happened that others wait for | within a second from the first such event, unless it failed the last time |
//! | somebody has mended something | at once |

use std::time::{Duration, Instant};

use crate::patience::{Backoff, Spread};

/// What others wait for is told within so long; what happens meanwhile goes along.
const SOON: Duration = Duration::from_secs(1);

/// One thing that is done again and again.
#[derive(Clone, Debug)]
pub struct Rhythm {
    due: Instant,
    failures: u32,
    /// Nothing brings it forward.
    is_held: bool,
    backoff: Backoff,
    spread: Spread,
}

impl Rhythm {
    /// For the first time within so long, spread: many may begin at the same moment.
    pub fn new(now: Instant, within: Duration, backoff: Backoff, seed: u64) -> Self {
        let mut spread = Spread::new(seed);
        let due = now + spread.between(Duration::ZERO, within);
        Self { due, failures: 0, is_held: false, backoff, spread }
    }

    /// When it is to be done.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It was done; the next time is expected after so long.
    pub fn done(&mut self, now: Instant, next_in: Duration) {
        self.due = now + self.spread.between(next_in - next_in / 10, next_in);
        (self.failures, self.is_held) = (0, false);
    }

    /// There is more of it, at once.
    pub fn more(&mut self, now: Instant) {
        (self.due, self.failures, self.is_held) = (now, 0, false);
    }

    /// It failed.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.due = now + self.backoff.wait(self.failures, &mut self.spread);
        self.is_held = true;
    }

    /// It was told to come back after so long.
    pub fn busy(&mut self, now: Instant, retry_after: Duration) {
        self.due = now + Backoff::obey(retry_after.max(SOON), &mut self.spread);
        self.is_held = true;
    }

    /// Something happened that others wait for.
    pub fn soon(&mut self, now: Instant) {
        if !self.is_held && self.due > now + SOON {
            self.due = now + self.spread.between(SOON / 2, SOON);
        }
    }

    /// Something happened that everybody learns at the same moment, and nobody waits for: within so long, spread.
    pub fn within(&mut self, now: Instant, within: Duration) {
        if !self.is_held && self.due > now + within {
            self.due = now + self.spread.between(Duration::ZERO, within);
        }
    }

    /// What was waited for may have been mended: at once.
    pub fn forgive(&mut self, now: Instant) {
        self.more(now);
    }

    /// Whoever failed before can be reached again, which everybody learns at the same moment: within so long, spread.
    pub fn back(&mut self, now: Instant, within: Duration) {
        if self.is_held && self.failures > 0 {
            self.due = self.due.min(now + self.spread.between(Duration::ZERO, within));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rhythm(seed: u64) -> (Rhythm, Instant) {
        let now = Instant::now();
        (Rhythm::new(now, MINUTE, Backoff::default(), seed), now)
    }

    #[test]
    fn it_begins_and_goes_on_spread() {
        for seed in 0..100 {
            let (mut rhythm, now) = rhythm(seed);
            assert!(rhythm.due() >= now && rhythm.due() < now + MINUTE);
            rhythm.done(now, MINUTE);
            assert!(rhythm.due() >= now + MINUTE * 9 / 10 && rhythm.due() < now + MINUTE, "never late");
        }
        let (one, other) = (rhythm(1), rhythm(2));
        assert_ne!(one.0.due() - one.1, other.0.due() - other.1);
    }

    #[test]
    fn what_others_wait_for_is_told_within_a_second_and_all_at_once() {
        let (mut rhythm, now) = rhythm(1);
        rhythm.done(now, MINUTE);
        rhythm.soon(now);
        let due = rhythm.due();
        assert!(due > now && due <= now + SOON);
        rhythm.soon(now + SOON / 4);
        rhythm.soon(now + SOON / 2);
        assert_eq!(rhythm.due(), due, "the first decides");
        rhythm.done(due, MINUTE);
        assert!(rhythm.due() > due + SOON);
    }

    #[test]
    fn nothing_makes_a_back_off_shorter_but_that_the_other_is_back() {
        let (mut rhythm, now) = rhythm(1);
        rhythm.failed(now);
        rhythm.failed(now);
        let due = rhythm.due();
        assert!(due >= now + 36 * MINUTE / 60 && due < now + 6 * MINUTE);
        rhythm.soon(now);
        assert_eq!((rhythm.due(), rhythm.failures()), (due, 2));
        rhythm.back(now, MINUTE / 6);
        assert!(rhythm.due() <= now + MINUTE / 6);
        rhythm.done(now, MINUTE);
        assert_eq!(rhythm.failures(), 0);
        rhythm.soon(now);
        assert!(rhythm.due() <= now + SOON, "it is free again");
    }

    #[test]
    fn who_is_told_to_come_back_later_does() {
        let (mut rhythm, now) = rhythm(1);
        rhythm.busy(now, MINUTE);
        rhythm.soon(now);
        rhythm.back(now, SOON);
        assert!(rhythm.due() >= now + MINUTE && rhythm.due() <= now + MINUTE * 11 / 10);
        assert_eq!(rhythm.failures(), 0);
        rhythm.busy(now, Duration::ZERO);
        assert!(rhythm.due() >= now + SOON, "not in a tight loop");
    }

    #[test]
    fn the_rest_of_a_long_one_follows_at_once() {
        let (mut rhythm, now) = rhythm(1);
        rhythm.failed(now);
        rhythm.more(now + SOON);
        assert_eq!((rhythm.due(), rhythm.failures()), (now + SOON, 0));
    }

    #[test]
    fn what_everybody_learns_at_once_is_spread() {
        let dues: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| {
                let (mut rhythm, now) = rhythm(seed);
                rhythm.done(now, 10 * MINUTE);
                rhythm.within(now, MINUTE);
                assert!(rhythm.due() < now + MINUTE);
                let due = rhythm.due();
                rhythm.within(now, MINUTE);
                assert_eq!(rhythm.due(), due);
                due - now
            })
            .collect();
        assert_eq!(dues.len(), 100);
        let (mut rhythm, now) = rhythm(1);
        rhythm.failed(now);
        rhythm.within(now, SOON);
        assert!(rhythm.due() > now + SOON);
        rhythm.forgive(now);
        assert_eq!(rhythm.due(), now);
    }
}
