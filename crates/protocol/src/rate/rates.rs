//! How fast at which time of day.

use std::{num::NonZeroU64, time::SystemTime};

use crate::schedule::{ScheduleError, Window, Windows, Zone};

/// One rate, and others at times. What an operator writes keeps its text, for it is shown again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bytes per second when no rule holds; 0: no limit.
    pub otherwise: u64,
    /// The first whose time it is holds.
    pub rules: Vec<Rule>,
}

/// A rate for a time of day or week.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    during: String,
    windows: Windows,
    rate: u64,
}

impl Rule {
    /// From what is written, with bytes per second; 0: no limit.
    pub fn parse(during: &str, rate: u64, zone: &Zone) -> Result<Self, ScheduleError> {
        let windows = Windows::parse(&[during], zone)?;
        if windows.has_starts() {
            return Err(ScheduleError::endless(during));
        }
        Ok(Self { during: during.into(), windows, rate })
    }

    /// When, as it was written.
    pub fn during(&self) -> &str {
        &self.during
    }

    /// Bytes per second; 0: no limit.
    pub fn rate(&self) -> u64 {
        self.rate
    }
}

impl Rates {
    /// Whether there is ever a limit.
    pub fn is_limited(&self) -> bool {
        self.otherwise > 0 || self.rules.iter().any(|rule| rule.rate > 0)
    }

    /// The same times, as the clocks of another zone show them.
    pub fn in_zone(&self, zone: &Zone) -> Result<Self, ScheduleError> {
        let rules = self.rules.iter().map(|rule| Rule::parse(&rule.during, rule.rate, zone));
        Ok(Self { otherwise: self.otherwise, rules: rules.collect::<Result<_, _>>()? })
    }

    /// Bytes per second now, and when that may change; no rate: no limit.
    pub fn at(&self, now: SystemTime) -> (Option<NonZeroU64>, Option<SystemTime>) {
        let mut changes: Option<SystemTime> = None;
        for rule in &self.rules {
            let (is_on, change) = match rule.windows.state(now) {
                Window::Open { until, .. } => (true, until),
                Window::Closed { opens } => (false, opens),
            };
            changes = changes.into_iter().chain(change).min();
            if is_on {
                return (NonZeroU64::new(rule.rate), changes);
            }
        }
        (NonZeroU64::new(self.otherwise), changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::tests::at;

    fn rates(otherwise: u64, rules: &[(&str, u64)], zone: &str) -> Rates {
        let zone = Zone::named(zone).unwrap();
        let rules = rules.iter().map(|(during, rate)| Rule::parse(during, *rate, &zone).unwrap()).collect();
        Rates { otherwise, rules }
    }

    #[test]
    fn the_first_rule_whose_time_it_is_holds() {
        // 2026-11-22 is a Sunday.
        let by_day: &[(&str, u64)] = &[("Mon-Fri 12:00-13:00", 5), ("Mon-Fri 08:00-17:00", 10), ("Sun 00:00-24:00", 0)];
        for (otherwise, now, expected, until) in [
            (50, "2026-11-23T07:59:59Z", 50, "2026-11-23T08:00:00Z"),
            (50, "2026-11-23T08:00:00Z", 10, "2026-11-23T12:00:00Z"),
            (50, "2026-11-23T12:30:00Z", 5, "2026-11-23T13:00:00Z"),
            (50, "2026-11-23T16:59:59Z", 10, "2026-11-23T17:00:00Z"),
            (50, "2026-11-23T17:00:00Z", 50, "2026-11-24T08:00:00Z"),
            (50, "2026-11-22T10:00:00Z", 0, "2026-11-23T00:00:00Z"),
            (0, "2026-11-23T17:00:00Z", 0, "2026-11-24T08:00:00Z"),
        ] {
            let found = rates(otherwise, by_day, "UTC").at(at(now));
            assert_eq!(found, (NonZeroU64::new(expected), Some(at(until))), "{otherwise} at {now}");
        }
    }

    #[test]
    fn what_never_changes_says_so() {
        let now = at("2026-11-23T12:00:00Z");
        assert_eq!(rates(7, &[], "UTC").at(now), (NonZeroU64::new(7), None));
        assert_eq!(rates(7, &[("00:00-24:00", 3)], "UTC").at(now), (NonZeroU64::new(3), None));
        for (rates, expected) in [
            (rates(0, &[], "UTC"), false),
            (rates(7, &[], "UTC"), true),
            (rates(0, &[("08:00-17:00", 3)], "UTC"), true),
            (rates(0, &[("08:00-17:00", 0)], "UTC"), false),
        ] {
            assert_eq!(rates.is_limited(), expected, "{rates:?}");
        }
    }

    #[test]
    fn the_clock_on_the_wall_says_when() {
        let utc = rates(50, &[("08:00-17:00", 10)], "UTC");
        let berlin = utc.in_zone(&Zone::named("Europe/Berlin").unwrap()).unwrap();
        for (now, in_utc, in_berlin) in [
            ("2026-07-01T06:00:00Z", 50, 10),
            ("2026-07-01T16:00:00Z", 10, 50),
            // An hour later in winter.
            ("2026-11-23T06:00:00Z", 50, 50),
            ("2026-11-23T07:00:00Z", 50, 10),
        ] {
            assert_eq!(utc.at(at(now)).0, NonZeroU64::new(in_utc), "{now}");
            assert_eq!(berlin.at(at(now)).0, NonZeroU64::new(in_berlin), "{now}");
        }
    }

    #[test]
    fn a_start_without_an_end_is_no_time_for_a_rate() {
        let error = Rule::parse("0 8 * * *", 10, &Zone::default()).unwrap_err().to_string();
        assert!(error.contains("says when it begins and not when it ends"), "{error}");
        assert!(Rule::parse("0 8 * * * for 9h", 10, &Zone::default()).is_ok());
        assert!(Rule::parse("8 to 5", 10, &Zone::default()).is_err());
    }
}
