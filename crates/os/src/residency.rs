//! Whether bytes of a file are in memory: to look before one sends, for a page that is not there blocks the thread.
//!
//! | kernel | what is asked |
//! |---|---|
//! | has `cachestat(2)` (6.5) and lets us | all pages are in the page cache, and the last one is filled |
//! | has only `preadv2(RWF_NOWAIT)` (4.14) | the first and the last page are filled |
//! | has neither, or the file system does not play along | nothing: "resident" is the answer, as if nobody had asked |

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::process::page_size;

/// The number of `cachestat(2)`: the same on every architecture that got it from the common table; libc names it only for some.
const SYS_CACHESTAT: libc::c_long = 451;

/// Whether the kernel said that it has no `cachestat`, so that it is asked only once.
static CACHESTAT_MISSING: AtomicBool = AtomicBool::new(false);

/// `struct cachestat_range` of `linux/mman.h`.
#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// `struct cachestat` of `linux/mman.h`: pages in the cache, and four counts that do not matter here.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    _others: [u64; 4],
}

/// Whether all pages of `offset..offset + len` are in the page cache: `cachestat(2)`, else `preadv2(RWF_NOWAIT)` on the ends.
/// The range must lie within the file.
pub fn is_resident(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    let last = offset.saturating_add(len - 1);
    match pages_cached(file, offset, len)? {
        // None at all: also what stacked file systems (overlayfs) say, whose pages are those of the file below.
        None | Some(0) => Ok(filled(file, last)? && filled(file, offset)?),
        Some(cached) if cached < pages_spanned(offset, last, page_size()) => Ok(false),
        // A page that is just being read counts as cached. The kernel reads in order: if the last is filled, all are.
        Some(_) => filled(file, last),
    }
}

/// Fills `bytes` from `offset` if that can be done without waiting for the disk: a look and a read in one call. `false` leaves some of
/// them unread: a page is missing, the file ends before, or the kernel or file system cannot read without waiting.
pub fn read_resident(file: BorrowedFd<'_>, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut read = 0;
    while read < bytes.len() {
        let rest = &mut [io::IoSliceMut::new(&mut bytes[read..])];
        match preadv2(file, rest, offset + read as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(false),
            Ok(len) => read += len,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// How many pages of the range are in the page cache. `None` if the kernel does not tell.
fn pages_cached(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<u64>> {
    if CACHESTAT_MISSING.load(Relaxed) {
        return Ok(None);
    }
    let range = Range { offset, len };
    let mut counts = Counts::default();
    // SAFETY: both pointers are to structures laid out as the kernel's, alive during the call, and only the second is written.
    // libc and rustix have no wrapper.
    let answer = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut counts, 0) };
    if answer == 0 {
        return Ok(Some(counts.cached));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            CACHESTAT_MISSING.store(true, Relaxed);
            Ok(None)
        }
        // Forbidden by a filter or for this file (it tells about files of others), or one without a page cache.
        Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP) => Ok(None),
        _ => Err(error),
    }
}

/// Whether one byte can be read without waiting.
fn filled(file: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    let mut byte = [0];
    match preadv2(file, &mut [io::IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(true),
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// How many pages the bytes `first..=last` touch.
fn pages_spanned(first: u64, last: u64, page: u64) -> u64 {
    last / page - first / page + 1
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::fd::AsFd};

    use rustix::fs::{Advice, fadvise};

    use super::*;

    const LEN: u64 = 1 << 20;

    /// On a real disk: `/tmp` is in memory on many machines.
    fn on_disk() -> File {
        let mut file = tempfile::tempfile_in("/var/tmp").unwrap();
        file.write_all(&vec![7; LEN as usize]).unwrap();
        file.sync_all().unwrap();
        file
    }

    #[test]
    fn written_pages_are_resident() {
        let file = on_disk();
        assert!(is_resident(file.as_fd(), 0, LEN).unwrap());
        assert!(is_resident(file.as_fd(), 4095, 2).unwrap());
        assert!(is_resident(file.as_fd(), LEN - 1, 1).unwrap());
    }

    #[test]
    fn dropped_pages_are_not_and_come_back_by_reading() {
        let file = on_disk();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!is_resident(file.as_fd(), 0, LEN).unwrap());
        assert!(is_resident(file.as_fd(), 0, 0).unwrap(), "nothing is always there");
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut vec![0; LEN as usize], 0).unwrap();
        assert!(is_resident(file.as_fd(), 0, LEN).unwrap());
    }

    #[test]
    fn bytes_are_read_only_if_they_are_in_memory() {
        let file = on_disk();
        let mut bytes = vec![0; 10_000];
        assert!(read_resident(file.as_fd(), &mut bytes, 5).unwrap());
        assert_eq!(bytes, vec![7; 10_000]);
        assert!(!read_resident(file.as_fd(), &mut bytes, LEN - 9_999).unwrap(), "past the end");
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!read_resident(file.as_fd(), &mut bytes, 5).unwrap());
    }

    #[test]
    fn a_hole_in_the_middle_is_seen() {
        let file = on_disk();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // Without reading ahead only the two ends come back.
        fadvise(&file, 0, None, Advice::Random).unwrap();
        for end in [0, LEN - 1] {
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut [0], end).unwrap();
        }
        if pages_cached(file.as_fd(), 0, LEN).unwrap().is_some() {
            assert!(!is_resident(file.as_fd(), 0, LEN).unwrap());
        }
        assert!(is_resident(file.as_fd(), 0, 4096).unwrap());
    }

    #[test]
    fn an_empty_file_and_the_bytes_behind_the_end_do_not_fail() {
        let file = tempfile::tempfile().unwrap();
        assert!(is_resident(file.as_fd(), 0, 0).unwrap());
        is_resident(file.as_fd(), 0, 1).unwrap();
    }

    #[test]
    fn spans_count_every_page_they_touch() {
        for (first, last, pages) in [(0, 0, 1), (0, 4095, 1), (0, 4096, 2), (4095, 4096, 2), (8192, 16383, 2)] {
            assert_eq!(pages_spanned(first, last, 4096), pages, "{first}..={last}");
        }
    }
}
