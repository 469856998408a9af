//! One client's life, from accept to close.
//!
//! | state | on | next |
//! | --- | --- | --- |
//! | hearing for whom a proxy connects, where that is said first | a header that is understood, or none that must be there | shaking hands, or idle |
//! | | a malformed one, or none; `header_timeout` | closed |
//! | | its client has as many connections as it may have | refused: error in plain, lingering close |
//! | shaking hands, where TLS is spoken | keys agreed on | idle |
//! | | not TLS | refused: error in plain, lingering close |
//! | | `tls.handshake_timeout`, drain, no agreement | closed |
//! | idle | bytes | reading |
//! | | `idle_timeout`, drain, EOF | closed in silence |
//! | reading a head | a whole one | answering |
//! | | a malformed one, `header_timeout` | refused: error, lingering close |
//! | answering | a small answer at hand | gathered behind those before it, then reading |
//! | | an answer that waits | waiting, after what was gathered is sent |
//! | | a large answer | sending, likewise |
//! | | an answer that reads the body | reading it and waiting ([`intake`](crate::intake)) |
//! | waiting | the answer | gathered or sending |
//! | | the client leaves | closed; the handler's future is dropped |
//! | sending | the last byte is handed to the kernel | idle, or closed if so said in the head |
//! | | source fails, client leaves, `send_timeout` | closed short; reset where a close would look like an end |
//!
//! Answers are in the order of the requests. After an answer that says `Connection: close` nothing more of the client is looked at.

use std::sync::{Arc, atomic::Ordering};

use protocol::problem::Kind;

use crate::{
    buffers::Buffers,
    exchange::{Ending, Exchange, Gathered},
    handler::{Answer, Handler, Waiting},
    head::{
        parse::{self, Parsed},
        refusal::Refusal,
        write::{self, Persistence},
    },
    http2,
    intake::{self, Answered, Coding},
    interim::{First, Interim, Interims},
    link::{
        Disconnected, Link, SendError,
        handshake::{HandshakeError, Protocol},
        proxy_header::ProxyHeaderError,
        transport::Transport,
    },
    request::Announced,
    response::Response,
    timer::Phase,
    transmit::{self, Copied, Outcome},
    upload::{self, Upload, UploadSender},
    worker::Worker,
};

/// So much is gathered before it is sent although more requests are at hand.
const GATHER_BYTES_MAX: usize = 64 << 10;
/// What the log says when the client did not wait for its answer; nginx's word for it.
const CLIENT_CLOSED: u16 = 499;

/// What comes next, after what was gathered is sent.
enum Next {
    /// More requests are at hand.
    Answer,
    /// More bytes are needed.
    Receive,
    /// The handler's future.
    Wait(Waiting, Exchange),
    /// Likewise, with interim answers before it.
    Preceded(Box<(Interims, Waiting, Exchange)>),
    /// Likewise, while the body is read.
    Read(Box<Reading>),
    /// An answer that is not small.
    Send(Box<(Response, Exchange)>),
    /// The end.
    Close(Close),
}

/// An answer in the making whose request's body is still to come.
struct Reading {
    answer: Waiting,
    exchange: Exchange,
    coding: Coding,
    sender: UploadSender,
    /// The client waits for `100 Continue`.
    expected: bool,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// Whatever the client thinks of it: it has gone, or is to see that something is missing.
    Drop,
    /// In order, and at once: nobody waits for anything.
    Idle,
    /// In order; a client that goes on sending is listened to for a while.
    Orderly,
    /// In order, and it is known that bytes come that nobody reads.
    Linger,
    /// With a reset, so that nobody takes the close for the end of the body.
    Reset,
    /// Not at all: it goes on in HTTP/2.
    Changes,
}

/// Serves a client until either side has had enough.
pub(crate) async fn run<H: Handler>(mut link: Link, handler: Arc<H>) {
    link.belong_to_this_task().await;
    let begun = match link.transport() {
        Transport::Plain | Transport::Kernel if !link.may_be_announced() => Ok(Protocol::Http1),
        _ => Box::pin(begin(&mut link)).await,
    };
    let mut close = match begun {
        Ok(Protocol::Http1) => serve(&mut link, &*handler).await,
        Ok(Protocol::Http2) => Close::Changes,
        Err(close) => close,
    };
    if close == Close::Changes {
        // Boxed: nothing of it is part of the memory of others.
        let Some((back, ended)) = Box::pin(http2::serve(link, &*handler)).await else { return };
        link = back;
        close = match ended {
            http2::Ended::Gone => Close::Drop,
            http2::Ended::Said => Close::Orderly,
        };
    }
    match close {
        Close::Drop | Close::Changes => {}
        Close::Idle => link.try_say_end(),
        Close::Reset => link.reset(),
        // Over TLS the client says its end too, and a close under that would be a reset.
        Close::Orderly if link.transport() == Transport::Plain && !link.has_unread() => {}
        Close::Orderly | Close::Linger => Box::pin(link.linger()).await,
    }
}

