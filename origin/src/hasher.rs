//! Reads files for their digests, on threads of its own. A digest is kept only if the file was the same before and after the reading, and had
//! not been changed just before: within one tick of a file system's clock a file can change and keep its times.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::Ordering, mpsc::Sender},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use os::{
    engine::Engine,
    share::{Found, Identity},
};
use protocol::{
    digest::Digests,
    pieces::{Pieces, PiecesHasher, has_several},
};
use tokio::runtime::Handle;
use tracing::{debug, warn};

use crate::{
    catalogue::{Catalogue, CatalogueError, Hashed, shown},
    counters::Counters,
    feed::Feed,
    published::Published,
    queue::{FilePath, Outcome, Queue, Takes},
};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Bytes that are asked for ahead of the reading, so that a network mount is never waited for piece by piece.
const AHEAD: u64 = 8 << 20;
/// Digests that are recorded together.
const BATCH_MAX: usize = 256;
/// For so long a digest waits for others to be recorded with it.
const BATCH_WAIT_MAX: Duration = Duration::from_millis(100);

/// What the threads share.
pub(crate) struct Hasher {
    pub(crate) share: Arc<dyn Published>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) engine: Engine,
    /// For reading ahead.
    pub(crate) runtime: Handle,
    /// How long a file must have been unchanged.
    pub(crate) settle: Duration,
}

/// Digests that were made and not recorded. Whoever waits for one of them waits until it is.
#[derive(Default)]
struct Batch {
    hashed: Vec<Hashed>,
    /// How many of them were read; the others were known.
    read: u64,
    since: Option<Instant>,
}

