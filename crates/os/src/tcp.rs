//! What the kernel knows of the bytes of a TCP connection, whoever sends and receives them, and how it is told to let them go more slowly.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

/// Bytes of a connection since its begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Sent, and known to have arrived. What waits in the kernel here does not count.
    pub acknowledged: u64,
    /// Received, taken from the kernel or not.
    pub received: u64,
}

/// How a connection's packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// There and back of what is sent, smoothed.
    pub sent: Duration,
    /// The shortest of those.
    pub shortest: Duration,
    /// From an acknowledgement to the bytes that it lets come, smoothed; zero if none came yet. The kernel learns it from timestamps.
    pub received: Duration,
    /// Whether both sides send timestamps. Without, `received` is a guess from how long a window takes to fill.
    pub is_stamped: bool,
    /// Bytes of a full packet that comes.
    pub segment: u32,
}

/// Places in the kernel's `struct tcp_info` (linux/tcp.h). The options are a byte.
const OPTIONS: usize = 5;
/// In words of four bytes.
const RTT: usize = 17;
const SEGMENT: usize = 21;
const RECEIVED_RTT: usize = 23;
const UNSENT: usize = 36;
const MIN_RTT: usize = 37;
/// In words of eight.
const PACE: usize = 14;
const ACKNOWLEDGED: usize = 15;
const RECEIVED: usize = 16;
/// Of the state, which is the first byte: there is no connection any more (net/tcp_states.h).
const CLOSED: u8 = 7;
/// Of the options: timestamps are on.
const STAMPED: u8 = 1;

/// Whose size the kernel leaves alone, of a socket's buffers (asm-generic/socket.h); libc has no name for it.
const SO_BUF_LOCK: libc::c_int = 72;

/// Asks the kernel (`TCP_INFO`, since 4.1).
pub fn moved(socket: BorrowedFd<'_>) -> io::Result<Moved> {
    let info = Info::of(socket)?;
    Ok(Moved { acknowledged: info.long(ACKNOWLEDGED)?, received: info.long(RECEIVED)? })
}

/// Likewise.
pub fn path(socket: BorrowedFd<'_>) -> io::Result<Path> {
    let info = Info::of(socket)?;
    let micros = |place: usize| info.word(place).map(|micros| Duration::from_micros(micros.into()));
    Ok(Path {
        sent: micros(RTT)?,
        // None was measured yet.
        shortest: if info.word(MIN_RTT)? == u32::MAX { Duration::ZERO } else { micros(MIN_RTT)? },
        received: micros(RECEIVED_RTT)?,
        is_stamped: info.bytes().nth(OPTIONS).is_some_and(|options| options & STAMPED != 0),
        segment: info.word(SEGMENT)?,
    })
}

/// Holds at most about this many bytes that came and were not read, up to twice as many (`SO_RCVBUF`), which is how much the other side may send
/// without being read; `None`: as many as the kernel finds good. What it was allowed already stays allowed.
///
/// A window of less than a few packets is slow out of all proportion: on loopback those are of 64 KiB.
pub fn limit_received(socket: BorrowedFd<'_>, bytes: Option<usize>) -> io::Result<()> {
    match bytes {
        Some(bytes) => Ok(rustix::net::sockopt::set_socket_recv_buffer_size(socket, bytes)?),
        // Since 5.11; an older kernel keeps the last limit.
        None => set::<libc::c_int>(socket, libc::SOL_SOCKET, SO_BUF_LOCK, 0),
    }
}

/// Sends no faster than so many bytes per second (`SO_MAX_PACING_RATE`), whatever the way of sending; `None`: as fast as TCP lets. The kernel does the
/// waiting, with or without a queueing discipline that knows of it.
pub fn limit_pace(socket: BorrowedFd<'_>, bytes_per_second: Option<u64>) -> io::Result<()> {
    // A rate of all ones is none.
    let rate = bytes_per_second.map_or(u64::MAX, |rate| rate.clamp(1, u64::MAX - 1));
    set(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, rate)
}

/// What [`limit_pace`] has set.
pub fn pace(socket: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let rate = Info::of(socket)?.long(PACE)?;
    Ok((rate != u64::MAX).then_some(rate))
}

/// Bytes that the kernel took and has not sent yet. Of a connection that was reset none ever will be, though the kernel goes on counting them.
pub fn unsent(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let info = Info::of(socket)?;
    if info.bytes().next() == Some(CLOSED) { Ok(0) } else { info.word(UNSENT) }
}

