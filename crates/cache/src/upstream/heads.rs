//! What the head of an upstream's answer says: validators, claims, length, and whether its bytes continue what was begun. Pure: an answer is
//! checked against what was asked, and never trusted beyond that.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use protocol::{
    digest::Claims, etag::ETag, problem::Kind as ProblemKind, range::parse_content_range, span::Span, timestamp,
};

use super::{
    error::AskError,
    reply::{Access, Head},
};
use crate::names::record::{Provenance, Record, seconds};

/// Seconds, where an upstream asks for patience without saying how much.
const RETRY_AFTER_DEFAULT: u64 = 10;
/// Seconds between `Last-Modified` and `Date` that make the former a strong validator.
const STRONG_DATE_AGE: u64 = 60;

/// The validators of an answer.
pub(crate) struct Validators {
    pub(crate) etag: Option<ETag>,
    pub(crate) modified: Option<SystemTime>,
}

impl Validators {
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        Self {
            etag: fields.get(header::ETAG).and_then(|etag| ETag::parse(etag.as_bytes())),
            modified: fields
                .get(header::LAST_MODIFIED)
                .and_then(|modified| timestamp::parse_http_date(modified.as_bytes())),
        }
    }

    /// The tag if it is strong.
    pub(crate) fn strong(&self) -> Option<&ETag> {
        self.etag.as_ref().filter(|etag| !etag.is_weak())
    }
}

/// What an answer claims of its bytes. `Content-MD5` is handed on and not believed: RFC 7231 (appendix B) took it out of HTTP, for servers disagree on
/// what of a part it is of, and caches hand on what is wrong.
pub(crate) fn claims(fields: &HeaderMap) -> Claims {
    let field = |name: &str| fields.get(name).map(HeaderValue::as_bytes);
    Claims::from_fields(field("repr-digest"), field("digest"), None)
}

/// `Retry-After` in seconds; a default where it is missing or a date.
pub(crate) fn retry_after(fields: &HeaderMap) -> u64 {
    let field = fields.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    field.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(RETRY_AFTER_DEFAULT)
}

/// RFC 9110 section 13.1.5: a weak tag is no validator for a range. What is asked for by its digest has the digest for its tag, whatever
/// stands in the record of the name that led to it.
pub(crate) fn if_range(head: &Head) -> Option<HeaderValue> {
    if let Access::Object(md5) = head.access {
        return Some(header_value(ETag::of(&md5).as_str()));
    }
    let record = &head.record;
    match (record.strong_etag(), record.modified) {
        (Some(etag), _) => Some(header_value(etag.as_str())),
        (None, Some(modified)) => Some(header_value(&timestamp::http_date(modified))),
        (None, None) => None,
    }
}

/// Whether an answer to a request for some of these bytes can be known to be of the same, and such answers are given.
pub(crate) fn gives_spans(head: &Head) -> bool {
    let units = head.fields.as_ref().and_then(|fields| fields.get(header::ACCEPT_RANGES));
    // RFC 9110 section 14.3; who does not say may.
    let says_none = units.is_some_and(|units| units.as_bytes().trim_ascii().eq_ignore_ascii_case(b"none"));
    let is_known =
        matches!(head.access, Access::Object(_)) || head.record.strong_etag().is_some() || is_date_strong(&head.record);
    is_known && !says_none
}

/// Checks that an answer is this span of what was begun, no more and no less.
pub(crate) fn check_span<B>(answer: &Response<B>, head: &Head, span: Span) -> Result<(), AskError> {
    check_status(answer)?;
    if answer.status() == StatusCode::OK {
        return Err(AskError::Invalid("the upstream sent the whole file where it was asked for a range".into()));
    }
    // Whatever the position: bytes of another version must never stand beside these.
    check_validators(answer.headers(), head, span.end).map_err(|what| has_changed(&what))?;
    let field = answer.headers().get(header::CONTENT_RANGE).map_or(&b""[..], HeaderValue::as_bytes);
    match parse_content_range(field) {
        Some((found, total)) if found == span && (total.is_none() || total == head.record.len) => Ok(()),
        _ => Err(other_range()),
    }
}

