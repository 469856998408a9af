//! The catalogue in an SQLite file: one connection that writes, and a few that read beside it.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use os::share::Identity;
use parking_lot::{Mutex, MutexGuard};
use protocol::{
    catalog::{File, Page},
    digest::{Digests, Md5},
};
use rusqlite::Connection;

use super::{Asked, Catalogue, CatalogueError, Folder, Hashed, Stamp, layout, page, reader, writer::Writer};
use crate::{
    database::{self, Layout},
    feed::{Feed, Mark},
};

/// Connections for what takes microseconds.
const READERS: usize = 3;
/// A database that is no larger is read for damage before it is used; a larger one in the background.
const CHECKED_AT_OPEN_MAX: u64 = 32 << 20;

/// See the head of this file.
pub(crate) struct SqliteCatalogue {
    path: PathBuf,
    epoch: String,
    writer: Mutex<Writer>,
    readers: [Mutex<Connection>; READERS],
    next_reader: AtomicUsize,
    /// For what takes long, so that it stands in nobody's way: pages, and what they are made of.
    pages: Mutex<Connection>,
    /// Written under the writer's lock.
    generation: AtomicU64,
    files: AtomicU64,
    feed: Arc<Feed>,
}

impl SqliteCatalogue {
    /// Opens or makes the database of a share. What changes is told to the feed.
    pub(crate) fn open(path: &Path, share: &Path, feed: Arc<Feed>) -> Result<Self, CatalogueError> {
        let connection = layout::open(path, share)?;
        if std::fs::metadata(path).is_ok_and(|found| found.len() <= CHECKED_AT_OPEN_MAX) {
            database::check(&connection, path)?;
        }
        let writer = Writer::new(connection).map_err(|error| database::explain(path, error))?;
        let reader = || Layout::reader(path).map(Mutex::new);
        Ok(Self {
            path: path.into(),
            epoch: writer.epoch.clone(),
            generation: AtomicU64::new(writer.generation()),
            files: AtomicU64::new(writer.files()),
            writer: Mutex::new(writer),
            readers: [reader()?, reader()?, reader()?],
            next_reader: AtomicUsize::new(0),
            pages: reader()?,
            feed,
        })
    }

    /// One that nobody uses, or the next in turn.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let free = self.readers.iter().find_map(Mutex::try_lock);
        free.unwrap_or_else(|| self.readers[self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS].lock())
    }

    /// Shows what was committed; the writer is still locked, so that everything is told in its order.
    fn show(&self, writer: &mut Writer) {
        self.files.store(writer.files(), Ordering::Release);
        self.generation.store(writer.generation(), Ordering::Release);
        self.feed.committed(writer.take_committed());
    }
}

impl Catalogue for SqliteCatalogue {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn len(&self) -> u64 {
        self.files.load(Ordering::Acquire)
    }

    fn digests(&self, path: &[u8], identity: &Identity) -> Result<Option<Digests>, CatalogueError> {
        Ok(reader::digests(&self.reader(), path, &Stamp::from(identity))?)
    }

    fn record(&self, hashed: &[Hashed]) -> Result<(), CatalogueError> {
        let mut writer = self.writer.lock();
        writer.record(hashed)?;
        self.show(&mut writer);
        Ok(())
    }

    fn forget(&self, path: &[u8], seen: Mark, now: SystemTime) -> Result<u64, CatalogueError> {
        let mut writer = self.writer.lock();
        let forgotten = writer.forget(path, seen, now)?;
        self.show(&mut writer);
        Ok(forgotten)
    }

    fn files_in(&self, directory: &[u8]) -> Result<HashMap<Vec<u8>, Stamp>, CatalogueError> {
        Ok(reader::files_in(&self.reader(), directory)?)
    }

    fn directories_in(&self, directory: &[u8]) -> Result<BTreeSet<Vec<u8>>, CatalogueError> {
        Ok(reader::directories_in(&self.reader(), directory)?)
    }

    fn paths_of(&self, md5: &Md5, max: u32) -> Result<Vec<Vec<u8>>, CatalogueError> {
        Ok(reader::paths_of(&self.reader(), md5, max)?)
    }

    fn page(&self, top: &[u8], asked: &Asked) -> Result<Page, CatalogueError> {
        let page = page::read(&self.pages.lock(), top, asked)?;
        Ok(Page { epoch: self.epoch.clone(), ..page })
    }

    fn folders(&self, top: &[u8], each: &mut dyn FnMut(Folder)) -> Result<(), CatalogueError> {
        Ok(reader::folders(&self.pages.lock(), top, each)?)
    }

    fn files_below(&self, top: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<File>, CatalogueError> {
        Ok(reader::files_below(&self.pages.lock(), top, after, max)?)
    }

    fn check(&self) -> Result<(), CatalogueError> {
        // A connection of its own: it takes seconds.
        let connection = Layout::reader(&self.path)?;
        Ok(database::check(&connection, &self.path)?)
    }
}
