//! Shortening the history when it has become longer than it may.

use std::sync::Arc;

use crate::{
    history::event::{Need, Purpose},
    index::row::md5_hash,
    shared::Shared,
    space::ledger::on_disk,
};

/// What is left of the room when it is shortened: so many quarters, so that it is not done again soon.
const KEPT_QUARTERS: u64 = 3;

impl Shared {
    /// Writes a shorter one beside and lets it take over, if it has become too long.
    pub(crate) async fn trim_history(self: &Arc<Self>) {
        let max = self.history.max();
        if self.history.len() <= max || self.history.is_swapping() {
            return;
        }
        let budget = max / 4 * KEPT_QUARTERS;
        // It stands beside the one before for a moment.
        let Ok(room) = self.reserve(Need::own(Purpose::Tables, on_disk(budget))).await else { return };
        let store = self.clone();
        let trimmed = self.io.blocking(move || store.history.trimmed(budget, |md5| store.has_row(md5))).await;
        drop(room);
        match trimmed {
            Some(Ok(Some(swap))) => self.history.swap(swap),
            Some(Err(error)) => self.note_disk_trouble("shorten the history", error),
            Some(Ok(None)) | None => {}
        }
    }

    /// Whether there is such an object, as far as the tables are in memory.
    fn has_row(&self, md5: &protocol::digest::Md5) -> bool {
        let hash = md5_hash(md5);
        let locked = self.objects.shard(hash, self.clock.now());
        locked.shard.rows.find(hash, |row| row.md5 == *md5).is_some()
    }
}
