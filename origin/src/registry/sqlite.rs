//! The registry that there is: a [`Book`] in memory, and a thread that writes what changed in it to a [`Database`], a batch at a time.
//!
//! Nobody waits for the thread. What is not written yet is no queue of reports but the set of nodes that it is about, so that it has an end whatever happens, and one that reports ten
//! times between two batches is written once. A `kill -9` loses what was not written; `numbering` then sees that reports are missing, and asks for everything.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use parking_lot::{Condvar, Mutex, RwLock, RwLockWriteGuard};
use protocol::{
    digest::Md5,
    report::{Report, Reported},
    topology::DomainName,
};

use super::{
    Intervals, NodeState, NotTaken, Registry, Usage,
    book::Book,
    counters::Counters,
    database::{Database, RegistryError},
    numbering::Heard,
};

/// What comes within this time is written together. What is not written is lost by a `kill -9`.
const BATCH_EVERY: Duration = Duration::from_millis(100);
/// How often those are looked for of whom nothing was heard for very long.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// After a batch that could not be written (the disk is full, say), the first and the longest wait.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// See above. Dropping it writes what is not written yet.
pub(crate) struct SqliteRegistry {
    shared: Arc<Shared>,
    turn: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    /// Held for microseconds; by a report of very many digests for a few milliseconds.
    book: RwLock<Book>,
    counters: Arc<Counters>,
    has_news: AtomicBool,
    /// Whether the thread is to end. The lock is not taken while `book` is held.
    is_ending: Mutex<bool>,
    wake: Condvar,
}

impl SqliteRegistry {
    /// Opens or makes the database, reads it, and begins to write.
    pub(crate) fn open(path: &Path) -> Result<Self, RegistryError> {
        let database = Database::open(path)?;
        let book = database.load()?;
        let shared = Arc::new(Shared {
            book: RwLock::new(book),
            counters: Arc::default(),
            has_news: AtomicBool::new(true),
            is_ending: Mutex::new(false),
            wake: Condvar::new(),
        });
        shared.counters.database_bytes.store(database.bytes(), Ordering::Relaxed);
        let writes = shared.clone();
        let thread = std::thread::Builder::new().name("registry".into());
        let writer = thread.spawn(move || writes.write_until_ended(database)).map_err(RegistryError::Thread)?;
        Ok(Self { shared, turn: AtomicU64::new(0), writer: Some(writer) })
    }

    /// How much is known.
    pub(crate) fn usage(&self, now: SystemTime) -> Usage {
        self.shared.book.read().usage(now)
    }

    /// What it counts.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }
}

impl Registry for SqliteRegistry {
    fn report(
        &self,
        report: &Report,
        domain: Option<&DomainName>,
        intervals: Intervals,
        now: SystemTime,
    ) -> Result<Reported, NotTaken> {
        let heard = self.shared.book.write().report(report, domain, intervals, now);
        self.shared.tell();
        let counters = &self.shared.counters;
        let counter = match heard {
            Ok((_, Heard::Everything)) => &counters.full,
            Ok((_, Heard::Changes)) => &counters.changes,
            Ok((_, Heard::Missed)) => &counters.missed,
            Err(_) => &counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        heard.map(|(reported, _)| reported)
    }

    fn holders(&self, md5: &Md5, within: Option<&DomainName>, max: usize, now: SystemTime) -> Vec<Arc<NodeState>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.book.read().holders(md5, within, max, turn, now)
    }

    fn fetching(&self, md5: &Md5, within: &DomainName, max: usize, now: SystemTime) -> Vec<Arc<NodeState>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.book.read().fetching(md5, within, max, turn, now)
    }

    fn holds(&self, node: &str, md5: &Md5, now: SystemTime) -> bool {
        self.shared.book.read().has(node, md5, now)
    }

    fn node(&self, name: &str) -> Option<Arc<NodeState>> {
        self.shared.book.read().node(name)
    }

    fn nodes(&self, behind: &str, max: usize) -> Vec<Arc<NodeState>> {
        self.shared.book.read().behind(behind, max)
    }
}

