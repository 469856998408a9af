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
    asked::{Answered, Asked, Ending},
    buffers::Buffers,
    handler::{Answer, Handler},
    head::{
        parse::{self, Parsed},
        refusal::Refusal,
        write::Persistence,
    },
    link::{Broken, Gone, Link, handshake::NoSession, transport::Transport},
    response::Response,
    transmit::{self, Copied, Outcome},
    watch::Phase,
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
    Wait(Pin<Box<dyn Future<Output = Response> + Send>>, Asked),
    /// An answer that is not small.
    Send(Box<(Response, Asked)>),
    /// The end.
    Close(Farewell),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// Whatever the client thinks of it: it has gone, or is to see that something is missing.
    Drop,
    /// In order, and at once: nobody waits for anything.
    Idle,
    /// In order; a client that goes on sending is listened to for a while.
    Close,
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
    let farewell = match begun {
        Ok(()) => serve(&mut link, &*handler).await,
        Err(farewell) => farewell,
    };
    match farewell {
        Farewell::Drop => {}
        Farewell::Idle => link.try_say_end(),
        Farewell::Reset => link.reset(),
        // Over TLS the client says its end too, and a close under that would be a reset.
        Farewell::Close if link.transport() == Transport::Plain && !link.has_unread() => {}
        Farewell::Close | Farewell::Linger => Box::pin(link.linger()).await,
    }
}

/// Agrees on keys. A client that speaks plain HTTP instead is told so.
async fn begin(link: &mut Link) -> Result<(), Farewell> {
    match link.shake_hands().await {
        Ok(()) => Ok(()),
        Err(NoSession::Gone) => Err(Farewell::Drop),
        Err(NoSession::Plain) => refuse_and_flush(link, Refusal::PlainOnTls).await,
    }
}

