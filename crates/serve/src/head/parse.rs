//! One request head, read strictly (RFC 9112). `httparse` splits the lines; this file refuses what two readers could understand
//! differently: bare line ends, two lengths, two hosts, codings that nobody asked us to know. It reads no body and knows no connection.
//!
//! Whatever is refused here is answered once and the connection closed, for nobody can say where the next request begins.

use std::mem::MaybeUninit;

use http::Method;
use httparse::{Header, Status};

use super::{
    framing::{Framing, check_target},
    refusal::Refusal,
};
use crate::request::{Fields, Request};

/// A method's name may be so long; the longest that is registered has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

/// The highest that [`Limits::fields_max`] can be: more fields are never read.
pub const FIELDS_CEILING: usize = 256;

/// Room for the fields of one head, on the stack and not initialised: that would cost more than the parse.
pub(crate) type Slots<'a> = [MaybeUninit<Header<'a>>; FIELDS_CEILING];

/// Empty room for one head.
pub fn slots<'a>() -> Slots<'a> {
    [const { MaybeUninit::uninit() }; FIELDS_CEILING]
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, the empty line included.
    pub head_bytes_max: usize,
    /// Fields; at most `FIELDS_CEILING`.
    pub fields_max: usize,
}

/// What the bytes are.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A head that may be answered.
    Whole(Head<'a>),
    /// The beginning of one.
    Partial,
    /// Not to be answered but with an error.
    Refused(Refusal),
}

/// A head that was found right.
#[derive(Debug)]
pub struct Head<'a> {
    /// What is asked.
    pub(crate) request: Request<'a>,
    /// Bytes it takes, a tolerated empty line before it included.
    pub len: usize,
    /// Whether the client wants to go on after the answer.
    pub(crate) keep_alive: bool,
    /// Whether it waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// Reads one head from the beginning of `bytes`. `slots` are the caller's, so that nothing is allocated.
pub fn parse<'a>(bytes: &'a [u8], slots: &'a mut Slots<'a>, limits: &Limits) -> Parsed<'a> {
    // RFC 9112 section 2.2: one empty line before the request line is forgiven, as old clients send one behind a body.
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[skipped..];
    match bytes {
        [] => return Parsed::Partial,
        [b'\r'] if skipped == 0 => return Parsed::Partial,
        [b'\r' | b'\n', ..] => return Parsed::Refused(Refusal::EmptyLines),
        _ => {}
    }
    let mut raw = httparse::Request::new(&mut []);
    let fields_max = limits.fields_max.min(FIELDS_CEILING);
    let len = match raw.parse_with_uninit_headers(bytes, &mut slots[..fields_max]) {
        Ok(Status::Complete(len)) if len <= limits.head_bytes_max => len,
        Ok(Status::Partial) if bytes.len() < limits.head_bytes_max => return Parsed::Partial,
        Ok(_) => return Parsed::Refused(too_large(bytes, limits)),
        Err(error) => return Parsed::Refused(refusal(error, bytes)),
    };
    match check(raw.method, raw.path, raw.version, raw.headers, &bytes[..len]) {
        Ok(head) => Parsed::Whole(Head { len: len + skipped, ..head }),
        Err(refusal) => Parsed::Refused(refusal),
    }
}

/// Says whether it is the target or the fields that do not fit.
fn too_large(bytes: &[u8], limits: &Limits) -> Refusal {
    let seen = &bytes[..bytes.len().min(limits.head_bytes_max)];
    if seen.contains(&b'\n') { Refusal::FieldsTooLarge } else { Refusal::TargetTooLong }
}

fn refusal(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::HeaderName => Refusal::Field,
        httparse::Error::HeaderValue => Refusal::Value,
        httparse::Error::NewLine => Refusal::LineEnd,
        httparse::Error::TooManyHeaders => Refusal::FieldsTooLarge,
        httparse::Error::Version => version_refusal(bytes),
        httparse::Error::Token | httparse::Error::Status => Refusal::RequestLine,
    }
}

/// 505 is for a version of HTTP that we do not speak; what is no version at all is malformed.
fn version_refusal(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    if line == b"PRI * HTTP/2.0" {
        return Refusal::Preface;
    }
    match line.rsplit(|byte| *byte == b' ').next() {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::RequestLine,
    }
}

