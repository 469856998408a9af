//! How a long work stands: what it has done and found wrong, how quick it is, whether it is to stop. There is at most one of a kind at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::pace::{self, Pace};

/// Files that are named with what is wrong with them; of the others only the number is told.
pub const PROBLEMS_MAX: usize = 100;

/// Where a work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It looks how much there is to do.
    Counting,
    /// It does it.
    Running,
    /// It was done to its end, whatever was wrong with some of it.
    Done,
    /// It was told to stop. Begun again, it goes on there.
    Stopped,
    /// It could not be done.
    Failed,
}

impl State {
    /// Whether nothing more will come.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done | Self::Stopped | Self::Failed)
    }
}

/// What became of one file, or of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was here before, under its name or as an object of a bundle.
    Known,
    /// It came in as it was, and left its old place.
    Moved,
    /// Its blocks are shared with the file at its old place.
    Linked,
    /// It was copied.
    Copied,
    /// It is no file that can be asked for.
    Skipped(&'static str),
    /// There is no room for it.
    NoRoom(String),
    /// It could not be taken.
    Failed(String),
    /// The work was told to stop in the middle of it.
    Stopped,
}

/// One thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// With what: a path below the directory, or as clients ask for it.
    pub path: String,
    /// What it was.
    pub reason: String,
}

#[derive(Default)]
struct Counts {
    files_total: AtomicU64,
    bytes_total: AtomicU64,
    files_done: AtomicU64,
    bytes_done: AtomicU64,
    bytes_moved: AtomicU64,
    known: AtomicU64,
    moved: AtomicU64,
    linked: AtomicU64,
    copied: AtomicU64,
    names: AtomicU64,
    skipped: AtomicU64,
    no_room: AtomicU64,
    failed: AtomicU64,
}

/// A work, running or ended.
pub struct Job {
    subject: String,
    began_at: SystemTime,
    began: Instant,
    counts: Counts,
    stop: AtomicBool,
    state: watch::Sender<State>,
    /// When it ended.
    ended: Mutex<Option<Instant>>,
    troubles: Mutex<Vec<Trouble>>,
    /// What it failed of, or what came of it.
    said: Mutex<Option<String>>,
    pace: Mutex<Pace>,
}

/// A work at one moment. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The directory or the bundle.
    pub subject: String,
    /// Where it is.
    pub state: State,
    /// What it failed of, or what came of it.
    pub detail: Option<String>,
    /// Files, or objects of a bundle; right when they are counted.
    pub files_total: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Files that are done with, whatever became of them.
    pub files_done: u64,
    /// Bytes that are done with.
    pub bytes_done: u64,
    /// Here before.
    pub known: u64,
    /// Moved in.
    pub moved: u64,
    /// With shared blocks.
    pub linked: u64,
    /// Copied.
    pub copied: u64,
    /// Names that stand for something now.
    pub names: u64,
    /// No files.
    pub skipped: u64,
    /// For want of room.
    pub no_room: u64,
    /// For other reasons.
    pub failed: u64,
    /// Bytes per second that are read, of late.
    pub rate: Option<u64>,
    /// For what is left, at this rate; in seconds.
    pub seconds_left: Option<u64>,
    /// Since it began, in seconds.
    pub seconds: f64,
    /// When it began.
    #[serde(skip)]
    pub began: SystemTime,
    /// The first of what was wrong.
    pub problems: Vec<Trouble>,
}

impl Job {
    pub(crate) fn new(subject: String) -> Arc<Self> {
        Arc::new(Self {
            subject,
            began_at: SystemTime::now(),
            began: Instant::now(),
            counts: Counts::default(),
            stop: AtomicBool::new(false),
            state: watch::Sender::new(State::Counting),
            ended: Mutex::default(),
            troubles: Mutex::default(),
            said: Mutex::default(),
            pace: Mutex::default(),
        })
    }

