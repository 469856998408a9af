//! Makes records of what is sent, where TLS is spoken. The sum of what is sealed for a client and not yet taken by the kernel is bounded by
//! [`PIECE_BYTES`].

use std::{
    fs::File,
    io::{self, IoSlice},
    num::NonZeroU32,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::atomic::Ordering,
};

use tokio::io::Interest;

use super::{Disconnected, Link, SendError};
use crate::{timer::Phase, tls::session::RECORD_BYTES};

/// Sealed and sent at a time, a whole number of records.
pub(super) const PIECE_BYTES: usize = 8 * RECORD_BYTES;
/// Sealed of one body before other connections of the thread have their turn.
const SEALED_TURN_BYTES: usize = 4 * PIECE_BYTES;

impl Link {
    /// Sends two pieces as one run of full records.
    pub(super) async fn seal_and_send(&mut self, mut first: &[u8], mut second: &[u8]) -> Result<(), Disconnected> {
        let mut turn = 0;
        while !(first.is_empty() && second.is_empty()) {
            let (head, first_rest) = first.split_at(first.len().min(PIECE_BYTES));
            let (body, second_rest) = second.split_at(second.len().min(PIECE_BYTES - head.len()));
            (first, second) = (first_rest, second_rest);
            self.seal(&[IoSlice::new(head), IoSlice::new(body)])?;
            self.flush_session(Phase::Sending).await?;
            self.take_turns(&mut turn, head.len() + body.len()).await?;
        }
        Ok(())
    }

    /// Sends what is in the output buffer, less than a piece, and a run of a file behind it, in full records. On an error of the file what was
    /// not sealed yet stays in the output buffer.
    pub(super) async fn seal_and_send_file(
        &mut self,
        file: &File,
        mut position: u64,
        until: u64,
    ) -> Result<(), SendError> {
        let mut turn = 0;
        while position < until {
            let before = self.buffers.as_ref().map_or(0, |held| held.output.len());
            let len = (until - position).min((PIECE_BYTES - before) as u64) as usize;
            self.seal_behind_output(file, position, len)?;
            position += len as u64;
            self.give_back_buffers();
            self.flush_session(Phase::Sending).await?;
            self.take_turns(&mut turn, before + len).await?;
        }
        Ok(())
    }

    /// Seals what is in the output buffer and a piece of a file behind it. On an error of the file nothing is sealed.
    fn seal_behind_output(&mut self, file: &File, position: u64, len: usize) -> Result<(), SendError> {
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        scratch.resize(PIECE_BYTES, 0);
        let piece = &mut scratch[..len];
        file.read_exact_at(piece, position).map_err(SendError::Source)?;
        let mut output = self.buffers.as_mut().map(|held| std::mem::take(&mut held.output)).unwrap_or_default();
        self.seal(&[IoSlice::new(&output), IoSlice::new(piece)])?;
        if let Some(held) = &mut self.buffers {
            output.clear();
            held.output = output;
        }
        Ok(())
    }

    fn seal(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), Disconnected> {
        let Some(session) = &mut self.session else { return Err(Disconnected::Left) };
        session.seal(pieces).map_err(|error| {
            let client = self.client.address;
            tracing::debug!(%error, %client, "an answer could not be sealed");
            Disconnected::Left
        })
    }

    /// Writes records until none is left. In a handshake its own limit goes on; else `send_timeout` holds.
    pub(super) async fn flush_session(&mut self, phase: Phase) -> Result<(), Disconnected> {
        while let Some(session) = self.session.as_mut().filter(|session| session.wants_write()) {
            let socket = &self.socket;
            match socket.try_io(Interest::WRITABLE, || session.write(socket.as_fd())) {
                Ok(sent) => {
                    self.sent += sent;
                    self.progress = true;
                    self.worker.counters.bytes_sent.fetch_add(sent, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && phase == Phase::Handshake => {
                    self.wait_writable().await?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Disconnected::Left),
            }
        }
        Ok(())
    }

    /// Lets the thread's other connections have their turn. A fast client's transfer would otherwise never look up.
    async fn take_turns(&self, turn: &mut usize, sealed: usize) -> Result<(), Disconnected> {
        *turn += sealed;
        if *turn < SEALED_TURN_BYTES {
            return Ok(());
        }
        *turn = 0;
        tokio::task::yield_now().await;
        self.unless_cut()
    }

    /// After one send of `len` bytes: an end before keys are worn out.
    pub(super) fn count_kernel_records(&mut self, len: usize) -> Result<(), Disconnected> {
        let Some(left) = &mut self.kernel_records else { return Ok(()) };
        let after = left.get().saturating_sub(1 + (len / RECORD_BYTES) as u32);
        *left = NonZeroU32::new(after).ok_or(Disconnected::Left)?;
        Ok(())
    }
}
