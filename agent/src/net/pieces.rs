//! A body as it comes, with an end to the waiting for each next piece.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{error::NetError, line::SharedLine};

/// The rest of an answer.
pub(crate) struct Pieces {
    body: Incoming,
    silence_max: Duration,
    /// One timer for the whole body: it is set anew for each piece.
    silence: Pin<Box<Sleep>>,
    /// The line over which it comes, if it keeps that to its rate.
    line: Option<Arc<SharedLine>>,
}

impl Pieces {
    pub(crate) fn new(body: Incoming, silence_max: Duration) -> Self {
        Self { body, silence_max, silence: Box::pin(tokio::time::sleep(silence_max)), line: None }
    }

    /// As fast as the line may be used, and not at all while that is closed.
    pub(crate) fn over(mut self, line: Arc<SharedLine>) -> Self {
        self.line = Some(line);
        self
    }

    /// From now on it is waited so long for each.
    pub(crate) fn set_silence(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
    }

    /// The next piece; `None` behind the last. An end that comes too early is an error. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, NetError>> {
        let turn = match &self.line {
            Some(line) => line.turn().await,
            None => Ok(()),
        };
        if let Err(until) = turn {
            return Some(Err(NetError::Closed(until)));
        }
        self.silence.as_mut().reset(Instant::now() + self.silence_max);
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = &mut self.silence => return Some(Err(NetError::Silent(self.silence_max))),
            };
            match frame? {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => {
                        self.line.iter().for_each(|line| line.came(bytes.len() as u64));
                        return Some(Ok(bytes));
                    }
                    // Trailers say nothing that is needed.
                    _ => {}
                },
                Err(error) => return Some(Err(NetError::broken(&error))),
            }
        }
    }
}
