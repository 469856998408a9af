//! The line to proxies and origins: how fast their bytes may come, all downloads together, and when not at all. Other agents of one's own networks are not
//! behind it.
//!
//! A rate is held by reading no faster: what is not read closes the connection's window, and the server sends no more.

use std::time::{Duration, Instant, SystemTime};

use protocol::{
    patience::Spread,
    rate::{Bucket, Rates},
    schedule::{Window, Windows},
};

/// The time of day is looked at again after this at the latest, for a clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Machines come back within this behind a window, for others wait for its end too.
const SPREAD: Duration = Duration::from_secs(60);
/// A window that does not close is looked at again then.
const AGAIN: Duration = Duration::from_secs(3_600);
/// What a connection may hold unread: so much of the rate.
const UNREAD: Duration = Duration::from_millis(150);
/// Bytes of it, at least: a few packets. Where it would be more than the kernel lets a program ask for, the kernel knows best.
const UNREAD_MIN: u64 = 16 << 10;
const UNREAD_MAX: u64 = 208 << 10;

/// What the owner allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// How fast.
    pub rates: Rates,
    /// When not at all.
    pub blackout: Windows,
}

/// Whether the next bytes may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Go,
    /// Then.
    At(Instant),
    /// Not before then: it is a time without.
    Closed(Instant),
}

/// The state of the line.
#[derive(Clone, Debug)]
pub struct Line {
    terms: Terms,
    /// How much later than the end of a window this machine comes back.
    late: Duration,
    look_at: Instant,
    bucket: Option<Bucket>,
    closed: Option<Instant>,
}

impl Line {
    /// The seed is another one for each machine.
    pub fn new(terms: Terms, seed: u64, now: Instant, wall: SystemTime) -> Self {
        let late = Spread::new(seed).between(Duration::ZERO, SPREAD);
        let mut line = Self { terms, late, look_at: now, bucket: None, closed: None };
        line.look(now, wall);
        line
    }

    /// From now on these hold. What is owed stays owed.
    pub fn renew(&mut self, terms: Terms, now: Instant, wall: SystemTime) {
        (self.terms, self.look_at, self.closed) = (terms, now, None);
        self.look(now, wall);
    }

    /// Whether bytes may come.
    pub fn turn(&mut self, now: Instant, wall: SystemTime) -> Turn {
        self.look(now, wall);
        match (self.closed, self.bucket) {
            (Some(until), _) => Turn::Closed(until),
            (None, Some(bucket)) if bucket.ready_at() > now => Turn::At(bucket.ready_at()),
            _ => Turn::Go,
        }
    }

