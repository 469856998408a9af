//! Time limits of connections without a timer for each: a connection notes in what phase it is and since when; the worker sweeps over
//! the notes a few times per limit and wakes whoever is overdue. Setting a phase is two stores, which a request path can afford.
//!
//! | phase | begins | limit | when overdue |
//! | --- | --- | --- | --- |
//! | handshake | accepted, where TLS is spoken | `tls.handshake_timeout` | closed |
//! | idle | accepted, the handshake is done, or an answer is finished | `idle_timeout` | closed in silence |
//! | head | first byte of a request | `header_timeout` | 408 and close |
//! | body | more of a request's body is waited for; again at each byte | `body_timeout`, `min_body_rate` | 408 and close |
//! | waiting | the handler, the source or the disk is waited for | none: they have their own | - |
//! | sending | the socket takes no more; again at each byte that the client takes | `send_timeout`, `min_send_rate` | cut |
//! | lingering | the last answer is out, the client's bytes are thrown away | `LINGER_TIMEOUT` | closed |

use std::{
    cell::{Cell, RefCell},
    task::Waker,
    time::Duration,
};

use os::tcp::Moved;

use crate::{
    options::Options,
    pace::{Look, Pace},
};

/// How long a client that was answered with an error may take to read it.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a connection stands. See the table at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    Idle,
    Head,
    Body,
    Waiting,
    Sending,
    Lingering,
}

impl Phase {
    /// Whether an answer is on its way, so that ending now would cut it.
    pub(crate) fn is_transfer(self) -> bool {
        matches!(self, Self::Body | Self::Waiting | Self::Sending)
    }

    fn limit(self, options: &Options) -> Option<Duration> {
        match self {
            Self::Handshake => Some(options.tls.handshake_timeout),
            Self::Idle => Some(options.idle_timeout),
            Self::Head => Some(options.header_timeout),
            Self::Body => Some(options.body_timeout),
            Self::Waiting => None,
            Self::Sending => Some(options.send_timeout),
            Self::Lingering => Some(LINGER_TIMEOUT),
        }
    }
}

/// How often to sweep: often enough that a limit is met within an eighth, seldom enough to cost nothing.
pub(crate) fn sweep_interval(options: &Options) -> Duration {
    let limits = [options.idle_timeout, options.header_timeout, options.body_timeout, options.send_timeout];
    let mut shortest = limits.into_iter().fold(Duration::MAX, Duration::min);
    if options.min_send_rate > 0 || options.min_body_rate > 0 {
        shortest = shortest.min(options.rate_window);
    }
    if options.tls.is_on() {
        shortest = shortest.min(options.tls.handshake_timeout);
    }
    (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500))
}

/// Whether a phase that began at `since` is overdue at `now`. Notes are as coarse as the sweep, so one interval is allowed on top:
/// nobody is ended early.
fn is_overdue(phase: Phase, since: Duration, now: Duration, options: &Options) -> bool {
    phase.limit(options).is_some_and(|limit| now.saturating_sub(since) >= limit + sweep_interval(options))
}