/// Hears for whom a proxy has connected, and agrees on keys. A client that speaks plain HTTP instead is told so.
async fn begin(link: &mut Link) -> Result<Protocol, Close> {
    match link.take_proxy_header().await {
        Ok(()) => {}
        Err(ProxyHeaderError::Gone) => return Err(Close::Drop),
        Err(ProxyHeaderError::NoPlace) if link.transport() == Transport::Tls => return Err(Close::Drop),
        Err(ProxyHeaderError::NoPlace) => return Err(refuse_and_flush(link, Refusal::TooManyConnections, None).await),
    }
    match link.shake_hands().await {
        Ok(protocol) => Ok(protocol),
        Err(HandshakeError::Gone) => Err(Close::Drop),
        Err(HandshakeError::Plain) => Err(refuse_and_flush(link, Refusal::PlainOnTls, None).await),
    }
}

async fn serve<H: Handler>(link: &mut Link, handler: &H) -> Close {
    let mut is_new = true;
    loop {
        let next = answer_received(link, handler, &mut is_new);
        if flush(link).await.is_err() {
            return Close::Drop;
        }
        let go_on = match next {
            Next::Answer => Ok(()),
            Next::Receive => receive(link).await,
            // Boxed: what waiting and sending need would otherwise be part of every idle connection's memory.
            Next::Wait(answer, exchange) => Box::pin(wait(link, answer, exchange)).await,
            Next::Preceded(preceded) => Box::pin(wait_preceded(link, *preceded)).await,
            Next::Read(reading) => Box::pin(read(link, *reading)).await,
            Next::Send(answer) => Box::pin(send(link, answer.0, answer.1)).await,
            Next::Close(close) => Err(close),
        };
        if let Err(close) = go_on {
            return close;
        }
    }
}

/// Answers what has been received as far as it can be done at once. A connection `is_new` until its first request.
fn answer_received<H: Handler>(link: &mut Link, handler: &H, is_new: &mut bool) -> Next {
    let may_change = *is_new && link.transport() == Transport::Plain;
    let (Some(buffers), worker, client) = link.parts() else { return Next::Receive };
    loop {
        if buffers.output.len() >= GATHER_BYTES_MAX {
            return Next::Answer;
        }
        let mut slots = parse::slots();
        let (exchange, answer) = match parse::parse(buffers.input.unread(), &mut slots, &worker.limits) {
            Parsed::Partial => return Next::Receive,
            // With prior knowledge (RFC 9113 section 3.3); on TLS it is agreed on by ALPN, and behind a request of HTTP/1.1 nobody begins anew.
            Parsed::Refused(Refusal::Preface) if may_change && worker.options.http2_streams_max > 0 => {
                return Next::Close(Close::Changes);
            }
            Parsed::Refused(refusal) => {
                let exchange = Exchange::refused(&buffers.input, worker.has_log());
                refuse(buffers, worker, refusal, exchange);
                return Next::Close(Close::Linger);
            }
            Parsed::Whole(head) => {
                *is_new = false;
                let mut exchange = Exchange::new(&head, &buffers.input, worker.has_log());
                let (len, body, expected) = (head.len, head.request.body, head.expects_continue);
                let client = exchange.comes_from(worker.client(&head.request.fields, client));
                let answer = handler.answer(&head.request, &client);
                if let Answer::Reads(begin) = answer {
                    let exchange = exchange.keep(&buffers.input);
                    buffers.input.consume(len);
                    return reading(begin, exchange, body, expected);
                }
                let skipped = exchange.skip_body(body, expected, buffers.input.unread().len() - len);
                buffers.input.consume(len + skipped);
                (exchange, answer)
            }
        };
        let next = match answer {
            Answer::Reads(begin) => Some(Next::Wait(begin(Upload::empty()), exchange.keep(&buffers.input))),
            Answer::Later(answer) => Some(Next::Wait(answer, exchange.keep(&buffers.input))),
            Answer::Preceded(interims, answer) => {
                Some(Next::Preceded(Box::new((interims, answer, exchange.keep(&buffers.input)))))
            }
            Answer::Now(response) => gather(buffers, worker, response, exchange),
        };
        if let Some(next) = next {
            return next;
        }
    }
}

