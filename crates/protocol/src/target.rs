//! What a request asks for. A name is kept in one canonical spelling, so that two spellings of one name are one name.

use std::fmt;

/// A path and query in canonical spelling (RFC 3986 section 6.2.2): begins with `/`; escapes are upper case; what need not
/// be escaped is not; bytes that must be (space, `%`, `#`, `?`, controls, non-ASCII) are. `%2F` and `%00` stay
/// escaped, for an `http` upstream may mean something by them; [`Target::decode`] refuses them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(Box<str>);

/// Why a request target is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither origin-form nor absolute-form.
    #[error("the request target does not begin with '/'")]
    Form,
    /// `%` without two hexadecimal digits.
    #[error("the request target has '%' without two hexadecimal digits")]
    Escape,
    /// Control bytes, spaces, non-ASCII, `#`.
    #[error("the request target has a byte that must be percent-encoded")]
    Byte,
    /// `.` or `..` as a segment, escaped or not.
    #[error("the request target has '.' or '..' as a path segment")]
    DotSegment,
    /// `%2F` or `%5C`-like separators where a file name is meant.
    #[error("the request target has an encoded '/' in a file name")]
    EncodedSlash,
    /// `%00` where a file name is meant.
    #[error("the request target has an encoded NUL in a file name")]
    Nul,
}

impl Target {
    /// From a request line: origin-form, or absolute-form of which scheme and authority are dropped.
    pub fn parse(_text: &[u8]) -> Result<Self, BadTarget> {
        todo!()
    }

    /// From a file's path below a share (bytes as the file system has them, `/` between segments, with or without a leading one).
    pub fn from_file_path(_path: &[u8]) -> Self {
        todo!()
    }

    /// Path and query, as it goes into a request line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Path without the query, still encoded.
    pub fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    /// What follows `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.0.split_once('?').map(|(_, query)| query)
    }

    /// Whether it names a directory, that is, ends with `/`.
    pub fn is_directory(&self) -> bool {
        self.path().ends_with('/')
    }

    /// The file's path below a share: percent-decoded, no leading `/`, empty segments dropped, never with a `..`, a NUL or a slash
    /// that was encoded. The query takes no part.
    pub fn decode(&self) -> Result<Vec<u8>, BadTarget> {
        todo!()
    }

    /// Below a mount prefix such as `/` or `/prod`: the rest as a target of its own, or `None` if this is not below it.
    /// `/production` is not below `/prod`.
    pub fn below(&self, _mount: &str) -> Option<Target> {
        todo!()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
