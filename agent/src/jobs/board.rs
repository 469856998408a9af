//! How jobs stand, for whoever asks: the origin by reports, people of this machine by `status` and `jobs`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Instant, SystemTime},
};

use parking_lot::Mutex;
use protocol::{
    jobs::{Job, JobState, State},
    plain::shortened,
    timestamp::rfc3339,
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// All of them. Each change is announced.
pub(crate) struct Board {
    jobs: Mutex<BTreeMap<String, Shown>>,
    changes: watch::Sender<u64>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) job: Job,
    pub(super) state: JobState,
    pub(super) dir: PathBuf,
    pub(super) output: PathBuf,
    pub(super) next: Option<Instant>,
    /// How many files it has, where that is known.
    pub(super) files: Option<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self { jobs: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Board {
    /// A job is looked after from now on, with what was known of it.
    pub(super) fn put(&self, shown: Shown) {
        self.jobs.lock().insert(shown.job.name.clone(), shown);
        self.changes.send_modify(|count| *count += 1);
    }

    /// A job is this machine's no more.
    pub(super) fn take(&self, name: &str) {
        if self.jobs.lock().remove(name).is_some() {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Something else is to be said of one, as its state is now.
    pub(super) fn say(&self, name: &str, change: impl FnOnce(&mut JobState)) -> Option<JobState> {
        let mut jobs = self.jobs.lock();
        let shown = jobs.get_mut(name)?;
        let before = shown.state.clone();
        change(&mut shown.state);
        if shown.state.state != before.state {
            shown.state.since = rfc3339(SystemTime::now());
        }
        shown.state.detail = shortened(&shown.state.detail);
        let now = shown.state.clone();
        drop(jobs);
        if now != before {
            self.changes.send_modify(|count| *count += 1);
        }
        Some(now)
    }

    /// What is of interest on this machine only.
    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut Shown)) {
        if let Some(shown) = self.jobs.lock().get_mut(name) {
            change(shown);
        }
    }

    /// As they stand.
    pub(crate) fn states(&self) -> Vec<JobState> {
        self.jobs.lock().values().map(|shown| shown.state.clone()).collect()
    }

    /// Told when that is another.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// For people and scripts of this machine. `pinned` tells how many files of a package are pinned in the cache.
    pub(super) fn shown(&self, now: Instant, pinned: impl Fn(&str) -> u64) -> Vec<Value> {
        let of = |shown: &Shown| {
            let mut value = serde_json::to_value(&shown.state).unwrap_or_default();
            value["package"] = shown.job.package.clone().into();
            value["dir"] = shown.dir.display().to_string().into();
            value["output_file"] = shown.output.display().to_string().into();
            value["again_in"] = shown.next.map(|next| next.saturating_duration_since(now).as_secs()).into();
            let of_package = |of: u64| json!({ "files": pinned(&shown.job.package).min(of), "of": of });
            value["pinned"] = shown.files.map_or(Value::Null, of_package);
            value
        };
        self.jobs.lock().values().map(of).collect()
    }
}

/// Of a job of which nothing is known yet.
pub(super) fn unknown(name: &str) -> JobState {
    JobState {
        name: name.into(),
        state: State::Waiting,
        detail: String::new(),
        since: rfc3339(SystemTime::now()),
        version: None,
        generation: 0,
        tree: None,
        exit: None,
        output: String::new(),
    }
}