/// A number that the kernel takes.
trait Number: Copy {}

impl Number for libc::c_int {}
impl Number for u64 {}

fn set<N: Number>(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, number: N) -> io::Result<()> {
    let len = size_of::<N>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `number`, which has as many and lives through the call. Needed because neither std nor rustix has these
    // options.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const number).cast(), len) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel told, as far as it knows the fields.
struct Info {
    words: [u64; 40],
    len: usize,
}

impl Info {
    fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut words = [0u64; 40];
        let mut len = size_of_val(&words) as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes to `words`, which has as many and lives through the call, and every pattern of bits is a
        // valid u64. Needed because neither std nor rustix has this option.
        let asked = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                words.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if asked == 0 { Ok(Self { words, len: len as usize }) } else { Err(io::Error::last_os_error()) }
    }

    /// Eight bytes, by their place.
    fn long(&self, place: usize) -> io::Result<u64> {
        let is_told = (place + 1) * size_of::<u64>() <= self.len;
        is_told.then(|| self.words[place]).ok_or(io::ErrorKind::Unsupported.into())
    }

    /// Four bytes, likewise.
    fn word(&self, place: usize) -> io::Result<u32> {
        let mut bytes = self.bytes().skip(place * size_of::<u32>());
        let mut next = || bytes.next().ok_or(io::ErrorKind::Unsupported);
        Ok(u32::from_ne_bytes([next()?, next()?, next()?, next()?]))
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).take(self.len)
    }
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
    fn packets_take_their_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        near.write_all(&[7; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        far.write_all(&[7; 1000]).unwrap();
        near.read_exact(&mut [0; 1000]).unwrap();
        let trips = path(near.as_fd()).unwrap();
        assert!(trips.shortest > Duration::ZERO && trips.shortest <= trips.sent, "{trips:?}");
        assert!(trips.sent < Duration::from_secs(10), "{trips:?}");
        assert!((500..=65_536).contains(&trips.segment), "{trips:?}");
    }

    #[test]
    fn what_is_not_read_is_bounded_and_then_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        let size = || rustix::net::sockopt::socket_recv_buffer_size(near.as_fd()).unwrap();
        limit_received(near.as_fd(), Some(40_000)).unwrap();
        // The kernel counts what it needs itself, too.
        assert_eq!(size(), 80_000);
        far.set_nonblocking(true).unwrap();
        while (&far).write(&[7; 1 << 16]).is_ok() {}
        let held = moved(near.as_fd()).unwrap().received;
        assert!(held <= 100_000, "{held}");
        limit_received(near.as_fd(), None).unwrap();
        // As who reads all sees it grow.
        far.set_nonblocking(false).unwrap();
        let sender = std::thread::spawn(move || (&far).write_all(&vec![7; 32 << 20]).is_ok());
        let mut near = near;
        let mut buffer = vec![0; 1 << 20];
        while near.read(&mut buffer).unwrap() > 0 {}
        assert!(sender.join().unwrap());
        assert!(rustix::net::sockopt::socket_recv_buffer_size(near.as_fd()).unwrap() > 80_000);
    }

    #[test]
    fn a_pace_is_taken_and_taken_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        for (set, expected) in [(Some(1_000_000), Some(1_000_000)), (None, None), (Some(0), Some(1)), (None, None)] {
            limit_pace(near.as_fd(), set).unwrap();
            assert_eq!(pace(near.as_fd()).unwrap(), expected, "{set:?}");
            assert_eq!(unsent(near.as_fd()).unwrap(), 0);
        }
        (&near).write_all(b"all the same").unwrap();
        far.read_exact(&mut [0; 12]).unwrap();
    }

    #[test]
    fn what_was_not_sent_when_a_connection_was_reset_does_not_count() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        while (&near).write(&[7; 1 << 16]).is_ok() {}
        assert!(unsent(near.as_fd()).unwrap() > 0);
        // With bytes unread, closing is a reset.
        drop(far);
        near.set_nonblocking(false).unwrap();
        assert!((&near).read(&mut [0]).is_err());
        assert_eq!(unsent(near.as_fd()).unwrap(), 0);
    }

    #[test]
    fn other_sockets_have_no_such_figures() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(moved(one.as_fd()).is_err());
    }
}
