//! What is known of the share's files: path and identity to digests, in an SQLite file. It reads no file of the share.
//!
//! | event | row of the path |
//! |---|---|
//! | file hashed | written, with the identity that was true before and after the reading |
//! | file asked for or seen by a scan with the same identity | used |
//! | ... with another identity | ignored, and replaced when the file has been hashed again |
//! | file or a directory above it gone | deleted |
//!
//! The device number takes no part: network mounts get another with every mount. A database of another program, another share or a newer
//! version is refused untouched.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use os::share::Identity;
use parking_lot::Mutex;
use protocol::digest::{Digests, Md5, Sha256};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

/// "OutO", so that a database of ours is known as one.
const APPLICATION_ID: i32 = 0x4f75_744f;
/// Layout of the tables.
const VERSION: i32 = 1;
/// How long a statement waits for another process (a backup, say) to let go of the database.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// The database, opened. One statement at a time: each takes microseconds.
pub(crate) struct Catalogue {
    connection: Mutex<Connection>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The directory is not there, no permission, ...
    #[error("cannot open the database {0}: {why}; give another file with --database FILE", why = reason(.1))]
    Open(PathBuf, #[source] rusqlite::Error),
    /// Not SQLite, or SQLite of another program.
    #[error("{0} is not a database of outpost-origin; give another file with --database FILE")]
    Foreign(PathBuf),
    /// Damaged.
    #[error("the database {0} is damaged ({1}); remove it, and every file is read for its digest again")]
    Damaged(PathBuf, #[source] rusqlite::Error),
    /// Made by a later release.
    #[error(
        "the database {path} has version {version}, and this release knows versions up to {VERSION}; use the newer release, or give another file with --database FILE"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i32,
    },
    /// Made for another directory.
    #[error(
        "the database {path} belongs to the share {share}; give another file with --database FILE, or remove it if the share was moved"
    )]
    OtherShare {
        /// The file.
        path: PathBuf,
        /// The share it was made for.
        share: String,
    },
    /// A statement failed while running.
    #[error("the database failed: {0}")]
    Statement(#[from] rusqlite::Error),
}

/// Without the path, which SQLite says once more.
fn reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => "its directory is not there, or this user may not write there".into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program uses it".into(),
        _ => error.to_string(),
    }
}

/// An identity as the database keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: i64,
    size: i64,
    modified: i64,
    changed: i64,
}

impl From<&Identity> for Stamp {
    fn from(identity: &Identity) -> Self {
        // 64 bits of nanoseconds end in the year 2262; a file from beyond still has its inode and size.
        let clamped = |nanoseconds: i128| nanoseconds.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Self {
            inode: identity.inode.cast_signed(),
            size: identity.size.cast_signed(),
            modified: clamped(identity.modified),
            changed: clamped(identity.changed),
        }
    }
}

impl Stamp {
    /// From columns `inode, size, modified, changed`, beginning at `first`.
    fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            inode: row.get(first)?,
            size: row.get(first + 1)?,
            modified: row.get(first + 2)?,
            changed: row.get(first + 3)?,
        })
    }
}

