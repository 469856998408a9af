//! What differs when a connection's bytes go through a TLS session: the handshake before the first of them, records of what is sent, and
//! an end that is said.
//!
//! The sum of what is sealed for a client and not yet taken by the kernel is bounded by [`PIECE_BYTES`].

use std::{
    fs::File,
    future::poll_fn,
    io::{self, IoSlice},
    num::NonZeroU32,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::atomic::Ordering,
    task::Poll,
};

use tokio::io::Interest;

use super::{Broken, Gone, Link};
use crate::{
    tls::{kernel, session::RECORD_BYTES},
    watch::Phase,
};

/// Sealed and sent at a time, a whole number of records.
pub(super) const PIECE_BYTES: usize = 8 * RECORD_BYTES;
/// Sealed of one body before other connections of the thread have their turn.
const TURN_BYTES: usize = 4 * PIECE_BYTES;

/// Why a connection to a TLS listener has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// The client speaks, but not TLS: it can be told so.
    Plain,
    /// It left, took too long, or nothing was agreed on; what could be told it has been.
    Gone,
}

impl Link {
    /// Agrees on keys, if this is a TLS connection. Handshakes of one thread take turns with everything else that it does: they compute
    /// longer than a hit takes.
    pub(crate) async fn shake_hands(&mut self) -> Result<(), NoSession> {
        if self.session.is_none() {
            return Ok(());
        }
        self.enter(Phase::Handshake);
        let mut agreed = self.agree().await;
        let Some(session) = &self.session else { return Ok(()) };
        let (counters, plain) = (&self.worker.counters, session.is_spoken_to_in_plain());
        match agreed {
            Ok(()) if session.was_resumed() => counters.handshakes_resumed.fetch_add(1, Ordering::Relaxed),
            Ok(()) => counters.handshakes_full.fetch_add(1, Ordering::Relaxed),
            Err(_) => counters.handshakes_failed.fetch_add(1, Ordering::Relaxed),
        };
        if agreed.is_err() && plain {
            self.session = None;
            return Err(NoSession::Plain);
        }
        if agreed.is_ok() {
            agreed = self.hand_to_kernel();
        }
        agreed.map_err(|_| NoSession::Gone)
    }

    async fn agree(&mut self) -> Result<(), Gone> {
        while self.session.as_ref().is_some_and(|session| session.is_handshaking()) {
            self.wait_readable().await?;
            let worker = self.worker.clone();
            // Never closed while the worker lives.
            let turn = worker.handshake_turn.acquire().await;
            let advanced = poll_fn(|cx| match &mut self.session {
                Some(session) => Poll::Ready(session.poll_advance(&mut self.socket, cx)),
                None => Poll::Ready(Poll::Pending),
            });
            match advanced.await {
                // Nothing came after all.
                Poll::Pending => continue,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(self.fail(&error)),
            }
            tokio::task::yield_now().await;
            drop(turn);
            self.flush_session(Phase::Handshake).await?;
        }
        Ok(())
    }

    /// The alert that says why goes out if the socket takes it at once; a client that does not speak TLS gets none.
    fn fail(&mut self, error: &io::Error) -> Gone {
        let client = self.client.address;
        tracing::debug!(%error, %client, "no TLS session came about");
        if let Some(session) = self.session.as_mut().filter(|session| !session.is_spoken_to_in_plain()) {
            session.try_write(&self.socket);
        }
        Gone::Left
    }

