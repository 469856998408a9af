//! A directory that is published: opens what is beneath it and nothing else (`openat2` with `RESOLVE_BENEATH`).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A published directory, held open.
#[derive(Debug)]
pub struct Share {
    _root: File,
    _path: PathBuf,
}

/// By what a file is known to be unchanged. Two equal identities of one path mean equal bytes, as far as a file system can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified: i128,
    /// Last change of content or inode, nanoseconds since 1970.
    pub changed: i128,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File(File, Identity),
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Bytes of the name.
    pub name: Vec<u8>,
    /// `true` for a directory (or a link to one beneath the share).
    pub directory: bool,
    /// What a `stat` says.
    pub identity: Identity,
}

impl Identity {
    /// Of an open file, now.
    pub fn of(_file: &File) -> io::Result<Self> {
        todo!()
    }

    /// As a time.
    pub fn modified_time(&self) -> SystemTime {
        todo!()
    }
}

impl Share {
    /// Opens the directory. Falls back to a checked walk, segment by segment, where the kernel has no `openat2`.
    pub fn open(_path: &Path) -> io::Result<Self> {
        todo!()
    }

    /// The directory's path, as given.
    pub fn path(&self) -> &Path {
        &self._path
    }

    /// Opens what stands at a relative path (bytes, no leading `/`; empty: the share itself). Links are followed as long as they stay beneath.
    /// Blocks. `NotFound` also for what lies outside, is neither file nor directory, or has an unreadable kind.
    pub fn find(&self, _path: &[u8]) -> io::Result<Found> {
        todo!()
    }

    /// The identity at a path without opening it for reading. Blocks. `None` for a directory.
    pub fn identity(&self, _path: &[u8]) -> io::Result<Option<Identity>> {
        todo!()
    }

    /// The entries of a directory, unsorted, files and directories only. Blocks.
    pub fn list(&self, _path: &[u8]) -> io::Result<Vec<DirEntry>> {
        todo!()
    }
}
