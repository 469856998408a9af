//! How full a disk is, and reserving on it.

use std::{fs::File, io, path::Path};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};

/// A file system's size and what an unprivileged writer may still use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total: u64,
    /// Free for us.
    pub available: u64,
}

/// Of the file system that holds `path` (`statvfs`).
pub fn disk_space(path: &Path) -> io::Result<DiskSpace> {
    let found = statvfs(path)?;
    // Block counts are in units of the fragment size; `f_bsize` is only the preferred size of transfers.
    Ok(DiskSpace {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        available: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

/// Allocates blocks for `len` bytes without changing the file's length (`fallocate`, `KEEP_SIZE`). File systems that
/// cannot do it answer `Ok(false)`; one that is full answers an error of the kind `StorageFull`.
pub fn allocate(file: &File, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_of_a_directory_is_plausible() {
        let dir = tempfile::tempdir().unwrap();
        let space = disk_space(dir.path()).unwrap();
        assert!(space.total > 0 && space.available <= space.total, "{space:?}");
    }

    #[test]
    fn space_of_nothing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(disk_space(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn allocating_keeps_the_length() {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(allocate(&file, 0).unwrap());
    }

    #[test]
    fn allocating_what_cannot_be_is_an_error_and_not_a_no() {
        // Larger than any file may be. Not "as much as the disk has": that would fill it for all who use it meanwhile.
        let file = tempfile::tempfile().unwrap();
        assert!(!matches!(allocate(&file, i64::MAX as u64), Ok(true)));
        assert!(allocate(&file, u64::MAX).is_err());
    }

    #[test]
    fn allocating_in_a_file_open_for_reading_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"x").unwrap();
        let file = File::open(dir.path().join("f")).unwrap();
        assert!(allocate(&file, 4096).is_err());
    }
}
