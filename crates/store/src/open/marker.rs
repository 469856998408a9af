//! Whose directory is it, and is it free: the marker says that it is ours, the lock that nobody else is at work in it.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    io,
    path::Path,
};

use crate::{
    disk::{
        Disk, Held,
        layout::{LOCK, MARKER},
    },
    index::sip::SipKey,
    options::OpenError,
};

/// The format of the directory that this version writes and reads.
const FORMAT: u32 = 1;
/// Entries that an otherwise empty directory may have: a lock of ours, a marker half written, and what a fresh file system brings.
const HARMLESS: [&str; 4] = [LOCK, MARKER_NEW, "lost+found", ".keep"];
const MARKER_NEW: &str = "outpost-cache.new";

/// Makes the directory ours, or finds that it is. Until the marker was seen or the directory found empty, nothing is written.
pub(crate) fn take(dir: &Path, disk: &dyn Disk) -> Result<(Held, SipKey), OpenError> {
    let failed = |action| {
        let path = dir.to_owned();
        move |source| OpenError::Io { action, path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed("create"))?;
    let items = disk.list(dir).map_err(failed("read"))?;
    let ours = items.iter().any(|item| item.name == MARKER);
    if !ours && !items.iter().all(|item| HARMLESS.iter().any(|harmless| item.name == *harmless)) {
        return Err(OpenError::NotOurs { dir: dir.to_owned() });
    }
    let held = disk.lock(dir, LOCK).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { dir: dir.to_owned(), source },
        _ => OpenError::Io { action: "lock", path: dir.to_owned(), source },
    })?;
    let marker = dir.join(MARKER);
    let sip = if ours {
        let text = read(disk, &marker).map_err(failed("read the marker in"))?;
        parse_marker(&text, dir)?
    } else {
        let sip = SipKey([RandomState::new().build_hasher().finish(), RandomState::new().build_hasher().finish()]);
        write_marker(disk, dir, &marker, sip).map_err(failed("write to"))?;
        sip
    };
    for name in ["objects", "parts", "quarantine", "index"] {
        match disk.create_dir(&dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create")(error)),
            _ => {}
        }
    }
    disk.sync_dir(dir).map_err(failed("write to"))?;
    Ok((held, sip))
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let mut bytes = vec![0; disk.stat(path)?.len.min(4096) as usize];
    disk.read_exact_at(&disk.open(path, false)?, &mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write_marker(disk: &dyn Disk, dir: &Path, marker: &Path, sip: SipKey) -> io::Result<()> {
    let new = dir.join(MARKER_NEW);
    match disk.unlink(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&new)?;
    let text = format!("outpost-cache {FORMAT}\nkey {:016x}{:016x}\n", sip.0[0], sip.0[1]);
    disk.write_all_at(&file, text.as_bytes(), 0)?;
    disk.sync_file(&file)?;
    disk.rename(&new, marker)
}

fn parse_marker(text: &str, dir: &Path) -> Result<SipKey, OpenError> {
    let mut lines = text.lines();
    let found = lines.next().and_then(|line| line.strip_prefix("outpost-cache "));
    let not_ours = || OpenError::NotOurs { dir: dir.to_owned() };
    let found: u32 = found.and_then(|number| number.parse().ok()).ok_or_else(not_ours)?;
    if found != FORMAT {
        return Err(OpenError::Format { dir: dir.to_owned(), found, known: FORMAT });
    }
    let key = lines.next().and_then(|line| line.strip_prefix("key ")).filter(|key| key.is_ascii() && key.len() == 32);
    let half = |at: usize| key.and_then(|key| u64::from_str_radix(&key[at..at + 16], 16).ok());
    Ok(SipKey([half(0).ok_or_else(not_ours)?, half(16).ok_or_else(not_ours)?]))
}
