//! One stream of events, as a body of an answer.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use protocol::{
    changes::{Change, Hello},
    event_stream,
};

use super::{Event, Feed, StaleNow, State, stale};
use crate::shares::concerns;

/// Bytes that are told at once, unless one event is longer.
const PIECE_MAX: usize = 16 << 10;
/// Stale paths that are told one by one at the beginning; of more it is said that everything is.
const STALE_TOLD_MAX: usize = 100;

/// How a stream begins.
pub(crate) struct Opening {
    pub(crate) epoch: String,
    /// Up to which all is known to who listens, or will be when it has read the catalogue.
    pub(crate) generation: u64,
    pub(crate) reset: bool,
    /// What happened since then, in order.
    pub(crate) replay: Vec<Change>,
    /// Up to which all has been replayed: what the ring has up to it is not told again.
    pub(crate) replayed: u64,
    /// What concerns this node alone.
    pub(crate) own: Vec<Change>,
}

/// See the head of this file. Dropping it ends the stream.
pub(crate) struct Subscription {
    feed: Arc<Feed>,
    id: u64,
    /// The number of the next event in the ring.
    next: u64,
    /// Changes up to this generation were told otherwise.
    replayed: u64,
    tops: Vec<Box<[u8]>>,
    opening: Bytes,
}

impl Subscription {
    pub(super) fn new(feed: Arc<Feed>, id: u64, next: u64, tops: Vec<Box<[u8]>>) -> Self {
        Self { feed, id, next, replayed: 0, tops, opening: Bytes::new() }
    }

    /// Says how it begins. What is stale is looked at now, behind the beginning of the stream, so that nothing falls between.
    pub(crate) fn open(mut self, opening: Opening) -> Self {
        let Opening { epoch, generation, reset, replay, replayed, own } = opening;
        let delay = self.feed.delay();
        let hello = Change::Hello(Hello { epoch, generation, reset, heartbeat: self.feed.heartbeat, delay });
        let stale = match self.feed.stale_now(&self.tops) {
            StaleNow::Paths(paths) if paths.len() <= STALE_TOLD_MAX => paths.iter().map(|path| stale(path)).collect(),
            StaleNow::Everything | StaleNow::Paths(_) => vec![stale(b"")],
        };
        let all = [hello].into_iter().chain(replay).chain(stale).chain(own);
        self.opening = all.map(|change| change.to_text()).collect::<String>().into();
        self.replayed = replayed;
        self
    }

    /// What there is to say now; an error: it was too slow.
    fn take(&mut self, state: &mut State) -> Result<Bytes, ()> {
        let State { subscribers, ring, first, .. } = state;
        let Some(subscriber) = subscribers.get_mut(&self.id) else { return Err(()) };
        if subscriber.overrun || self.next < *first {
            return Err(());
        }
        let mut text = BytesMut::new();
        while let Some(told) = subscriber.told.pop_front() {
            text.extend_from_slice(&told);
        }
        let begin = usize::try_from(self.next - *first).unwrap_or(usize::MAX).min(ring.len());
        for event in ring.range(begin..) {
            let concerned = self.is_concerned(event);
            if concerned && !text.is_empty() && text.len() + event.text.len() > PIECE_MAX {
                break;
            }
            if concerned {
                text.extend_from_slice(&event.text);
            }
            self.next += 1;
        }
        if text.is_empty() && subscriber.beat {
            text.extend_from_slice(event_stream::HEARTBEAT.as_bytes());
        }
        Ok(text.freeze())
    }

    fn is_concerned(&self, event: &Event) -> bool {
        let is_new = event.generation == 0 || event.generation > self.replayed;
        is_new && event.path.as_ref().is_none_or(|path| concerns(path, &self.tops))
    }
}

impl Stream for Subscription {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.opening.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.opening))));
        }
        let feed = self.feed.clone();
        let mut state = feed.state.lock();
        if state.closed {
            return Poll::Ready(None);
        }
        match self.take(&mut state) {
            Err(()) => {
                feed.counters.cut.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Ok(text) => {
                let Some(subscriber) = state.subscribers.get_mut(&self.id) else { return Poll::Ready(None) };
                if text.is_empty() {
                    subscriber.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                subscriber.beat = false;
                Poll::Ready(Some(Ok(text)))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.unsubscribe(self.id);
    }
}
