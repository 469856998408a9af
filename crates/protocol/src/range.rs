//! `Range` (RFC 9110 section 14): what a client asks for, cut to what there is.

use crate::span::Span;

/// At most so many parts are answered; a request for more is answered whole (200).
pub(crate) const PARTS_MAX: usize = 16;

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: no `Range`, one that is to be ignored, or an abusive one.
    Whole,
    /// 206 with one part.
    Part(Span),
    /// 206 as `multipart/byteranges`, in the order asked, never overlapping, in sum never more than the whole.
    Parts(Vec<Span>),
    /// 416.
    Unsatisfiable,
}

/// One `range-spec`, as asked.
#[derive(Clone, Copy)]
enum Spec {
    /// `first-` or `first-last`, both included.
    From { first: u64, last: u64 },
    /// `-length`: the last bytes.
    Suffix(u64),
}

/// Applies a `Range` field to a representation of `len` bytes. An invalid field or another unit is ignored; values beyond
/// 64 bits saturate; overlapping parts or more than [`PARTS_MAX`] give the whole.
pub(crate) fn select(range: &[u8], len: u64) -> Selection {
    let Some(set) = range_set(range) else { return Selection::Whole };
    let mut parts = Vec::new();
    let (mut asked, mut abusive) = (0_usize, false);
    for spec in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        // One spec that is not valid makes the field invalid (section 14.2), whatever stands beside it.
        let Some(spec) = Spec::parse(spec) else { return Selection::Whole };
        asked += 1;
        let Some(part) = spec.cut(len) else { continue };
        abusive |= parts.len() == PARTS_MAX;
        if !abusive {
            parts.push(part);
        }
    }
    match parts.as_slice() {
        [] if asked == 0 => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [part] => Selection::Part(*part),
        _ if abusive || overlap(&parts) => Selection::Whole,
        _ => Selection::Parts(parts),
    }
}

/// What follows `bytes=`. Names of units compare without case (section 14.1).
fn range_set(range: &[u8]) -> Option<&[u8]> {
    let (unit, set) = range.trim_ascii().split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// At most [`PARTS_MAX`] parts, so every pair is looked at.
fn overlap(parts: &[Span]) -> bool {
    let crosses = |one: &Span, other: &Span| one.start < other.end && other.start < one.end;
    parts.iter().enumerate().any(|(n, one)| parts[n + 1..].iter().any(|other| crosses(one, other)))
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Self> {
        let dash = spec.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        if first.is_empty() {
            return Some(Self::Suffix(saturating_number(last)?));
        }
        let first = saturating_number(first)?;
        let last = if last.is_empty() { u64::MAX } else { saturating_number(last)? };
        (first <= last).then_some(Self::From { first, last })
    }

    /// `None` if no byte of it exists.
    fn cut(self, len: u64) -> Option<Span> {
        let part = match self {
            Self::From { first, last } => Span::new(first, last.saturating_add(1).min(len)),
            Self::Suffix(wanted) => Span::new(len - wanted.min(len), len),
        };
        (!part.is_empty()).then_some(part)
    }
}

/// `1*DIGIT`; what does not fit saturates, for "potentially large decimal numerals" are valid (section 14.1.2).
fn saturating_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// A number that must be exact; `None` beyond 64 bits.
fn exact_number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `bytes START-END/LEN`, the value of `Content-Range` for one part.
pub fn content_range(part: Span, len: u64) -> String {
    debug_assert!(!part.is_empty(), "an empty part has no Content-Range");
    format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1))
}

/// `bytes */LEN`, the value of `Content-Range` in a 416.
pub fn unsatisfied_range(len: u64) -> String {
    format!("bytes */{len}")
}

