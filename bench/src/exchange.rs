//! One request and its answer on a non-blocking socket, resumable at every byte.
//!
//! | phase | leaves by |
//! |---|---|
//! | sending | the request is in the socket |
//! | head | the head is complete |
//! | body | the last byte has come, and was thrown away in the kernel or checked |

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use os::{receive::discard, send::send};
use protocol::digest::Md5Hasher;
use thiserror::Error;

use crate::{
    origin::content::Comparison,
    response::{BadHead, Head, parse},
};

/// Taken off a socket in one call at most.
const DISCARD_MAX: u64 = 16 << 20;

/// Receives of one turn at most, so that one fast body does not keep the others waiting.
const RECEIVES_MAX: u32 = 8;

/// Received in one call at most while the head is not complete: a head and a very small body. More would only copy what can be thrown away.
const HEAD_READ: usize = 2 << 10;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory to receive into, shared by all exchanges of a thread.
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    pub(crate) fn new() -> Self {
        // Large enough to check from; heads use only its start.
        Self(vec![0; 256 << 10])
    }
}

/// What the bytes of a body go through, where they are not thrown away.
pub(crate) enum Check {
    /// Their MD5 is made.
    Md5(Md5Hasher),
    /// Each is compared with what it is to be.
    Content(Comparison),
}

impl Check {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Content(comparison) => comparison.update(bytes),
        }
    }
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sending { sent: usize },
    Head,
    Body { head: Head, left: u64 },
}

/// A request and what came of it so far.
#[derive(Debug)]
pub(crate) struct Exchange {
    phase: Phase,
    /// The part of a head that came without its end; empty in nearly every exchange.
    partial: Vec<u8>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Again when the socket can be read.
    Read,
    /// Again when the socket can be written.
    Write,
    /// The answer is complete.
    Done(Head),
}

