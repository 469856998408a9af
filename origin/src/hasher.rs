//! Reads files for their digests, on threads of its own. A digest is kept only if the file was the same before and after the reading, and had
//! not been changed just before: within one tick of a file system's clock a file can change and keep its times.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::Ordering, mpsc::Sender},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use os::{
    engine::Engine,
    share::{Found, Identity, Share},
};
use protocol::digest::{Digests, DigestsHasher};
use tokio::runtime::Handle;
use tracing::{debug, warn};

use crate::{
    catalogue::{Catalogue, CatalogueError, shown},
    counters::Counters,
    queue::{Outcome, Queue, Takes},
};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Bytes that are asked for ahead of the reading, so that a network mount is never waited for piece by piece.
const AHEAD: u64 = 8 << 20;

/// What the threads share.
pub(crate) struct Hasher {
    pub(crate) share: Arc<Share>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) engine: Engine,
    /// For reading ahead.
    pub(crate) runtime: Handle,
    /// How long a file must have been unchanged.
    pub(crate) settle: Duration,
}

/// Why a file was not hashed.
#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// It is not what it was when the reading began.
    #[error("the file changed while it was read")]
    Changed,
    /// The program ends.
    #[error("this server is stopping")]
    Stopped,
}

impl Hasher {
    /// Two threads: one takes everything, the other only what clients wait for. They end when the queue is closed, and drop `alive`.
    pub(crate) fn start(self, alive: &Sender<()>) -> io::Result<Vec<thread::JoinHandle<()>>> {
        let this = Arc::new(self);
        [("hash", Takes::Everything), ("hash-asked", Takes::Asked)]
            .into_iter()
            .map(|(name, takes)| {
                let (this, alive) = (this.clone(), alive.clone());
                thread::Builder::new().name(name.into()).spawn(move || {
                    this.run(takes);
                    drop((this, alive));
                })
            })
            .collect()
    }

    fn run(&self, takes: Takes) {
        let mut buffer = vec![0; PIECE];
        while let Some(path) = self.queue.next(takes) {
            let outcome = self.look_at(&path, &mut buffer);
            self.queue.finish(path, outcome);
            self.counters.pending.store(self.queue.len() as u64, Ordering::Relaxed);
        }
    }

