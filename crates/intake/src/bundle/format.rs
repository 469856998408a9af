//! What the bytes of a bundle mean. Pure. Numbers are little-endian.
//!
//! ```text
//! header     32 bytes   magic (16), version (4), zero (12)
//! contents              the bytes of the objects, one behind the other, in the order of the directory
//! directory             entries: objects, and names of objects
//! trailer    80 bytes   SHA-256 of header and directory (32), where the directory begins (8), its length (8),
//!                       length of the whole file (8), zero (8), magic (16)
//! ```

use std::{
    io::{self, Read},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{
    digest::{Digests, Md5, Sha256},
    etag::ETag,
    target::Target,
};

/// Of this form.
pub const VERSION: u32 = 1;
/// Bytes before the contents.
pub const HEADER_LEN: u64 = 32;
/// Bytes behind the directory.
pub const TRAILER_LEN: u64 = 80;
/// The longest path, and the longest tag, in bytes.
pub const PATH_MAX: usize = 8192;
/// Likewise.
pub const ETAG_MAX: usize = 1024;

const MAGIC: [u8; 16] = *b"\x89outpost-bundle\n";
const END_MAGIC: [u8; 16] = *b"outpost-bundle\n\x1a";

const OBJECT: u8 = 1;
const NAME: u8 = 2;

const HAS_TIME: u8 = 1;
const HAS_ETAG: u8 = 2;

/// An object. Its bytes begin where those of the one before end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Of its bytes.
    pub digests: Digests,
    /// Bytes.
    pub len: u64,
}

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The object's, which stands before it in the directory.
    pub md5: Md5,
    /// As clients ask for it.
    pub target: Target,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
    /// A strong tag of its upstream.
    pub etag: Option<ETag>,
}

/// One entry of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object(Object),
    /// A name.
    Name(Name),
}

/// Where things are, and what proves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Of header and directory.
    pub sha256: Sha256,
    /// Where the directory begins.
    pub directory: u64,
    /// Its bytes.
    pub directory_len: u64,
    /// Bytes of the whole file.
    pub len: u64,
}

/// Why bytes are no entry, or no trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither an object nor a name.
    #[error("an entry of its directory is of no known kind")]
    Kind,
    /// A name that no client can ask for, or not spelled as it should be.
    #[error("a path in its directory is none, or not in its canonical spelling")]
    Path,
    /// Not a strong tag.
    #[error("a tag in its directory is none")]
    ETag,
    /// A time that no clock tells.
    #[error("a time in its directory is none")]
    Time,
    /// The directory ends in the middle of an entry.
    #[error("its directory ends in the middle of an entry")]
    Short,
}

/// The header of a bundle of this version.
pub fn header() -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..16].copy_from_slice(&MAGIC);
    header[16..20].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// The version that a header tells; `None` if it is no header of a bundle.
pub fn version_of(header: &[u8]) -> Option<u32> {
    let version = header.strip_prefix(&MAGIC)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*version))
}

impl Trailer {
    /// As it stands at the end.
    pub fn encode(&self) -> [u8; TRAILER_LEN as usize] {
        let mut out = [0; TRAILER_LEN as usize];
        out[..32].copy_from_slice(&self.sha256.0);
        for (place, number) in [(32, self.directory), (40, self.directory_len), (48, self.len)] {
            out[place..place + 8].copy_from_slice(&number.to_le_bytes());
        }
        out[64..].copy_from_slice(&END_MAGIC);
        out
    }

