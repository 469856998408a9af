//! Entries for `fuzz/`, which are there only when fuzzing: whatever stands in a file, it is read or refused. Checksums hold for everything then, or
//! nothing behind them would be looked at.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use os::engine::Choice;

use crate::{
    disk::{Disk, RealDisk},
    history,
    index::record::Record,
    journal,
    part::description::PartState,
    space::evict::Now,
};

static DISK: OnceLock<Arc<dyn Disk>> = OnceLock::new();

/// A journal file of number 7.
pub fn journal(bytes: &[u8]) {
    if let Some(record) = Record::decode(bytes, Now::default()) {
        let mut again = Vec::new();
        record.encode(Now::default(), &mut again);
        assert_eq!(Record::decode(&again, Now::default()), Some(record));
    }
    journal::fuzz::replay(bytes);
}

/// A file of the history, and one entry of it.
pub fn history(bytes: &[u8]) {
    history::fuzz::read(bytes);
}

/// A snapshot of number 7.
pub fn snapshot(bytes: &[u8]) {
    let path = PathBuf::from(format!("/dev/shm/outpost-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("/dev/shm takes files");
    let disk = DISK.get_or_init(|| Arc::new(RealDisk::start(Choice::Threads).expect("threads start")));
    journal::fuzz::read_snapshot(disk, &path);
    std::fs::remove_file(&path).expect("it was written");
}

/// The description of a part.
pub fn part_description(bytes: &[u8]) {
    PartState::check(bytes);
}