/// One connection's note. Times are counted from the worker's start.
pub(crate) struct Timer {
    phase: Cell<Phase>,
    since: Cell<Duration>,
    overdue: Cell<bool>,
    /// Who waits is to look how many bytes were moved.
    look: Cell<bool>,
    /// That was done in this phase.
    looked: Cell<bool>,
    /// How fast the client takes answers, and sends bodies.
    takes: Cell<Pace>,
    sends: Cell<Pace>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    /// Idle since `now`.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            overdue: Cell::new(false),
            look: Cell::new(false),
            looked: Cell::new(false),
            takes: Cell::default(),
            sends: Cell::default(),
            waker: RefCell::new(None),
        }
    }

    /// Whom to wake: the connection's task, once and for all.
    pub(crate) fn belongs_to(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    /// Begins a phase, or the same one anew.
    pub(crate) fn enter(&self, phase: Phase, now: Duration) {
        self.change_pace(self.phase.get(), |pace| pace.pause(now));
        self.change_pace(phase, |pace| pace.begin(now));
        self.phase.set(phase);
        self.since.set(now);
        self.overdue.set(false);
        self.looked.set(false);
    }

    fn change_pace(&self, phase: Phase, change: impl FnOnce(&mut Pace)) {
        if let Some(place) = self.pace_of(phase) {
            let mut pace = place.get();
            change(&mut pace);
            place.set(pace);
        }
    }

    /// In some phases it is for the client to move bytes.
    fn pace_of(&self, phase: Phase) -> Option<&Cell<Pace>> {
        match phase {
            Phase::Sending => Some(&self.takes),
            Phase::Body => Some(&self.sends),
            Phase::Handshake | Phase::Idle | Phase::Head | Phase::Waiting | Phase::Lingering => None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether the sweep found it overdue since the phase began.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.get()
    }

    /// Whether it is to be looked how many bytes were moved: now and then, and before anybody is ended for having moved none.
    pub(crate) fn wants_look(&self) -> bool {
        (self.look.get() || self.overdue.get()) && self.pace_of(self.phase.get()).is_some()
    }

    /// So many bytes were moved since the connection began. `true` if that is too slow; who moves at all is not overdue.
    pub(crate) fn look(&self, moved: Moved, now: Duration, options: &Options) -> bool {
        self.look.set(false);
        self.looked.set(true);
        let (place, moved, rate) = match self.phase.get() {
            Phase::Sending => (&self.takes, moved.acknowledged, options.min_send_rate),
            Phase::Body => (&self.sends, moved.received, options.min_body_rate),
            _ => return false,
        };
        let mut pace = place.get();
        let look = pace.look(moved, now, options.rate_window, rate);
        place.set(pace);
        match look {
            Look::Still => {}
            Look::Moving => {
                self.since.set(now);
                self.overdue.set(false);
            }
            Look::TooSlow => self.overdue.set(true),
        }
        look == Look::TooSlow
    }

    /// The sweep's look.
    pub(crate) fn check(&self, now: Duration, options: &Options) {
        if self.overdue.get() {
            return;
        }
        if is_overdue(self.phase.get(), self.since.get(), now, options) {
            self.overdue.set(true);
            self.wake();
        } else if self.pace_of(self.phase.get()).is_some_and(|pace| self.is_look_due(pace.get(), now, options)) {
            self.look.set(true);
            self.wake();
        }
    }

    /// At the first sweep of a wait, so that it is known from where to count, and when a window is over.
    fn is_look_due(&self, pace: Pace, now: Duration, options: &Options) -> bool {
        let begins = !self.looked.get() && now.saturating_sub(self.since.get()) >= sweep_interval(options);
        begins || pace.waited(now) >= options.rate_window
    }

    /// Makes the connection look at the state of things again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_limit_and_none_ends_early() {
        let options = Options {
            idle_timeout: Duration::from_secs(80),
            header_timeout: Duration::from_secs(16),
            send_timeout: Duration::from_secs(40),
            ..Options::default()
        };
        let since = Duration::from_secs(1000);
        for (phase, seconds) in [
            (Phase::Handshake, Some(10)),
            (Phase::Idle, Some(80)),
            (Phase::Head, Some(16)),
            (Phase::Waiting, None),
            (Phase::Sending, Some(40)),
            (Phase::Lingering, Some(2)),
        ] {
            let at = |seconds: u64| is_overdue(phase, since, since + Duration::from_secs(seconds), &options);
            assert_eq!(at(100_000), seconds.is_some(), "{phase:?}");
            assert!(seconds.is_none_or(|limit| !at(limit) && at(limit + 1)), "{phase:?}");
        }
    }

    #[test]
    fn who_moves_bytes_slowly_is_ended_and_who_moves_some_is_not_overdue() {
        let options = Options {
            send_timeout: Duration::from_secs(16),
            rate_window: Duration::from_secs(40),
            min_send_rate: 100,
            ..Options::default()
        };
        let at = Duration::from_secs;
        for (bytes_per_second, ends) in [(0, Some(17)), (1, Some(40)), (99, Some(40)), (100, None)] {
            let timer = Timer::new(at(0));
            timer.enter(Phase::Sending, at(0));
            let ended = (1..1000).find(|second| {
                timer.check(at(*second), &options);
                let moved = Moved { acknowledged: second * bytes_per_second, received: 0 };
                if timer.wants_look() {
                    timer.look(moved, at(*second), &options);
                }
                timer.is_overdue()
            });
            assert_eq!(ended, ends, "{bytes_per_second} bytes in a second");
        }
        // Nobody is looked at who is not waited for.
        let timer = Timer::new(at(0));
        timer.enter(Phase::Waiting, at(0));
        timer.check(at(100_000), &options);
        assert!(!timer.wants_look() && !timer.is_overdue());
    }

    #[test]
    fn entering_a_phase_anew_forgives() {
        let options = Options::default();
        let timer = Timer::new(Duration::ZERO);
        timer.check(Duration::from_secs(1000), &options);
        assert!(timer.is_overdue());
        timer.enter(Phase::Sending, Duration::from_secs(1000));
        assert!(!timer.is_overdue());
    }
}