    /// `None` for what is none: then the end of the bundle is not there.
    pub fn decode(bytes: &[u8; TRAILER_LEN as usize]) -> Option<Self> {
        let number = |place: usize| bytes[place..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let is_ours = bytes[64..] == END_MAGIC && bytes[56..64] == [0; 8];
        let sha256 = Sha256(*bytes.first_chunk()?);
        let trailer = Self { sha256, directory: number(32)?, directory_len: number(40)?, len: number(48)? };
        is_ours.then_some(trailer)
    }
}

impl Entry {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(Object { digests, len }) => {
                out.push(OBJECT);
                out.extend_from_slice(&digests.md5.0);
                out.extend_from_slice(&digests.sha256.0);
                out.extend_from_slice(&len.to_le_bytes());
            }
            Self::Name(name) => name.encode(out),
        }
    }

    /// The next entry; `None` at the end. An error of the reader's, or what is wrong with the bytes.
    pub fn decode(from: &mut impl Read) -> io::Result<Result<Option<Self>, Malformed>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(Ok(None));
        }
        let decoded = match kind[0] {
            OBJECT => Object::decode(from).map(|object| Ok(Self::Object(object))),
            NAME => Name::decode(from).map(|name| name.map(Self::Name)),
            _ => return Ok(Err(Malformed::Kind)),
        };
        match decoded {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(Malformed::Short)),
            decoded => Ok(decoded?.map(Some)),
        }
    }
}

impl Object {
    fn decode(from: &mut impl Read) -> io::Result<Self> {
        let digests = Digests { md5: Md5(bytes(from)?), sha256: Sha256(bytes(from)?) };
        Ok(Self { digests, len: u64::from_le_bytes(bytes(from)?) })
    }
}

impl Name {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(NAME);
        out.extend_from_slice(&self.md5.0);
        let flag = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        out.push(flag(self.modified.is_some(), HAS_TIME) | flag(self.etag.is_some(), HAS_ETAG));
        if let Some(time) = self.modified {
            let (seconds, nanoseconds) = since_1970(time);
            out.extend_from_slice(&seconds.to_le_bytes());
            out.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        text(self.target.as_str(), out);
        if let Some(etag) = &self.etag {
            text(etag.as_str(), out);
        }
    }

    fn decode(from: &mut impl Read) -> io::Result<Result<Self, Malformed>> {
        let (md5, [flags]) = (Md5(bytes(from)?), bytes(from)?);
        let modified = match flags & HAS_TIME {
            0 => None,
            _ => match time(i64::from_le_bytes(bytes(from)?), u32::from_le_bytes(bytes(from)?)) {
                Some(time) => Some(time),
                None => return Ok(Err(Malformed::Time)),
            },
        };
        let path = short(from, PATH_MAX)?;
        let canonical = |path: &Vec<u8>| Target::parse(path).ok().filter(|target| target.as_str().as_bytes() == path);
        let Some(target) = path.as_ref().and_then(canonical) else { return Ok(Err(Malformed::Path)) };
        let etag = match flags & HAS_ETAG {
            0 => None,
            _ => match short(from, ETAG_MAX)?.and_then(|text| ETag::parse(&text)).filter(|etag| !etag.is_weak()) {
                Some(etag) => Some(etag),
                None => return Ok(Err(Malformed::ETag)),
            },
        };
        let is_known = flags & !(HAS_TIME | HAS_ETAG) == 0;
        Ok(if is_known { Ok(Self { md5, target, modified, etag }) } else { Err(Malformed::Kind) })
    }

