//! When a job is looked after next.
//!
//! | what happened | when |
//! | --- | --- |
//! | the program starts, the job is assigned, something of its package changed | within `spread`: others hear it at the same moment |
//! | somebody of this machine, or an order, wants it | now |
//! | a run that put everything into its place, or failed | after `every`, up to a tenth earlier |
//! | not all could be had | likewise, but at most 5 minutes later |
//! | a server said when to come again | then, spread over a tenth more; not later than `every`, and not sooner than a second |

use std::time::{Duration, Instant};

use protocol::{
    jobs::State,
    patience::{Backoff, Spread},
};

/// What is waited for is looked for again within this.
const AGAIN_MAX: Duration = Duration::from_secs(300);
/// No server brings anybody back sooner.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// When one job is due.
#[derive(Clone, Debug)]
pub struct Due {
    at: Instant,
    every: Duration,
    within: Duration,
    spread: Spread,
}

impl Due {
    /// For the first time soon. The seed is another one for each machine and job.
    pub fn new(now: Instant, every: Duration, within: Duration, seed: u64) -> Self {
        let mut spread = Spread::new(seed);
        let at = now + spread.between(Duration::ZERO, within);
        Self { at, every, within, spread }
    }

    /// When.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Everybody hears that there is something to do.
    pub fn soon(&mut self, now: Instant) {
        if self.at > now + self.within {
            self.at = now + self.spread.between(Duration::ZERO, self.within);
        }
    }

    /// Somebody wants it.
    pub fn now(&mut self, now: Instant) {
        self.at = now;
    }

    /// It was looked after, with this state, and perhaps the word of a server when to come again.
    pub fn done(&mut self, now: Instant, state: State, said: Option<Duration>) {
        let wait = match (state, said) {
            (State::Cancelled | State::Waiting, Some(said)) => {
                Backoff::obey(said.clamp(AGAIN_MIN.min(self.every), self.every), &mut self.spread)
            }
            (State::Cancelled | State::Waiting, None) => self.regular(self.every.min(AGAIN_MAX)),
            _ => self.regular(self.every),
        };
        self.at = now + wait;
    }

    fn regular(&mut self, wait: Duration) -> Duration {
        self.spread.between(wait - wait / 10, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn machines_that_hear_the_same_do_not_come_together() {
        let now = Instant::now();
        let mut moments: Vec<_> = (0..100).map(|seed| Due::new(now, HOUR, MINUTE, seed).at()).collect();
        moments.sort();
        moments.dedup();
        assert!(moments.len() > 95 && moments.iter().all(|at| *at >= now && *at < now + MINUTE));
        let mut due = Due::new(now, HOUR, MINUTE, 7);
        due.done(now, State::Installed, None);
        assert!(due.at() >= now + HOUR * 9 / 10 && due.at() <= now + HOUR);
        due.soon(now);
        let first = due.at();
        assert!(first <= now + MINUTE);
        due.soon(now);
        assert_eq!(due.at(), first, "more of it changes nothing");
        due.now(now);
        assert_eq!(due.at(), now);
    }

    #[test]
    fn what_is_missing_is_looked_for_sooner_and_what_is_said_is_obeyed() {
        let now = Instant::now();
        let after = |state, said: Option<u64>| {
            let mut due = Due::new(now, HOUR, MINUTE, 7);
            due.done(now, state, said.map(Duration::from_secs));
            due.at() - now
        };
        for (state, said, least, most) in [
            (State::Failed, None, 3_240, 3_600),
            (State::Failed, Some(9), 3_240, 3_600),
            (State::Waiting, None, 270, 300),
            (State::Cancelled, Some(90), 90, 99),
            (State::Cancelled, Some(0), 1, 2),
            (State::Cancelled, Some(86_400), 3_600, 3_960),
        ] {
            let wait = after(state, said);
            let range = Duration::from_secs(least)..=Duration::from_secs(most);
            assert!(range.contains(&wait), "{state:?} {said:?}: {wait:?}");
        }
        let mut often = Due::new(now, Duration::from_millis(100), Duration::ZERO, 7);
        often.done(now, State::Cancelled, Some(Duration::from_secs(90)));
        assert!(often.at() - now <= Duration::from_millis(1_100), "one's own rhythm is not made slower");
    }
}
