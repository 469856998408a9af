//! The store: one map whose slot is either filling or sealed.

use protocol::digest::Md5;

use crate::{
    fill::{Fill, FillError, FillSpec, Resumable, Vacancy},
    names::Names,
    options::{OpenError, Options},
    reader::Reader,
    report::{ObjectInfo, Page, Report, ScrubReport},
};

/// Handle to a store; clones share it. After [`Store::close`] nothing is written any more.
#[derive(Clone)]
pub struct Store {}

/// The answer to a lookup carries its evidence: only the holder of a vacancy can fill.
pub enum Lookup {
    /// Here, whole and verified.
    Hit(Reader),
    /// Somebody is filling it: follow. It may not have begun yet (length unknown, watermark 0).
    Filling(Reader),
    /// Not here; whoever gets this may fill it.
    Miss(Vacancy),
}

impl Store {
    /// Opens or makes the directory, takes its lock, recovers. Blocks; quick whatever the number of objects, the rest loads in the background.
    pub fn open(_options: Options) -> Result<Self, OpenError> {
        todo!()
    }

    /// Never waits. Counts as a use of the object. A file that is found missing is a miss.
    pub fn lookup(&self, _md5: &Md5) -> Lookup {
        todo!()
    }

    /// Whether the object is here, sealed; does not count as a use.
    pub fn peek(&self, _md5: &Md5) -> Option<ObjectInfo> {
        todo!()
    }

    /// The part that a fill with an equal `source` can continue, if there is one.
    pub fn resumable(&self, _source: &[u8]) -> Option<Resumable> {
        todo!()
    }

    /// Begins a fill whose digest is not known beforehand (or only claimed by SHA-256). Who coalesces these is the caller.
    pub async fn fill(&self, _spec: FillSpec) -> Result<Fill, FillError> {
        todo!()
    }

    /// Bytes that a single object may have at most.
    pub fn capacity(&self) -> u64 {
        todo!()
    }

    /// The table of names.
    pub fn names(&self) -> &Names {
        todo!()
    }

    /// How the disk is reached.
    pub fn engine(&self) -> &os::engine::Engine {
        todo!()
    }

    /// Counts and sizes now.
    pub fn report(&self) -> Report {
        todo!()
    }

    /// Sealed objects from `cursor` on.
    pub fn objects(&self, _cursor: Option<Md5>, _limit: usize) -> Page {
        todo!()
    }

    /// Removes an object; readers keep what they have. `true` if it was there.
    pub fn remove(&self, _md5: &Md5) -> bool {
        todo!()
    }

    /// Changes the limits; reached in steps.
    pub fn set_limits(&self, _max_size: crate::Limit, _min_free: crate::Limit) -> Result<(), OpenError> {
        todo!()
    }

    /// Reads every object and compares it with its name; bad ones are removed. Idle priority, without displacing the page cache.
    pub async fn scrub(&self) -> ScrubReport {
        todo!()
    }

    /// Writes use counts and tables, syncs, releases the lock. Fills in progress are suspended.
    pub async fn close(&self) {
        todo!()
    }
}
