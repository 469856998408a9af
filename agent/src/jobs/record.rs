//! What is remembered of jobs over ends of the program: a file each, replaced as a whole.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::places::Places;
use crate::{
    decide::jobs::plan::Kept,
    service::kept::{self, replace},
};

/// Bytes of such a file.
const RECORD_BYTES_MAX: u64 = 64 << 10;
const SEEN_BYTES_MAX: u64 = 32 << 20;
/// Jobs that are remembered, most of them from before; of more some are left as they lie.
const REMEMBERED_MAX: usize = 1_024;

/// By what a file is known to be as it was seen: whoever changes it changes one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look(u64, u64, i64, i64, i64, i64);

/// Files of a tree that were seen to be right, by their paths below it.
pub(super) type Seen = BTreeMap<PathBuf, Look>;

impl Look {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let of = metadata;
        Self(of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec())
    }
}

/// What is remembered of a job.
pub(super) fn read(places: &Places, name: &str) -> Option<Kept> {
    parse(&places.record(name), RECORD_BYTES_MAX)
}

/// Remembers it.
pub(super) fn keep(places: &Places, kept: &Kept) -> io::Result<()> {
    replace(&places.record(&kept.job.name), kept)
}

/// All jobs that are remembered.
pub(super) fn names(places: &Places) -> Vec<String> {
    let Ok(entries) = fs::read_dir(places.records()) else { return Vec::new() };
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned);
    entries
        .filter_map(|entry| name(entry.ok()?))
        .filter(|name| protocol::jobs::is_name(name))
        .take(REMEMBERED_MAX)
        .collect()
}

/// Which files were seen to be right. Those whose names cannot be written are looked at again.
pub(super) fn seen(places: &Places, name: &str) -> Seen {
    parse(&places.seen(name), SEEN_BYTES_MAX).unwrap_or_default()
}

pub(super) fn keep_seen(places: &Places, name: &str, seen: &Seen) -> io::Result<()> {
    let writable: Seen =
        seen.iter().filter(|(path, _)| path.to_str().is_some()).map(|(path, look)| (path.clone(), *look)).collect();
    replace(&places.seen(name), &writable)
}

/// Nothing of it is known any more.
pub(super) fn forget(places: &Places, name: &str) {
    for file in [places.record(name), places.seen(name), places.output(name)] {
        // What is not there need not go, and what stays is forgotten at the next end of the job.
        drop(fs::remove_file(file));
    }
}

fn parse<T: DeserializeOwned>(file: &Path, bytes_max: u64) -> Option<T> {
    match kept::parse(file, bytes_max) {
        Ok(value) => value,
        Err(error) => {
            let file = file.display().to_string();
            tracing::warn!(file, %error, "what was kept of a job cannot be read; it is looked after as if it were new");
            None
        }
    }
}