    /// Where the kernel shall make the records and can, it gets the keys; where it cannot, nothing changes.
    fn hand_to_kernel(&mut self) -> Result<(), Gone> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        if !session.fits_kernel() || os::ktls::attach(self.socket.as_fd()).is_err() {
            session.stay();
            self.session = Some(session);
            return Ok(());
        }
        self.kernel_records = Some(kernel::RECORDS_MAX);
        session.hand_over(self.socket.as_fd()).map_err(|error| {
            let client = self.client.address;
            tracing::warn!(%error, %client, "the kernel did not take the keys of a session; tls.kernel = \"off\" does without it");
            Gone::Left
        })
    }

    /// After one send of `len` bytes: an end before keys are worn out.
    pub(super) fn count_kernel_records(&mut self, len: usize) -> Result<(), Gone> {
        let Some(left) = &mut self.kernel_records else { return Ok(()) };
        let after = left.get().saturating_sub(1 + (len / RECORD_BYTES) as u32);
        *left = NonZeroU32::new(after).ok_or(Gone::Left)?;
        Ok(())
    }

    async fn wait_readable(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| match self.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if self.worker.is_draining() => Poll::Ready(Err(Gone::Cut)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    /// Sends two pieces as one run of full records.
    pub(super) async fn seal_and_send(&mut self, mut first: &[u8], mut second: &[u8]) -> Result<(), Gone> {
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

    /// Sends a run of a file behind what is in the output buffer, in full records.
    pub(super) async fn send_sealed(&mut self, file: &File, mut position: u64, until: u64) -> Result<(), Broken> {
        if self.buffers.as_ref().is_some_and(|held| held.output.len() >= PIECE_BYTES) {
            self.send_output(false).await?;
        }
        let mut turn = 0;
        while position < until {
            let before = self.buffers.as_ref().map_or(0, |held| held.output.len());
            let len = (until - position).min((PIECE_BYTES - before) as u64) as usize;
            if let Err(error) = self.seal_behind_output(file, position, len) {
                self.send_output(false).await?;
                return Err(error);
            }
            position += len as u64;
            self.rest();
            self.flush_session(Phase::Sending).await?;
            self.take_turns(&mut turn, before + len).await?;
        }
        Ok(())
    }

    /// Seals what is in the output buffer and a piece of a file behind it. On an error of the file nothing is sealed.
    fn seal_behind_output(&mut self, file: &File, position: u64, len: usize) -> Result<(), Broken> {
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        scratch.resize(PIECE_BYTES, 0);
        let piece = &mut scratch[..len];
        file.read_exact_at(piece, position).map_err(Broken::Source)?;
        let mut output = self.buffers.as_mut().map(|held| std::mem::take(&mut held.output)).unwrap_or_default();
        self.seal(&[IoSlice::new(&output), IoSlice::new(piece)])?;
        if let Some(held) = &mut self.buffers {
            output.clear();
            held.output = output;
        }
        Ok(())
    }

    fn seal(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), Gone> {
        let Some(session) = &mut self.session else { return Err(Gone::Left) };
        session.seal(pieces).map_err(|error| {
            let client = self.client.address;
            tracing::debug!(%error, %client, "an answer could not be sealed");
            Gone::Left
        })
    }

    /// Writes records until none is left. In a handshake its own limit goes on; else `send_timeout` holds.
    async fn flush_session(&mut self, phase: Phase) -> Result<(), Gone> {
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
                Err(_) => return Err(Gone::Left),
            }
        }
        Ok(())
    }

    async fn take_turns(&self, turn: &mut usize, sealed: usize) -> Result<(), Gone> {
        *turn += sealed;
        if *turn < TURN_BYTES {
            return Ok(());
        }
        *turn = 0;
        self.let_others().await
    }

    /// Says that nothing follows, so that the close is seen to be no cut. Nothing where there is no TLS.
    pub(super) async fn say_end(&mut self) -> Result<(), Gone> {
        if self.kernel_records.is_some() {
            self.wait_writable().await?;
            return os::ktls::say_end(self.socket.as_fd()).map_err(|_| Gone::Left);
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        session.say_end();
        self.flush_session(Phase::Sending).await
    }

    /// Likewise, if the socket takes it at once.
    pub(crate) fn try_say_end(&mut self) {
        if self.kernel_records.is_some() {
            // A client to whom it cannot be said has gone, or has its hands full.
            let _ = os::ktls::say_end(self.socket.as_fd());
        }
        if let Some(session) = &mut self.session {
            session.say_end();
            session.try_write(&self.socket);
        }
    }
}
