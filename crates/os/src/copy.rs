//! Taking over the bytes of one file into another without moving them through this process: by sharing blocks, by a copy in the
//! kernel, or by one name more.

use std::{fs::File, io, os::fd::AsRawFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, copy_file_range, ioctl_ficlone, linkat},
    io::Errno,
};

/// Gives `to` the content that `from` has at this moment, without copying it: both share blocks until one of them is written to
/// (`FICLONE`). `false` where the file system cannot do it, or the two are on different ones.
pub fn share_blocks(from: &File, to: &File) -> io::Result<bool> {
    match ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(error) if is_refusal(error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies up to `len` bytes at the same offset of both files; 0 at the end of `from`. `None` where the kernel cannot do it between these
/// two, before any byte was copied.
pub fn copy_range(from: &File, to: &File, offset: u64, len: usize) -> io::Result<Option<usize>> {
    let (mut reading, mut writing) = (offset, offset);
    loop {
        match copy_file_range(from, Some(&mut reading), to, Some(&mut writing), len) {
            Ok(copied) => return Ok(Some(copied)),
            Err(Errno::INTR) => {}
            Err(error) if is_refusal(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives an open file one name more, beside those that it has (a hard link). Fails where `to` is on another file system, or is there.
pub fn name_again(file: &File, to: &Path) -> io::Result<()> {
    // By the descriptor, so that it is this very file, whatever stands under its old name by now.
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, descriptor, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
}

/// Not here, or not between these two; as against a disk that is full or broken.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM | Errno::TXTBSY
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    fn files() -> (File, File) {
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(b"what is to be copied").unwrap();
        (from, tempfile::tempfile().unwrap())
    }

    fn content(mut file: File) -> String {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn blocks_are_shared_or_nothing_happens() {
        let (from, to) = files();
        let expected = if share_blocks(&from, &to).unwrap() { "what is to be copied" } else { "" };
        assert_eq!(content(to), expected);
    }

    #[test]
    fn a_range_is_copied_to_the_same_place() {
        let (from, to) = files();
        if let Some(copied) = copy_range(&from, &to, 5, 100).unwrap() {
            assert_eq!(copied, 15);
            assert_eq!(copy_range(&from, &to, 20, 100).unwrap(), Some(0));
            assert_eq!(content(to), "\0\0\0\0\0is to be copied");
        }
    }

    #[test]
    fn a_name_more_is_of_the_file_that_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, again) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("again"));
        std::fs::write(&one, "first").unwrap();
        let file = File::open(&one).unwrap();
        std::fs::write(&two, "second").unwrap();
        std::fs::rename(&two, &one).unwrap();
        // Its last name has gone: no name can be given to it any more.
        assert!(name_again(&file, &again).is_err());
        let file = File::open(&one).unwrap();
        name_again(&file, &again).unwrap();
        assert_eq!(std::fs::read_to_string(&again).unwrap(), "second");
        assert_eq!(name_again(&file, &again).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn other_kinds_of_file_systems_are_told_apart_from_trouble() {
        let (from, _) = files();
        let elsewhere = File::open("/proc/version").unwrap();
        assert!(!share_blocks(&elsewhere, &from).unwrap());
        let reading = File::open("/etc/passwd").unwrap();
        assert!(copy_range(&from, &reading, 0, 10).is_err(), "not open for writing is an error");
    }
}
