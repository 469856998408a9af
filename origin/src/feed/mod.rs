//! What changes, told to whoever listens: one ring of events that all read at their own pace, and a box for each of what concerns it alone. It knows no
//! database: what was before a stream began is for who begins it.
//!
//! | limit | what follows |
//! | --- | --- |
//! | [`EVENTS_MAX`], [`EVENT_BYTES_MAX`] of the ring | the oldest goes; who has not read it is cut off, and comes again |
//! | [`TOLD_MAX`] of a box | likewise |
//! | [`SUBSCRIBERS_MAX`] | one more is refused |
//! | [`STALE_MAX`] paths that are stale | everything is, until the share has been looked through |
//!
//! A path is *stale* from the moment at which a change of it is noticed until it is told what is there. Whoever tells takes a [`Mark`] before looking: what
//! was noticed behind it is not settled by what was seen.

mod stale;
mod subscription;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{
    changes::{Change, Stale},
    target::Target,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::stale::StalePaths;
pub(crate) use self::{
    stale::{Mark, StaleNow},
    subscription::{Opening, Subscription},
};
use crate::shares::concerns;

/// Events that are kept for who has not read them yet.
const EVENTS_MAX: usize = 16_384;
/// Bytes of them.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// Streams at once.
pub(crate) const SUBSCRIBERS_MAX: usize = 20_000;
/// Events that wait for one stream alone.
const TOLD_MAX: usize = 64;
/// Paths that are stale and known one by one.
const STALE_MAX: usize = 10_000;
/// Events that come closer together go out together.
const GATHER: Duration = Duration::from_millis(50);

/// See the head of this file.
pub(crate) struct Feed {
    state: Mutex<State>,
    /// There is something to be told.
    news: Notify,
    pub(crate) counters: FeedCounters,
    /// Seconds between two signs of life; each second a part of the streams has its turn.
    heartbeat: u64,
    /// Seconds by which a change may be noticed late.
    delay: AtomicU64,
}

/// Totals since the start unless said. Written with relaxed ordering.
#[derive(Debug, Default)]
pub(crate) struct FeedCounters {
    /// Streams that are open.
    pub(crate) subscribers: AtomicU64,
    /// Events that were told to all.
    pub(crate) events: AtomicU64,
    /// Streams that were cut off because they were too slow.
    pub(crate) cut: AtomicU64,
    /// Paths that are stale now.
    pub(crate) stale: AtomicU64,
}

#[derive(Default)]
struct State {
    ring: VecDeque<Event>,
    ring_bytes: usize,
    /// The number of the first event in the ring.
    first: u64,
    subscribers: HashMap<u64, Subscriber>,
    next_subscriber: u64,
    /// The streams of each node that has said its name.
    nodes: HashMap<Box<str>, Vec<u64>>,
    stale: StalePaths,
    closed: bool,
}

/// One event, written.
struct Event {
    text: Bytes,
    /// Whom it concerns; `None`: everybody.
    path: Option<Box<[u8]>>,
    /// Of a change in the catalogue.
    generation: u64,
}

/// One stream, as far as the feed knows it.
#[derive(Default)]
struct Subscriber {
    node: Option<Box<str>>,
    /// For it alone.
    told: VecDeque<Bytes>,
    /// More was told to it alone than it may keep waiting.
    overrun: bool,
    /// A sign of life is due.
    beat: bool,
    waker: Option<Waker>,
}

/// A change of the catalogue that is durable.
pub(crate) struct Committed {
    /// Below the published directory, decoded.
    pub(crate) path: Box<[u8]>,
    /// A file, or that it is gone; `None`: nothing was known of it, and nothing is there.
    pub(crate) change: Option<Change>,
    pub(crate) generation: u64,
    /// Taken before it was looked at.
    pub(crate) seen: Mark,
}

/// There are as many streams as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Feed {
    /// Nobody listens yet, and everything is stale: what has changed while nobody looked is not known before the share has been looked through.
    pub(crate) fn new(heartbeat: Duration) -> Self {
        let heartbeat = heartbeat.as_secs().max(1);
        let state = State { stale: StalePaths::everything(), ..State::default() };
        let counters = FeedCounters { stale: AtomicU64::new(1), ..FeedCounters::default() };
        Self { state: Mutex::new(state), news: Notify::new(), counters, heartbeat, delay: AtomicU64::new(0) }
    }

