//! Waits for others than the client: the handler, a source, the disk.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
};

use super::{Disconnected, Link};
use crate::timer::Phase;

impl Link {
    /// Waits for something that is not the client's doing, and notices when the client leaves meanwhile. Requests that it sends already
    /// are kept. A client that closes its sending side counts as gone: from here it looks the same as one that closed both.
    pub(crate) async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Disconnected> {
        self.enter(Phase::Waiting);
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            match self.interrupted() {
                Some(gone) => Poll::Ready(Err(gone)),
                None => self.poll_gone(cx).map(Err),
            }
        })
        .await
    }

    /// Waits for the disk: too short to look for the client, who may well have closed its sending side and still read.
    pub(crate) async fn wait_for_disk<F: Future>(&mut self, future: F) -> Result<F::Output, Disconnected> {
        self.enter(Phase::Waiting);
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Disconnected> {
        loop {
            if self.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            let max = self.worker.options.head_bytes_max;
            if self.buffers.as_mut().is_some_and(|held| held.input.room(max).is_empty()) {
                // No room to look behind what it has sent ahead: that it left shows when it is sent to.
                return Poll::Pending;
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(gone)) => return Poll::Ready(gone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