/// Begins an answer that reads the body.
fn reading(
    begin: Box<dyn FnOnce(Upload) -> Waiting + Send>,
    exchange: Exchange,
    body: Announced,
    expected: bool,
) -> Next {
    let len = match body {
        Announced::None => return Next::Wait(begin(Upload::empty()), exchange),
        Announced::Length(len) => Some(len),
        Announced::Unknown => None,
    };
    let (sender, upload) = upload::channel(len);
    let answer = begin(upload);
    Next::Read(Box::new(Reading { answer, exchange, coding: Coding::of(body), sender, expected }))
}

/// Puts an answer behind those in the output buffer if it is small; says what is next if not, or if the connection ends with it.
fn gather(buffers: &mut Buffers, worker: &Worker, response: Response, exchange: Exchange) -> Option<Next> {
    let persistence = exchange.persistence(worker.is_draining());
    match transmit::copy(&mut buffers.output, response, exchange.asking, persistence, worker) {
        Copied::Whole { head, body, response } => {
            let close = (persistence == Persistence::Closes).then(|| close_after(&exchange));
            buffers.gathered.push(Gathered {
                exchange,
                status: response.status.as_u16(),
                head,
                body,
                cache: response.cache_status,
                _hold: response.hold,
            });
            close.map(Next::Close)
        }
        Copied::Not(response) => Some(Next::Send(Box::new((response, exchange.keep(&buffers.input))))),
    }
}

/// After an answer that said `Connection: close`.
fn close_after(exchange: &Exchange) -> Close {
    if exchange.body_unread { Close::Linger } else { Close::Orderly }
}

/// Sends what was gathered and says of each answer how much of it left.
async fn flush(link: &mut Link) -> Result<(), Disconnected> {
    if link.parts().0.is_none_or(|buffers| buffers.output.is_empty()) {
        return Ok(());
    }
    link.sent = 0;
    let flushed = link.send_output().await;
    let mut sent = link.sent;
    let (Some(buffers), worker, client) = link.parts() else { return flushed };
    let Buffers { input, gathered, .. } = buffers;
    for answer in gathered.drain(..) {
        let of_this = sent.min(answer.head + answer.body);
        sent -= of_this;
        let body = of_this.saturating_sub(answer.head);
        let whole = of_this == answer.head + answer.body;
        let ending = Ending { status: answer.status, body, whole, cache: answer.cache };
        worker.account(&answer.exchange, ending, Some(input), client);
    }
    flushed
}

async fn receive(link: &mut Link) -> Result<(), Close> {
    let begun = link.parts().0.map_or(0, |buffers| buffers.input.unread().len());
    let mut looked = begun;
    loop {
        match link.receive().await {
            Ok(_) => {}
            Err(Disconnected::TimedOut) if link.phase() == Phase::Head => {
                return Err(Box::pin(refuse_and_flush(link, Refusal::Timeout, None)).await);
            }
            Err(Disconnected::TimedOut | Disconnected::Cut) if link.phase() == Phase::Idle => return Err(Close::Idle),
            Err(_) => return Err(Close::Drop),
        }
        let max = link.worker().limits.head_bytes_max;
        let unread = link.buffers().input.unread();
        // The first bytes are looked at as they come, then no head can be whole without a line's end: a client that sends byte by
        // byte is not parsed byte by byte.
        if begun == 0 || unread.len() >= max || unread[looked..].contains(&b'\n') {
            return Ok(());
        }
        looked = unread.len();
    }
}

/// `exchange` is of the request if its head was whole.
async fn refuse_and_flush(link: &mut Link, refusal: Refusal, exchange: Option<Exchange>) -> Close {
    let worker = link.worker().clone();
    let buffers = link.buffers();
    let exchange = exchange.unwrap_or_else(|| Exchange::refused(&buffers.input, worker.has_log()));
    refuse(buffers, &worker, refusal, exchange);
    flush(link).await.map_or(Close::Drop, |()| Close::Linger)
}

/// Waits for the handler. When the client leaves, the future is dropped and what it holds is given back.
async fn wait(link: &mut Link, answer: Waiting, exchange: Exchange) -> Result<(), Close> {
    link.give_back_buffers();
    match link.wait(answer).await {
        Ok(response) => respond(link, response, exchange).await,
        Err(_) => Err(gone(link, &exchange)),
    }
}

