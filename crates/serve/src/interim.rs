//! Interim answers (1xx, RFC 9110 section 15.2): what a server says before its answer is there, handed on as it comes. They are hints: who finds no
//! room in the queue is left out, and so is a client that would take one for the answer.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use http::StatusCode;
use tokio::sync::mpsc;

use crate::response::Response;

/// Interim answers on their way to one client.
const QUEUED_MAX: usize = 8;
/// Bytes of one's field lines.
const LINES_BYTES_MAX: usize = 16 << 10;

/// One of them.
#[derive(Clone, Debug)]
pub struct Interim {
    pub(crate) status: StatusCode,
    /// `Name: value\r\n`...
    pub(crate) lines: Box<[u8]>,
}

/// The end at which they come.
#[derive(Clone, Debug)]
pub struct InterimSender(mpsc::Sender<Interim>);

/// The client's end.
#[derive(Debug)]
pub struct Interims(mpsc::Receiver<Interim>);

/// A queue for one request.
pub fn channel() -> (InterimSender, Interims) {
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    (InterimSender(sender), Interims(receiver))
}

impl InterimSender {
    /// Hands one on, with its field lines as they are to be sent. What speaks of the connection (100, 101), what is no interim answer, and what
    /// is too long is left out.
    pub fn send(&self, status: StatusCode, lines: &[u8]) {
        let is_of_connection = matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS);
        if status.is_informational() && !is_of_connection && lines.len() <= LINES_BYTES_MAX {
            // A full queue or a client that has left: they are hints.
            let _ = self.0.try_send(Interim { status, lines: lines.into() });
        }
    }
}

/// What comes first.
pub(crate) enum First {
    Interim(Interim),
    Answer(Box<Response>),
}

impl Interims {
    /// The next interim answer, or the answer. Dropping the future loses nothing.
    pub(crate) async fn next_or(&mut self, answer: &mut (impl Future<Output = Response> + Unpin)) -> First {
        poll_fn(|cx| match self.0.poll_recv(cx) {
            Poll::Ready(Some(interim)) => Poll::Ready(First::Interim(interim)),
            Poll::Ready(None) | Poll::Pending => {
                Pin::new(&mut *answer).poll(cx).map(|response| First::Answer(Box::new(response)))
            }
        })
        .await
    }

    /// One that came while the answer did.
    pub(crate) fn left(&mut self) -> Option<Interim> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hint_and_what_finds_no_room_is_left_out() {
        let (sender, mut interims) = channel();
        for status in [100, 101, 200, 404] {
            sender.send(StatusCode::from_u16(status).unwrap(), b"");
        }
        sender.send(StatusCode::EARLY_HINTS, &vec![b'x'; LINES_BYTES_MAX + 1]);
        assert!(interims.left().is_none());
        for _ in 0..2 * QUEUED_MAX {
            sender.send(StatusCode::EARLY_HINTS, b"link: </a>\r\n");
        }
        let left = std::iter::from_fn(|| interims.left()).collect::<Vec<_>>();
        assert_eq!(left.len(), QUEUED_MAX);
        assert!(left.iter().all(|interim| interim.status == 103 && *interim.lines == *b"link: </a>\r\n"));
    }
}
