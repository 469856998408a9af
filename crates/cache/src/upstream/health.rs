//! Whether an upstream can be reached: a circuit breaker, so that one that is down costs no request a timeout.
//!
//! | state | a failure | a success |
//! | --- | --- | --- |
//! | closed | counts; at [`FAILURES_MAX`] it opens, and a probe begins | forgets failures |
//! | open: requests do not try | stays open | closes |
//!
//! Requests never probe: a task in the background does, at the intervals of [`probe_wait`].

use std::time::Duration;

use parking_lot::Mutex;

/// So much trouble in a row opens the breaker.
const FAILURES_MAX: u32 = 2;

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Quick: refused, reset.
    Refused,
    /// It cost a timeout, and would cost every other request one too: opens at once.
    TimedOut,
}

/// The breaker of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: bool,
    last_error: Option<String>,
}

impl Health {
    /// Whether no request is to ask the upstream: it would be in vain, and cost a timeout.
    pub(crate) fn is_down(&self) -> bool {
        self.0.lock().open
    }

    /// What the last failure said, if nothing succeeded since.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.0.lock().last_error.clone()
    }

    /// The upstream answered, whatever it said. `true` if the breaker was open.
    pub(crate) fn success(&self) -> bool {
        let mut state = self.0.lock();
        let was_open = state.open;
        if state.failures > 0 || was_open {
            *state = State::default();
        }
        was_open
    }

    /// The upstream could not be asked. `true` if this opened the breaker: the caller begins to probe.
    pub(crate) fn failure(&self, trouble: Trouble, error: &str) -> bool {
        let mut state = self.0.lock();
        state.failures = match trouble {
            Trouble::Refused => state.failures.saturating_add(1),
            Trouble::TimedOut => FAILURES_MAX,
        };
        state.last_error = Some(error.into());
        let opens = !state.open && state.failures >= FAILURES_MAX;
        state.open |= opens;
        opens
    }
}

/// How long to wait before the probe of that number (from 0).
pub(crate) fn probe_wait(number: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);
    FIRST.saturating_mul(1u32.checked_shl(number).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_at_the_second_refusal_in_a_row_and_tells_it_once() {
        let health = Health::default();
        assert!(!health.failure(Trouble::Refused, "refused"));
        assert!(!health.is_down());
        assert!(health.failure(Trouble::Refused, "refused"));
        assert!(health.is_down());
        assert!(!health.failure(Trouble::Refused, "again"), "a second probe would begin");
        assert_eq!(health.last_error().as_deref(), Some("again"));
    }

    #[test]
    fn a_timeout_opens_at_once_and_a_success_closes() {
        let health = Health::default();
        assert!(health.failure(Trouble::TimedOut, "no answer in 5 s"));
        assert!(health.success());
        assert!(!health.is_down());
        assert_eq!(health.last_error(), None);
        assert!(!health.success());
    }

    #[test]
    fn a_success_between_failures_forgets_them() {
        let health = Health::default();
        for _ in 0..5 {
            health.failure(Trouble::Refused, "refused");
            health.success();
        }
        assert!(!health.is_down());
    }

    #[test]
    fn probes_become_rarer_up_to_a_limit() {
        assert_eq!(probe_wait(0), Duration::from_millis(250));
        assert_eq!(probe_wait(2), Duration::from_secs(1));
        assert_eq!(probe_wait(1000), Duration::from_secs(5));
    }
}
