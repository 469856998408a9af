//! The body of a request on its way from its stream to the handler that reads it, while that makes the answer: [`crate::intake`] of HTTP/2. The window opens as pieces are taken, so
//! that a slow handler slows the client.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | the body comes to its end | the answer is waited for |
//! | the answer is there first, or the handler wants no more | the answer, and behind it RST_STREAM (NO_ERROR) |
//! | the body is too large or too slow | 413 or 408, whatever the handler was about to say |
//! | it is not as long as announced, or the client resets the stream | the handler's future is dropped |
//! | the handler does not read at all | a little is taken in and thrown away ([`discard`]), then the same as if it wanted no more |

use std::{future::poll_fn, pin::pin, sync::atomic::Ordering, task::Poll, time::Instant};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Response as Head, StatusCode};

use super::outbox::Parcel;
use crate::{
    handler::Waiting,
    head::refusal::Refusal,
    intake::{Failure, Stop},
    options::Options,
    pace::{Look, Pace},
    request::Announced,
    response::Response,
    timer::LINGER_TIMEOUT,
    upload::UploadSender,
    worker::Worker,
};

/// Of a body that nobody reads so much is taken in before the answer.
const DISCARDED_BYTES_MAX: usize = 64 << 10;

/// An answer.
pub(super) struct Answered {
    pub(super) response: Response,
    /// Of an answer that was there before the body's end, kept until it is out: who makes it may be in the middle of both.
    pub(super) upload: Option<UploadSender>,
}

/// Refuses what is known to be too large, and tells who waits for it to send.
pub(super) fn begin(
    respond: &mut SendResponse<Parcel>,
    announced: Announced,
    expected: bool,
    options: &Options,
) -> Result<(), Failure> {
    if matches!(announced, Announced::Length(len) if len > options.body_bytes_max) {
        return Err(Failure::Refused(Refusal::BodyTooLarge));
    }
    if expected {
        let mut head = Head::new(());
        *head.status_mut() = StatusCode::CONTINUE;
        respond.send_informational(head).map_err(|_| Failure::Gone)?;
    }
    Ok(())
}

/// Reads the body until the answer is there.
pub(super) async fn answer(
    body: &mut RecvStream,
    respond: &mut SendResponse<Parcel>,
    mut answer: Waiting,
    sender: UploadSender,
    worker: &Worker,
) -> Result<Answered, Failure> {
    let held = sender.clone();
    let read = {
        let mut reading = pin!(read(body, sender, worker));
        poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(response));
            }
            reading.as_mut().poll(cx).map(Err)
        })
        .await
    };
    match read {
        Ok(response) => return Ok(Answered { response, upload: Some(held) }),
        Err(Ok(()) | Err(Stop::Unwanted)) => {}
        Err(Err(Stop::Refused(refusal))) => return Err(Failure::Refused(refusal)),
        Err(Err(Stop::Gone)) => return Err(Failure::Gone),
    }
    drop(held);
    let response = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => respond.poll_reset(cx).map(|_| None),
    });
    response.await.map(|response| Answered { response, upload: None }).ok_or(Failure::Gone)
}

async fn read(body: &mut RecvStream, sender: UploadSender, worker: &Worker) -> Result<(), Stop> {
    let options = &worker.options;
    let (begun, mut pace, mut total) = (Instant::now(), Pace::default(), 0u64);
    loop {
        pace.begin(begun.elapsed());
        let piece = match tokio::time::timeout(options.body_timeout, body.data()).await {
            Err(_) => return Err(Stop::Refused(Refusal::BodyTimeout)),
            Ok(Some(Err(_))) => return Err(Stop::Gone),
            Ok(None) => return Ok(sender.end().await?),
            Ok(Some(Ok(piece))) => piece,
        };
        let len = piece.len();
        total += len as u64;
        pace.pause(begun.elapsed());
        if pace.look(total, begun.elapsed(), options.rate_window, options.min_body_rate) == Look::TooSlow {
            worker.counters.too_slow.fetch_add(1, Ordering::Relaxed);
            return Err(Stop::Refused(Refusal::BodyTimeout));
        }
        if total > options.body_bytes_max {
            return Err(Stop::Refused(Refusal::BodyTooLarge));
        }
        if len > 0 {
            sender.send(compact(piece)).await?;
        }
        // An error says that the stream has ended, which the next read tells too.
        let _ = body.flow_control().release_capacity(len);
    }
}

/// A small piece in memory of its own: as it came it keeps the whole buffer that it was received into.
fn compact(piece: Bytes) -> Bytes {
    const SMALL_BYTES: usize = 4 << 10;
    if piece.len() < SMALL_BYTES { Bytes::copy_from_slice(&piece) } else { piece }
}

/// Takes in a body that nobody reads, if it is small and comes soon. An answer before the end of its request must be followed by RST_STREAM (RFC 9113 section 8.1), and there are
/// clients that throw the answer away with it. `false` if the client has reset the stream.
pub(super) async fn discard(body: &mut RecvStream) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let taken = tokio::time::timeout(LINGER_TIMEOUT, async {
        let mut total = 0;
        while let Some(piece) = body.data().await {
            let Ok(piece) = piece else { return false };
            total += piece.len();
            if total > DISCARDED_BYTES_MAX {
                break;
            }
            let _ = body.flow_control().release_capacity(piece.len());
        }
        // Fields behind the body are waited for too: they end the stream, or are malformed.
        total > DISCARDED_BYTES_MAX || body.trailers().await.is_ok()
    });
    taken.await.unwrap_or(true)
}
