//! Looks through the share and tells what has changed against the catalogue: new and changed files go to the queue, files that are gone leave
//! the catalogue. A scan that finds nothing new writes nothing.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use os::share::Share;
use tracing::warn;

use crate::{
    catalogue::{Catalogue, CatalogueError, Stamp, join, shown},
    counters::Counters,
    queue::Queue,
};

/// Directories within each other; what lies deeper is not scanned (but served).
const DEPTH_MAX: usize = 256;

/// See the head of this file.
pub(crate) struct Scanner {
    pub(crate) share: Arc<Share>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) counters: Arc<Counters>,
    /// A scan ends early when the program does.
    pub(crate) stop: Arc<AtomicBool>,
}

/// One pass over the share.
struct Pass {
    /// Every directory that could be listed.
    listed: HashSet<Vec<u8>>,
    /// Every directory that is there but could not be listed: what is known below it is kept.
    unlisted: Vec<Vec<u8>>,
    /// Device and inode of each directory above the one that is looked at: a link to one of them is a loop.
    above: Vec<(u64, u64)>,
    files: u64,
    /// Whether `files` is shown as it grows.
    first: bool,
}

impl Scanner {
    /// The whole share.
    pub(crate) fn scan(&self) -> Result<(), CatalogueError> {
        let first = self.counters.scans.load(Ordering::Relaxed) == 0;
        let mut pass = Pass { listed: HashSet::new(), unlisted: vec![], above: self.above(b""), files: 0, first };
        self.scan_directory(b"", &mut pass)?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if pass.files == 0 && self.catalogue.len()? > 0 {
            // An unmounted share looks like this. To read everything again when it is back would take hours.
            warn!(share = %self.share.path().display(), "the share is empty; if it is a network share, it may not be mounted. The digests of its files are kept");
        } else {
            self.forget_lost_directories(&pass)?;
        }
        self.counters.files.store(pass.files, Ordering::Relaxed);
        self.counters.scans.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// One path that may have changed: a file, a directory (with all below it), or something that is gone.
    pub(crate) fn look(&self, path: &[u8]) -> Result<(), CatalogueError> {
        match self.share.identity(path) {
            Ok(Some(identity)) => {
                if self.catalogue.digests(path, &identity)?.is_none() {
                    self.queue.push(path.into());
                }
                Ok(())
            }
            Ok(None) => {
                let above = self.above(path);
                let mut pass = Pass { listed: HashSet::new(), unlisted: vec![], above, files: 0, first: false };
                self.scan_directory(path, &mut pass)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !path.is_empty() {
                    self.catalogue.forget(path)?;
                }
                Ok(())
            }
            Err(error) => {
                warn!(path = shown(path), %error, "a changed path of the share cannot be looked at; the next rescan tries again");
                Ok(())
            }
        }
    }

    /// The share's top and every directory down to this one.
    fn above(&self, directory: &[u8]) -> Vec<(u64, u64)> {
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let ends = [0].into_iter().chain(ends).chain([directory.len()]);
        let paths = ends.map(|end| self.share.path().join(OsStr::from_bytes(&directory[..end])));
        paths.filter_map(|path| std::fs::metadata(path).ok()).map(|found| (found.dev(), found.ino())).collect()
    }

    fn scan_directory(&self, directory: &[u8], pass: &mut Pass) -> Result<(), CatalogueError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let entries = match self.share.list(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                warn!(directory = shown(directory), %error, "a directory of the share cannot be listed; what is known of the files below it is kept");
                pass.unlisted.push(directory.into());
                return Ok(());
            }
        };
        let mut known = self.catalogue.files_in(directory)?;
        let mut below = Vec::new();
        for entry in entries {
            if entry.directory {
                below.push((join(directory, &entry.name), (entry.identity.device, entry.identity.inode)));
                continue;
            }
            pass.files += 1;
            if known.remove(&entry.name) != Some(Stamp::from(&entry.identity)) {
                self.queue.push(join(directory, &entry.name).into());
            }
        }
        if pass.first {
            self.counters.files.store(pass.files, Ordering::Relaxed);
        }
        // An empty top may be a share that is not mounted: see `scan`.
        if !directory.is_empty() || pass.files > 0 || !below.is_empty() {
            known.keys().try_for_each(|name| self.catalogue.forget(&join(directory, name)).map(drop))?;
        }
        pass.listed.insert(directory.into());
        below.into_iter().try_for_each(|(path, id)| self.descend(&path, id, pass))
    }

    fn descend(&self, path: &[u8], id: (u64, u64), pass: &mut Pass) -> Result<(), CatalogueError> {
        if pass.above.contains(&id) {
            return Ok(());
        }
        if pass.above.len() >= DEPTH_MAX {
            warn!(
                directory = shown(path),
                "a directory lies more than {DEPTH_MAX} levels deep; the files below it get their digests only when they are asked for"
            );
            pass.unlisted.push(path.into());
            return Ok(());
        }
        pass.above.push(id);
        let scanned = self.scan_directory(path, pass);
        pass.above.pop();
        scanned
    }

    fn forget_lost_directories(&self, pass: &Pass) -> Result<(), CatalogueError> {
        for directory in self.catalogue.directories()? {
            let unlisted = pass.unlisted.iter().any(|above| is_within(&directory, above));
            if !unlisted && !pass.listed.contains(&directory) {
                self.catalogue.forget(&directory)?;
            }
        }
        Ok(())
    }
}

/// Whether a directory is another, or lies below it.
fn is_within(directory: &[u8], above: &[u8]) -> bool {
    match directory.strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within() {
        for (directory, above, expected) in [
            ("a/b", "a", true),
            ("a", "a", true),
            ("ab", "a", false),
            ("b", "a", false),
            ("a", "", true),
            ("", "", true),
        ] {
            assert_eq!(is_within(directory.as_bytes(), above.as_bytes()), expected, "{directory} {above}");
        }
    }
}
