//! For which names an upstream vouches, because it tells what changes: those that were asked for after it began to tell, for as long as it gives signs of
//! life. Moments are those of the [book](super::book), in milliseconds; 0 is none.
//!
//! | what happens | what is vouched for |
//! | --- | --- |
//! | the stream begins | what is asked for from then on |
//! | it goes on where it was cut | what was asked for since it began, and has not been told to have changed |
//! | it tells of a change | all but that: see [`Book::doubt`](super::book::Book::doubt) |
//! | it is silent for too long, or ends | nothing |

use std::sync::atomic::{AtomicU64, Ordering};

/// Of one upstream. A hit reads two numbers of it.
#[derive(Debug, Default)]
pub(crate) struct Vouched {
    since: AtomicU64,
    until: AtomicU64,
}

impl Vouched {
    /// Whether a name holds of which the question was sent at `asked`. Not one of the very moment at which the stream began: which of the two was first
    /// cannot be told.
    pub(crate) fn covers(&self, asked: u64, now: u64) -> bool {
        let since = self.since.load(Ordering::Acquire);
        since > 0 && asked > since && now < self.until.load(Ordering::Acquire)
    }

    /// Whether anything is vouched for.
    pub(crate) fn is_on(&self, now: u64) -> bool {
        self.since.load(Ordering::Acquire) > 0 && now < self.until.load(Ordering::Acquire)
    }

    /// For what was asked for after `since`, until then if nothing more is heard.
    pub(crate) fn begin(&self, since: u64, until: u64) {
        self.until.store(until, Ordering::Release);
        self.since.store(since, Ordering::Release);
    }

    /// A sign of life.
    pub(crate) fn extend(&self, until: u64) {
        self.until.store(until, Ordering::Release);
    }

    /// For nothing.
    pub(crate) fn withdraw(&self) {
        self.since.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_vouched_for_is_a_table() {
        let vouched = Vouched::default();
        assert!(!vouched.covers(5, 6) && !vouched.is_on(6), "nothing was told yet");
        vouched.begin(10, 40);
        for (asked, now, expected) in
            [(0, 20, false), (9, 20, false), (10, 20, false), (11, 20, true), (11, 39, true), (11, 40, false)]
        {
            assert_eq!(vouched.covers(asked, now), expected, "asked at {asked}, now {now}");
        }
        vouched.extend(70);
        assert!(vouched.covers(11, 69) && !vouched.covers(11, 70));
        vouched.withdraw();
        assert!(!vouched.covers(11, 20));
        vouched.extend(90);
        assert!(!vouched.covers(11, 20), "a sign of life vouches for nothing by itself");
    }
}