    /// Bytes came.
    pub fn came(&mut self, bytes: u64, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now, bytes);
        }
    }

    /// Bytes that a connection may hold unread; `None`: as the kernel likes.
    pub fn unread_max(&mut self, now: Instant, wall: SystemTime) -> Option<u64> {
        self.look(now, wall);
        let bytes = self.bucket?.bytes_of(UNREAD).max(UNREAD_MIN);
        (bytes <= UNREAD_MAX).then_some(bytes)
    }

    /// Sees what holds, if it is time for that.
    fn look(&mut self, now: Instant, wall: SystemTime) {
        if now < self.look_at {
            return;
        }
        let (rate, until) = self.terms.rates.at(wall);
        self.bucket = rate.map(|rate| {
            let mut bucket = self.bucket.unwrap_or(Bucket::new(rate, now));
            if bucket.rate() != rate.get() {
                bucket.set_rate(now, rate);
            }
            bucket
        });
        let blackout = if self.terms.blackout.is_empty() { None } else { Some(self.terms.blackout.state(wall)) };
        let (closed, change) = match blackout {
            None => (None, None),
            Some(Window::Closed { opens }) => (None, opens),
            Some(Window::Open { until, .. }) => (
                Some(
                    until.map_or(now + AGAIN, |until| now + until.duration_since(wall).unwrap_or_default() + self.late),
                ),
                None,
            ),
        };
        // Behind the end of a window it stays closed for a little while.
        self.closed = closed.or(self.closed.filter(|until| *until > now));
        let change = until.into_iter().chain(change).min().and_then(|change| change.duration_since(wall).ok());
        let until_open = self.closed.map(|until| until.saturating_duration_since(now));
        self.look_at = now + change.into_iter().chain(until_open).chain([LOOK_EVERY]).min().unwrap_or(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use protocol::{rate::Rule, schedule::Zone};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const KIB: u64 = 1 << 10;

    fn terms(otherwise: u64, rules: &[(&str, u64)], blackout: &[&str]) -> Terms {
        let zone = Zone::default();
        let rules = rules.iter().map(|(during, rate)| Rule::parse(during, *rate, &zone).unwrap()).collect();
        Terms { rates: Rates { otherwise, rules }, blackout: Windows::parse(blackout, &zone).unwrap() }
    }

    /// Bytes that come within each stretch of seconds, read in steps as soon as they may be.
    fn play(terms: Terms, from: u32, stretches: &[u32]) -> Vec<u64> {
        let (begin, wall) = (Instant::now() + 3600 * SECOND, UNIX_EPOCH + from * SECOND);
        let mut line = Line::new(terms, 7, begin, wall);
        let (mut at, mut end) = (Duration::ZERO, Duration::ZERO);
        let mut came = Vec::new();
        for stretch in stretches {
            end += *stretch * SECOND;
            let mut bytes = 0;
            while at < end {
                match line.turn(begin + at, wall + at) {
                    Turn::Go => {
                        line.came(64 * KIB, begin + at);
                        bytes += 64 * KIB;
                        at += Duration::from_micros(100);
                    }
                    Turn::At(until) | Turn::Closed(until) => {
                        at = (until - begin).min(end).max(at + Duration::from_micros(1))
                    }
                }
            }
            came.push(bytes);
        }
        came
    }

    #[test]
    fn a_rate_is_held_and_changes_with_the_time_of_day() {
        let about =
            |found: u64, expected: u64| assert!(found.abs_diff(expected) <= expected / 20, "{found} {expected}");
        for found in play(terms(1_000_000, &[], &[]), 0, &[2, 2, 2]) {
            about(found, 2_000_000);
        }
        let by_day = terms(1_000_000, &[("00:01-00:02", 4_000_000)], &[]);
        let found = play(by_day, 0, &[60, 60, 60]);
        about(found[0], 60_000_000);
        about(found[1], 240_000_000);
        about(found[2], 60_000_000);
    }

    #[test]
    fn nothing_comes_in_a_blackout_and_not_all_machines_come_back_at_once() {
        let found = play(terms(1_000_000, &[], &["00:01-00:02"]), 0, &[60, 60, 120]);
        assert!(found[0] > 50_000_000 && found[2] > 50_000_000, "{found:?}");
        assert_eq!(found[1], 0);
        let (now, wall) = (Instant::now(), UNIX_EPOCH + 90 * SECOND);
        let until = |seed: u64| match Line::new(terms(0, &[], &["00:01-00:02"]), seed, now, wall).turn(now, wall) {
            Turn::Closed(until) => until - now,
            turn => panic!("{turn:?}"),
        };
        let all: Vec<_> = (0..20).map(until).collect();
        assert!(all.iter().all(|late| (30 * SECOND..=90 * SECOND).contains(late)), "{all:?}");
        assert!(all.iter().max().unwrap().saturating_sub(*all.iter().min().unwrap()) > 20 * SECOND, "{all:?}");
    }

    #[test]
    fn other_terms_hold_at_once() {
        let (now, wall) = (Instant::now(), UNIX_EPOCH);
        let mut line = Line::new(terms(0, &[], &["00:00-24:00"]), 1, now, wall);
        assert!(matches!(line.turn(now, wall), Turn::Closed(until) if until > now));
        line.renew(Terms::default(), now, wall);
        assert_eq!(line.turn(now, wall), Turn::Go);
        line.renew(terms(1_000, &[], &[]), now, wall);
        line.came(500, now);
        assert_eq!(line.turn(now, wall), Turn::At(now + SECOND / 2));
        line.renew(terms(500, &[], &[]), now, wall);
        assert_eq!(line.turn(now, wall), Turn::At(now + SECOND), "what is owed is paid at the new rate");
    }

    #[test]
    fn a_slow_line_is_given_small_windows() {
        for (rate, expected) in [(0, None), (10_000, Some(16 * KIB)), (1_000_000, Some(150_000)), (100_000_000, None)] {
            let (now, wall) = (Instant::now(), UNIX_EPOCH);
            assert_eq!(Line::new(terms(rate, &[], &[]), 1, now, wall).unread_max(now, wall), expected, "{rate}");
        }
    }
}