/// How it ended otherwise.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The server closed before the first byte of an answer, as it may between requests.
    #[error("the server closed the connection before answering")]
    ClosedUnanswered,
    /// The server closed in the middle.
    #[error("the server closed the connection {missing} bytes before the end of the body")]
    Short {
        /// What was still to come.
        missing: u64,
    },
    /// More came than was announced.
    #[error("the server sent more than its Content-Length")]
    Long,
    /// The answer cannot be measured.
    #[error(transparent)]
    Head(#[from] BadHead),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Sending { sent: 0 }, partial: Vec::new() }
    }

    /// Whether the request is still needed.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.phase, Phase::Sending { .. })
    }

    /// Whether any byte of the answer has come.
    pub(crate) fn answered(&self) -> bool {
        matches!(self.phase, Phase::Body { .. }) || !self.partial.is_empty()
    }

    /// The head, once it has come, and the bytes of the body so far.
    pub(crate) fn body(&self) -> Option<(Head, u64)> {
        match self.phase {
            Phase::Body { head, left } => Some((head, head.length - left)),
            _ => None,
        }
    }

    /// Does what can be done now. Body bytes go through `check` if there is one, else they never leave the kernel.
    pub(crate) fn drive(
        &mut self,
        socket: &TcpStream,
        request: &[u8],
        scratch: &mut Scratch,
        mut check: Option<&mut Check>,
    ) -> Result<Progress, Failure> {
        let mut received = 0;
        loop {
            let step = match self.phase {
                Phase::Sending { sent } => self.send(socket, request, sent),
                Phase::Head => self.head(socket, scratch, check.as_deref_mut()),
                Phase::Body { head, left: 0 } => return Ok(Progress::Done(head)),
                // The set is level-triggered: it will say again that there is more.
                Phase::Body { .. } if received == RECEIVES_MAX => return Ok(Progress::Read),
                Phase::Body { head, left } => {
                    received += 1;
                    let taken = match check.as_deref_mut() {
                        Some(check) => look_at(socket, scratch, left, check),
                        None => discard(socket.as_fd(), left.min(DISCARD_MAX) as usize),
                    };
                    self.took(head, left, taken)
                }
            };
            match step {
                Err(Failure::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(if matches!(self.phase, Phase::Sending { .. }) {
                        Progress::Write
                    } else {
                        Progress::Read
                    });
                }
                step => step?,
            }
        }
    }

    fn send(&mut self, socket: &TcpStream, request: &[u8], sent: usize) -> Result<(), Failure> {
        match send(socket.as_fd(), &request[sent..], false) {
            Ok(count) if sent + count == request.len() => self.phase = Phase::Head,
            Ok(count) => self.phase = Phase::Sending { sent: sent + count },
            // Closed while it was not in use.
            Err(error) if closed(&error) => return Err(Failure::ClosedUnanswered),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn head(
        &mut self,
        mut socket: &TcpStream,
        scratch: &mut Scratch,
        check: Option<&mut Check>,
    ) -> Result<(), Failure> {
        let count = match socket.read(&mut scratch.0[..HEAD_READ]) {
            Ok(0) if self.partial.is_empty() => return Err(Failure::ClosedUnanswered),
            Ok(0) => return Err(Failure::Short { missing: 0 }),
            Ok(count) => count,
            Err(error) if self.partial.is_empty() && closed(&error) => return Err(Failure::ClosedUnanswered),
            Err(error) => return Err(error.into()),
        };
        let received = &scratch.0[..count];
        // Nearly always the head comes in one piece and is read where it lies.
        let bytes = if self.partial.is_empty() {
            received
        } else {
            self.partial.extend_from_slice(received);
            &self.partial
        };
        match parse(bytes)? {
            Some(head) => {
                let body = &bytes[head.size..];
                let left = head.length.checked_sub(body.len() as u64).ok_or(Failure::Long)?;
                if let Some(check) = check {
                    check.update(body);
                }
                self.phase = Phase::Body { head, left };
            }
            None if self.partial.is_empty() => self.partial.extend_from_slice(received),
            None => {}
        }
        Ok(())
    }

    fn took(&mut self, head: Head, left: u64, taken: io::Result<usize>) -> Result<(), Failure> {
        match taken? {
            0 => Err(Failure::Short { missing: left }),
            count => {
                self.phase = Phase::Body { head, left: left - count as u64 };
                Ok(())
            }
        }
    }
}

/// A connection as the exchanges want it.
pub(crate) fn connect(address: &SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn look_at(mut socket: &TcpStream, scratch: &mut Scratch, left: u64, check: &mut Check) -> io::Result<usize> {
    let space = scratch.0.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let count = socket.read(&mut scratch.0[..space])?;
    check.update(&scratch.0[..count]);
    Ok(count)
}

fn closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener};

    use protocol::digest::Md5;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = connect(&listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// Feeds an answer byte by byte (or whole) and drives the exchange in between.
    fn exchange(answer: &[u8], step: usize, check: Option<&mut Check>) -> Result<Head, Failure> {
        let (near, mut far) = pair();
        near.set_nonblocking(false).unwrap();
        let mut answer = answer.chunks(step).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter();
        let writer = std::thread::spawn(move || {
            let mut request = [0; 7];
            far.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"request");
            far.set_nodelay(true).unwrap();
            // The other side may have given up.
            let _ = answer.try_for_each(|part| far.write_all(&part));
        });
        let (mut exchange, mut scratch) = (Exchange::new(), Scratch::new());
        let mut check = check;
        let outcome = loop {
            // Discarding never blocks, so this waits by looking at the next byte.
            match exchange.drive(&near, b"request", &mut scratch, check.as_deref_mut()) {
                Ok(Progress::Done(head)) => break Ok(head),
                Ok(_) => drop(near.peek(&mut [0]).unwrap()),
                Err(failure) => break Err(failure),
            }
        };
        drop(near);
        writer.join().unwrap();
        outcome
    }

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";

    #[test]
    fn an_answer_is_understood_however_it_is_cut() {
        for step in [1, 7, 39, 1000] {
            assert_eq!(exchange(ANSWER, step, None).unwrap().length, 10);
            let mut check = Check::Md5(Md5Hasher::default());
            exchange(ANSWER, step, Some(&mut check)).unwrap();
            let Check::Md5(hasher) = check else { unreachable!("it was made one") };
            assert_eq!(hasher.finish(), Md5::of(b"0123456789"), "{step}");
        }
    }

    #[test]
    fn endings_that_are_none_are_told_apart() {
        let cut = |at: usize| exchange(&ANSWER[..at], 1000, None).unwrap_err();
        assert!(matches!(cut(ANSWER.len() - 3), Failure::Short { missing: 3 }));
        assert!(matches!(cut(20), Failure::Short { .. }));
        assert!(matches!(exchange(&[ANSWER, b"x"].concat(), 1000, None).unwrap_err(), Failure::Long));
        let (near, far) = pair();
        near.set_nonblocking(false).unwrap();
        drop(far);
        let failure = Exchange::new().drive(&near, b"request", &mut Scratch::new(), None).unwrap_err();
        assert!(matches!(failure, Failure::ClosedUnanswered), "{failure}");
    }
}
