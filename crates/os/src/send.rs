//! Sending to a socket without copying through user space. All calls are non-blocking: `WouldBlock` is an answer.

use std::{io, os::fd::BorrowedFd};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{SendAncillaryBuffer, SendFlags},
};

/// One `send`; with `more` the kernel holds the last partial segment back because a body follows (`MSG_MORE`). Never raises SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::net::send(socket, bytes, flags(more)))?)
}

/// One gathered send of several pieces.
pub fn send_vectored(socket: BorrowedFd<'_>, pieces: &[io::IoSlice<'_>], more: bool) -> io::Result<usize> {
    let mut nothing = SendAncillaryBuffer::default();
    Ok(retry_on_intr(|| rustix::net::sendmsg(socket, pieces, &mut nothing, flags(more)))?)
}

/// `sendfile` from `offset`, at most `len` bytes. 0 means that the file ended before: it is shorter than believed.
///
/// There is no flag for it: the call is non-blocking only on a socket that is. Pages that are not in memory are waited for
/// here, so look with [`crate::residency::is_resident`] first.
pub fn sendfile(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<usize> {
    loop {
        let mut position = offset;
        match rustix::fs::sendfile(socket, file, Some(&mut position), len) {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What every send here wants.
fn flags(more: bool) -> SendFlags {
    let always = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if more { always | SendFlags::MORE } else { always }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{IoSlice, Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn head_held_back_and_file_arrive_in_order() {
        let (near, mut far) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(send(near.as_fd(), b"head:", true).unwrap(), 5);
        assert_eq!(sendfile(near.as_fd(), file.as_fd(), 3, 4).unwrap(), 4);
        assert_eq!(send_vectored(near.as_fd(), &[IoSlice::new(b" a"), IoSlice::new(b"b")], false).unwrap(), 3);
        drop(near);
        let mut got = String::new();
        far.read_to_string(&mut got).unwrap();
        assert_eq!(got, "head:3456 ab");
    }

    #[test]
    fn the_end_of_the_file_is_zero() {
        let (near, _far) = pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(sendfile(near.as_fd(), file.as_fd(), 0, 100).unwrap(), 3);
        assert_eq!(sendfile(near.as_fd(), file.as_fd(), 3, 100).unwrap(), 0);
        assert_eq!(sendfile(near.as_fd(), file.as_fd(), 99, 100).unwrap(), 0);
    }

    #[test]
    fn a_full_socket_would_block_even_if_it_is_a_blocking_one() {
        let (near, _far) = pair();
        let bytes = vec![0; 1 << 20];
        let full = loop {
            if let Err(error) = send(near.as_fd(), &bytes, false) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_closed_peer_is_an_error_and_no_signal() {
        let (near, far) = pair();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        drop(far);
        assert_eq!(send(near.as_fd(), b"x", false).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
