//! A table of rows in 256 shards, each behind its own short lock, which may still be on disk in part.
//!
//! After a start the rows lie in the snapshot, in buckets by the upper bits of their hash. A bucket is read the first time that
//! somebody asks for one of its rows, by one small read under the shard's lock; a thread in the background asks for all of
//! them. What the journal says that happened to a bucket since is kept beside it and applied as it is read.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    index::{
        record::{Record, Row},
        rows::Rows,
        sip::SipKey,
    },
    space::evict::Now,
};

/// Shards of a table; the upper 8 bits of a hash choose.
pub(crate) const SHARDS: usize = 256;

/// Where rows are that are not in memory yet.
pub(crate) trait Buckets<R>: Send + Sync {
    /// How many buckets there are: a power of two, at least [`SHARDS`].
    fn count(&self) -> usize;
    /// Rows and bytes that a bucket is said to hold.
    fn announced(&self, bucket: usize) -> (u64, u64);
    /// Reads a bucket. A damaged one yields nothing and is remembered as damaged by who implements this.
    fn read(&self, bucket: usize, now: Now) -> Vec<R>;
}

/// One shard: its rows, and what else is decided under the same lock.
pub(crate) struct Shard<R, X> {
    pub(crate) rows: Rows<R>,
    pub(crate) extra: X,
    sip: SipKey,
    absent: Option<Box<Absent<R>>>,
}

/// What of a shard is still on disk.
struct Absent<R> {
    buckets: Arc<dyn Buckets<R>>,
    /// Which of this shard's buckets were not read yet.
    unread: Vec<bool>,
    left: usize,
    /// What happened since the snapshot, by bucket.
    since: HashMap<usize, Vec<Record>>,
}

/// How reading a bucket changed what is known of the whole.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    rows: i64,
    weight: i64,
    loaded: usize,
}

/// The table.
pub(crate) struct Table<R, X> {
    shards: Box<[Mutex<Shard<R, X>>]>,
    sip: SipKey,
    rows: AtomicI64,
    unread: AtomicUsize,
    /// Told when the bytes that rows stand for turn out to be others than announced.
    corrected: Box<dyn Fn(i64) + Send + Sync>,
}

impl<R: Row + Clone, X: Default> Table<R, X> {
    /// An empty one. `corrected` hears of differences in weight as buckets are read.
    pub(crate) fn new(sip: SipKey, corrected: impl Fn(i64) + Send + Sync + 'static) -> Self {
        let shard = || Mutex::new(Shard { rows: Rows::default(), extra: X::default(), sip, absent: None });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            sip,
            rows: AtomicI64::new(0),
            unread: AtomicUsize::new(0),
            corrected: Box::new(corrected),
        }
    }

    pub(crate) fn sip(&self) -> &SipKey {
        &self.sip
    }

    /// Rows in memory and on disk, as far as known.
    pub(crate) fn len(&self) -> usize {
        self.rows.load(Ordering::Relaxed).max(0) as usize
    }

    /// Whether all rows are in memory.
    pub(crate) fn is_loaded(&self) -> bool {
        self.unread.load(Ordering::Acquire) == 0
    }

    /// The shard of a hash, with the bucket of that hash in memory.
    pub(crate) fn shard(&self, hash: u64, now: Now) -> Locked<'_, R, X> {
        let mut shard = self.shards[shard_of(hash)].lock();
        if shard.absent.is_some() {
            let change = shard.load(hash, now);
            self.note(change);
        }
        Locked { shard, table: self, hash }
    }

    /// A shard by its number, as far as it is in memory.
    pub(crate) fn shard_at(&self, at: usize) -> MutexGuard<'_, Shard<R, X>> {
        self.shards[at].lock()
    }

    /// Puts the snapshot's buckets under an empty table, with what happened since; answers the bytes that they and the
    /// changes stand for (at most: what is replaced or removed shows only when a bucket is read).
    pub(crate) fn attach(&self, buckets: Arc<dyn Buckets<R>>, since: Vec<(u64, Record)>) -> u64 {
        let per_shard = buckets.count() / SHARDS;
        let (mut rows, mut weight) = (0, 0);
        for bucket in 0..buckets.count() {
            let announced = buckets.announced(bucket);
            rows += announced.0;
            weight += announced.1;
        }
        for (at, shard) in self.shards.iter().enumerate() {
            let absent = Absent::of(at, &buckets);
            self.unread.fetch_add(absent.left, Ordering::Relaxed);
            shard.lock().absent = Some(Box::new(absent));
        }
        for (hash, record) in since {
            let mut shard = self.shards[shard_of(hash)].lock();
            let (row, bytes) = announced(&record);
            if let Some(absent) = &mut shard.absent {
                let bucket = absent.bucket_of(hash);
                if absent.unread[bucket % per_shard] {
                    rows += row;
                    weight += bytes;
                    absent.since.entry(bucket).or_default().push(record);
                    continue;
                }
            }
            let change = shard.apply(hash, record);
            rows = rows.saturating_add_signed(change.rows);
            weight = weight.saturating_add_signed(change.weight);
        }
        self.rows.store(rows as i64, Ordering::Relaxed);
        weight
    }

    /// Reads one bucket that is not in memory yet; `false` when there is none left.
    pub(crate) fn load_some(&self, shard: usize, now: Now) -> bool {
        let mut guard = self.shards[shard].lock();
        let Some(absent) = &guard.absent else { return false };
        let Some(next) = absent.unread.iter().position(|unread| *unread) else {
            guard.absent = None;
            return false;
        };
        let per_shard = absent.unread.len();
        let bucket = shard * per_shard + next;
        let change = guard.load_bucket(bucket, now);
        self.note(change);
        true
    }

    /// Applies a record of the journal to a table that is in memory.
    pub(crate) fn replay(&self, hash: u64, record: Record) {
        let change = self.shards[shard_of(hash)].lock().apply(hash, record);
        self.note(change);
    }

    fn note(&self, change: Change) {
        self.rows.fetch_add(change.rows, Ordering::Relaxed);
        if change.weight != 0 {
            (self.corrected)(change.weight);
        }
        self.unread.fetch_sub(change.loaded, Ordering::Release);
    }
}

