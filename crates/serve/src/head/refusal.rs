//! Why a request is not answered as asked. Each is told to the client once, and ends its connection.

use protocol::problem::Kind;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than one empty line, or a stray line end.
    #[error("there are empty lines before the request line")]
    EmptyLines,
    /// Not `METHOD TARGET HTTP/1.1`.
    #[error("the first line of the request is not of the form: GET /PATH HTTP/1.1")]
    RequestLine,
    /// The preface of HTTP/2.
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
    /// Anything but one `chunked`, or in HTTP/1.0.
    #[error("Transfer-Encoding must be exactly 'chunked', in HTTP/1.1")]
    Coding,
    /// Both.
    #[error("the request has both Content-Length and Transfer-Encoding; send one of them")]
    LengthAndCoding,
    /// A method that is known and not offered.
    #[error("this method is not answered here; use GET or HEAD")]
    Method,
    /// A method that nobody knows.
    #[error("this method is not known here; only GET and HEAD are answered")]
    MethodUnknown,
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
    /// The head did not arrive in time.
    #[error("the head of the request did not arrive in the time that this server waits for it")]
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
