//! Drives one connection: takes requests from the library and gives each to a task of its own, lets what was written leave, keeps the time limits, drains.
//!
//! | phase of the table in [`crate::timer`] | while |
//! | --- | --- |
//! | sending | something waits for the socket; anew with each byte that it takes |
//! | head | the client has begun the preface, or any frame but DATA |
//! | waiting | there are streams |
//! | idle | there are none |
//! | lingering | there are none, and the server drains, or the end was said |

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{Method, Request as Head, StatusCode, request::Parts};
use protocol::problem::Kind;
use tokio::task::JoinSet;

use super::{
    head::{self, Asked},
    io::Wire,
    outbox::Parcel,
    pulse::{Beat, Pulse},
    stream::{BODY_BYTES_MAX, Shared, Stream},
};
use crate::{
    exchange::{Ending, Exchange},
    handler::{Answer, Handler},
    head::refusal::Refusal,
    link::{Disconnected, Link},
    request::{Announced, Asking},
    timer::Phase,
};

/// Bytes that a client may send of one body before they are read.
const STREAM_WINDOW: u32 = 256 << 10;
/// Likewise of all bodies of a connection.
pub(super) const RECEIVED_BYTES_MAX: u32 = 512 << 10;
/// So many streams may end by errors of the client before the connection does.
const STREAM_ERRORS_MAX: usize = 100;

type Connection = server::Connection<Wire, Parcel>;

/// How a connection ended.
pub(crate) enum Ended {
    /// With nobody there, or nobody who could be told.
    Gone,
    /// What there was to say was said.
    Said,
}

/// Serves a client until either side has had enough. The link comes back, for the end of it is as for all connections.
pub(crate) async fn serve<H: Handler>(mut link: Link, handler: &H) -> Option<(Link, Ended)> {
    link.sent = 0;
    link.worker().counters.http2_connections.fetch_add(1, Ordering::Relaxed);
    link.enter(Phase::Head);
    let shared = Rc::new(Shared {
        worker: link.worker().clone(),
        client: *link.client(),
        held: Rc::default(),
        socket: link.paced_socket(),
        is_backlogged: Cell::new(false),
    });
    let wire = Wire::new(link);
    let ended = drive(&wire, &shared, handler).await;
    wire.into_link().map(|link| (link, ended))
}

async fn drive<H: Handler>(wire: &Wire, shared: &Rc<Shared>, handler: &H) -> Ended {
    let mut handshake = pin!(builder(shared).handshake(wire.clone()));
    let begun = poll_fn(|cx| {
        let begun = handshake.as_mut().poll(cx);
        if let Poll::Ready(begun) = begun {
            return Poll::Ready(begun.ok());
        }
        // The library's own settings leave before the client's are there.
        let pushed = wire.link().poll_push(cx);
        let is_over = matches!(pushed, Poll::Ready(Err(_))) || wire.link().interrupted().is_some();
        if is_over || shared.worker.is_draining() { Poll::Ready(None) } else { Poll::Pending }
    });
    let Some(connection) = begun.await else { return Ended::Gone };
    let mut driver = Driver::new(connection, wire, shared);
    let ended = poll_fn(|cx| driver.poll(cx, handler)).await;
    let Driver { connection, mut streams, .. } = driver;
    // The streams hear that the connection has ended, and account for themselves.
    drop(connection);
    while streams.join_next().await.is_some() {}
    ended
}

