//! Why a request is not answered as asked. Each is told to the client once, and ends its connection.

use protocol::problem::Kind;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than one empty line, or a stray line end.
    #[error("there are line ends before the request line")]
    EmptyLines,
    /// Not `METHOD TARGET HTTP/1.1`.
    #[error("the request line is not METHOD SP TARGET SP HTTP/1.1")]
    RequestLine,
    /// The preface of HTTP/2.
    #[error("this is the preface of HTTP/2, which is not spoken here; use HTTP/1.1")]
    Preface,
    /// A target that is neither a path nor an absolute URI.
    #[error("the request target is neither a path nor an http URI")]
    TargetForm,
    /// Bytes beyond ASCII in the target.
    #[error("the request target has bytes that must be percent-encoded")]
    TargetBytes,
    /// A field line that is none.
    #[error("a header field is malformed: a name is a token with ':' right behind it, on one line")]
    Field,
    /// A value with a control byte.
    #[error("a header field's value has a control byte")]
    Value,
    /// LF without CR or the other way round.
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// No `Host` in HTTP/1.1.
    #[error("HTTP/1.1 needs a Host field")]
    HostMissing,
    /// More than one.
    #[error("there is more than one Host field")]
    HostTwice,
    /// Not `host[:port]`.
    #[error("the Host field is not a host with an optional port")]
    HostMalformed,
    /// Absolute-form and `Host` name different hosts.
    #[error("the Host field differs from the request target's host")]
    HostDiffers,
    /// `Content-Length` is not one plain number.
    #[error("Content-Length must be given once, as plain decimal digits")]
    Length,
    /// Anything but one `chunked`, or in HTTP/1.0.
    #[error("Transfer-Encoding must be exactly 'chunked', in HTTP/1.1")]
    Coding,
    /// Both.
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    LengthAndCoding,
    /// A method that is known and not offered.
    #[error("only GET and HEAD are answered here")]
    Method,
    /// A method that nobody knows.
    #[error("this method is not known; only GET and HEAD are answered here")]
    MethodUnknown,
    /// HTTP where TLS is spoken.
    #[error("this port speaks TLS: ask for https:// instead of http://")]
    PlainOnTls,
    /// Not 1.0 or 1.1.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// The request line does not fit.
    #[error("the request target is longer than this server reads")]
    TargetTooLong,
    /// The head does not fit, or has too many fields.
    #[error("the header fields are more than this server reads")]
    FieldsTooLarge,
    /// The head did not arrive in time.
    #[error("the request did not arrive in time")]
    Timeout,
}

impl Refusal {
    /// The problem that the client is told.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Method => Kind::MethodNotAllowed,
            Self::MethodUnknown => Kind::NotImplemented,
            Self::Version => Kind::VersionNotSupported,
            Self::TargetTooLong => Kind::TargetTooLong,
            Self::FieldsTooLarge => Kind::FieldsTooLarge,
            Self::Timeout => Kind::RequestTimeout,
            _ => Kind::BadRequest,
        }
    }
}
