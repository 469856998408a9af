//! Compaction: the tables are written afresh, and the journal before is removed. In the background; a lookup waits at most for one
//! shard being copied.

use std::{io, sync::Arc};

use crate::{
    disk::layout::{IndexName, index_name},
    history::event::{Need, Purpose},
    index::{record::Row, table::SHARDS},
    journal::snapshot::Writer,
    shared::Shared,
    space::ledger::{Account, on_disk},
};

/// The journal is compacted when it is this long, or this part of the snapshot.
const JOURNAL_MAX: u64 = 16 << 20;
const SNAPSHOT_PART: u64 = 8;
/// At an orderly end already when it is this long: the next start is quicker.
const JOURNAL_AT_END: u64 = 256 << 10;
/// Journal files; every start begins one.
const FILES_MAX: usize = 8;

impl Shared {
    /// Whether the journal has become too long.
    pub(crate) fn is_compaction_due(&self, at_end: bool) -> bool {
        let long = if at_end { JOURNAL_AT_END } else { JOURNAL_MAX.max(*self.snapshot_bytes.lock() / SNAPSHOT_PART) };
        self.journal.len() > long || self.journal.wants_snapshot() || self.journal.files() > FILES_MAX
    }

    /// Writes both tables to a new snapshot and removes what it replaces.
    pub(crate) async fn compact(self: &Arc<Self>) {
        let _one_at_a_time = self.compacting.lock().await;
        self.until_loaded().await;
        // From here on: what is lost while the tables are being written counts for the next time.
        let wanted = self.journal.swap_wants_snapshot(false);
        if !self.write_and_replace().await && wanted {
            self.journal.swap_wants_snapshot(true);
        }
    }

    async fn write_and_replace(self: &Arc<Self>) -> bool {
        let store = self.clone();
        let Some(estimate) = self.io.blocking(move || store.snapshot_estimate()).await else { return false };
        let room = match self.reserve(Need::own(Purpose::Tables, on_disk(estimate))).await {
            Ok(room) => room,
            Err(error) => {
                tracing::warn!(%error, "no room to write the index of the cache anew; its journal grows until there is");
                return false;
            }
        };
        let written = match self.journal.rotate().await {
            Ok(Ok(seq)) => {
                let store = self.clone();
                self.io.blocking(move || store.write_snapshot(seq).map(|bytes| (seq, bytes))).await
            }
            Ok(Err(error)) => Some(Err(error)),
            Err(_) => None,
        };
        match written {
            Some(Ok((seq, bytes))) => {
                room.settle(Account::Tables, on_disk(bytes));
                let store = self.clone();
                self.io.blocking(move || store.remove_before(seq, bytes)).await.is_some()
            }
            Some(Err(error)) => {
                self.note_disk_trouble("write the index anew", error);
                false
            }
            None => false,
        }
    }

    /// About how long a snapshot would be.
    fn snapshot_estimate(&self) -> u64 {
        let mut bytes = Vec::new();
        let now = self.clock.now();
        let (mut sample, mut rows) = (0, 0);
        for at in (0..SHARDS).step_by(16) {
            let shard = self.names.shard_at(at);
            for row in shard.rows.iter().take(64) {
                bytes.clear();
                row.encode(now, &mut bytes);
                sample += bytes.len();
                rows += 1;
            }
        }
        let per_name = sample.checked_div(rows).unwrap_or(128) as u64 + 8;
        (1 << 16) + 60 * self.objects.len() as u64 + per_name * self.names.len() as u64
    }

    fn write_snapshot(&self, seq: u64) -> io::Result<u64> {
        let new = self.layout.snapshot_new(seq);
        let written = self.write_snapshot_to(&new, seq);
        if written.is_err() {
            let _ = self.disk.unlink(&new);
        }
        written
    }

    fn write_snapshot_to(&self, new: &std::path::Path, seq: u64) -> io::Result<u64> {
        let now = self.clock.now();
        let mut writer = Writer::new(&*self.disk, new)?;
        writer.table(&self.objects, now)?;
        writer.table(&self.names, now)?;
        let bytes = writer.finish(seq, &self.dirs.bitmap())?;
        self.disk.rename(new, &self.layout.snapshot(seq))?;
        self.disk.sync_dir(&self.layout.index())?;
        Ok(bytes)
    }

    /// Removes journals and snapshots before `seq`, which are replaced by that snapshot.
    fn remove_before(&self, seq: u64, bytes: u64) {
        *self.snapshot_bytes.lock() = bytes;
        let Ok(items) = self.disk.list(&self.layout.index()) else { return };
        for item in items {
            let (path, journal) = match index_name(&item.name) {
                Some(IndexName::Journal(found)) if found < seq => (self.layout.journal(found), true),
                Some(IndexName::Snapshot(found)) if found < seq => (self.layout.snapshot(found), false),
                _ => continue,
            };
            let len = self.disk.stat(&path).map_or(0, |stat| stat.len);
            if self.disk.unlink(&path).is_ok() {
                self.space.sub(Account::Tables, on_disk(len));
                if journal {
                    self.journal.shortened(len);
                }
            }
        }
    }
}
