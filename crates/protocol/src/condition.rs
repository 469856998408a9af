//! Conditional requests (RFC 9110 section 13): one pure function decides what a GET or HEAD of a known representation is answered with.

use std::time::SystemTime;

use crate::{etag::ETag, range::Selection};

/// The fields of a request that take part in the decision, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// `If-Match`
    pub if_match: Option<&'a [u8]>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a [u8]>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a [u8]>,
    /// `If-Range`
    pub if_range: Option<&'a [u8]>,
    /// `Range`; to be left out for HEAD (RFC 9110 section 14.2).
    pub range: Option<&'a [u8]>,
}

/// What is known of the representation.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The tag that answers carry.
    pub etag: Option<&'a ETag>,
    /// A tag that the same bytes were given out under before (while a fill's digest was not known yet). Counts as equal.
    pub etag_before: Option<&'a ETag>,
    /// `Last-Modified`
    pub last_modified: Option<SystemTime>,
    /// Complete length; unknown while an upstream sends without one.
    pub len: Option<u64>,
    /// Now, for RFC 9110 section 8.8.2.2: a date is a strong validator only when it is old enough.
    pub now: SystemTime,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200, 206 or 416, by the selection.
    Send(Selection),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// RFC 9110 section 13.2.2, in its order. Without a known length a range is ignored.
pub fn decide(_conditions: &Conditions<'_>, _validators: &Validators<'_>) -> Verdict {
    todo!()
}