fn check<'a>(
    method: Option<&str>,
    target: Option<&'a str>,
    version: Option<u8>,
    fields: &'a [Header<'a>],
    head: &[u8],
) -> Result<Head<'a>, Refusal> {
    check_line_ends(head)?;
    let http11 = version == Some(1);
    let framing = Framing::read(fields, http11)?;
    let body = framing.body()?;
    let method = method_of(method.unwrap_or_default())?;
    let target = target.unwrap_or_default();
    check_target(target, framing.host)?;
    let expects_continue = framing.expects_continue()?;
    let request = Request { method, target: target.as_bytes(), http11, fields: Fields(fields), body };
    Ok(Head { request, len: 0, keep_alive: framing.keep_alive(http11), expects_continue })
}

/// `httparse` takes a bare LF for a line end (and refuses a bare CR): with as many CR as LF every line has both.
fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    let count = |wanted: u8| head.iter().filter(|byte| **byte == wanted).count();
    if count(b'\r') == count(b'\n') { Ok(()) } else { Err(Refusal::LineEnd) }
}

/// A method that is offered.
pub(crate) fn method_of(method: &str) -> Result<Method, Refusal> {
    match method {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "CONNECT" => Err(Refusal::Connect),
        _ if method.len() > METHOD_BYTES_MAX => Err(Refusal::Method),
        _ => Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Method),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Announced;

    const LIMITS: Limits = Limits { head_bytes_max: 1024, fields_max: 10 };

    fn with<T>(bytes: &[u8], look: impl FnOnce(Parsed<'_>) -> T) -> T {
        look(parse(bytes, &mut slots(), &LIMITS))
    }

    fn refused(bytes: &[u8]) -> Option<Refusal> {
        with(bytes, |parsed| match parsed {
            Parsed::Refused(refusal) => Some(refusal),
            _ => None,
        })
    }

    fn whole<T>(bytes: &[u8], look: impl FnOnce(Head<'_>) -> T) -> T {
        with(bytes, |parsed| match parsed {
            Parsed::Whole(head) => look(head),
            other => panic!("{other:?} for {:?}", String::from_utf8_lossy(bytes)),
        })
    }

    #[test]
    fn reads_a_plain_request() {
        let text = b"GET /a%20b?c HTTP/1.1\r\nHost: example:8080\r\nRange:  bytes=0-1 \r\n\r\nGET";
        whole(text, |head| {
            assert_eq!(head.request.method, Method::GET);
            assert_eq!(head.request.target, b"/a%20b?c");
            assert_eq!(head.request.fields.first("range"), Some(&b"bytes=0-1"[..]));
            assert_eq!(head.len, text.len() - 3);
            assert!(head.keep_alive && head.request.http11);
            assert_eq!(head.request.body, Announced::None);
        });
    }

    #[test]
    fn tells_who_stays() {
        for (rest, stays) in [
            ("1.1\r\nHost: a\r\n", true),
            ("1.1\r\nHost: a\r\nConnection: close\r\n", false),
            ("1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n", false),
            ("1.1\r\nHost: a\r\nExpect: 100-continue\r\n", true),
            ("1.0\r\n", false),
            ("1.0\r\nConnection: Keep-Alive\r\n", true),
            ("1.0\r\nConnection: keep-alive, close\r\n", false),
        ] {
            let text = format!("GET / HTTP/{rest}\r\n");
            whole(text.as_bytes(), |head| assert_eq!(head.keep_alive, stays, "{text}"));
        }
    }

    #[test]
    fn takes_every_method_but_connect() {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "get", "X-1!"] {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            whole(text.as_bytes(), |head| assert_eq!(head.request.method.as_str(), method));
        }
    }

    #[test]
    fn knows_one_expectation() {
        let with = |version: &str, value: &str| format!("PUT / HTTP/{version}\r\nHost: a\r\nExpect: {value}\r\n\r\n");
        whole(with("1.1", "100-Continue").as_bytes(), |head| assert!(head.expects_continue));
        whole(with("1.0", "100-continue").as_bytes(), |head| assert!(!head.expects_continue));
        assert_eq!(refused(with("1.1", "200-ok").as_bytes()), Some(Refusal::Expectation));
        assert_eq!(refused(with("1.1", "").as_bytes()), Some(Refusal::Expectation));
    }

    #[test]
    fn finds_the_body() {
        for (fields, body) in [
            ("Content-Length: 0", Announced::None),
            ("Content-Length: 30", Announced::Length(30)),
            ("Content-Length: 9999999999999999999", Announced::Length(9_999_999_999_999_999_999)),
            ("Transfer-Encoding: Chunked", Announced::Unknown),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            whole(text.as_bytes(), |head| assert_eq!(head.request.body, body, "{text}"));
        }
    }

    #[test]
    fn forgives_one_empty_line_and_no_more() {
        whole(b"\r\nGET / HTTP/1.0\r\n\r\n", |head| assert_eq!(head.len, 20));
        assert!(with(b"\r", |p| matches!(p, Parsed::Partial)));
        assert!(with(b"\r\n", |p| matches!(p, Parsed::Partial)));
        assert_eq!(refused(b"\r\n\r\nGET / HTTP/1.0\r\n\r\n"), Some(Refusal::EmptyLines));
        assert_eq!(refused(b"\nGET / HTTP/1.0\r\n\r\n"), Some(Refusal::EmptyLines));
    }

    #[test]
    fn takes_absolute_form_of_the_same_host() {
        for text in [
            &b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET HTTP://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://a HTTP/1.0\r\n\r\n",
        ] {
            whole(text, |_| ());
        }
        let differs = b"GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n";
        assert_eq!(refused(differs), Some(Refusal::HostDiffers));
        assert_eq!(refused(b"GET http://u@a/x HTTP/1.0\r\n\r\n"), Some(Refusal::HostMalformed));
    }

    #[test]
    fn refuses_malformed_request_lines() {
        use Refusal as R;
        for (line, why) in [
            ("GET  / HTTP/1.1", R::RequestLine),
            ("GET /", R::RequestLine),
            ("GET / HTTP/1.1 ", R::LineEnd),
            ("GET / http/1.1", R::RequestLine),
            ("GET / HTTP/2.0", R::Version),
            ("GET / HTTP/1.2", R::Version),
            ("GET / HTTP/11", R::RequestLine),
            ("PRI * HTTP/2.0", R::Preface),
            ("G(T / HTTP/1.1", R::RequestLine),
            ("GET * HTTP/1.1", R::Asterisk),
            ("GET a HTTP/1.1", R::TargetForm),
            ("GET ftp://a/ HTTP/1.1", R::TargetForm),
            ("GET /\u{e9} HTTP/1.1", R::TargetBytes),
            ("GET /\0 HTTP/1.1", R::RequestLine),
            ("OPTIONS * HTTP/1.1", R::Asterisk),
            ("CONNECT a:80 HTTP/1.1", R::Connect),
            ("CONNECT / HTTP/1.1", R::Connect),
            ("POST a:80 HTTP/1.1", R::TargetForm),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", R::Method),
        ] {
            let text = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(refused(text.as_bytes()), Some(why), "{line:?}");
        }
    }

    #[test]
    fn refuses_malformed_fields() {
        use Refusal as R;
        for (fields, why) in [
            ("Host: a\r\nX : 1", R::Field),
            ("Host: a\r\n: 1", R::Field),
            ("Host: a\r\nX: 1\r\n folded", R::Field),
            (" Host: a", R::Field),
            ("Host: a\r\nX: \0", R::Value),
            ("Host: a\r\nX: a\rb", R::Value),
            ("Host: a\r\nX: \u{7f}", R::Value),
            ("Host: a\r\nX: 1\nY: 2", R::LineEnd),
            ("X: 1", R::HostMissing),
            ("Host: a\r\nHost: a", R::HostTwice),
            ("Host:", R::HostMalformed),
            ("Host: a b", R::HostMalformed),
            ("Host: a/b", R::HostMalformed),
            ("Host: u@a", R::HostMalformed),
            ("Host: a:x", R::HostMalformed),
            ("Host: a:123456", R::HostMalformed),
            ("Host: [::1", R::HostMalformed),
            ("Host: [::1]x", R::HostMalformed),
            ("Host: a\r\nContent-Length: +5", R::Length),
            ("Host: a\r\nContent-Length: 5, 6", R::Length),
            ("Host: a\r\nContent-Length: 5, 5", R::Length),
            ("Host: a\r\nContent-Length: 0x5", R::Length),
            ("Host: a\r\nContent-Length: 05", R::Length),
            ("Host: a\r\nContent-Length:", R::Length),
            ("Host: a\r\nContent-Length: 10000000000000000000", R::Length),
            ("Host: a\r\nContent-Length: 5\r\nContent-Length: 5", R::Length),
            ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", R::LengthAndCoding),
            ("Host: a\r\nContent_Length: 5", R::Lookalike),
            ("Host: a\r\n-Content--Length': 5", R::Lookalike),
            ("Host: a\r\ntransfer_encoding: chunked", R::Lookalike),
            ("Host: a\r\nTransferXEncoding: chunked", R::Lookalike),
            ("Host: a\r\nTransfer-Encoding: xchunked", R::Coding),
            ("Host: a\r\nTransfer-Encoding: chunked, identity", R::Coding),
            ("Host: a\r\nTransfer-Encoding: chunked;a=b", R::Coding),
            ("Host: a\r\nTransfer-Encoding: identity", R::Coding),
            ("Host: a\r\nTransfer-Encoding:", R::Coding),
            ("Host: a\r\nTransfer-Encoding: \u{b}chunked", R::Value),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", R::Coding),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert_eq!(refused(text.as_bytes()), Some(why), "{fields:?}");
        }
        assert_eq!(refused(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(R::Coding));
        whole(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\nX: \xff\r\n\r\n", |_| ());
    }

    #[test]
    fn has_limits() {
        let long = format!("GET /{}", "a".repeat(1100));
        assert_eq!(refused(long.as_bytes()), Some(Refusal::TargetTooLong));
        let wide = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(1100));
        assert_eq!(refused(wide.as_bytes()), Some(Refusal::FieldsTooLarge));
        assert_eq!(refused(format!("{wide}\r\n\r\n").as_bytes()), Some(Refusal::FieldsTooLarge));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(10));
        assert_eq!(refused(many.as_bytes()), Some(Refusal::FieldsTooLarge));
    }

    #[test]
    fn waits_at_every_byte_of_a_right_head() {
        let text = b"\r\nGET /abc HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
        for end in 0..text.len() {
            assert!(with(&text[..end], |parsed| matches!(parsed, Parsed::Partial)), "{end}");
        }
        whole(text, |head| assert_eq!(head.len, text.len()));
    }

    /// The head as it was understood, written again.
    fn rewritten(head: &Head<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        text.extend_from_slice(head.request.method.as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(head.request.target);
        text.extend_from_slice(if head.request.http11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
        for (name, value) in head.request.fields.iter() {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text
    }

    /// Bytes that look enough like a request to come past the first checks.
    fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 16] = [
            b"GET ",
            b"HEAD ",
            b"/a ",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b"Host: a",
            b"Content-Length: 1",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b" ",
            b":",
            b"\xff",
        ];
        let tail = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..20);
        (any::<bool>(), tail).prop_map(|(begun, tail)| {
            let start = if begun { &b"GET / HTTP/1.1\r\nHost: a\r\n"[..] } else { b"" };
            [start, &tail.concat()].concat()
        })
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            with(&bytes, |_| ());
        }

        #[test]
        fn what_is_accepted_means_the_same_when_written_again(bytes in nearly_a_request()) {
            with(&bytes, |parsed| if let Parsed::Whole(head) = parsed {
                prop_assert!(head.len <= bytes.len());
                prop_assert!(bytes[..head.len].ends_with(b"\r\n\r\n"));
                let again = rewritten(&head);
                whole(&again, |second| {
                    prop_assert_eq!(rewritten(&second), again.clone());
                    prop_assert_eq!(second.request.body, head.request.body);
                    prop_assert_eq!(second.keep_alive, head.keep_alive);
                    prop_assert_eq!(second.len, again.len());
                    Ok(())
                })?;
                // Nothing that is accepted is also accepted shorter: a reader cannot stop too early.
                prop_assert!(with(&bytes[..head.len - 1], |shorter| matches!(shorter, Parsed::Partial)));
                Ok(())
            } else { Ok(()) })?;
        }
    }
}
