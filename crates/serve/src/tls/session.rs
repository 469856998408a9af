//! The TLS side of one connection: turns what the socket gives into bytes of requests, and bytes of answers into records. It never waits:
//! [`crate::link`] does, with the limits that hold for every connection.
//!
//! What it holds at most: received and not yet deciphered, one record (64 KiB in the handshake); deciphered and not yet taken, the same;
//! sealed and not yet taken by the kernel, what [`Session::seal`] was given meanwhile.

use std::{
    io::{self, IoSlice, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::TcpStream,
};

use super::{
    kernel::{self, RecordEnds},
    validity::Validity,
};

/// What HTTP/2 is called in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";
/// Plaintext in a full record (RFC 8446 section 5.1).
pub(crate) const RECORD_BYTES: usize = 16 << 10;
/// No cipher of ours adds more to a record: header, explicit nonce, tag.
const RECORD_OVERHEAD_MAX: u64 = 29;

/// One connection's keys and records.
pub(crate) struct Session {
    connection: ServerConnection,
    batch: Batch,
    /// The first byte that came: what speaks if the handshake fails.
    first: Option<u8>,
    /// Of a session that the kernel shall have.
    ends: Option<RecordEnds>,
}

/// What was sealed since nothing was left to write, and how much of it the kernel took.
#[derive(Clone, Copy, Default)]
struct Batch {
    /// Plaintext sealed, and of that, what was reported as sent.
    plain: u64,
    told: u64,
    /// Bytes of records that were written.
    written: u64,
}

impl Batch {
    /// Plaintext that has left since the last time, after `len` more bytes of records; all of it when no record is left. In between it
    /// is an estimate that is never too high.
    fn sent(&mut self, len: u64, nothing_left: bool) -> u64 {
        self.written += len;
        let records = self.plain.div_ceil(RECORD_BYTES as u64).max(1);
        let sealed = self.plain + records * RECORD_OVERHEAD_MAX;
        let sent = if nothing_left { self.plain } else { (self.plain * self.written / sealed).min(self.plain) };
        let news = sent.saturating_sub(self.told);
        self.told = sent;
        news
    }

    /// Whether every byte was reported.
    fn is_told(&self) -> bool {
        self.told == self.plain
    }
}

impl Session {
    /// With `for_kernel` it may be handed over behind the handshake.
    pub(super) fn new(config: Arc<ServerConfig>, for_kernel: bool) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(config)?;
        // What is sealed at once is bounded by the caller.
        connection.set_buffer_limit(None);
        Ok(Self { connection, batch: Batch::default(), first: None, ends: for_kernel.then(RecordEnds::default) })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether ALPN chose HTTP/2. Known when the handshake is done.
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        self.connection.alpn_protocol() == Some(HTTP2)
    }

    /// Known when the handshake is done.
    pub(crate) fn was_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the certificate that the client has shown, if any, has not expired.
    pub(crate) fn client_holds(&self, now: SystemTime) -> bool {
        let shown = self.connection.peer_certificates().and_then(|chain| chain.first());
        shown.is_none_or(|own| Validity::of(own).is_some_and(|validity| now <= validity.ends))
    }

    /// Whether the client spoke, and not TLS: every handshake begins with a record of type 22.
    pub(crate) fn is_spoken_to_in_plain(&self) -> bool {
        self.first.is_some_and(|byte| byte.is_ascii_alphabetic())
    }

    /// One read from the socket and what follows from it. An error ends the connection: an alert about it may be waiting to be sent.
    pub(crate) fn poll_advance(&mut self, socket: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut source = Source { socket, cx, first: &mut self.first, ends: self.ends.as_mut() };
        match self.connection.read_tls(&mut source) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => match self.connection.process_new_packets() {
                Ok(_) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Whether the kernel can go on from here: it knows the cipher, and nothing is under way.
    pub(crate) fn fits_kernel(&mut self) -> bool {
        let between = self.ends.as_ref().is_some_and(RecordEnds::is_between);
        between && kernel::fits(&self.connection) && !self.connection.wants_write() && !self.has_readable()
    }

    /// From here on what has no end in the handshake is read as it comes.
    pub(crate) fn stay(&mut self) {
        self.ends = None;
    }

    /// Gives the keys to a socket that is attached.
    pub(crate) fn hand_over(self, socket: BorrowedFd<'_>) -> io::Result<()> {
        kernel::hand_over(self.connection, socket)
    }

    /// Bytes of requests into `room`, which has some. 0 is the end of what the client sends, whether it said so (close_notify) or just
    /// closed: requests tell their own ends, so nothing cut off is taken for whole.
    pub(crate) fn poll_read(
        &mut self,
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                read => return Poll::Ready(read),
            }
            let advanced = std::task::ready!(self.poll_advance(socket, cx));
            // An answer to a key update, or an alert. What the socket does not take now goes before the next record.
            self.try_write(socket);
            match advanced {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Whether there are deciphered bytes that nobody has taken: the socket will not tell of them.
    pub(crate) fn has_readable(&mut self) -> bool {
        self.connection.reader().into_first_chunk().is_ok_and(|chunk| !chunk.is_empty())
    }

    /// Makes records of the pieces, one behind the other: each but the last is full. They go behind those that were not written yet.
    pub(crate) fn seal(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if !self.connection.wants_write() && self.batch.is_told() {
            self.batch = Batch::default();
        }
        let sealed = self.connection.writer().write_vectored(pieces)?;
        self.batch.plain += len as u64;
        // With no limit on the buffer it takes everything; less would leave a hole in the answer.
        if sealed == len { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Whether records wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// One write. Answers how many bytes of plaintext have left with it.
    pub(crate) fn write(&mut self, socket: BorrowedFd<'_>) -> io::Result<u64> {
        let written = self.connection.write_tls(&mut Sink(socket))?;
        Ok(self.batch.sent(written as u64, !self.connection.wants_write()))
    }

    /// Writes what the socket takes without waiting.
    pub(crate) fn try_write(&mut self, socket: &TcpStream) {
        while self.connection.wants_write() {
            // What cannot be sent goes with the next record, or the client has gone. What left is told with that too.
            let written = socket.try_io(Interest::WRITABLE, || self.connection.write_tls(&mut Sink(socket.as_fd())));
            let Ok(len) = written else { return };
            self.batch.written += len as u64;
        }
    }

    /// Says that nothing follows (RFC 8446 section 6.1): without it the end is a cut.
    pub(crate) fn say_end(&mut self) {
        self.connection.send_close_notify();
    }
}

/// The socket as rustls reads from it.
struct Source<'a, 'b> {
    socket: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
    first: &'a mut Option<u8>,
    ends: Option<&'a mut RecordEnds>,
}

impl Read for Source<'_, '_> {
    /// A short read clears the readiness, so that no second one is spent on hearing that there is nothing more.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = self.ends.as_ref().map_or(room.len(), |ends| ends.most().min(room.len()));
        let mut room = ReadBuf::new(&mut room[..most]);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut room) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                if self.first.is_none() {
                    *self.first = room.filled().first().copied();
                }
                if let Some(ends) = &mut self.ends {
                    ends.took(room.filled());
                }
                Ok(room.filled().len())
            }
        }
    }
}

/// The socket as rustls writes to it: all records in one call.
struct Sink<'a>(BorrowedFd<'a>);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        os::send::send(self.0, bytes, false)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        os::send::send_vectored(self.0, pieces, false)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_is_never_told_too_high_and_wholly_at_the_end() {
        let mut batch = Batch { plain: 40_000, ..Batch::default() };
        assert_eq!(batch.sent(0, false), 0);
        let first = batch.sent(20_022, false);
        assert!((19_900..=20_000).contains(&first), "{first}");
        let second = batch.sent(20_043, false);
        assert!(first + second <= 40_000);
        assert_eq!(first + second + batch.sent(1, true), 40_000);
        assert_eq!(batch.sent(0, true), 0);
        assert_eq!(Batch::default().sent(24, true), 0, "an alert is no part of an answer");
    }
}
