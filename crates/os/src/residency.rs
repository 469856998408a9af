//! Whether bytes of a file are in memory: to look before one sends, for a page that is not there blocks the thread.

use std::{io, os::fd::BorrowedFd};

/// Whether all pages of `offset..offset + len` are in the page cache: `cachestat(2)`, else `preadv2(RWF_NOWAIT)` on the ends.
pub fn is_resident(_file: BorrowedFd<'_>, _offset: u64, _len: u64) -> io::Result<bool> {
    todo!()
}
