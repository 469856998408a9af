//! How times are written: RFC 3339 in JSON, RFC 9110 in header fields. Always UTC, to the second.
//!
//! A file system may hold any time, also ones that no calendar of ours can write. They are moved to the nearest that it can,
//! for a strange time must not stop a file from being served.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z, the first second with four digits for the year.
const FIRST: i64 = -62_167_219_200;
/// 9999-12-31T23:59:59Z, the last one.
const LAST: i64 = 253_402_300_799;

/// `2026-11-22T01:41:00Z`
pub fn rfc3339(time: SystemTime) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::of(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Sun, 22 Nov 2026 01:41:00 GMT`, as in `Last-Modified` (RFC 9110 section 5.6.7). Times before 1970 are written as 1970.
pub fn http_date(time: SystemTime) -> String {
    let seconds = seconds(time).clamp(0, LAST).unsigned_abs();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A date of a header field, in one of the three forms of RFC 9110 section 5.6.7; `None` if it is not one. Names count without case, as many a
/// server writes them; everything else is taken to the letter, for whoever sends half a date means something else by it.
pub fn parse_http_date(field: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(field).ok()?.trim();
    let (name, rest) = text.split_once([',', ' ']).filter(|_| text.is_ascii())?;
    let civil = match (text.as_bytes().get(name.len()), name.len()) {
        (Some(b','), 3) if is_day(name, 3) => fixdate(rest.strip_prefix(' ')?)?,
        (Some(b','), _) if is_day(name, name.len()) => rfc850(rest.strip_prefix(' ')?)?,
        (Some(b' '), 3) if is_day(name, 3) => asctime(rest)?,
        _ => return None,
    };
    from_seconds(civil.seconds()?)
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Two digits of a year from here on are of the last century.
const CENTURY_TURNS: i64 = 70;

/// The first `letters` of a day's name; a whole name where that is as many as it has.
fn is_day(text: &str, letters: usize) -> bool {
    let is = |day: &&str| {
        let fits = letters == 3 || letters == day.len();
        fits && day.get(..letters).is_some_and(|day| day.eq_ignore_ascii_case(text))
    };
    DAYS.iter().any(is)
}

/// `18 Aug 2050 02:01:18 GMT`
fn fixdate(text: &str) -> Option<Civil> {
    let mut parts = text.split(' ');
    let (day, month, year) = (digits(parts.next()?, 2)?, month(parts.next()?)?, digits(parts.next()?, 4)?);
    Civil { year, month, day, ..time(parts.next()?)? }.in_gmt(parts)
}

/// `18-Aug-50 02:01:18 GMT`
fn rfc850(text: &str) -> Option<Civil> {
    let mut parts = text.split(' ');
    let mut date = parts.next()?.split('-');
    let (day, month, year) = (digits(date.next()?, 2)?, month(date.next()?)?, digits(date.next()?, 2)?);
    let year = if year < CENTURY_TURNS { 2000 + year } else { 1900 + year };
    date.next().is_none().then_some(Civil { year, month, day, ..time(parts.next()?)? })?.in_gmt(parts)
}

/// `Aug  8 02:01:18 2050`
fn asctime(text: &str) -> Option<Civil> {
    let (name, rest) = text.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = if let Some(digit) = day.strip_prefix(' ') { digits(digit, 1)? } else { digits(day, 2)? };
    let (clock, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    Some(Civil { year: digits(year, 4)?, month: month(name)?, day, ..time(clock)? })
}

/// `02:01:18`; a leap second is the last of its minute.
fn time(text: &str) -> Option<Civil> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_time = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    is_time.then_some(Civil { year: 0, month: 0, day: 0, hour, minute, second: second.min(59) })
}

fn month(text: &str) -> Option<i64> {
    MONTHS.iter().position(|month| month.eq_ignore_ascii_case(text)).map(|place| place as i64 + 1)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let are_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if are_digits { text.parse().ok() } else { None }
}

/// What [`rfc3339`] writes; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let is_written_so = bytes.len() == 20
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            10 => *byte == b'T',
            13 | 16 => *byte == b':',
            19 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok().filter(|_| is_written_so);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    from_seconds(Civil { year, month, day, hour, minute, second }.seconds()?)
}

fn from_seconds(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// Whole seconds since 1970, rounded down, as header fields have them.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            (-whole).saturating_sub(i64::from(before.subsec_nanos() > 0))
        }
    }
}

/// Date and time in the proleptic Gregorian calendar.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Unless something else than the zone follows.
    fn in_gmt<'a>(self, mut rest: impl Iterator<Item = &'a str>) -> Option<Self> {
        let is_gmt = rest.next().is_some_and(|zone| zone.eq_ignore_ascii_case("GMT")) && rest.next().is_none();
        is_gmt.then_some(self)
    }

    /// Seconds since 1970; `None` for a day that the month does not have.
    fn seconds(&self) -> Option<i64> {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days_of_month = match self.month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // As in `of`, the other way round.
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        let seconds = days * SECONDS_PER_DAY + self.hour * 3_600 + self.minute * 60 + self.second;
        (1..=days_of_month).contains(&self.day).then_some(seconds)
    }

    fn of(time: SystemTime) -> Self {
        let seconds = seconds(time).clamp(FIRST, LAST);
        let (days, rest) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        // Years are counted from 1 March, so that the leap day is a year's last, and days from 0000-03-01.
        let days = days + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // March is month 0; the months from March on have 153 days in every five.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> SystemTime {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_078_012_800, "2004-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_795_311_660, "2026-11-22T01:41:00Z"),
            (FIRST, "0000-01-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (LAST + 1, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(at(seconds)), text);
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2026-11-22T01:41:00+00:00",
            "2026-11-22 01:41:00Z",
            "2026-13-22T01:41:00Z",
            "2026-11-22T24:41:00Z",
            "+026-11-22T01:41:00Z",
            "\u{fc}026-11-22T01:41:0Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn parts_of_a_second_round_down_on_both_sides_of_1970() {
        let half = Duration::from_millis(500);
        assert_eq!(rfc3339(UNIX_EPOCH + half), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(UNIX_EPOCH - half), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_time_that_no_header_can_hold_does_not_panic() {
        assert_eq!(http_date(at(-5)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(at(LAST + 9)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn what_is_a_date_of_a_header_field() {
        let (august, eighth) = (Some(at(2_544_400_878)), Some(at(2_543_536_878)));
        for (text, expected) in [
            ("Thu, 18 Aug 2050 02:01:18 GMT", august),
            ("THU, 18 AUG 2050 02:01:18 gMT", august),
            ("Thursday, 18-Aug-50 02:01:18 GMT", august),
            ("Thu Aug  8 02:01:18 2050", eighth),
            (" Thu, 18 Aug 2050 02:01:18 GMT ", august),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(at(784_111_777))),
            ("Sun, 06 Nov 1994 23:59:60 GMT", Some(at(784_166_399))),
            ("Mon, 29 Feb 2024 00:00:00 GMT", Some(at(1_709_164_800))),
            ("Mon, 29 Feb 2023 00:00:00 GMT", None),
            ("Thu, 18 Aug 2050 02:01:18 UTC", None),
            ("Thu, 18 Aug 2050 02:01:18 AEST", None),
            ("Thu, 18 Aug 2050 02:01:18", None),
            ("Thu, 18 Aug 50 02:01:18 GMT", None),
            ("Thu 18 Aug 2050 02:01:18 GMT", None),
            ("Thu, 18  Aug  2050 02:01:18 GMT", None),
            ("Thu, 18-Aug-2050 02:01:18 GMT", None),
            ("Thu, 18 Aug 2050 02.01.18 GMT", None),
            ("Thu, 18 Aug 2050 2:01:18 GMT", None),
            ("Thu, 18 Aug 2050 24:00:00 GMT", None),
            ("Thursda, 18-Aug-50 02:01:18 GMT", None),
            ("18 Aug 2050 02:01:18 GMT", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_header_format(seconds in 0..=LAST) {
            let header = http_date(at(seconds));
            let json = rfc3339(at(seconds));
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month: usize = json[5..7].parse().unwrap();
            let rebuilt = format!("{} {} {} {} GMT", &json[8..10], months[month - 1], &json[..4], &json[11..19]);
            prop_assert_eq!(&header[5..], rebuilt);
            prop_assert_eq!(parse_http_date(header.as_bytes()), Some(at(seconds)));
        }

        #[test]
        fn what_is_written_is_read(seconds in FIRST..=LAST) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(at(seconds))), Some(at(seconds)));
        }

        #[test]
        fn agrees_with_another_parser(seconds in 0..=4_102_444_799i64) {
            let header = http_date(at(seconds));
            prop_assert_eq!(parse_http_date(header.as_bytes()), httpdate::parse_http_date(&header).ok());
        }

        #[test]
        fn dates_never_panic(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            parse_http_date(&field);
        }
    }
}
