//! One client's socket with what is needed to wait on it: received bytes, bytes to be sent, the time limits. It moves bytes and notices
//! who has gone; it knows neither requests nor answers. Bytes go over the socket as they are, or through a TLS session: [`secure`] has
//! what differs then.
//!
//! Every wait here ends when the client leaves, when a limit is met, or when the server is stopped: see [`Gone`].

use std::{
    fs::File,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    num::NonZeroU32,
    os::fd::AsFd,
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
};

use crate::{
    buffers::Buffers,
    handler::Client,
    tls::session::Session,
    transmit::plan::{self, Carry, Transport},
    turns::TURN_BYTES,
    watch::{Phase, Watch},
    worker::Worker,
};

mod secure;

pub(crate) use secure::NoSession;

/// Bytes of one body that are handed over before other connections of the thread have their turn. Budgets of 64 KiB cost 1.35 to 1.9 times
/// the processor time per gigabyte.
pub(crate) const SENDFILE_BYTES: u64 = TURN_BYTES;
/// What is left of a body is sent without waiting for a turn if it is less.
const LARGE_MIN: u64 = 256 << 10;
/// Fifteen pages: with a head before them they fill what the kernel hands to the card as one packet (64 KiB), and not one page more. Handing over
/// more at once costs up to a third more processor time for bodies of 100 KiB.
const PACKET_BYTES: u64 = 60 << 10;
/// A client that was refused may send so much more before it is cut off.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Why there is nobody to talk to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The client closed, or the network did.
    Left,
    /// A time limit was met.
    Overdue,
    /// The server ends.
    Cut,
}

/// Why the bytes of a file did not all leave.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Nobody to send to.
    Client,
    /// Nothing to send.
    Source(io::Error),
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
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
    watch: Rc<Watch>,
    worker: Rc<Worker>,
    /// Only while there is something in them.
    buffers: Option<Box<Buffers>>,
    client: Client,
    /// Bytes that the kernel took since the count was last set to 0.
    pub(crate) sent: u64,
    /// Whether it took any since the wait for it began.
    progress: bool,
}

impl Link {
    pub(crate) fn new(socket: TcpStream, session: Option<Box<Session>>, worker: Rc<Worker>, client: Client) -> Self {
        let watch = worker.watch(client.connection);
        Self { socket, session, kernel_records: None, watch, worker, buffers: None, client, sent: 0, progress: false }
    }

