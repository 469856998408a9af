//! A request head as it lies in the connection's buffer.

use http::Method;

/// The body that a head announces. It must never be taken for the next request, whatever becomes of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// None.
    None,
    /// So many bytes.
    Length(u64),
    /// Its end is told when it comes.
    Unknown,
}

/// What of a request matters to how its answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// HEAD.
    pub(crate) head_only: bool,
    /// Understands chunks.
    pub(crate) http11: bool,
}

/// One request. Borrowed from the receive buffer: what must outlive the call is copied out by the handler. Framing has been checked:
/// there is exactly one valid `Host` in HTTP/1.1, no ambiguous length, no control byte.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Any but CONNECT.
    pub method: Method,
    /// The request target, as sent.
    pub target: &'a [u8],
    /// Whether it is HTTP/1.1 (else 1.0).
    pub http11: bool,
    /// The header fields.
    pub fields: Fields<'a>,
    /// What follows the head. A handler that wants it answers with [`Answer::Reads`](crate::handler::Answer::Reads).
    pub body: Announced,
}

/// Header fields; names compare without case.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub(crate) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// From parsed fields; for tests of handlers too.
    pub fn new(fields: &'a [httparse::Header<'a>]) -> Self {
        Self(fields)
    }

    /// The first field of that name.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every field of that name, in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter().map(|field| (field.name, field.value))
    }
}
