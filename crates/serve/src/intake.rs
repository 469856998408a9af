//! Takes the body of a request from the connection to the handler that reads it, while that makes the answer.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | the body comes to its end | the answer is waited for, and the connection goes on |
//! | the answer is there first, or the handler wants no more | the rest is not read: the connection ends behind the answer |
//! | the body is malformed, too large or too slow | 400, 413 or 408, whatever the handler was about to say |
//! | the client leaves | the handler's future is dropped |

use std::{future::poll_fn, pin::pin, task::Poll};

use bytes::Bytes;

use crate::{
    handler::Waiting,
    head::{
        chunks::{Chunks, Step},
        refusal::Refusal,
    },
    link::{Disconnected, Link},
    request::Announced,
    response::Response,
    upload::{Unwanted, UploadSender},
};

/// Where a body ends.
#[derive(Debug)]
pub(crate) enum Coding {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunks),
}

/// An answer, and whether the body was read to its end.
pub(crate) struct Answered {
    pub(crate) response: Response,
    pub(crate) whole: bool,
    /// Of an answer that was there first: kept until it is out. Whoever makes it may be in the middle of both, and would take the end of the
    /// one for a reason to end the other.
    pub(crate) upload: Option<UploadSender>,
}

/// Why there is none; over HTTP/2 likewise.
pub(crate) enum Failure {
    Refused(Refusal),
    Gone,
}

/// Why no more of a body is read; over HTTP/2 likewise.
pub(crate) enum Stop {
    Unwanted,
    Refused(Refusal),
    Gone,
}

impl From<Unwanted> for Stop {
    fn from(_: Unwanted) -> Self {
        Self::Unwanted
    }
}

impl From<Disconnected> for Stop {
    fn from(gone: Disconnected) -> Self {
        match gone {
            Disconnected::TimedOut => Self::Refused(Refusal::BodyTimeout),
            Disconnected::Left | Disconnected::Cut => Self::Gone,
        }
    }
}

impl Coding {
    /// Of a body that is announced.
    pub(crate) fn of(announced: Announced) -> Self {
        match announced {
            Announced::None => Self::Length(0),
            Announced::Length(len) => Self::Length(len),
            Announced::Unknown => Self::Chunked(Chunks::default()),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        match self {
            Self::Chunked(chunks) => chunks.step(bytes),
            Self::Length(0) => Ok(Step::End),
            Self::Length(_) if bytes.is_empty() => Ok(Step::More),
            Self::Length(left) => {
                let len = (*left).min(bytes.len() as u64);
                *left -= len;
                Ok(Step::Data(0..len as usize))
            }
        }
    }
}

/// Reads the body behind the head that was consumed, until the answer is there. With `expected` the client is told to send it.
pub(crate) async fn answer(
    link: &mut Link,
    mut answer: Waiting,
    coding: Coding,
    sender: UploadSender,
    expected: bool,
) -> Result<Answered, Failure> {
    begin(link, &coding, expected).await?;
    let held = sender.clone();
    let early = {
        let mut reading = pin!(read(link, coding, sender));
        poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                // The end of the body may have been waiting for the room that the answer's maker has made.
                let whole = matches!(reading.as_mut().poll(cx), Poll::Ready(Ok(())));
                return Poll::Ready(Ok((response, whole)));
            }
            reading.as_mut().poll(cx).map(Err)
        })
        .await
    };
    let whole = match early {
        Ok((response, whole)) => return Ok(Answered { response, whole, upload: Some(held) }),
        Err(Ok(())) => true,
        Err(Err(Stop::Unwanted)) => false,
        Err(Err(Stop::Refused(refusal))) => return Err(Failure::Refused(refusal)),
        Err(Err(Stop::Gone)) => return Err(Failure::Gone),
    };
    link.give_back_buffers();
    match link.wait(answer).await {
        Ok(response) => Ok(Answered { response, whole, upload: None }),
        Err(_) => Err(Failure::Gone),
    }
}

/// Refuses what is known to be too large, and tells who waits for it to send.
async fn begin(link: &mut Link, coding: &Coding, expected: bool) -> Result<(), Failure> {
    if matches!(coding, Coding::Length(len) if *len > link.worker().options.body_bytes_max) {
        return Err(Failure::Refused(Refusal::BodyTooLarge));
    }
    // Who has begun to send needs no word to begin (RFC 9110 section 10.1.1).
    if expected && link.buffers().input.is_empty() {
        link.send_output_and(b"HTTP/1.1 100 Continue\r\n\r\n", false).await.map_err(|_| Failure::Gone)?;
    }
    Ok(())
}

async fn read(link: &mut Link, mut coding: Coding, sender: UploadSender) -> Result<(), Stop> {
    let max = link.worker().options.body_bytes_max;
    let mut total = 0u64;
    loop {
        let input = &mut link.buffers().input;
        match coding.step(input.unread()).map_err(Stop::Refused)? {
            Step::End => return Ok(link.wait(sender.end()).await??),
            Step::Skip(len) => input.consume(len),
            Step::More => _ = link.receive_body().await?,
            Step::Data(place) => {
                let piece = Bytes::copy_from_slice(&input.unread()[place.clone()]);
                input.consume(place.end);
                total += piece.len() as u64;
                if total > max {
                    return Err(Stop::Refused(Refusal::BodyTooLarge));
                }
                link.wait(sender.send(piece)).await??;
            }
        }
    }
}
