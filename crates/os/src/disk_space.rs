//! How full a disk is, and reserving on it.

use std::{fs::File, io, path::Path};

/// A file system's size and what an unprivileged writer may still use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total: u64,
    /// Free for us.
    pub available: u64,
}

/// Of the file system that holds `path` (`statvfs`).
pub fn disk_space(_path: &Path) -> io::Result<DiskSpace> {
    todo!()
}

/// Allocates blocks for `len` bytes without changing the file's length (`fallocate`, `KEEP_SIZE`). File systems that
/// cannot do it answer `Ok(false)`.
pub fn allocate(_file: &File, _len: u64) -> io::Result<bool> {
    todo!()
}
