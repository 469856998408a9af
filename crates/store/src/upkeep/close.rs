//! The orderly end: fills are suspended, use counts and tables written, the journal is ended.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    fill::{active::Active, end::End},
    history::event::Event,
    index::{record::Record, table::SHARDS},
    shared::Shared,
    wait::until,
};

/// Counts for people that are written at an orderly end, at most: those that have not just doubled, and so stand nowhere yet.
const ASKED_MAX: usize = 8192;

/// The longest that an orderly end waits for fills to be suspended and commits to end.
const CLOSE_MAX: Duration = Duration::from_secs(30);

impl Shared {
    /// Ends all running fills; `false` if the store was closed before.
    fn shut(self: &Arc<Self>) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        for fill in self.running() {
            Active { store: self.clone(), fill }.end(End::Suspend, "this server is stopping");
        }
        self.moved.notify_waiters();
        true
    }

    /// Writes how often objects were asked for, for people.
    fn note_asked(&self) {
        let mut left = ASKED_MAX;
        for at in 0..SHARDS {
            let shard = self.objects.shard_at(at);
            for object in shard.rows.iter().filter(|object| object.times > 1 && !object.times.is_power_of_two()) {
                if left == 0 {
                    return;
                }
                left -= 1;
                self.history.note(object.md5, Event::Asked(self.asked(object)));
            }
        }
    }

    /// The orderly end.
    pub(crate) async fn close(self: &Arc<Self>) {
        if !self.shut() {
            return;
        }
        let quiet = until(&self.moved, || self.is_quiet().then_some(()));
        if tokio::time::timeout(CLOSE_MAX, quiet).await.is_err() {
            tracing::warn!(
                "some fetches could not be brought to rest within {} s; the next start continues them from their last checkpoint, or begins them anew",
                CLOSE_MAX.as_secs()
            );
        }
        self.note_uses(usize::MAX);
        self.note_asked();
        // Everything queued is in the file now, and its length says whether it is worth it.
        let _ = self.journal.append_durably(&[], self.clock.now()).await;
        if self.is_loaded() && self.is_compaction_due(true) {
            self.compact().await;
        }
        let complete = self.searched.load(Ordering::Acquire);
        let closed = self.journal.append_durably(&[&Record::Closed { complete }], self.clock.now());
        if let Ok(Err(error)) = closed.await {
            tracing::warn!(%error, "the index of the cache could not be completed; the next start looks through the whole cache directory instead");
        }
        self.history.end();
        self.journal.end();
        self.journal.ended().await;
        self.history.ended().await;
    }
}
