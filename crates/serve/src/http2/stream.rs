//! One request of a connection and its answer: waits for the handler, sends head and body as fast as the client's windows open, and says how it ended.
//!
//! | state | on | next |
//! | --- | --- | --- |
//! | waiting for the handler, and reading the body for it ([`upload`]) | the answer | sending |
//! | | the client resets the stream, or the connection ends | ended; the handler's future is dropped |
//! | sending | the last byte is in the connection's hands | ended |
//! | | no byte of it is taken for `send_timeout`, or fewer than `min_send_rate` | reset (CANCEL) |
//! | | the source fails, or ends early | reset (INTERNAL_ERROR), so that nobody takes a part for the whole |
//! | | the client resets the stream, or the connection ends | ended short |
//!
//! While it waits for a window a stream has an open file and no bytes. Who takes bytes slowly because the whole connection is slow is not stalled: the connection's own
//! limit is for that.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
    time::Instant,
};

use h2::{Reason, RecvStream, SendStream, server::SendResponse};

use super::{
    head,
    outbox::{Held, Outbox, Parcel, parcels},
    upload::{self, Answered},
};
use crate::{
    buffers::PIECE_BYTES,
    exchange::{Ending, Exchange},
    handler::{Answer, Client, Waiting},
    head::write::{self, Framing, Persistence},
    intake::Failure,
    interim::{First, Interim, Interims},
    link::SendError,
    pace::{Look, Pace},
    request::Announced,
    response::{Body, Response},
    transmit::{
        pieces::Pieces,
        plan::{self, Framed, Way},
    },
    upload::{Upload, channel},
    worker::Worker,
};

/// What the log says when the client did not wait for its answer; nginx's word for it.
const CLIENT_CLOSED: u16 = 499;
/// The payload of a frame that, with its head, is one full record of TLS.
const FRAME_BYTES: usize = (16 << 10) - 9;
/// So much of one body is given to the connection at a time, a whole number of frames.
pub(super) const BODY_BYTES_MAX: usize = 8 * FRAME_BYTES;
const _: () = assert!(BODY_BYTES_MAX <= PIECE_BYTES);

/// What the streams of one connection share.
pub(super) struct Shared {
    pub(super) worker: Rc<Worker>,
    pub(super) client: Client,
    pub(super) held: Rc<Held>,
    /// The connection's, where what leaves is limited.
    pub(super) socket: Option<OwnedFd>,
    /// Whether the socket takes nothing just now.
    pub(super) is_backlogged: Cell<bool>,
}

/// A request whose handler was asked.
pub(super) struct Stream {
    pub(super) shared: Rc<Shared>,
    pub(super) exchange: Exchange,
    pub(super) respond: SendResponse<Parcel>,
    /// What the client still sends.
    pub(super) body: RecvStream,
    /// What it has said of that.
    pub(super) announced: Announced,
    /// It waits for `100 Continue` before it sends.
    pub(super) expected: bool,
}

impl Stream {
    /// Answers, and accounts for it.
    pub(super) async fn run(mut self, answer: Answer) {
        let ending = match self.answer(answer).await {
            None => Ending { status: CLIENT_CLOSED, body: 0, whole: false, cache: None },
            // What is still to come of the body is let go behind the answer.
            Some(Answered { response, upload: _held }) => self.send(response).await,
        };
        self.shared.worker.account(&self.exchange, ending, None, &self.shared.client);
    }

    /// Waits for the answer, and for what it needs of the body; `None` if the client does not wait for it.
    async fn answer(&mut self, answer: Answer) -> Option<Answered> {
        let answer = match answer {
            Answer::Reads(begin) => return self.read(begin).await,
            answer if self.expected || upload::discard(&mut self.body).await => answer,
            _ => return None,
        };
        let response = match answer {
            Answer::Now(response) => response,
            Answer::Later(answer) => self.unless_reset(answer).await?,
            Answer::Preceded(interims, answer) => self.preceded(interims, answer).await?,
            Answer::Reads(_) => return None,
        };
        Some(Answered { response, upload: None })
    }

    async fn read(&mut self, begin: Box<dyn FnOnce(Upload) -> Waiting + Send>) -> Option<Answered> {
        let len = match self.announced {
            Announced::None => {
                let response = self.unless_reset(begin(Upload::empty())).await?;
                return Some(Answered { response, upload: None });
            }
            Announced::Length(len) => Some(len),
            Announced::Unknown => None,
        };
        let worker = self.shared.worker.clone();
        let begun = upload::begin(&mut self.respond, self.announced, self.expected, &worker.options);
        let answered = match begun {
            Err(failure) => Err(failure),
            Ok(()) => {
                let (sender, upload) = channel(len);
                upload::answer(&mut self.body, &mut self.respond, begin(upload), sender, &worker).await
            }
        };
        match answered {
            Ok(answered) => Some(answered),
            Err(Failure::Refused(refusal)) => Some(Answered { response: refusal.response(), upload: None }),
            Err(Failure::Gone) => None,
        }
    }

