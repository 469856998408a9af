//! What is known of a name besides its digest: validators, freshness, and what its answers say. [`codec`](super::codec) is its form on disk.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use os::share::Identity;
use protocol::{digest::Md5, etag::ETag};

use super::lines::Lines;

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
    /// It came by another way, and the upstream was not asked yet: see [`imported`](super::imported).
    Imported,
}

/// What RFC 9111 needs to know of a stored answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpMeta {
    /// Its status code.
    pub(crate) status: u16,
    /// Seconds since 1970 when it arrived.
    pub(crate) arrived: u64,
    /// How old it was then, in seconds (RFC 9111 section 4.2.3).
    pub(crate) age: u64,
    /// Seconds since 1970 of its `Date`.
    pub(crate) date: u64,
    /// Seconds of age up to which it is fresh.
    pub(crate) lifetime: u64,
    /// `must-revalidate` and its like: never given out stale (RFC 9111 section 4.2.4).
    pub(crate) stale_forbidden: bool,
    /// Seconds after it became stale for which it is given out while it is asked for again (RFC 5861 section 3).
    pub(crate) stale_while_revalidate: u64,
    /// Seconds after it became stale for which it may stand in for an error (RFC 5861 section 4), where its server says so.
    pub(crate) stale_if_error: Option<u64>,
    /// Fields that go with it.
    pub(crate) lines: Lines,
    /// The request fields that `Vary` names, as they were sent upstream: see [`variant`](super::variant).
    pub(crate) selecting: Selecting,
}

/// Names in lower case with what stood there, normalised.
pub(crate) type Selecting = Vec<(Box<str>, Box<[u8]>)>;

impl HttpMeta {
    /// How old it is, in seconds. A clock that was set back makes nothing younger.
    pub(crate) fn age_at(&self, now: SystemTime) -> u64 {
        self.age.saturating_add(seconds(now).saturating_sub(self.arrived))
    }

    /// Whether it is an answer with the content that was asked for, of which parts may be given out.
    pub(crate) fn is_whole_content(&self) -> bool {
        self.status == StatusCode::OK.as_u16()
    }

    /// 4xx and 5xx.
    pub(crate) fn is_error(&self) -> bool {
        self.status >= 400
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

    /// Of a web server's answer.
    pub(crate) fn http(&self) -> Option<&HttpMeta> {
        match &self.provenance {
            Provenance::Http(meta) => Some(meta),
            Provenance::Directory(_) | Provenance::Outpost { .. } | Provenance::Imported => None,
        }
    }

    /// Whether two records of one name are surely of different bytes. An answer without any validator says nothing.
    pub(crate) fn is_another(&self, now: &Self) -> bool {
        let differ = |one: Option<u64>, other: Option<u64>| one.zip(other).is_some_and(|(one, other)| one != other);
        let tags = self.strong_etag().zip(now.strong_etag());
        let times = self.modified.zip(now.modified);
        differ(self.len, now.len)
            || differ(self.provisional, now.provisional)
            || tags.is_some_and(|(one, other)| one != other)
            || times.is_some_and(|(one, other)| one != other)
    }

    /// Whether it is of an answer that says that there is nothing to give out.
    pub(crate) fn is_error(&self) -> bool {
        self.http().is_some_and(HttpMeta::is_error)
    }

    /// What tells this answer from others to the same name, if it is one of several variants.
    pub(crate) fn selecting(&self) -> &[(Box<str>, Box<[u8]>)] {
        self.http().map_or(&[], |meta| &meta.selecting)
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
    fn what_differs_is_another_and_what_says_nothing_is_not() {
        let record = of_directory(10);
        let bare = Record { modified: None, provisional: None, len: None, ..of_directory(10) };
        let later = record.modified.map(|modified| modified + Duration::from_secs(1));
        for (now, expected) in [
            (record.clone(), false),
            (bare.clone(), false),
            (Record { len: Some(11), ..bare.clone() }, true),
            (Record { modified: later, ..bare.clone() }, true),
            (Record { provisional: Some(1), ..bare }, true),
        ] {
            assert_eq!(record.is_another(&now), expected, "{now:?}");
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
