//! Looks through the share and tells what has changed against the catalogue: new and changed files go to the queue, files that are gone leave
//! the catalogue. A scan that finds nothing new writes nothing, and keeps of the share only what one directory has, and those above it.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use tracing::warn;

use crate::{
    catalogue::{Catalogue, CatalogueError, Stamp, join, shown},
    counters::Counters,
    feed::{Feed, Mark},
    published::Published,
    queue::Queue,
};

/// Directories within each other; what lies deeper is not scanned (but served).
const DEPTH_MAX: usize = 256;

/// See the head of this file.
pub(crate) struct Scanner {
    pub(crate) share: Arc<dyn Published>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) counters: Arc<Counters>,
    /// A scan ends early when the program does.
    pub(crate) stop: Arc<AtomicBool>,
}

/// Directories that are kept in mind as lost while no file was found; more of them are forgotten where they are found to be.
const LOST_MAX: usize = 10_000;

/// One pass over the share, or over a directory of it.
struct Pass {
    /// Taken before anything was looked at.
    seen: Mark,
    /// Directories that are no more, while it is not known whether the share is there at all.
    lost: Vec<Vec<u8>>,
    /// Whether an empty share may be one that is not mounted.
    may_be_unmounted: bool,
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
        let mut pass = Pass { may_be_unmounted: true, first, ..self.pass(b"") };
        self.scan_directory(b"", &mut pass)?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if pass.files == 0 && self.catalogue.len() > 0 {
            // An unmounted share looks like this. To read everything again when it is back would take hours.
            warn!(share = %self.share.path().display(), "the share is empty; if it is a network share, it may not be mounted. The digests of its files are kept");
        } else {
            pass.lost.iter().try_for_each(|directory| self.forget(directory, pass.seen))?;
            self.feed.settle_all(pass.seen);
        }
        self.counters.files.store(pass.files, Ordering::Relaxed);
        self.counters.scans.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// One path that may have changed: a file, a directory (with all below it), or something that is gone.
    pub(crate) fn look(&self, path: &[u8]) -> Result<(), CatalogueError> {
        let seen = self.feed.mark();
        match self.share.identity(path) {
            Ok(Some(identity)) => {
                if self.feed.is_stale(path) || self.catalogue.digests(path, &identity)?.is_none() {
                    self.queue.push(path.into());
                }
                Ok(())
            }
            Ok(None) => {
                self.scan_directory(path, &mut self.pass(path))?;
                if path.is_empty() {
                    self.feed.settle_all(seen);
                } else {
                    self.feed.settle(path, seen);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.is_empty() {
                    Ok(())
                } else {
                    self.forget(path, seen)
                }
            }
            Err(error) => {
                warn!(path = shown(path), %error, "a changed path of the share cannot be looked at; the next rescan tries again");
                Ok(())
            }
        }
    }

    fn pass(&self, top: &[u8]) -> Pass {
        let (seen, above) = (self.feed.mark(), self.above(top));
        Pass { seen, lost: vec![], may_be_unmounted: false, above, files: 0, first: false }
    }

    fn forget(&self, path: &[u8], seen: Mark) -> Result<(), CatalogueError> {
        self.catalogue.forget(path, seen, SystemTime::now()).map(drop)
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
                return Ok(());
            }
        };
        let mut known = self.catalogue.files_in(directory)?;
        let mut lost = self.catalogue.directories_in(directory)?;
        let mut below = Vec::new();
        for entry in entries {
            let path = join(directory, &entry.name);
            if entry.directory {
                lost.remove(&entry.name);
                below.push((path, (entry.identity.device, entry.identity.inode)));
                continue;
            }
            pass.files += 1;
            match known.remove(&entry.name) {
                Some(stamp) if stamp == Stamp::from(&entry.identity) => {}
                before => self.changed(path, before.is_some()),
            }
        }
        if pass.first {
            self.counters.files.store(pass.files, Ordering::Relaxed);
        }
        // An empty top may be a share that is not mounted: see `scan`.
        if !directory.is_empty() || pass.files > 0 || !below.is_empty() {
            known.keys().try_for_each(|name| self.forget(&join(directory, name), pass.seen))?;
        }
        drop(known);
        lost.iter().try_for_each(|name| self.lose(join(directory, name), pass))?;
        below.into_iter().try_for_each(|(path, id)| self.descend(&path, id, pass))
    }

    /// A file that is new, or another than it was.
    fn changed(&self, path: Vec<u8>, was_known: bool) {
        // Of a new one nobody can have been told anything, unless it was announced.
        if was_known || self.feed.is_stale(&path) {
            self.feed.still_stale(&path);
        }
        self.queue.push(path.into());
    }

    /// A directory of which files are known is no more.
    fn lose(&self, directory: Vec<u8>, pass: &mut Pass) -> Result<(), CatalogueError> {
        if pass.may_be_unmounted && pass.files == 0 && pass.lost.len() < LOST_MAX {
            pass.lost.push(directory);
            return Ok(());
        }
        self.forget(&directory, pass.seen)
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
            return Ok(());
        }
        pass.above.push(id);
        let scanned = self.scan_directory(path, pass);
        pass.above.pop();
        scanned
    }
}
