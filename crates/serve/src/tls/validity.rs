//! From when until when a certificate holds: the two times of its head, found by walking over what stands before them (RFC 5280 section 4.1).
//! Nothing is verified here, and nothing else of a certificate is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xa0;

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub begins: SystemTime,
    /// The last second.
    pub ends: SystemTime,
}

impl Validity {
    /// Of a certificate in DER; `None` if it is not one.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let mut outer = Reader(certificate).take(SEQUENCE)?;
        let mut signed = outer.take(SEQUENCE)?;
        // A certificate of version 1 does not say so.
        let _version = signed.take(VERSION);
        let _serial_number = signed.take(INTEGER)?;
        let _algorithm = signed.take(SEQUENCE)?;
        let _issuer = signed.take(SEQUENCE)?;
        let mut validity = signed.take(SEQUENCE)?;
        Some(Self { begins: validity.time()?, ends: validity.time()? })
    }
}

/// What is left to be read of a run of DER values.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What the next value holds, if it has that tag; otherwise nothing is taken.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let (len, rest) = match *self.0 {
            [found, len @ 0..=0x7f, ref rest @ ..] if found == tag => (usize::from(len), rest),
            [found, 0x81, len, ref rest @ ..] if found == tag => (usize::from(len), rest),
            [found, 0x82, high, low, ref rest @ ..] if found == tag => {
                (usize::from(u16::from_be_bytes([high, low])), rest)
            }
            // Three bytes of length are more than a certificate that anybody sends.
            _ => return None,
        };
        let (inner, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Self(inner))
    }

    /// `YYMMDDHHMMSSZ` up to the year 2049, `YYYYMMDDHHMMSSZ` from then on.
    fn time(&mut self) -> Option<SystemTime> {
        if let Some(Self(text)) = self.take(UTC_TIME) {
            let (year, rest) = number(text, 2)?;
            return since_1970(if year < 50 { 2000 + year } else { 1900 + year }, rest);
        }
        let (year, rest) = number(self.take(GENERALIZED_TIME)?.0, 4)?;
        since_1970(year, rest)
    }
}

/// The number that so many digits are, and what follows.
fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number =
        number.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))?;
    Some((number, rest))
}

/// From a year and `MMDDHHMMSSZ`, by the calendar of Gregory. Times before 1970 count as its beginning.
fn since_1970(year: u64, text: &[u8]) -> Option<SystemTime> {
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    if text != b"Z" || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // The year begins in March here, so that a leap day is its last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days_to_march_0 = year * 365 + year / 4 - year / 100 + year / 400;
    let days = days_to_march_0 + (153 * month + 2) / 5 + day - 1;
    let days = days.saturating_sub(719_468);
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(time: Option<SystemTime>) -> Option<u64> {
        time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn both_forms_of_time_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "261122101500Z", Some(1_795_342_500)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "20240229120000Z", Some(1_709_208_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "2611221015Z", None),
            (UTC_TIME, "261322101500Z", None),
            (UTC_TIME, "261122101500", None),
            (UTC_TIME, "26112210150xZ", None),
            (GENERALIZED_TIME, "", None),
        ] {
            let value = [&[tag, text.len() as u8], text.as_bytes()].concat();
            assert_eq!(seconds(Reader(&value).time()), expected, "{text}");
        }
    }

    #[test]
    fn a_certificate_tells_when_it_holds() {
        let mut asked = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        asked.not_before = rcgen::date_time_ymd(2020, 2, 29);
        asked.not_after = rcgen::date_time_ymd(2051, 1, 1);
        let made = asked.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let validity = Validity::of(made.der()).unwrap();
        assert_eq!(seconds(Some(validity.begins)), Some(1_582_934_400));
        assert_eq!(seconds(Some(validity.ends)), Some(2_556_144_000));
        for len in 0..60 {
            assert_eq!(Validity::of(&made.der()[..len]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Validity::of(&bytes);
            let _ = Validity::of(&[&[SEQUENCE, 0x7f, SEQUENCE, 0x7e, INTEGER, 0, SEQUENCE, 0, SEQUENCE, 0, SEQUENCE, 40], &bytes[..]].concat());
        }
    }
}
