//! What is known of a name besides its digest: validators, freshness, and what its answers say. [`codec`](super::codec) is its form on disk.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use os::share::Identity;
use protocol::{digest::Md5, etag::ETag};

/// One name's validators and fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Seconds since 1970 when the upstream last said that this is right.
    pub(crate) checked: u64,
    /// Complete length.
    pub(crate) len: Option<u64>,
    /// `Last-Modified`
    pub(crate) modified: Option<SystemTime>,
    /// The upstream's own tag, weak or strong.
    pub(crate) etag: Option<ETag>,
    /// The tag that was given out while the digest was not known: see [`provisional`].
    pub(crate) provisional: Option<u64>,
    /// What depends on the kind of upstream.
    pub(crate) provenance: Provenance,
}

/// What a kind of upstream tells beyond that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Provenance {
    /// A file of a directory, as it was when it was opened.
    Directory(Identity),
    /// An answer of a web server.
    Http(HttpMeta),
    /// An answer of an Outpost.
    Outpost {
        /// Its `Content-Type`.
        content_type: Option<Box<[u8]>>,
    },
}

/// What RFC 9111 needs to know of a stored answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HttpMeta {
    /// Seconds since 1970 when it arrived.
    pub(crate) arrived: u64,
    /// Its `Age` then, in seconds.
    pub(crate) age: u64,
    /// Seconds since 1970 of its `Date`.
    pub(crate) date: u64,
    /// Seconds from its arrival for which it is fresh.
    pub(crate) lifetime: u64,
    /// `must-revalidate` and its like: never given out stale (RFC 9111 section 4.2.4).
    pub(crate) stale_forbidden: bool,
    /// It answered a request with `Authorization`, and said that it may be shared all the same.
    pub(crate) authorized: bool,
    /// Fields that go with it: names by their place in [`KEPT`].
    pub(crate) fields: Vec<(u8, Box<[u8]>)>,
    /// The request fields that `Vary` names, as they were sent upstream.
    pub(crate) selecting: Vec<(Box<str>, Box<[u8]>)>,
}

/// Fields of a web server's answer that are kept and handed on. Appending is compatible, anything else needs a new version of the
/// form: see [`codec`](super::codec).
pub(crate) static KEPT: [HeaderName; 13] = [
    http::header::CACHE_CONTROL,
    http::header::EXPIRES,
    http::header::VARY,
    http::header::PRAGMA,
    http::header::CONTENT_TYPE,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LANGUAGE,
    http::header::CONTENT_DISPOSITION,
    http::header::CONTENT_LOCATION,
    http::header::ACCESS_CONTROL_ALLOW_ORIGIN,
    http::header::X_CONTENT_TYPE_OPTIONS,
    http::header::CONTENT_SECURITY_POLICY,
    http::header::LINK,
];

impl HttpMeta {
    /// The kept fields of an answer.
    pub(crate) fn keep(fields: &HeaderMap) -> Vec<(u8, Box<[u8]>)> {
        let all = |(place, name): (usize, &HeaderName)| {
            fields.get_all(name).iter().map(move |value| (place as u8, value.as_bytes().into())).collect::<Vec<_>>()
        };
        KEPT.iter().enumerate().flat_map(all).collect()
    }

    /// The kept fields with their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static HeaderName, &[u8])> {
        self.fields.iter().filter_map(|(place, value)| Some((KEPT.get(*place as usize)?, &**value)))
    }

    /// The kept fields as a map.
    pub(crate) fn to_fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in self.named() {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                fields.append(name, value);
            }
        }
        fields
    }
}

/// A tag for bytes whose digest is not known yet: from the name and what tells its versions apart.
pub(crate) fn provisional(key: &[u8], version: &[u8]) -> u64 {
    let mut text = key.to_vec();
    text.push(0);
    text.extend_from_slice(version);
    let Md5(digest) = Md5::of(&text);
    u64::from_be_bytes(std::array::from_fn(|place| digest[place]))
}

/// Seconds since 1970; times before that are 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Record {
    /// The upstream's tag if it is strong.
    pub(crate) fn strong_etag(&self) -> Option<&ETag> {
        self.etag.as_ref().filter(|etag| !etag.is_weak())
    }

    /// What tells this answer from others to the same name, if it is one of several variants.
    pub(crate) fn variant(&self) -> Option<&HttpMeta> {
        match &self.provenance {
            Provenance::Http(meta) if !meta.selecting.is_empty() => Some(meta),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn of_directory(size: u64) -> Record {
        Record {
            checked: 1_795_000_000,
            len: Some(size),
            modified: Some(UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789)),
            etag: None,
            provisional: Some(0x0123_4567_89ab_cdef),
            provenance: Provenance::Directory(Identity {
                device: 2049,
                inode: 1_234_567,
                size,
                modified: 1_790_000_000_123_456_789,
                changed: 1_790_000_000_123_456_789,
            }),
        }
    }

    #[test]
    fn provisional_tags_tell_versions_and_names_apart() {
        let tag = provisional(b"a\0/x", b"1");
        assert_eq!(tag, provisional(b"a\0/x", b"1"));
        assert_ne!(tag, provisional(b"a\0/x", b"2"));
        assert_ne!(tag, provisional(b"a\0/y", b"1"));
    }
}