    /// Waits for the answer, and hands on the interim answers that come first.
    async fn preceded(&mut self, mut interims: Interims, mut answer: Waiting) -> Option<Response> {
        let response = loop {
            let first = {
                let mut first = pin!(interims.next_or(&mut answer));
                poll_fn(|cx| match first.as_mut().poll(cx) {
                    Poll::Ready(first) => Poll::Ready(Some(first)),
                    Poll::Pending => self.respond.poll_reset(cx).map(|_| None),
                })
                .await?
            };
            match first {
                First::Answer(response) => break *response,
                First::Interim(interim) => self.send_interim(interim),
            }
        };
        while let Some(interim) = interims.left() {
            self.send_interim(interim);
        }
        Some(response)
    }

    fn send_interim(&mut self, interim: Interim) {
        let mut lines = Vec::with_capacity(interim.lines.len() + 64);
        write::interim(&mut lines, interim.status, &interim.lines);
        // A stream that is reset shows itself with the answer.
        let _ = self.respond.send_informational(head::answer(interim.status, lines));
    }

    /// Waits for something that is not the client's doing; `None` if the client does not wait for it.
    async fn unless_reset(&mut self, mut answer: Waiting) -> Option<Response> {
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => self.respond.poll_reset(cx).map(|_| None),
        })
        .await
    }

    async fn send(&mut self, response: Response) -> Ending {
        let (status, cache) = (response.status, response.cache_status);
        let payload = plan::payload(&response);
        let Framed { framing, .. } = plan::frame(status, payload, self.exchange.asking);
        let has_body = plan::way(payload, self.exchange.asking) != Way::HeadOnly;
        // Where a length is not known, the end of the stream tells the end of the body.
        let framing = if framing == Framing::Chunked { Framing::Unsaid } else { framing };
        let worker = self.shared.worker.clone();
        let mut lines = Vec::with_capacity(512);
        worker.write_head(&mut lines, &response, framing, Persistence::Stays);
        let sent = match self.respond.send_response(head::answer(status, lines), !has_body) {
            Ok(stream) if has_body => {
                let _counted = worker.count_transfer();
                let Client { address, connection, .. } = self.shared.client;
                let begin = |socket: &OwnedFd| worker.shares.begin(connection, address.ip(), socket.as_fd());
                let _share = self.shared.socket.as_ref().and_then(begin);
                let mut sending = Sending {
                    stream,
                    outbox: Rc::default(),
                    shared: self.shared.clone(),
                    begun: Instant::now(),
                    pace: Pace::default(),
                };
                let sent = sending.send(response.body).await;
                (sent, sending.outbox.taken())
            }
            Ok(_) => (Ok(()), 0),
            Err(_) => (Err(SendError::Client), 0),
        };
        drop(response.hold);
        if let Err(SendError::Source(error)) = &sent.0 {
            let client = self.shared.client.address;
            tracing::debug!(%error, %client, "an answer ended short of its length: its source failed");
        }
        Ending { status: status.as_u16(), body: sent.1, whole: sent.0.is_ok(), cache }
    }
}

/// Goes on only while there is room for what it brings.
async fn when_room<T>(held: &Held, source: impl Future<Output = T>) -> T {
    let mut source = pin!(source);
    poll_fn(|cx| {
        ready!(held.poll_room(cx));
        source.as_mut().poll(cx)
    })
    .await
}

/// A body on its way.
struct Sending {
    stream: SendStream<Parcel>,
    outbox: Rc<Outbox>,
    shared: Rc<Shared>,
    begun: Instant,
    pace: Pace,
}

impl Sending {
    async fn send(&mut self, body: Body) -> Result<(), SendError> {
        let whole = if let Body::Memory(bytes) = &body { bytes.len() } else { 0 };
        let Some(_whole) = self.shared.held.hold_whole(whole) else {
            self.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
            return Err(SendError::Client);
        };
        let mut sent = self.send_pieces(body).await;
        if sent.is_ok() {
            sent = self.unless_stalled(|sending, cx| sending.outbox.poll_empty(cx).map(Ok)).await;
        }
        match sent {
            Ok(()) => {}
            Err(SendError::Source(_)) => self.stream.send_reset(Reason::INTERNAL_ERROR),
            Err(SendError::Client) => self.stream.send_reset(Reason::CANCEL),
        }
        sent
    }

