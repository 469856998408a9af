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

/// A date of a header field; `None` if it is not one.
pub fn parse_http_date(field: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(field).ok()?.trim()).ok()
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
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // The inverse of [`Civil::of`]: years from 1 March, days from 0000-03-01.
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
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
        fn dates_never_panic(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            parse_http_date(&field);
        }
    }
}
