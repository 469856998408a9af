//! The journal: what changed, in order, appended by a thread of its own. Whoever needs a record to be durable waits for the sync
//! that covers it, and all who wait share one (group commit). The others are written at once and synced within seconds.
//!
//! After an error a file is not written to any more, for what a failed sync has lost nobody knows: a new file is
//! begun, and [`Journal::wants_snapshot`] asks for the tables to be written afresh.

pub(crate) mod crc;
mod frames;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
pub(crate) mod recover;
pub(crate) mod snapshot;

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use self::frames::{HEAD, MAGIC, frame};
use crate::{
    disk::{Disk, layout::Layout},
    index::record::Record,
    space::{
        evict::Now,
        ledger::{Account, Space, on_disk},
    },
};

/// Bytes that may wait to be written. Beyond, records are dropped, and the tables are written afresh instead.
const QUEUE_MAX: usize = 32 << 20;
/// After so long, what was written is synced, whether somebody waits for it or not.
const SYNC_AFTER: Duration = Duration::from_secs(3);

/// Told whether its records are durable.
pub(crate) type Durable = oneshot::Receiver<io::Result<()>>;

/// What a start found of the journal.
pub(crate) struct Before {
    /// The number of the file to begin.
    pub(crate) next: u64,
    /// Bytes in the files that are there, and how many these are.
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// Handle to the journal's thread.
pub(crate) struct Journal {
    shared: Arc<Inner>,
    /// Resolved when the thread has ended and let go of what it held.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Inner {
    queue: Mutex<Queue>,
    filled: Condvar,
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    layout: Layout,
    /// Bytes in all journal files that a start would have to read.
    len: AtomicU64,
    files: AtomicUsize,
    wants_snapshot: AtomicBool,
    errors: AtomicU64,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    waiting: Vec<oneshot::Sender<io::Result<()>>>,
    rotate: Option<oneshot::Sender<io::Result<u64>>>,
    ended: bool,
}

/// The file being appended to.
struct Open {
    file: File,
    seq: u64,
    len: u64,
    dirty_since: Option<Instant>,
}

impl Journal {
    /// Begins the next file and the thread. Those before are accounted for already. `held` is what must outlive the last write:
    /// the directory's lock.
    pub(crate) fn start(
        space: &Arc<Space>,
        layout: &Layout,
        before: &Before,
        held: impl Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Inner {
            queue: Mutex::default(),
            filled: Condvar::new(),
            disk: space.disk().clone(),
            space: space.clone(),
            layout: layout.clone(),
            len: AtomicU64::new(before.bytes),
            files: AtomicUsize::new(before.files),
            wants_snapshot: AtomicBool::new(false),
            errors: AtomicU64::new(0),
        });
        let open = shared.begin(before.next)?;
        let inner = shared.clone();
        let (over, ended) = oneshot::channel();
        thread::Builder::new().name("store-journal".into()).spawn(move || {
            inner.run(open);
            drop(held);
            let _ = over.send(());
        })?;
        Ok(Self { shared, ended: Mutex::new(Some(ended)) })
    }

    /// Queues a record; never waits. Called under the lock that orders the change it records.
    pub(crate) fn append(&self, record: &Record, now: Now) {
        self.shared.push(&[record], now, None);
    }

    /// Queues records and tells when they are durable.
    pub(crate) fn append_durably(&self, records: &[&Record], now: Now) -> Durable {
        let (done, durable) = oneshot::channel();
        self.shared.push(records, now, Some(done));
        durable
    }

    /// Begins a new file; answers its number once everything queued before is in the ones before.
    pub(crate) fn rotate(&self) -> oneshot::Receiver<io::Result<u64>> {
        let (done, rotated) = oneshot::channel();
        self.shared.queue.lock().rotate = Some(done);
        self.shared.filled.notify_one();
        rotated
    }

    /// A file was removed, for a snapshot replaces it.
    pub(crate) fn shortened(&self, bytes: u64) {
        self.shared.len.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.files.fetch_sub(1, Ordering::Relaxed);
    }

    /// Files that a start would have to read.
    pub(crate) fn files(&self) -> usize {
        self.shared.files.load(Ordering::Relaxed)
    }

    /// Whether records were lost that only a snapshot can replace; sets what the next call answers.
    pub(crate) fn swap_wants_snapshot(&self, wants: bool) -> bool {
        self.shared.wants_snapshot.swap(wants, Ordering::Relaxed)
    }

