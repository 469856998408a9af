//! A rate that is held to. What went is owed, and is paid for by time; the next may go when nothing is owed. So each byte counts, whatever the
//! size of a step is, and a step too many is made up for by the pause behind it.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// What is not used within this is lost. Who comes a little late to their turn loses nothing, and who pauses earns no burst.
const DEPTH: Duration = Duration::from_millis(25);

/// So many bytes per second, since some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    rate: NonZeroU64,
    /// When everything that went will be paid for.
    paid: Instant,
}

impl Bucket {
    /// Bytes per second. Nothing is owed.
    pub fn new(rate: NonZeroU64, now: Instant) -> Self {
        Self { rate, paid: now }
    }

    /// Bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate.get()
    }

    /// From when on the next bytes may go.
    pub fn ready_at(&self) -> Instant {
        self.paid
    }

    /// Bytes went.
    pub fn take(&mut self, now: Instant, bytes: u64) {
        let earliest = now.checked_sub(DEPTH).unwrap_or(now);
        let since = self.paid.max(earliest);
        self.paid = since.checked_add(self.time_of(bytes)).unwrap_or(since);
    }

    /// What is owed is paid for at another rate from now on.
    pub fn set_rate(&mut self, now: Instant, rate: NonZeroU64) {
        let owed = self.paid.saturating_duration_since(now);
        let bytes = self.bytes_of(owed);
        *self = Self { rate, paid: if owed.is_zero() { self.paid } else { now } };
        if bytes > 0 {
            self.paid = now.checked_add(self.time_of(bytes)).unwrap_or(now);
        }
    }

    /// What goes in a time.
    pub fn bytes_of(&self, time: Duration) -> u64 {
        let bytes = time.as_nanos().saturating_mul(u128::from(self.rate.get())) / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rate(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    #[test]
    fn what_went_is_paid_for_by_time() {
        let begin = Instant::now() + Duration::from_secs(3600);
        // Milliseconds at which bytes go, bytes, and the millisecond from which on the next may.
        let cases: &[(&[(u32, u64)], u32)] = &[
            (&[(0, 1000)], 1000),
            (&[(0, 100), (100, 100)], 200),
            // Who is late by less than the depth loses nothing.
            (&[(0, 100), (120, 100)], 200),
            // Who is later loses what is more.
            (&[(0, 100), (300, 100)], 375),
            // A step too large is made up for.
            (&[(0, 100), (0, 100), (0, 800)], 1000),
            (&[(0, 0)], 0),
        ];
        for (steps, expected) in cases {
            let mut bucket = Bucket::new(rate(1000), begin);
            for (at, bytes) in *steps {
                bucket.take(begin + *at * MS, *bytes);
            }
            assert_eq!(bucket.ready_at(), begin + *expected * MS, "{steps:?}");
        }
    }

    #[test]
    fn what_is_owed_is_paid_at_the_new_rate() {
        let begin = Instant::now();
        for (before, after, expected) in [(1000, 2000, 600), (1000, 500, 1800), (1000, 1000, 1000)] {
            let mut bucket = Bucket::new(rate(before), begin);
            bucket.take(begin, 1000);
            bucket.set_rate(begin + 200 * MS, rate(after));
            assert_eq!(bucket.ready_at(), begin + expected * MS, "{before} to {after}");
        }
        let mut bucket = Bucket::new(rate(1000), begin);
        bucket.set_rate(begin + 200 * MS, rate(10));
        assert_eq!(bucket.ready_at(), begin, "nothing was owed");
    }

    #[test]
    fn no_number_is_too_large() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(rate(1), begin);
        bucket.take(begin, u64::MAX);
        bucket.take(begin, u64::MAX);
        assert!(bucket.ready_at() > begin);
        let mut bucket = Bucket::new(rate(u64::MAX), begin);
        bucket.take(begin, u64::MAX);
        assert_eq!(bucket.bytes_of(Duration::from_secs(1 << 40)), u64::MAX);
    }

    proptest! {
        /// Steps of about a 50th of a second's bytes, taken as soon as they may be or a little late: within any two seconds there are as many bytes as
        /// there should be, but for 5 percent.
        #[test]
        fn any_two_seconds_hold_the_rate(
            rate_of in 100_000_u64..200_000_000,
            steps in prop::collection::vec((750_u64..=1000, 0_u64..15_000_000), 200..400),
        ) {
            let begin = Instant::now() + Duration::from_secs(3600);
            let mut bucket = Bucket::new(rate(rate_of), begin);
            let step_max = rate_of / 50;
            let (mut now, mut taken) = (begin, Vec::new());
            for (part, late) in steps {
                now = now.max(bucket.ready_at()) + Duration::from_nanos(late);
                let bytes = step_max * part / 1000;
                bucket.take(now, bytes);
                taken.push((now, bytes));
            }
            let window = Duration::from_secs(2);
            for first in 0..taken.len() {
                let to = taken[first].0 + window;
                if taken.last().is_none_or(|(last, _)| *last < to) {
                    break;
                }
                let within = taken[first..].iter().take_while(|(at, _)| *at < to);
                let bytes: u64 = within.map(|(_, bytes)| bytes).sum();
                prop_assert!(bytes.abs_diff(2 * rate_of) <= rate_of / 10, "{bytes} at {rate_of}");
            }
        }
    }
}
