//! What is known of the published files: path and identity to digests, and in which order it all came. It reads no file of the share.
//!
//! | event | row of the path |
//! |---|---|
//! | file hashed | written, with the identity that was true before and after the reading, and a generation of its own |
//! | file asked for or seen by a scan with the same identity | used |
//! | ... with another identity | ignored, and replaced when the file has been hashed again |
//! | file or a directory above it gone | deleted; that it is gone is kept for a while, with a generation of its own |
//!
//! The device number takes no part: network mounts get another with every mount. A database of another program, another share or a newer
//! version is refused untouched. Every change is told to the feed when it is durable against the end of the process, in the order of the generations.
//!
//! [`Catalogue`] is what others know; [`sqlite`] the one implementation, with `layout` (tables and their versions), `writer`, `reader` and `page`.

mod layout;
mod page;
mod reader;
pub(crate) mod sqlite;
mod writer;

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use os::share::Identity;
use protocol::{
    catalog::{File, Page},
    digest::{Digests, Md5, Sha256},
    pieces::Pieces,
    target::Target,
    timestamp,
};

pub(crate) use self::page::Asked;
use crate::{database::DatabaseError, feed::Mark};

/// What the other rooms ask of it. Every call may wait for the disk.
pub(crate) trait Catalogue: Send + Sync {
    /// Which numbering the generations are of: another one for each database.
    fn epoch(&self) -> &str;
    /// The newest change. Waits for nothing.
    fn generation(&self) -> u64;
    /// How many files are known with their digests. Waits for nothing.
    fn len(&self) -> u64;
    /// The digests of the file at a path, if the file is still the one that was hashed.
    fn digests(&self, path: &[u8], identity: &Identity) -> Result<Option<Digests>, CatalogueError>;
    /// Keeps what was found, all or nothing.
    fn record(&self, hashed: &[Hashed]) -> Result<(), CatalogueError>;
    /// Forgets a path and everything below it; answers how many files that were.
    fn forget(&self, path: &[u8], seen: Mark, now: SystemTime) -> Result<u64, CatalogueError>;
    /// The files that are known directly in a directory.
    fn files_in(&self, directory: &[u8]) -> Result<HashMap<Vec<u8>, Stamp>, CatalogueError>;
    /// The names of the directories directly in a directory that have known files, or had.
    fn directories_in(&self, directory: &[u8]) -> Result<BTreeSet<Vec<u8>>, CatalogueError>;
    /// Paths at which these bytes were found, at most `max`. Whether they are still there is for the caller to see.
    fn paths_of(&self, md5: &Md5, max: u32) -> Result<Vec<Vec<u8>>, CatalogueError>;
    /// One of them.
    fn file_of(&self, md5: &Md5) -> Result<Option<FileOf>, CatalogueError>;
    /// The digests of its pieces, if they are known.
    fn pieces(&self, md5: &Md5) -> Result<Option<Pieces>, CatalogueError>;
    /// Keeps those of a content whose files are known already.
    fn keep_pieces(&self, pieces: &Pieces) -> Result<(), CatalogueError>;
    /// What is at or below some folders (none: everywhere), or what changed there.
    fn page(&self, tops: &[Box<[u8]>], asked: &Asked) -> Result<Page, CatalogueError>;
    /// Each directory at or below a folder, by path, with the sums of its files.
    fn folders(&self, top: &[u8], each: &mut dyn FnMut(Folder)) -> Result<(), CatalogueError>;
    /// The files at or below a folder, folder by folder, that come behind a path; at most `max`.
    fn files_below(&self, top: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<File>, CatalogueError>;
    /// Reads all of the database for damage; for the background.
    fn check(&self) -> Result<(), CatalogueError>;
}

/// A file that was hashed.
#[derive(Clone, Debug)]
pub(crate) struct Hashed {
    /// Below the published directory.
    pub(crate) path: Box<[u8]>,
    pub(crate) identity: Identity,
    pub(crate) digests: Digests,
    /// Of a content that has several, if it was read for them.
    pub(crate) pieces: Option<Pieces>,
    /// Taken before it was looked at.
    pub(crate) seen: Mark,
}

/// A file with a content that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileOf {
    /// Below the published directory.
    pub(crate) path: Vec<u8>,
    /// Bytes.
    pub(crate) size: u64,
    /// What its list of pieces is known by, if there is one.
    pub(crate) root: Option<Sha256>,
}

/// A directory and the files directly in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: Vec<u8>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Of the last change in it.
    pub(crate) generation: u64,
}

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not there, not ours, damaged.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Made for another directory.
    #[error(
        "the database {path} belongs to the share {share}; give another file with --database FILE, or remove it if the share was moved"
    )]
    OtherShare {
        /// The file.
        path: PathBuf,
        /// The share it was made for.
        share: String,
    },
    /// A statement failed while running.
    #[error("the database failed: {0}")]
    Statement(#[from] rusqlite::Error),
}

/// A file's [`Identity`] as the database has it: without the device, and in SQLite's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: i64,
    size: i64,
    modified: i64,
    changed: i64,
}

impl From<&Identity> for Stamp {
    fn from(identity: &Identity) -> Self {
        // 64 bits of nanoseconds end in the year 2262; a file from beyond still has its inode and size.
        let clamped = |nanoseconds: i128| nanoseconds.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Self {
            inode: identity.inode.cast_signed(),
            size: identity.size.cast_signed(),
            modified: clamped(identity.modified),
            changed: clamped(identity.changed),
        }
    }
}

/// A file as it is told.
fn file(path: &[u8], size: i64, modified: i64, digests: Digests, generation: i64) -> File {
    let distance = Duration::from_nanos(modified.unsigned_abs());
    let modified = if modified < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    File {
        path: Target::from_file_path(path).path().into(),
        size: size.cast_unsigned(),
        md5: digests.md5,
        sha256: digests.sha256,
        modified: timestamp::rfc3339(modified.unwrap_or(UNIX_EPOCH)),
        generation: generation.cast_unsigned(),
    }
}

/// A path as the table has it: the directory, then the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A name in a directory as a path below the share.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// A path below the share, for a log.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Everything below `a` begins with `a/`, that is, lies between `a/` and `a0`, the byte after '/'.
fn below(directory: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if directory.is_empty() {
        // No path but the empty one comes before a NUL, and none behind a name that is longer than names can be.
        return (b"\0".to_vec(), [0xff; 256].to_vec());
    }
    ([directory, b"/"].concat(), [directory, b"0"].concat())
}
