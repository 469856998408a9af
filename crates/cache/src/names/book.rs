//! Names and what they stand for: the store's journaled table behind a small table of hot names in memory, where a name's record is
//! decoded and its answer's fields are written once.
//!
//! Lock order: a shard of the hot names, then the store's table. Every change goes through here and happens under the shard's lock, so
//! that the two never disagree.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use protocol::digest::Md5;
use store::{Names, Reader};

use super::{
    record::{Record, seconds},
    representation::{Proof, Representation},
};
use crate::bounded::Bounded;

/// Hot names in memory, counted; some 600 bytes each.
const HOT_NAMES_MAX: usize = 8192;
/// A confirmation is journaled when the one on record is older than this: what it is needed for (`stale_if_error`) is counted in days.
const CONFIRM_EVERY: Duration = Duration::from_secs(3600);
/// After a recheck in vain the last good copy is given out for this long before the upstream is asked again.
const HOLD: Duration = Duration::from_secs(1);

/// The table.
pub(crate) struct Book {
    names: Names,
    hot: Bounded<Arc<Known>>,
    started: Duration,
}

/// A name whose content is known.
pub(crate) struct Known {
    pub(crate) md5: Md5,
    pub(crate) record: Record,
    /// Described with both digests; see [`Known::representation`].
    representation: OnceLock<Arc<Representation>>,
    // Milliseconds since the start, plus one; 0: not since the start. The clock of the wall may jump, this one does not.
    checked: AtomicU64,
    held_until: AtomicU64,
}

impl Known {
    /// The content under this name, described once. `reader` is of the content; see [`Representation::of_name`].
    pub(crate) fn representation(&self, reader: &Reader, path: &str, via: &str) -> &Arc<Representation> {
        let describe = || Representation::of_name(&self.record, Proof::of(self.md5, reader), path, via);
        self.representation.get_or_init(|| Arc::new(describe()))
    }
}

impl Book {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, hot: Bounded::new(HOT_NAMES_MAX), started: os::clock::coarse_monotonic() }
    }

    fn millis(&self) -> u64 {
        os::clock::coarse_monotonic().saturating_sub(self.started).as_millis() as u64 + 1
    }

    /// What is known of a name.
    pub(crate) fn known(&self, key: &[u8]) -> Option<Arc<Known>> {
        let mut shard = self.hot.shard(key);
        if let Some(known) = shard.find(key) {
            return Some(known);
        }
        let (md5, record) = self.names.read(key, |md5, meta| Record::decode(meta).map(|record| (*md5, record)))??;
        let known = Arc::new(Known::new(md5, record, 0));
        shard.put(key, known.clone());
        Some(known)
    }

    /// A name got its content.
    pub(crate) fn write(&self, key: &[u8], md5: Md5, record: Record) -> Arc<Known> {
        let mut shard = self.hot.shard(key);
        self.names.put(key, &md5, &record.encode());
        let known = Arc::new(Known::new(md5, record, self.millis()));
        shard.put(key, known.clone());
        known
    }

    /// The upstream said that a name's content is still right; the record may have new freshness.
    pub(crate) fn confirm(&self, key: &[u8], known: &Arc<Known>, record: Record) -> Arc<Known> {
        let is_same = Record { checked: known.record.checked, ..record.clone() } == known.record;
        let is_recent = record.checked.saturating_sub(known.record.checked) < CONFIRM_EVERY.as_secs();
        if is_same && is_recent {
            known.checked.store(self.millis(), Ordering::Relaxed);
            known.held_until.store(0, Ordering::Relaxed);
            return known.clone();
        }
        self.write(key, known.md5, record)
    }

    /// The name is gone. Answers what it stood for.
    pub(crate) fn forget(&self, key: &[u8]) -> Option<Md5> {
        let mut shard = self.hot.shard(key);
        let md5 = self.names.read(key, |md5, _| *md5);
        shard.remove(key);
        self.names.remove(key);
        md5
    }

    /// Forgets what was derived from options.
    pub(crate) fn cool(&self) {
        self.hot.clear();
    }

    /// Whether it was looked at within `recheck`.
    pub(crate) fn is_recent(&self, known: &Known, recheck: Duration) -> bool {
        let checked = known.checked.load(Ordering::Relaxed);
        checked > 0 && self.millis().saturating_sub(checked) < recheck.as_millis() as u64
    }

    /// Seconds since 1970 when it was last found right.
    pub(crate) fn checked(&self, known: &Known, now: SystemTime) -> u64 {
        let checked = known.checked.load(Ordering::Relaxed);
        let ago = self.millis().saturating_sub(checked) / 1000;
        if checked > 0 { seconds(now).saturating_sub(ago).max(known.record.checked) } else { known.record.checked }
    }

    /// A recheck failed: the copy stands in for a moment without another.
    pub(crate) fn hold(&self, known: &Known) {
        known.held_until.store(self.millis() + HOLD.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether a recheck failed a moment ago.
    pub(crate) fn is_held(&self, known: &Known) -> bool {
        known.held_until.load(Ordering::Relaxed) > self.millis()
    }
}

impl Known {
    fn new(md5: Md5, record: Record, checked: u64) -> Self {
        Self {
            md5,
            record,
            representation: OnceLock::new(),
            checked: AtomicU64::new(checked),
            held_until: AtomicU64::new(0),
        }
    }
}
