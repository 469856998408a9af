//! Sends what is in the output buffer, and bytes or runs of files behind it, each as the transport has it.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::fd::AsFd,
    sync::atomic::Ordering,
};

use tokio::{io::Interest, net::TcpStream};

use super::{Disconnected, Link, SendError, seal::PIECE_BYTES};
use crate::turns::TURN_BYTES;

/// What is left of a body is sent without waiting for a turn if it is less.
const LARGE_MIN: u64 = 256 << 10;
/// Fifteen pages: with a head before them they fill what the kernel hands to the card as one packet (64 KiB), and not one page more. Handing over
/// more at once costs up to a third more processor time for bodies of 100 KiB.
const PACKET_BYTES: u64 = 60 << 10;

impl Link {
    /// Sends what is in the output buffer, if there is anything.
    pub(crate) async fn send_output(&mut self) -> Result<(), Disconnected> {
        self.send_output_and(&[], false).await
    }

    /// Sends what is in the output buffer and `bytes` behind it, gathered; with `more` the kernel may hold the last ones back, for a body follows
    /// at once.
    pub(crate) async fn send_output_and(&mut self, bytes: &[u8], more: bool) -> Result<(), Disconnected> {
        let mut output = self.buffers.as_mut().map(|held| std::mem::take(&mut held.output)).unwrap_or_default();
        let sent = self.send_pieces(&output, bytes, more).await;
        output.clear();
        if let Some(held) = &mut self.buffers {
            held.output = output;
        }
        sent
    }

    /// Sends two pieces as one.
    async fn send_pieces(&mut self, first: &[u8], second: &[u8], more: bool) -> Result<(), Disconnected> {
        if self.session.is_some() {
            return self.seal_and_send(first, second).await;
        }
        let mut sent = 0;
        while sent < first.len() + second.len() {
            let head = &first[sent.min(first.len())..];
            let body = &second[sent.saturating_sub(first.len())..];
            let attempt = self.attempt(|socket| match (head, body) {
                ([], bytes) | (bytes, []) => os::send::send(socket.as_fd(), bytes, more),
                _ => os::send::send_vectored(socket.as_fd(), &[IoSlice::new(head), IoSlice::new(body)], more),
            });
            match attempt? {
                Some(Ok(0) | Err(_)) => return Err(Disconnected::Left),
                Some(Ok(len)) => sent += len,
                None => self.writable().await?,
            }
        }
        Ok(())
    }

    /// Sends what is in the output buffer, then `position..until` of a file that is in memory.
    pub(crate) async fn send_output_then_file(
        &mut self,
        file: &File,
        position: u64,
        until: u64,
    ) -> Result<(), SendError> {
        if !self.transport().kernel_sends_files() {
            return self.send_sealed(file, position, until).await;
        }
        let is_behind_head = self.buffers.as_ref().is_some_and(|held| !held.output.is_empty());
        self.send_output_and(&[], true).await?;
        self.give_back_buffers();
        // With the head the first piece fills one packet of the largest size, which leaves at once: the client begins to take it while
        // the rest is handed over.
        let first = if is_behind_head { until.min(position + PACKET_BYTES) } else { position };
        self.send_file(file, position, first).await?;
        self.send_file(file, first, until).await
    }

    /// Likewise, where records are made here.
    async fn send_sealed(&mut self, file: &File, position: u64, until: u64) -> Result<(), SendError> {
        if self.buffers.as_ref().is_some_and(|held| held.output.len() >= PIECE_BYTES) {
            self.send_output().await?;
        }
        let sent = self.seal_and_send_file(file, position, until).await;
        if sent.is_err() {
            // The head, if the file failed at its first byte.
            self.send_output().await?;
        }
        sent
    }

    /// Sends `position..until` of a file that is in memory; what is large in turns with the thread's other connections.
    async fn send_file(&mut self, file: &File, mut position: u64, until: u64) -> Result<(), SendError> {
        let worker = self.worker.clone();
        while position < until {
            let turn = if until - position < LARGE_MIN { None } else { Some(worker.turns.take().await) };
            let end = until.min(position + TURN_BYTES);
            let sent = self.fill_socket(file, position, end)?;
            position += sent;
            if let Some(turn) = turn {
                turn.give_on(sent).await;
                self.unless_cut()?;
            }
            if position < end {
                self.writable().await?;
            }
        }
        Ok(())
    }

    /// Sends `position..end` of a file until the socket is full; answers how many bytes it took.
    fn fill_socket(&mut self, file: &File, position: u64, end: u64) -> Result<u64, SendError> {
        let mut at = position;
        while at < end {
            let len = (end - at) as usize;
            match self.attempt(|socket| os::send::sendfile(socket.as_fd(), file.as_fd(), at, len))? {
                Some(Ok(0)) => return Err(SendError::Source(io::ErrorKind::UnexpectedEof.into())),
                Some(Err(error)) => return Err(SendError::Source(error)),
                Some(Ok(len)) => at += len as u64,
                None => break,
            }
        }
        Ok(at - position)
    }

    /// One attempt to send; `None` when the socket is full.
    pub(super) fn attempt(
        &mut self,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Result<Option<Result<usize, io::Error>>, Disconnected> {
        loop {
            match self.socket.try_io(Interest::WRITABLE, || send(&self.socket)) {
                Ok(len) => {
                    self.count_kernel_records(len)?;
                    self.sent += len as u64;
                    self.progress |= len > 0;
                    self.worker.counters.bytes_sent.fetch_add(len as u64, Ordering::Relaxed);
                    return Ok(Some(Ok(len)));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Err(Disconnected::Left),
                    _ => return Ok(Some(Err(error))),
                },
            }
        }
    }
}
