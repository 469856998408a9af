//! Conditional requests (RFC 9110 section 13): one pure function decides what a GET or HEAD of a known representation is answered with.

use std::time::{Duration, SystemTime};

use crate::{
    etag::{ETag, TagList},
    range::{self, Selection},
    timestamp::{parse_http_date, seconds},
};

/// A date that lies less than this before now may still be that of two different contents (RFC 9110 section 8.8.2.2).
const DATE_STRONG_AFTER: Duration = Duration::from_secs(1);

/// The fields of a request that take part in the decision, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// `If-Match`
    pub if_match: Option<&'a [u8]>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a [u8]>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a [u8]>,
    /// `If-Range`
    pub if_range: Option<&'a [u8]>,
    /// `Range`; to be left out for HEAD (RFC 9110 section 14.2).
    pub range: Option<&'a [u8]>,
}

/// The same beyond the request, for an answer that has to wait.
#[derive(Clone, Debug)]
pub struct KeptConditions {
    if_match: Option<Box<[u8]>>,
    if_none_match: Option<Box<[u8]>>,
    if_modified_since: Option<Box<[u8]>>,
    if_unmodified_since: Option<Box<[u8]>>,
    if_range: Option<Box<[u8]>>,
    range: Option<Box<[u8]>>,
}

impl Conditions<'_> {
    /// Copies them.
    pub fn keep(&self) -> KeptConditions {
        let keep = |field: Option<&[u8]>| field.map(Box::from);
        KeptConditions {
            if_match: keep(self.if_match),
            if_none_match: keep(self.if_none_match),
            if_modified_since: keep(self.if_modified_since),
            if_unmodified_since: keep(self.if_unmodified_since),
            if_range: keep(self.if_range),
            range: keep(self.range),
        }
    }
}

impl KeptConditions {
    /// As they came.
    pub fn conditions(&self) -> Conditions<'_> {
        Conditions {
            if_match: self.if_match.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
            if_modified_since: self.if_modified_since.as_deref(),
            if_unmodified_since: self.if_unmodified_since.as_deref(),
            if_range: self.if_range.as_deref(),
            range: self.range.as_deref(),
        }
    }
}

/// What is known of the representation.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The tag that answers carry.
    pub etag: Option<&'a ETag>,
    /// A tag that the same bytes were given out under before (while a fill's digest was not known yet). Counts as equal.
    pub etag_before: Option<&'a ETag>,
    /// `Last-Modified`
    pub last_modified: Option<SystemTime>,
    /// Complete length; unknown while an upstream sends without one.
    pub len: Option<u64>,
    /// Now, for RFC 9110 section 8.8.2.2: a date is a strong validator only when it is old enough.
    pub now: SystemTime,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200, 206 or 416, by the selection.
    Send(Selection),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// RFC 9110 section 13.2.2, in its order. Without a known length a range is ignored.
pub fn decide(conditions: &Conditions<'_>, validators: &Validators<'_>) -> Verdict {
    if !precondition_holds(conditions, validators) {
        Verdict::PreconditionFailed
    } else if not_modified(conditions, validators) {
        Verdict::NotModified
    } else {
        Verdict::Send(selection(conditions, validators))
    }
}

/// `If-Match`, and without it `If-Unmodified-Since`.
fn precondition_holds(conditions: &Conditions<'_>, validators: &Validators<'_>) -> bool {
    if let Some(field) = conditions.if_match {
        return TagList::parse(field).any(|tag| validators.is_strongly(tag));
    }
    match (conditions.if_unmodified_since.and_then(parse_http_date), validators.last_modified) {
        (Some(since), Some(modified)) => seconds(modified) <= seconds(since),
        // A date that cannot be read, or nothing to compare it with: the field is ignored (section 13.1.4).
        _ => true,
    }
}

/// `If-None-Match`, and without it `If-Modified-Since`.
fn not_modified(conditions: &Conditions<'_>, validators: &Validators<'_>) -> bool {
    if let Some(field) = conditions.if_none_match {
        return TagList::parse(field).any(|tag| validators.is_weakly(tag));
    }
    match (conditions.if_modified_since.and_then(parse_http_date), validators.last_modified) {
        (Some(since), Some(modified)) => seconds(modified) <= seconds(since),
        _ => false,
    }
}

