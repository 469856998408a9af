//! Bodies that are made on the way, as `serve` takes them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;

/// The near end of a queue of pieces.
pub(crate) struct Queue(pub(crate) mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Queue {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// A body of which only the length is told.
pub(crate) struct NoPieces;

impl Stream for NoPieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}