    /// The directory or the bundle.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Tells it to stop; it does so within a piece of a file.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        // The sender is ours: it is there as long as we are.
        let _ = self.state.subscribe().wait_for(State::is_end).await;
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        !self.state.borrow().is_end()
    }

    /// As it stands.
    pub fn status(&self) -> Status {
        let ended = *self.ended.lock();
        let time = ended.map_or_else(|| self.began.elapsed(), |ended| ended - self.began);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        let (done, total) = (of(&counts.bytes_done), of(&counts.bytes_total));
        let rate = match ended {
            None => self.pace.lock().at(time, of(&counts.bytes_moved)),
            Some(_) => Some(of(&counts.bytes_moved) as f64 / time.max(Duration::from_millis(1)).as_secs_f64()),
        };
        let state = *self.state.borrow();
        let left =
            rate.filter(|_| state == State::Running).and_then(|rate| pace::left(total.saturating_sub(done), rate));
        Status {
            subject: self.subject.clone(),
            detail: self.said.lock().clone(),
            files_total: of(&counts.files_total),
            bytes_total: total,
            files_done: of(&counts.files_done),
            bytes_done: done,
            known: of(&counts.known),
            moved: of(&counts.moved),
            linked: of(&counts.linked),
            copied: of(&counts.copied),
            names: of(&counts.names),
            skipped: of(&counts.skipped),
            no_room: of(&counts.no_room),
            failed: of(&counts.failed),
            rate: rate.map(|rate| rate as u64),
            seconds_left: left.map(|left| left.as_secs()),
            seconds: time.as_secs_f64(),
            began: self.began_at,
            problems: self.troubles.lock().clone(),
            state,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// One more file that there is to do.
    pub(crate) fn count(&self, bytes: u64) {
        add(&self.counts.files_total, 1);
        add(&self.counts.bytes_total, bytes);
    }

    /// Everything is counted.
    pub(crate) fn begin(&self) {
        self.state.send_replace(State::Running);
    }

    /// Bytes were read. Whether to go on.
    pub(crate) fn go_on(&self, bytes: u64) -> bool {
        add(&self.counts.bytes_done, bytes);
        add(&self.counts.bytes_moved, bytes);
        !self.is_stopped()
    }

    /// Bytes that need not be read after all.
    pub(crate) fn spare(&self, bytes: u64) {
        add(&self.counts.bytes_done, bytes);
    }

    pub(crate) fn named(&self) {
        add(&self.counts.names, 1);
    }

    /// A file is done with.
    pub(crate) fn note(&self, path: impl FnOnce() -> String, outcome: Outcome) {
        let counts = &self.counts;
        let (count, reason) = match outcome {
            Outcome::Known => (&counts.known, None),
            Outcome::Moved => (&counts.moved, None),
            Outcome::Linked => (&counts.linked, None),
            Outcome::Copied => (&counts.copied, None),
            Outcome::Skipped(reason) => {
                add(&counts.skipped, 1);
                return self.trouble(path, reason.into());
            }
            Outcome::NoRoom(reason) => (&counts.no_room, Some(reason)),
            Outcome::Failed(reason) => (&counts.failed, Some(reason)),
            Outcome::Stopped => return,
        };
        add(count, 1);
        add(&counts.files_done, 1);
        if let Some(reason) = reason {
            self.trouble(path, reason);
        }
    }

    /// Something is wrong that is no file.
    pub(crate) fn fault(&self, path: impl FnOnce() -> String, reason: String) {
        add(&self.counts.failed, 1);
        self.trouble(path, reason);
    }

    fn trouble(&self, path: impl FnOnce() -> String, reason: String) {
        let mut troubles = self.troubles.lock();
        if troubles.len() < PROBLEMS_MAX {
            troubles.push(Trouble { path: path(), reason });
        }
    }

    /// It is over: done or stopped, or failed of what is said.
    pub(crate) fn end(&self, result: Result<Option<String>, String>) {
        *self.ended.lock() = Some(Instant::now());
        let (state, said) = match result {
            _ if self.is_stopped() => (State::Stopped, None),
            Ok(said) => (State::Done, said),
            Err(why) => (State::Failed, Some(why)),
        };
        *self.said.lock() = said;
        self.state.send_replace(state);
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// The place for one kind of work: the one that runs, or the last.
#[derive(Default)]
pub struct Slot {
    job: Mutex<Option<Arc<Job>>>,
    is_closed: AtomicBool,
}

/// Another one runs, or the program is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

impl Slot {
    /// Begins one unless another runs. `begin` must be short.
    pub fn begin<E>(&self, begin: impl FnOnce() -> Result<Arc<Job>, E>) -> Result<Result<Arc<Job>, E>, Taken> {
        let mut slot = self.job.lock();
        if self.is_closed.load(Ordering::Acquire) || slot.as_ref().is_some_and(|job| job.is_running()) {
            return Err(Taken);
        }
        let begun = begin();
        if let Ok(job) = &begun {
            *slot = Some(job.clone());
        }
        Ok(begun)
    }

    /// The one that runs, or the last.
    pub fn last(&self) -> Option<Arc<Job>> {
        self.job.lock().clone()
    }

    /// The program is ending: no other begins, and the one that runs is told to stop.
    pub fn stop(&self) {
        self.is_closed.store(true, Ordering::Release);
        if let Some(job) = self.last() {
            job.stop();
        }
    }

    /// Waits until none runs.
    pub async fn ended(&self) {
        if let Some(job) = self.last() {
            job.ended().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_none_at_the_end() {
        let slot = Slot::default();
        let begin = || slot.begin(|| Ok::<_, ()>(Job::new("/x".into())));
        let first = begin().unwrap().unwrap();
        assert_eq!(begin().map(drop), Err(Taken));
        first.end(Ok(None));
        let second = begin().unwrap().unwrap();
        slot.stop();
        let (closing, ending) = (slot.ended(), async {
            while !second.is_stopped() {
                tokio::task::yield_now().await;
            }
            second.end(Err("not this".into()));
        });
        tokio::join!(closing, ending);
        assert_eq!((second.status().state, first.status().state), (State::Stopped, State::Done));
        assert_eq!(begin().map(drop), Err(Taken));
    }

    #[test]
    fn what_is_wrong_is_told_up_to_a_limit() {
        let job = Job::new("/x".into());
        job.count(10);
        job.begin();
        for _ in 0..2 * PROBLEMS_MAX {
            job.note(|| "a".into(), Outcome::Failed("b".into()));
        }
        job.note(|| "c".into(), Outcome::Skipped("no file"));
        let status = job.status();
        assert_eq!((status.failed, status.skipped, status.problems.len()), (200, 1, PROBLEMS_MAX));
        assert_eq!((status.files_done, status.files_total), (200, 1));
    }
}