/// `Range`, unless `If-Range` says that the client's part is of other bytes.
fn selection(conditions: &Conditions<'_>, validators: &Validators<'_>) -> Selection {
    match (conditions.range, validators.len) {
        (Some(range), Some(len)) if conditions.if_range.is_none_or(|field| validators.same_bytes(field)) => {
            range::select(range, len)
        }
        _ => Selection::Whole,
    }
}

impl Validators<'_> {
    fn is_strongly(&self, tag: &ETag) -> bool {
        [self.etag, self.etag_before].into_iter().flatten().any(|known| known.matches_strongly(tag))
    }

    fn is_weakly(&self, tag: &ETag) -> bool {
        [self.etag, self.etag_before].into_iter().flatten().any(|known| known.matches_weakly(tag))
    }

    /// RFC 9110 section 13.1.5: a tag by strong comparison; a date exactly, and only when it is a strong validator.
    fn same_bytes(&self, if_range: &[u8]) -> bool {
        if let Some(tag) = ETag::parse(if_range) {
            return self.is_strongly(&tag);
        }
        match (parse_http_date(if_range), self.last_modified) {
            (Some(date), Some(modified)) => {
                let strong_from = modified.checked_add(DATE_STRONG_AFTER);
                seconds(date) == seconds(modified) && strong_from.is_some_and(|time| time <= self.now)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::span::Span;

    /// Last-Modified of the representation: 1994-11-15T12:45:26Z and half a second.
    const MODIFIED: &[u8] = b"Tue, 15 Nov 1994 12:45:26 GMT";
    const BEFORE: &[u8] = b"Tue, 15 Nov 1994 12:45:25 GMT";
    const AFTER: &[u8] = b"Tue, 15 Nov 1994 12:45:27 GMT";

    fn modified() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(784_903_526_500)
    }

    fn verdict(conditions: Conditions<'_>) -> Verdict {
        let (etag, before) = (ETag::parse(b"\"a\"").expect("a tag"), ETag::provisional(1));
        decide(
            &conditions,
            &Validators {
                etag: Some(&etag),
                etag_before: Some(&before),
                last_modified: Some(modified()),
                len: Some(100),
                now: modified() + Duration::from_secs(3_600),
            },
        )
    }

    fn whole() -> Verdict {
        Verdict::Send(Selection::Whole)
    }

    fn first_ten() -> Verdict {
        Verdict::Send(Selection::Part(Span::new(0, 10)))
    }

    #[test]
    fn each_field_alone() {
        use Verdict::{NotModified, PreconditionFailed};
        let none = Conditions::default();
        let table = [
            (none, whole()),
            (Conditions { if_match: Some(b"\"a\""), ..none }, whole()),
            (Conditions { if_match: Some(b"\"x\", \"a\""), ..none }, whole()),
            (Conditions { if_match: Some(b"*"), ..none }, whole()),
            (Conditions { if_match: Some(b"\"f-0000000000000001\""), ..none }, whole()),
            (Conditions { if_match: Some(b"W/\"a\""), ..none }, PreconditionFailed),
            (Conditions { if_match: Some(b"\"x\""), ..none }, PreconditionFailed),
            (Conditions { if_match: Some(b"a"), ..none }, PreconditionFailed),
            (Conditions { if_unmodified_since: Some(MODIFIED), ..none }, whole()),
            (Conditions { if_unmodified_since: Some(AFTER), ..none }, whole()),
            (Conditions { if_unmodified_since: Some(BEFORE), ..none }, PreconditionFailed),
            (Conditions { if_unmodified_since: Some(b"yesterday"), ..none }, whole()),
            (Conditions { if_none_match: Some(b"\"a\""), ..none }, NotModified),
            (Conditions { if_none_match: Some(b"W/\"a\""), ..none }, NotModified),
            (Conditions { if_none_match: Some(b"\"x\", W/\"f-0000000000000001\""), ..none }, NotModified),
            (Conditions { if_none_match: Some(b"*"), ..none }, NotModified),
            (Conditions { if_none_match: Some(b"\"x\""), ..none }, whole()),
            (Conditions { if_none_match: Some(b"a"), ..none }, whole()),
            (Conditions { if_modified_since: Some(MODIFIED), ..none }, NotModified),
            (Conditions { if_modified_since: Some(AFTER), ..none }, NotModified),
            (Conditions { if_modified_since: Some(BEFORE), ..none }, whole()),
            (Conditions { if_modified_since: Some(b""), ..none }, whole()),
            (Conditions { range: Some(b"bytes=0-9"), ..none }, first_ten()),
            (Conditions { if_range: Some(b"\"x\""), ..none }, whole()),
        ];
        for (conditions, expected) in table {
            assert_eq!(verdict(conditions), expected, "{conditions:?}");
        }
    }

    #[test]
    fn the_order_of_section_13_2_2() {
        use Verdict::{NotModified, PreconditionFailed};
        let ranged = Conditions { range: Some(b"bytes=0-9"), ..Conditions::default() };
        let table = [
            // A tag outweighs the date beside it.
            (Conditions { if_match: Some(b"\"a\""), if_unmodified_since: Some(BEFORE), ..ranged }, first_ten()),
            (Conditions { if_none_match: Some(b"\"x\""), if_modified_since: Some(AFTER), ..ranged }, first_ten()),
            (Conditions { if_none_match: Some(b"\"a\""), if_modified_since: Some(BEFORE), ..ranged }, NotModified),
            // What must hold comes before what must not, and both before the range.
            (Conditions { if_match: Some(b"\"x\""), if_none_match: Some(b"\"a\""), ..ranged }, PreconditionFailed),
            (Conditions { if_match: Some(b"\"a\""), if_none_match: Some(b"\"a\""), ..ranged }, NotModified),
            (Conditions { if_none_match: Some(b"\"a\""), if_range: Some(b"\"a\""), ..ranged }, NotModified),
        ];
        for (conditions, expected) in table {
            assert_eq!(verdict(conditions), expected, "{conditions:?}");
        }
    }

    #[test]
    fn if_range_compares_strongly() {
        let ranged = Conditions { range: Some(b"bytes=0-9"), ..Conditions::default() };
        for (field, expected) in [
            (&b"\"a\""[..], first_ten()),
            (b"\"f-0000000000000001\"", first_ten()),
            (b"W/\"a\"", whole()),
            (b"\"x\"", whole()),
            (b"\"x\", \"a\"", whole()),
            (b"*", whole()),
            (MODIFIED, first_ten()),
            (BEFORE, whole()),
            (AFTER, whole()),
            (b"", whole()),
        ] {
            assert_eq!(verdict(Conditions { if_range: Some(field), ..ranged }), expected, "{field:?}");
        }
    }

    #[test]
    fn a_weak_tag_of_ours_continues_no_part() {
        let etag = ETag::parse(b"W/\"a\"").expect("a tag");
        let validators =
            Validators { etag: Some(&etag), etag_before: None, last_modified: None, len: Some(9), now: modified() };
        let conditions = Conditions { if_range: Some(b"W/\"a\""), range: Some(b"bytes=0-1"), ..Conditions::default() };
        assert_eq!(decide(&conditions, &validators), whole());
    }

    #[test]
    fn a_young_date_is_no_strong_validator() {
        let conditions = Conditions { if_range: Some(MODIFIED), range: Some(b"bytes=0-9"), ..Conditions::default() };
        for (age, expected) in [(0, whole()), (999, whole()), (1_000, first_ten())] {
            let validators = Validators {
                etag: None,
                etag_before: None,
                last_modified: Some(modified()),
                len: Some(100),
                now: modified() + Duration::from_millis(age),
            };
            assert_eq!(decide(&conditions, &validators), expected, "{age}");
        }
    }

    #[test]
    fn what_is_not_known_makes_no_condition_hold_by_chance() {
        let validators = Validators { etag: None, etag_before: None, last_modified: None, len: None, now: modified() };
        let none = Conditions::default();
        for (conditions, expected) in [
            (Conditions { if_match: Some(b"\"a\""), ..none }, Verdict::PreconditionFailed),
            (Conditions { if_match: Some(b"*"), ..none }, whole()),
            (Conditions { if_unmodified_since: Some(BEFORE), ..none }, whole()),
            (Conditions { if_none_match: Some(b"\"a\""), ..none }, whole()),
            (Conditions { if_modified_since: Some(AFTER), ..none }, whole()),
            (Conditions { range: Some(b"bytes=0-9"), ..none }, whole()),
        ] {
            assert_eq!(decide(&conditions, &validators), expected, "{conditions:?}");
        }
    }

    proptest! {
        #[test]
        fn random_fields_never_panic(fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 6)) {
            verdict(Conditions {
                if_match: Some(&fields[0]),
                if_none_match: Some(&fields[1]),
                if_modified_since: Some(&fields[2]),
                if_unmodified_since: Some(&fields[3]),
                if_range: Some(&fields[4]),
                range: Some(&fields[5]),
            });
        }
    }
}
