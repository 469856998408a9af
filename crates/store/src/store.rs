//! The handle to a store, and the one look that decides between hit, follow and miss. The table of a slot's states stands in
//! `index/slots.rs`, that of a fill in `part/state.rs`.

use std::sync::{Arc, atomic::Ordering};

use protocol::digest::Md5;

use crate::{
    disk::{Disk, RealDisk},
    fill::{Fill, Vacancy},
    history::event::Entry,
    index::{
        row::{Object, md5_hash},
        slots::{Slot, Slots},
        table::Shard,
    },
    names::Names,
    objects::{page::info, remove::Cause, watch::Watch},
    open,
    options::{Limit, OpenError, Options},
    part::{
        error::FillError,
        spec::{FillSpec, Resumable},
    },
    read::{body::Body, growing::Growing, reader::Reader},
    report::{ObjectInfo, Page, Report, ScrubReport, Standing},
    shared::Shared,
    space::{
        evict::{Now, Return, TOLD},
        pins::{Pinned, Pinning},
    },
    upkeep::background,
};

/// Handle to a store; clones share it. After [`Store::close`] nothing is written any more.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    names: Names,
}

/// The answer to a lookup carries its evidence: only the holder of a vacancy can fill.
pub enum Lookup {
    /// Here, whole and verified.
    Hit(Reader),
    /// Somebody is filling it: follow. It may not have begun yet (length unknown, watermark 0).
    Filling(Reader),
    /// Not here; whoever gets this may fill it.
    Miss(Vacancy),
}

/// What the shard says, before its lock is given back.
enum Found {
    Sealed(Sealed),
    Filling(Reader),
    Vacant(Arc<Growing>),
}

/// A sealed object: ready to be read, or to be opened first.
enum Sealed {
    Open(Reader),
    Row(Object, Option<Arc<Body>>),
}

