//! Time as the policy counts it: in lookups, not in seconds. At night nothing gets older than what is asked for.

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment: how many lookups there were. Wraps after 2^40, which is months of the busiest server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now(u64);

const MASK: u64 = (1 << 40) - 1;

/// Counts lookups. Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    lookups: AtomicU64,
}

impl Clock {
    /// The moment.
    pub(crate) fn now(&self) -> Now {
        Now::at(self.lookups.load(Ordering::Relaxed))
    }

    /// Adds lookups. Callers may add in batches.
    pub(crate) fn advance(&self, lookups: u64) {
        self.lookups.fetch_add(lookups, Ordering::Relaxed);
    }
}

impl Now {
    /// After so many lookups.
    pub(crate) fn at(lookups: u64) -> Self {
        Self(lookups & MASK)
    }

    /// Lookups until now, for who keeps 40 bits of them.
    pub(crate) fn lookups(self) -> u64 {
        self.0
    }

    /// The moment so many lookups ago.
    pub(crate) fn before(self, lookups: u64) -> Self {
        Self(self.0.wrapping_sub(lookups) & MASK)
    }

    /// Lookups since then. Threads tell the clock at different times: what seems to lie ahead is now.
    pub(crate) fn since(self, then: Self) -> u64 {
        let since = self.0.wrapping_sub(then.0) & MASK;
        if since > MASK / 2 { 0 } else { since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_where_it_wraps() {
        let then = Now::at(MASK - 5);
        let now = Now::at(MASK + 11);
        assert_eq!((now.since(then), now.before(16)), (16, then));
        assert_eq!(Now::at(7).since(Now::at(9)), 0, "a thread that was told late");
    }

    #[test]
    fn lookups_are_counted() {
        let clock = Clock::default();
        clock.advance(16);
        clock.advance(16);
        assert_eq!(clock.now(), Now::at(32));
    }
}
