//! SQLite files of ours: whose they are, how they come from one layout to the next, and how they are opened. It knows no table but those of SQLite.
//!
//! | `application_id` | `user_version` | what follows |
//! | --- | --- | --- |
//! | none, and no tables | 0 | every step is taken |
//! | ours | as many as there are steps | nothing |
//! | ours | fewer | the steps that are missing are taken, all or none |
//! | ours | more | refused: it is a later release's |
//! | another, or none and tables | any | refused untouched |

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How long a statement waits for another process (a backup, say) to let go of the database.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Statements of a connection that are kept compiled.
const STATEMENTS_MAX: usize = 32;

/// What a file of ours has in it.
pub(crate) struct Layout {
    /// By which it is known as ours.
    pub(crate) application_id: i32,
    /// What makes each version of the one before; the first makes the tables. A step that was released is never changed.
    pub(crate) steps: &'static [&'static str],
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
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
        "the database {path} has version {version}, and this release knows versions up to {known}; use the newer release, or give another file with --database FILE"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i32,
        /// The newest that is known here.
        known: i32,
    },
}

/// Without the path, which SQLite says once more.
fn reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => "its directory is not there, or this user may not write there".into(),
        Some(ErrorCode::DatabaseBusy) => "another program uses it".into(),
        _ => error.to_string(),
    }
}

impl Layout {
    /// Opens or makes a database, and brings it to this layout. The connection writes.
    pub(crate) fn open(&self, path: &Path) -> Result<Connection, DatabaseError> {
        let connection = Connection::open(path).map_err(|error| DatabaseError::Open(path.into(), error))?;
        let explain = |error| explain(path, error);
        connection.busy_timeout(BUSY_MAX).map_err(explain)?;
        let version = self.version(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        // With WAL, a power loss may cost the last transactions but never the database.
        connection.pragma_update(None, "synchronous", "normal").map_err(explain)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        self.step_from(version, &connection).map_err(explain)?;
        Ok(connection)
    }

    /// Another connection to a database that was opened, which only reads, whoever writes meanwhile.
    pub(crate) fn reader(path: &Path) -> Result<Connection, DatabaseError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY_MAX)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            Ok(connection)
        });
        opened.map_err(|error| explain(path, error))
    }

    fn known(&self) -> i32 {
        i32::try_from(self.steps.len()).unwrap_or(i32::MAX)
    }

    /// How many steps were taken in a file that is ours.
    fn version(&self, connection: &Connection, path: &Path) -> Result<i32, DatabaseError> {
        let explain = |error| explain(path, error);
        let number =
            |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(explain);
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(explain)?;
        match (number("application_id")?, number("user_version")?) {
            (0, 0) if tables == 0 => Ok(0),
            (id, version) if id == self.application_id && version > self.known() => {
                Err(DatabaseError::Newer { path: path.into(), version, known: self.known() })
            }
            (id, version) if id == self.application_id => Ok(version),
            _ => Err(DatabaseError::Foreign(path.into())),
        }
    }

    fn step_from(&self, version: i32, connection: &Connection) -> rusqlite::Result<()> {
        if version == self.known() {
            return Ok(());
        }
        let transaction = connection.unchecked_transaction()?;
        for step in self.steps.iter().skip(usize::try_from(version).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id)?;
        transaction.pragma_update(None, "user_version", self.known())?;
        transaction.commit()
    }
}

/// Reads every page, so that damage is found now and not in the middle of a question. Takes a second for each gigabyte, or longer.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| explain(path, error))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(DatabaseError::Damaged(path.into(), rusqlite::Error::SqliteFailure(code, Some(found))))
}

pub(crate) fn explain(path: &Path, error: rusqlite::Error) -> DatabaseError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => DatabaseError::Foreign(path.into()),
        Some(ErrorCode::DatabaseCorrupt) => DatabaseError::Damaged(path.into(), error),
        _ => DatabaseError::Open(path.into(), error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ID: i32 = 77;
    const ONE: Layout = Layout { application_id: ID, steps: &["CREATE TABLE a (x); INSERT INTO a VALUES (1)"] };
    const THREE: Layout = Layout {
        application_id: ID,
        steps: &[ONE.steps[0], "ALTER TABLE a ADD COLUMN y", "UPDATE a SET y = x + 1; CREATE TABLE b (z)"],
    };

    fn state(connection: &Connection) -> (i32, i64, Option<i64>) {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        let (x, y) =
            connection.query_row("SELECT * FROM a", [], |row| Ok((row.get(0)?, row.get(1).ok()))).expect("a row");
        (version, x, y)
    }

    #[test]
    fn every_version_comes_to_the_newest_and_stays_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        assert_eq!(state(&ONE.open(&path).expect("opens")), (1, 1, None));
        assert_eq!(state(&ONE.open(&path).expect("opens")), (1, 1, None));
        assert_eq!(state(&THREE.open(&path).expect("opens")), (3, 1, Some(2)));
        assert_eq!(state(&THREE.open(&path).expect("opens")), (3, 1, Some(2)));
        assert!(matches!(ONE.open(&path), Err(DatabaseError::Newer { version: 3, known: 1, .. })));
        assert_eq!(state(&THREE.open(&directory.path().join("new")).expect("opens")), (3, 1, Some(2)));
    }

    #[test]
    fn steps_are_taken_all_or_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        drop(ONE.open(&path).expect("opens"));
        const FAILING: Layout =
            Layout { application_id: ID, steps: &[ONE.steps[0], THREE.steps[1], "UPDATE nothing SET x = 1"] };
        assert!(FAILING.open(&path).is_err());
        assert_eq!(state(&ONE.open(&path).expect("opens")), (1, 1, None));
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        fs::write(&path, "not a database, only text that is long enough to be looked at").expect("writes");
        assert!(matches!(ONE.open(&path), Err(DatabaseError::Foreign(_))));
        assert!(fs::read(&path).expect("reads").starts_with(b"not a database"));

        fs::remove_file(&path).expect("removes");
        Connection::open(&path).expect("opens").execute_batch("CREATE TABLE t (x)").expect("creates");
        assert!(matches!(ONE.open(&path), Err(DatabaseError::Foreign(_))));

        let other = Layout { application_id: ID + 1, ..ONE };
        let path = directory.path().join("other");
        drop(other.open(&path).expect("opens"));
        assert!(matches!(ONE.open(&path), Err(DatabaseError::Foreign(_))));
    }

    #[test]
    fn a_reader_does_not_write() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let _writer = ONE.open(&path).expect("opens");
        let reader = Layout::reader(&path).expect("opens");
        assert!(reader.execute("DELETE FROM a", []).is_err());
        assert!(check(&reader, &path).is_ok());
    }

    #[test]
    fn a_directory_that_is_not_there_is_told_with_its_path() {
        let error = ONE.open(Path::new("/nowhere/db")).expect_err("refused");
        assert!(error.to_string().contains("/nowhere/db"), "{error}");
    }
}
