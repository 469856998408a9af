//! The thread that writes the history. It begins by looking what is there, and cuts off a tail that is not whole.

use std::{
    fs::File,
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Inner, Queue, Readable,
    frames::{HEAD, MAGIC, scan},
};
use crate::space::ledger::{Account, on_disk};

/// After so long, what was written is synced.
const SYNC_AFTER: Duration = Duration::from_secs(60);
/// How much longer than it may become the file gets before entries are lost, while nobody shortens it.
const OVER: u64 = 2;

/// A shorter file that is to take the place of the one that is written to.
pub(crate) struct Swap {
    pub(crate) file: File,
    pub(crate) len: u64,
    /// Up to where of the old file it stands for.
    pub(crate) stands_for: u64,
}

pub(super) struct Writer {
    inner: Arc<Inner>,
    /// Bytes of the file as they are counted.
    counted: u64,
    open: Option<Open>,
    /// There is none yet, and nothing in the way of one.
    is_new: bool,
}

/// The file being appended to.
struct Open {
    file: Arc<File>,
    len: u64,
    dirty_since: Option<Instant>,
}

impl Writer {
    /// Counts what is there. Blocks for one `stat`.
    pub(super) fn find(inner: Arc<Inner>) -> Self {
        let _ = inner.disk.unlink(&inner.layout.history_new());
        let len = inner.disk.stat(&inner.layout.history()).map_or(0, |stat| stat.len);
        let mut writer = Self { inner, counted: 0, open: None, is_new: false };
        writer.count(len);
        writer
    }

    /// Until the end.
    pub(super) fn run(mut self) {
        if self.inner.max > 0 {
            self.begin();
        }
        loop {
            let batch = self.next();
            let (ended, swap, entries) = (batch.ended, batch.swap, batch.entries);
            if !batch.bytes.is_empty() && self.write(&batch.bytes).is_err() {
                self.inner.lost.fetch_add(entries, Ordering::Relaxed);
            }
            if let Some(swap) = swap {
                self.swap(swap);
                self.inner.swapping.store(false, Ordering::Release);
            }
            self.sync(ended);
            for waiting in batch.waiting {
                let _ = waiting.send(());
            }
            if ended {
                return;
            }
        }
    }

    /// What is to be done next; waits for it.
    fn next(&self) -> Queue {
        let dirty_since = self.open.as_ref().and_then(|open| open.dirty_since);
        let mut queue = self.inner.queue.lock();
        while queue.bytes.is_empty() && queue.waiting.is_empty() && queue.swap.is_none() && !queue.ended {
            match dirty_since {
                Some(since) if since.elapsed() >= SYNC_AFTER => break,
                Some(since) => drop(self.inner.filled.wait_until(&mut queue, since + SYNC_AFTER)),
                None => self.inner.filled.wait(&mut queue),
            }
        }
        let batch = std::mem::take(&mut *queue);
        queue.ended = batch.ended;
        batch
    }

    /// Opens what is there. If that cannot be, everything is lost, and counted.
    fn begin(&mut self) {
        match self.find_end() {
            Ok(open) => {
                self.publish(&open);
                self.open = Some(open);
            }
            // It is made with the first entry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.is_new = true,
            Err(error) => {
                tracing::warn!(%error, "the history of the cache cannot be written; objects are kept as ever, and why they are here or not cannot be told");
            }
        }
    }

    fn find_end(&mut self) -> io::Result<Open> {
        let (disk, path) = (self.inner.disk.clone(), self.inner.layout.history());
        let (file, len) = (disk.open(&path, true)?, disk.stat(&path)?.len);
        let mut magic = [0; MAGIC.len()];
        let is_ours = len >= HEAD && disk.read_exact_at(&file, &mut magic, 0).is_ok() && magic == MAGIC;
        let end = if is_ours { scan(&*disk, &file, HEAD, len, |_, _| {})? } else { HEAD };
        if !is_ours {
            disk.truncate(&file, 0)?;
            disk.write_all_at(&file, &MAGIC, 0)?;
        } else if end < len {
            disk.truncate(&file, end)?;
        }
        self.count(end);
        Ok(Open { file: Arc::new(file), len: end, dirty_since: Some(Instant::now()) })
    }

    /// A new file, without entries.
    fn make(&mut self) -> io::Result<()> {
        let (disk, path) = (&self.inner.disk, self.inner.layout.history());
        let file = disk.create(&path)?;
        if let Err(error) = disk.write_all_at(&file, &MAGIC, 0) {
            let _ = disk.unlink(&path);
            return Err(error);
        }
        self.is_new = false;
        let open = Open { file: Arc::new(file), len: HEAD, dirty_since: Some(Instant::now()) };
        self.publish(&open);
        self.open = Some(open);
        Ok(())
    }

    fn publish(&self, open: &Open) {
        *self.inner.readable.lock() = Some(Readable { file: open.file.clone(), len: open.len });
    }

    /// The file has so many bytes from now on.
    fn count(&mut self, len: u64) {
        let (before, after) = (on_disk(self.counted), on_disk(len));
        if after > before {
            self.inner.space.add(Account::Tables, after - before);
        } else if after < before {
            self.inner.space.sub(Account::Tables, before - after);
        }
        self.counted = len;
    }

    /// Appends. After an error what came is lost, and the next batch is written over it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_new {
            self.make()?;
        }
        let most = self.inner.max().saturating_mul(OVER);
        let Some(open) = self.open.as_mut().filter(|open| open.len + bytes.len() as u64 <= most) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.inner.disk.write_all_at(&open.file, bytes, open.len)?;
        open.len += bytes.len() as u64;
        open.dirty_since.get_or_insert_with(Instant::now);
        let len = open.len;
        if let Some(readable) = &mut *self.inner.readable.lock() {
            readable.len = len;
        }
        self.count(len);
        Ok(())
    }

    fn sync(&mut self, ended: bool) {
        let Some(open) = &mut self.open else { return };
        if open.dirty_since.is_some_and(|since| ended || since.elapsed() >= SYNC_AFTER) {
            // What is not durable may be missing after a power loss, and no more than that.
            let _ = self.inner.disk.sync_file(&open.file);
            open.dirty_since = None;
        }
    }

    /// The shorter file takes over, with what came behind what it stands for.
    fn swap(&mut self, swap: Swap) {
        let path = self.inner.layout.history_new();
        match self.complete(swap) {
            Ok(open) => {
                self.count(open.len);
                self.publish(&open);
                self.open = Some(open);
            }
            Err(error) => {
                tracing::warn!(%error, "the history of the cache cannot be shortened; the oldest entries stay until it can, and new ones may be lost");
                let _ = self.inner.disk.unlink(&path);
            }
        }
    }

    fn complete(&self, swap: Swap) -> io::Result<Open> {
        let disk = &self.inner.disk;
        let Some(old) = &self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let mut rest = vec![0; (old.len - swap.stands_for) as usize];
        disk.read_exact_at(&old.file, &mut rest, swap.stands_for)?;
        disk.write_all_at(&swap.file, &rest, swap.len)?;
        disk.sync_file(&swap.file)?;
        disk.rename(&self.inner.layout.history_new(), &self.inner.layout.history())?;
        disk.sync_dir(self.inner.layout.root())?;
        Ok(Open { file: Arc::new(swap.file), len: swap.len + rest.len() as u64, dirty_since: None })
    }
}
