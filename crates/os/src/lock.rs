//! One running instance per directory.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// Held until dropped (`flock` on a file in the directory, which stays there).
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock `name` in `dir`, or `WouldBlock` if another process has it. Writes our process id into it for people.
    pub fn take(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        // Not truncated here: before the lock is ours, the content belongs to whoever holds it.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(&path, &file)),
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The error that tells who is in the way. The id may be missing: its owner may just be starting.
fn held(path: &Path, file: &File) -> io::Error {
    /// Longer than any process id with its line end.
    const PID_TEXT_MAX: u64 = 16;
    let mut owner = String::new();
    let owner = match file.take(PID_TEXT_MAX).read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => format!("process {}", owner.trim()),
        _ => "another process".to_owned(),
    };
    io::Error::new(io::ErrorKind::WouldBlock, format!("{} is held by {owner}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path(), "lock").unwrap();
        let error = DirLock::take(dir.path(), "lock").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        DirLock::take(dir.path(), "lock").unwrap();
    }

    #[test]
    fn a_longer_old_id_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "99999999999999\n").unwrap();
        let _held = DirLock::take(dir.path(), "lock").unwrap();
        let text = std::fs::read_to_string(dir.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_missing_directory_is_not_a_held_lock() {
        let dir = tempfile::tempdir().unwrap();
        let error = DirLock::take(&dir.path().join("none"), "lock").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
