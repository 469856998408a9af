//! A window that is written with days and times of the clock: `Mon-Fri 22:00-06:00`.

use std::{ops::Range, time::SystemTime};

use jiff::{
    ToSpan,
    civil::{Date, Time, Weekday},
};

use super::{ScheduleError, zone::Zone};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// Some days of the week; bit 0 is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days(u8);

/// A minute of a day: `08:00`. 24:00 is the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minute(u16);

/// A stretch of each of some days; it may end on the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Daily {
    days: Days,
    from: Minute,
    to: Minute,
}

impl Days {
    pub(super) const ALL: Self = Self(0x7f);

    pub(super) fn has(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }

    /// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, `Mon,Wed-Fri`; in any case, and whole names too.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut days = 0_u8;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let length = (last + 7 - first) % 7;
            (first..=first + length).for_each(|day| days |= 1 << (day % 7));
        }
        Ok(Self(days))
    }
}

/// The place of a day in the week, Monday being 0.
fn day(text: &str) -> Result<usize, String> {
    let text = text.trim().to_ascii_lowercase();
    let whole = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = DAYS.iter().position(|day| **day == text).or_else(|| whole.iter().position(|day| **day == text));
    found.ok_or_else(|| format!("'{text}' is no day; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
}

impl Minute {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no time of day; write it as 08:00");
        let (hours, minutes) = text.trim().split_once(':').ok_or_else(bad)?;
        let number = |digits: &str| match digits.len() {
            1 | 2 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u16>().ok(),
            _ => None,
        };
        let (hours, minutes) = number(hours).zip(number(minutes).filter(|_| minutes.len() == 2)).ok_or_else(bad)?;
        let minute = hours * 60 + minutes;
        if minutes < 60 && minute <= MINUTES_OF_DAY { Ok(Self(minute)) } else { Err(bad()) }
    }

    /// When it is on some day.
    pub(super) fn on(self, day: Date, zone: &Zone) -> Option<SystemTime> {
        if self.0 == MINUTES_OF_DAY {
            return zone.moment(day.tomorrow().ok()?.to_datetime(Time::midnight()));
        }
        let time = Time::new((self.0 / 60) as i8, (self.0 % 60) as i8, 0, 0).ok()?;
        zone.moment(day.to_datetime(time))
    }
}

impl Daily {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let bad = |reason: String| ScheduleError::window(text, reason);
        let (days, times) = match text.trim().rsplit_once(char::is_whitespace) {
            Some((days, times)) => (Days::parse(days).map_err(bad)?, times),
            None => (Days::ALL, text.trim()),
        };
        let (from, to) = times.split_once('-').ok_or_else(|| bad("it has no end".into()))?;
        let (from, to) = (Minute::parse(from).map_err(bad)?, Minute::parse(to).map_err(bad)?);
        if from == to || from.0 == MINUTES_OF_DAY {
            return Err(bad("it ends where it begins; a whole day is 00:00-24:00".into()));
        }
        Ok(Self { days, from, to })
    }

    /// Its stretches that begin on the days around a moment, in their order.
    pub(super) fn around(
        self,
        moment: SystemTime,
        days: Range<i32>,
        zone: &Zone,
    ) -> impl Iterator<Item = Range<SystemTime>> {
        let today = zone.at(moment).date();
        let stretch = move |ahead: i32| {
            let day = today.checked_add(ahead.days()).ok().filter(|day| self.days.has(day.weekday()))?;
            let last = if self.to > self.from { day } else { day.tomorrow().ok()? };
            let (from, to) = (self.from.on(day, zone)?, self.to.on(last, zone)?);
            (from < to).then_some(from..to)
        };
        days.filter_map(stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_lists_and_ranges() {
        for (text, expected) in [
            ("Mon", 0b000_0001),
            ("mon-fri", 0b001_1111),
            ("Sat,Sun", 0b110_0000),
            ("Fri-Mon", 0b111_0001),
            ("Mon,Wed-Thu", 0b000_1101),
            ("Monday-Sunday", 0b111_1111),
        ] {
            assert_eq!(Days::parse(text), Ok(Days(expected)), "{text}");
        }
        assert!(Days::parse("Mo-Fr").unwrap_err().contains("'mo' is no day"));
    }

    #[test]
    fn times_have_hours_and_minutes() {
        for (text, expected) in [("00:00", 0), ("8:05", 485), ("23:59", 1439), ("24:00", 1440)] {
            assert_eq!(Minute::parse(text), Ok(Minute(expected)), "{text}");
        }
        for text in ["", "8", "8:5", "24:01", "12:60", "-1:00", "+1:00", "008:00", "12:00:00", "1２:00"] {
            assert!(Minute::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("02:00", "has no end"),
            ("02:00-02:00", "a whole day is 00:00-24:00"),
            ("24:00-02:00", "a whole day is 00:00-24:00"),
            ("Mon-Fri", "'Mon' is no time of day"),
            ("Someday 02:00-04:00", "'someday' is no day"),
            ("02:00-25:00", "'25:00' is no time of day"),
        ] {
            let error = Daily::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }
}
