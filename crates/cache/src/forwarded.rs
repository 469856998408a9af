//! Which fields of a request go upstream, and with what they come there. Pure.
//!
//! | request | fields that stay here |
//! | --- | --- |
//! | any | those of the connection ([`OF_THE_CONNECTION`]) and those that `Connection` names, `Host`, `Expect`, and what claims to speak for a client or for another request ([`CLAIMS`]) |
//! | one whose answer may be kept for all | also conditions and ranges, which this cache asks for as it needs them, and all that speaks of a body |
//!
//! Whatever is asked upstream is asked without `Accept-Encoding`: digests are of files, and nothing is ever decompressed here.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use protocol::info::REQUESTER_FIELD;
use serve::{handler::Client, request::Fields};

/// Fields that end at each hop (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Fields by which a client could speak for others, or have its request taken for another one: behind a cache everybody would get the answer to it.
/// Those of the first line are written anew for what passes.
const CLAIMS: [&str; 22] = [
    "forwarded",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-real-ip",
    "true-client-ip",
    "x-host",
    "x-http-host-override",
    "front-end-https",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "accept-encoding",
    REQUESTER_FIELD,
];

/// What must reach the other side whatever `Connection` says of it.
const ESSENTIAL: [&str; 9] = [
    "host",
    "via",
    "authorization",
    "cache-control",
    "content-type",
    "content-encoding",
    "content-range",
    "content-length",
    "transfer-encoding",
];

/// What the cache says itself, or what speaks of a body that is not sent.
const NOT_OF_FILLS: [&str; 15] = [
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-digest",
    "repr-digest",
    "content-md5",
    "digest",
];

/// Of a request whose answer may be kept for all. `Host` stays with them, for those that come to pass; see [`host`].
pub(crate) fn of_fill(fields: Fields<'_>) -> HeaderMap {
    let mut forwarded = end_to_end(fields);
    for name in NOT_OF_FILLS {
        forwarded.remove(name);
    }
    forwarded
}

/// Of a request for what everybody gets alike: by whom it came.
pub(crate) fn only_via(fields: Fields<'_>) -> HeaderMap {
    let values = fields.all("via").filter_map(|value| HeaderValue::from_bytes(value).ok());
    values.map(|value| (header::VIA, value)).collect()
}

/// Of a request whose answer is for one client: all, but what ends here.
pub(crate) fn end_to_end(fields: Fields<'_>) -> HeaderMap {
    let nominated: Vec<&[u8]> = fields.all("connection").flat_map(|value| value.split(|byte| *byte == b',')).collect();
    let is_nominated = |name: &str| {
        let is = |option: &&[u8]| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        nominated.iter().any(is) && !ESSENTIAL.iter().any(|essential| name.eq_ignore_ascii_case(essential))
    };
    let stays = |name: &str| {
        OF_THE_CONNECTION.iter().chain(&CLAIMS).any(|kept| name.eq_ignore_ascii_case(kept)) || is_nominated(name)
    };
    let mut forwarded = HeaderMap::new();
    for (name, value) in fields.iter().filter(|(name, _)| !stays(name)) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            forwarded.append(name, value);
        }
    }
    forwarded.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    forwarded
}

/// Adds for whom a request is passed (RFC 7239, and the fields that were there before it). Only what is seen from here is said: fields
/// of the client's own have no part in it.
pub(crate) fn speak_for(fields: &mut HeaderMap, client: &Client) {
    let address = client.address.ip();
    let proto = if client.secure { "https" } else { "http" };
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    let host = fields.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let mut forwarded = format!("for={node};proto={proto}");
    if let Some(host) = &host {
        // A host that was checked has neither quotes nor backslashes.
        forwarded.push_str(&format!(";host=\"{host}\""));
    }
    let lines = [
        ("forwarded", Some(forwarded)),
        ("x-forwarded-for", Some(address.to_string())),
        ("x-forwarded-proto", Some(proto.to_owned())),
        ("x-forwarded-host", host),
    ];
    for (name, value) in lines {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            fields.insert(name, value);
        }
    }
}

/// Whether a request has been here before, by the name that this machine gives itself upstream (RFC 9110 section 7.6.3).
pub(crate) fn has_been_here(fields: &HeaderMap, pseudonym: &str) -> bool {
    is_via(fields.get_all(header::VIA).iter().map(HeaderValue::as_bytes), pseudonym)
}

/// Likewise by the values of its fields `Via`.
pub(crate) fn is_via<'a>(values: impl IntoIterator<Item = &'a [u8]>, pseudonym: &str) -> bool {
    let mut members = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
    members.any(|member| {
        let mut words = member.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.nth(1) == Some(pseudonym.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &'static [(&'static str, &'static str)]) -> Vec<httparse::Header<'static>> {
        lines.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect()
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_of_the_connection_or_speaks_for_others_stays_here() {
        let lines = fields(&[
            ("Host", "h"),
            ("Connection", "close, X-Hop, content-type, VIA"),
            ("X-Hop", "1"),
            ("Via", "1.1 a"),
            ("TE", "trailers"),
            ("Upgrade", "x"),
            ("Expect", "100-continue"),
            ("X-Forwarded-Host", "evil"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Outpost-Requester", "pc"),
            ("Accept-Encoding", "gzip"),
            ("Content-Type", "text/plain"),
            ("X-Own", "2"),
            ("Range", "bytes=0-1"),
        ]);
        let passed = end_to_end(Fields::new(&lines));
        assert_eq!(names(&passed), ["accept-encoding", "content-type", "host", "range", "via", "x-own"]);
        assert_eq!(passed["accept-encoding"], "identity");
        assert_eq!(names(&of_fill(Fields::new(&lines))), ["accept-encoding", "host", "via", "x-own"]);
    }

    #[test]
    fn says_for_whom_it_asks() {
        let lines = fields(&[("Host", "h:80"), ("Forwarded", "for=evil")]);
        for (address, secure, expected) in [
            ("10.0.0.1:5", false, "for=10.0.0.1;proto=http;host=\"h:80\""),
            ("[fd00::1]:5", true, "for=\"[fd00::1]\";proto=https;host=\"h:80\""),
        ] {
            let mut map = end_to_end(Fields::new(&lines));
            let client = Client { address: address.parse().unwrap(), connection: 1, secure };
            speak_for(&mut map, &client);
            assert_eq!(map["forwarded"], expected);
            assert_eq!(map["x-forwarded-for"], client.address.ip().to_string().as_str());
            assert_eq!(map["x-forwarded-host"], "h:80");
        }
    }

    #[test]
    fn a_request_that_was_here_is_known_by_its_name() {
        for (via, was_here) in [
            ("1.1 ds1", true),
            ("1.0 other, HTTP/1.1  ds1 (comment)", true),
            ("1.1 ds10", false),
            ("ds1", false),
            ("1.1 other (1.1 ds1)", false),
            ("", false),
        ] {
            let map = HeaderMap::from_iter([(header::VIA, HeaderValue::from_static(via))]);
            assert_eq!(has_been_here(&map, "ds1"), was_here, "{via}");
        }
    }
}