    /// Wakes who listens: for news, and for signs of life. Never ends; dropping it silences the streams.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut beats = interval(Duration::from_secs(1));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut turn, mut quiet) = (0, Instant::now());
        loop {
            tokio::select! {
                () = async { sleep_until(quiet).await; self.news.notified().await } => {
                    quiet = Instant::now() + GATHER;
                    self.wake(|_, _| true);
                }
                _ = beats.tick() => {
                    turn += 1;
                    self.wake(|id, subscriber| {
                        let due = (id + turn) % self.heartbeat == 0;
                        subscriber.beat |= due;
                        due
                    });
                }
            }
        }
    }

    fn wake(&self, mut is_due: impl FnMut(u64, &mut Subscriber) -> bool) {
        let mut wakers = Vec::new();
        for (id, subscriber) in &mut self.state.lock().subscribers {
            if is_due(*id, subscriber) {
                wakers.extend(subscriber.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells everybody.
    pub(crate) fn publish(&self, change: &Change) {
        self.state.lock().push(&self.counters, None, 0, change);
        self.news.notify_one();
    }

    /// Tells one node, on each of its streams; answers whether it has one.
    pub(crate) fn tell(&self, node: &str, change: &Change) -> bool {
        let text = Bytes::from(change.to_text());
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        let State { nodes, subscribers, .. } = &mut *state;
        let streams = nodes.get(node).map_or(&[][..], Vec::as_slice);
        for id in streams {
            let Some(subscriber) = subscribers.get_mut(id) else { continue };
            if subscriber.told.len() < TOLD_MAX {
                subscriber.told.push_back(text.clone());
            } else {
                subscriber.overrun = true;
            }
            wakers.extend(subscriber.waker.take());
        }
        let has_one = !streams.is_empty();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        has_one
    }

    /// To be taken before something is looked at.
    pub(crate) fn mark(&self) -> Mark {
        self.state.lock().stale.mark()
    }

    /// A change of this path, or below it, has been noticed.
    pub(crate) fn stale(&self, path: &[u8]) {
        self.notice(path, true);
    }

    /// It has been found to be so; who knows that it is stale is not told again.
    pub(crate) fn still_stale(&self, path: &[u8]) {
        self.notice(path, false);
    }

    fn notice(&self, path: &[u8], again: bool) {
        let mut state = self.state.lock();
        let is_news = again || !state.stale.has(path);
        let overflown = state.stale.add(path, STALE_MAX);
        let path = if overflown { b"".as_slice() } else { path };
        if is_news {
            state.push(&self.counters, Some(path.into()), 0, &stale(path));
        }
        self.counters.stale.store(state.stale.len() as u64, Ordering::Relaxed);
        drop(state);
        self.news.notify_one();
    }

    /// Whether something is said to have changed at this very path and has not been settled.
    pub(crate) fn is_stale(&self, path: &[u8]) -> bool {
        self.state.lock().stale.has(path)
    }

    /// Whether something at or below this folder is, or may be.
    pub(crate) fn is_any_stale_below(&self, folder: &[u8]) -> bool {
        self.state.lock().stale.any_below(folder)
    }

    /// What was noticed of a directory before the mark is settled: what has changed in it has been found, and was noticed each for itself.
    pub(crate) fn settle(&self, path: &[u8], seen: Mark) {
        let mut state = self.state.lock();
        state.stale.settle_one(path, seen);
        self.counters.stale.store(state.stale.len() as u64, Ordering::Relaxed);
    }

    /// The share was looked through from the mark on: what was noticed before is settled.
    pub(crate) fn settle_all(&self, seen: Mark) {
        let mut state = self.state.lock();
        state.stale.settle_before(seen);
        self.counters.stale.store(state.stale.len() as u64, Ordering::Relaxed);
    }

    /// Changes of the catalogue, in the order of their generations: who calls holds the lock under which they were committed.
    pub(crate) fn committed(&self, changes: Vec<Committed>) {
        let mut state = self.state.lock();
        for Committed { path, change, generation, seen } in changes {
            if let Some(change) = change {
                state.push(&self.counters, Some(path.clone()), generation, &change);
            }
            // It changed again after it was looked at: what was just told of it may be old already.
            for again in state.stale.settle(&path, seen) {
                let event = stale(&again);
                state.push(&self.counters, Some(again), 0, &event);
            }
        }
        self.counters.stale.store(state.stale.len() as u64, Ordering::Relaxed);
        drop(state);
        self.news.notify_one();
    }

    /// A stream from now on, of all that lies below these folders (none: of everything). It has to be opened before it says anything.
    pub(crate) fn subscribe(self: &Arc<Self>, node: Option<&str>, tops: Vec<Box<[u8]>>) -> Result<Subscription, Full> {
        let mut state = self.state.lock();
        if state.closed || state.subscribers.len() >= SUBSCRIBERS_MAX {
            return Err(Full);
        }
        let id = state.next_subscriber;
        state.next_subscriber += 1;
        state.subscribers.insert(id, Subscriber { node: node.map(Into::into), ..Subscriber::default() });
        if let Some(node) = node {
            state.nodes.entry(node.into()).or_default().push(id);
        }
        self.counters.subscribers.store(state.subscribers.len() as u64, Ordering::Relaxed);
        let next = state.first + state.ring.len() as u64;
        Ok(Subscription::new(self.clone(), id, next, tops))
    }

    fn unsubscribe(&self, id: u64) {
        let mut state = self.state.lock();
        let node = state.subscribers.remove(&id).and_then(|subscriber| subscriber.node);
        if let Some(node) = node
            && let Some(streams) = state.nodes.get_mut(&node)
        {
            streams.retain(|stream| *stream != id);
            if streams.is_empty() {
                state.nodes.remove(&node);
            }
        }
        self.counters.subscribers.store(state.subscribers.len() as u64, Ordering::Relaxed);
    }

    /// What is stale now below these folders.
    fn stale_now(&self, tops: &[Box<[u8]>]) -> StaleNow {
        self.state.lock().stale.now(|path| concerns(path, tops))
    }

    /// Changes may be noticed so late.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay.store(delay.as_secs(), Ordering::Relaxed);
    }

    pub(crate) fn delay(&self) -> u64 {
        self.delay.load(Ordering::Relaxed)
    }

    /// Ends all streams, and lets none begin.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake(|_, _| true);
    }
}

impl State {
    fn push(&mut self, counters: &FeedCounters, path: Option<Box<[u8]>>, generation: u64, change: &Change) {
        let text = Bytes::from(change.to_text());
        self.ring_bytes += text.len();
        self.ring.push_back(Event { text, path, generation });
        counters.events.fetch_add(1, Ordering::Relaxed);
        while self.ring.len() > EVENTS_MAX || self.ring_bytes > EVENT_BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.text.len();
            self.first += 1;
        }
    }
}

/// The event of a path that has changed.
fn stale(path: &[u8]) -> Change {
    Change::Stale(Stale { path: Target::from_file_path(path).path().into() })
}
