//! The registry in an SQLite file of its own: what a restart needs to know. It is written whole batches at a time and read once, at the start.
//!
//! | table | a row is | why so |
//! | --- | --- | --- |
//! | `nodes` | one who has reported, by number | small, for it changes with every report |
//! | `holdings` | what one holds: a Roaring bitmap of numbers of contents | a full report of the same contents writes nothing, a change one row, whatever it is |
//! | `jobs` | how the jobs of one stand, as JSON | it changes seldom, and is not small |
//! | `objects` | the digest of a number | written once for everybody who holds it |
//!
//! Who holds a content is not in it: that is made again in memory, which is quicker than to keep it in an index that every report changes in as many places as it has
//! digests. A power loss may cost the last batches: then the numbers of the reports do not follow each other, and everything is asked for again. A database of
//! another program or of a newer version is refused untouched.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{digest::Md5, enrolment::Role};
use roaring::RoaringBitmap;
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};

use super::{
    NodeState,
    book::{Batch, Book, Described},
};

/// "OutR", so that a database of ours is known as one.
const APPLICATION_ID: i32 = 0x4f75_7452;
/// Layout of the tables.
const VERSION: i32 = 2;
/// How long the start waits for another process to let go of the database.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Pages of the log that are written before they are copied to their places: 16 MiB. A page that many batches change is so copied once.
const LOG_PAGES: i32 = 4096;
/// Bytes that the log keeps on the disk when it has been copied.
const LOG_BYTES_KEPT: i32 = 32 << 20;
/// Memory for pages, in KiB. Nothing is read while it runs, but where rows go.
const CACHE_KIB: i32 = 8192;

/// The database, opened, by this process alone.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The directory is not there, no permission, ...
    #[error(
        "cannot open the registry's database {0}: {1}; give a file in a directory that this user may write with registry.database"
    )]
    Open(PathBuf, #[source] rusqlite::Error),
    /// Another origin runs with it.
    #[error(
        "the registry's database {0} is used by another program; give each origin one of its own with registry.database"
    )]
    Used(PathBuf),
    /// Not SQLite, or SQLite of another program.
    #[error("{0} is not a registry of outpost-origin; move it away, or give another file with registry.database")]
    Foreign(PathBuf),
    /// Damaged.
    #[error(
        "the registry's database {0} is damaged ({1}); remove it, and proxies and agents tell again what they hold"
    )]
    Damaged(PathBuf, #[source] rusqlite::Error),
    /// Made by a later release.
    #[error(
        "the registry's database {path} has version {version}, and this release knows versions up to {VERSION}; use the newer release, or remove it, and proxies and agents tell again what they hold"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i32,
    },
    /// The system gives no more threads.
    #[error("cannot start the thread that writes the registry: {0}; raise the limit of processes")]
    Thread(#[source] std::io::Error),
}

impl Database {
    /// Opens or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, RegistryError> {
        let explain = |error| explain(path, error);
        let connection = Connection::open(path).map_err(explain)?;
        connection.busy_timeout(BUSY_MAX).map_err(explain)?;
        connection.pragma_update(None, "locking_mode", "exclusive").map_err(explain)?;
        check_owner(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        // With WAL, a power loss may cost the last batches but never the database.
        connection.pragma_update(None, "synchronous", "normal").map_err(explain)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(explain)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT).map_err(explain)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(explain)?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Self { connection, path: path.into() })
    }

    /// Everything that was written, into an empty book.
    pub(super) fn load(&self) -> Result<Book, RegistryError> {
        self.read().map_err(|error| explain(&self.path, error))
    }

    fn read(&self) -> rusqlite::Result<Book> {
        let mut book = Book::default();
        let mut objects = self.connection.prepare("SELECT number, md5 FROM objects ORDER BY number")?;
        let mut rows = objects.query([])?;
        while let Some(row) = rows.next()? {
            book.restore_object(row.get(0)?, Md5(row.get(1)?));
        }
        let mut nodes = self.connection.prepare(
            "SELECT number, name, role, domain, url, version, load, free, configuration, last_seen, expires, sequence, objects, states
             FROM nodes LEFT JOIN holdings ON holdings.node = number LEFT JOIN jobs ON jobs.node = number ORDER BY number",
        )?;
        let mut rows = nodes.query([])?;
        while let Some(row) = rows.next()? {
            let (sequence, holds): (Option<i64>, Option<Vec<u8>>) = (row.get(11)?, row.get(12)?);
            let holds = holds.and_then(|bytes| RoaringBitmap::deserialize_from(&bytes[..]).ok());
            // Without the set its number is worth nothing: everything is asked for.
            let sequence = sequence.map(i64::cast_unsigned).filter(|_| holds.is_some());
            let jobs: Option<String> = row.get(13)?;
            // What cannot be read is told again when it changes, and with the next full report.
            let jobs = jobs.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let state = NodeState { jobs, ..state(row)? };
            book.restore_node(row.get(0)?, state, sequence, &holds.unwrap_or_default());
        }
        book.restored();
        Ok(book)
    }

    /// All of a batch, or nothing of it.
    pub(super) fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        write_objects(&transaction, &batch.objects)?;
        write_nodes(&transaction, &batch.nodes)?;
        write_holdings(&transaction, &batch.holdings)?;
        write_jobs(&transaction, &batch.jobs)?;
        transaction.commit()
    }

    /// Its size on the disk, with its log.
    pub(super) fn bytes(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let len = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        len(&self.path) + len(Path::new(&log))
    }
}

