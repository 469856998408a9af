//! The link as the library for HTTP/2 sees it: a stream of bytes in both directions. On their way in the heads of frames are looked at ([`super::frames`]).
//! Writing gathers and never flushes: who drives the connection does, once for all that was written meanwhile.

use std::{
    cell::{Cell, RefCell, RefMut},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Counted, Frames};
use crate::link::Link;

/// A link that is shared with who drives the connection: both run in one task, one after the other.
#[derive(Clone)]
pub(super) struct Wire(Rc<Inner>);

struct Inner {
    link: RefCell<Link>,
    frames: RefCell<Frames>,
    /// Frames of which there were too many: nothing is read any more.
    flood: Cell<Option<Counted>>,
    /// Bytes received; only whether it changes is looked at.
    received: Cell<u64>,
}

impl Wire {
    pub(super) fn new(link: Link) -> Self {
        let frames = Frames::new(link.worker().now());
        Self(Rc::new(Inner {
            link: RefCell::new(link),
            frames: RefCell::new(frames),
            flood: Cell::new(None),
            received: Cell::new(0),
        }))
    }

    /// The link, between two polls of the library.
    pub(super) fn link(&self) -> RefMut<'_, Link> {
        self.0.link.borrow_mut()
    }

    /// The link back, when nobody else has it.
    pub(super) fn into_link(self) -> Option<Link> {
        Rc::into_inner(self.0).map(|inner| inner.link.into_inner())
    }

    /// The kind of frames of which there were too many.
    pub(super) fn flood(&self) -> Option<Counted> {
        self.0.flood.get()
    }

    /// Whether the client has begun something that must be whole before anything can be done with it.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.frames.borrow().is_awaited()
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.0.received.get()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Inner { link, frames, flood, received } = &*self.0;
        if flood.get().is_some() {
            // Who drives the connection sees it when the library has nothing more to do.
            return Poll::Pending;
        }
        let before = room.filled().len();
        let mut link = link.borrow_mut();
        ready!(link.poll_take(cx, room))?;
        let bytes = &room.filled()[before..];
        received.set(received.get() + bytes.len() as u64);
        if let Err(kind) = frames.borrow_mut().look(bytes, link.worker().now(), link.sent) {
            flood.set(Some(kind));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.link.borrow_mut().poll_put(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.link.borrow_mut().poll_put(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end is said by who drives the connection, behind the last frames.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
