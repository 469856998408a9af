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
    pieces::Pieces,
};
use rusqlite::Connection;

use super::{Asked, Catalogue, CatalogueError, FileOf, Folder, Hashed, Stamp, layout, page, reader, writer::Writer};
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

    fn file_of(&self, md5: &Md5) -> Result<Option<FileOf>, CatalogueError> {
        Ok(reader::one_of(&self.reader(), md5)?)
    }

    fn pieces(&self, md5: &Md5) -> Result<Option<Pieces>, CatalogueError> {
        Ok(reader::pieces(&self.reader(), md5)?)
    }

    fn keep_pieces(&self, pieces: &Pieces) -> Result<(), CatalogueError> {
        Ok(self.writer.lock().keep_pieces(pieces)?)
    }

    fn page(&self, tops: &[Box<[u8]>], asked: &Asked) -> Result<Page, CatalogueError> {
        let page = page::read(&self.pages.lock(), tops, asked)?;
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

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use protocol::digest::Sha256;
    use rusqlite::Connection;

    use super::*;
    use crate::database::DatabaseError;

    fn identity(inode: u64) -> Identity {
        Identity { device: 1, inode, size: 3, modified: 5, changed: i128::MAX }
    }

    fn feed() -> Arc<Feed> {
        Arc::new(Feed::new(Duration::from_secs(1)))
    }

    fn open(path: &Path) -> Result<SqliteCatalogue, CatalogueError> {
        SqliteCatalogue::open(path, Path::new("/share"), feed())
    }

    /// A catalogue in a directory of its own.
    fn new() -> (tempfile::TempDir, SqliteCatalogue) {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = open(&directory.path().join("db")).expect("opens");
        (directory, catalogue)
    }

    impl SqliteCatalogue {
        fn keep(&self, path: &[u8], identity: Identity, digests: Digests) {
            let hashed = Hashed { path: path.into(), identity, digests, pieces: None, seen: self.feed.mark() };
            self.record(&[hashed]).expect("records");
        }

        /// Records files of three bytes whose content is their path.
        fn keep_all(&self, paths: &[&str]) {
            let one = |path: &&str| Hashed {
                path: path.as_bytes().into(),
                identity: identity(1),
                digests: Digests::of(path.as_bytes()),
                pieces: None,
                seen: self.feed.mark(),
            };
            self.record(&paths.iter().map(one).collect::<Vec<_>>()).expect("records");
        }

        fn lose(&self, path: &str) -> u64 {
            self.forget(path.as_bytes(), self.feed.mark(), SystemTime::UNIX_EPOCH).expect("forgets")
        }

        fn read(&self, top: &str, since: u64, max: usize) -> Page {
            let tops = if top.is_empty() { vec![] } else { vec![Box::from(top.as_bytes())] };
            self.page(&tops, &Asked { since, max, ..Asked::default() }).expect("a page")
        }

        fn names_in(&self, directory: &str) -> Vec<String> {
            let names = self.directories_in(directory.as_bytes()).expect("reads");
            names.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
        }
    }

    /// `path@generation`, what is gone with a minus.
    fn told(page: &Page) -> Vec<String> {
        let files = page.files.iter().map(|file| (file.generation, format!("{}@{}", file.path, file.generation)));
        let gone = page.gone.iter().map(|gone| (gone.generation, format!("-{}@{}", gone.path, gone.generation)));
        let mut all: Vec<_> = files.chain(gone).collect();
        all.sort();
        all.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn digests_are_told_only_for_exactly_the_identity_that_was_hashed() {
        let (_directory, catalogue) = new();
        let digests = Digests::of(b"abc");
        catalogue.keep(b"a/\xff", identity(1), digests);
        let known = |identity| catalogue.digests(b"a/\xff", &identity).expect("reads");
        assert_eq!(known(identity(1)), Some(digests));
        assert_eq!(known(Identity { device: 2, ..identity(1) }), Some(digests));
        for other in [
            identity(2),
            Identity { size: 4, ..identity(1) },
            Identity { modified: 6, ..identity(1) },
            Identity { changed: 6, ..identity(1) },
        ] {
            assert_eq!(known(other), None);
        }
        assert_eq!(catalogue.digests(b"a", &identity(1)).expect("reads"), None);
    }

    #[test]
    fn a_restart_knows_what_was_known_and_goes_on_counting() {
        let (directory, catalogue) = new();
        let digests = Digests::of(b"abc");
        catalogue.keep(b"x", identity(u64::MAX), digests);
        let (epoch, generation) = (catalogue.epoch().to_owned(), catalogue.generation());
        drop(catalogue);
        let catalogue = open(&directory.path().join("db")).expect("opens");
        assert_eq!(catalogue.digests(b"x", &identity(u64::MAX)).expect("reads"), Some(digests));
        assert_eq!((catalogue.len(), catalogue.epoch()), (1, epoch.as_str()));
        catalogue.keep(b"y", identity(1), digests);
        assert!(catalogue.generation() > generation);
        assert_eq!(catalogue.read("", generation, 9).files.len(), 1);
    }

    #[test]
    fn after_a_power_loss_no_generation_is_given_out_again() {
        let (directory, catalogue) = new();
        let path = directory.path().join("db");
        catalogue.keep_all(&["a"]);
        // What was reserved waited for the disk; what came after is what a power loss takes.
        let lost = directory.path().join("lost");
        for end in ["", "-wal"] {
            fs::copy(format!("{}{end}", path.display()), format!("{}{end}", lost.display())).expect("copied");
        }
        catalogue.keep_all(&["b", "c"]);
        let told = catalogue.generation();
        let after = open(&lost).expect("opens");
        assert_eq!(after.len(), 1);
        assert!(after.generation() >= told);
        after.keep_all(&["d"]);
        assert!(after.generation() > told);
    }

    #[test]
    fn every_change_has_a_generation_of_its_own() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["a", "d/b", "d/c"]);
        assert_eq!(told(&catalogue.read("", 0, 9)), ["/a@1", "/d/b@2", "/d/c@3"]);
        catalogue.keep_all(&["d/b"]);
        assert_eq!(catalogue.lose("a"), 1);
        assert_eq!(catalogue.lose("a"), 0);
        assert_eq!(told(&catalogue.read("", 3, 9)), ["/d/b@4", "-/a@5"]);
        assert_eq!(told(&catalogue.read("", 0, 9)), ["/d/c@3", "/d/b@4"]);
        assert_eq!(catalogue.lose("d"), 2);
        catalogue.keep_all(&["d/b"]);
        assert_eq!(told(&catalogue.read("", 4, 9)), ["-/a@5", "-/d@6", "/d/b@7"]);
        assert_eq!((catalogue.len(), catalogue.generation()), (1, 7));
        let page = catalogue.read("", 7, 9);
        assert_eq!((told(&page), page.generation, page.more), (vec![], 7, false));
    }

    #[test]
    fn pages_of_any_size_tell_the_same() {
        let (_directory, catalogue) = new();
        let names: Vec<_> = (0..20).map(|n| format!("{}/{n}", n % 3)).collect();
        catalogue.keep_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let before = catalogue.generation();
        for path in ["0/3", "1", "2/2"] {
            catalogue.lose(path);
            catalogue.keep_all(&["0/0", "2/5"]);
        }
        for (since, top) in [(0, ""), (before, ""), (before - 5, ""), (0, "2"), (before, "1"), (before, "0/3")] {
            let whole = catalogue.read(top, since, 1_000);
            assert!(!whole.more && whole.begun == 0);
            for max in 1..7 {
                let (mut all, mut from, mut begun) = (Vec::new(), since, 0);
                loop {
                    let tops = if top.is_empty() { vec![] } else { vec![Box::from(top.as_bytes())] };
                    let asked = Asked { since: from, begun, max, ..Asked::default() };
                    let page = catalogue.page(&tops, &asked).expect("a page");
                    assert!(page.files.len() + page.gone.len() <= max && !page.reset);
                    all.extend(told(&page));
                    (from, begun) = (page.generation, page.begun);
                    if !page.more {
                        break;
                    }
                }
                assert_eq!(all, told(&whole), "since {since} below '{top}', {max} at a time");
                assert_eq!(from, whole.generation);
            }
        }
    }

    #[test]
    fn a_share_is_told_of_itself_and_of_what_took_it_away() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["mp/prod/a", "mp/production/b", "mp/dev/c", "top"]);
        assert_eq!(told(&catalogue.read("mp/prod", 0, 9)), ["/mp/prod/a@1"]);
        assert_eq!(catalogue.read("mp/prod", 0, 9).generation, 4);
        catalogue.lose("mp/dev/c");
        catalogue.lose("mp");
        assert_eq!(told(&catalogue.read("mp/prod", 4, 9)), ["-/mp@6"]);
        assert_eq!(told(&catalogue.read("mp/dev", 4, 9)), ["-/mp/dev/c@5", "-/mp@6"]);
    }

    #[test]
    fn what_has_been_gone_for_long_is_forgotten_and_who_has_not_heard_of_it_begins_anew() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["a", "b", "c", "d"]);
        let day = Duration::from_secs(24 * 60 * 60);
        let at = |days: u32| SystemTime::UNIX_EPOCH + day * 100 + day * days;
        for (path, days) in [("a", 0), ("b", 1), ("c", 32)] {
            catalogue.forget(path.as_bytes(), catalogue.feed.mark(), at(days)).expect("forgets");
        }
        let page = catalogue.read("", 5, 9);
        assert!(page.reset);
        assert_eq!(told(&page), ["/d@4"]);
        let page = catalogue.read("", 6, 9);
        assert_eq!((page.reset, told(&page)), (false, vec!["-/c@7".to_owned()]));
        // A reading that begins with nothing, and comes by what is forgotten, is not sent back to its beginning.
        catalogue.keep_all(&["e"]);
        let first = catalogue.read("", 0, 1);
        let asked = Asked { since: first.generation, begun: first.begun, max: 1, ..Asked::default() };
        let second = catalogue.page(&[], &asked).expect("a page");
        assert_eq!((told(&first), told(&second), second.reset), (vec!["/d@4".into()], vec!["/e@8".into()], false));
    }

    #[test]
    fn a_directory_is_forgotten_with_all_below_it_and_nothing_beside_it() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["a", "a/b", "a/b/c", "a/d/e", "a0", "a-/x", "ab/x", "z"]);
        assert_eq!(catalogue.names_in(""), ["a", "a-", "ab"]);
        assert_eq!(catalogue.names_in("a"), ["b", "d"]);
        assert_eq!(catalogue.lose("a"), 4);
        assert_eq!(catalogue.names_in(""), ["a-", "ab"]);
        let mut names: Vec<_> = catalogue.files_in(b"").expect("reads").into_keys().collect();
        names.sort();
        assert_eq!(names, [b"a0".to_vec(), b"z".to_vec()]);
        assert_eq!(catalogue.len(), 4);
    }

    #[test]
    fn directories_are_found_wherever_files_lie() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["p/x/1", "p/x-1/y/z/1", "p/x/deep/er/1", "p/x0/1", "p/\u{fc}/1", "p/only/deep/1", "q/1"]);
        assert_eq!(catalogue.names_in("p"), ["only", "x", "x-1", "x0", "\u{fc}"]);
        assert_eq!(catalogue.names_in("p/x"), ["deep"]);
        assert_eq!(catalogue.names_in(""), ["p", "q"]);
        assert_eq!(catalogue.names_in("p/x/deep/er"), Vec::<String>::new());
    }

    #[test]
    fn folders_have_the_sums_of_their_files() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["p/a/1", "p/a/2", "p/a/b/3", "p/a-b/4"]);
        catalogue.keep(b"p/a/1", Identity { size: 10, ..identity(9) }, Digests::of(b"x"));
        let folders = || {
            let mut found = Vec::new();
            let mut keep = |folder: Folder| {
                found.push((
                    String::from_utf8_lossy(&folder.path).into_owned(),
                    folder.files,
                    folder.bytes,
                    folder.generation,
                ));
            };
            catalogue.folders(b"p/a", &mut keep).expect("reads");
            found
        };
        assert_eq!(folders(), [("p/a".to_owned(), 2, 13, 5), ("p/a/b".into(), 1, 3, 3)]);
        catalogue.lose("p/a/1");
        assert_eq!(folders(), [("p/a".to_owned(), 1, 3, 6), ("p/a/b".into(), 1, 3, 3)]);
        catalogue.lose("p/a/b");
        assert_eq!(folders(), [("p/a".to_owned(), 1, 3, 7)]);
    }

    #[test]
    fn files_of_a_folder_come_folder_by_folder_and_page_by_page() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["p/2", "p/1", "p-q/1", "p/b/1", "p/a/1", "p/a/2", "p0/1", "q/1"]);
        let expected = ["/p/1", "/p/2", "/p/a/1", "/p/a/2", "/p/b/1"];
        for max in 1..7 {
            let (mut all, mut after) = (Vec::<String>::new(), None::<Vec<u8>>);
            loop {
                let files = catalogue.files_below(b"p", after.as_deref(), max).expect("reads");
                let Some(last) = files.last() else { break };
                after = Some(last.path.trim_start_matches('/').into());
                all.extend(files.into_iter().map(|file| file.path));
            }
            assert_eq!(all, expected, "{max} at a time");
        }
    }

    #[test]
    fn equal_bytes_are_found_at_all_their_paths() {
        let (_directory, catalogue) = new();
        let digests = Digests::of(b"same");
        for path in ["one", "d/two", "d/three"] {
            catalogue.keep(path.as_bytes(), identity(1), digests);
        }
        assert_eq!(catalogue.paths_of(&digests.md5, 9).expect("reads").len(), 3);
        assert_eq!(catalogue.paths_of(&digests.md5, 2).expect("reads").len(), 2);
        assert_eq!(catalogue.paths_of(&Md5::of(b"other"), 9).expect("reads"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn pieces_are_kept_once_for_a_content_and_go_with_its_last_file() {
        let (_directory, catalogue) = new();
        let digests = Digests::of(b"same");
        let list = |size, byte| Pieces::new(digests.md5, size, 1 << 20, vec![Sha256([byte; 32]); 2]).expect("fits");
        let pieces = list(2 << 20, 1);
        let keep = |path: &str, digests: Digests, pieces: Option<&Pieces>| {
            let identity = Identity { size: 2 << 20, ..identity(1) };
            let (path, pieces) = (path.as_bytes().into(), pieces.cloned());
            catalogue
                .record(&[Hashed { path, identity, digests, pieces, seen: catalogue.feed.mark() }])
                .expect("records");
        };
        let known = || catalogue.pieces(&digests.md5).expect("reads");
        let root = || catalogue.file_of(&digests.md5).expect("reads").map(|file| file.root);
        let rows = || -> i64 {
            let count = "SELECT count(*) FROM pieces";
            catalogue.reader().query_row(count, [], |row| row.get(0)).expect("counts")
        };
        keep("one", digests, None);
        assert_eq!((known(), root()), (None, Some(None)));
        catalogue.keep_pieces(&pieces).expect("keeps");
        for path in ["d/two", "d/e/three"] {
            keep(path, digests, Some(&pieces));
        }
        assert_eq!((known(), root(), rows()), (Some(pieces.clone()), Some(Some(pieces.root())), 1));
        // Told once more without being read.
        keep("one", digests, None);
        assert_eq!(known(), Some(pieces.clone()));
        catalogue.lose("one");
        catalogue.lose("d/e");
        assert_eq!(rows(), 1, "one file has it still");
        keep("d/two", Digests::of(b"another"), None);
        assert_eq!((known(), root(), rows()), (None, None, 0));

        keep("d/two", digests, Some(&pieces));
        catalogue.lose("d");
        assert_eq!((known(), rows()), (None, 0));
        keep("only", digests, Some(&list(2 << 20, 2)));
        catalogue.lose("only");
        assert_eq!((known(), rows()), (None, 0));
    }

    #[test]
    fn a_list_that_was_damaged_is_none() {
        let (directory, catalogue) = new();
        let digests = Digests::of(b"same");
        catalogue.keep(b"a", identity(1), digests);
        let pieces = Pieces::new(digests.md5, 2 << 20, 1 << 20, vec![Sha256([1; 32]); 2]).expect("fits");
        catalogue.keep_pieces(&pieces).expect("keeps");
        assert_eq!(catalogue.file_of(&digests.md5).expect("reads").and_then(|file| file.root), None, "another size");
        let other = Connection::open(directory.path().join("db")).expect("opens");
        other.execute("UPDATE pieces SET sha256 = zeroblob(33)", []).expect("writes");
        assert_eq!(catalogue.pieces(&digests.md5).expect("reads"), None);
        catalogue.keep_pieces(&pieces).expect("keeps");
        assert_eq!(catalogue.pieces(&digests.md5).expect("reads"), Some(pieces), "it is made anew");
    }

    #[test]
    fn readers_read_while_somebody_writes() {
        let (_directory, catalogue) = new();
        catalogue.keep_all(&["a"]);
        let mut writer = catalogue.writer.lock();
        assert!(catalogue.digests(b"a", &identity(1)).expect("reads").is_some());
        assert_eq!(catalogue.read("", 0, 9).files.len(), 1);
        writer.record(&[]).expect("records nothing");
    }

    #[test]
    fn a_damaged_database_is_told_at_the_start() {
        let (directory, catalogue) = new();
        let path = directory.path().join("db");
        let names: Vec<_> = (0..2_000).map(|n| format!("d/{n}")).collect();
        catalogue.keep_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(catalogue.check().is_ok());
        drop(catalogue);
        let pages: i64 = Connection::open(&path)
            .and_then(|connection| connection.pragma_query_value(None, "page_count", |row| row.get(0)))
            .expect("counts");
        let mut bytes = fs::read(&path).expect("reads");
        let page = bytes.len() / usize::try_from(pages).expect("pages");
        // The schema and the state are among the first pages.
        bytes[16 * page..].fill(0x5a);
        fs::write(&path, bytes).expect("writes");
        let error = open(&path).err().expect("refused");
        assert!(matches!(error, CatalogueError::Database(DatabaseError::Damaged(..))), "{error}");
        assert!(error.to_string().contains("remove it"), "{error}");
    }
}
