//! What a store is opened with.

use std::{path::PathBuf, time::Duration};

use crate::space::pins::Pinning;

/// A size, or a part of the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Bytes.
    Bytes(u64),
    /// Percent of the file system's size, 0 to 100.
    Percent(f64),
}

impl Limit {
    /// Bytes, of a file system of this size.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (total as f64 * percent / 100.0) as u64,
        }
    }
}

/// Options of a store, typed and checked by `config`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cache directory; made if it is not there, refused if it is not empty and not ours.
    pub dir: PathBuf,
    /// Most bytes on disk, everything in the directory counted.
    pub max_size: Limit,
    /// Least bytes that stay free on the disk.
    pub min_free: Limit,
    /// How the disk is reached.
    pub engine: os::engine::Choice,
    /// The tail of an object that followers do not get before it is verified, in bytes.
    pub withheld_tail: u64,
    /// Bytes of one fill that may be received but not yet written and hashed.
    pub fill_buffer_max: u64,
    /// A part that nobody continued for so long is removed.
    pub part_age_max: Duration,
    /// Rejected parts kept for inspection, in bytes (0: none are kept).
    pub quarantine_max: u64,
    /// How many objects' files are kept open, ready to be sent.
    pub open_files_max: usize,
    /// Bytes of small bodies that are asked for often and kept in memory (0: none).
    pub hot_bytes_max: u64,
    /// Bytes of what is written down of objects' lives, for people (0: nothing is). At most a 32nd of `max_size`.
    pub history_max: u64,
    /// What of the names is pinned from the start on.
    pub pinning: Pinning,
    /// How many names the table holds; beyond, those of contents that are not here go first.
    pub names_max: usize,
}

impl Options {
    /// The defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_size: Limit::Percent(80.0),
            min_free: Limit::Percent(5.0),
            engine: os::engine::Choice::Auto,
            withheld_tail: 64 << 10,
            fill_buffer_max: 4 << 20,
            part_age_max: Duration::from_secs(7 * 86_400),
            quarantine_max: 1 << 30,
            open_files_max: 4096,
            hot_bytes_max: 64 << 20,
            history_max: 64 << 20,
            pinning: Pinning::default(),
            names_max: 4_000_000,
        }
    }
}

/// Why a store cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another instance runs on it.
    #[error(
        "the cache directory {dir} is in use by another running instance: {source}; stop that one, or choose another directory"
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it.
        source: std::io::Error,
    },
    /// There are files in it that we did not make.
    #[error(
        "the directory {dir} is not empty and not an Outpost cache, and nothing in it was touched; choose an empty or a new directory"
    )]
    NotOurs {
        /// The directory.
        dir: PathBuf,
    },
    /// Made by a newer version.
    #[error(
        "the cache directory {dir} has format {found}, and this version knows format {known}; use the version of Outpost that made it, or choose another directory"
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What it has.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// The limits make no sense together.
    #[error("the limits of the cache make no sense: {reason}")]
    Limits {
        /// Which and why.
        reason: String,
    },
    /// The file system says no.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `create`, `write to`, ...
        action: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
