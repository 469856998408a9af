//! How old an answer is when it arrives, and up to which age it is fresh (RFC 9111 section 4.2). Pure: seconds in, seconds out.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use protocol::timestamp::parse_http_date;

use super::{
    directives::{DELTA_MAX, Directives},
    record::seconds,
};

/// Of its age since `Last-Modified`, so much is how long an answer is fresh that does not say (section 4.2.2).
const HEURISTIC_PART: u64 = 10;
/// And no longer than a day, in seconds.
const HEURISTIC_MAX: u64 = 86_400;

/// When an answer was asked for and when its head arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) asked: SystemTime,
    pub(crate) arrived: SystemTime,
}

/// `Date` in seconds since 1970; the arrival where there is none (RFC 9110 section 6.6.1).
pub(crate) fn date(fields: &HeaderMap, arrived: SystemTime) -> u64 {
    seconds(one_date(fields, &header::DATE).flatten().unwrap_or(arrived))
}

/// The age of an answer when it arrived (section 4.2.3).
pub(crate) fn initial_age(fields: &HeaderMap, times: Times) -> u64 {
    let apparent = seconds(times.arrived).saturating_sub(date(fields, times.arrived));
    let delay = times.arrived.duration_since(times.asked).map_or(0, |delay| delay.as_secs());
    apparent.max(age(fields).saturating_add(delay))
}

/// `Age`: the first member counts, and what is no number is ignored (section 5.1).
fn age(fields: &HeaderMap) -> u64 {
    let first = fields.get(header::AGE).and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    let text = first.unwrap_or_default().trim_ascii();
    let are_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| are_digits);
    number.map_or(0, |text| text.parse().unwrap_or(DELTA_MAX).min(DELTA_MAX))
}

/// What an answer says of how long it is fresh, as a shared cache reads it (section 4.2.1).
pub(crate) fn explicit(directives: &Directives, fields: &HeaderMap, arrived: SystemTime) -> Option<u64> {
    let by_directive = directives.s_maxage.or(directives.max_age);
    by_directive.or_else(|| {
        // Who sent a field for caches like this one meant that one alone (RFC 9213 section 2.1).
        let expires = one_date(fields, &header::EXPIRES).filter(|_| !directives.is_targeted)?;
        // What cannot be read is in the past (section 5.3).
        Some(expires.map_or(0, |expires| seconds(expires).saturating_sub(date(fields, arrived))))
    })
}

/// How long an answer is taken to be fresh that does not say: a tenth of how long it has not changed.
pub(crate) fn heuristic(modified: Option<SystemTime>, fields: &HeaderMap, arrived: SystemTime) -> u64 {
    let unchanged = modified.map_or(0, |modified| date(fields, arrived).saturating_sub(seconds(modified)));
    (unchanged / HEURISTIC_PART).min(HEURISTIC_MAX)
}

/// A field that holds one date: absent, unreadable (also where several lines differ), or read.
fn one_date(fields: &HeaderMap, name: &HeaderName) -> Option<Option<SystemTime>> {
    let mut lines = fields.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    Some(if lines.all(|line| line == first) { parse_http_date(first) } else { None })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use protocol::timestamp::http_date;

    use super::*;

    const NOW: u64 = 1_795_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn the_age_is_the_larger_of_what_is_said_and_what_the_clocks_say() {
        let (old, young) = (http_date(at(NOW - 100)), http_date(at(NOW + 100)));
        for (lines, waited, expected) in [
            (vec![], 0, 0),
            (vec![("age", "30")], 0, 30),
            (vec![("age", "30")], 5, 35),
            (vec![("date", &*old)], 5, 100),
            (vec![("date", &*old), ("age", "200")], 0, 200),
            (vec![("date", &*young), ("age", "15")], 0, 15),
            (vec![("date", "yesterday")], 0, 0),
            (vec![("age", "abc")], 0, 0),
            (vec![("age", "-7200")], 0, 0),
            (vec![("age", "7200.0")], 0, 0),
            (vec![("age", "7200, 0")], 0, 7200),
            (vec![("age", "0, 7200")], 0, 0),
            (vec![("age", "0"), ("age", "7200")], 0, 0),
            (vec![("age", "99999999999999999999")], 0, DELTA_MAX),
        ] {
            let times = Times { asked: at(NOW - waited), arrived: at(NOW) };
            assert_eq!(initial_age(&fields(&lines), times), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_said_of_freshness_has_an_order() {
        let (now, soon, sooner, before) =
            (http_date(at(NOW)), http_date(at(NOW + 30)), http_date(at(NOW + 20)), http_date(at(NOW - 30)));
        for (lines, expected) in [
            (vec![], None),
            (vec![("cache-control", "max-age=60"), ("expires", &*soon)], Some(60)),
            (vec![("cache-control", "max-age=60, s-maxage=10")], Some(10)),
            (vec![("cache-control", "max-age=0"), ("expires", &*soon)], Some(0)),
            (vec![("cdn-cache-control", "max-age=5"), ("cache-control", "max-age=60")], Some(5)),
            (vec![("cdn-cache-control", "public"), ("expires", &*soon)], None),
            (vec![("expires", &*soon), ("date", &*now)], Some(30)),
            (vec![("expires", &*soon), ("date", "foo")], Some(30)),
            (vec![("expires", &*soon), ("date", &*sooner)], Some(10)),
            (vec![("expires", &*before), ("date", &*now)], Some(0)),
            (vec![("expires", "0")], Some(0)),
            (vec![("expires", &*soon), ("expires", &*soon)], Some(30)),
            (vec![("expires", &*soon), ("expires", &*sooner)], Some(0)),
        ] {
            let fields = fields(&lines);
            assert_eq!(explicit(&Directives::of(&fields), &fields, at(NOW)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_tenth_of_how_long_it_has_not_changed_and_no_more_than_a_day() {
        let none = fields(&[]);
        assert_eq!(heuristic(Some(at(NOW - 1000)), &none, at(NOW)), 100);
        assert_eq!(heuristic(Some(at(NOW - 10_000_000)), &none, at(NOW)), HEURISTIC_MAX);
        assert_eq!(heuristic(Some(at(NOW + 1000)), &none, at(NOW)), 0);
        assert_eq!(heuristic(None, &none, at(NOW)), 0);
    }
}