    fn look_at(&self, path: &[u8], buffer: &mut [u8]) -> Outcome {
        match self.hash_at(path, buffer) {
            Ok(outcome) => outcome,
            Err(HashError::Stopped) => Outcome::Finished,
            Err(HashError::Changed) => {
                self.counters.changed_while_hashing.fetch_add(1, Ordering::Relaxed);
                debug!(path = shown(path), "changed while it was read for its digest; will be read again");
                Outcome::Unsettled(self.settle)
            }
            Err(HashError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Outcome::Finished,
            Err(error) => {
                self.counters.hash_errors.fetch_add(1, Ordering::Relaxed);
                warn!(path = shown(path), %error, "a file has no digest, for it cannot be read; it is tried again at the next rescan");
                Outcome::Finished
            }
        }
    }

    fn hash_at(&self, path: &[u8], buffer: &mut [u8]) -> Result<Outcome, HashError> {
        let Found::File(file, identity) = self.share.find(path)? else { return Ok(Outcome::Finished) };
        if self.catalogue.digests(path, &identity)?.is_some() {
            return Ok(Outcome::Finished);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(wait) = until_settled(&identity, now, self.settle) {
            return Ok(Outcome::Unsettled(wait));
        }
        let digests = self.read(Arc::new(file), &identity, buffer)?;
        self.catalogue.record(path, &identity, &digests)?;
        self.counters.hashed.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Finished)
    }

    fn read(&self, file: Arc<File>, identity: &Identity, buffer: &mut [u8]) -> Result<Digests, HashError> {
        let mut hasher = DigestsHasher::default();
        let (mut position, mut ahead) = (0, 0);
        while position < identity.size {
            if position >= ahead {
                // Once in every window: stop early if the program ends or the reading has become useless.
                if self.queue.is_closed() {
                    return Err(HashError::Stopped);
                }
                unchanged(&file, identity)?;
                self.read_ahead(&file, position);
                ahead = position + AHEAD;
            }
            let wanted = buffer.len().min(usize::try_from(identity.size - position).unwrap_or(usize::MAX));
            let count = file.read_at(&mut buffer[..wanted], position)?;
            if count == 0 {
                return Err(HashError::Changed);
            }
            hasher.update(&buffer[..count]);
            position += count as u64;
            self.counters.hashed_bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
        unchanged(&file, identity)?;
        Ok(hasher.finish())
    }

    /// Asks for the next window but one; nobody waits for it, and a failure shows when it is read.
    fn read_ahead(&self, file: &Arc<File>, position: u64) {
        let (engine, file) = (self.engine.clone(), file.clone());
        self.runtime.spawn(async move { engine.read_ahead(file, position, 2 * AHEAD).await });
    }
}

fn unchanged(file: &File, identity: &Identity) -> Result<(), HashError> {
    if Identity::of(file)? == *identity { Ok(()) } else { Err(HashError::Changed) }
}

/// How long to wait until a file has been unchanged for `settle`; `now` counts from 1970. A time that lies in the future (a clock that is
/// wrong) tells nothing, so it is not waited for.
fn until_settled(identity: &Identity, now: Duration, settle: Duration) -> Option<Duration> {
    let changed = Duration::from_nanos(u64::try_from(identity.modified.max(identity.changed)).unwrap_or(0));
    let age = now.checked_sub(changed)?;
    settle.checked_sub(age).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use os::engine::Choice;

    use super::*;

    fn hasher(share: &std::path::Path, state: &std::path::Path) -> Hasher {
        Hasher {
            share: Arc::new(Share::open(share).expect("opens")),
            catalogue: Arc::new(Catalogue::open(&state.join("db"), share).expect("opens")),
            queue: Arc::new(Queue::new()),
            counters: Arc::default(),
            engine: Engine::start(Choice::Threads).expect("starts"),
            runtime: Handle::current(),
            settle: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_gets_no_digest() {
        let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
        let hasher = hasher(share.path(), state.path());
        let path = share.path().join("f");
        fs::write(&path, "0123456789").expect("written");
        let open = || Arc::new(File::open(&path).expect("opens"));
        let identity = Identity::of(&open()).expect("stat");
        let mut buffer = [0; 4];
        let mut read = |identity: &Identity| hasher.read(open(), identity, &mut buffer);

        assert_eq!(read(&identity).expect("reads"), Digests::of(b"0123456789"));
        let earlier = Identity { changed: identity.changed - 1, ..identity };
        assert!(matches!(read(&earlier), Err(HashError::Changed)));
        fs::write(&path, "01234").expect("written");
        assert!(matches!(read(&identity), Err(HashError::Changed)));
        hasher.queue.close();
        assert!(matches!(read(&Identity::of(&open()).expect("stat")), Err(HashError::Stopped)));
    }

    #[tokio::test]
    async fn what_is_known_is_not_read_again_and_what_is_gone_is_finished() {
        let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
        let hasher = hasher(share.path(), state.path());
        fs::write(share.path().join("f"), "abc").expect("written");
        let mut buffer = [0; 4];
        for path in ["f", "f", "none"] {
            assert_eq!(hasher.look_at(path.as_bytes(), &mut buffer), Outcome::Finished);
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&hasher.counters.hashed), count(&hasher.counters.hash_errors)), (1, 0));
    }

    #[test]
    fn a_file_is_hashed_when_it_has_been_quiet() {
        let second = Duration::from_secs(1);
        let identity = |modified: u64, changed: u64| Identity {
            device: 1,
            inode: 1,
            size: 1,
            modified: i128::from(modified) * 1_000_000_000,
            changed: i128::from(changed) * 1_000_000_000,
        };
        for (modified, changed, now, expected) in [
            (10, 10, 100, None),
            (10, 10, 12, None),
            (10, 10, 11, Some(second)),
            (10, 10, 10, Some(2 * second)),
            // Copied with its old time: the inode's change counts.
            (1, 10, 11, Some(second)),
            // From the future.
            (500, 10, 11, None),
        ] {
            let wait = until_settled(&identity(modified, changed), now * second, 2 * second);
            assert_eq!(wait, expected, "{modified} {changed} {now}");
        }
        assert_eq!(until_settled(&identity(10, 10), 10 * second, Duration::ZERO), None);
    }
}
