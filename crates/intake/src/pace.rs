//! How quick a work is, over the last half minute: what was quick an hour ago says nothing of when it will be done. Pure: the time is told.

use std::{collections::VecDeque, time::Duration};

/// What is looked back upon.
const WINDOW: Duration = Duration::from_secs(30);
/// Two notes are at least so far apart, which bounds how many there are.
const STEP: Duration = Duration::from_millis(250);

/// Notes of how far it was, and when: since the beginning, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    notes: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// Bytes per second at `now`, when `bytes` are done; `None` at the very beginning.
    pub(crate) fn at(&mut self, now: Duration, bytes: u64) -> Option<f64> {
        if self.notes.is_empty() {
            self.notes.push_back((Duration::ZERO, 0));
        }
        // One that is older than the window stays, so that the window is whole.
        while self.notes.get(1).is_some_and(|(when, _)| now.saturating_sub(*when) >= WINDOW) {
            self.notes.pop_front();
        }
        let (since, before) = *self.notes.front()?;
        if self.notes.back().is_some_and(|(when, _)| now.saturating_sub(*when) >= STEP) {
            self.notes.push_back((now, bytes));
        }
        let time = now.saturating_sub(since).as_secs_f64();
        (time > 0.0).then(|| bytes.saturating_sub(before) as f64 / time)
    }
}

/// How long `bytes` take at this rate; `None` where nothing moves.
pub(crate) fn left(bytes: u64, rate: f64) -> Option<Duration> {
    if bytes == 0 {
        return Some(Duration::ZERO);
    }
    Duration::try_from_secs_f64(bytes as f64 / rate).ok().filter(|_| rate > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_half_minute_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.at(Duration::ZERO, 0), None);
        assert_eq!(pace.at(seconds(10), 1000), Some(100.0));
        assert_eq!(pace.at(seconds(20), 1000), Some(50.0));
        for now in 21..50 {
            pace.at(seconds(now), 1000);
        }
        assert_eq!(pace.at(seconds(50), 1000), Some(0.0), "it has stood still for half a minute");
        assert!(pace.at(seconds(51), 4000).is_some_and(|rate| rate > 90.0 && rate <= 100.0));
        // Whoever asks all the time makes it no longer.
        (0..100_000).for_each(|now| _ = pace.at(seconds(51) + Duration::from_micros(now), 4000));
        assert!(pace.notes.len() < 130, "{}", pace.notes.len());
    }

    #[test]
    fn what_is_left_takes_its_time() {
        for (bytes, rate, expected) in
            [(0, 0.0, Some(0)), (1000, 100.0, Some(10)), (1000, 0.0, None), (u64::MAX, 1e-300, None)]
        {
            assert_eq!(left(bytes, rate).map(|left| left.as_secs()), expected, "{bytes} at {rate}");
        }
    }
}
