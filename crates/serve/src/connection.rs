//! One client's life, from accept to close.
//!
//! | state | on | next |
//! | --- | --- | --- |
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
//! | waiting | the answer | gathered or sending |
//! | | the client leaves | closed; the handler's future is dropped |
//! | sending | the last byte is handed to the kernel | idle, or closed if so said in the head |
//! | | source fails, client leaves, `send_timeout` | closed short; reset where a close would look like an end |
//!
//! Answers are in the order of the requests. After an answer that says `Connection: close` nothing more of the client is looked at.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use http::StatusCode;
use protocol::problem::{Kind, Problem};

use crate::{
    buffers::Buffers,
    exchange::{Ending, Exchange, Gathered},
    handler::{Answer, Handler},
    head::{
        parse::{self, Parsed},
        refusal::Refusal,
        write::Persistence,
    },
    link::{Disconnected, Link, SendError, handshake::HandshakeError, transport::Transport},
    response::Response,
    timer::Phase,
    transmit::{self, Copied, Outcome},
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
    Wait(Pin<Box<dyn Future<Output = Response> + Send>>, Exchange),
    /// An answer that is not small.
    Send(Box<(Response, Exchange)>),
    /// The end.
    Close(Close),
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
}

/// Serves a client until either side has had enough.
pub(crate) async fn run<H: Handler>(mut link: Link, handler: Arc<H>) {
    link.belong_to_this_task().await;
    let begun = match link.transport() {
        Transport::Plain | Transport::Kernel => Ok(()),
        Transport::Tls => Box::pin(begin(&mut link)).await,
    };
    let close = match begun {
        Ok(()) => serve(&mut link, &*handler).await,
        Err(close) => close,
    };
    match close {
        Close::Drop => {}
        Close::Idle => link.try_say_end(),
        Close::Reset => link.reset(),
        // Over TLS the client says its end too, and a close under that would be a reset.
        Close::Orderly if link.transport() == Transport::Plain && !link.has_unread() => {}
        Close::Orderly | Close::Linger => Box::pin(link.linger()).await,
    }
}

/// Agrees on keys. A client that speaks plain HTTP instead is told so.
async fn begin(link: &mut Link) -> Result<(), Close> {
    match link.shake_hands().await {
        Ok(()) => Ok(()),
        Err(HandshakeError::Gone) => Err(Close::Drop),
        Err(HandshakeError::Plain) => refuse_and_flush(link, Refusal::PlainOnTls).await,
    }
}

async fn serve<H: Handler>(link: &mut Link, handler: &H) -> Close {
    loop {
        let next = answer_received(link, handler);
        if flush(link).await.is_err() {
            return Close::Drop;
        }
        let go_on = match next {
            Next::Answer => Ok(()),
            Next::Receive => receive(link).await,
            // Boxed: what waiting and sending need would otherwise be part of every idle connection's memory.
            Next::Wait(answer, exchange) => Box::pin(wait(link, answer, exchange)).await,
            Next::Send(answer) => Box::pin(send(link, answer.0, answer.1)).await,
            Next::Close(close) => Err(close),
        };
        if let Err(close) = go_on {
            return close;
        }
    }
}

/// Answers what has been received as far as it can be done at once.
fn answer_received<H: Handler>(link: &mut Link, handler: &H) -> Next {
    let (Some(buffers), worker, client) = link.parts() else { return Next::Receive };
    loop {
        if buffers.output.len() >= GATHER_BYTES_MAX {
            return Next::Answer;
        }
        let mut slots = parse::slots();
        let (exchange, answer) = match parse::parse(buffers.input.unread(), &mut slots, &worker.limits) {
            Parsed::Partial => return Next::Receive,
            Parsed::Refused(refusal) => {
                refuse(buffers, worker, refusal);
                return Next::Close(Close::Linger);
            }
            Parsed::Whole(head) => {
                let (exchange, consumed) = Exchange::new(&head, &buffers.input, worker.has_log());
                let answer = handler.answer(&head.request, client);
                buffers.input.consume(consumed);
                (exchange, answer)
            }
        };
        let next = match answer {
            Answer::Later(answer) => Some(Next::Wait(answer, exchange.keep(&buffers.input))),
            Answer::Now(response) => gather(buffers, worker, response, exchange),
        };
        if let Some(next) = next {
            return next;
        }
    }
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
                return Box::pin(refuse_and_flush(link, Refusal::Timeout)).await;
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

async fn refuse_and_flush(link: &mut Link, refusal: Refusal) -> Result<(), Close> {
    let worker = link.worker().clone();
    refuse(link.buffers(), &worker, refusal);
    match flush(link).await {
        Ok(()) => Err(Close::Linger),
        Err(_) => Err(Close::Drop),
    }
}

/// Waits for the handler. When the client leaves, the future is dropped and what it holds is given back.
async fn wait(
    link: &mut Link,
    answer: Pin<Box<dyn Future<Output = Response> + Send>>,
    exchange: Exchange,
) -> Result<(), Close> {
    link.give_back_buffers();
    match link.wait(answer).await {
        Ok(response) => {
            let worker = link.worker().clone();
            match gather(link.buffers(), &worker, response, exchange) {
                None => Ok(()),
                Some(Next::Send(answer)) => send(link, answer.0, answer.1).await,
                Some(Next::Close(close)) => flush(link).await.map_or(Err(Close::Drop), |()| Err(close)),
                Some(Next::Answer | Next::Receive | Next::Wait(..)) => Ok(()),
            }
        }
        Err(_) => {
            let ending = Ending { status: CLIENT_CLOSED, body: 0, whole: false, cache: None };
            link.worker().account(&exchange, ending, None, link.client());
            Err(Close::Drop)
        }
    }
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

/// Writes the answer to a request that cannot be understood or is not offered. The connection ends with it.
fn refuse(buffers: &mut Buffers, worker: &Worker, refusal: Refusal) {
    if refusal.kind() == Kind::BadRequest {
        worker.counters.malformed.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::problem(&Problem::new(refusal.kind(), refusal.to_string()), refusal.kind());
    if response.status == StatusCode::METHOD_NOT_ALLOWED {
        response.fields.push("Allow", "GET, HEAD");
    }
    let exchange = Exchange::refused(&buffers.input, worker.has_log());
    // A problem's body is small and in memory: it is always gathered.
    let _ = gather(buffers, worker, response, exchange);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handler::Client, request::Request};

    struct Nobody;

    impl Handler for Nobody {
        fn answer(&self, _: &Request<'_>, _: &Client) -> Answer {
            Answer::later(std::future::pending())
        }
    }

    fn size_of_output<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let size = size_of_output(run::<Nobody>);
        assert!(size <= 900, "{size} bytes for every connection, busy or idle");
    }
}
