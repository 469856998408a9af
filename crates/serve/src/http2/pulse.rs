//! Asks a client that has streams and says nothing whether it is still there (RFC 9113 section 6.7): a download tells by its windows, but who waits for an answer, or for the next
//! event of one, looks the same as a machine that was switched off.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

/// What a look brings.
pub(super) enum Beat {
    /// The client is asked: the library has something to send.
    Asked,
    /// It was asked and said nothing.
    None,
}

/// One connection's.
pub(super) struct Pulse {
    ping: Option<PingPong>,
    every: Duration,
    next: Pin<Box<Sleep>>,
    /// Bytes that had come when it was looked at the last time.
    received: u64,
    is_asked: bool,
}

impl Pulse {
    /// One look in so long a time.
    pub(super) fn new(ping: Option<PingPong>, every: Duration) -> Self {
        Self { ping, every, next: Box::pin(tokio::time::sleep(every)), received: 0, is_asked: false }
    }

    /// Looks, if it is time. `received` is how many bytes came so far; where nobody `is_awaited` all is well.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, received: u64, is_awaited: bool) -> Poll<Beat> {
        while self.next.as_mut().poll(cx).is_ready() {
            self.next.as_mut().reset(Instant::now() + self.every);
            if self.received != received || !is_awaited {
                self.received = received;
                self.forget(cx);
            } else if self.is_asked {
                return Poll::Ready(Beat::None);
            } else if let Some(ping) = &mut self.ping {
                self.is_asked = ping.send_ping(Ping::opaque()).is_ok();
                return Poll::Ready(Beat::Asked);
            }
        }
        Poll::Pending
    }

    /// The library sends one PING at a time, and wants its answer to be taken.
    fn forget(&mut self, cx: &mut Context<'_>) {
        self.is_asked = false;
        if let Some(ping) = &mut self.ping {
            let _ = ping.poll_pong(cx);
        }
    }
}
