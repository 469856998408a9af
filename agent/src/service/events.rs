//! What a program of this machine is told of a download: server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `state` | where it stands, with the bytes that are here; at each change, and twice a second |
//! | `ready` | it is here: `md5`, `sha256`, `size`, `verified`, `sources` |
//! | `failed` | it is not: `exit`, `detail` |

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::StatusCode;
use protocol::{
    digest::{Md5, Sha256},
    event_stream,
};
use serde::{Deserialize, Serialize};
use serve::response::{Body, Response};
use tokio::sync::mpsc;

use super::downloads::{Download, Ended};
use crate::bring::{task::Brought, told::State};

/// How often something is said.
const SAY_EVERY: Duration = Duration::from_millis(500);
/// Events that a slow client has not taken yet.
const EVENTS_MAX: usize = 4;

/// `state`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Bytes here.
    pub(crate) at: u64,
    /// The rest.
    #[serde(flatten)]
    pub(crate) state: State,
}

/// `ready`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) md5: Md5,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
    pub(crate) verified: bool,
    /// Who brought it to this machine, if it was not here before.
    #[serde(default)]
    pub(crate) sources: Vec<Brought>,
}

/// `failed`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) exit: u8,
    pub(crate) detail: String,
}

/// The answer that follows a download. It goes on if the client leaves.
pub(super) fn answer(download: Arc<Download>, handle: &tokio::runtime::Handle) -> Response {
    let (send, receive) = mpsc::channel(EVENTS_MAX);
    handle.spawn(async move { follow(&download, &send).await });
    let mut response = Response::new(StatusCode::OK);
    response.fields.push("Content-Type", "text/event-stream").push("Cache-Control", "no-store");
    response.body = Body::Stream { stream: Box::pin(Queue(receive)), len: None };
    response
}

async fn follow(download: &Download, send: &mpsc::Sender<io::Result<Bytes>>) {
    let mut every = tokio::time::interval(SAY_EVERY);
    loop {
        let text = tokio::select! {
            biased;
            ended = download.ended() => {
                // An error means that the client has left.
                let _ = send.send(Ok(end(&ended).into())).await;
                return;
            }
            _ = every.tick() => {
                let standing = Standing { at: download.told.position(), state: download.told.now() };
                event_stream::write("state", None, &standing)
            }
        };
        if send.send(Ok(text.into())).await.is_err() {
            return;
        }
    }
}

fn end(ended: &Ended) -> String {
    match ended {
        Ended::Here { digests, size, verified, sources } => event_stream::write(
            "ready",
            None,
            &Ready {
                md5: digests.md5,
                sha256: digests.sha256,
                size: *size,
                verified: *verified,
                sources: sources.clone(),
            },
        ),
        Ended::Not(exit, detail) => {
            event_stream::write("failed", None, &Failed { exit: *exit, detail: detail.clone() })
        }
    }
}

/// The near end of a queue of pieces.
struct Queue(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Queue {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
