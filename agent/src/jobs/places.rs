//! What lies where below the directory of jobs: each tree where its job says, and all else below `.outpost`.

use std::path::{Path, PathBuf};

/// The directory of jobs.
#[derive(Clone, Debug)]
pub(super) struct Places(PathBuf);

impl Places {
    pub(super) fn new(top: &Path) -> Self {
        Self(top.to_owned())
    }

    /// The directory itself.
    pub(super) fn top(&self) -> &Path {
        &self.0
    }

    /// Where a job's package is kept. Whoever assigned it has seen to it that this leads nowhere else.
    pub(super) fn tree(&self, dir: &str) -> PathBuf {
        self.0.join(dir)
    }

    /// What is remembered of all jobs.
    pub(super) fn records(&self) -> PathBuf {
        self.0.join(".outpost")
    }

    /// What is remembered of one.
    pub(super) fn record(&self, name: &str) -> PathBuf {
        self.records().join(format!("{name}.json"))
    }

    /// Which of its files were seen to be right.
    pub(super) fn seen(&self, name: &str) -> PathBuf {
        self.records().join(format!("{name}.seen"))
    }

    /// What its command has printed.
    pub(super) fn output(&self, name: &str) -> PathBuf {
        self.records().join(format!("{name}.output"))
    }

    /// Where its next tree is made.
    pub(super) fn new_tree(&self, name: &str) -> PathBuf {
        self.records().join("new").join(name)
    }

    /// What was found where a new tree belongs and is not ours.
    pub(super) fn left(&self, name: &str) -> PathBuf {
        self.records().join("left").join(name)
    }
}