impl Drop for SqliteRegistry {
    fn drop(&mut self) {
        *self.shared.is_ending.lock() = true;
        self.shared.wake.notify_all();
        // A panic has been reported by its thread.
        self.writer.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// There is something to write.
    fn tell(&self) {
        if !self.has_news.swap(true, Ordering::AcqRel) {
            // With the lock, or it would not be heard by a thread that is about to wait.
            drop(self.is_ending.lock());
            self.wake.notify_all();
        }
    }

    fn write_until_ended(&self, mut database: Database) {
        let mut wait = BATCH_EVERY;
        let mut is_ending = false;
        while !is_ending {
            self.wait_for_news();
            is_ending = self.wait_for_end(wait);
            self.forget_gone();
            wait = match self.write(&mut database) {
                Ok(()) if wait > BATCH_EVERY => {
                    tracing::info!("the registry's database is written again");
                    BATCH_EVERY
                }
                Ok(()) => BATCH_EVERY,
                Err(error) if wait == BATCH_EVERY => {
                    tracing::error!(%error, "the registry's database cannot be written; it is tried again, and until then a restart would ask proxies and agents for everything");
                    RETRY_FIRST
                }
                Err(_) => (wait * 2).min(RETRY_MAX),
            };
        }
    }

    /// Or for the time of the upkeep, or the end.
    fn wait_for_news(&self) {
        let mut is_ending = self.is_ending.lock();
        let is_idle = |is_ending: &mut bool| !*is_ending && !self.has_news.load(Ordering::Acquire);
        self.wake.wait_while_for(&mut is_ending, is_idle, UPKEEP_EVERY);
    }

    /// Whether it came within a time.
    fn wait_for_end(&self, time: Duration) -> bool {
        let mut is_ending = self.is_ending.lock();
        self.wake.wait_while_for(&mut is_ending, |is_ending| !*is_ending, time);
        *is_ending
    }

    fn forget_gone(&self) {
        let now = SystemTime::now();
        while self.book.write().forget_gone(now) > 0 {}
    }

    fn write(&self, database: &mut Database) -> rusqlite::Result<()> {
        self.has_news.store(false, Ordering::Release);
        let mut book = self.book.write();
        let unwritten = book.take_unwritten();
        // Nobody may change anything before it is read, but questions go on.
        let book = RwLockWriteGuard::downgrade(book);
        let batch = book.batch(&unwritten);
        drop(book);
        if unwritten.is_empty() {
            return Ok(());
        }
        let written = database.write(&batch);
        let counters = &self.counters;
        match &written {
            Ok(()) => {
                counters.batches.fetch_add(1, Ordering::Relaxed);
                counters.database_bytes.store(database.bytes(), Ordering::Relaxed);
            }
            Err(_) => {
                counters.write_errors.fetch_add(1, Ordering::Relaxed);
                self.book.write().put_back(&unwritten);
                self.has_news.store(true, Ordering::Release);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::tests::{INTERVALS, change, md5, names, report},
        *,
    };

    fn is_full(registry: &SqliteRegistry, report: &Report) -> bool {
        registry.report(report, None, INTERVALS, SystemTime::now()).unwrap().full
    }

    #[test]
    fn an_end_in_good_order_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        for round in 0..20 {
            let registry = SqliteRegistry::open(&path).unwrap();
            let said = change("a", round + 1, &[round as u32], &[]);
            assert!(!is_full(&registry, &Report { full: round == 0, ..said }));
            assert_eq!(registry.holders(&md5(0), None, 9, SystemTime::now()).len(), 1);
            assert_eq!(registry.node("a").unwrap().holds, round + 1);
            assert!(registry.holds("a", &md5(round as u32), SystemTime::now()));
        }
    }

    /// As after a `kill -9`: the files as they are while it runs.
    #[test]
    fn what_was_lost_is_asked_for_again() {
        let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let registry = SqliteRegistry::open(&directory.path().join("db")).unwrap();
        is_full(&registry, &report("a", &[1, 2]));
        is_full(&registry, &report("b", &[2]));
        let is_written = || {
            registry.usage(SystemTime::now()).unwritten == 0 && registry.counters().batches.load(Ordering::Relaxed) > 0
        };
        while !is_written() {
            std::thread::yield_now();
        }
        for file in ["db", "db-wal"] {
            fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
        }
        is_full(&registry, &change("a", 2, &[3], &[]));
        drop(registry);
        let registry = SqliteRegistry::open(&copy.path().join("db")).unwrap();
        assert_eq!(names(&registry.nodes("", 9)), ["a", "b"]);
        assert!(registry.holds("a", &md5(2), SystemTime::now()) && !registry.holds("a", &md5(3), SystemTime::now()));
        assert!(is_full(&registry, &change("a", 3, &[4], &[])), "its second report was lost");
        assert!(!is_full(&registry, &change("b", 2, &[4], &[])));
    }

    #[test]
    fn reports_are_counted_by_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let registry = SqliteRegistry::open(&directory.path().join("db")).unwrap();
        for said in [report("a", &[1]), change("a", 2, &[], &[]), change("a", 3, &[2], &[]), change("a", 9, &[], &[])] {
            is_full(&registry, &said);
        }
        let counters = registry.counters();
        let counts = [&counters.full, &counters.changes, &counters.missed, &counters.refused];
        assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [1, 2, 1, 0]);
    }
}
