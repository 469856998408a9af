//! What answers say of a content: status, tag, dates, length, type. The field lines are made once and shared by all answers, as one block of which
//! a prefix suits a 304, a longer one a multipart answer, and a still longer one a part; behind that is what speaks of the whole message only.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use protocol::{
    content_type,
    digest::{Claims, Digests, Md5},
    etag::ETag,
    timestamp,
};
use store::Reader;

use super::{
    lines::push,
    record::{HttpMeta, Provenance, Record, seconds},
};

/// Lines that go with a 304 too (RFC 9110 section 15.4.5), and who made the answer.
const GUIDES: [HeaderName; 5] =
    [header::CACHE_CONTROL, header::EXPIRES, header::VARY, header::CONTENT_LOCATION, header::SERVER];
/// Lines that are wrong beside a part: they are of the message that held everything.
const OF_THE_WHOLE: [HeaderName; 3] =
    [header::CONTENT_RANGE, HeaderName::from_static("content-md5"), HeaderName::from_static("content-digest")];

/// How a content is spoken of: under which name, by whom.
pub(crate) struct Naming<'a> {
    /// Encoded; tells the type where the upstream does not.
    pub(crate) path: &'a str,
    /// This machine's name.
    pub(crate) via: &'a str,
    /// A `Location` as seen from here, where it is another.
    pub(crate) relocate: &'a dyn Fn(&str) -> Option<String>,
}

/// One content under one name, ready to be described.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// Of answers with the whole content.
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<ETag>,
    /// The tag under which the same bytes were given out before.
    pub(crate) etag_before: Option<ETag>,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) len: Option<u64>,
    pub(crate) content_type: Box<str>,
    block: Bytes,
    not_modified_end: usize,
    untyped_end: usize,
    part_end: usize,
    /// The lines have a `Date`.
    pub(crate) is_dated: bool,
    aging: Option<Aging>,
}

/// How old an answer of a web server was, and when.
#[derive(Clone, Copy, Debug)]
struct Aging {
    /// Seconds since 1970.
    arrived: u64,
    /// Seconds.
    age: u64,
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
    /// Of a name.
    pub(crate) fn of_name(record: &Record, proof: Proof, naming: &Naming<'_>) -> Self {
        let meta = record.http();
        let is_content = meta.is_none_or(HttpMeta::is_whole_content);
        let provisional = record.provisional.map(ETag::provisional);
        let md5_tag = proof.md5().as_ref().map(ETag::of);
        let (etag, etag_before) = match (record.strong_etag().cloned(), md5_tag) {
            // Of an answer with another status only its own tag means something.
            _ if !is_content => (record.etag.clone(), None),
            (Some(own), _) => (Some(own), None),
            (None, Some(md5_tag)) => (Some(md5_tag), provisional),
            (None, None) => (provisional, None),
        };
        let own_type = match &record.provenance {
            Provenance::Directory(_) | Provenance::Imported => None,
            Provenance::Http(meta) => meta.lines.first(&header::CONTENT_TYPE),
            Provenance::Outpost { content_type } => content_type.as_deref(),
        };
        let content_type = match (own_type.and_then(|text| std::str::from_utf8(text).ok()), meta) {
            (Some(text), _) => text,
            // RFC 9110 section 8.3: a recipient may guess; a cache in the middle does not.
            (None, Some(_)) => "",
            (None, None) => content_type::of_path(naming.path),
        };
        let mut made = Self {
            status: meta.and_then(|meta| StatusCode::from_u16(meta.status).ok()).unwrap_or(StatusCode::OK),
            etag,
            etag_before,
            last_modified: record.modified,
            len: record.len,
            content_type: content_type.into(),
            is_dated: meta.is_some(),
            aging: meta.map(|meta| Aging { arrived: meta.arrived, age: meta.age }),
            ..Self::blank()
        };
        made.write_block(proof, meta, naming, None);
        made
    }

    /// Of an object that is asked for by its digest: it never changes.
    pub(crate) fn of_object(proof: Proof, len: Option<u64>, path: Option<&str>, via: &str) -> Self {
        let mut made = Self {
            etag: proof.md5().as_ref().map(ETag::of),
            len,
            content_type: path.map_or(content_type::OCTETS, content_type::of_path).into(),
            ..Self::blank()
        };
        let naming = Naming { path: path.unwrap_or_default(), via, relocate: &|_| None };
        made.write_block(proof, None, &naming, Some("public, max-age=31536000, immutable"));
        made
    }

