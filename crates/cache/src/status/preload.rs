//! What is told of preloading.

use std::time::SystemTime;

use crate::options::Mode;

/// How preloading stands, for one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct PreloadStatus {
    /// Its name.
    pub upstream: String,
    /// Its mount.
    pub mount: String,
    /// Its mode.
    pub mode: Mode,
    /// What is on now.
    pub state: PreloadState,
    /// Its windows, as written.
    pub schedule: Vec<String>,
    /// When it should be done, in place of windows.
    pub ready_by: Option<ReadyByStatus>,
    /// When something begins by the clock, unless something is on.
    pub next: Option<SystemTime>,
    /// When the window closes that is open.
    pub closes: Option<SystemTime>,
    /// Over the line, while something is on its way and once it is known.
    pub bytes_per_second: Option<u64>,
    /// The round by the clock: the one that is on, else the last.
    pub scheduled: Option<PreloadRound>,
    /// What was asked for: what is on, else the last.
    pub on_demand: Option<PreloadRound>,
    /// Files on their way.
    pub running: Vec<Preloading>,
    /// The last files that failed, the latest first.
    pub failures: Vec<PreloadedFailed>,
}

/// What is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreloadState {
    /// Nothing is preloaded (mode `fetch`).
    Off,
    /// Nothing but what somebody asks for.
    OnDemand,
    /// For the next window, or until it is looked for changes again.
    Waiting,
    /// The upstream is asked what there is.
    Listing,
    /// Files are on their way.
    Fetching,
    /// The window has closed; what is on its way comes to its end.
    Finishing,
    /// Files failed, and are tried again after a pause.
    Retrying,
    /// The upstream cannot be reached.
    Unreachable,
}

impl PreloadState {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnDemand => "on-demand",
            Self::Waiting => "waiting",
            Self::Listing => "listing",
            Self::Fetching => "fetching",
            Self::Finishing => "finishing",
            Self::Retrying => "retrying",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A time to be ready by.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyByStatus {
    /// As written.
    pub text: String,
    /// The next.
    pub deadline: SystemTime,
    /// `unknown`, `in-time`, `tight` or `late`, at the measured rate.
    pub outlook: &'static str,
    /// It was warned that it will not be in time, and nothing better was seen since.
    pub is_late: bool,
}

/// Some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// How many.
    pub files: u64,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
}

/// A round.
#[derive(Clone, Debug, PartialEq)]
pub struct PreloadRound {
    /// When it began.
    pub began: SystemTime,
    /// When it was done.
    pub ended: Option<SystemTime>,
    /// Whether it is still looked what there is.
    pub is_listing: bool,
    /// All of it.
    pub total: Files,
    /// Of that, what was here already.
    pub here: Files,
    /// What has come.
    pub fetched: Files,
    /// What is still to come.
    pub left: Files,
    /// What the cache is too small for, beside all that.
    pub beyond: Files,
    /// Files that could not be had.
    pub failed: u64,
    /// Files that were gone before it was their turn.
    pub gone: u64,
    /// Bytes that crossed the line.
    pub line_bytes: u64,
    /// At the measured rate.
    pub seconds_left: Option<f64>,
    /// Folders that were listed.
    pub folders: u64,
    /// Entries of them.
    pub entries: u64,
    /// Folders that lead back to one that they are in.
    pub circles: u64,
    /// Folders that could not be listed.
    pub unreadable: u64,
    /// Whether the listing was cut, for it was too long or too deep.
    pub is_cut: bool,
}

impl PreloadRound {
    /// How much of it is here, from 0 to 100.
    pub fn percent(&self) -> f64 {
        match (self.total.bytes, self.total.files) {
            (0, 0) => {
                if self.ended.is_some() {
                    100.0
                } else {
                    0.0
                }
            }
            (0, files) => (files - self.left.files.min(files)) as f64 * 100.0 / files as f64,
            (bytes, _) => (bytes - self.left.bytes.min(bytes)) as f64 * 100.0 / bytes as f64,
        }
    }
}

/// A file on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Preloading {
    /// As clients ask for it.
    pub path: String,
    /// Bytes here.
    pub fetched: u64,
    /// Bytes in all, if known.
    pub total: Option<u64>,
    /// When it began.
    pub began: SystemTime,
    /// Whether somebody asked for it.
    pub is_on_demand: bool,
}

/// A file that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct PreloadedFailed {
    /// As clients ask for it.
    pub path: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}