fn builder(shared: &Shared) -> server::Builder {
    let options = &shared.worker.options;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(options.http2_streams_max)
        .max_header_list_size(u32::try_from(options.head_bytes_max).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(RECEIVED_BYTES_MAX)
        .max_send_buffer_size(BODY_BYTES_MAX)
        .max_local_error_reset_streams(Some(STREAM_ERRORS_MAX));
    builder
}

/// One connection under way.
struct Driver {
    connection: Connection,
    wire: Wire,
    shared: Rc<Shared>,
    /// One task for each request.
    streams: JoinSet<()>,
    phase: Phase,
    pulse: Pulse,
    /// Requests that could not be understood.
    malformed: usize,
    /// No more requests are wanted.
    is_ending: bool,
    /// The client was told to be calm.
    is_calmed: bool,
    /// The library has nothing more to do.
    is_over: bool,
}

impl Driver {
    fn new(mut connection: Connection, wire: &Wire, shared: &Rc<Shared>) -> Self {
        let pulse = Pulse::new(connection.ping_pong(), shared.worker.options.idle_timeout);
        let (wire, shared, streams) = (wire.clone(), shared.clone(), JoinSet::new());
        Self {
            connection,
            wire,
            shared,
            streams,
            phase: Phase::Head,
            pulse,
            malformed: 0,
            is_ending: false,
            is_calmed: false,
            is_over: false,
        }
    }

    /// One look at everything; the library, the socket, the timers and the streams all wake this task.
    fn poll<H: Handler>(&mut self, cx: &mut Context<'_>, handler: &H) -> Poll<Ended> {
        loop {
            if !self.heeds_time() {
                return Poll::Ready(Ended::Gone);
            }
            self.is_over = self.is_over || self.poll_requests(cx, handler);
            while let Poll::Ready(Some(_)) = self.streams.poll_join_next(cx) {}
            let pushed = self.wire.link().poll_push(cx);
            self.shared.is_backlogged.set(pushed.is_pending());
            match pushed {
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Gone),
                Poll::Ready(Ok(())) if self.is_over => return Poll::Ready(Ended::Said),
                _ => {}
            }
            if !self.is_over && !self.is_calmed && self.calms() {
                continue;
            }
            self.enter_phase();
            match self.pulse.poll(cx, self.wire.received(), !self.streams.is_empty()) {
                Poll::Ready(Beat::Asked) => {}
                Poll::Ready(Beat::None) => return Poll::Ready(Ended::Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ends what has lasted too long, and begins to drain; `false` if nobody is there to wait for.
    fn heeds_time(&mut self) -> bool {
        match self.wire.link().interrupted() {
            None => {}
            Some(Disconnected::TimedOut) if !self.is_ending && matches!(self.phase, Phase::Idle | Phase::Head) => {
                self.connection.abrupt_shutdown(Reason::NO_ERROR);
                self.is_ending = true;
            }
            Some(_) => return false,
        }
        if !self.is_ending && self.shared.worker.is_draining() {
            self.connection.graceful_shutdown();
            self.is_ending = true;
        }
        true
    }

    /// Takes in what came and starts requests; `true` when the library has nothing more to do.
    fn poll_requests<H: Handler>(&mut self, cx: &mut Context<'_>, handler: &H) -> bool {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Pending => return false,
                Poll::Ready(None) => return true,
                Poll::Ready(Some(Ok((head, respond)))) => self.start(head, respond, handler),
                Poll::Ready(Some(Err(error))) => {
                    if error.is_library() {
                        self.shared.worker.counters.http2_faults.fetch_add(1, Ordering::Relaxed);
                    }
                    let client = self.shared.client.address;
                    tracing::debug!(%error, %client, "an HTTP/2 connection ended");
                    return true;
                }
            }
        }
    }

    /// Whether there were too many frames of a kind, or too many requests that are none; then the client is told.
    fn calms(&mut self) -> bool {
        let kind = match self.wire.flood() {
            Some(kind) => kind.name(),
            None if self.malformed > STREAM_ERRORS_MAX => "malformed HEADERS",
            None => return false,
        };
        let client = self.shared.client.address;
        tracing::debug!(%client, frames = kind, "an HTTP/2 connection is ended for too many frames of one kind");
        self.shared.worker.counters.http2_faults.fetch_add(1, Ordering::Relaxed);
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        (self.is_ending, self.is_calmed) = (true, true);
        true
    }

    /// See the table at the top.
    fn enter_phase(&mut self) {
        let mut link = self.wire.link();
        let phase = match (self.streams.is_empty(), self.is_ending) {
            _ if link.is_backlogged() => Phase::Sending,
            _ if self.wire.is_awaited() => Phase::Head,
            (false, _) => Phase::Waiting,
            (true, true) => Phase::Lingering,
            (true, false) => Phase::Idle,
        };
        let has_progressed = link.has_progressed();
        if phase != self.phase || (phase == Phase::Sending && has_progressed) {
            link.enter(phase);
            self.phase = phase;
        }
    }

    /// Asks the handler. From here on nothing is kept of what the client said but what the log needs.
    fn start<H: Handler>(&mut self, head: Head<RecvStream>, mut respond: SendResponse<Parcel>, handler: &H) {
        let (parts, body) = head.into_parts();
        let worker = self.shared.worker.clone();
        let (exchange, answer, announced, expected) = match self.ask(&parts, body.is_end_stream(), handler) {
            Ok(asked) => asked,
            Err(refusal) => {
                let exchange = Exchange::of_stream(asking(&parts), head::request_line(&parts), None, worker.has_log());
                if refusal.kind() == Kind::BadRequest {
                    self.malformed += 1;
                    worker.counters.malformed.fetch_add(1, Ordering::Relaxed);
                    respond.send_reset(Reason::PROTOCOL_ERROR);
                    let ending = Ending { status: StatusCode::BAD_REQUEST.as_u16(), body: 0, whole: true, cache: None };
                    return worker.account(&exchange, ending, None, &self.shared.client);
                }
                (exchange, Answer::Now(refusal.response()), Announced::Unknown, false)
            }
        };
        let stream = Stream { shared: self.shared.clone(), exchange, respond, body, announced, expected };
        self.streams.spawn_local(stream.run(answer));
    }

    fn ask<H: Handler>(
        &self,
        parts: &Parts,
        is_over: bool,
        handler: &H,
    ) -> Result<(Exchange, Answer, Announced, bool), Refusal> {
        let worker = &self.shared.worker;
        let cookies = head::cookies(&parts.headers);
        let fields = head::fields(parts, &cookies, worker.limits.fields_max)?;
        let Asked { request, expects_continue } = head::request(parts, &fields, is_over)?;
        let mut exchange =
            Exchange::of_stream(asking(parts), head::request_line(parts), Some(&request.fields), worker.has_log());
        let client = exchange.comes_from(worker.client(&request.fields, &self.shared.client));
        Ok((exchange, handler.answer(&request, &client), request.body, expects_continue))
    }
}

/// What of a request matters to how it is answered: as in HTTP/1.1, where no length is known something else tells the end.
fn asking(parts: &Parts) -> Asking {
    Asking { head_only: parts.method == Method::HEAD, http11: true }
}