async fn serve<H: Handler>(link: &mut Link, handler: &H) -> Farewell {
    loop {
        let next = answer_received(link, handler);
        if flush(link).await.is_err() {
            return Farewell::Drop;
        }
        let go_on = match next {
            Next::Answer => Ok(()),
            Next::Receive => receive(link).await,
            // Boxed: what waiting and sending need would otherwise be part of every idle connection's memory.
            Next::Wait(answer, asked) => Box::pin(wait(link, answer, asked)).await,
            Next::Send(answer) => Box::pin(send(link, answer.0, answer.1)).await,
            Next::Close(farewell) => Err(farewell),
        };
        if let Err(farewell) = go_on {
            return farewell;
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
        let (asked, answer) = match parse::parse(buffers.input.unread(), &mut slots, &worker.limits) {
            Parsed::Partial => return Next::Receive,
            Parsed::Refused(refusal) => {
                refuse(buffers, worker, refusal);
                return Next::Close(Farewell::Linger);
            }
            Parsed::Whole(head) => {
                let (asked, consumed) = Asked::new(&head, &buffers.input, worker.has_log());
                let answer = handler.answer(&head.request, client);
                buffers.input.consume(consumed);
                (asked, answer)
            }
        };
        let next = match answer {
            Answer::Later(answer) => Some(Next::Wait(answer, asked.keep(&buffers.input))),
            Answer::Now(response) => gather(buffers, worker, response, asked),
        };
        if let Some(next) = next {
            return next;
        }
    }
}

/// Puts an answer behind those in the output buffer if it is small; says what is next if not, or if the connection ends with it.
fn gather(buffers: &mut Buffers, worker: &Worker, response: Response, asked: Asked) -> Option<Next> {
    let persistence = asked.persistence(worker.is_draining());
    match transmit::copy(&mut buffers.output, response, asked.asking, persistence, worker) {
        Copied::Whole { head, body, response } => {
            let farewell = (persistence == Persistence::Closes).then(|| farewell(&asked));
            buffers.answered.push(Answered {
                asked,
                status: response.status.as_u16(),
                head,
                body,
                cache: response.cache_status,
                _hold: response.hold,
            });
            farewell.map(Next::Close)
        }
        Copied::Not(response) => Some(Next::Send(Box::new((response, asked.keep(&buffers.input))))),
    }
}

/// After an answer that said `Connection: close`.
fn farewell(asked: &Asked) -> Farewell {
    if asked.body_unread { Farewell::Linger } else { Farewell::Close }
}

/// Sends what was gathered and says of each answer how much of it left.
async fn flush(link: &mut Link) -> Result<(), Gone> {
    if link.parts().0.is_none_or(|buffers| buffers.output.is_empty()) {
        return Ok(());
    }
    link.sent = 0;
    let flushed = link.send_output(false).await;
    let mut sent = link.sent;
    let (Some(buffers), worker, client) = link.parts() else { return flushed };
    let Buffers { input, answered, .. } = buffers;
    for answer in answered.drain(..) {
        let of_this = sent.min(answer.head + answer.body);
        sent -= of_this;
        let body = of_this.saturating_sub(answer.head);
        let whole = of_this == answer.head + answer.body;
        let ending = Ending { status: answer.status, body, whole, cache: answer.cache };
        worker.tell(&answer.asked, ending, Some(input), client);
    }
    flushed
}

async fn receive(link: &mut Link) -> Result<(), Farewell> {
    let begun = link.parts().0.map_or(0, |buffers| buffers.input.unread().len());
    let mut looked = begun;
    loop {
        match link.receive().await {
            Ok(_) => {}
            Err(Gone::Overdue) if link.phase() == Phase::Head => {
                return Box::pin(refuse_and_flush(link, Refusal::Timeout)).await;
            }
            Err(Gone::Overdue | Gone::Cut) if link.phase() == Phase::Idle => return Err(Farewell::Idle),
            Err(_) => return Err(Farewell::Drop),
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

async fn refuse_and_flush(link: &mut Link, refusal: Refusal) -> Result<(), Farewell> {
    let worker = link.worker().clone();
    refuse(link.buffers(), &worker, refusal);
    match flush(link).await {
        Ok(()) => Err(Farewell::Linger),
        Err(_) => Err(Farewell::Drop),
    }
}

/// Waits for the handler. When the client leaves, the future is dropped and what it holds is given back.
async fn wait(
    link: &mut Link,
    answer: Pin<Box<dyn Future<Output = Response> + Send>>,
    asked: Asked,
) -> Result<(), Farewell> {
    link.rest();
    match link.wait(answer).await {
        Ok(response) => {
            let worker = link.worker().clone();
            match gather(link.buffers(), &worker, response, asked) {
                None => Ok(()),
                Some(Next::Send(answer)) => send(link, answer.0, answer.1).await,
                Some(Next::Close(farewell)) => flush(link).await.map_or(Err(Farewell::Drop), |()| Err(farewell)),
                Some(Next::Answer | Next::Receive | Next::Wait(..)) => Ok(()),
            }
        }
        Err(_) => {
            let ending = Ending { status: CLIENT_CLOSED, body: 0, whole: false, cache: None };
            link.worker().tell(&asked, ending, None, link.client());
            Err(Farewell::Drop)
        }
    }
}

/// Sends an answer that is not small.
async fn send(link: &mut Link, response: Response, asked: Asked) -> Result<(), Farewell> {
    let persistence = asked.persistence(link.worker().is_draining());
    let (status, cache) = (response.status.as_u16(), response.cache_status);
    let Outcome { head, ended, until_close } = transmit::send(link, response, asked.asking, persistence).await;
    let body = link.sent.saturating_sub(head);
    let ending = Ending { status, body, whole: ended.is_ok(), cache };
    link.worker().tell(&asked, ending, None, link.client());
    match ended {
        Ok(()) if until_close || persistence == Persistence::Closes => Err(farewell(&asked)),
        Ok(()) => Ok(()),
        Err(broken) => {
            if let Broken::Source(error) = broken {
                let client = link.client().address;
                tracing::debug!(%error, %client, "an answer ended short of its length: its source failed");
            }
            Err(if until_close { Farewell::Reset } else { Farewell::Drop })
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
    let asked = Asked::refused(&buffers.input, worker.has_log());
    // A problem's body is small and in memory: it is always gathered.
    let _ = gather(buffers, worker, response, asked);
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