impl Catalogue {
    /// Opens or makes the database of a share.
    pub(crate) fn open(path: &Path, share: &Path) -> Result<Self, CatalogueError> {
        let connection = Connection::open(path).map_err(|error| CatalogueError::Open(path.into(), error))?;
        let explain = |error| explain(path, error);
        connection.busy_timeout(BUSY_MAX).map_err(explain)?;
        check_owner(&connection, path, share)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        // With WAL, a power loss may cost the last digests but never the database.
        connection.pragma_update(None, "synchronous", "normal").map_err(explain)?;
        connection.set_prepared_statement_cache_capacity(16);
        // Reads every page of the table once, so that damage is found now and not in the middle of a request.
        connection
            .query_row("SELECT count(md5), count(DISTINCT parent) FROM files", [], |_| Ok(()))
            .map_err(explain)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// The digests of the file at a path, if the file is still the one that was hashed.
    pub(crate) fn digests(&self, path: &[u8], identity: &Identity) -> Result<Option<Digests>, CatalogueError> {
        let (parent, name) = split(path);
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached(
            "SELECT inode, size, modified, changed, md5, sha256 FROM files WHERE parent = ?1 AND name = ?2",
        )?;
        let row = statement
            .query_row(params![parent, name], |row| {
                let digests = Digests { md5: Md5(row.get(4)?), sha256: Sha256(row.get(5)?) };
                Ok((Stamp::of_row(row, 0)?, digests))
            })
            .optional()?;
        Ok(row.filter(|(stamp, _)| *stamp == Stamp::from(identity)).map(|(_, digests)| digests))
    }

    /// Keeps what was found for a file.
    pub(crate) fn record(&self, path: &[u8], identity: &Identity, digests: &Digests) -> Result<(), CatalogueError> {
        let (parent, name) = split(path);
        let stamp = Stamp::from(identity);
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO files (parent, name, inode, size, modified, changed, md5, sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        statement.execute(params![
            parent,
            name,
            stamp.inode,
            stamp.size,
            stamp.modified,
            stamp.changed,
            digests.md5.0,
            digests.sha256.0
        ])?;
        Ok(())
    }

    /// Forgets a path and everything below it; answers how many files that were.
    pub(crate) fn forget(&self, path: &[u8]) -> Result<usize, CatalogueError> {
        let (parent, name) = split(path);
        // Everything below `a` has a parent that is `a` or lies between `a/` and `a0`, the byte after '/'.
        let (first, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        let connection = self.connection.lock();
        // Three statements, so that each is one step in the index and none looks through the table.
        let gone = connection
            .prepare_cached("DELETE FROM files WHERE parent = ?1 AND name = ?2")?
            .execute(params![parent, name])?
            + connection.prepare_cached("DELETE FROM files WHERE parent = ?1")?.execute(params![path])?
            + connection
                .prepare_cached("DELETE FROM files WHERE parent >= ?1 AND parent < ?2")?
                .execute(params![first, end])?;
        Ok(gone)
    }

    /// The files that are known directly in a directory.
    pub(crate) fn files_in(&self, directory: &[u8]) -> Result<HashMap<Vec<u8>, Stamp>, CatalogueError> {
        let connection = self.connection.lock();
        let mut statement =
            connection.prepare_cached("SELECT name, inode, size, modified, changed FROM files WHERE parent = ?1")?;
        let rows = statement.query_map(params![directory], |row| Ok((row.get(0)?, Stamp::of_row(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every directory in which a file is known.
    pub(crate) fn directories(&self) -> Result<Vec<Vec<u8>>, CatalogueError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached("SELECT DISTINCT parent FROM files")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Paths at which these bytes were found, at most `max`. Whether they are still there is for the caller to see.
    pub(crate) fn paths_of(&self, md5: &Md5, max: u32) -> Result<Vec<Vec<u8>>, CatalogueError> {
        let connection = self.connection.lock();
        let mut statement = connection.prepare_cached("SELECT parent, name FROM files WHERE md5 = ?1 LIMIT ?2")?;
        let rows = statement.query_map(params![md5.0, max], |row| {
            let (parent, name): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            Ok(join(&parent, &name))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many files are known with their digests.
    pub(crate) fn len(&self) -> Result<u64, CatalogueError> {
        let count: i64 = self.connection.lock().query_row("SELECT count(*) FROM files", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// Sees that the database is ours, of this share and of a version that we know; makes the tables in an empty one.
fn check_owner(connection: &Connection, path: &Path, share: &Path) -> Result<(), CatalogueError> {
    let explain = |error| explain(path, error);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(explain);
    let share = share.to_string_lossy().into_owned();
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(explain)?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if tables == 0 => make_tables(connection, &share).map_err(explain),
        (APPLICATION_ID, version) if version > VERSION => Err(CatalogueError::Newer { path: path.into(), version }),
        (APPLICATION_ID, _) => {
            let owner: String =
                connection.query_row("SELECT path FROM share", [], |row| row.get(0)).map_err(explain)?;
            if owner == share { Ok(()) } else { Err(CatalogueError::OtherShare { path: path.into(), share: owner }) }
        }
        _ => Err(CatalogueError::Foreign(path.into())),
    }
}

fn make_tables(connection: &Connection, share: &str) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(
        "CREATE TABLE share (path TEXT NOT NULL);
         CREATE TABLE files (
             parent BLOB NOT NULL, name BLOB NOT NULL,
             inode INTEGER NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
             md5 BLOB NOT NULL CHECK (length(md5) = 16), sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
             PRIMARY KEY (parent, name)
         ) WITHOUT ROWID;
         CREATE INDEX files_by_md5 ON files (md5);",
    )?;
    transaction.execute("INSERT INTO share (path) VALUES (?1)", params![share])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn explain(path: &Path, error: rusqlite::Error) -> CatalogueError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => CatalogueError::Foreign(path.into()),
        Some(ErrorCode::DatabaseCorrupt) => CatalogueError::Damaged(path.into(), error),
        _ => CatalogueError::Open(path.into(), error),
    }
}

/// A path as the table has it: the directory, then the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A name in a directory as a path below the share.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// A path below the share, for a log.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn identity(inode: u64) -> Identity {
        Identity { device: 1, inode, size: 3, modified: 5, changed: i128::MAX }
    }

    fn open(directory: &Path) -> Catalogue {
        Catalogue::open(&directory.join("db"), Path::new("/share")).expect("opens")
    }

    #[test]
    fn digests_are_told_only_for_exactly_the_identity_that_was_hashed() {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = open(directory.path());
        let digests = Digests::of(b"abc");
        catalogue.record(b"a/\xff", &identity(1), &digests).expect("records");
        assert_eq!(catalogue.digests(b"a/\xff", &identity(1)).expect("reads"), Some(digests));
        let other_device = Identity { device: 2, ..identity(1) };
        assert_eq!(catalogue.digests(b"a/\xff", &other_device).expect("reads"), Some(digests));
        for other in [
            identity(2),
            Identity { size: 4, ..identity(1) },
            Identity { modified: 6, ..identity(1) },
            Identity { changed: 6, ..identity(1) },
        ] {
            assert_eq!(catalogue.digests(b"a/\xff", &other).expect("reads"), None);
        }
        assert_eq!(catalogue.digests(b"a", &identity(1)).expect("reads"), None);
    }

    #[test]
    fn a_restart_knows_what_was_known() {
        let directory = tempfile::tempdir().expect("a directory");
        let digests = Digests::of(b"abc");
        open(directory.path()).record(b"x", &identity(u64::MAX), &digests).expect("records");
        let catalogue = open(directory.path());
        assert_eq!(catalogue.digests(b"x", &identity(u64::MAX)).expect("reads"), Some(digests));
        assert_eq!(catalogue.len().expect("counts"), 1);
    }

    #[test]
    fn a_directory_is_forgotten_with_all_below_it_and_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = open(directory.path());
        for path in ["a", "a/b", "a/b/c", "a/d/e", "a0", "a-/x", "ab/x", "z"] {
            catalogue.record(path.as_bytes(), &identity(1), &Digests::of(path.as_bytes())).expect("records");
        }
        assert_eq!(catalogue.forget(b"a").expect("forgets"), 4);
        let mut left = catalogue.directories().expect("reads");
        left.sort();
        assert_eq!(left, [b"".to_vec(), b"a-".to_vec(), b"ab".to_vec()]);
        let mut names: Vec<_> = catalogue.files_in(b"").expect("reads").into_keys().collect();
        names.sort();
        assert_eq!(names, [b"a0".to_vec(), b"z".to_vec()]);
    }

    #[test]
    fn equal_bytes_are_found_at_all_their_paths() {
        let directory = tempfile::tempdir().expect("a directory");
        let catalogue = open(directory.path());
        let digests = Digests::of(b"same");
        for path in ["one", "d/two", "d/three"] {
            catalogue.record(path.as_bytes(), &identity(1), &digests).expect("records");
        }
        assert_eq!(catalogue.paths_of(&digests.md5, 9).expect("reads").len(), 3);
        assert_eq!(catalogue.paths_of(&digests.md5, 2).expect("reads").len(), 2);
        assert_eq!(catalogue.paths_of(&Md5::of(b"other"), 9).expect("reads"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_database_that_is_not_ours_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let share = Path::new("/share");

        fs::write(&path, "not a database, only text that is long enough to be looked at").expect("writes");
        assert!(matches!(Catalogue::open(&path, share), Err(CatalogueError::Foreign(_))));
        assert!(fs::read(&path).expect("reads").starts_with(b"not a database"));

        fs::remove_file(&path).expect("removes");
        let foreign = Connection::open(&path).expect("opens");
        foreign.execute_batch("CREATE TABLE t (x)").expect("creates");
        assert!(matches!(Catalogue::open(&path, share), Err(CatalogueError::Foreign(_))));

        fs::remove_file(&path).expect("removes");
        drop(Catalogue::open(&path, share).expect("opens"));
        let other = Catalogue::open(&path, Path::new("/other"));
        assert!(matches!(other, Err(CatalogueError::OtherShare { share, .. }) if share == "/share"));

        Connection::open(&path).expect("opens").pragma_update(None, "user_version", 9).expect("updates");
        assert!(matches!(Catalogue::open(&path, share), Err(CatalogueError::Newer { version: 9, .. })));
    }

    #[test]
    fn a_damaged_database_is_told_at_the_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let catalogue = open(directory.path());
        for n in 0..2_000_u64 {
            catalogue.record(format!("d/{n}").as_bytes(), &identity(n), &Digests::of(b"")).expect("records");
        }
        drop(catalogue);
        let mut bytes = fs::read(&path).expect("reads");
        // The first two pages hold the schema; everything behind them is overwritten.
        bytes[8_192..].fill(0x5a);
        fs::write(&path, bytes).expect("writes");
        let error = Catalogue::open(&path, Path::new("/share")).err().expect("refused");
        assert!(matches!(error, CatalogueError::Damaged(..)), "{error}");
        assert!(error.to_string().contains("remove it"), "{error}");
    }

    #[test]
    fn a_database_in_a_directory_that_is_not_there_is_told_with_its_path() {
        let error = Catalogue::open(Path::new("/nowhere/db"), Path::new("/share")).err().expect("refused");
        assert!(error.to_string().contains("/nowhere/db"), "{error}");
    }
}