impl Store {
    /// Opens or makes the directory, takes its lock, recovers. Blocks; quick whatever the number of objects, the rest loads in the background.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let disk = RealDisk::start(options.engine).map_err(|source| OpenError::Io {
            action: "start the disk engine for",
            path: options.dir.clone(),
            source,
        })?;
        Self::open_on(options, Arc::new(disk))
    }

    /// The same on a disk of the caller's.
    pub fn open_on(options: Options, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let (shared, recovered) = open::open(options, disk)?;
        let shared = Arc::new(shared);
        background::start(&shared, recovered);
        Ok(Self { names: Names::new(shared.clone()), shared })
    }

    /// Never waits. Counts as a use of the object. A file that is found missing is a miss.
    pub fn lookup(&self, md5: &Md5) -> Lookup {
        loop {
            match self.look(md5) {
                Found::Sealed(Sealed::Open(reader)) => return Lookup::Hit(reader),
                Found::Filling(reader) => return Lookup::Filling(reader),
                Found::Vacant(growing) if self.shared.rescue(md5, &growing) => {
                    return Lookup::Filling(Reader::following(growing));
                }
                Found::Vacant(growing) => return Lookup::Miss(Vacancy::new(&self.shared, *md5, growing)),
                Found::Sealed(Sealed::Row(object, body)) => {
                    if let Some(reader) = self.shared.open_object(&object, body) {
                        return Lookup::Hit(reader);
                    }
                    // Its row is gone with its file, unless the file cannot be opened for now: then it is as good as gone.
                    if self.peek(md5).is_some() {
                        let mut locked = self.shared.objects.shard(md5_hash(md5), self.shared.clock.now());
                        return match self.look_for_slot(&mut locked.shard, md5) {
                            Ok(reader) => Lookup::Filling(reader),
                            Err(growing) => Lookup::Miss(Vacancy::new(&self.shared, *md5, growing)),
                        };
                    }
                }
            }
        }
    }

    /// The object if it is here, whole; gives out no vacancy. Never waits. Counts as a use.
    pub fn hit(&self, md5: &Md5) -> Option<Reader> {
        let now = self.shared.clock.now();
        let sealed = self.look_for_sealed(&mut self.shared.objects.shard(md5_hash(md5), now).shard, md5, now)?;
        match sealed {
            Sealed::Open(reader) => Some(reader),
            Sealed::Row(object, body) => self.shared.open_object(&object, body),
        }
    }

    /// The object if it is here, whole, for who takes it elsewhere: does not count as a use. May wait for the disk.
    pub fn read_aside(&self, md5: &Md5) -> Option<Reader> {
        self.shared.open_sealed(md5)
    }

    /// Whether the object is here, sealed; does not count as a use.
    pub fn peek(&self, md5: &Md5) -> Option<ObjectInfo> {
        let now = self.shared.clock.now();
        let locked = self.shared.objects.shard(md5_hash(md5), now);
        let place = locked.shard.rows.find(md5_hash(md5), |row| row.md5 == *md5)?;
        Some(info(locked.shard.rows.at(place)))
    }

    /// The part that a fill with an equal `source` can continue, if there is one.
    pub fn resumable(&self, source: &[u8]) -> Option<Resumable> {
        self.shared.parts.resumable(source)
    }

    /// Begins a fill whose digest is not known beforehand (or only claimed by SHA-256). Who coalesces these is the caller.
    pub async fn fill(&self, spec: FillSpec) -> Result<Fill, FillError> {
        let growing = Growing::new(self.shared.disk.clone(), self.shared.lanes.clone());
        Fill::begin(&self.shared, None, growing, spec).await
    }

    /// Bytes that a single object may have at most.
    pub fn capacity(&self) -> u64 {
        self.shared.space.capacity()
    }

    /// The table of names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How the disk is reached.
    pub fn engine(&self) -> &os::engine::Engine {
        self.shared.disk.engine()
    }

    /// Counts and sizes now.
    pub fn report(&self) -> Report {
        let shared = &self.shared;
        let (sums, counters) = (shared.space.sums(), &shared.counters);
        Report {
            objects: shared.objects.len() as u64,
            names: shared.names.len() as u64,
            used: sums.used,
            reserved: sums.reserved,
            unlinked: sums.unlinked,
            max_size: sums.max_size,
            min_free: sums.min_free,
            hot_bytes: shared.hot.used(),
            disk_available: shared.space.disk_space().available,
            fills: shared.running().len() as u64,
            parts: shared.parts.len() as u64,
            quarantined: shared.quarantine.len() as u64,
            evictions: counters.evictions.total(),
            evicted_bytes: counters.evicted_bytes.total(),
            commits: counters.commits.total(),
            rejections: counters.rejections.total(),
            duplicates: counters.duplicates.total(),
            pinned_objects: shared.pins.sums.pinned().0,
            pinned_bytes: shared.pins.sums.pinned().1,
            unpinned_objects: shared.pins.sums.refused().0,
            unpinned_bytes: shared.pins.sums.refused().1,
            history_bytes: shared.history.len(),
            history_lost: shared.history.lost(),
            disk_errors: counters.disk_errors.total() + shared.journal.errors(),
            loaded: shared.objects.is_loaded() && shared.names.is_loaded(),
        }
    }

    /// Sealed objects from `cursor` on.
    pub fn objects(&self, cursor: Option<Md5>, limit: usize) -> Page {
        self.shared.page(cursor, limit)
    }

    /// From now on it is remembered what comes and goes, for one who tells others what is here.
    pub fn watch(&self) -> Watch {
        Watch::begin(&self.shared)
    }

    /// Removes an object; readers keep what they have. `true` if it was there. Blocks for the unlink.
    pub fn remove(&self, md5: &Md5) -> bool {
        self.remove_by(md5, "")
    }

    /// The same, and the history tells who wanted it, for people.
    pub fn remove_by(&self, md5: &Md5, who: &str) -> bool {
        let there = self.peek(md5).is_some();
        self.shared.remove_object(md5, Cause::Removed(who));
        there
    }

    /// What happened to an object, the oldest first; as much as is kept of it.
    pub async fn history(&self, md5: Md5) -> Vec<Entry> {
        self.shared.history_of(move |found| *found == md5, |_| true).await
    }

    /// The entries that are meant, the oldest first, the latest of very many. Every entry is looked at.
    pub async fn history_where(&self, is_meant: impl Fn(&Entry) -> bool + Send + 'static) -> Vec<Entry> {
        self.shared.history_of(|_| true, is_meant).await
    }

    /// How an object stands; `None` if it is not here. Looks at a few hundred others.
    pub fn standing(&self, md5: &Md5) -> Option<Standing> {
        self.shared.standing(md5)
    }

    /// Other patterns are in force when this returns, unless it was called again meanwhile. Blocks for a look at every name.
    pub fn set_pinning(&self, pinning: Pinning) {
        self.shared.repin(pinning);
    }

    /// What each pattern has pinned, as of when all names were last looked at.
    pub fn pinned(&self) -> Vec<Pinned> {
        self.shared.pins.tally()
    }

    /// Keys of names that stand for a content, a few of very many. Every name is looked at.
    pub async fn keys_of(&self, md5: Md5) -> Vec<Box<[u8]>> {
        self.shared.keys_of(md5).await
    }

    /// The pattern that pins a name, if one does.
    pub fn pattern_of(&self, key: &[u8]) -> Option<Box<str>> {
        self.shared.pins.pattern_of(key)
    }

    /// Changes the limits; reached in steps. Blocks for a look at every object if any are pinned.
    pub fn set_limits(&self, max_size: Limit, min_free: Limit) -> Result<(), OpenError> {
        self.shared.space.set_limits(max_size, min_free).map_err(|reason| OpenError::Limits { reason })?;
        if self.shared.pins.sums.bytes() > 0 || self.shared.is_refit_due() {
            self.shared.refit_pins();
        }
        self.shared.shrink();
        Ok(())
    }

    /// Reads every object and compares it with its name; bad ones are removed. Idle priority, without displacing the page cache. What was found so
    /// far is told after each object.
    pub async fn scrub(&self, told: impl Fn(ScrubReport) + Send) -> ScrubReport {
        self.shared.scrub(told).await
    }

    /// Writes use counts and tables, syncs, releases the lock. Fills in progress are suspended.
    pub async fn close(&self) {
        self.shared.close().await;
    }

    /// One look under one lock: hit, follow or vacant is decided here, and nowhere else.
    fn look(&self, md5: &Md5) -> Found {
        let shared = &self.shared;
        let (now, hash) = (shared.clock.now(), md5_hash(md5));
        let mut locked = shared.objects.shard(hash, now);
        let shard = &mut *locked.shard;
        if let Some(sealed) = self.look_for_sealed(shard, md5, now) {
            return Found::Sealed(sealed);
        }
        match self.look_for_slot(shard, md5) {
            Ok(reader) => Found::Filling(reader),
            Err(growing) => Found::Vacant(growing),
        }
    }

    /// A reader that follows who fills the digest; else its slot is taken, for the vacancy that is given out.
    fn look_for_slot(&self, shard: &mut Shard<Object, Slots>, md5: &Md5) -> Result<Reader, Arc<Growing>> {
        if let Some(slot) = shard.extra.filling.get(md5) {
            return Ok(Reader::following(slot.growing.clone()));
        }
        let growing = Growing::new(self.shared.disk.clone(), self.shared.lanes.clone());
        shard.extra.filling.insert(*md5, Slot { growing: growing.clone(), verified: false });
        Err(growing)
    }

    /// One use of a sealed object.
    fn look_for_sealed(&self, shard: &mut Shard<Object, Slots>, md5: &Md5, now: Now) -> Option<Sealed> {
        shard.extra.lookups += 1;
        let is_told = shard.extra.lookups >= TOLD;
        if is_told {
            self.shared.clock.advance(std::mem::take(&mut shard.extra.lookups));
        }
        let place = shard.rows.find(md5_hash(md5), |row| row.md5 == *md5)?;
        let second = self.shared.second.load(Ordering::Relaxed);
        if let Some(back) = touch(shard, place, now, second) {
            self.shared.returns.note(back, is_told);
        }
        Some(match shard.extra.open.find(md5) {
            Some(sealed) => Sealed::Open(Reader::of(sealed)),
            None => Sealed::Row(*shard.rows.at(place), shard.extra.open.body(md5)),
        })
    }
}

/// An object was asked for. Answers what the eviction learns from it.
fn touch(shard: &mut Shard<Object, Slots>, place: u32, now: Now, second: u32) -> Option<Return> {
    let object = shard.rows.at_mut(place);
    let before = object.usage.uses();
    let back = object.usage.touch(now);
    (object.times, object.last) = (object.times.saturating_add(1), second);
    // Written down when a count has doubled: often enough for a start to know who is popular, and for people to know how much.
    let uses = object.usage.uses();
    let is_doubled = uses.is_power_of_two() && uses != before;
    if (is_doubled || object.times.is_power_of_two()) && object.soil() {
        let md5 = object.md5;
        shard.extra.touched.push(md5);
    }
    back
}
