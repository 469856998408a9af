//! A directory as a read-only share of WebDAV (RFC 4918, class 1): what a PROPFIND asks for ([`ask`]) of which [`property`], what
//! it is told of ([`resource`]), and how the answer is written ([`multistatus`]). There are no locks, and no properties but the live ones.

pub mod ask;
pub mod multistatus;
pub mod property;
pub mod resource;

/// What can be done with a name.
pub const METHODS: &str = "GET, HEAD, OPTIONS, PROPFIND";

/// The namespace of the elements that RFC 4918 defines.
pub(crate) const NAMESPACE: &str = "DAV:";

/// Of an answer in XML.
pub const CONTENT_TYPE: &str = "application/xml; charset=\"utf-8\"";

/// How far below its target a PROPFIND looks (RFC 4918 section 10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At the target alone.
    Zero,
    /// At the entries of the directory too.
    One,
    /// At everything below: refused with [`FINITE_DEPTH`].
    Infinity,
}

/// The body of the 403 to [`Depth::Infinity`] (RFC 4918 section 9.1.1): one question would read the whole share.
pub const FINITE_DEPTH: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";

impl Depth {
    /// By the field `Depth`, which is infinity where it is not given; `None` for what is no depth.
    pub fn parse(field: Option<&[u8]>) -> Option<Self> {
        match field.map(<[u8]>::trim_ascii) {
            None => Some(Self::Infinity),
            Some(b"0") => Some(Self::Zero),
            Some(b"1") => Some(Self::One),
            Some(depth) if depth.eq_ignore_ascii_case(b"infinity") => Some(Self::Infinity),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths() {
        for (field, expected) in [
            (None, Some(Depth::Infinity)),
            (Some("0"), Some(Depth::Zero)),
            (Some(" 1 "), Some(Depth::One)),
            (Some("Infinity"), Some(Depth::Infinity)),
            (Some("1,noroot"), None),
            (Some("2"), None),
            (Some(""), None),
        ] {
            assert_eq!(Depth::parse(field.map(str::as_bytes)), expected, "{field:?}");
        }
    }
}