    /// Makes the task that runs this the one that limits wake.
    pub(crate) async fn belong_to_this_task(&self) {
        poll_fn(|cx| {
            self.watch.belongs_to(cx.waker());
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

    /// What its bytes go through.
    pub(crate) fn transport(&self) -> Transport {
        match (&self.session, self.kernel_records) {
            (Some(_), _) => Transport::Tls,
            (None, Some(_)) => Transport::Kernel,
            (None, None) => Transport::Plain,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.watch.phase()
    }

    /// Begins a phase of the table in `watch`.
    pub(crate) fn enter(&self, phase: Phase) {
        self.watch.enter(phase, self.worker.now());
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
    pub(crate) fn rest(&mut self) {
        if self.buffers.as_ref().is_some_and(|held| held.input.is_empty() && held.output.is_empty())
            && let Some(buffers) = self.buffers.take()
        {
            self.worker.pool.take_back(buffers);
        }
    }

    fn interrupted(&self) -> Option<Gone> {
        if self.worker.is_cutting() {
            Some(Gone::Cut)
        } else if self.watch.is_overdue() {
            Some(Gone::Overdue)
        } else {
            None
        }
    }

    /// More bytes from the client. Without any it is idle, holds no buffer, and leaves when the server drains; with some, the time
    /// for the rest of the head runs from the first of them. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<usize, Gone> {
        self.rest();
        match &mut self.buffers {
            None => {
                self.enter(Phase::Idle);
                self.idle().await?;
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

    async fn idle(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| match self.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if self.worker.is_draining() => Poll::Ready(Err(Gone::Cut)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    /// Whether a read would bring something. An error shows in the read that follows.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.as_mut().is_some_and(|session| session.has_readable()) {
            return Poll::Ready(());
        }
        self.socket.poll_read_ready(cx).map(drop)
    }

    /// One read. A short one clears the readiness, so that no second one is spent on hearing that there is nothing more.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
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
            Poll::Ready(_) => Poll::Ready(Err(Gone::Left)),
        }
    }

    /// Waits for something that is not the client's doing, and notices when the client leaves meanwhile. Requests that it sends already
    /// are kept. A client that closes its sending side counts as gone: from here it looks the same as one that closed both.
    pub(crate) async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Gone> {
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
    pub(crate) async fn pause<F: Future>(&mut self, future: F) -> Result<F::Output, Gone> {
        self.enter(Phase::Waiting);
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
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

    /// Waits until the socket takes bytes again; `send_timeout` runs from the last byte that it took.
    async fn writable(&mut self) -> Result<(), Gone> {
        if self.progress || self.phase() != Phase::Sending {
            self.enter(Phase::Sending);
            self.progress = false;
        }
        self.wait_writable().await
    }

    async fn wait_writable(&self) -> Result<(), Gone> {
        poll_fn(|cx| match self.socket.poll_write_ready(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Gone::Left)),
            Poll::Pending => self.interrupted().map_or(Poll::Pending, |gone| Poll::Ready(Err(gone))),
        })
        .await
    }

    /// One attempt to send, repeated when the socket is full. 0 is left to the caller to understand.
    async fn attempt(
        &mut self,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Result<Result<usize, io::Error>, Gone> {
        loop {
            match self.attempt_once(&send)? {
                Some(sent) => return Ok(sent),
                None => self.writable().await?,
            }
        }
    }

    /// One attempt to send; `None` when the socket is full.
    fn attempt_once(
        &mut self,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Result<Option<Result<usize, io::Error>>, Gone> {
        loop {
            match self.socket.try_io(Interest::WRITABLE, || send(&self.socket)) {
                Ok(len) => {
                    self.count_kernel_records(len)?;
                    self.sent += len as u64;
                    self.progress |= len > 0;
                    self.worker.counters.bytes_sent.fetch_add(len as u64, Ordering::Relaxed);
                    return Ok(Some(Ok(len)));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => return Err(Gone::Left),
                    _ => return Ok(Some(Err(error))),
                },
            }
        }
    }

    /// Sends all of `bytes`; with `more` the kernel may hold the last ones back, for a body follows at once.
    pub(crate) async fn send(&mut self, mut bytes: &[u8], more: bool) -> Result<(), Gone> {
        if self.session.is_some() {
            return self.seal_and_send(&[], bytes).await;
        }
        while !bytes.is_empty() {
            match self.attempt(|socket| os::send::send(socket.as_fd(), bytes, more)).await? {
                Ok(0) | Err(_) => return Err(Gone::Left),
                Ok(len) => bytes = &bytes[len..],
            }
        }
        Ok(())
    }

    /// Sends what is in the output buffer, if there is anything.
    pub(crate) async fn send_output(&mut self, more: bool) -> Result<(), Gone> {
        self.send_output_and(&[], more).await
    }

    /// Sends what is in the output buffer and `bytes` behind it, gathered.
    pub(crate) async fn send_output_and(&mut self, bytes: &[u8], more: bool) -> Result<(), Gone> {
        let Some(held) = self.buffers.as_mut().filter(|held| !held.output.is_empty()) else {
            return self.send(bytes, more).await;
        };
        let mut output = std::mem::take(&mut held.output);
        let sent = self.send_both(&output, bytes, more).await;
        output.clear();
        self.buffers().output = output;
        sent
    }

    async fn send_both(&mut self, first: &[u8], second: &[u8], more: bool) -> Result<(), Gone> {
        if self.session.is_some() {
            return self.seal_and_send(first, second).await;
        }
        let mut sent = 0;
        while !second.is_empty() && sent < first.len() {
            let pieces = [IoSlice::new(&first[sent..]), IoSlice::new(second)];
            match self.attempt(|socket| os::send::send_vectored(socket.as_fd(), &pieces, more)).await? {
                Ok(0) | Err(_) => return Err(Gone::Left),
                Ok(len) => sent += len,
            }
        }
        let rest = sent.min(first.len());
        self.send(&first[rest..], more).await?;
        self.send(&second[sent - rest..], more).await
    }

    /// Sends what is in the output buffer, then `position..until` of a file that is in memory.
    pub(crate) async fn send_output_then_file(&mut self, file: &File, position: u64, until: u64) -> Result<(), Broken> {
        if plan::carry(self.transport()) == Carry::Seal {
            return self.send_sealed(file, position, until).await;
        }
        let is_behind_head = self.buffers.as_ref().is_some_and(|held| !held.output.is_empty());
        self.send_output(true).await?;
        self.rest();
        // With the head the first piece fills one packet of the largest size, which leaves at once: the client begins to take it while
        // the rest is handed over.
        let first = if is_behind_head { until.min(position + PACKET_BYTES) } else { position };
        self.send_file(file, position, first).await?;
        self.send_file(file, first, until).await
    }

    /// Sends `position..until` of a file that is in memory; what is large in turns with the thread's other connections.
    async fn send_file(&mut self, file: &File, mut position: u64, until: u64) -> Result<(), Broken> {
        let worker = self.worker.clone();
        while position < until {
            let turn = if until - position < LARGE_MIN { None } else { Some(worker.turns.take().await) };
            let end = until.min(position + SENDFILE_BYTES);
            let sent = self.fill_socket(file, position, end)?;
            position += sent;
            if let Some(turn) = turn {
                turn.give_on(sent).await;
                self.unless_cut()?;
            }
            if position < end {
                self.writable().await?;
            }
        }
        Ok(())
    }

    /// Sends `position..end` of a file until the socket is full; answers how many bytes it took.
    fn fill_socket(&mut self, file: &File, position: u64, end: u64) -> Result<u64, Broken> {
        let mut at = position;
        while at < end {
            let len = (end - at) as usize;
            match self.attempt_once(|socket| os::send::sendfile(socket.as_fd(), file.as_fd(), at, len))? {
                Some(Ok(0)) => return Err(Broken::Source(io::ErrorKind::UnexpectedEof.into())),
                Some(Err(error)) => return Err(Broken::Source(error)),
                Some(Ok(len)) => at += len as u64,
                None => break,
            }
        }
        Ok(at - position)
    }

    /// Lets the thread's other connections have their turn. A fast client's transfer would otherwise never look up.
    pub(crate) async fn let_others(&self) -> Result<(), Gone> {
        tokio::task::yield_now().await;
        self.unless_cut()
    }

    fn unless_cut(&self) -> Result<(), Gone> {
        if self.worker.is_cutting() { Err(Gone::Cut) } else { Ok(()) }
    }

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
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(buffers) = self.buffers.take() {
            self.worker.pool.take_back(buffers);
        }
        self.worker.left(self.client.connection);
    }
}
