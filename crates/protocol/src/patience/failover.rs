//! Which of several servers is asked next.
//!
//! | what happened | who is asked next |
//! | --- | --- |
//! | nothing yet | the first of the list |
//! | a server answered | that one, until it fails, or one that stands before it in the list is due again |
//! | a server failed | at once the next that is not waiting, in the order of the list |
//! | a server said to come back later | it waits for that long; meanwhile as if it had failed, but no failure is counted |
//! | one that stands before the present one is due again | that one, once: it becomes the present one if it answers |
//! | all wait | nobody, until the first is due |
//!
//! When a server is due again is spread, so that one that recovers is not asked by everybody at once.

use std::time::{Duration, Instant};

use super::{Backoff, Spread};

/// Servers in their order, and what is known of each.
#[derive(Clone, Debug)]
pub struct Failover {
    servers: Vec<State>,
    /// The last one that answered.
    present: Option<usize>,
    backoff: Backoff,
    spread: Spread,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Not to be asked before.
    due: Option<Instant>,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This one, by its place in the list, now.
    Ask(usize),
    /// Nobody before then.
    Wait(Instant),
}

impl Failover {
    /// Of so many servers, at least one.
    pub fn new(servers: usize, backoff: Backoff, seed: u64) -> Self {
        let servers = vec![State::default(); servers.max(1)];
        Self { servers, present: None, backoff, spread: Spread::new(seed) }
    }

    /// Whom to ask now.
    pub fn next(&self, now: Instant) -> Next {
        // The list's order, and the present one only before those that stand behind it: one before it that is due again is tried first.
        let present = self.present.unwrap_or(0);
        let before = (0..present).find(|server| self.is_due(*server, now));
        let onwards = (present..self.servers.len()).find(|server| self.is_due(*server, now));
        match before.or(onwards) {
            Some(server) => Next::Ask(server),
            None => Next::Wait(self.servers.iter().filter_map(|state| state.due).min().unwrap_or(now)),
        }
    }

    /// It answered.
    pub fn succeeded(&mut self, server: usize) {
        self.servers[server] = State::default();
        self.present = Some(server);
    }

    /// It failed: could not be reached, broke off, or sent what is wrong.
    pub fn failed(&mut self, server: usize, now: Instant) {
        let failures = self.servers[server].failures.saturating_add(1);
        let wait = self.backoff.wait(failures, &mut self.spread);
        self.servers[server] = State { failures, due: Some(now + wait) };
    }

    /// It said to come back later (or that it has nothing yet).
    pub fn busy(&mut self, server: usize, now: Instant, retry_after: Duration) {
        let wait = Backoff::obey(retry_after.max(Duration::from_secs(1)), &mut self.spread);
        self.servers[server].due = Some(now + wait);
    }

    /// Forgets all waits (`retry-now`).
    pub fn forgive(&mut self) {
        self.servers.iter_mut().for_each(|state| *state = State::default());
    }

    /// Whether one may be asked.
    pub fn is_due(&self, server: usize, now: Instant) -> bool {
        self.servers[server].due.is_none_or(|due| due <= now)
    }

    /// Failures in a row of one.
    pub fn failures(&self, server: usize) -> u32 {
        self.servers[server].failures
    }

    /// The last one that answered.
    pub fn present(&self) -> Option<usize> {
        self.present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn three() -> (Failover, Instant) {
        (Failover::new(3, Backoff::default(), 7), Instant::now())
    }

    #[test]
    fn who_fails_is_left_at_once_and_used_again_when_it_is_back() {
        let (mut failover, start) = three();
        assert_eq!(failover.next(start), Next::Ask(0));
        failover.failed(0, start);
        assert_eq!(failover.next(start), Next::Ask(1));
        failover.succeeded(1);
        assert_eq!(failover.next(start + MINUTE / 10), Next::Ask(1), "the last good one");
        // At the latest after three minutes the first is tried again; it is still away.
        let later = start + 3 * MINUTE;
        assert_eq!(failover.next(later), Next::Ask(0));
        failover.failed(0, later);
        assert_eq!(failover.next(later), Next::Ask(1));
        // It is back: nobody has to end the second one for that.
        let back = later + 6 * MINUTE;
        assert_eq!(failover.next(back), Next::Ask(0));
        failover.succeeded(0);
        assert_eq!((failover.next(back), failover.failures(0)), (Next::Ask(0), 0));
    }

    #[test]
    fn when_all_fail_everybody_waits_for_the_first_that_is_due() {
        let (mut failover, start) = three();
        (0..3).for_each(|server| failover.failed(server, start));
        let Next::Wait(until) = failover.next(start) else { panic!("somebody is asked") };
        assert!(until >= start + MINUTE * 3 / 10 && until <= start + 3 * MINUTE);
        assert!(matches!(failover.next(until), Next::Ask(_)));
        failover.forgive();
        assert_eq!(failover.next(start), Next::Ask(0));
    }

    #[test]
    fn who_is_busy_is_asked_when_it_said_and_has_not_failed() {
        let (mut failover, start) = three();
        failover.busy(0, start, Duration::from_secs(90));
        assert_eq!((failover.next(start), failover.failures(0)), (Next::Ask(1), 0));
        assert_eq!(failover.next(start + Duration::from_secs(89)), Next::Ask(1));
        assert_eq!(failover.next(start + Duration::from_secs(99)), Next::Ask(0));
        // Not even then in a tight loop.
        failover.busy(0, start, Duration::ZERO);
        assert_eq!(failover.next(start), Next::Ask(1));
    }

    #[test]
    fn those_who_failed_together_come_back_one_by_one() {
        let start = Instant::now();
        let returns: std::collections::BTreeSet<_> = (0..1_000)
            .map(|seed| {
                let mut failover = Failover::new(1, Backoff::default(), seed);
                failover.failed(0, start);
                let Next::Wait(until) = failover.next(start) else { panic!("it is asked again at once") };
                until
            })
            .collect();
        assert_eq!(returns.len(), 1_000);
    }
}