/// A `Content-Range` of an upstream's 206: the span and, unless `*`, the complete length. `None` if it is not one.
pub fn parse_content_range(field: &[u8]) -> Option<(Span, Option<u64>)> {
    let (unit, rest) = field.trim_ascii().split_at_checked(b"bytes ".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let slash = rest.iter().position(|&byte| byte == b'/')?;
    let (span, len) = (&rest[..slash], &rest[slash + 1..]);
    let dash = span.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (exact_number(&span[..dash])?, exact_number(&span[dash + 1..])?);
    let len = if len == b"*" { None } else { Some(exact_number(len)?) };
    // Section 14.4: last below first, or a length not above last, is invalid.
    let end = last.checked_add(1)?;
    (first <= last && len.is_none_or(|len| end <= len)).then_some((Span::new(first, end), len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Selection::*, *};

    fn part(start: u64, end: u64) -> Selection {
        Part(Span::new(start, end))
    }

    fn parts(spans: &[(u64, u64)]) -> Selection {
        Parts(spans.iter().map(|&(start, end)| Span::new(start, end)).collect())
    }

    #[test]
    fn selections_of_a_hundred_bytes() {
        let table = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 100)),
            ("bytes=10-19", part(10, 20)),
            ("bytes=99-", part(99, 100)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-1000", part(0, 100)),
            ("BYTES=5-6", part(5, 7)),
            (" bytes=5-6 ", part(5, 7)),
            ("bytes=5-18446744073709551615", part(5, 100)),
            ("bytes=5-99999999999999999999999", part(5, 100)),
            ("bytes=-99999999999999999999999", part(0, 100)),
            ("bytes=0000000000000000000000000007-8", part(7, 9)),
            // Several.
            ("bytes=0-0,-1", parts(&[(0, 1), (99, 100)])),
            ("bytes=50-59 ,\t0-9,", parts(&[(50, 60), (0, 10)])),
            ("bytes=0-49,50-99", parts(&[(0, 50), (50, 100)])),
            ("bytes=0-9,200-", part(0, 10)),
            ("bytes=0-9,5-14", Whole),
            ("bytes=0-,0-,0-", Whole),
            ("bytes=0-,-1", Whole),
            // Nothing of it exists.
            ("bytes=100-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=100-200,-0", Unsatisfiable),
            ("bytes=18446744073709551615-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            // Not valid, so as if it were not there.
            ("", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=5-2", Whole),
            ("bytes=0-9,5-2", Whole),
            ("bytes=0-9,x", Whole),
            ("bytes=5 - 6", Whole),
            ("bytes =5-6", Whole),
            ("bytes=+5-6", Whole),
            ("bytes=--5", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1.5-2", Whole),
            ("bytes=-9223372036854775608,-9223372036854775609", Whole),
            ("items=0-1", Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field.as_bytes(), 100), expected, "{field}");
        }
    }

    #[test]
    fn an_empty_file_satisfies_no_range() {
        for field in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(select(field.as_bytes(), 0), Unsatisfiable, "{field}");
        }
        assert_eq!(select(b"bytes=2-1", 0), Whole);
    }

    #[test]
    fn too_many_parts_are_answered_whole() {
        let field = |count: usize| {
            let specs: Vec<_> = (0..count).map(|n| format!("{0}-{0}", n * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        assert!(matches!(select(field(PARTS_MAX).as_bytes(), 5_000), Parts(parts) if parts.len() == PARTS_MAX));
        assert_eq!(select(field(PARTS_MAX + 1).as_bytes(), 5_000), Whole);
        assert_eq!(select(field(1_300).as_bytes(), 5_000), Whole);
    }

    #[test]
    fn content_ranges() {
        assert_eq!(content_range(Span::new(0, 1), 5), "bytes 0-0/5");
        assert_eq!(unsatisfied_range(5), "bytes */5");
        let table = [
            ("bytes 0-0/5", Some((Span::new(0, 1), Some(5)))),
            ("bytes 2-4/5", Some((Span::new(2, 5), Some(5)))),
            ("Bytes 2-4/*", Some((Span::new(2, 5), None))),
            ("bytes 2-5/5", None),
            ("bytes 4-2/5", None),
            ("bytes */5", None),
            ("bytes 0-0", None),
            ("bytes -1/5", None),
            ("bytes +0-1/5", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-99999999999999999999/*", None),
            ("items 0-1/5", None),
            ("", None),
        ];
        for (field, expected) in table {
            assert_eq!(parse_content_range(field.as_bytes()), expected, "{field}");
        }
    }

    /// Fields that are nearly valid, which random bytes hardly ever are.
    fn fields() -> impl Strategy<Value = String> {
        let number = prop_oneof![Just(String::new()), (0..40_u64).prop_map(|n| n.to_string()), "[0-9]{1,24}"];
        let spec = (number.clone(), "-{1,1}|-{0,2}", number).prop_map(|(first, dash, last)| first + &dash + &last);
        proptest::collection::vec(spec, 0..20).prop_map(|specs| format!("bytes={}", specs.join(", ")))
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(field in proptest::collection::vec(any::<u8>(), 0..200), len in any::<u64>()) {
            select(&field, len);
            parse_content_range(&field);
        }

        #[test]
        fn a_selection_lies_within_and_is_never_more_than_the_whole(field in fields(), len in 0..60_u64) {
            let spans = match select(field.as_bytes(), len) {
                Whole | Unsatisfiable => vec![],
                Part(span) => vec![span],
                Parts(spans) => {
                    prop_assert!(spans.len() >= 2 && spans.len() <= PARTS_MAX);
                    spans
                }
            };
            prop_assert!(spans.iter().all(|span| !span.is_empty() && span.end <= len));
            prop_assert!(spans.iter().map(|span| span.len()).sum::<u64>() <= len);
        }

        #[test]
        fn a_written_content_range_reads_back(start in 0..1_000_u64, bytes in 1..1_000_u64, more in 0..1_000_u64) {
            let span = Span::new(start, start + bytes);
            let len = span.end + more;
            prop_assert_eq!(parse_content_range(content_range(span, len).as_bytes()), Some((span, Some(len))));
        }
    }
}
