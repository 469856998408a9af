//! Two names that change places at one moment: whoever looks sees the one or the other, and never neither.

use std::{io, path::Path};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

/// Exchanges what stands at two paths of one file system, files or directories. `false` where that file system (or the kernel) cannot.
pub fn swap(one: &Path, other: &Path) -> io::Result<bool> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn directories_change_places_or_nothing_happens() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        for (path, text) in [(&one, "1"), (&other, "2")] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), text).unwrap();
        }
        let expected = if swap(&one, &other).unwrap() { ["2", "1"] } else { ["1", "2"] };
        assert_eq!([&one, &other].map(|path| fs::read_to_string(path.join("file")).unwrap()), expected);
        assert_eq!(swap(&one, &directory.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