/// What came of a look at a file.
enum Looked {
    /// To be recorded.
    Hashed(Hashed),
    /// To be told once more.
    Known(Hashed),
    /// Nothing to be recorded.
    Done(Outcome),
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
        let mut batch = Batch::default();
        loop {
            let next = if batch.hashed.is_empty() { self.queue.next(takes) } else { self.queue.ready(takes) };
            match next {
                Some(path) => self.take(path, &mut batch, &mut buffer),
                None if batch.hashed.is_empty() => return,
                None => self.record(&mut batch),
            }
            if batch.is_due(Instant::now()) {
                self.record(&mut batch);
            }
            self.counters.pending.store(self.queue.len() as u64, Ordering::Relaxed);
        }
    }

    fn take(&self, path: FilePath, batch: &mut Batch, buffer: &mut [u8]) {
        match self.look_at(&path, batch, buffer) {
            Looked::Hashed(hashed) => {
                batch.read += 1;
                batch.add(hashed, Instant::now());
            }
            Looked::Known(hashed) => batch.add(hashed, Instant::now()),
            Looked::Done(outcome) => self.queue.finish(path, outcome),
        }
    }

    /// Records what was made, and lets go who waits for it.
    fn record(&self, batch: &mut Batch) {
        let Batch { hashed, read, .. } = std::mem::take(batch);
        let recorded = self.catalogue.record(&hashed);
        let counter = if recorded.is_ok() { &self.counters.hashed } else { &self.counters.hash_errors };
        counter.fetch_add(read, Ordering::Relaxed);
        if let Err(error) = recorded {
            let files = hashed.len();
            warn!(files, %error, "digests cannot be recorded; their files are read again at the next rescan");
        }
        hashed.into_iter().for_each(|one| self.queue.finish(one.path, Outcome::Finished));
    }

    fn look_at(&self, path: &[u8], batch: &mut Batch, buffer: &mut [u8]) -> Looked {
        Looked::Done(match self.hash_at(path, batch, buffer) {
            Ok(looked) => return looked,
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
        })
    }

    fn hash_at(&self, path: &[u8], batch: &mut Batch, buffer: &mut [u8]) -> Result<Looked, HashError> {
        let seen = self.feed.mark();
        let Found::File(file, identity) = self.share.find(path)? else { return Ok(Looked::Done(Outcome::Finished)) };
        let hashed = |digests, pieces| Hashed { path: path.into(), identity, digests, pieces, seen };
        let known = self.catalogue.digests(path, &identity)?;
        if let Some(digests) = known
            && !self.lacks_pieces(&digests, identity.size)?
        {
            // Announced, and nothing has changed: who was told that it may have is told what it is.
            let is_asked = self.feed.is_stale(path);
            return Ok(if is_asked { Looked::Known(hashed(digests, None)) } else { Looked::Done(Outcome::Finished) });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(wait) = until_settled(&identity, now, self.settle) {
            return Ok(Looked::Done(Outcome::Unsettled(wait)));
        }
        if identity.size > buffer.len() as u64 && !batch.hashed.is_empty() {
            // This may take minutes.
            self.record(batch);
        }
        let (digests, pieces) = self.read(Arc::new(file), &identity, buffer)?;
        if let Some(pieces) = pieces.as_ref().filter(|_| known == Some(digests) && !self.feed.is_stale(path)) {
            // It was read for its pieces alone: nobody has to be told of a change.
            self.catalogue.keep_pieces(pieces)?;
            return Ok(Looked::Done(Outcome::Finished));
        }
        Ok(Looked::Hashed(hashed(digests, pieces)))
    }

    /// Whether a content was read before digests of pieces were made.
    fn lacks_pieces(&self, digests: &Digests, size: u64) -> Result<bool, CatalogueError> {
        Ok(has_several(size) && self.catalogue.pieces(&digests.md5)?.is_none())
    }

    /// The digests of a file, and of its pieces if it has several.
    fn read(
        &self,
        file: Arc<File>,
        identity: &Identity,
        buffer: &mut [u8],
    ) -> Result<(Digests, Option<Pieces>), HashError> {
        let mut hasher = PiecesHasher::new(identity.size);
        let (mut position, mut ahead) = (0, 0);
        while position < identity.size {
            if position >= ahead {
                // Once in every window: stop early if the program ends or the reading has become useless.
                if self.queue.is_closed() {
                    return Err(HashError::Stopped);
                }
                unchanged(&file, identity)?;
                if identity.size > buffer.len() as u64 {
                    self.read_ahead(&file, position);
                }
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
        let (digests, pieces) = hasher.finish();
        Ok((digests, pieces.filter(|_| has_several(identity.size))))
    }

    /// Asks for the next window but one; nobody waits for it, and a failure shows when it is read.
    fn read_ahead(&self, file: &Arc<File>, position: u64) {
        let (engine, file) = (self.engine.clone(), file.clone());
        self.runtime.spawn(async move { engine.read_ahead(file, position, 2 * AHEAD).await });
    }
}

impl Batch {
    fn add(&mut self, hashed: Hashed, now: Instant) {
        self.since.get_or_insert(now);
        self.hashed.push(hashed);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.hashed.len() >= BATCH_MAX || self.since.is_some_and(|since| now.duration_since(since) >= BATCH_WAIT_MAX)
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

    use os::{engine::Choice, share::Share};

    use super::*;
    use crate::catalogue::sqlite::SqliteCatalogue;

    fn hasher(share: &std::path::Path, state: &std::path::Path) -> Hasher {
        let feed = Arc::new(Feed::new(Duration::from_secs(5)));
        Hasher {
            share: Arc::new(Share::open(share).expect("opens")),
            catalogue: Arc::new(SqliteCatalogue::open(&state.join("db"), share, feed.clone()).expect("opens")),
            feed,
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

        assert_eq!(read(&identity).expect("reads"), (Digests::of(b"0123456789"), None));
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
        let mut batch = Batch::default();
        for path in ["f", "f", "none"] {
            hasher.take(path.as_bytes().into(), &mut batch, &mut buffer);
            hasher.record(&mut batch);
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&hasher.counters.hashed), count(&hasher.counters.hash_errors)), (1, 0));
        assert_eq!(hasher.catalogue.generation(), 1);
    }

    #[tokio::test]
    async fn a_file_that_was_announced_and_has_not_changed_is_told_again() {
        let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
        let hasher = hasher(share.path(), state.path());
        fs::write(share.path().join("f"), "abc").expect("written");
        let (mut buffer, mut batch) = ([0; 4], Batch::default());
        let mut look = || {
            hasher.take(b"f".as_slice().into(), &mut batch, &mut buffer);
            hasher.record(&mut batch);
            hasher.catalogue.generation()
        };
        assert_eq!((look(), look()), (1, 1));
        hasher.feed.stale(b"f");
        assert_eq!((look(), look()), (2, 2));
        assert!(!hasher.feed.is_stale(b"f"));
    }

    #[tokio::test]
    async fn a_file_that_was_read_before_gets_its_pieces_and_nobody_is_told_of_a_change() {
        let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
        let hasher = hasher(share.path(), state.path());
        let content: Vec<u8> =
            (0..300_001_u64).flat_map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
        fs::write(share.path().join("f"), &content).expect("written");
        let (mut buffer, mut batch) = (vec![0; 100_000], Batch::default());
        let digests = Digests::of(&content);
        let identity = Identity::of(&File::open(share.path().join("f")).expect("opens")).expect("stat");
        let (path, seen) = (b"f".as_slice().into(), hasher.feed.mark());
        let before = Hashed { path, identity, digests, pieces: None, seen };
        hasher.catalogue.record(&[before]).expect("as an earlier release did");
        let mut look = || {
            hasher.take(b"f".as_slice().into(), &mut batch, &mut buffer);
            hasher.record(&mut batch);
            (hasher.catalogue.generation(), hasher.counters.hashed_bytes.load(Ordering::Relaxed))
        };
        let size = content.len() as u64;
        assert_eq!(look(), (1, size), "it is read, and no change is told");
        assert_eq!(look(), (1, size), "it is not read again");
        let pieces = hasher.catalogue.pieces(&digests.md5).expect("reads").expect("they are known");
        let chunks: Vec<_> = content.chunks(1 << 20).collect();
        assert_eq!((pieces.count(), pieces.size()), (chunks.len() as u32, size));
        assert!((0..).zip(chunks).all(|(piece, bytes)| pieces.fits(piece, bytes)));
        // What is read anew has them at once, in the same reading.
        fs::write(share.path().join("f"), &content[1..]).expect("written");
        assert_eq!(look(), (2, 2 * size - 1));
        let md5 = Digests::of(&content[1..]).md5;
        assert!(
            hasher.catalogue.pieces(&md5).expect("reads").is_some_and(|pieces| pieces.fits(0, &content[1..=1 << 20]))
        );
        assert_eq!(hasher.catalogue.pieces(&digests.md5).expect("reads"), None, "they go with their content");
    }

    #[test]
    fn digests_are_recorded_when_there_are_enough_or_one_has_waited() {
        let identity = Identity { device: 1, inode: 1, size: 1, modified: 0, changed: 0 };
        let seen = Feed::new(Duration::from_secs(5)).mark();
        let one = Hashed { path: b"a".as_slice().into(), identity, digests: Digests::of(b""), pieces: None, seen };
        let (mut batch, start) = (Batch::default(), Instant::now());
        assert!(!batch.is_due(start));
        (1..BATCH_MAX).for_each(|_| batch.add(one.clone(), start));
        assert!(!batch.is_due(start) && batch.is_due(start + BATCH_WAIT_MAX));
        batch.add(one, start);
        assert!(batch.is_due(start));
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
