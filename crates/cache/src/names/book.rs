//! Names and what they stand for: the store's journaled table behind a small table of hot names in memory, where a name's record is
//! decoded and its answer's fields are written once. A name whose answers vary has an index in its place, and each variant a record in a place of
//! its own ([`variant`](super::variant)).
//!
//! Lock order: a shard of the hot names, then the store's table. Every change of a place goes through here and happens under the shard's lock, so
//! that the two never disagree. A variant and its index change one after the other: a variant that is in no index is found by nobody, and goes
//! when there are too many names.

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
    record::{Record, Selecting, seconds},
    representation::{Naming, Proof, Representation},
    variant::{self, VariantId, Variants},
    vouched::Vouched,
};
use crate::bounded::Bounded;

/// Hot names in memory, counted; some 600 bytes each, of a web server what its fields take besides.
const HOT_NAMES_MAX: usize = 8192;
/// A confirmation is journaled when the one on record is older than this: what it is needed for (`stale_if_error`) is counted in days.
const CONFIRM_EVERY: Duration = Duration::from_secs(3600);
/// After a recheck in vain the last good copy is given out for this long before the upstream is asked again.
const HOLD: Duration = Duration::from_secs(1);

/// The table.
pub(crate) struct Book {
    names: Names,
    hot: Bounded<Entry>,
    started: Duration,
}

/// What stands at a key.
#[derive(Clone)]
pub(crate) enum Entry {
    Content(Arc<Known>),
    /// Answers to this name depend on fields of the request.
    Variants(Arc<Variants>),
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
    // Likewise: when the question was sent whose answer this is, if the upstream can vouch for that. 0: it cannot.
    asked: AtomicU64,
}

impl Known {
    /// The content under this name, described once. `reader` is of the content; see [`Representation::of_name`].
    pub(crate) fn representation(&self, reader: &Reader, naming: &Naming<'_>) -> &Arc<Representation> {
        let describe = || Representation::of_name(&self.record, Proof::of(self.md5, reader), naming);
        self.representation.get_or_init(|| Arc::new(describe()))
    }
}