fn other_range() -> AskError {
    AskError::Invalid("the upstream sent another range than it was asked for".into())
}

/// Whether there are bytes in an answer to a request for some.
fn check_status<B>(answer: &Response<B>) -> Result<(), AskError> {
    let fields = answer.headers();
    match answer.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if fields.contains_key(header::RETRY_AFTER) => {
            let detail = format!("the upstream answered {}", answer.status());
            let kind = ProblemKind::Overloaded;
            Err(AskError::Busy { retry_after: retry_after(fields), detail, kind })
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(AskError::Failing(format!("the upstream answered {status} when it was asked for the rest of the file")))
        }
        status => Err(has_changed(&format!("the upstream answered {status} when it was asked for the rest of it"))),
    }
}

/// Checks that an answer continues what was begun. Answers how many bytes come first that are here already.
pub(crate) fn check_continuation<B>(answer: &Response<B>, head: &Head, position: u64) -> Result<u64, AskError> {
    let changed = |what: &str| Err(has_changed(what));
    let fields = answer.headers();
    check_status(answer)?;
    check_validators(fields, head, position).map_err(|what| has_changed(&what))?;
    if answer.status() == StatusCode::OK {
        let len = announced_len(answer)?;
        if len.is_some() && head.record.len.is_some() && len != head.record.len {
            return changed("it has another length");
        }
        return Ok(position);
    }
    let field = fields.get(header::CONTENT_RANGE).map_or(&b""[..], HeaderValue::as_bytes);
    match parse_content_range(field) {
        Some((span, total)) if span.start == position => match (total, head.record.len) {
            (Some(total), Some(len)) if total != len => changed("it has another length"),
            _ if position == 0 => {
                Err(AskError::Invalid("the upstream answered 206 to a request without a range".into()))
            }
            _ => Ok(0),
        },
        _ => Err(other_range()),
    }
}

fn has_changed(what: &str) -> AskError {
    AskError::Changed(format!("the file changed at the upstream while it was fetched: {what}"))
}

/// Equal strong tags, or where there is none equal dates that are strong (RFC 9110 section 8.8.2.2). What has neither can be begun again, but
/// not continued.
fn check_validators(fields: &HeaderMap, head: &Head, position: u64) -> Result<(), String> {
    if let Access::Object(md5) = head.access {
        let is_other = claims(fields).md5.is_some_and(|claimed| claimed != md5);
        return if is_other { Err("it has another digest".into()) } else { Ok(()) };
    }
    let record = &head.record;
    let found = Validators::of(fields);
    if found.etag != record.etag {
        return Err("it has another ETag".into());
    }
    if record.strong_etag().is_some() {
        return Ok(());
    }
    if found.modified != record.modified {
        return Err("it has another Last-Modified".into());
    }
    if position > 0 && !is_date_strong(record) {
        return Err("nothing shows that it did not, for it has neither a strong ETag nor an old Last-Modified".into());
    }
    Ok(())
}

fn is_date_strong(record: &Record) -> bool {
    let Provenance::Http(meta) = &record.provenance else { return false };
    record.modified.is_some_and(|modified| is_strong_date(modified, meta.date))
}

/// Whether a `Last-Modified` is old enough by the server's own clock (seconds since 1970) to tell versions apart (RFC 9110 section 8.8.2.2).
pub(crate) fn is_strong_date(modified: SystemTime, date: u64) -> bool {
    seconds(modified).saturating_add(STRONG_DATE_AGE) <= date
}

pub(crate) fn header_value(text: &str) -> HeaderValue {
    // Tags and dates are visible ASCII by construction.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// `Content-Length`, with several that disagree refused. hyper has checked those of messages with a body.
pub(crate) fn announced_len<B>(answer: &Response<B>) -> Result<Option<u64>, AskError> {
    if is_chunked(answer) {
        return Ok(None);
    }
    let mut values = answer.headers().get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let text = first.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(len) if is_number && values.all(|value| value == first) => Ok(Some(len)),
        _ => Err(AskError::Invalid(format!("the upstream sent the Content-Length '{text}', which is not a length"))),
    }
}

