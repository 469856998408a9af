//! One line, as all who use it see it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant, SystemTime},
};

use os::tcp::Path;
use parking_lot::Mutex;

use super::{
    order::Ticket,
    schedule::{Schedule, Verdict},
};
use crate::{
    fetch::urgency::{Class, Urgency},
    options::line::LineOptions,
    status::{LineStatus, add},
};

/// What may come unread: so much of the rate, on all connections together. Without a bound a connection that begins would receive as much as the
/// kernel holds, which is megabytes.
const UNREAD: Duration = Duration::from_millis(50);
/// Packets of one connection that may, at least; where packets are as large as on loopback, so many bytes of them. Less is slow out of all
/// proportion, for a sender waits until a full packet fits.
const SEGMENTS_MIN: u64 = 3;
const SEGMENTS_BYTES_MAX: u64 = 32 << 10;
/// Bytes that a process may ask for where nobody changed `net.core.rmem_max`. Where a connection needs more, the kernel finds out by itself.
const UNREAD_MAX: u64 = 208 << 10;

/// The line to one upstream.
#[derive(Debug)]
pub(crate) struct Line {
    /// Whether anything is ever held back.
    is_limited: AtomicBool,
    state: Mutex<State>,
    tickets: AtomicU64,
    /// Bodies that are on their way.
    bodies: AtomicUsize,
    /// Bytes while it was limited.
    bytes: AtomicU64,
    /// Nanoseconds that turns were waited for.
    held: AtomicU64,
    /// Of what belongs to no fetch.
    demand: Arc<Urgency>,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    /// Of those who wait.
    wakers: HashMap<Ticket, Waker>,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct OnItsWay(Arc<Line>);

impl Line {
    pub(crate) fn new(options: LineOptions) -> Self {
        let is_limited = AtomicBool::new(options.is_limited());
        let schedule = Schedule::new(options, now(), SystemTime::now());
        Self {
            is_limited,
            state: Mutex::new(State { schedule, wakers: HashMap::new() }),
            tickets: AtomicU64::new(0),
            bodies: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            held: AtomicU64::new(0),
            demand: Arc::new(Urgency::new(Class::Demand)),
        }
    }

    /// From now on these hold, for what is on its way too.
    pub(crate) fn set_options(&self, options: LineOptions) {
        self.is_limited.store(options.is_limited(), Ordering::Relaxed);
        let mut state = self.state.lock();
        state.schedule.set_options(options, now(), SystemTime::now());
        let wakers: Vec<_> = state.wakers.values().cloned().collect();
        drop(state);
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether anything may be held back. Not, and nothing else needs to be asked or told.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// For what belongs to no fetch.
    pub(crate) fn demand(&self) -> &Arc<Urgency> {
        &self.demand
    }

    /// Bytes that may come in a turn of so many usual ones, for who belongs to a class.
    pub(crate) fn turn(&self, length: u32, class: Class) -> Option<u64> {
        self.state.lock().schedule.turn(length, class)
    }

    /// Bytes came, for who belongs to a class.
    pub(crate) fn came(&self, bytes: u64, class: Class) {
        add(&self.bytes, bytes);
        self.state.lock().schedule.came(bytes, class, now());
    }

    /// A body begins to come.
    pub(crate) fn begin(self: &Arc<Self>) -> OnItsWay {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        OnItsWay(self.clone())
    }

    /// What a connection may hold unread: what it needs to bring its share in time, its packets taking as long as they do. `None`: the kernel knows
    /// best.
    pub(crate) fn unread_max(&self, path: &Path, class: Class) -> Option<u64> {
        let state = self.state.lock();
        let of = |time: Duration| state.schedule.bytes_of(time, class);
        let (unread, on_their_way) = of(UNREAD).zip(of(path.shortest))?;
        let bodies = self.bodies.load(Ordering::Relaxed).max(1) as u64;
        // One of two may be the only one that brings anything.
        let on_their_way = on_their_way * 2 / bodies.max(2);
        let least = (SEGMENTS_MIN * u64::from(path.segment)).min(SEGMENTS_BYTES_MAX);
        let wanted = (on_their_way + unread / bodies).max(least);
        (on_their_way < UNREAD_MAX / 2).then_some(wanted.min(UNREAD_MAX))
    }

    /// How packets of a connection travel now, by which those who yield see whether others want the line.
    pub(crate) fn sees(&self, path: &Path, class: Class) {
        if self.state.lock().schedule.sees(path, class, now()) {
            tracing::warn!(
                "an upstream sends no TCP timestamps, by which fetches in the background see whether others want the line: they do not yield; switch timestamps on there, or set a rate"
            );
        }
    }

    pub(crate) fn status(&self) -> LineStatus {
        let mut state = self.state.lock();
        let (demand_waiting, preload_waiting) = state.schedule.waiting();
        let (background_rate, queueing) = state.schedule.yielding();
        LineStatus {
            rate: state.schedule.rate_at(now(), SystemTime::now()),
            demand_waiting,
            preload_waiting,
            background_rate,
            queueing,
            bytes: self.bytes.load(Ordering::Relaxed),
            held: Duration::from_nanos(self.held.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Somebody asks for a turn. Who is next is woken, after one that is given and where it is another's: a preload becomes next by waiting, and
    /// nothing but this tells it.
    pub(super) fn ask(&self, ticket: Ticket, urgency: &Arc<Urgency>, waker: &Waker) -> Verdict {
        let (now, mut state) = (now(), self.state.lock());
        let verdict = state.schedule.ask(ticket, urgency, now, SystemTime::now());
        match verdict {
            Verdict::Go => drop(state.wakers.remove(&ticket)),
            Verdict::At(_) | Verdict::Wait => drop(state.wakers.insert(ticket, waker.clone())),
        }
        let next = if matches!(verdict, Verdict::At(_)) { None } else { state.next(now) };
        drop(state);
        next.inspect(Waker::wake_by_ref);
        verdict
    }

    /// Somebody waits no more.
    pub(super) fn leave(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        state.schedule.leave(ticket);
        state.wakers.remove(&ticket);
        let next = state.next(now());
        drop(state);
        next.inspect(Waker::wake_by_ref);
    }

    /// Somebody waited so long for a turn.
    pub(super) fn was_held(&self, time: Duration) {
        add(&self.held, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl State {
    fn next(&self, now: Instant) -> Option<Waker> {
        self.wakers.get(&self.schedule.next(now)?).cloned()
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The clock of the timers, which tests may stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
