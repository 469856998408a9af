//! What the kernel knows of the bytes of a TCP connection, whoever sends and receives them.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Bytes of a connection since its begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Sent, and known to have arrived. What waits in the kernel here does not count.
    pub acknowledged: u64,
    /// Received, taken from the kernel or not.
    pub received: u64,
}

/// Places of `tcpi_bytes_acked` and `tcpi_bytes_received` in the kernel's `struct tcp_info`, in words of eight bytes (linux/tcp.h, since 4.1).
const ACKNOWLEDGED: usize = 15;
const RECEIVED: usize = 16;

/// Asks the kernel (`TCP_INFO`).
pub fn moved(socket: BorrowedFd<'_>) -> io::Result<Moved> {
    let mut words = [0u64; 40];
    let mut len = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `words`, which has as many and lives through the call, and every pattern of bits is a valid u64.
    // Needed because neither std nor rustix has this option.
    let asked = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, words.as_mut_ptr().cast(), &raw mut len)
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < (RECEIVED + 1) * size_of::<u64>() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(Moved { acknowledged: words[ACKNOWLEDGED], received: words[RECEIVED] })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn bytes_are_counted_in_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        let before = moved(near.as_fd()).unwrap();
        near.write_all(&[7; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        far.write_all(&[7; 300]).unwrap();
        near.read_exact(&mut [0; 300]).unwrap();
        // The answer carried the acknowledgement.
        let after = moved(near.as_fd()).unwrap();
        assert_eq!(after.acknowledged - before.acknowledged, 1000);
        assert_eq!(after.received - before.received, 300);
    }

    #[test]
    fn other_sockets_have_no_such_figures() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(moved(one.as_fd()).is_err());
    }
}
