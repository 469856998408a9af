//! Finds the files of a directory, with what else there is and why it is none of them. Within a directory in the order of their inodes, in which old
//! disks are quickest to read.

use std::{collections::VecDeque, path::Path};

use os::share::{
    Identity, Share,
    entries::{Entry, Kind},
};

/// Directories in each other.
const DEPTH_MAX: usize = 128;

/// A file that is to come in.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Below the directory.
    pub(crate) path: Vec<u8>,
    pub(crate) identity: Identity,
    /// It stands elsewhere, beneath the directory too.
    pub(crate) is_link: bool,
}

/// What was met.
#[derive(Debug)]
pub(crate) enum Met {
    File(Found),
    /// Not a file, and why.
    Skipped(Vec<u8>, &'static str),
    /// Cannot be looked at.
    Failed(Vec<u8>, String),
}

/// On its way through a directory.
pub(crate) struct Walk<'a> {
    share: &'a Share,
    /// Directories that were not looked into yet.
    pending: Vec<Vec<u8>>,
    met: VecDeque<Met>,
    avoid: Option<(u64, u64)>,
}

impl<'a> Walk<'a> {
    /// `avoid` is a directory that is passed over wherever it is met.
    pub(crate) fn new(share: &'a Share, avoid: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let avoid = std::fs::metadata(avoid).ok().map(|found| (found.dev(), found.ino()));
        Self { share, pending: vec![Vec::new()], met: VecDeque::new(), avoid }
    }

    fn look_into(&mut self, directory: &[u8]) {
        let mut entries = match self.share.entries(directory) {
            Ok(entries) => entries,
            Err(error) => {
                self.met.push_back(Met::Failed(directory.to_vec(), unreadable(&error)));
                return;
            }
        };
        entries.sort_by_key(inode);
        let mut below = Vec::new();
        for Entry { name, kind } in entries {
            let path = if directory.is_empty() { name } else { [directory, b"/", &name].concat() };
            let met = match kind {
                Ok(Kind::File(identity, _)) => Met::File(Found { path, identity, is_link: false }),
                Ok(Kind::LinkToFile(identity)) => Met::File(Found { path, identity, is_link: true }),
                Ok(Kind::Directory { device, inode }) => match self.why_not_into(&path, (device, inode)) {
                    Some(why) => Met::Skipped(path, why),
                    None => {
                        below.push(path);
                        continue;
                    }
                },
                Ok(Kind::LinkToDirectory) => Met::Skipped(path, "a link to a directory"),
                Ok(Kind::LinkAway) => Met::Skipped(path, "a link that leads out of the directory, or nowhere"),
                Ok(Kind::Special) => Met::Skipped(path, "a pipe, a socket or a device"),
                Err(kind) => Met::Failed(path, unreadable(&kind.into())),
            };
            self.met.push_back(met);
        }
        self.pending.extend(below.into_iter().rev());
    }

    fn why_not_into(&self, path: &[u8], identity: (u64, u64)) -> Option<&'static str> {
        if self.avoid == Some(identity) {
            return Some("the cache itself");
        }
        let depth = path.iter().filter(|byte| **byte == b'/').count();
        (depth >= DEPTH_MAX).then_some("too many directories in each other")
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read: {error}")
}

fn inode(entry: &Entry) -> u64 {
    match &entry.kind {
        Ok(Kind::File(identity, _) | Kind::LinkToFile(identity)) => identity.inode,
        Ok(Kind::Directory { inode, .. }) => *inode,
        _ => 0,
    }
}

impl Iterator for Walk<'_> {
    type Item = Met;

    fn next(&mut self) -> Option<Met> {
        while self.met.is_empty() {
            let directory = self.pending.pop()?;
            self.look_into(&directory);
        }
        self.met.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn files_are_found_and_the_rest_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::create_dir_all(at("cache/objects")).unwrap();
        for path in ["one", "a/two", "a/b/c/three", "cache/objects/x"] {
            fs::write(at(path), path).unwrap();
        }
        symlink("../one", at("a/link")).unwrap();
        symlink("/etc/passwd", at("out")).unwrap();
        symlink("b", at("a/to-dir")).unwrap();
        let share = Share::open(dir.path()).unwrap();
        let (mut files, mut others) = (Vec::new(), Vec::new());
        for met in Walk::new(&share, &at("cache")) {
            match met {
                Met::File(found) => files.push((String::from_utf8(found.path).unwrap(), found.is_link)),
                Met::Skipped(path, why) => others.push((String::from_utf8(path).unwrap(), why)),
                Met::Failed(path, why) => panic!("{path:?}: {why}"),
            }
        }
        files.sort();
        others.sort();
        let expected = [("a/b/c/three", false), ("a/link", true), ("a/two", false), ("one", false)];
        assert_eq!(files, expected.map(|(path, is_link)| (path.to_owned(), is_link)));
        let skipped = [
            ("a/to-dir", "a link to a directory"),
            ("cache", "the cache itself"),
            ("out", "a link that leads out of the directory, or nowhere"),
        ];
        assert_eq!(others, skipped.map(|(path, why)| (path.to_owned(), why)));
    }

    #[test]
    fn what_is_too_deep_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 3).collect();
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        let share = Share::open(dir.path()).unwrap();
        let met: Vec<_> = Walk::new(&share, Path::new("/none")).collect();
        assert!(matches!(&met[..], [Met::Skipped(_, "too many directories in each other")]), "{met:?}");
    }
}