pub(crate) fn is_chunked<B>(answer: &Response<B>) -> bool {
    answer.version() != Version::HTTP_10 && answer.headers().contains_key(header::TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::record::HttpMeta;

    const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";

    fn head(etag: Option<&str>, modified: Option<&str>, age_of_date: u64) -> Head {
        let modified = modified.and_then(|text| timestamp::parse_http_date(text.as_bytes()));
        let date = modified.map_or(0, seconds) + age_of_date;
        let record = Record {
            checked: 0,
            len: Some(1000),
            modified,
            etag: etag.and_then(|etag| ETag::parse(etag.as_bytes())),
            provisional: None,
            provenance: Provenance::Http(HttpMeta { date, ..HttpMeta::default() }),
        };
        Head { record, claims: Claims::default(), source: bytes::Bytes::new(), access: Access::Name, fields: None }
    }

    fn answer(status: u16, fields: &[(&'static str, &str)]) -> Response<()> {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        answer
    }

    /// What a check comes to, in a word.
    fn check(answer: &Response<()>, head: &Head, position: u64) -> String {
        word(check_continuation(answer, head, position).map(|skip| format!("skip {skip}")))
    }

    fn word(checked: Result<String, AskError>) -> String {
        match checked {
            Ok(word) => word,
            Err(AskError::Changed(_)) => "changed".into(),
            Err(AskError::Invalid(_)) => "invalid".into(),
            Err(AskError::Busy { retry_after, .. }) => format!("busy {retry_after}"),
            Err(AskError::Failing(_)) => "failing".into(),
            Err(AskError::Unreachable(_) | AskError::TimedOut(_)) => "unreachable".into(),
        }
    }

    #[test]
    fn a_continuation_is_believed_only_with_equal_validators_length_and_start() {
        let tagged = head(Some("\"v1\""), None, 0);
        let tag = ("etag", "\"v1\"");
        let range = |text| ("content-range", text);
        for (status, fields, expected) in [
            (206, vec![tag, range("bytes 400-999/1000")], "skip 0"),
            (206, vec![tag, range("bytes 400-999/*")], "skip 0"),
            (206, vec![tag, range("bytes 400-499/1000")], "skip 0"),
            (206, vec![tag, range("bytes 0-999/1000")], "invalid"),
            (206, vec![tag, range("bytes 400-1000/1001")], "changed"),
            (206, vec![tag], "invalid"),
            (206, vec![("etag", "\"v2\""), range("bytes 400-999/1000")], "changed"),
            (206, vec![range("bytes 400-999/1000")], "changed"),
            (200, vec![tag, ("content-length", "1000")], "skip 400"),
            (200, vec![tag, ("content-length", "999")], "changed"),
            (200, vec![tag, ("content-length", "+999")], "invalid"),
            (200, vec![("etag", "\"v2\"")], "changed"),
            (404, vec![], "changed"),
            (416, vec![], "changed"),
            (500, vec![], "failing"),
            (503, vec![], "failing"),
            (503, vec![("retry-after", "7")], "busy 7"),
            (503, vec![("retry-after", "tomorrow")], "busy 10"),
        ] {
            assert_eq!(check(&answer(status, &fields), &tagged, 400), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_span_is_believed_only_if_it_is_the_one_that_was_asked_for() {
        let tagged = head(Some("\"v1\""), None, 0);
        let tag = ("etag", "\"v1\"");
        let range = |text| ("content-range", text);
        for (status, fields, expected) in [
            (206, vec![tag, range("bytes 400-499/1000")], "ok"),
            (206, vec![tag, range("bytes 400-499/*")], "ok"),
            (206, vec![tag, range("bytes 400-498/1000")], "invalid"),
            (206, vec![tag, range("bytes 400-500/1000")], "invalid"),
            (206, vec![tag, range("bytes 399-499/1000")], "invalid"),
            (206, vec![tag, range("bytes 400-499/1001")], "invalid"),
            (206, vec![tag, ("content-type", "multipart/byteranges; boundary=x")], "invalid"),
            (206, vec![("etag", "\"v2\""), range("bytes 400-499/1000")], "changed"),
            (206, vec![range("bytes 400-499/1000")], "changed"),
            (200, vec![tag, ("content-length", "1000")], "invalid"),
            (200, vec![("etag", "\"v2\"")], "invalid"),
            (416, vec![], "changed"),
            (500, vec![], "failing"),
            (503, vec![("retry-after", "7")], "busy 7"),
        ] {
            let checked = check_span(&answer(status, &fields), &tagged, Span::new(400, 500));
            assert_eq!(word(checked.map(|()| "ok".into())), expected, "{status} {fields:?}");
        }
        let first = answer(206, &[tag, range("bytes 0-99/1000")]);
        assert!(check_span(&first, &tagged, Span::new(0, 100)).is_ok(), "the first bytes are a span as well");
    }

    #[test]
    fn what_has_no_strong_validator_is_not_asked_for_in_spans() {
        for (head, expected) in [
            (head(Some("\"v1\""), None, 0), true),
            (head(Some("W/\"v1\""), None, 0), false),
            (head(Some("W/\"v1\""), Some(MODIFIED), 60), true),
            (head(None, Some(MODIFIED), 60), true),
            (head(None, Some(MODIFIED), 59), false),
            (head(None, None, 0), false),
        ] {
            assert_eq!(gives_spans(&head), expected);
        }
        let object = Access::Object(protocol::digest::Md5::of(b""));
        assert!(gives_spans(&Head { access: object, ..head(None, None, 0) }));
        for (units, expected) in [("bytes", true), ("none", false), (" None ", false)] {
            let fields = HeaderMap::from_iter([(header::ACCEPT_RANGES, units.parse().unwrap())]);
            let head = Head { fields: Some(fields), ..head(Some("\"v1\""), None, 0) };
            assert_eq!(gives_spans(&head), expected, "{units}");
        }
    }

    #[test]
    fn a_date_continues_only_when_it_is_old_enough_to_be_strong() {
        let whole = answer(200, &[("last-modified", MODIFIED)]);
        let weak = answer(200, &[("last-modified", MODIFIED), ("etag", "W/\"v1\"")]);
        for (head, answer, position, expected) in [
            (head(None, Some(MODIFIED), 60), &whole, 400, "skip 400"),
            (head(None, Some(MODIFIED), 59), &whole, 400, "changed"),
            (head(None, Some(MODIFIED), 59), &whole, 0, "skip 0"),
            (head(None, None, 60), &whole, 400, "changed"),
            (head(Some("W/\"v1\""), Some(MODIFIED), 60), &weak, 400, "skip 400"),
            (head(Some("W/\"v0\""), Some(MODIFIED), 60), &weak, 400, "changed"),
        ] {
            assert_eq!(check(answer, &head, position), expected);
        }
        let nothing = answer(200, &[]);
        assert_eq!(check(&nothing, &head(None, None, 0), 400), "changed");
        assert_eq!(check(&nothing, &head(None, None, 0), 0), "skip 0");
    }

    #[test]
    fn an_object_is_itself_under_any_tag_but_not_under_another_digest() {
        let (own, other) = (protocol::digest::Md5::of(b"own"), protocol::digest::Md5::of(b"other"));
        let head = Head { access: Access::Object(own), ..head(Some("\"v1\""), None, 0) };
        assert_eq!(check(&answer(200, &[]), &head, 400), "skip 400");
        assert_eq!(check(&answer(200, &[("repr-digest", &own.repr_digest())]), &head, 400), "skip 400");
        assert_eq!(check(&answer(200, &[("repr-digest", &other.repr_digest())]), &head, 400), "changed");
    }

    #[test]
    fn lengths_are_numbers_and_agree() {
        let len = |fields: &[(&'static str, &str)]| announced_len(&answer(200, fields)).map_err(|_| ());
        assert_eq!(len(&[("content-length", "12")]), Ok(Some(12)));
        assert_eq!(len(&[("content-length", "12"), ("content-length", "12")]), Ok(Some(12)));
        assert_eq!(len(&[("content-length", "12"), ("content-length", "13")]), Err(()));
        assert_eq!(len(&[("content-length", "99999999999999999999")]), Err(()));
        assert_eq!(len(&[("content-length", "12"), ("transfer-encoding", "chunked")]), Ok(None));
        assert_eq!(len(&[]), Ok(None));
    }
}
