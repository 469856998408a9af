//! Sending to a socket without copying through user space. All calls are non-blocking: `WouldBlock` is an answer.

use std::{io, os::fd::BorrowedFd};

/// One `send`; with `more` the kernel holds the last partial segment back because a body follows (`MSG_MORE`). Never raises SIGPIPE.
pub fn send(_socket: BorrowedFd<'_>, _bytes: &[u8], _more: bool) -> io::Result<usize> {
    todo!()
}

/// One gathered send of several pieces.
pub fn send_vectored(_socket: BorrowedFd<'_>, _pieces: &[io::IoSlice<'_>], _more: bool) -> io::Result<usize> {
    todo!()
}

/// `sendfile` from `offset`, at most `len` bytes. 0 means that the file ended before: it is shorter than believed.
pub fn sendfile(_socket: BorrowedFd<'_>, _file: BorrowedFd<'_>, _offset: u64, _len: usize) -> io::Result<usize> {
    todo!()
}