impl Book {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, hot: Bounded::new(HOT_NAMES_MAX), started: os::clock::coarse_monotonic() }
    }

    /// The moment, as the book counts them.
    pub(crate) fn millis(&self) -> u64 {
        os::clock::coarse_monotonic().saturating_sub(self.started).as_millis() as u64 + 1
    }

    /// What stands at a key.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<Entry> {
        let mut shard = self.hot.shard(key);
        if let Some(entry) = shard.find(key) {
            return Some(entry);
        }
        let entry = self.read(key)?;
        shard.put(key, entry.clone());
        Some(entry)
    }

    /// The content that is known at a key: of a name that does not vary, or of a variant.
    pub(crate) fn known(&self, key: &[u8]) -> Option<Arc<Known>> {
        match self.entry(key)? {
            Entry::Content(known) => Some(known),
            Entry::Variants(_) => None,
        }
    }

    /// Likewise, by who looks at many and asks for none: what is hot stays so. `None` where there is a variant for each who asks.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<(Md5, Record)> {
        self.names.read(key, |md5, meta| Record::decode(meta).map(|record| (*md5, record)))?
    }

    fn read(&self, key: &[u8]) -> Option<Entry> {
        self.names.read(key, |md5, meta| {
            if let Some(variants) = Variants::decode(meta) {
                return Some(Entry::Variants(Arc::new(variants)));
            }
            Record::decode(meta).map(|record| Entry::Content(Arc::new(Known::new(*md5, record, 0))))
        })?
    }

    /// A name got its content. `name` is the key of the name, whatever its variant; `asked` is when that was asked for, where the upstream can vouch for
    /// it, else 0.
    pub(crate) fn write(&self, name: &[u8], md5: Md5, record: Record, asked: u64) -> Arc<Known> {
        let selecting = record.http().map(|meta| meta.selecting.clone()).unwrap_or_default();
        let known = Arc::new(Known::new(md5, record, self.millis()));
        known.asked.store(asked, Ordering::Relaxed);
        if selecting.is_empty() {
            let before = self.replace(name, md5, &known.record.encode(), Entry::Content(known.clone()));
            self.remove_variants(name, &before.map(|before| before.ids.clone()).unwrap_or_default());
            return known;
        }
        let place = variant::place(name, &variant::id(&selecting));
        self.replace(&place, md5, &known.record.encode(), Entry::Content(known.clone()));
        let gone = self.index(name, md5, &selecting);
        self.remove_variants(name, &gone);
        known
    }

    /// A name gets a content that came by another way, unless what is known of it `stays`. `false` if it does.
    pub(crate) fn bind(&self, name: &[u8], md5: Md5, record: Record, stays: impl FnOnce(&Entry) -> bool) -> bool {
        let mut shard = self.hot.shard(name);
        let before = shard.find(name).or_else(|| self.read(name));
        if before.as_ref().is_some_and(stays) {
            return false;
        }
        self.names.put(name, &md5, &record.encode());
        // The upstream has not been asked.
        shard.put(name, Entry::Content(Arc::new(Known::new(md5, record, 0))));
        true
    }

    /// Puts an entry in its place. Answers the index that stood there.
    fn replace(&self, key: &[u8], md5: Md5, meta: &[u8], entry: Entry) -> Option<Arc<Variants>> {
        let mut shard = self.hot.shard(key);
        let before = shard.find(key).or_else(|| self.read(key));
        self.names.put(key, &md5, meta);
        shard.put(key, entry);
        match before {
            Some(Entry::Variants(variants)) => Some(variants),
            Some(Entry::Content(_)) | None => None,
        }
    }

    /// Enters a variant in the index of its name. Answers those that have no place in it any more.
    fn index(&self, name: &[u8], md5: Md5, selecting: &Selecting) -> Vec<VariantId> {
        let mut shard = self.hot.shard(name);
        let before = match shard.find(name).or_else(|| self.read(name)) {
            Some(Entry::Variants(variants)) => Some(variants),
            Some(Entry::Content(_)) | None => None,
        };
        let (variants, gone) = Variants::with(before.as_deref(), selecting);
        // The content of the latest: a name of a content that is not here is the first to go.
        self.names.put(name, &md5, &variants.encode());
        shard.put(name, Entry::Variants(Arc::new(variants)));
        gone
    }

    fn remove_variants(&self, name: &[u8], ids: &[VariantId]) -> Vec<Md5> {
        ids.iter().filter_map(|id| self.remove(&variant::place(name, id)).1).collect()
    }

    /// The upstream said that a name's content is still right; the record may have new freshness.
    pub(crate) fn confirm(&self, name: &[u8], known: &Arc<Known>, record: Record, asked: u64) -> Arc<Known> {
        let is_same = Record { checked: known.record.checked, ..record.clone() } == known.record;
        let is_recent = record.checked.saturating_sub(known.record.checked) < CONFIRM_EVERY.as_secs();
        if is_same && is_recent {
            known.checked.store(self.millis(), Ordering::Relaxed);
            known.held_until.store(0, Ordering::Relaxed);
            known.asked.store(asked, Ordering::Relaxed);
            return known.clone();
        }
        self.write(name, known.md5, record, asked)
    }

    /// The name is gone with all its variants. Answers what they stood for; nothing, if it was not known.
    pub(crate) fn forget(&self, name: &[u8]) -> Vec<Md5> {
        let (entry, md5) = self.remove(name);
        match entry {
            Some(Entry::Variants(variants)) => self.remove_variants(name, &variants.ids),
            Some(Entry::Content(_)) | None => md5.into_iter().collect(),
        }
    }

    fn remove(&self, key: &[u8]) -> (Option<Entry>, Option<Md5>) {
        let mut shard = self.hot.shard(key);
        let md5 = self.names.read(key, |md5, _| *md5);
        let entry = shard.remove(key).or_else(|| self.read(key));
        self.names.remove(key);
        (entry, md5)
    }

    /// Forgets what was derived from options.
    pub(crate) fn cool(&self) {
        self.hot.clear();
    }

    /// Whether it was looked at within `recheck`, or its upstream vouches for it.
    pub(crate) fn is_recent(&self, known: &Known, recheck: Duration, vouched: &Vouched) -> bool {
        let (checked, now) = (known.checked.load(Ordering::Relaxed), self.millis());
        let is_recent = checked > 0 && now.saturating_sub(checked) < recheck.as_millis() as u64;
        is_recent || vouched.covers(known.asked.load(Ordering::Relaxed), now)
    }

    /// The upstream tells by itself that a name stands for what is known of it. `false` if that is not so, or nothing is known of it now.
    pub(crate) fn affirm(&self, name: &[u8], is_so: impl Fn(&Md5, &Record) -> bool, asked: u64) -> bool {
        let Some(Entry::Content(known)) = self.hot.find(name) else { return false };
        let is_so = is_so(&known.md5, &known.record);
        if is_so {
            known.checked.store(self.millis(), Ordering::Relaxed);
            known.asked.store(asked, Ordering::Relaxed);
        }
        is_so
    }

    /// What is known of these names may not be right any more: they are asked for before they are given out. Those that are not in memory are anyway.
    pub(crate) fn doubt_where(&self, is_meant: impl Fn(&[u8]) -> bool) {
        self.hot.retain(|key, entry| {
            if let (Entry::Content(known), true) = (entry, is_meant(key)) {
                known.doubt();
            }
            true
        });
    }

    /// Likewise, of one.
    pub(crate) fn doubt(&self, name: &[u8]) {
        if let Some(Entry::Content(known)) = self.hot.find(name) {
            known.doubt();
        }
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
            asked: AtomicU64::new(0),
        }
    }

    fn doubt(&self) {
        self.asked.store(0, Ordering::Relaxed);
        self.checked.store(0, Ordering::Relaxed);
    }
}