fn write_objects(transaction: &Transaction<'_>, objects: &[(u32, Option<Md5>)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO objects (number, md5) VALUES (?1, ?2)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM objects WHERE number = ?1")?;
    for (number, md5) in objects {
        match md5 {
            Some(md5) => put.execute(params![number, md5.0])?,
            None => delete.execute(params![number])?,
        };
    }
    Ok(())
}

fn write_nodes(transaction: &Transaction<'_>, nodes: &[(u32, Option<Described>)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO nodes (number, name, role, domain, url, version, load, free, configuration, last_seen, expires, sequence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM nodes WHERE number = ?1")?;
    for (number, node) in nodes {
        let Some((state, sequence)) = node else {
            delete.execute(params![number])?;
            continue;
        };
        put.execute(params![
            number,
            state.name,
            matches!(state.role, Role::Proxy),
            state.domain.as_ref().map(ToString::to_string),
            state.url,
            state.version,
            state.load,
            state.free.cast_signed(),
            state.configuration.cast_signed(),
            milliseconds(state.last_seen),
            milliseconds(state.expires),
            sequence.map(u64::cast_signed),
        ])?;
    }
    Ok(())
}

fn write_holdings(transaction: &Transaction<'_>, holdings: &[(u32, Option<RoaringBitmap>)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO holdings (node, objects) VALUES (?1, ?2)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM holdings WHERE node = ?1")?;
    let mut bytes = Vec::new();
    for (node, set) in holdings {
        let Some(set) = set else {
            delete.execute(params![node])?;
            continue;
        };
        bytes.clear();
        // Into memory, where nothing can fail.
        let _ = set.serialize_into(&mut bytes);
        put.execute(params![node, bytes])?;
    }
    Ok(())
}

fn write_jobs(transaction: &Transaction<'_>, jobs: &[(u32, Option<Arc<NodeState>>)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO jobs (node, states) VALUES (?1, ?2)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM jobs WHERE node = ?1")?;
    for (node, state) in jobs {
        match state.as_ref().filter(|state| !state.jobs.is_empty()) {
            Some(state) => put.execute(params![node, serde_json::to_string(&state.jobs).unwrap_or_default()])?,
            None => delete.execute(params![node])?,
        };
    }
    Ok(())
}

/// The columns from `name` on.
fn state(row: &Row<'_>) -> rusqlite::Result<NodeState> {
    let name: String = row.get(1)?;
    let role = if row.get(2)? { Role::Proxy } else { Role::Agent };
    let domain: Option<String> = row.get(3)?;
    Ok(NodeState {
        domain: domain.and_then(|name| name.parse().ok()),
        url: row.get(4)?,
        version: row.get(5)?,
        load: row.get(6)?,
        free: row.get::<_, i64>(7)?.cast_unsigned(),
        configuration: row.get::<_, i64>(8)?.cast_unsigned(),
        expires: time(row.get(10)?),
        ..NodeState::new(&name, role, time(row.get(9)?))
    })
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A year that no clock knows is one long gone.
fn time(milliseconds: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Sees that the database is ours and of a version that we know; makes the tables in an empty one.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), RegistryError> {
    let explain = |error| explain(path, error);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(explain);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(explain)?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if tables == 0 => make_tables(connection).map_err(explain),
        (APPLICATION_ID, version) if version > VERSION => Err(RegistryError::Newer { path: path.into(), version }),
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, _) => add_jobs(connection).map_err(explain),
        _ => Err(RegistryError::Foreign(path.into())),
    }
}

fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(
        "CREATE TABLE objects (number INTEGER PRIMARY KEY, md5 BLOB NOT NULL CHECK (length(md5) = 16));
         CREATE TABLE nodes (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, role INTEGER NOT NULL, domain TEXT, url TEXT, version TEXT NOT NULL,
             load INTEGER NOT NULL, free INTEGER NOT NULL, configuration INTEGER NOT NULL,
             last_seen INTEGER NOT NULL, expires INTEGER NOT NULL, sequence INTEGER
         );
         CREATE TABLE holdings (node INTEGER PRIMARY KEY, objects BLOB NOT NULL);
         CREATE TABLE jobs (node INTEGER PRIMARY KEY, states TEXT NOT NULL);",
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// What version 1 had not.
fn add_jobs(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch("CREATE TABLE jobs (node INTEGER PRIMARY KEY, states TEXT NOT NULL);")?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn explain(path: &Path, error: rusqlite::Error) -> RegistryError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => RegistryError::Foreign(path.into()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => RegistryError::Used(path.into()),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::DiskFull) => {
            RegistryError::Open(path.into(), error)
        }
        // A row that is not what it should be, or pages that are not.
        _ => RegistryError::Damaged(path.into(), error),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        jobs::{JobState, State},
        report::Report,
    };

    use super::{
        super::tests::{INTERVALS, at, change, md5, names, report},
        *,
    };

    fn write(database: &mut Database, book: &mut Book) {
        let unwritten = book.take_unwritten();
        database.write(&book.batch(&unwritten)).unwrap();
    }

    #[test]
    fn a_restart_knows_what_was_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let (mut database, mut book) = (Database::open(&path).unwrap(), Book::default());
        let domain = "hq.b7".parse().unwrap();
        book.report(&report("a", &[1, 2]), Some(&domain), INTERVALS, at(0)).unwrap();
        book.report(&report("b", &[2, 3]), None, INTERVALS, at(1)).unwrap();
        book.report(&report("c", &[4]), None, INTERVALS, at(1)).unwrap();
        write(&mut database, &mut book);
        book.report(&change("a", 2, &[5], &[1]), Some(&domain), INTERVALS, at(2)).unwrap();
        book.report(&report("c", &[]), None, INTERVALS, at(2)).unwrap();
        write(&mut database, &mut book);
        drop(database);

        let mut book = Database::open(&path).unwrap().load().unwrap();
        assert_eq!(names(&book.holders(&md5(2), None, 9, 0, at(3))), ["a", "b"]);
        assert_eq!(names(&book.holders(&md5(2), Some(&domain), 9, 0, at(3))), ["a"]);
        let of = |digest| names(&book.holders(&md5(digest), None, 9, 0, at(3))).join(" ");
        assert_eq!([1, 3, 4, 5].map(of), ["", "b", "", "a"]);
        let state = book.node("a").unwrap();
        assert_eq!(
            (state.role, state.load, state.free, state.configuration, state.holds),
            (Role::Agent, 7, 1 << 40, 3, 2)
        );
        assert_eq!((state.url.as_deref(), state.version.as_str()), (Some("http://a/"), "0.1.0"));
        assert_eq!((state.last_seen, state.expires), (at(2), at(202)));
        let usage = book.usage(at(3));
        assert_eq!((usage.objects, usage.holdings, usage.unwritten), (3, 4, 0));
        let (reported, _) = book.report(&change("a", 3, &[6], &[]), None, INTERVALS, at(4)).unwrap();
        assert!(!reported.full, "the numbers go on");
    }

    #[test]
    fn how_jobs_stand_survives_a_restart_and_a_database_of_before_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let before = Database::open(&path).unwrap();
        before.connection.execute_batch("DROP TABLE jobs; PRAGMA user_version = 1").unwrap();
        drop(before);
        let (mut database, mut book) = (Database::open(&path).unwrap(), Book::default());
        let job = |state| JobState {
            name: "office".into(),
            state,
            detail: "why".into(),
            since: "2026-11-22T00:00:00Z".into(),
            version: None,
            generation: 7,
            tree: None,
            exit: Some(3),
            output: "the end".into(),
        };
        let told = |sequence, jobs| Report { jobs, ..change("a", sequence, &[], &[]) };
        let say = |book: &mut Book, report| _ = book.report(&report, None, INTERVALS, at(0)).unwrap();
        say(&mut book, Report { full: true, ..told(1, Some(vec![job(State::Failed)])) });
        write(&mut database, &mut book);
        say(&mut book, told(2, None));
        write(&mut database, &mut book);
        drop(database);
        let mut database = Database::open(&path).unwrap();
        let mut book = database.load().unwrap();
        assert_eq!(book.node("a").unwrap().jobs, [job(State::Failed)]);
        say(&mut book, told(3, Some(vec![job(State::Installed)])));
        write(&mut database, &mut book);
        assert_eq!(database.load().unwrap().node("a").unwrap().jobs, [job(State::Installed)]);
        say(&mut book, told(4, Some(Vec::new())));
        write(&mut database, &mut book);
        assert!(database.load().unwrap().node("a").unwrap().jobs.is_empty());
        let rows: i64 = database.connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }

    #[test]
    fn rows_that_make_no_sense_are_asked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let (mut database, mut book) = (Database::open(&path).unwrap(), Book::default());
        for (node, digest) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
            book.report(&report(node, &[digest, 9]), None, INTERVALS, at(0)).unwrap();
        }
        write(&mut database, &mut book);
        let change_rows = "UPDATE holdings SET objects = x'ffffffff00' WHERE node = 0;
             DELETE FROM holdings WHERE node = 1;
             DELETE FROM objects WHERE md5 = (SELECT md5 FROM objects ORDER BY number DESC LIMIT 1);
             UPDATE objects SET number = 123456789 WHERE number = 2;
             INSERT INTO nodes SELECT 9999999, 'far', 0, NULL, NULL, 'x', 1, 1, 1, -5, 9223372036854775807, 1;
             INSERT INTO nodes SELECT 77, 'c', 0, 'no domain!', NULL, 'x', 1, 1, 1, 0, 0, 1";
        database.connection.execute_batch(change_rows).unwrap();
        let mut book = database.load().unwrap();
        for (node, is_whole) in [("a", false), ("b", false), ("c", true), ("d", false)] {
            let (reported, _) = book.report(&change(node, 2, &[], &[]), None, INTERVALS, at(1)).unwrap();
            assert_eq!(reported.full, !is_whole, "{node}");
        }
        assert_eq!(book.node("far"), None);
        assert_eq!(names(&book.holders(&md5(9), None, 9, 0, at(1))), ["c", "d"]);
    }

    #[test]
    fn databases_of_others_are_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("text"), "no database, but long enough that nobody can take it for an empty one\n".repeat(99))
            .unwrap();
        assert!(matches!(Database::open(&path("text")), Err(RegistryError::Foreign(_))));
        let other = Connection::open(path("other")).unwrap();
        other.execute_batch("CREATE TABLE t (x)").unwrap();
        drop(other);
        assert!(matches!(Database::open(&path("other")), Err(RegistryError::Foreign(_))));
        drop(Database::open(&path("newer")).unwrap());
        Connection::open(path("newer")).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        let error = Database::open(&path("newer")).err().unwrap();
        assert!(error.to_string().contains("has version 3, and this release knows versions up to 2"), "{error}");
        assert!(matches!(Database::open(Path::new("/nowhere/db")), Err(RegistryError::Open(..))));
    }

    #[test]
    fn two_origins_do_not_write_the_same_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let one = Database::open(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        let locked = other.query_row("SELECT count(*) FROM nodes", [], |_| Ok(())).unwrap_err();
        assert!(matches!(explain(&path, locked), RegistryError::Used(_)));
        drop((one, other));
        Database::open(&path).unwrap();
    }

    #[test]
    fn a_damaged_one_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let (mut database, mut book) = (Database::open(&path).unwrap(), Book::default());
        book.report(&report("a", &(0..5_000).collect::<Vec<_>>()), None, INTERVALS, at(0)).unwrap();
        write(&mut database, &mut book);
        drop(database);
        let mut bytes = fs::read(&path).unwrap();
        bytes[8_192..].fill(0x55);
        fs::write(&path, bytes).unwrap();
        let error = Database::open(&path).and_then(|database| database.load()).err().unwrap();
        assert!(error.to_string().contains("remove it, and proxies and agents tell again"), "{error}");
    }
}
