//! Takes in what the client sends.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Disconnected, Link};
use crate::timer::Phase;

impl Link {
    /// More bytes from the client. Without any it is idle, holds no buffer, and leaves when the server drains; with some, the time
    /// for the rest of the head runs from the first of them. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<usize, Disconnected> {
        self.give_back_buffers();
        match &mut self.buffers {
            None => {
                self.enter(Phase::Idle);
                self.readable().await?;
            }
            Some(held) => {
                held.input.compact();
                if self.phase() != Phase::Head {
                    self.enter(Phase::Head);
                }
            }
        }
        poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
            ready => ready,
        })
        .await
    }

    /// More bytes of a request's body; `body_timeout` runs from the last ones. Dropping the future loses nothing.
    pub(crate) async fn receive_body(&mut self) -> Result<usize, Disconnected> {
        if let Some(held) = &mut self.buffers {
            held.input.compact();
        }
        self.enter(Phase::Body);
        poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
            ready => ready,
        })
        .await
    }

    /// One read. A short one clears the readiness, so that no second one is spent on hearing that there is nothing more.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Disconnected>> {
        let max = self.worker.options.head_bytes_max;
        let input = &mut self.buffers.get_or_insert_with(|| self.worker.pool.lend()).input;
        let room = input.room(max);
        let read = match &mut self.session {
            Some(session) => session.poll_read(&mut self.socket, cx, room),
            None => {
                let mut room = ReadBuf::new(room);
                Pin::new(&mut self.socket).poll_read(cx, &mut room).map_ok(|()| room.filled().len())
            }
        };
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(len)) if len > 0 => {
                input.received(len);
                Poll::Ready(Ok(len))
            }
            Poll::Ready(_) => Poll::Ready(Err(Disconnected::Left)),
        }
    }
}
