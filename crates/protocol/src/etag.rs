//! Entity tags (RFC 9110 section 8.8.3).

use crate::digest::Md5;

/// One entity tag as it stands in a field: `"opaque"` or `W/"opaque"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(Box<str>);

impl ETag {
    /// The strong tag of content that is known by its digest: the MD5 in quotes.
    pub fn of(md5: &Md5) -> Self {
        Self(format!("\"{md5}\"").into())
    }

    /// Reads one tag; `None` if it is not one (unquoted, control bytes, non-ASCII).
    pub fn parse(_text: &[u8]) -> Option<Self> {
        todo!()
    }

    /// With quotes, and `W/` if weak.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is marked as weak.
    pub fn is_weak(&self) -> bool {
        self.0.starts_with("W/")
    }

    /// Strong comparison (RFC 9110 section 8.8.3.2): equal and neither weak.
    pub fn matches_strongly(&self, other: &Self) -> bool {
        !self.is_weak() && self == other
    }

    /// Weak comparison: equal but for `W/`.
    pub fn matches_weakly(&self, other: &Self) -> bool {
        self.0.trim_start_matches("W/") == other.0.trim_start_matches("W/")
    }
}
