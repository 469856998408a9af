//! Ends a connection so that the client has its last answer, or sees that it has not.

use std::{future::poll_fn, os::fd::AsFd, pin::Pin, task::Poll, time::Duration};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{Disconnected, Link};
use crate::timer::Phase;

/// A client that was refused may send so much more before it is cut off, within the time for that. There are some who send a whole file before they look.
const LINGER_BYTES_MAX: usize = 64 << 20;

impl Link {
    /// Whether the client has sent bytes that nobody will read: closing now would reset the connection under the answer.
    pub(crate) fn has_unread(&mut self) -> bool {
        let mut scratch = [0; 512];
        self.buffers.as_ref().is_some_and(|held| !held.input.is_empty())
            || self.socket.try_read(&mut scratch).is_ok_and(|len| len > 0)
    }

    /// Ends the sending side, and takes in what the client still sends until it has understood: the answer would be lost in a reset.
    pub(crate) async fn linger(mut self) {
        if self.say_end().await.is_err() {
            return;
        }
        self.enter(Phase::Lingering);
        if self.socket.shutdown().await.is_err() {
            return;
        }
        let mut budget = LINGER_BYTES_MAX;
        let mut scratch = [0; 2048];
        poll_fn(|cx| {
            loop {
                let mut room = ReadBuf::new(&mut scratch);
                match Pin::new(&mut self.socket).poll_read(cx, &mut room) {
                    Poll::Pending if self.interrupted().is_some() => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) if !room.filled().is_empty() && room.filled().len() < budget => {
                        budget -= room.filled().len();
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// Closes with a reset: where only the end of the connection tells the end of a body, an orderly end would make a part look whole.
    pub(crate) fn reset(self) {
        if let Err(error) = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection could not be reset");
        }
    }

    /// Says that nothing follows, so that the close is seen to be no cut. Nothing where there is no TLS.
    async fn say_end(&mut self) -> Result<(), Disconnected> {
        if self.kernel_records.is_some() {
            self.wait_writable().await?;
            return os::ktls::say_end(self.socket.as_fd()).map_err(|_| Disconnected::Left);
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
