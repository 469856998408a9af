//! The snapshot: both tables in buckets by hash, with a table of where each bucket is, so that a lookup after a start reads just the one
//! it needs. It stands for everything before the journal file of its number.
//!
//! ```text
//! 0   head: magic (8), number (8), buckets of objects (4), of names (4), where the table is (8), its length (8), its CRC (4),
//!     CRC of the head up to here (4)
//! 48  the buckets, objects first: rows one after the other, as `index/record.rs` encodes them
//!     the table: per bucket its offset (8), length (8), rows (8), bytes on disk that they stand for (8), CRC (4), zero (4);
//!     then the bitmap of the directories under `objects`
//! ```
//! It is written shard by shard while others work. A row may therefore be newer than the moment it was begun; the journal from its number
//! on is replayed over it, in which every change is a complete one, so the result is the same.

use std::{fs::File, io, path::Path, sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering};

use crate::{
    disk::Disk,
    index::{
        record::Row,
        table::{Buckets, SHARDS, Table, bucket_of},
    },
    journal::crc::crc32c,
    space::evict::Now,
};

const MAGIC: [u8; 8] = *b"OUTPSNP\x01";
const HEAD: usize = 48;
const ENTRY: usize = 40;
/// Rows that a bucket is meant to hold.
const ROWS_PER_BUCKET: usize = 128;
/// Most buckets of one table.
const BUCKETS_MAX: usize = 1 << 17;
/// Largest table that is believed.
const TABLE_MAX: u64 = (2 * BUCKETS_MAX * ENTRY + (1 << 20)) as u64;

/// Where a bucket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    offset: u64,
    len: u64,
    rows: u64,
    weight: u64,
    crc: u32,
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.offset, self.len, self.rows, self.weight, u64::from(self.crc)] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(*bytes[8 * at..][..8].as_array().expect("eight bytes were cut"));
        Self { offset: number(0), len: number(1), rows: number(2), weight: number(3), crc: number(4) as u32 }
    }
}

/// Writes a snapshot; nothing of it counts before [`Writer::finish`].
pub(crate) struct Writer<'a> {
    disk: &'a dyn Disk,
    file: File,
    at: u64,
    entries: Vec<Entry>,
    counts: [u32; 2],
}

impl<'a> Writer<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.create(path)?;
        Ok(Self { disk, file, at: HEAD as u64, entries: Vec::new(), counts: [0; 2] })
    }

    /// Writes one table: objects as the first, names as the second. Each shard is locked for as long as its rows are copied.
    pub(crate) fn table<R: Row + Clone, X: Default>(&mut self, table: &Table<R, X>, now: Now) -> io::Result<()> {
        let count = (table.len() / ROWS_PER_BUCKET).next_power_of_two().clamp(SHARDS, BUCKETS_MAX);
        let per_shard = count / SHARDS;
        self.counts[usize::from(self.counts[0] > 0)] = count as u32;
        for at in 0..SHARDS {
            let mut buckets = vec![(Vec::new(), Entry::default()); per_shard];
            {
                let shard = table.shard_at(at);
                for row in shard.rows.iter() {
                    let (bytes, entry) = &mut buckets[bucket_of(row.hash(table.sip()), count) % per_shard];
                    row.encode(now, bytes);
                    entry.rows += 1;
                    entry.weight += row.weight();
                }
            }
            let mut all = Vec::new();
            for (bytes, entry) in buckets {
                let offset = self.at + all.len() as u64;
                self.entries.push(Entry { offset, len: bytes.len() as u64, crc: crc32c(&bytes), ..entry });
                all.extend_from_slice(&bytes);
            }
            self.append(&all)?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_all_at(&self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes table, bitmap and head, and syncs. Answers the length.
    pub(crate) fn finish(mut self, seq: u64, bitmap: &[u64]) -> io::Result<u64> {
        let mut table = Vec::with_capacity(self.entries.len() * ENTRY + bitmap.len() * 8);
        self.entries.iter().for_each(|entry| entry.encode(&mut table));
        bitmap.iter().for_each(|word| table.extend_from_slice(&word.to_le_bytes()));
        let table_at = self.at;
        self.append(&table)?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&seq.to_le_bytes());
        self.counts.iter().for_each(|count| head.extend_from_slice(&count.to_le_bytes()));
        head.extend_from_slice(&table_at.to_le_bytes());
        head.extend_from_slice(&(table.len() as u64).to_le_bytes());
        head.extend_from_slice(&crc32c(&table).to_le_bytes());
        head.extend_from_slice(&crc32c(&head).to_le_bytes());
        self.disk.write_all_at(&self.file, &head, 0)?;
        self.disk.sync_file(&self.file)?;
        Ok(self.at)
    }
}

/// A snapshot that is there.
pub(crate) struct Snapshot {
    disk: Arc<dyn Disk>,
    file: File,
    objects: Vec<Entry>,
    names: Vec<Entry>,
    pub(crate) bitmap: Vec<u64>,
    pub(crate) len: u64,
    damaged: AtomicBool,
}

/// One of its two tables.
pub(crate) struct Section {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) names: bool,
}

