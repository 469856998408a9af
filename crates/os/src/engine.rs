//! The disk side: writes, syncs and reads ahead that must not block a reactor. A small pool of threads, or io_uring on a thread of its own;
//! the callers cannot tell.
//!
//! What we do here is buffered. The kernel gives buffered writes of a ring to workers of its own, so that a fill costs the same either way;
//! and a ring can bring bytes into memory only by copying them, where a thread lets `sendfile` throw them away: with 4 readers of cold
//! files, 1.6 times the throughput. That is why threads are the default.
//!
//! An operation owns its file and its buffers until the kernel is done with them: a dropped future leaves both in the slab.
//!
//! | an operation | where it is | leaves by |
//! |---|---|---|
//! | asked for | in the caller's future, waiting for one of `IN_FLIGHT_MAX` places | a place is free; or the future is dropped: it never was |
//! | submitted | in the channel to the backend | the backend takes it |
//! | in flight | in the slab of `uring`, or on the stack of a thread of `threads` | wholly done, or an error; parts are continued |
//! | done | its result in the oneshot of the future | the future takes it, or is gone |

mod operation;
mod threads;
mod uring;

use std::{fs::File, io, sync::Arc};

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use self::operation::{Operation, Work};

/// Operations submitted and not yet done, over all callers; who comes then waits. Enough to keep a fast disk busy, few
/// enough that the buffers they own stay small change.
pub(crate) const IN_FLIGHT_MAX: usize = 128;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What measures better today: threads.
    #[default]
    Auto,
    /// io_uring or an error.
    Uring,
    /// Threads.
    Threads,
}

/// Handle to the engine; clones share it. Dropping the last one ends its threads after what is in flight.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Backend,
    /// Not an operation is submitted without one of these.
    places: Arc<Semaphore>,
    description: String,
}

/// Who does the work.
#[derive(Debug)]
enum Backend {
    Uring(uring::Ring),
    Threads(threads::Pool),
}

impl Engine {
    /// Starts it; io_uring is tried out first.
    pub fn start(choice: Choice) -> io::Result<Self> {
        let (backend, description) = match choice {
            Choice::Auto | Choice::Threads => (Backend::Threads(threads::Pool::start()?), "threads".to_owned()),
            Choice::Uring => (Backend::Uring(uring::Ring::start().map_err(refused)?), "io_uring".to_owned()),
        };
        let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Ok(Self { shared: Arc::new(Shared { backend, places, description }) })
    }

    /// For the log line at start and the status: `threads`, `io_uring`, or why the latter was given up.
    pub fn describe(&self) -> String {
        match &self.shared.backend {
            Backend::Uring(ring) => match ring.failure() {
                Some(error) => format!("threads (io_uring failed: {error})"),
                None => self.shared.description.clone(),
            },
            Backend::Threads(_) => self.shared.description.clone(),
        }
    }

    /// Writes all pieces one after the other at `offset`, wholly or with an error. Dropping the future does not stop a write
    /// that was submitted; one that still waited for its place never happens.
    pub async fn write_at(&self, file: Arc<File>, pieces: Vec<Bytes>, offset: u64) -> io::Result<()> {
        self.run(file, Work::write(pieces, offset)).await.map(drop)
    }

    /// `fdatasync`, or `fsync` with `metadata`. Works on directories too.
    pub async fn sync(&self, file: Arc<File>, metadata: bool) -> io::Result<()> {
        self.run(file, Work::Sync { metadata }).await.map(drop)
    }

    /// Reads up to `len` bytes at `offset`; short only at the end of the file.
    pub async fn read_at(&self, file: Arc<File>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.run(file, Work::read(offset, len)).await
    }

    /// Brings `offset..offset + len` into the page cache and completes when it is there. The kernel may take a page back at any
    /// moment, so send after it without looking again: who insists on residency may wait for ever.
    pub async fn read_ahead(&self, file: Arc<File>, offset: u64, len: u64) -> io::Result<()> {
        self.run(file, Work::ReadAhead { offset, end: offset.saturating_add(len) }).await.map(drop)
    }

    /// Submits and waits. Dropping it after the submission leaves the operation to the backend, which finishes it.
    async fn run(&self, file: Arc<File>, work: Work) -> io::Result<Vec<u8>> {
        let place = self.shared.places.clone().acquire_owned().await.map_err(|_| stopped())?;
        let (reply, result) = oneshot::channel();
        self.shared.backend.submit(Operation::new(file, work, reply, place));
        result.await.map_err(|_| stopped())?
    }
}

impl Backend {
    fn submit(&self, operation: Operation) {
        match self {
            Self::Uring(ring) => ring.submit(operation),
            Self::Threads(pool) => pool.submit(operation),
        }
    }
}

/// The backend is gone, which happens only after an error that it has logged.
fn stopped() -> io::Error {
    io::Error::other("the disk engine has stopped after an earlier error; restart the program")
}

/// Why io_uring was refused, for an operator who insisted on it.
fn refused(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("the kernel allows no io_uring here: {error}"))
}

#[cfg(test)]
mod tests;
