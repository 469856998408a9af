//! A connection whose bytes are counted on the [line](crate::line), and that waits for its turns there. What is read was on the line already, so that
//! it is paid for by a wait before the next bytes are read.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
    time::Instant,
};

use crate::{
    fetch::urgency::Urgency,
    line::{
        shared::{Line, OnItsWay},
        turn::Turns,
    },
};

#[cfg(test)]
mod tests;

/// Bytes of an agreement on keys, which wait for no turn: it has a time limit of its own.
const HANDSHAKE_BYTES: u64 = 8 << 10;
/// How often the kernel is asked about a connection.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What may be held unread is set anew when it is to be so much larger or smaller, in percent.
const CHANGE: u64 = 20;

/// A connection, or what stands for one.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// As the kernel knows it.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
}

/// A counted connection.
#[derive(Debug)]
pub(crate) struct Metered<W> {
    wire: Take<W>,
    meter: Meter,
    turns: Turns,
    /// Bytes were read since the last turn.
    owes: bool,
    /// Bytes that wait for no turn.
    free: u64,
    looked: Option<Instant>,
    /// Bytes that were read, and that are paid for: what came and was not read is paid for when it is seen.
    read: u64,
    paid: u64,
    /// Bytes that may be held unread, as it was set.
    unread_max: Option<u64>,
}

/// What is known of a connection by who reads a body that comes over it. The answer has it among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    line: Arc<Line>,
    /// Of the body that is on its way, if one is.
    urgency: Mutex<Option<Arc<Urgency>>>,
    is_held: AtomicBool,
}

/// A body that comes over a connection. Dropped when it has come.
#[derive(Debug)]
pub(crate) struct Carried {
    meter: Meter,
    _on_its_way: OnItsWay,
}

impl Wire for TcpStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Meter {
    /// Whether bytes may be here that wait for their turn.
    pub(crate) fn is_held(&self) -> bool {
        self.0.is_held.load(Ordering::Relaxed)
    }

    /// From now on a body comes over it, for somebody.
    pub(crate) fn carry(&self, urgency: &Arc<Urgency>) -> Carried {
        *self.0.urgency.lock() = Some(urgency.clone());
        Carried { meter: self.clone(), _on_its_way: self.0.line.begin() }
    }

    fn urgency(&self) -> Arc<Urgency> {
        let of_body = self.0.urgency.lock().clone();
        of_body.unwrap_or_else(|| self.0.line.demand().clone())
    }
}

impl Carried {
    /// See [`Meter::is_held`].
    pub(crate) fn is_held(&self) -> bool {
        self.meter.is_held()
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        *self.meter.0.urgency.lock() = None;
    }
}

impl<W: Wire> Metered<W> {
    pub(crate) fn new(wire: W, line: &Arc<Line>, is_tls: bool) -> Self {
        let inner = Inner { line: line.clone(), urgency: Mutex::new(None), is_held: AtomicBool::new(false) };
        let mut metered = Self {
            wire: wire.take(0),
            meter: Meter(Arc::new(inner)),
            turns: Turns::new(line.clone()),
            owes: false,
            free: if is_tls { HANDSHAKE_BYTES } else { 0 },
            looked: None,
            read: 0,
            paid: 0,
            unread_max: None,
        };
        if line.is_limited() {
            metered.look();
        }
        metered
    }

    /// Waits for the turn that pays for what was read.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.owes && self.free == 0 {
            let taken = self.turns.poll(&self.meter.urgency(), context);
            self.meter.0.is_held.store(taken.is_pending(), Ordering::Relaxed);
            ready!(taken);
        }
        self.owes = false;
        Poll::Ready(())
    }

    /// Bytes were read, by a turn.
    fn came(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.owes = true;
        self.free = self.free.saturating_sub(bytes);
        self.read += bytes;
        self.pay(self.read);
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look();
        }
    }

    /// So many bytes came over it in all.
    fn pay(&mut self, came: u64) {
        if came > self.paid {
            self.turns.line().came(came - self.paid, self.meter.urgency().class());
            self.paid = came;
        }
    }

    /// Pays for what came and is not read, and keeps that in bounds. What the kernel does not tell or take is left as it is: then more may come at
    /// once than need be, and is paid for when it is read.
    fn look(&mut self) {
        self.looked = Some(Instant::now());
        let Some(socket) = self.wire.get_ref().socket() else { return };
        let (Ok(moved), Ok(path)) = (os::tcp::moved(socket), os::tcp::path(socket)) else { return };
        let class = self.meter.urgency().class();
        self.turns.line().sees(&path, class);
        let unread_max = self.turns.line().unread_max(&path, class);
        let is_near = |one: u64, other: u64| one.abs_diff(other) * 100 <= other * CHANGE;
        if !self.unread_max.zip(unread_max).is_some_and(|(set, wanted)| is_near(set, wanted)) {
            self.limit_unread(unread_max);
        }
        self.pay(moved.received);
    }

    fn limit_unread(&mut self, bytes: Option<u64>) {
        if self.unread_max == bytes {
            return;
        }
        self.unread_max = bytes;
        if let Some(socket) = self.wire.get_ref().socket() {
            let _ = os::tcp::limit_received(socket, bytes.map(|bytes| bytes as usize));
        }
    }

    /// Nothing is held back any more.
    fn release(&mut self) {
        if self.looked.take().is_some() {
            self.turns.give_up();
            self.meter.0.is_held.store(false, Ordering::Relaxed);
            self.owes = false;
            self.limit_unread(None);
        }
    }
}

impl<W: Wire> AsyncRead for Metered<W> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.turns.line().is_limited() {
            this.release();
            let before = buffer.filled().len();
            let read = ready!(Pin::new(this.wire.get_mut()).poll_read(context, buffer));
            this.read += (buffer.filled().len() - before) as u64;
            this.paid = this.read;
            return Poll::Ready(read);
        }
        ready!(this.poll_turn(context));
        let before = buffer.filled().len();
        let class = this.meter.urgency().class();
        this.wire.set_limit(this.turns.line().turn(1, class).unwrap_or(u64::MAX));
        let read = ready!(Pin::new(&mut this.wire).poll_read(context, buffer));
        this.came((buffer.filled().len() - before) as u64);
        Poll::Ready(read)
    }
}

impl<W: Wire> AsyncWrite for Metered<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().wire.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().wire.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().wire.get_mut()).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().wire.get_mut()).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.get_ref().is_write_vectored()
    }
}

impl Connection for Metered<TcpStream> {
    fn connected(&self) -> Connected {
        self.wire.get_ref().connected().extra(self.meter.clone())
    }
}
