//! Who got what: a line per request, written by a thread of its own behind a bounded queue, so that a slow disk never slows an answer.
//! Lines that find the queue full are counted and dropped.

use std::{io, path::Path};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Apache's combined format, with the cache's word (`HIT`, `MISS`, ...) and the seconds as two more fields at the end.
    #[default]
    Combined,
    /// One JSON object per line.
    Json,
}

/// Handle to the writer; clones share it.
#[derive(Clone)]
pub struct AccessLog {}

impl AccessLog {
    /// To a file (appended) or, for `-`, to standard output.
    pub fn open(_path: &Path, _format: Format) -> io::Result<Self> {
        todo!()
    }

    /// Opens the file anew (after a rotation).
    pub fn reopen(&self) -> io::Result<()> {
        todo!()
    }

    /// Lines dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        todo!()
    }
}
