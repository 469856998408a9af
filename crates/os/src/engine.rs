//! The disk side: writes, syncs and reads ahead that must not block a reactor. io_uring on a thread of its own where the
//! kernel allows it, otherwise a small pool of threads; the callers cannot tell.
//!
//! An operation owns its file and its buffers until the kernel is done with them: a dropped future leaves both in the slab.

use std::{fs::File, io, sync::Arc};

use bytes::Bytes;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring if a probe succeeds, else threads.
    #[default]
    Auto,
    /// io_uring or an error.
    Uring,
    /// Threads.
    Threads,
}

/// Handle to the engine; clones share it. Dropping the last one ends its threads after what is in flight.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Probes once and starts. Never fails for [`Choice::Auto`].
    pub fn start(_choice: Choice) -> io::Result<Self> {
        todo!()
    }

    /// For the log line at start: `io_uring`, or `threads (io_uring: Operation not permitted)`.
    pub fn describe(&self) -> String {
        todo!()
    }

    /// Writes all pieces one after the other at `offset`, wholly or with an error. Dropping the future does not stop the write.
    pub async fn write_at(&self, _file: Arc<File>, _pieces: Vec<Bytes>, _offset: u64) -> io::Result<()> {
        todo!()
    }

    /// `fdatasync`, or `fsync` with `metadata`. Works on directories too.
    pub async fn sync(&self, _file: Arc<File>, _metadata: bool) -> io::Result<()> {
        todo!()
    }

    /// Reads up to `len` bytes at `offset`; short only at the end of the file.
    pub async fn read_at(&self, _file: Arc<File>, _offset: u64, _len: usize) -> io::Result<Vec<u8>> {
        todo!()
    }

    /// Brings `offset..offset + len` into the page cache and completes when it is there.
    pub async fn read_ahead(&self, _file: Arc<File>, _offset: u64, _len: u64) -> io::Result<()> {
        todo!()
    }
}
