//! One client's socket with what is needed to wait on it: received bytes, bytes to be sent, the time limits. It moves bytes and notices who has gone; it
//! knows neither requests nor answers. Above it nobody knows whether bytes go over the socket as they are or through a TLS session.
//!
//! This page is what all that have to do with the socket share; [`proxy_header`] and [`handshake`] come first where a proxy tells its client and where TLS is spoken, [`receive`] takes bytes in, [`wait`] waits for
//! others than the client, [`send`] sends, in the way that [`transport`] says, [`seal`] makes records of what is sent, [`close`] ends it in order. [`wire`] is both
//! directions at once, for those who read and write frames.
//!
//! Every wait here ends when the client leaves, when a limit is met, or when the server is stopped: see [`Disconnected`].

pub(crate) mod handshake;
pub(crate) mod proxy_header;
pub(crate) mod transport;

mod close;
mod receive;
mod seal;
mod send;
mod wait;
mod wire;

use std::{
    future::poll_fn,
    io,
    num::NonZeroU32,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use crate::{
    buffers::Buffers,
    clients::census::Place,
    handler::Client,
    shares::Share,
    timer::{Phase, Timer},
    tls::session::Session,
    worker::Worker,
};

use transport::Transport;

/// Why there is nobody to talk to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disconnected {
    /// The client closed, or the network did.
    Left,
    /// A time limit was met.
    TimedOut,
    /// The server ends.
    Cut,
}

/// Why the bytes of a file did not all leave.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nobody to send to.
    Client,
    /// Nothing to send.
    Source(io::Error),
}

impl From<Disconnected> for SendError {
    fn from(_: Disconnected) -> Self {
        Self::Client
    }
}

/// The connection's end on this side. Dropping it closes the socket and gives everything back.
pub(crate) struct Link {
    socket: TcpStream,
    /// Records instead of plain bytes.
    session: Option<Box<Session>>,
    /// Records that may still leave, where the kernel makes them.
    kernel_records: Option<NonZeroU32>,
    timer: Rc<Timer>,
    worker: Rc<Worker>,
    /// Only while there is something in them.
    buffers: Option<Box<Buffers>>,
    client: Client,
    /// The client's, where they are counted.
    pub(crate) place: Option<Place>,
    /// Bytes that the kernel took since the count was last set to 0.
    pub(crate) sent: u64,
    /// Whether it took any since the wait for it began.
    progress: bool,
    /// Bytes of a stream of frames that were put and not taken; over TLS until all records are.
    waiting: usize,
}

impl Link {
    pub(crate) fn new(socket: TcpStream, session: Option<Box<Session>>, worker: Rc<Worker>, client: Client) -> Self {
        let timer = worker.timer(client.connection);
        Self {
            socket,
            session,
            kernel_records: None,
            timer,
            worker,
            buffers: None,
            client,
            place: None,
            sent: 0,
            progress: false,
            waiting: 0,
        }
    }

    /// Makes the task that runs this the one that limits wake.
    pub(crate) async fn belong_to_this_task(&self) {
        poll_fn(|cx| {
            self.timer.belongs_to(cx.waker());
            Poll::Ready(())
        })
        .await;
    }

    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A share of what may leave, where that is limited, for a transfer that begins.
    pub(crate) fn share(&self) -> Option<Share> {
        let Client { address, connection, .. } = self.client;
        self.worker.shares.begin(connection, address.ip(), self.socket.as_fd())
    }

    /// The same socket again, where what leaves is limited: for those who begin transfers and do not have the connection.
    pub(crate) fn paced_socket(&self) -> Option<OwnedFd> {
        if self.worker.shares.is_on() { self.socket.as_fd().try_clone_to_owned().ok() } else { None }
    }

    /// What its bytes go through.
    pub(crate) fn transport(&self) -> Transport {
        match (&self.session, self.kernel_records) {
            (Some(_), _) => Transport::Tls,
            (None, Some(_)) => Transport::Kernel,
            (None, None) => Transport::Plain,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.timer.phase()
    }

    /// Begins a phase of the table in `timer`.
    pub(crate) fn enter(&self, phase: Phase) {
        self.timer.enter(phase, self.worker.now());
    }

    /// The buffers; lent now if there are none.
    pub(crate) fn buffers(&mut self) -> &mut Buffers {
        self.buffers.get_or_insert_with(|| self.worker.pool.lend())
    }

    /// The buffers if there are any, with the worker and the client.
    pub(crate) fn parts(&mut self) -> (Option<&mut Buffers>, &Rc<Worker>, &Client) {
        (self.buffers.as_deref_mut(), &self.worker, &self.client)
    }

    /// Gives the buffers back if nothing is in them.
    pub(crate) fn give_back_buffers(&mut self) {
        if self.buffers.as_ref().is_some_and(|held| held.input.is_empty() && held.output.is_empty())
            && let Some(buffers) = self.buffers.take()
        {
            self.worker.pool.take_back(buffers);
        }
    }

    /// Why whoever waits is to end, if so.
    pub(crate) fn interrupted(&self) -> Option<Disconnected> {
        if self.timer.wants_look() {
            self.look();
        }
        if self.worker.is_cutting() {
            Some(Disconnected::Cut)
        } else if self.timer.is_overdue() {
            Some(Disconnected::TimedOut)
        } else {
            None
        }
    }

    /// Tells the timer what the client has taken and sent. What the kernel does not tell leaves the decision to the clock.
    fn look(&self) {
        let worker = &self.worker;
        let Ok(moved) = os::tcp::moved(self.socket.as_fd()) else { return };
        if self.timer.look(moved, worker.now(), &worker.options) {
            worker.counters.too_slow.fetch_add(1, Ordering::Relaxed);
            let client = self.client.address;
            tracing::debug!(%client, "a client moves fewer bytes than it must");
        }
    }

    fn unless_cut(&self) -> Result<(), Disconnected> {
        if self.worker.is_cutting() { Err(Disconnected::Cut) } else { Ok(()) }
    }

    /// Whether a read would bring something. An error shows in the read that follows.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.as_mut().is_some_and(|session| session.has_readable()) {
            return Poll::Ready(());
        }
        self.socket.poll_read_ready(cx).map(drop)
    }

    /// Until a read would bring something, or the server drains: who waits so has nothing under way.
    async fn readable(&mut self) -> Result<(), Disconnected> {
        poll_fn(|cx| match self.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if self.worker.is_draining() => Poll::Ready(Err(Disconnected::Cut)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    /// Waits until the socket takes bytes again; `send_timeout` runs from the last byte that it took.
    async fn writable(&mut self) -> Result<(), Disconnected> {
        if self.progress || self.phase() != Phase::Sending {
            self.enter(Phase::Sending);
            self.progress = false;
        }
        self.wait_writable().await
    }

    async fn wait_writable(&self) -> Result<(), Disconnected> {
        poll_fn(|cx| match self.socket.poll_write_ready(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Disconnected::Left)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(buffers) = self.buffers.take() {
            self.worker.pool.take_back(buffers);
        }
        self.worker.left(self.client.connection);
    }
}
