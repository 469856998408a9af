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
pub struct Hold(#[allow(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

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
}

impl Hold {
    /// Wraps anything.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl FieldBlock {
    /// Adds a field. A value with CR, LF or NUL is dropped with an error in the log: it cannot be sent.
    pub fn push(&mut self, _name: &str, _value: impl AsRef<[u8]>) -> &mut Self {
        todo!()
    }
}

impl Response {
    /// Without fields and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, fields: FieldBlock::default(), body: Body::Empty, cache_status: None, hold: None }
    }

    /// Problem details: `application/problem+json`, `Cache-Control: no-store`, `Retry-After` if the problem has it.
    pub fn problem(_problem: &Problem, _kind: Kind) -> Self {
        todo!()
    }

    /// A JSON body.
    pub fn json(_status: StatusCode, _json: Vec<u8>) -> Self {
        todo!()
    }
}

/// The framing of `multipart/byteranges` for these spans of one representation: the part for a body and the value of `Content-Type`.
/// At most 180 bytes of fields per part (BITS).
pub fn multipart(_spans: &[Span], _len: u64, _content_type: &str) -> (Part, String) {
    todo!()
}
