//! The fields of a web server's answer that are kept and handed on: all of them (RFC 9111 section 3.1), but those that end at each hop, that are
//! written anew, or that the answer withholds. One block of lines, so that a name costs one allocation for all its fields.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::directives::names;

/// Bytes of one answer's kept lines. What has more goes through: a name's record has its place in memory and in the journal.
pub(crate) const BYTES_MAX: usize = 16 << 10;

/// Fields that end at each hop (RFC 9110 section 7.6.1, RFC 9111 section 3.1), or speak of the connection.
const OF_ONE_HOP: [HeaderName; 12] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    // It speaks of the upstream's address.
    header::ALT_SVC,
];

/// Fields that answers get from elsewhere: the record, the clock, the digests.
const WRITTEN_ANEW: [HeaderName; 7] = [
    header::AGE,
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("repr-digest"),
];

/// What `Connection` must not take away: without these an answer is misunderstood.
const ESSENTIAL: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::CONTENT_RANGE, header::CONTENT_ENCODING, header::CACHE_CONTROL, header::VARY];

/// `name: value\r\n`, any number of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(Box<[u8]>);

impl Lines {
    /// What is kept of an answer's fields, without those that it withholds.
    pub(crate) fn keep(fields: &HeaderMap, withheld: &[HeaderName]) -> Self {
        Self::of(fields, |name| !withheld.contains(name))
    }

    /// What it withholds, for the one who asked.
    pub(crate) fn withheld(fields: &HeaderMap, withheld: &[HeaderName]) -> Self {
        Self::of(fields, |name| withheld.contains(name))
    }

    /// Of an interim answer, which is handed on as it comes.
    pub(crate) fn of_interim(fields: &HeaderMap) -> Self {
        let mut block = Vec::new();
        end_to_end(fields).for_each(|(name, value)| push(&mut block, name.as_str(), value.as_bytes()));
        Self(block.into())
    }

    fn of(fields: &HeaderMap, belongs: impl Fn(&HeaderName) -> bool) -> Self {
        let mut block = Vec::new();
        for (name, value) in end_to_end(fields).filter(|(name, _)| !WRITTEN_ANEW.contains(name) && belongs(name)) {
            push(&mut block, name.as_str(), value.as_bytes());
        }
        Self(block.into())
    }

    /// As it was written, or is to be.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From what stands on disk; `None` if these are no lines that could be sent.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let lines = Self(bytes.into());
        let mut len = 0;
        for (name, value) in lines.iter() {
            HeaderName::from_bytes(name.as_bytes()).ok()?;
            HeaderValue::from_bytes(value).ok()?;
            len += name.len() + value.len() + 4;
        }
        (len == bytes.len()).then_some(lines)
    }

    /// Names in lower case, and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = self.0.split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r\n")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let value = line[colon + 1..].strip_prefix(b" ")?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, value))
        })
    }

    /// The first of a name, in lower case.
    pub(crate) fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == name.as_str()).map(|(_, value)| value)
    }

    /// As a map.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in self.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                fields.append(name, value);
            }
        }
        fields
    }
}

/// The fields of an answer that are for whoever it is for: not those of this hop, nor those that `Connection` names.
pub(crate) fn end_to_end(fields: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let nominated = nominated(fields);
    fields.iter().filter(move |(name, _)| !OF_ONE_HOP.contains(name) && !nominated.contains(name))
}

/// Appends a line.
pub(crate) fn push(block: &mut Vec<u8>, name: &str, value: impl AsRef<[u8]>) {
    block.extend_from_slice(name.as_bytes());
    block.extend_from_slice(b": ");
    block.extend_from_slice(value.as_ref());
    block.extend_from_slice(b"\r\n");
}

/// What `Connection` names, but never what an answer cannot be understood without.
fn nominated(fields: &HeaderMap) -> Vec<HeaderName> {
    let found = names(fields.get_all(header::CONNECTION).iter());
    let names = found.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    names.filter(|name| !ESSENTIAL.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn all_fields_are_kept_but_those_of_this_hop() {
        let fields = map(&[
            ("x-unknown", "1"),
            ("x-unknown", "2"),
            ("connection", "close, X-Hop, Content-Type"),
            ("x-hop", "1"),
            ("content-type", "text/plain"),
            ("keep-alive", "timeout=5"),
            ("proxy-authentication-info", "x"),
            ("content-length", "3"),
            ("set-cookie", "a=b"),
            ("date", "x"),
            ("etag", "\"a\""),
        ]);
        let withheld = [header::SET_COOKIE];
        let kept = Lines::keep(&fields, &withheld);
        assert_eq!(kept.as_bytes(), b"x-unknown: 1\r\nx-unknown: 2\r\ncontent-type: text/plain\r\n");
        assert_eq!(Lines::withheld(&fields, &withheld).as_bytes(), b"set-cookie: a=b\r\n");
        assert_eq!(kept.first(&header::CONTENT_TYPE), Some(&b"text/plain"[..]));
        assert_eq!(Lines::keep(&kept.to_map(), &[]), kept);
    }

    #[test]
    fn only_whole_lines_come_back_from_disk() {
        for (text, is_known) in [
            ("", true),
            ("a: 1\r\nb: \r\n", true),
            ("a: 1\r\nb", false),
            ("a: 1\n", false),
            ("a 1\r\n", false),
            ("a: 1\rb: 2\r\n", false),
            (": 1\r\n", false),
            ("a:1\r\n", false),
        ] {
            assert_eq!(Lines::from_bytes(text.as_bytes()).is_some(), is_known, "{text:?}");
        }
    }
}