    /// Bytes that a start would have to read.
    pub(crate) fn len(&self) -> u64 {
        self.shared.len.load(Ordering::Relaxed)
    }

    /// Whether records were lost that only a new snapshot can replace.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.shared.wants_snapshot.load(Ordering::Relaxed)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }

    /// Nothing is written any more after what is queued.
    pub(crate) fn end(&self) {
        self.shared.queue.lock().ended = true;
        self.shared.filled.notify_one();
    }

    /// Waits until the thread has ended.
    pub(crate) async fn ended(&self) {
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}

impl Inner {
    fn push(&self, records: &[&Record], now: Now, done: Option<oneshot::Sender<io::Result<()>>>) {
        let mut queue = self.queue.lock();
        if queue.ended || queue.bytes.len() > QUEUE_MAX {
            self.wants_snapshot.store(true, Ordering::Relaxed);
            drop(queue);
            if let Some(done) = done {
                let _ = done.send(Err(io::Error::other("the journal takes nothing more")));
            }
            return;
        }
        records.iter().for_each(|record| frame(record, now, &mut queue.bytes));
        queue.waiting.extend(done);
        drop(queue);
        self.filled.notify_one();
    }

    /// Makes a file with its head in it, durably.
    fn begin(&self, seq: u64) -> io::Result<Open> {
        let file = self.disk.create(&self.layout.journal(seq))?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&seq.to_le_bytes());
        self.disk.write_all_at(&file, &head, 0)?;
        self.disk.sync_file(&file)?;
        self.disk.sync_dir(&self.layout.index())?;
        self.grown(0, HEAD);
        self.files.fetch_add(1, Ordering::Relaxed);
        Ok(Open { file, seq, len: HEAD, dirty_since: None })
    }

    fn grown(&self, from: u64, to: u64) {
        self.len.fetch_add(to - from, Ordering::Relaxed);
        self.space.add(Account::Tables, on_disk(to) - on_disk(from));
    }

    fn run(&self, mut open: Open) {
        loop {
            let mut queue = self.queue.lock();
            while queue.bytes.is_empty() && queue.waiting.is_empty() && queue.rotate.is_none() && !queue.ended {
                match open.dirty_since {
                    Some(since) if since.elapsed() >= SYNC_AFTER => break,
                    Some(since) => drop(self.filled.wait_until(&mut queue, since + SYNC_AFTER)),
                    None => self.filled.wait(&mut queue),
                }
            }
            let batch = std::mem::take(&mut *queue);
            queue.ended = batch.ended;
            drop(queue);
            let overdue = open.dirty_since.is_some_and(|since| since.elapsed() >= SYNC_AFTER);
            let must_sync = !batch.waiting.is_empty() || batch.rotate.is_some() || batch.ended || overdue;
            let result = self.write(&mut open, &batch.bytes, must_sync);
            if result.is_err() {
                self.recover(&mut open);
            }
            batch.waiting.into_iter().for_each(|done| drop(done.send(again(&result))));
            if let Some(done) = batch.rotate {
                let _ = done.send(self.next(&mut open));
            }
            if batch.ended {
                return;
            }
        }
    }

    fn write(&self, open: &mut Open, bytes: &[u8], sync: bool) -> io::Result<()> {
        if !bytes.is_empty() {
            self.disk.write_all_at(&open.file, bytes, open.len)?;
            self.grown(open.len, open.len + bytes.len() as u64);
            open.len += bytes.len() as u64;
            open.dirty_since.get_or_insert_with(Instant::now);
        }
        if sync && open.dirty_since.is_some() {
            self.disk.sync_file(&open.file)?;
            open.dirty_since = None;
        }
        Ok(())
    }

    /// After an error: what was in the batch is lost, the next records go to a new file if one can be made.
    fn recover(&self, open: &mut Open) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.wants_snapshot.store(true, Ordering::Relaxed);
        open.dirty_since = None;
        if let Err(error) = self.next(open) {
            tracing::warn!(%error, "the journal of the cache cannot be written; what comes in now may be fetched again after the next start");
        }
    }

    fn next(&self, open: &mut Open) -> io::Result<u64> {
        *open = self.begin(open.seq + 1)?;
        Ok(open.seq)
    }
}

/// An `io::Result` for each who waits; errors keep their number.
fn again(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}
