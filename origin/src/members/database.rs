//! The database of who has enrolled, and of what an administrator has ordered: a small SQLite file that is read once, at the start.
//!
//! | table | a row is |
//! | --- | --- |
//! | `members` | a name with the digest of its credential |
//! | `orders` | an order of an administrator, until some time after its end |

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use protocol::{
    enrolment::{OrderState, Role, Update},
    machines::Mac,
};
use rusqlite::{Connection, params};

use super::Member;

/// "OutM", so that a database of ours is known as one.
const APPLICATION_ID: i32 = 0x4f75_744d;
/// Layout of the tables.
const VERSION: i32 = 1;
/// How long a statement waits for another process (a backup, say) to let go of the database.
const BUSY_MAX: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS members (name TEXT PRIMARY KEY, digest BLOB NOT NULL, role TEXT NOT NULL, machines TEXT NOT NULL, since INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, node TEXT NOT NULL, work TEXT NOT NULL, given INTEGER NOT NULL, state TEXT NOT NULL);
";

/// The database, opened. Statements are short and seldom: one lock is for all.
pub(crate) struct Database(Mutex<Connection>);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The directory is not there, no permission, damaged...
    #[error("cannot use the database of members {0}: {1}; give another file with enrolment.database")]
    Open(PathBuf, #[source] rusqlite::Error),
    /// SQLite of another program, or of a later release.
    #[error("{0} is no database of members of this release; give another file with enrolment.database")]
    Foreign(PathBuf),
    /// What was read from it is none of ours.
    #[error("the database of members cannot be read: {0}")]
    Unreadable(#[from] rusqlite::Error),
}

/// An order as it was written down.
pub(crate) struct Written {
    pub(crate) node: Box<str>,
    pub(crate) update: Update,
    pub(crate) given: SystemTime,
    pub(crate) state: OrderState,
}

impl Database {
    /// Opens or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let explain = |error| DatabaseError::Open(path.to_owned(), error);
        let connection = Connection::open(path).map_err(explain)?;
        connection.busy_timeout(BUSY_MAX).map_err(explain)?;
        let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
        let (owner, version) = (number("application_id").map_err(explain)?, number("user_version").map_err(explain)?);
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(explain)?;
        let (is_new, is_ours) = ((owner, version, tables) == (0, 0, 0), (owner, version) == (APPLICATION_ID, VERSION));
        if !is_new && !is_ours {
            return Err(DatabaseError::Foreign(path.to_owned()));
        }
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        // Who was told that it has enrolled must be known after a power loss.
        connection.pragma_update(None, "synchronous", "full").map_err(explain)?;
        connection.execute_batch(TABLES).map_err(explain)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
        connection.pragma_update(None, "user_version", VERSION).map_err(explain)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Everybody.
    pub(super) fn members(&self) -> Result<Vec<(Box<str>, Member)>, DatabaseError> {
        let connection = self.0.lock();
        let mut select = connection.prepare("SELECT name, digest, role, machines FROM members")?;
        let rows = select.query_map([], |row| {
            let (name, role, machines): (String, String, String) = (row.get(0)?, row.get(2)?, row.get(3)?);
            let role = if role == "agent" { Role::Agent } else { Role::Proxy };
            let machines = machines.split_whitespace().filter_map(|text| text.parse::<Mac>().ok()).collect();
            Ok((name.into_boxed_str(), Member { digest: row.get(1)?, role, machines }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn keep(&self, name: &str, member: &Member, now: SystemTime) -> rusqlite::Result<()> {
        let role = if member.role == Role::Agent { "agent" } else { "proxy" };
        let machines: Vec<String> = member.machines.iter().map(ToString::to_string).collect();
        let connection = self.0.lock();
        let mut insert = connection.prepare_cached(
            "INSERT INTO members VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET digest = ?2, role = ?3, machines = ?4",
        )?;
        insert.execute(params![name, member.digest, role, machines.join(" "), seconds(now)]).map(drop)
    }

    pub(super) fn forget(&self, name: &str) -> rusqlite::Result<()> {
        self.0.lock().execute("DELETE FROM members WHERE name = ?1", [name]).map(drop)
    }

    /// All orders that were written down.
    pub(crate) fn orders(&self) -> Result<Vec<Written>, DatabaseError> {
        let connection = self.0.lock();
        let mut select = connection.prepare("SELECT node, work, given, state FROM orders ORDER BY id")?;
        let rows = select.query_map([], |row| {
            let (node, work, given, state): (String, String, i64, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let read = || Some((serde_json::from_str(&work).ok()?, serde_json::from_str(&state).ok()?));
            let given = UNIX_EPOCH + Duration::from_secs(given.unsigned_abs());
            Ok(read().map(|(update, state)| Written { node: node.into(), update, given, state }))
        })?;
        // What cannot be read is of a later release: it was not ordered here.
        Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Writes orders down, or how far they are: all of them or none.
    pub(crate) fn keep_orders<'o>(&self, orders: impl Iterator<Item = &'o Written>) -> rusqlite::Result<()> {
        let mut connection = self.0.lock();
        let transaction = connection.transaction()?;
        for Written { node, update, given, state } in orders {
            let text = |value: serde_json::Result<String>| value.unwrap_or_default();
            let (work, told) = (text(serde_json::to_string(update)), text(serde_json::to_string(state)));
            transaction
                .prepare_cached("INSERT OR REPLACE INTO orders VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![number(state.id), node, work, seconds(*given), told])?;
        }
        transaction.commit()
    }

    /// Orders that nobody asks for any more.
    pub(crate) fn forget_orders(&self, ids: &[u64]) -> rusqlite::Result<()> {
        let mut connection = self.0.lock();
        let transaction = connection.transaction()?;
        for id in ids {
            transaction.prepare_cached("DELETE FROM orders WHERE id = ?1")?.execute([number(*id)])?;
        }
        transaction.commit()
    }
}

fn seconds(moment: SystemTime) -> i64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| number(since.as_secs()))
}

/// As SQLite has numbers; ours are far smaller.
fn number(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_somebody_else_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("theirs.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Database::open(&path), Err(DatabaseError::Foreign(_))));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::write(&path, "no database at all, but long enough to be taken for one by its header?").unwrap();
        assert!(matches!(Database::open(&path), Err(DatabaseError::Open(..))));
        assert!(matches!(Database::open(Path::new("/nowhere/at/all.db")), Err(DatabaseError::Open(..))));
    }
}
