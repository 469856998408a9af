//! Waiting for what another process or thread does, always with an end. Only for the borders of processes: within the
//! harness, whoever waits is woken.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before the scenario fails. Far above what a loaded machine needs: it is reached only when
/// something is stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks again and again until there is something, and fails the test with `what` when [`PATIENCE`] has passed.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        pause(LOOK_EVERY);
    }
}

/// As [`until`], for a condition.
#[track_caller]
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// Lets time pass where time itself is the matter: the pace of a slow line, the age of an answer.
pub fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// A gate at which one side waits until the other opens it; clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody pass, now and later.
    pub fn open(&self) {
        self.0.0.lock().expect("no holder panics").open = true;
        self.0.1.notify_all();
    }

    /// Waits until somebody stands at the gate or has passed it.
    #[track_caller]
    pub fn wait_for_arrival(&self) {
        assert!(self.wait(|state| state.arrived > 0), "nobody came to the gate within {PATIENCE:?}");
    }

    /// Arrives and waits until the gate is open; `false` if nobody opened it in time.
    pub fn pass(&self) -> bool {
        self.0.0.lock().expect("no holder panics").arrived += 1;
        self.0.1.notify_all();
        self.wait(|state| state.open)
    }

    fn wait(&self, done: impl Fn(&State) -> bool) -> bool {
        let state = self.0.0.lock().expect("no holder panics");
        let (_state, waited) =
            self.0.1.wait_timeout_while(state, PATIENCE * 2, |state| !done(state)).expect("no holder panics");
        !waited.timed_out()
    }
}