/// Likewise, and hands on the interim answers that come first.
async fn wait_preceded(link: &mut Link, preceded: (Interims, Waiting, Exchange)) -> Result<(), Close> {
    let (mut interims, mut answer, exchange) = preceded;
    link.give_back_buffers();
    let response = loop {
        match link.wait(interims.next_or(&mut answer)).await {
            Ok(First::Answer(response)) => break *response,
            Ok(First::Interim(interim)) => send_interim(link, &interim, &exchange).await?,
            Err(_) => return Err(gone(link, &exchange)),
        }
    };
    while let Some(interim) = interims.left() {
        send_interim(link, &interim, &exchange).await?;
    }
    respond(link, response, exchange).await
}

/// RFC 9110 section 15.2: never to a client of HTTP/1.0.
async fn send_interim(link: &mut Link, interim: &Interim, exchange: &Exchange) -> Result<(), Close> {
    if !exchange.asking.http11 {
        return Ok(());
    }
    let mut head = Vec::with_capacity(interim.lines.len() + 64);
    write::interim(&mut head, interim.status, &interim.lines);
    link.send_output_and(&head, false).await.map_err(|_| gone(link, exchange))
}

/// Reads the body for the handler until its answer is there.
async fn read(link: &mut Link, reading: Reading) -> Result<(), Close> {
    let Reading { answer, mut exchange, coding, sender, expected } = reading;
    match intake::answer(link, answer, coding, sender, expected).await {
        Ok(Answered { response, whole, upload }) => {
            exchange.body_was_read(whole);
            let responded = respond(link, response, exchange).await;
            if upload.is_some() {
                // What was only gathered leaves before the one who made it is told that the rest does not come.
                flush(link).await.map_err(|_| Close::Drop)?;
            }
            responded
        }
        Err(intake::Failure::Refused(refusal)) => Err(refuse_and_flush(link, refusal, Some(exchange)).await),
        Err(intake::Failure::Gone) => Err(gone(link, &exchange)),
    }
}

/// Gives an answer that was waited for.
async fn respond(link: &mut Link, response: Response, exchange: Exchange) -> Result<(), Close> {
    let worker = link.worker().clone();
    match gather(link.buffers(), &worker, response, exchange) {
        None => Ok(()),
        Some(Next::Send(answer)) => send(link, answer.0, answer.1).await,
        Some(Next::Close(close)) => flush(link).await.map_or(Err(Close::Drop), |()| Err(close)),
        Some(Next::Answer | Next::Receive | Next::Wait(..) | Next::Preceded(_) | Next::Read(_)) => Ok(()),
    }
}

/// The client did not wait for its answer.
fn gone(link: &Link, exchange: &Exchange) -> Close {
    let ending = Ending { status: CLIENT_CLOSED, body: 0, whole: false, cache: None };
    link.worker().account(exchange, ending, None, link.client());
    Close::Drop
}

/// Sends an answer that is not small.
async fn send(link: &mut Link, response: Response, exchange: Exchange) -> Result<(), Close> {
    let persistence = exchange.persistence(link.worker().is_draining());
    let (status, cache) = (response.status.as_u16(), response.cache_status);
    let Outcome { head, ended, until_close } = transmit::send(link, response, exchange.asking, persistence).await;
    let body = link.sent.saturating_sub(head);
    let ending = Ending { status, body, whole: ended.is_ok(), cache };
    link.worker().account(&exchange, ending, None, link.client());
    match ended {
        Ok(()) if until_close || persistence == Persistence::Closes => Err(close_after(&exchange)),
        Ok(()) => Ok(()),
        Err(failure) => {
            if let SendError::Source(error) = failure {
                let client = link.client().address;
                tracing::debug!(%error, %client, "an answer ended short of its length: its source failed");
            }
            Err(if until_close { Close::Reset } else { Close::Drop })
        }
    }
}

/// Writes the answer to a request that cannot be understood. The connection ends with it.
fn refuse(buffers: &mut Buffers, worker: &Worker, refusal: Refusal, mut exchange: Exchange) {
    if refusal.kind() == Kind::BadRequest {
        worker.counters.malformed.fetch_add(1, Ordering::Relaxed);
    }
    exchange.body_was_read(false);
    let response = refusal.response();
    // A problem's body is small and in memory: it is always gathered.
    let _ = gather(buffers, worker, response, exchange);
}
