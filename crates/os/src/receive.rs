//! Receiving what std does not: bytes that are thrown away, and bytes that stay where they are.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Takes up to `len` bytes off a TCP socket without copying them anywhere (`MSG_TRUNC`). Non-blocking: `WouldBlock` is an
/// answer, and so is 0 at the end of the stream. On other kinds of sockets it is an error.
pub fn discard(socket: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    loop {
        // SAFETY: TCP never writes to the buffer under MSG_TRUNC (tcp(7)). Where another protocol would, a null buffer
        // makes the kernel answer EFAULT: no memory of ours is ever given to it. Neither std nor rustix lets a buffer be
        // absent, which is what makes this cheap.
        let taken =
            unsafe { libc::recv(socket.as_raw_fd(), ptr::null_mut(), len, libc::MSG_TRUNC | libc::MSG_DONTWAIT) };
        match usize::try_from(taken) {
            Ok(taken) => return Ok(taken),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Copies what has arrived, up to the room there is, and leaves it to be received. Non-blocking: `WouldBlock` is an answer, and so is 0 at the end of
/// the stream.
pub fn peek(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<usize> {
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    Ok(rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut *room, flags))?.0)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn exactly_what_was_asked_for_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        assert_eq!(discard(far.as_fd(), 10).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        near.write_all(b"0123456789").unwrap();
        let mut first = [0];
        far.read_exact(&mut first).unwrap();
        assert_eq!(discard(far.as_fd(), 4).unwrap(), 4);
        let mut rest = [0; 5];
        far.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"56789");
        drop(near);
        assert_eq!(discard(far.as_fd(), 4).unwrap(), 0);
    }

    #[test]
    fn a_socket_that_would_copy_is_refused() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"x").unwrap();
        assert!(discard(far.as_fd(), 1).is_err());
    }
}
