//! The head of an answer, appended to a buffer: status line, this second's `Date` and `Server`, the handler's fields, framing, `Connection`,
//! `Cache-Status`. It decides nothing: see `transmit::plan` for the framing and `exchange` for who stays.

use http::StatusCode;
use protocol::cache_status::CacheStatus;

use crate::response::FieldBlock;

/// How the end of the body is told (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Not at all: there is none (204, 304), or it ends with the connection.
    Unsaid,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What happens to the connection after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Goes on; understood in HTTP/1.1.
    Stays,
    /// Goes on; must be said in HTTP/1.0.
    StaysSaid,
    /// Ends.
    Closes,
}

/// What a head is written from.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Status code.
    pub status: StatusCode,
    /// `Date` and `Server` lines of this second, for fields that have none.
    pub stamp: &'a [u8],
    /// The handler's fields.
    pub fields: &'a FieldBlock,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection goes on.
    pub persistence: Persistence,
    /// For `Cache-Status`.
    pub cache_status: Option<CacheStatus>,
}

/// Appends the head to `out`.
pub fn write(out: &mut Vec<u8>, head: &Head<'_>) {
    status_line(out, head.status);
    if !head.fields.dated {
        out.extend_from_slice(head.stamp);
    }
    out.extend_from_slice(head.fields.shared.as_deref().unwrap_or_default());
    out.extend_from_slice(&head.fields.own);
    match head.framing {
        Framing::Unsaid => {}
        Framing::Length(len) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, len);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    match head.persistence {
        Persistence::Stays => {}
        Persistence::StaysSaid => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        Persistence::Closes => out.extend_from_slice(b"Connection: close\r\n"),
    }
    if let Some(cache_status) = head.cache_status {
        out.extend_from_slice(b"Cache-Status: ");
        out.extend_from_slice(cache_status.as_str().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of an interim answer, which is all of it.
pub(crate) fn interim(out: &mut Vec<u8>, status: StatusCode, lines: &[u8]) {
    status_line(out, status);
    out.extend_from_slice(lines);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    match status {
        StatusCode::OK => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        StatusCode::PARTIAL_CONTENT => out.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n"),
        other => {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(other.as_str().as_bytes());
            out.push(b' ');
            out.extend_from_slice(other.canonical_reason().unwrap_or_default().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a number; `write!` would cost several times as much on the path of every request.
pub(crate) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(status: StatusCode, framing: Framing, persistence: Persistence, cache: Option<CacheStatus>) -> String {
        let mut fields =
            FieldBlock { shared: Some(Bytes::from_static(b"ETag: \"x\"\r\n")), own: Vec::new(), dated: false };
        fields.push("Age", "3");
        let stamp = b"Server: s\r\nDate: d\r\n";
        let head = Head { status, stamp, fields: &fields, framing, persistence, cache_status: cache };
        let mut out = Vec::new();
        write(&mut out, &head);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_every_kind_of_head() {
        use Framing as F;
        use Persistence as P;
        let common = "Server: s\r\nDate: d\r\nETag: \"x\"\r\nAge: 3\r\n";
        for (status, framing, persistence, cache, first, last) in [
            (200, F::Length(0), P::Stays, None, "200 OK", "Content-Length: 0\r\n"),
            (
                206,
                F::Length(u64::MAX),
                P::Stays,
                None,
                "206 Partial Content",
                "Content-Length: 18446744073709551615\r\n",
            ),
            (
                200,
                F::Chunked,
                P::Closes,
                Some(CacheStatus::Hit),
                "200 OK",
                "Transfer-Encoding: chunked\r\nConnection: close\r\nCache-Status: outpost; hit\r\n",
            ),
            (304, F::Unsaid, P::StaysSaid, None, "304 Not Modified", "Connection: keep-alive\r\n"),
            (599, F::Length(1234567890), P::Stays, None, "599 ", "Content-Length: 1234567890\r\n"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let text = written(status, framing, persistence, cache);
            assert_eq!(text, format!("HTTP/1.1 {first}\r\n{common}{last}\r\n"));
        }
    }

    #[test]
    fn an_answer_with_the_date_of_its_origin_gets_no_other() {
        let shared = Some(Bytes::from_static(b"Date: then\r\n"));
        let fields = FieldBlock { shared, own: Vec::new(), dated: true };
        let head = Head {
            status: StatusCode::OK,
            stamp: b"Server: s\r\nDate: now\r\n",
            fields: &fields,
            framing: Framing::Length(0),
            persistence: Persistence::Stays,
            cache_status: None,
        };
        let mut out = Vec::new();
        write(&mut out, &head);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n");
    }
}