    async fn send_pieces(&mut self, body: Body) -> Result<(), SendError> {
        let shared = self.shared.clone();
        let mut pieces = Pieces::new(shared.worker.clone(), body).map_err(SendError::Source)?;
        let mut made = None;
        loop {
            // A window first: what is not asked for is not read, and least of all from an upstream. Of the windows of all streams together a waiting one keeps
            // but a byte.
            self.capacity(1).await?;
            // What is left of a piece has its room.
            if made.is_none() {
                if !self.unless_reset(when_room(&shared.held, pieces.ready())).await?.map_err(SendError::Source)? {
                    break;
                }
                made = (pieces.made() > 0).then(|| Rc::new(shared.held.hold(pieces.made())));
            }
            let capacity = self.capacity(BODY_BYTES_MAX).await?;
            let piece = self.unless_reset(pieces.take(capacity)).await?.map_err(SendError::Source)?;
            let charge = made.clone().unwrap_or_else(|| Rc::new(shared.held.hold(piece.len())));
            if pieces.made() == 0 {
                made = None;
            }
            let over = pieces.is_over();
            let mut parcels = parcels(piece, FRAME_BYTES, &self.outbox, charge, &shared.worker).peekable();
            while let Some(parcel) = parcels.next() {
                let last = over && parcels.peek().is_none();
                self.stream.send_data(parcel, last).map_err(|_| SendError::Client)?;
            }
            if over {
                return Ok(());
            }
        }
        let end = Parcel::empty(&self.outbox, &shared.worker);
        self.stream.send_data(end, true).map_err(|_| SendError::Client)
    }

    /// Waits until the client and the connection take more; answers how much, at most `wanted`.
    async fn capacity(&mut self, wanted: usize) -> Result<usize, SendError> {
        self.stream.reserve_capacity(wanted);
        let capacity = self.unless_stalled(|sending, cx| {
            loop {
                let capacity = sending.stream.capacity();
                if capacity > 0 {
                    return Poll::Ready(Ok(capacity.min(wanted)));
                }
                match ready!(sending.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(SendError::Client)),
                }
            }
        });
        let capacity = capacity.await?;
        // Who opens its window by a byte at a time is never silent for long.
        if self.is_too_slow() { Err(SendError::Client) } else { Ok(capacity) }
    }

    /// Whether the client has taken less of this body than it must; a body that waits behind others is judged with them, as the connection.
    fn is_too_slow(&mut self) -> bool {
        let worker = &self.shared.worker;
        let (window, rate) = (worker.options.rate_window, worker.options.min_send_rate);
        let look = self.pace.look(self.outbox.taken(), self.begun.elapsed(), window, rate);
        let is_too_slow = look == Look::TooSlow && !self.waits_behind_others();
        if is_too_slow {
            worker.counters.too_slow.fetch_add(1, Ordering::Relaxed);
        }
        is_too_slow
    }

    fn waits_behind_others(&self) -> bool {
        self.outbox.pending() > 0 && self.shared.is_backlogged.get()
    }

    /// Waits for what the client must do. It has `send_timeout` for each time that something of this body is taken, and must be as fast as `min_send_rate`.
    async fn unless_stalled<T>(
        &mut self,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, SendError>>,
    ) -> Result<T, SendError> {
        if let Some(done) = poll_fn(|cx| match poll(self, cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
        {
            return done;
        }
        let limit = self.shared.worker.options.send_timeout;
        let mut taken = self.outbox.taken();
        let mut deadline = pin!(tokio::time::sleep(limit));
        // Else it is the socket that is waited for, by all streams of the connection: its own limits are for that.
        if !self.shared.is_backlogged.get() {
            self.pace.begin(self.begun.elapsed());
        }
        let done = poll_fn(|cx| {
            if let Poll::Ready(done) = poll(self, cx) {
                return Poll::Ready(done);
            }
            // A stream that the library reset says so here too.
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(SendError::Client));
            }
            while deadline.as_mut().poll(cx).is_ready() {
                if self.outbox.taken() == taken && !self.waits_behind_others() {
                    self.shared.worker.counters.http2_stalled.fetch_add(1, Ordering::Relaxed);
                    return Poll::Ready(Err(SendError::Client));
                }
                if self.is_too_slow() {
                    return Poll::Ready(Err(SendError::Client));
                }
                taken = self.outbox.taken();
                deadline.as_mut().reset(tokio::time::Instant::now() + limit);
            }
            Poll::Pending
        })
        .await;
        self.pace.pause(self.begun.elapsed());
        done
    }

    /// Waits for the source or the disk, as long as the client waits.
    async fn unless_reset<T>(
        &mut self,
        source: impl Future<Output = io::Result<T>>,
    ) -> Result<io::Result<T>, SendError> {
        let mut source = pin!(source);
        poll_fn(|cx| match source.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.stream.poll_reset(cx).map(|_| Err(SendError::Client)),
        })
        .await
    }
}
