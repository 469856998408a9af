//! What a store tells about itself.

use protocol::digest::{Md5, Sha256};

use crate::history::event::{Asked, Merit};

/// Counts and sizes now. Bytes unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sealed objects.
    pub objects: u64,
    /// Names in the table.
    pub names: u64,
    /// Everything that counts against `max_size`: objects, parts and their reservations, unlinked but open, quarantine, journal.
    pub used: u64,
    /// Of that, reserved by fills.
    pub reserved: u64,
    /// Of that, unlinked but still open.
    pub unlinked: u64,
    /// Small hot bodies in memory.
    pub hot_bytes: u64,
    /// `max_size` in bytes.
    pub max_size: u64,
    /// `min_free` in bytes.
    pub min_free: u64,
    /// Free on the disk.
    pub disk_available: u64,
    /// Fills in progress, counted.
    pub fills: u64,
    /// Parts that wait to be continued, counted.
    pub parts: u64,
    /// Parts in quarantine, counted.
    pub quarantined: u64,
    /// Evictions since the start, counted.
    pub evictions: u64,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Fills committed since the start, counted.
    pub commits: u64,
    /// Fills rejected for length or digest since the start, counted.
    pub rejections: u64,
    /// Commits that found the content already here, counted.
    pub duplicates: u64,
    /// Objects that are pinned, counted.
    pub pinned_objects: u64,
    /// Bytes on disk of pinned objects.
    pub pinned_bytes: u64,
    /// Objects that are to be pinned and do not fit beside the others, counted: they are kept like any other.
    pub unpinned_objects: u64,
    /// Bytes on disk of these.
    pub unpinned_bytes: u64,
    /// Bytes of the history.
    pub history_bytes: u64,
    /// Entries of the history that could not be written since the start, counted.
    pub history_lost: u64,
    /// Errors of the disk since the start, counted.
    pub disk_errors: u64,
    /// Whether the tables are wholly in memory after the start.
    pub loaded: bool,
}

/// One sealed object, for the admin interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub md5: Md5,
    /// Its proof; missing for an adopted file that was not scrubbed yet.
    pub sha256: Option<Sha256>,
    /// Bytes.
    pub size: u64,
    /// How often it was asked for, up to 255 times; after a start a little more may be said.
    pub uses: u32,
}

/// How an object stands that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is listed of it.
    pub info: ObjectInfo,
    /// How often it was asked for since this instance began.
    pub asked: Asked,
    /// What the policy knows of it.
    pub merit: Merit,
    /// Whether it is never evicted.
    pub is_pinned: bool,
    /// Whether it would be, and does not fit beside those that are.
    pub is_pin_refused: bool,
    /// Whether somebody reads it just now.
    pub is_read: bool,
    /// Other objects that were looked at, drawn at random, and may be evicted.
    pub others: u32,
    /// How many of them would go before this one.
    pub worse: u32,
}

/// A page of objects in the order of their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as asked for.
    pub objects: Vec<ObjectInfo>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Md5>,
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Objects read and found right.
    pub good: u64,
    /// Objects that were not what their name says, removed.
    pub bad: u64,
    /// Objects whose file was gone.
    pub missing: u64,
    /// Bytes read.
    pub bytes: u64,
}
