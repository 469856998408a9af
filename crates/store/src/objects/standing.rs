//! How one object stands among the others, and what has happened to it, for people.

use std::sync::Arc;

use protocol::digest::Md5;

use crate::{
    history::event::Entry,
    index::{row::md5_hash, table::SHARDS},
    objects::{merit::merit, page::info},
    report::Standing,
    shared::Shared,
    space::pinned::Pin,
};

/// Objects of each shard that it is compared with, at most.
const PER_SHARD: usize = 4;
/// Names of one content that are told, at most.
const KEYS_MAX: usize = 100;

impl Shared {
    /// Compares an object with a few hundred others; `None` if it is not here.
    pub(crate) fn standing(&self, md5: &Md5) -> Option<Standing> {
        let now = self.clock.now();
        let (object, is_read) = {
            let locked = self.objects.shard(md5_hash(md5), now);
            let place = locked.shard.rows.find(md5_hash(md5), |row| row.md5 == *md5)?;
            (*locked.shard.rows.at(place), locked.shard.extra.open.is_read(md5))
        };
        let worths = self.evictor.lock().worths();
        let worth = worths.of(&object.usage, now);
        let (mut others, mut worse) = (0, 0);
        for at in 0..SHARDS {
            let shard = self.objects.shard_at(at);
            let len = shard.rows.len();
            for nth in 0..PER_SHARD.min(len) {
                // Any few of them: a digest is as good as drawn at random.
                let row = shard.rows.at(((usize::from(md5.0[at % 16]) + nth * len / PER_SHARD) % len) as u32);
                if row.pin() == Pin::Yes || row.md5 == *md5 {
                    continue;
                }
                others += 1;
                worse += u32::from(worths.of(&row.usage, now) < worth);
            }
        }
        Some(Standing {
            info: info(&object),
            asked: self.asked(&object),
            merit: merit(&object.usage, &worths, now),
            is_pinned: object.pin() == Pin::Yes,
            is_pin_refused: object.pin() == Pin::Refused,
            is_read,
            others,
            worse,
        })
    }

    /// Keys of names that stand for a content, as far as the tables are in memory.
    pub(crate) async fn keys_of(self: &Arc<Self>, md5: Md5) -> Vec<Box<[u8]>> {
        let store = self.clone();
        let looking = move || {
            let mut keys = Vec::new();
            for at in 0..SHARDS {
                let shard = store.names.shard_at(at);
                let found = shard.rows.iter().filter(|row| row.md5() == md5).map(|row| Box::from(row.key()));
                keys.extend(found.take(KEYS_MAX - keys.len()));
            }
            keys
        };
        self.io.blocking(looking).await.unwrap_or_default()
    }

    /// The entries of the history that are `wanted` by their content and `is_meant` by what they say, the oldest first.
    pub(crate) async fn history_of(
        self: &Arc<Self>,
        wanted: impl Fn(&Md5) -> bool + Send + 'static,
        is_meant: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> Vec<Entry> {
        self.history.settled().await;
        let store = self.clone();
        self.io.blocking(move || store.history.find(wanted, is_meant)).await.unwrap_or_default()
    }
}
