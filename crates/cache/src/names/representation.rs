//! What answers say of a content: tag, dates, length, type. The field lines are made once and shared by all answers, as one block of which
//! a prefix suits a 304 and a longer one suits a multipart answer.

use std::{fmt::Write, time::SystemTime};

use bytes::Bytes;
use http::header;
use protocol::{
    content_type,
    digest::{Claims, Digests, Md5},
    etag::ETag,
    timestamp,
};
use store::Reader;

use super::record::{HttpMeta, Provenance, Record, seconds};

/// One content under one name, ready to be described.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    pub(crate) etag: Option<ETag>,
    /// The tag under which the same bytes were given out before.
    pub(crate) etag_before: Option<ETag>,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) len: Option<u64>,
    pub(crate) content_type: Box<str>,
    block: Bytes,
    not_modified_end: usize,
    untyped_end: usize,
    /// Seconds since 1970 at which it was of age 0.
    born: Option<u64>,
}

/// How much is known of what the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Nothing,
    Md5(Md5),
    Both(Digests),
}

impl Proof {
    /// Of an object that is here under its digest.
    pub(crate) fn of(md5: Md5, reader: &Reader) -> Self {
        reader.digests().map_or(Self::Md5(md5), Self::Both)
    }

    /// Of what an upstream claims.
    pub(crate) fn claimed(claims: &Claims) -> Self {
        match (claims.md5, claims.sha256) {
            (Some(md5), Some(sha256)) => Self::Both(Digests { md5, sha256 }),
            (Some(md5), None) => Self::Md5(md5),
            (None, _) => Self::Nothing,
        }
    }

    pub(crate) fn md5(self) -> Option<Md5> {
        match self {
            Self::Nothing => None,
            Self::Md5(md5) => Some(md5),
            Self::Both(digests) => Some(digests.md5),
        }
    }

    fn repr_digest(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Md5(md5) => Some(md5.repr_digest()),
            Self::Both(digests) => Some(digests.repr_digest()),
        }
    }
}

impl Representation {
    /// Of a name. `path` (encoded) tells the type where the upstream does not; `via` is this machine's name.
    pub(crate) fn of_name(record: &Record, proof: Proof, path: &str, via: &str) -> Self {
        let provisional = record.provisional.map(ETag::provisional);
        let md5_tag = proof.md5().as_ref().map(ETag::of);
        let (etag, etag_before) = match (record.strong_etag().cloned(), md5_tag) {
            (Some(own), _) => (Some(own), None),
            (None, Some(md5_tag)) => (Some(md5_tag), provisional),
            (None, None) => (provisional, None),
        };
        let meta = match &record.provenance {
            Provenance::Http(meta) => Some(meta),
            Provenance::Directory(_) | Provenance::Outpost { .. } => None,
        };
        let own_type = match &record.provenance {
            Provenance::Directory(_) => None,
            Provenance::Http(meta) => {
                meta.named().find(|(name, _)| **name == header::CONTENT_TYPE).map(|(_, value)| value)
            }
            Provenance::Outpost { content_type } => content_type.as_deref(),
        };
        let content_type = match (own_type.and_then(|text| std::str::from_utf8(text).ok()), meta) {
            (Some(text), _) => text,
            // RFC 9110 section 8.3: a recipient may guess; a cache in the middle does not.
            (None, Some(_)) => "",
            (None, None) => content_type::of_path(path),
        };
        let mut made = Self {
            etag,
            etag_before,
            last_modified: record.modified,
            len: record.len,
            content_type: content_type.into(),
            block: Bytes::new(),
            not_modified_end: 0,
            untyped_end: 0,
            born: meta.map(|meta| meta.arrived.saturating_sub(meta.age)),
        };
        made.write_block(proof, meta, via, None);
        made
    }

    /// Of an object that is asked for by its digest: it never changes.
    pub(crate) fn of_object(proof: Proof, len: Option<u64>, path: Option<&str>, via: &str) -> Self {
        let mut made = Self {
            etag: proof.md5().as_ref().map(ETag::of),
            etag_before: None,
            last_modified: None,
            len,
            content_type: path.map_or(content_type::OCTETS, content_type::of_path).into(),
            block: Bytes::new(),
            not_modified_end: 0,
            untyped_end: 0,
            born: None,
        };
        made.write_block(proof, None, via, Some("public, max-age=31536000, immutable"));
        made
    }

    fn write_block(&mut self, proof: Proof, meta: Option<&HttpMeta>, via: &str, cache_control: Option<&str>) {
        let mut block = Lines(String::with_capacity(256).into_bytes());
        if let Some(etag) = &self.etag {
            block.line("ETag", etag.as_str());
        }
        if let Some(modified) = self.last_modified {
            block.line("Last-Modified", timestamp::http_date(modified));
        }
        if let Some(cache_control) = cache_control {
            block.line("Cache-Control", cache_control);
        }
        // RFC 9110 section 15.4.5: these go with a 304 too.
        let guides = [header::CACHE_CONTROL, header::EXPIRES, header::VARY, header::CONTENT_LOCATION];
        let of_meta = |guiding: bool| {
            let wanted = move |name: &header::HeaderName| {
                guides.contains(name) == guiding && *name != header::CONTENT_TYPE && *name != header::PRAGMA
            };
            meta.into_iter().flat_map(HttpMeta::named).filter(move |(name, _)| wanted(name))
        };
        of_meta.clone()(true).for_each(|(name, value)| block.line(name.as_str(), value));
        block.line("Via", format!("1.1 {via}"));
        self.not_modified_end = block.0.len();
        block.line("Accept-Ranges", "bytes");
        if let Some(repr_digest) = proof.repr_digest() {
            block.line("Repr-Digest", repr_digest);
        }
        of_meta(false).for_each(|(name, value)| block.line(name.as_str(), value));
        self.untyped_end = block.0.len();
        if !self.content_type.is_empty() {
            block.line("Content-Type", &*self.content_type);
        }
        self.block = block.0.into();
    }

    /// All field lines.
    pub(crate) fn whole_block(&self) -> Bytes {
        self.block.clone()
    }

    /// Those that go with a 304.
    pub(crate) fn not_modified_block(&self) -> Bytes {
        self.block.slice(..self.not_modified_end)
    }

    /// All but `Content-Type`.
    pub(crate) fn untyped_block(&self) -> Bytes {
        self.block.slice(..self.untyped_end)
    }

    /// The type of the parts of a multipart answer.
    pub(crate) fn part_type(&self) -> &str {
        if self.content_type.is_empty() { content_type::OCTETS } else { &self.content_type }
    }

    /// The value of `Age`, where RFC 9111 section 5.1 wants it.
    pub(crate) fn age(&self, now: SystemTime) -> Option<u64> {
        self.born.map(|born| seconds(now).saturating_sub(born))
    }
}

struct Lines(Vec<u8>);

impl Lines {
    fn line(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_ref());
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Writes a number as a field's value without an allocation of its own.
pub(crate) fn number(value: u64) -> impl AsRef<[u8]> {
    let mut text = Digits { bytes: [0; 20], len: 0 };
    // Twenty digits hold every 64-bit number.
    let _ = write!(text, "{value}");
    text
}

struct Digits {
    bytes: [u8; 20],
    len: usize,
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
