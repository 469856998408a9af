//! Why a request is not answered as asked. Each is told to the client once, and ends its connection.

use protocol::problem::{Kind, Problem};

use crate::response::Response;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than one empty line, or a stray line end.
    #[error("there are empty lines before the request line")]
    EmptyLines,
    /// Not `METHOD TARGET HTTP/1.1`.
    #[error("the first line of the request is not of the form: GET /PATH HTTP/1.1")]
    RequestLine,
    /// The preface of HTTP/2 where it is not spoken: it is switched off, or was not agreed on in the TLS handshake, or comes behind a request of HTTP/1.1.
    #[error("HTTP/2 is not spoken here; use HTTP/1.1")]
    Preface,
    /// A target that is neither a path nor an absolute URI.
    #[error("what is asked for is neither a path that begins with '/' nor an http:// URL")]
    TargetForm,
    /// Bytes beyond ASCII in the target.
    #[error("the path has characters that must be percent-encoded; a space is written %20")]
    TargetBytes,
    /// A field line that is none.
    #[error("a header field is not of the form \"Name: value\" on one line")]
    Field,
    /// A value with a control byte.
    #[error("the value of a header field has a control character")]
    Value,
    /// LF without CR or the other way round.
    #[error("a line of the request does not end with CR LF")]
    LineEnd,
    /// No `Host` in HTTP/1.1.
    #[error("the request has no Host field, which HTTP/1.1 needs")]
    HostMissing,
    /// More than one.
    #[error("the request has more than one Host field")]
    HostTwice,
    /// Not `host[:port]`.
    #[error("the Host field is not of the form HOST or HOST:PORT")]
    HostMalformed,
    /// Absolute-form and `Host` name different hosts.
    #[error("the Host field names another host than the URL that is asked for")]
    HostDiffers,
    /// `Content-Length` is not one plain number.
    #[error("Content-Length must be given once, in decimal digits")]
    Length,
    /// A name that some server could take for that of a field on which framing depends.
    #[error("a header field looks like Content-Length or Transfer-Encoding and is not; leave it out")]
    Lookalike,
    /// Anything but one `chunked`, or in HTTP/1.0.
    #[error("Transfer-Encoding must be exactly 'chunked', in HTTP/1.1")]
    Coding,
    /// Both.
    #[error("the request has both Content-Length and Transfer-Encoding; send one of them")]
    LengthAndCoding,
    /// CONNECT.
    #[error("CONNECT is not answered here: this server opens no tunnels; ask for a path instead")]
    Connect,
    /// A method that is no name, or a very long one.
    #[error("the method of the request is no method; ask with GET, for example")]
    Method,
    /// Anything but `100-continue`.
    #[error("the only expectation that is met here is 100-continue; leave the field Expect out")]
    Expectation,
    /// `*`, which no request but OPTIONS may have, and whose answer would be about no file.
    #[error("the server as a whole ('*') is not asked for here; name a path that begins with '/'")]
    Asterisk,
    /// A chunk's first line is none.
    #[error("a chunk of the body does not begin with its size in hexadecimal digits and CR LF")]
    ChunkSize,
    /// A chunk that is longer than it said.
    #[error("a chunk of the body is not followed by CR LF")]
    ChunkEnd,
    /// Something is wrong behind the last chunk.
    #[error("the fields behind the last chunk are malformed, or too many")]
    Trailer,
    /// A body that is larger than any may be.
    #[error("the body of the request is larger than this server lets through (serve.body_max)")]
    BodyTooLarge,
    /// A body that took too long.
    #[error("the body of the request did not arrive in the time that this server waits for it")]
    BodyTimeout,
    /// HTTP where TLS is spoken.
    #[error("this port speaks TLS; ask for https:// instead of http://")]
    PlainOnTls,
    /// Not 1.0 or 1.1.
    #[error("this HTTP version is not spoken here; use HTTP/1.1 or HTTP/1.0")]
    Version,
    /// The request line does not fit.
    #[error("the path with its query is longer than this server reads")]
    TargetTooLong,
    /// The head does not fit, or has too many fields.
    #[error("the header fields are more, or longer, than this server reads; send fewer or shorter ones")]
    FieldsTooLarge,
    /// A proxy connects for a client that has as many connections as it may have.
    #[error("this client has as many connections here as one may have (serve.connections_per_client_max)")]
    TooManyConnections,
    /// The head did not arrive in time.
    #[error("the head of the request did not arrive in the time that this server waits for it")]
    Timeout,
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn response(self) -> Response {
        Response::problem(&Problem::new(self.kind(), self.to_string()), self.kind())
    }

    /// The problem that the client is told.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::TooManyConnections => Kind::Overloaded,
            Self::Expectation => Kind::ExpectationFailed,
            Self::BodyTooLarge => Kind::ContentTooLarge,
            Self::Version => Kind::VersionNotSupported,
            Self::TargetTooLong => Kind::TargetTooLong,
            Self::FieldsTooLarge => Kind::FieldsTooLarge,
            Self::Timeout | Self::BodyTimeout => Kind::RequestTimeout,
            _ => Kind::BadRequest,
        }
    }
}
