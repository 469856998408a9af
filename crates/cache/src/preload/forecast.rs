//! How fast it goes, when it will be done, and whether that is in time. Pure: moments and bytes are arguments.

use std::time::{Duration, SystemTime};

/// The rate is the mean over about so long.
const OVER: Duration = Duration::from_secs(60);
/// Nothing is said before so long was measured.
const MEASURED_MIN: Duration = Duration::from_secs(5);
/// One step counts for at most so long: the wall clock may have been set.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Bytes per second, while something is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    mean: f64,
    measured: Duration,
    last: Option<(SystemTime, u64)>,
}

impl Rate {
    /// So many bytes have come in all. To be told every second or so while something is on its way.
    pub(crate) fn note(&mut self, now: SystemTime, bytes: u64) {
        let before = self.last.replace((now, bytes));
        let Some((then, bytes_then)) = before else { return };
        let step = now.duration_since(then).unwrap_or_default().min(STEP_MAX);
        if step.is_zero() {
            // Bytes of no time count in the next step.
            self.last = Some((then, bytes_then));
            return;
        }
        self.measured += step;
        let weight = (step.as_secs_f64() / self.measured.min(OVER).as_secs_f64()).min(1.0);
        let now = bytes.saturating_sub(bytes_then) as f64 / step.as_secs_f64();
        self.mean += weight * (now - self.mean);
    }

    /// Nothing is on its way: the time until the next [note](Self::note) does not count.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }

    /// Once it is known.
    pub(crate) fn per_second(&self) -> Option<u64> {
        (self.measured >= MEASURED_MIN).then_some(self.mean as u64)
    }
}

/// What a deadline looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Nothing was measured yet.
    Unknown,
    /// There is time to spare.
    InTime,
    /// There is none: a quarter of what it needs is kept for what cannot be foreseen.
    Tight,
    /// At this rate it will not be done by then.
    Late,
}

impl Outlook {
    /// Whether it goes beside what clients wait for, no longer behind.
    pub(crate) fn is_urgent(self) -> bool {
        matches!(self, Self::Tight | Self::Late)
    }
}

/// How long what is left takes at a rate; `None` if it would take for ever.
pub(crate) fn needs(left: u64, rate: u64) -> Option<Duration> {
    match (left, rate) {
        (0, _) => Some(Duration::ZERO),
        (_, 0) => None,
        _ => Some(Duration::from_secs_f64((left as f64 / rate as f64).min(1e10))),
    }
}

/// Whether what is left will be here by then.
pub(crate) fn outlook(now: SystemTime, deadline: SystemTime, left: u64, rate: Option<u64>) -> Outlook {
    let time = deadline.duration_since(now).unwrap_or_default();
    let needed = match rate {
        _ if left == 0 => return Outlook::InTime,
        None => return Outlook::Unknown,
        Some(rate) => needs(left, rate),
    };
    match needed {
        Some(needed) if needed + needed / 4 < time => Outlook::InTime,
        Some(needed) if needed <= time => Outlook::Tight,
        Some(_) | None => Outlook::Late,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_is_known_after_some_seconds_and_follows_what_happens() {
        let mut rate = Rate::default();
        (0..5).for_each(|second| rate.note(at(second), second * 1000));
        assert_eq!(rate.per_second(), None, "four seconds are not enough");
        rate.note(at(5), 5000);
        assert_eq!(rate.per_second(), Some(1000));
        // A pause costs nothing.
        rate.pause();
        rate.note(at(10_000), 5000);
        rate.note(at(10_001), 6000);
        assert_eq!(rate.per_second(), Some(1000));
        // Twice as fast for long.
        (2..400).for_each(|second| rate.note(at(10_000 + second), 4000 + second * 2000));
        assert!((1990..=2000).contains(&rate.per_second().unwrap()), "{:?}", rate.per_second());
    }

    #[test]
    fn a_clock_that_is_set_says_little() {
        let mut rate = Rate::default();
        (0..60).for_each(|second| rate.note(at(second), second * 1000));
        rate.note(at(86_400), 60_000);
        assert!((800..=1000).contains(&rate.per_second().unwrap()), "ahead: {:?}", rate.per_second());
        rate.note(at(10), 61_000);
        (11..20).for_each(|second| rate.note(at(second), 50_000 + second * 1000));
        assert!(rate.per_second().is_some_and(|rate| rate > 500), "back: {:?}", rate.per_second());
    }

    #[test]
    fn the_outlook_of_a_deadline() {
        for (now, left, rate, expected) in [
            (0, 1000, None, Outlook::Unknown),
            (0, 0, None, Outlook::InTime),
            (0, 1000, Some(100), Outlook::InTime),
            (86, 1000, Some(100), Outlook::InTime),
            (88, 1000, Some(100), Outlook::Tight),
            (90, 1000, Some(100), Outlook::Tight),
            (91, 1000, Some(100), Outlook::Late),
            (200, 1000, Some(100), Outlook::Late),
            (0, 1, Some(0), Outlook::Late),
            (0, u64::MAX, Some(1), Outlook::Late),
        ] {
            assert_eq!(outlook(at(now), at(100), left, rate), expected, "{left} bytes at {rate:?} at {now}");
        }
    }
}