/// A locked shard, for one hash.
pub(crate) struct Locked<'a, R, X> {
    pub(crate) shard: MutexGuard<'a, Shard<R, X>>,
    table: &'a Table<R, X>,
    hash: u64,
}

impl<R: Row + Clone, X> Locked<'_, R, X> {
    /// Adds a row that is not there.
    pub(crate) fn push(&mut self, row: R) -> u32 {
        self.table.rows.fetch_add(1, Ordering::Relaxed);
        let sip = self.table.sip;
        self.shard.rows.push(self.hash, row, |row| row.hash(&sip))
    }

    /// Takes a row out.
    pub(crate) fn take(&mut self, place: u32) -> R {
        self.table.rows.fetch_sub(1, Ordering::Relaxed);
        let sip = self.table.sip;
        self.shard.rows.take(self.hash, place, |row| row.hash(&sip))
    }
}

impl<R: Row + Clone, X> Shard<R, X> {
    fn load(&mut self, hash: u64, now: Now) -> Change {
        let Some(absent) = &self.absent else { return Change::default() };
        let bucket = absent.bucket_of(hash);
        if absent.unread[bucket % absent.unread.len()] { self.load_bucket(bucket, now) } else { Change::default() }
    }

    fn load_bucket(&mut self, bucket: usize, now: Now) -> Change {
        let Some(absent) = &mut self.absent else { return Change::default() };
        let per_shard = absent.unread.len();
        absent.unread[bucket % per_shard] = false;
        absent.left -= 1;
        let since = absent.since.remove(&bucket).unwrap_or_default();
        let buckets = absent.buckets.clone();
        if absent.left == 0 {
            self.absent = None;
        }
        let (rows, weight) = buckets.announced(bucket);
        let mut change = Change { rows: -(rows as i64), weight: -(weight as i64), loaded: 1 };
        for row in buckets.read(bucket, now) {
            change.add(self.put(row));
        }
        for record in since {
            let (row, bytes) = announced(&record);
            change.rows -= row as i64;
            change.weight -= bytes as i64;
            let hash = record.hash(&self.sip).unwrap_or_default();
            change.add(self.apply(hash, record));
        }
        change
    }

    fn put(&mut self, row: R) -> Change {
        let (sip, hash, weight) = (self.sip, row.hash(&self.sip), row.weight() as i64);
        match self.rows.find(hash, |found| found.same(&row)) {
            Some(place) => {
                let before = std::mem::replace(self.rows.at_mut(place), row);
                Change { rows: 0, weight: weight - before.weight() as i64, loaded: 0 }
            }
            None => {
                self.rows.push(hash, row, |row| row.hash(&sip));
                Change { rows: 1, weight, loaded: 0 }
            }
        }
    }

    fn apply(&mut self, hash: u64, record: Record) -> Change {
        let sip = self.sip;
        let record = match R::put_by(record) {
            Ok(row) => return self.put(row),
            Err(record) => record,
        };
        let Some(place) = self.rows.find(hash, |row| row.is_meant(&record)) else { return Change::default() };
        if self.rows.at_mut(place).heed(&record) {
            return Change::default();
        }
        let gone = self.rows.take(hash, place, |row| row.hash(&sip));
        Change { rows: -1, weight: -(gone.weight() as i64), loaded: 0 }
    }
}

impl<R> Absent<R> {
    /// All buckets of a shard that have rows in them.
    fn of(shard: usize, buckets: &Arc<dyn Buckets<R>>) -> Self {
        let per_shard = buckets.count() / SHARDS;
        let own = shard * per_shard..(shard + 1) * per_shard;
        let unread: Vec<_> = own.map(|bucket| buckets.announced(bucket).0 > 0).collect();
        let left = unread.iter().filter(|unread| **unread).count();
        Self { buckets: buckets.clone(), unread, left, since: HashMap::new() }
    }

    fn bucket_of(&self, hash: u64) -> usize {
        bucket_of(hash, self.buckets.count())
    }
}

impl Change {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.weight += other.weight;
        self.loaded += other.loaded;
    }
}

/// Rows and bytes that a record may add.
fn announced(record: &Record) -> (u64, u64) {
    match record {
        Record::ObjectPut(object) => (1, object.weight()),
        Record::NamePut(_) => (1, 0),
        _ => (0, 0),
    }
}

/// The shard of a hash.
pub(crate) fn shard_of(hash: u64) -> usize {
    (hash >> 56) as usize
}

/// The bucket of a hash among `count`, a power of two.
pub(crate) fn bucket_of(hash: u64, count: usize) -> usize {
    (hash >> (64 - count.trailing_zeros())) as usize
}
