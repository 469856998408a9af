//! An answer: status, fields, body. `Content-Length` or chunked coding, `Date`, `Connection` and `Cache-Status` are written by this crate.

use bytes::Bytes;
use http::StatusCode;
use protocol::{
    cache_status::CacheStatus,
    problem::{Kind, Problem},
    span::Span,
};

use crate::source::Source;

/// What a handler answers with.
pub struct Response {
    /// Status code.
    pub status: StatusCode,
    /// Field lines.
    pub fields: FieldBlock,
    /// The bytes. For HEAD a handler gives the body that a GET would have; this crate sends its length only.
    pub body: Body,
    /// For the field `Cache-Status` and the access log.
    pub cache_status: Option<CacheStatus>,
    /// Kept until the last byte of the body was handed to the kernel or the client has gone: a requester place, say.
    pub hold: Option<Hold>,
}

/// Something that is given back by being dropped.
pub struct Hold(#[expect(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

/// Where the bytes of an answer come from.
pub enum Body {
    /// None.
    Empty,
    /// In memory.
    Memory(Bytes),
    /// Pieces of a file, perhaps one that still grows.
    File {
        /// The file.
        source: Source,
        /// Which part of it.
        part: Part,
    },
    /// Made on the way: passed through, or events. With a length if it is known, else chunked (or up to the close for HTTP/1.0).
    Stream {
        /// The pieces; an error ends the connection short of its end.
        stream: BodyStream,
        /// Bytes in all.
        len: Option<u64>,
    },
}

/// Pieces of a body as they come.
pub type BodyStream = std::pin::Pin<Box<dyn futures_core::Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What of a file is sent.
pub enum Part {
    /// All of it (its length may not be known yet).
    Whole,
    /// One span.
    Span(Span),
    /// Spans with the bytes that go before each (multipart framing), and the bytes that end it.
    Multipart {
        /// Before each part: delimiter, its fields, the empty line.
        parts: Vec<(Bytes, Span)>,
        /// The closing delimiter.
        end: Bytes,
    },
}

/// Serialised field lines: a block that many answers share, then this answer's own.
#[derive(Clone, Debug, Default)]
pub struct FieldBlock {
    /// `Name: value\r\n`...
    pub shared: Option<Bytes>,
    /// Likewise.
    pub own: Vec<u8>,
    /// These lines have the `Date` of who made the answer, and its `Server` if it has one: then none is added (RFC 9110 section 6.6.1).
    pub dated: bool,
}

impl Hold {
    /// Wraps anything.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl FieldBlock {
    /// Adds a field. A value with CR, LF or NUL is dropped with an error in the log: it cannot be sent.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        let sendable = !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            && !name.is_empty()
            && !name.bytes().any(|byte| byte <= b' ' || byte == b':');
        if !sendable {
            tracing::warn!(name, value = %value.escape_ascii(), "a header field with characters that cannot be sent was left out of an answer");
            return self;
        }
        self.own.reserve(name.len() + value.len() + 4);
        self.own.extend_from_slice(name.as_bytes());
        self.own.extend_from_slice(b": ");
        self.own.extend_from_slice(value);
        self.own.extend_from_slice(b"\r\n");
        self
    }
}

impl Response {
    /// Without fields and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, fields: FieldBlock::default(), body: Body::Empty, cache_status: None, hold: None }
    }

    /// Problem details: `application/problem+json`, `Cache-Control: no-store`, `Retry-After` if the problem has it.
    pub fn problem(problem: &Problem, kind: Kind) -> Self {
        let json = serde_json::to_vec(problem).unwrap_or_default();
        let mut response = Self::new(kind.status());
        response.fields.push("Content-Type", "application/problem+json").push("Cache-Control", "no-store");
        if let Some(seconds) = problem.retry_after {
            response.fields.push("Retry-After", seconds.to_string());
        }
        response.body = Body::Memory(json.into());
        response
    }

    /// 405, with the methods that there are (RFC 9110 section 15.5.6).
    pub fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("this method is not answered here; use one of {allow}");
        let mut response = Self::problem(&Problem::new(Kind::MethodNotAllowed, detail), Kind::MethodNotAllowed);
        response.fields.push("Allow", allow);
        response
    }

    /// To OPTIONS: the methods that there are (RFC 9110 section 9.3.7).
    pub fn methods(allow: &str) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.fields.push("Allow", allow);
        response
    }

    /// A JSON body.
    pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Self {
        let mut response = Self::new(status);
        response.fields.push("Content-Type", "application/json");
        response.body = Body::Memory(json.into());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_would_split_the_answer_is_left_out() {
        let mut fields = FieldBlock::default();
        fields.push("A", "1").push("B", "x\r\nSet-Cookie: y").push("C\r\nD", "1").push("E", b"\xff");
        assert_eq!(fields.own, b"A: 1\r\nE: \xff\r\n");
    }

    #[test]
    fn a_problem_says_when_to_come_again() {
        let problem = Problem::new(Kind::MaxRequesters, "five others are being served").retry_after(90);
        let response = Response::problem(&problem, Kind::MaxRequesters);
        assert_eq!(response.status, 503);
        let fields = String::from_utf8(response.fields.own).unwrap();
        assert!(fields.contains("Retry-After: 90\r\n") && fields.contains("application/problem+json"));
        let Body::Memory(body) = response.body else { panic!("no body") };
        assert!(String::from_utf8_lossy(&body).contains("urn:outpost:problem:max-requesters"));
    }
}