impl Snapshot {
    /// Opens the snapshot of a number; `None` if it is not whole.
    pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path, seq: u64) -> Option<Self> {
        let len = disk.stat(path).ok()?.len;
        let file = disk.open(path, false).ok()?;
        let mut head = [0; HEAD];
        disk.read_exact_at(&file, &mut head, 0).ok()?;
        let number = |at: usize| u64::from_le_bytes(*head[at..at + 8].as_array().expect("eight bytes were cut"));
        let half = |at: usize| u32::from_le_bytes(*head[at..at + 4].as_array().expect("four bytes were cut"));
        if head[..8] != MAGIC || number(8) != seq || half(HEAD - 4) != crc32c(&head[..HEAD - 4]) {
            return None;
        }
        let counts = [half(16) as usize, half(20) as usize];
        let (table_at, table_len) = (number(24), number(32));
        let entries = (counts[0] + counts[1]) * ENTRY;
        let sound = counts.iter().all(|count| count.is_power_of_two() && (SHARDS..=BUCKETS_MAX).contains(count));
        let is_inside = table_at.checked_add(table_len).is_some_and(|end| end <= len);
        if !sound || table_len > TABLE_MAX || (table_len as usize) < entries || !is_inside {
            return None;
        }
        let mut table = vec![0; table_len as usize];
        disk.read_exact_at(&file, &mut table, table_at).ok()?;
        if half(40) != crc32c(&table) {
            return None;
        }
        let (entries, bitmap) = table.split_at(entries);
        let mut objects: Vec<_> = entries.chunks_exact(ENTRY).map(Entry::decode).collect();
        let names = objects.split_off(counts[0]);
        let bitmap = bitmap.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let disk = disk.clone();
        Some(Self { disk, file, objects, names, bitmap, len, damaged: AtomicBool::new(false) })
    }

    /// Whether a bucket was found damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    fn bucket<R: Row>(&self, entry: &Entry, now: Now) -> Option<Vec<R>> {
        let mut bytes = vec![0; usize::try_from(entry.len).ok().filter(|_| entry.len <= self.len)?];
        self.disk.read_exact_at(&self.file, &mut bytes, entry.offset).ok()?;
        if crc32c(&bytes) != entry.crc {
            return None;
        }
        let mut rest = &bytes[..];
        let mut rows = Vec::with_capacity(entry.rows.min(1 << 20) as usize);
        while !rest.is_empty() {
            rows.push(R::decode(&mut rest, now)?);
        }
        Some(rows)
    }
}

impl<R: Row> Buckets<R> for Section {
    fn count(&self) -> usize {
        self.entries().len()
    }

    fn announced(&self, bucket: usize) -> (u64, u64) {
        let entry = &self.entries()[bucket];
        (entry.rows, entry.weight)
    }

    fn read(&self, bucket: usize, now: Now) -> Vec<R> {
        self.snapshot.bucket(&self.entries()[bucket], now).unwrap_or_else(|| {
            if !self.snapshot.damaged.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the index of the cache is damaged; the cache directory is looked through for what it lost"
                );
            }
            Vec::new()
        })
    }
}

impl Section {
    fn entries(&self) -> &[Entry] {
        if self.names { &self.snapshot.names } else { &self.snapshot.objects }
    }
}
