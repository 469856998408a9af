//! Checks a bundle and reads it. Its end is looked at first, so that one that was cut is refused before anything of it is taken; then the whole directory, against its
//! digest. What is read of it is bounded by what it is long; whether the bytes of an object are right is for who takes them to find out.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use protocol::digest::{DigestsHasher, Sha256};

use super::format::{Entry, HEADER_LEN, Malformed, Name, Object, TRAILER_LEN, Trailer, VERSION, header, version_of};

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It does not begin like one.
    #[error("it is no Outpost bundle; they are made by outpost-proxy export")]
    NoBundle,
    /// Of a later version.
    #[error("it is a bundle of version {found}, and this version of Outpost knows version {VERSION}; use a newer one")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Its end is not there.
    #[error("its end is missing: it was not written or not copied to its end. Copy it again from where it was made")]
    Truncated,
    /// Its directory is not what was written.
    #[error("its directory is damaged; copy it again from where it was made")]
    Damaged,
    /// Its directory is what was written, and not right.
    #[error("{0}; it was not made by outpost-proxy export")]
    Malformed(#[from] Malformed),
    /// The lengths in it do not add up.
    #[error("its lengths do not add up; it was not made by outpost-proxy export")]
    Lengths,
    /// The disk.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// What is in a bundle that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names.
    pub names: u64,
    /// Of header and directory, and by the digests in it of everything else: who knows this from elsewhere knows the bundle.
    pub sha256: Sha256,
    directory: u64,
    directory_len: u64,
}

/// An object, and where its bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub object: Object,
    /// Where in the file.
    pub offset: u64,
}

/// What a directory holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An object.
    Object(Placed),
    /// A name of one that came before.
    Name(Name),
}

/// The entries of a directory, one after the other.
pub struct Items<R> {
    from: BufReader<io::Take<Hashing<R>>>,
    offset: u64,
}

