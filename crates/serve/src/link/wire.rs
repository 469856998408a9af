//! The connection's bytes for whoever reads and writes them as a stream of frames: polled, so that one task does both. Time limits are entered by that task.
//!
//! What is put here is gathered and leaves when [`WIRE_BYTES`] are together, or when the task says so, [`Link::poll_push`]; that is all that is kept for a client that takes nothing.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, Interest, ReadBuf};

use super::{Disconnected, Link, seal::PIECE_BYTES};

/// Gathered at most, but for one piece more: over TLS in records.
const WIRE_BYTES: usize = PIECE_BYTES;

impl Link {
    /// Bytes from the client into `room`, beginning with those that were received before; none at its end.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(held) = self.buffers.as_mut().filter(|held| !held.input.is_empty()) {
            let unread = held.input.unread();
            let len = unread.len().min(room.remaining());
            room.put_slice(&unread[..len]);
            held.input.consume(len);
            self.give_back_buffers();
            return Poll::Ready(Ok(()));
        }
        match &mut self.session {
            None => Pin::new(&mut self.socket).poll_read(cx, room),
            Some(session) => {
                let len = ready!(session.poll_read(&mut self.socket, cx, room.initialize_unfilled()))?;
                room.advance(len);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Takes pieces for sending, all of them, unless too much waits already.
    pub(crate) fn poll_put(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting >= WIRE_BYTES {
            ready!(self.poll_push(cx)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        match &mut self.session {
            Some(session) => session.seal(pieces)?,
            None => {
                let output = &mut self.buffers().output;
                pieces.iter().for_each(|piece| output.extend_from_slice(piece));
            }
        }
        self.waiting += len;
        Poll::Ready(Ok(len))
    }

    /// Sends what was put, until the socket takes no more.
    pub(crate) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Disconnected>> {
        while self.waiting > 0 {
            match self.push()? {
                Some(()) => {}
                None => match ready!(self.socket.poll_write_ready(cx)) {
                    Ok(()) => {}
                    Err(_) => return Poll::Ready(Err(Disconnected::Left)),
                },
            }
        }
        self.give_back_buffers();
        Poll::Ready(Ok(()))
    }

    /// Whether something waits for the socket.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.waiting > 0
    }

    /// Whether the socket took anything since this was asked the last time.
    pub(crate) fn has_progressed(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// One send; `None` when the socket is full.
    fn push(&mut self) -> Result<Option<()>, Disconnected> {
        if self.session.is_some() {
            return self.push_records();
        }
        let Some(held) = &mut self.buffers else { return Err(Disconnected::Left) };
        let mut output = std::mem::take(&mut held.output);
        let attempt = self.attempt(|socket| os::send::send(socket.as_fd(), &output, false));
        let pushed = match attempt {
            Ok(Some(Ok(len))) if len > 0 => {
                output.drain(..len);
                self.waiting = output.len();
                Ok(Some(()))
            }
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(_) => Err(Disconnected::Left),
        };
        if let Some(held) = &mut self.buffers {
            held.output = output;
        }
        pushed
    }

    fn push_records(&mut self) -> Result<Option<()>, Disconnected> {
        let Some(session) = &mut self.session else { return Err(Disconnected::Left) };
        match self.socket.try_io(Interest::WRITABLE, || session.write(self.socket.as_fd())) {
            Ok(sent) => {
                self.sent += sent;
                self.progress = true;
                self.worker.counters.bytes_sent.fetch_add(sent, Ordering::Relaxed);
                if !session.wants_write() {
                    self.waiting = 0;
                }
                Ok(Some(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(())),
            Err(_) => Err(Disconnected::Left),
        }
    }
}
