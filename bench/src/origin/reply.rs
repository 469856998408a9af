//! What the origin answers to a request: the head, and which bytes follow. Pure.

use std::io;

use super::content::Content;

/// Header fields read at most.
const FIELDS_MAX: usize = 64;

/// One and the same for all files.
const LAST_MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// What was asked for.
    pub(super) target: String,
    pub(super) head: String,
    /// The body: `len` bytes from `from` on of this, if there is one.
    pub(super) content: Option<Content>,
    pub(super) from: u64,
    pub(super) len: u64,
    pub(super) keeps_open: bool,
}

/// What of a request matters.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    range: Option<&'a str>,
    if_range: Option<&'a str>,
    if_none_match: Option<&'a str>,
    closes: bool,
}

/// The answer to the request at the start of `bytes` and the length of its head; `None` if it is not complete yet.
pub(super) fn reply(bytes: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let used = match request.parse(bytes).map_err(|error| bad(&error.to_string()))? {
        httparse::Status::Complete(used) => used,
        httparse::Status::Partial if bytes.len() >= crate::response::HEAD_MAX => return Err(bad("too large a head")),
        httparse::Status::Partial => return Ok(None),
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let mut asked = Asked { closes: request.version != Some(1), ..Asked::default() };
    for field in request.headers.iter() {
        let value = str::from_utf8(field.value).ok();
        match field.name.to_ascii_lowercase().as_str() {
            "range" => asked.range = value,
            "if-range" => asked.if_range = value,
            "if-none-match" => asked.if_none_match = value,
            "connection" => asked.closes |= value.is_some_and(|value| value.eq_ignore_ascii_case("close")),
            _ => {}
        }
    }
    Ok(Some((decide(method, target, asked), used)))
}

fn decide(method: &str, target: &str, asked: Asked<'_>) -> Reply {
    let reply = |head: String, content, (from, len)| {
        let connection = if asked.closes { "Connection: close\r\n" } else { "" };
        let (target, head) = (target.to_owned(), format!("HTTP/1.1 {head}{connection}\r\n"));
        Reply { target, head, content, from, len, keeps_open: !asked.closes }
    };
    let content = match (method, Content::of(target)) {
        ("GET" | "HEAD", Some(content)) => content,
        ("GET" | "HEAD", None) => return reply("404 Not Found\r\nContent-Length: 0\r\n".into(), None, (0, 0)),
        _ => return reply("405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n".into(), None, (0, 0)),
    };
    let (size, tag) = (content.size(), content.tag());
    let about = format!(
        "Content-Type: application/octet-stream\r\nLast-Modified: {LAST_MODIFIED}\r\nETag: {tag}\r\n\
        Accept-Ranges: bytes\r\nCache-Control: public, max-age=86400\r\n"
    );
    if asked.if_none_match.is_some_and(|tags| tags == "*" || tags.contains(&tag)) {
        return reply(format!("304 Not Modified\r\n{about}"), None, (0, 0));
    }
    let body = (method == "GET").then_some(content);
    let suits = asked.if_range.is_none_or(|wanted| wanted == tag || wanted == LAST_MODIFIED);
    match asked.range.filter(|_| suits).and_then(|range| span(range, size)) {
        Some((from, len)) => {
            let last = from + len - 1;
            let range = format!("Content-Range: bytes {from}-{last}/{size}\r\nContent-Length: {len}\r\n");
            reply(format!("206 Partial Content\r\n{about}{range}"), body, (from, len))
        }
        None => reply(format!("200 OK\r\n{about}Content-Length: {size}\r\n"), body, (0, size)),
    }
}

/// First byte and length of `bytes=A-` or `bytes=A-B` that begins within the file. All else is answered with the whole file, as RFC 9110, 14.2,
/// lets a server do.
fn span(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last: u64 = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    (first < size && last >= first).then(|| (first, last.min(size - 1) - first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &str) -> Reply {
        let bytes = format!("{request}\r\n\r\n");
        let (reply, used) = reply(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        reply
    }

    #[test]
    fn requests_are_answered_as_a_web_server_would() {
        let tag = Content::of("/x/1000").unwrap().tag();
        let get = "GET /x/1000 HTTP/1.1\r\nHost: a";
        let table = [
            (get.to_owned(), "200", true, 0, 1000),
            ("HEAD /x/1000 HTTP/1.1\r\nHost: a".into(), "200", false, 0, 1000),
            (format!("{get}\r\nRange: bytes=10-19"), "206", true, 10, 10),
            (format!("{get}\r\nRange: bytes=10-"), "206", true, 10, 990),
            (format!("{get}\r\nRange: bytes=10-5000"), "206", true, 10, 990),
            (format!("{get}\r\nRange: bytes=1000-"), "200", true, 0, 1000),
            (format!("{get}\r\nRange: bytes=10-\r\nIf-Range: {tag}"), "206", true, 10, 990),
            (format!("{get}\r\nRange: bytes=10-\r\nIf-Range: \"other\""), "200", true, 0, 1000),
            (format!("{get}\r\nIf-None-Match: {tag}"), "304", false, 0, 0),
            ("GET /nothing HTTP/1.1\r\nHost: a".into(), "404", false, 0, 0),
            ("POST /x/1000 HTTP/1.1\r\nHost: a".into(), "405", false, 0, 0),
        ];
        for (request, status, has_body, from, len) in table {
            let found = answered(&request);
            assert!(found.head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {}", found.head);
            assert_eq!((found.content.is_some(), found.from, found.len), (has_body, from, len), "{request}");
            assert!(found.head.ends_with("\r\n\r\n") && found.keeps_open, "{request}");
        }
    }

    #[test]
    fn who_wants_to_close_is_told_so() {
        let found = answered("GET /1k HTTP/1.1\r\nHost: a\r\nConnection: close");
        assert!(!found.keeps_open && found.head.contains("Connection: close\r\n"));
        assert!(!answered("GET /1k HTTP/1.0").keeps_open);
    }

    #[test]
    fn half_a_head_is_waited_for_and_nonsense_is_an_error() {
        assert_eq!(reply(b"GET /1k HTTP/1.1\r\nHo").unwrap(), None);
        assert!(reply(b"\x01\x02\r\n\r\n").is_err());
    }
}
