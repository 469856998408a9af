//! Agrees on keys before the first byte of a request, where TLS is spoken.

use std::{future::poll_fn, io, os::fd::AsFd, sync::atomic::Ordering, task::Poll};

use super::{Disconnected, Link};
use crate::{timer::Phase, tls::kernel};

/// Why a connection to a TLS listener has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// The client speaks, but not TLS: it can be told so.
    Plain,
    /// It left, took too long, or nothing was agreed on; what could be told it has been.
    Gone,
}

/// What is spoken inside of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, and whatever was not agreed on.
    Http1,
    /// By ALPN.
    Http2,
}

impl Link {
    /// Agrees on keys, if this is a TLS connection. Handshakes of one thread take turns with everything else that it does: they compute
    /// longer than a hit takes.
    pub(crate) async fn shake_hands(&mut self) -> Result<Protocol, HandshakeError> {
        if self.session.is_none() {
            return Ok(Protocol::Http1);
        }
        self.enter(Phase::Handshake);
        let mut agreed = self.agree().await.and_then(|()| self.unless_expired());
        let Some(session) = &self.session else { return Ok(Protocol::Http1) };
        let protocol = if session.has_agreed_on_http2() { Protocol::Http2 } else { Protocol::Http1 };
        let (counters, plain) = (&self.worker.counters, session.is_spoken_to_in_plain());
        match agreed {
            Ok(()) if session.was_resumed() => counters.handshakes_resumed.fetch_add(1, Ordering::Relaxed),
            Ok(()) => counters.handshakes_full.fetch_add(1, Ordering::Relaxed),
            Err(_) => counters.handshakes_failed.fetch_add(1, Ordering::Relaxed),
        };
        if agreed.is_err() && plain {
            self.session = None;
            return Err(HandshakeError::Plain);
        }
        if agreed.is_ok() {
            agreed = self.hand_to_kernel();
        }
        agreed.map(|()| protocol).map_err(|_| HandshakeError::Gone)
    }

    /// A session that is taken up was begun by a client whose certificate held: it must still.
    fn unless_expired(&self) -> Result<(), Disconnected> {
        let now = os::clock::coarse_now();
        if self.session.as_ref().is_none_or(|session| !session.was_resumed() || session.client_holds(now)) {
            return Ok(());
        }
        let client = self.client.address;
        tracing::debug!(%client, "the certificate of a client has expired since its session was begun");
        Err(Disconnected::Left)
    }

    async fn agree(&mut self) -> Result<(), Disconnected> {
        while self.session.as_ref().is_some_and(|session| session.is_handshaking()) {
            self.readable().await?;
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
    fn fail(&mut self, error: &io::Error) -> Disconnected {
        let client = self.client.address;
        tracing::debug!(%error, %client, "no TLS session came about");
        if let Some(session) = self.session.as_mut().filter(|session| !session.is_spoken_to_in_plain()) {
            session.try_write(&self.socket);
        }
        Disconnected::Left
    }

    /// Where the kernel shall make the records and can, it gets the keys; where it cannot, nothing changes.
    fn hand_to_kernel(&mut self) -> Result<(), Disconnected> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        if !session.fits_kernel() || os::ktls::attach(self.socket.as_fd()).is_err() {
            session.stay();
            self.session = Some(session);
            return Ok(());
        }
        self.kernel_records = Some(kernel::RECORDS_MAX);
        session.hand_over(self.socket.as_fd()).map_err(|error| {
            let client = self.client.address;
            tracing::warn!(%error, %client, "a connection is closed, for the kernel did not take its TLS keys; tls.kernel = \"off\" does without the kernel");
            Disconnected::Left
        })
    }
}