/// Hashes what is read through it.
struct Hashing<R> {
    from: R,
    hasher: DigestsHasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Checks all but the bytes of the objects.
pub fn check(from: &mut (impl Read + Seek)) -> Result<Contents, BundleError> {
    let len = from.seek(SeekFrom::End(0))?;
    let mut first = [0; HEADER_LEN as usize];
    from.rewind()?;
    let read = from.by_ref().take(HEADER_LEN).read(&mut first)?;
    match version_of(&first[..read]) {
        None => return Err(BundleError::NoBundle),
        Some(VERSION) => {}
        Some(found) => return Err(BundleError::Version { found }),
    }
    if len < HEADER_LEN + TRAILER_LEN {
        return Err(BundleError::Truncated);
    }
    let mut last = [0; TRAILER_LEN as usize];
    from.seek(SeekFrom::End(-(TRAILER_LEN as i64)))?;
    from.read_exact(&mut last)?;
    let trailer = Trailer::decode(&last).filter(|trailer| trailer.len == len).ok_or(BundleError::Truncated)?;
    let end = trailer.directory.checked_add(trailer.directory_len);
    if trailer.directory < HEADER_LEN || end != Some(len - TRAILER_LEN) || first != header() {
        return Err(BundleError::Damaged);
    }
    look_through(from, &trailer)
}

fn look_through(from: &mut (impl Read + Seek), trailer: &Trailer) -> Result<Contents, BundleError> {
    let Trailer { directory, directory_len, .. } = *trailer;
    let mut contents = Contents { objects: 0, bytes: 0, names: 0, sha256: trailer.sha256, directory, directory_len };
    let mut items = contents.items(from)?;
    let mut trouble = None;
    for item in items.by_ref() {
        match item {
            // The offsets were added up to here: this does not overflow.
            Ok(Item::Object(placed)) => {
                (contents.objects, contents.bytes) = (contents.objects + 1, contents.bytes + placed.object.len)
            }
            Ok(Item::Name(_)) => contents.names += 1,
            Err(BundleError::Read(error)) => return Err(error.into()),
            Err(error) => {
                trouble = Some(error);
                break;
            }
        }
    }
    // Damage shows as both; that it is damage is the better thing to say.
    if items.finish()? != trailer.sha256 {
        return Err(BundleError::Damaged);
    }
    match trouble {
        Some(error) => Err(error),
        None if contents.bytes != directory - HEADER_LEN => Err(BundleError::Lengths),
        None => Ok(contents),
    }
}

impl Contents {
    /// The entries from the first on.
    pub fn items<R: Read + Seek>(&self, mut from: R) -> io::Result<Items<R>> {
        from.seek(SeekFrom::Start(self.directory))?;
        let mut hasher = DigestsHasher::default();
        hasher.update(&header());
        Ok(Items { from: BufReader::new(Hashing { from, hasher }.take(self.directory_len)), offset: HEADER_LEN })
    }
}

impl<R: Read> Items<R> {
    /// Reads to the end, and answers the digest of header and directory.
    fn finish(mut self) -> io::Result<Sha256> {
        loop {
            match self.from.fill_buf()?.len() {
                0 => break,
                read => self.from.consume(read),
            }
        }
        Ok(self.from.into_inner().into_inner().hasher.finish().sha256)
    }
}

impl<R: Read> Iterator for Items<R> {
    type Item = Result<Item, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        match Entry::decode(&mut self.from) {
            Err(error) => Some(Err(error.into())),
            Ok(Err(malformed)) => Some(Err(malformed.into())),
            Ok(Ok(None)) => None,
            Ok(Ok(Some(Entry::Name(name)))) => Some(Ok(Item::Name(name))),
            Ok(Ok(Some(Entry::Object(object)))) => {
                let placed = Placed { object, offset: self.offset };
                let Some(offset) = self.offset.checked_add(object.len) else { return Some(Err(BundleError::Lengths)) };
                self.offset = offset;
                Some(Ok(Item::Object(placed)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use protocol::{digest::Digests, target::Target};

    use super::*;

    fn object(content: &[u8]) -> Entry {
        Entry::Object(Object { digests: Digests::of(content), len: content.len() as u64 })
    }

    fn name(content: &[u8], path: &str) -> Entry {
        let target = Target::parse(path.as_bytes()).unwrap();
        Entry::Name(Name { md5: Digests::of(content).md5, target, modified: None, etag: None })
    }

    /// A bundle of these contents with this directory, right or not.
    fn bundle(contents: &[u8], directory: &[u8]) -> Vec<u8> {
        let proven = Digests::of(&[&header()[..], directory].concat());
        let at = HEADER_LEN + contents.len() as u64;
        let trailer = Trailer {
            sha256: proven.sha256,
            directory: at,
            directory_len: directory.len() as u64,
            len: at + directory.len() as u64 + TRAILER_LEN,
        };
        [&header()[..], contents, directory, &trailer.encode()].concat()
    }

    fn encoded(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        entries.iter().for_each(|entry| entry.encode(&mut out));
        out
    }

    fn checked(bytes: &[u8]) -> Result<Contents, BundleError> {
        check(&mut Cursor::new(bytes))
    }

    #[test]
    fn a_whole_bundle_tells_what_is_in_it() {
        let entries = [object(b"one"), name(b"one", "/a"), name(b"one", "/b"), object(b""), object(b"three")];
        let bytes = bundle(b"onethree", &encoded(&entries));
        let contents = checked(&bytes).unwrap();
        assert_eq!((contents.objects, contents.bytes, contents.names), (3, 8, 2));
        let items: Vec<_> = contents.items(Cursor::new(&bytes)).unwrap().map(Result::unwrap).collect();
        let offsets: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Object(placed) => Some(placed.offset),
                Item::Name(_) => None,
            })
            .collect();
        assert_eq!((items.len(), offsets), (5, vec![32, 35, 35]));
        assert_eq!(checked(&bundle(b"", b"")).unwrap().objects, 0);
    }

    #[test]
    fn cut_or_damaged_anywhere_it_is_refused() {
        let bytes = bundle(b"one", &encoded(&[object(b"one"), name(b"one", "/a")]));
        for cut in 0..bytes.len() {
            let refused = checked(&bytes[..cut]).unwrap_err();
            assert!(matches!(refused, BundleError::NoBundle | BundleError::Truncated), "{cut}: {refused}");
        }
        assert!(matches!(checked(&[&bytes[..], b"more"].concat()), Err(BundleError::Truncated)));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            // The bytes of the object are looked at when it is taken in.
            assert_eq!(checked(&damaged).is_ok(), (32..35).contains(&at), "{at}");
        }
    }

    #[test]
    fn what_was_made_to_harm_is_refused() {
        let huge = Entry::Object(Object { digests: Digests::of(b"x"), len: u64::MAX - 10 });
        for (contents, entries) in
            [(&b"one"[..], vec![]), (b"one", vec![object(b"one"), object(b"more")]), (b"one", vec![huge.clone(), huge])]
        {
            let refused = checked(&bundle(contents, &encoded(&entries))).unwrap_err();
            assert!(matches!(refused, BundleError::Lengths), "{refused}");
        }
        let refused = checked(&bundle(b"", b"\x07")).unwrap_err();
        assert!(matches!(refused, BundleError::Malformed(Malformed::Kind)), "{refused}");
        let mut later = bundle(b"", b"");
        later[16] = 2;
        assert!(matches!(checked(&later), Err(BundleError::Version { found: 2 })));
        let mut elsewhere = bundle(b"one", &encoded(&[object(b"one")]));
        let end = elsewhere.len() - TRAILER_LEN as usize;
        elsewhere[end + 32..end + 40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(checked(&elsewhere), Err(BundleError::Damaged)));
    }
}