    /// Whether it can be written down.
    pub fn fits(&self) -> bool {
        self.target.as_str().len() <= PATH_MAX
            && self.etag.as_ref().is_none_or(|etag| etag.as_str().len() <= ETAG_MAX && !etag.is_weak())
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Text with its length before it; `None` if that is more than it may be.
fn short(from: &mut impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let len = usize::from(u16::from_le_bytes(bytes(from)?));
    if len > max {
        return Ok(None);
    }
    let mut text = vec![0; len];
    from.read_exact(&mut text)?;
    Ok(Some(text))
}

/// [`Name::fits`] was asked.
fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Whole seconds since 1970, rounded down, and nanoseconds behind them.
fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN + 1, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

fn time(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    whole?.checked_add(Duration::from_nanos(nanoseconds.into())).filter(|_| nanoseconds < 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    prop_compose! {
        fn object()(md5: [u8; 16], sha256: [u8; 32], len: u64) -> Entry {
            Entry::Object(Object { digests: Digests { md5: Md5(md5), sha256: Sha256(sha256) }, len })
        }
    }

    prop_compose! {
        fn name()(
            md5: [u8; 16], path in vec(any::<u8>(), 1..50), seconds in -4_000_000_000_i64..4_000_000_000, nanoseconds in 0..1_000_000_000_u32,
            is_timed: bool, etag in option::of("\"[a-z0-9]{0,20}\""),
        ) -> Entry {
            Entry::Name(Name {
                md5: Md5(md5),
                target: Target::from_file_path(&path),
                modified: time(seconds, nanoseconds).filter(|_| is_timed),
                etag: etag.and_then(|etag| ETag::parse(etag.as_bytes())),
            })
        }
    }

    fn all(mut bytes: &[u8]) -> Result<Vec<Entry>, Malformed> {
        let mut entries = Vec::new();
        while let Some(entry) = Entry::decode(&mut bytes).expect("memory can be read")? {
            entries.push(entry);
        }
        Ok(entries)
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_were(entries in vec(prop_oneof![object(), name()], 0..10)) {
            let mut bytes = Vec::new();
            entries.iter().for_each(|entry| entry.encode(&mut bytes));
            prop_assert_eq!(all(&bytes), Ok(entries));
        }

        #[test]
        fn a_cut_entry_is_none(entry in prop_oneof![object(), name()], cut in any::<proptest::sample::Index>()) {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            let cut = 1 + cut.index(bytes.len() - 1);
            prop_assert_eq!(all(&bytes[..cut]), Err(Malformed::Short));
        }

        #[test]
        fn a_trailer_comes_back(sha256: [u8; 32], directory: u64, directory_len: u64, len: u64, at in 56..80_usize) {
            let trailer = Trailer { sha256: Sha256(sha256), directory, directory_len, len };
            let mut bytes = trailer.encode();
            prop_assert_eq!(Trailer::decode(&bytes), Some(trailer));
            bytes[at] ^= 1;
            prop_assert_eq!(Trailer::decode(&bytes), None);
        }
    }

    #[test]
    fn what_no_bundle_holds_is_refused() {
        let name = |path: &str, etag: Option<&str>| {
            let mut out = vec![NAME];
            out.extend([7; 16]);
            out.push(if etag.is_some() { HAS_ETAG } else { 0 });
            text(path, &mut out);
            etag.iter().for_each(|etag| text(etag, &mut out));
            out
        };
        let mut late = vec![NAME];
        late.extend([7; 16]);
        late.push(HAS_TIME);
        late.extend(i64::MAX.to_le_bytes());
        late.extend(u32::MAX.to_le_bytes());
        let mut flags = name("/a", None);
        flags[17] = 4;
        for (bytes, expected) in [
            (vec![0], Malformed::Kind),
            (vec![3], Malformed::Kind),
            (flags, Malformed::Kind),
            (name("", None), Malformed::Path),
            (name("a", None), Malformed::Path),
            (name("/a/../b", None), Malformed::Path),
            (name("/a b", None), Malformed::Path),
            (name("/%41", None), Malformed::Path),
            (name(&format!("/{}", "a".repeat(PATH_MAX)), None), Malformed::Path),
            (name("/a", Some("W/\"a\"")), Malformed::ETag),
            (name("/a", Some("a")), Malformed::ETag),
            (name("/a", Some(&format!("\"{}\"", "a".repeat(ETAG_MAX)))), Malformed::ETag),
            (late, Malformed::Time),
        ] {
            assert_eq!(all(&bytes), Err(expected), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_header_tells_its_version() {
        assert_eq!(version_of(&header()), Some(VERSION));
        assert_eq!(version_of(b"PK\x03\x04 and more of it, as others begin"), None);
        assert_eq!(version_of(&header()[..19]), None);
    }
}
