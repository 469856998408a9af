//! A body as it comes, with an end to the waiting for each next piece.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::NetError;

/// The rest of an answer.
pub(crate) struct Pieces {
    body: Incoming,
    silence_max: Duration,
    /// One timer for the whole body: it is set anew for each piece.
    silence: Pin<Box<Sleep>>,
}

impl Pieces {
    pub(crate) fn new(body: Incoming, silence_max: Duration) -> Self {
        Self { body, silence_max, silence: Box::pin(tokio::time::sleep(silence_max)) }
    }

    /// The next piece; `None` behind the last. An end that comes too early is an error. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, NetError>> {
        self.silence.as_mut().reset(Instant::now() + self.silence_max);
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = &mut self.silence => return Some(Err(NetError::Silent(self.silence_max))),
            };
            match frame? {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Some(Ok(bytes)),
                    // Trailers say nothing that is needed.
                    _ => {}
                },
                Err(error) => return Some(Err(NetError::broken(&error))),
            }
        }
    }
}
