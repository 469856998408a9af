//! A moment of each day or week that something is to be ready by: `Mon 08:00`.

use std::time::{Duration, SystemTime};

use jiff::ToSpan;

use super::{
    ScheduleError,
    daily::{Days, Minute},
    zone::Zone,
};

/// A time of some days.
#[derive(Clone, Debug, PartialEq)]
pub struct Deadline {
    zone: Zone,
    days: Days,
    minute: Minute,
}

impl Deadline {
    /// `08:00`, `Mon 08:00` or `Mon-Fri 08:00`.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, ScheduleError> {
        let bad = |reason: String| ScheduleError::deadline(text, reason);
        let (days, time) = match text.trim().rsplit_once(char::is_whitespace) {
            Some((days, time)) => (Days::parse(days).map_err(bad)?, time),
            None => (Days::ALL, text.trim()),
        };
        Ok(Self { zone: zone.clone(), days, minute: Minute::parse(time).map_err(bad)? })
    }

    /// The next one, after a moment.
    pub fn next(&self, now: SystemTime) -> SystemTime {
        let week = Duration::from_secs(7 * 86_400);
        self.around(now).find(|moment| *moment > now).unwrap_or_else(|| now.checked_add(week).unwrap_or(now))
    }

    /// The last one, a moment included.
    pub fn last(&self, now: SystemTime) -> SystemTime {
        self.around(now).take_while(|moment| *moment <= now).last().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Those of a week before and a week after, in their order.
    fn around(&self, now: SystemTime) -> impl Iterator<Item = SystemTime> {
        let today = self.zone.at(now).date();
        (-8..9_i32).filter_map(move |ahead| {
            let day = today.checked_add(ahead.days()).ok().filter(|day| self.days.has(day.weekday()))?;
            self.minute.on(day, &self.zone)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};

    #[test]
    fn deadlines_come_on_their_days() {
        // 2026-11-22 is a Sunday.
        for (text, now, last, next) in [
            ("Mon 08:00", "2026-11-22T12:00:00Z", "2026-11-16T08:00:00Z", "2026-11-23T08:00:00Z"),
            ("Mon 08:00", "2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z", "2026-11-30T08:00:00Z"),
            ("Mon-Fri 08:00", "2026-11-20T09:00:00Z", "2026-11-20T08:00:00Z", "2026-11-23T08:00:00Z"),
            ("08:00", "2026-11-22T07:00:00Z", "2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z"),
            ("24:00", "2026-11-22T07:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ] {
            let deadline = Deadline::parse(text, &Zone::default()).unwrap();
            assert_eq!((deadline.last(at(now)), deadline.next(at(now))), (at(last), at(next)), "{text} at {now}");
        }
    }

    #[test]
    fn a_deadline_follows_the_wall_clock() {
        let deadline = Deadline::parse("08:00", &Zone::named("Europe/Berlin").unwrap()).unwrap();
        assert_eq!(deadline.next(at("2026-03-28T12:00:00Z")), at("2026-03-29T06:00:00Z"));
        assert_eq!(deadline.next(at("2026-03-27T12:00:00Z")), at("2026-03-28T07:00:00Z"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [("Monday", "'Monday' is no time of day"), ("Moon 08:00", "'moon' is no day"), ("", "")] {
            let error = Deadline::parse(text, &Zone::default()).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("a time to be ready by"), "{text}: {error}");
        }
    }
}
