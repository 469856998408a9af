//! `Range` (RFC 9110 section 14): what a client asks for, cut to what there is.

use crate::span::Span;

/// At most so many parts are answered; a request for more is answered whole (200).
pub const PARTS_MAX: usize = 16;

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: no `Range`, one that is to be ignored, or an abusive one.
    Whole,
    /// 206 with one part.
    Part(Span),
    /// 206 as `multipart/byteranges`, in the order asked, never overlapping, in sum never more than the whole.
    Parts(Vec<Span>),
    /// 416.
    Unsatisfiable,
}

/// Applies a `Range` field to a representation of `len` bytes. An invalid field or another unit is ignored; values beyond
/// 64 bits saturate; overlapping parts or more than [`PARTS_MAX`] give the whole.
pub fn select(_range: &[u8], _len: u64) -> Selection {
    todo!()
}

/// `bytes START-END/LEN`, the value of `Content-Range` for one part.
pub fn content_range(_part: Span, _len: u64) -> String {
    todo!()
}

/// A `Content-Range` of an upstream's 206: the span and, unless `*`, the complete length. `None` if it is not one.
pub fn parse_content_range(_field: &[u8]) -> Option<(Span, Option<u64>)> {
    todo!()
}