    fn blank() -> Self {
        Self {
            status: StatusCode::OK,
            etag: None,
            etag_before: None,
            last_modified: None,
            len: None,
            content_type: Box::default(),
            block: Bytes::new(),
            not_modified_end: 0,
            untyped_end: 0,
            part_end: 0,
            is_dated: false,
            aging: None,
        }
    }

    fn write_block(&mut self, proof: Proof, meta: Option<&HttpMeta>, naming: &Naming<'_>, cache_control: Option<&str>) {
        let mut block = Vec::with_capacity(512);
        let is_content = self.status == StatusCode::OK;
        if let Some(etag) = &self.etag {
            push(&mut block, "ETag", etag.as_str());
        }
        if let Some(modified) = self.last_modified {
            push(&mut block, "Last-Modified", timestamp::http_date(modified));
        }
        if let Some(cache_control) = cache_control {
            push(&mut block, "Cache-Control", cache_control);
        }
        if let Some(meta) = meta {
            push(&mut block, "Date", timestamp::http_date(from_seconds(meta.date)));
        }
        lines_of(meta, &GUIDES, naming, &mut block);
        push(&mut block, "Via", format!("1.1 {}", naming.via));
        self.not_modified_end = block.len();
        if is_content {
            push(&mut block, "Accept-Ranges", "bytes");
            proof.repr_digest().iter().for_each(|digest| push(&mut block, "Repr-Digest", digest));
        }
        for (name, value) in meta.into_iter().flat_map(|meta| meta.lines.iter()) {
            let stands_elsewhere = |named: &[HeaderName]| named.iter().any(|other| other.as_str() == name);
            if !stands_elsewhere(&GUIDES) && !stands_elsewhere(&OF_THE_WHOLE) && name != header::CONTENT_TYPE.as_str() {
                push_seen(&mut block, name, value, naming);
            }
        }
        self.untyped_end = block.len();
        if !self.content_type.is_empty() {
            push(&mut block, "Content-Type", &*self.content_type);
        }
        self.part_end = block.len();
        lines_of(meta, &OF_THE_WHOLE, naming, &mut block);
        self.block = block.into();
    }

    /// All field lines.
    pub(crate) fn whole_block(&self) -> Bytes {
        self.block.clone()
    }

    /// Those that go with a 304.
    pub(crate) fn not_modified_block(&self) -> Bytes {
        self.block.slice(..self.not_modified_end)
    }

    /// Those that go with several parts: no `Content-Type`.
    pub(crate) fn untyped_block(&self) -> Bytes {
        self.block.slice(..self.untyped_end)
    }

    /// Those that go with a part.
    pub(crate) fn part_block(&self) -> Bytes {
        self.block.slice(..self.part_end)
    }

    /// The type of the parts of a multipart answer.
    pub(crate) fn part_type(&self) -> &str {
        if self.content_type.is_empty() { content_type::OCTETS } else { &self.content_type }
    }

    /// The value of `Age`, where RFC 9111 section 5.1 wants it.
    pub(crate) fn age(&self, now: SystemTime) -> Option<u64> {
        self.aging.map(|aging| aging.age.saturating_add(seconds(now).saturating_sub(aging.arrived)))
    }
}

/// Appends the lines of these names.
fn lines_of(meta: Option<&HttpMeta>, named: &[HeaderName], naming: &Naming<'_>, block: &mut Vec<u8>) {
    for (name, value) in meta.into_iter().flat_map(|meta| meta.lines.iter()) {
        if named.iter().any(|other| other.as_str() == name) {
            push_seen(block, name, value, naming);
        }
    }
}

/// Appends a line as it is seen from here.
fn push_seen(block: &mut Vec<u8>, name: &str, value: &[u8], naming: &Naming<'_>) {
    let is_location = name == header::LOCATION.as_str();
    let location =
        std::str::from_utf8(value).ok().filter(|_| is_location).and_then(|location| (naming.relocate)(location));
    match location {
        Some(location) => push(block, name, location),
        None => push(block, name, value),
    }
}

fn from_seconds(seconds: u64) -> SystemTime {
    // Far beyond any calendar that can be written.
    UNIX_EPOCH + Duration::from_secs(seconds.min(u64::from(u32::MAX) * 64))
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
