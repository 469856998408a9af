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

    /// A strong tag for bytes whose digest is not known yet, from a fingerprint of their name and source: `"f-<16 hex>"`.
    /// No digest begins like it, so it cannot be taken for one.
    pub fn provisional(fingerprint: u64) -> Self {
        Self(format!("\"f-{fingerprint:016x}\"").into())
    }

    /// Reads one tag; `None` if it is not one (unquoted, control bytes, non-ASCII).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let quoted = text.strip_prefix(b"W/").unwrap_or(text);
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // etagc without obs-text: visible ASCII but the quote.
        if !opaque.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"') {
            return None;
        }
        Some(Self(std::str::from_utf8(text).ok()?.into()))
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
    pub(crate) fn matches_strongly(&self, other: &Self) -> bool {
        !self.is_weak() && self == other
    }

    /// Weak comparison: equal but for `W/`.
    pub fn matches_weakly(&self, other: &Self) -> bool {
        self.opaque() == other.opaque()
    }

    fn opaque(&self) -> &str {
        self.0.strip_prefix("W/").unwrap_or(&self.0)
    }
}

/// The value of `If-Match` or `If-None-Match` (RFC 9110 sections 13.1.1 and 13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagList {
    /// `*`
    Any,
    /// The tags that can be read, in order. What cannot be read equals nothing and is left out.
    Tags(Vec<ETag>),
}

/// Tags of one field that are looked at; what follows is left out. A request head has no room for many more.
const TAGS_MAX: usize = 256;

impl TagList {
    /// Reads a field's value. A comma inside a tag's quotes belongs to the tag.
    pub(crate) fn parse(field: &[u8]) -> Self {
        let field = field.trim_ascii();
        if field == b"*" {
            return Self::Any;
        }
        let mut in_quotes = false;
        let members = field.split(|&byte| {
            in_quotes ^= byte == b'"';
            byte == b',' && !in_quotes
        });
        Self::Tags(members.filter_map(ETag::parse).take(TAGS_MAX).collect())
    }

    /// Whether `*` or one of the tags, as `equal` says.
    pub(crate) fn any(&self, equal: impl FnMut(&ETag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(equal),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> ETag {
        ETag::parse(text.as_bytes()).expect("a tag")
    }

    #[test]
    fn what_is_a_tag() {
        for text in ["\"\"", "\"a\"", "W/\"a\"", "\"a,b\"", "\"W/\"", "\"\\\""] {
            assert_eq!(tag(text).as_str(), text);
        }
        assert_eq!(ETag::parse(b" \"a\"\t").expect("a tag").as_str(), "\"a\"");
        for text in
            ["", "\"", "a", "\"a", "a\"", "w/\"a\"", "W/a", "\"a\"b\"", "\"a b\"", "\"\u{e4}\"", "\"\x01\"", "*"]
        {
            assert_eq!(ETag::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn comparison_as_in_the_table_of_rfc_9110_8_8_3_2() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "W/\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(tag(one).matches_strongly(&tag(other)), strong, "{one} {other}");
            assert_eq!(tag(one).matches_weakly(&tag(other)), weak, "{one} {other}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(TagList::parse(b" * "), TagList::Any);
        let list = |field: &str| match TagList::parse(field.as_bytes()) {
            TagList::Any => vec!["*".to_owned()],
            TagList::Tags(tags) => tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        };
        assert_eq!(list("\"a\", W/\"b\",\"c,d\" ,, \"e\""), ["\"a\"", "W/\"b\"", "\"c,d\"", "\"e\""]);
        assert_eq!(list("a, \"b\", *"), ["\"b\""]);
        assert_eq!(list(""), Vec::<String>::new());
        assert_eq!(list("\"open, \"b\""), Vec::<String>::new());
    }

    #[test]
    fn a_provisional_tag_is_strong_and_no_digest() {
        let tag = ETag::provisional(0xab);
        assert_eq!(tag.as_str(), "\"f-00000000000000ab\"");
        assert!(!tag.is_weak() && ETag::parse(tag.as_str().as_bytes()) == Some(tag));
    }

    proptest! {
        #[test]
        fn lists_never_panic(field in proptest::collection::vec(any::<u8>(), 0..200)) {
            TagList::parse(&field);
        }

        #[test]
        fn a_written_tag_reads_back(opaque in "[!#-~]{0,40}", weak in any::<bool>()) {
            let text = format!("{}\"{opaque}\"", if weak { "W/" } else { "" });
            let list = TagList::parse(format!("\"x\", {text}").as_bytes());
            prop_assert!(list.any(|tag| tag.as_str() == text && tag.is_weak() == weak));
        }
    }
}
