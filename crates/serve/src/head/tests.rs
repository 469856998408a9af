//! What is accepted here against a second opinion: the classifier of HTTP desync attacks that a large load balancer uses. It must not call severe or
//! ambiguous what [`parse`](super::parse) takes for a request.

use http_desync_guardian::{ClassificationReason, RequestSafetyTier, request_analyzer::HttpRequestData};
use proptest::{prelude::*, sample::select};

use super::parse::{Limits, Parsed, parse, slots};

const LIMITS: Limits = Limits { head_bytes_max: 16 << 10, fields_max: 100 };

/// Whether the first request of some bytes is accepted, and how many bytes its head has.
fn accepted(bytes: &[u8]) -> Option<usize> {
    match parse(bytes, &mut slots(), &LIMITS) {
        Parsed::Whole(head) => Some(head.len),
        Parsed::Partial | Parsed::Refused(_) => None,
    }
}

/// What the classifier has against a head, but for what cannot do harm here: bodies of methods that have none. Such a body is never passed on, and
/// it is skipped when it is wholly there, or else ends the connection.
fn objection(head: &[u8]) -> Option<ClassificationReason> {
    use ClassificationReason as R;
    // One empty line before the request line is forgiven (RFC 9112 section 2.2).
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let result = HttpRequestData::analyze_raw_request(head);
    let is_safe = result.tier < RequestSafetyTier::Ambiguous;
    let is_of_get = matches!(result.reason, R::UndefinedContentLengthSemantics | R::UndefinedTransferEncodingSemantics)
        && (head.starts_with(b"GET ") || head.starts_with(b"HEAD "));
    (!is_safe && !is_of_get).then_some(result.reason)
}

/// Lines that are right, nearly right, or have been used against proxies.
const LINES: &[&str] = &[
    "Host: a",
    "Host: a:80",
    "host:a",
    "Host : a",
    "Host: a b",
    "Content-Length: 0",
    "Content-Length: 3",
    "Content-Length: 3, 3",
    "Content-Length: +3",
    "Content-Length: 3 ",
    "Content-Length:\t3",
    "Content_Length: 3",
    "Content-Length\u{b}: 3",
    "Content-Length: 0x3",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding\t: chunked",
    "X-Transfer-Encoding: chunked",
    "Trànsfer-Encoding: chunked",
    " Transfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X:",
    ": y",
    "X",
    "Connection: close",
    "Expect: 100-continue",
    "Accept: */*",
];

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "get", "PROPFIND", "G T", "", "GET\t"]);
    let target =
        select(vec!["/", "/a?b", "http://a/", "/a b", "//", "/a\u{e9}", "/%", "/a#b", "", "*", "/\\", "/a;b=c"]);
    let version = select(vec!["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/2.0"]);
    let end = select(vec!["\r\n", "\n", "\r", "\r\r\n"]);
    // Most are nearly right: what is wrong everywhere is refused at the first of it.
    let likely = |right: &'static str, other: BoxedStrategy<&'static str>| prop_oneof![9 => Just(right), 1 => other];
    let lines = proptest::collection::vec((select(LINES.to_vec()), likely("\r\n", end.clone().boxed())), 0..6);
    (
        likely("GET", method.boxed()),
        likely("/", target.boxed()),
        likely("HTTP/1.1", version.boxed()),
        lines,
        any::<bool>(),
    )
        .prop_map(|(method, target, version, lines, with_host)| {
            let mut text = format!("{method} {target} {version}\r\n");
            if with_host {
                text.push_str("Host: a\r\n");
            }
            for (line, end) in lines {
                text.push_str(line);
                text.push_str(end);
            }
            text.push_str("\r\n");
            text.into_bytes()
        })
}

/// The same with some bytes changed, lost or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    (requests(), proptest::collection::vec(change, 0..3)).prop_map(|(mut bytes, changes)| {
        for (place, byte, kind) in changes {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => _ = bytes.remove(place),
            }
        }
        bytes
    })
}

#[test]
fn the_classifier_knows_an_attack() {
    let attack = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(objection(attack).is_some() && accepted(attack).is_none());
    let plain = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(objection(plain).is_none() && accepted(plain) == Some(plain.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_is_accepted_that_is_called_dangerous(bytes in damaged()) {
        if let Some(len) = accepted(&bytes) {
            prop_assert_eq!(objection(&bytes[..len]), None, "{}", bytes[..len].escape_ascii());
        }
    }
}
