//! The tables of the catalogue, and each version of them that was ever released.
//!
//! The generation of a file's last change is its row's number, so that what changed since a generation lies together at the end of the table, and every
//! change moves a row there.

use std::path::Path;

use rusqlite::{Connection, params};

use super::CatalogueError;
use crate::database::{Layout, explain};

/// "OutO", so that a database of ours is known as one.
const APPLICATION_ID: i32 = 0x4f75_744f;

/// A step that was released is never changed.
pub(super) const LAYOUT: Layout = Layout { application_id: APPLICATION_ID, steps: &[FIRST, GENERATIONS, PIECES] };

/// Digests by path.
const FIRST: &str = "
    CREATE TABLE share (path TEXT NOT NULL);
    CREATE TABLE files (
        parent BLOB NOT NULL, name BLOB NOT NULL,
        inode INTEGER NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
        md5 BLOB NOT NULL CHECK (length(md5) = 16), sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        PRIMARY KEY (parent, name)
    ) WITHOUT ROWID;
    CREATE INDEX files_by_md5 ON files (md5);
";

/// Generations, what is gone, and the sums of each directory.
const GENERATIONS: &str = "
    ALTER TABLE files RENAME TO files_1;
    CREATE TABLE directories (
        id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE,
        files INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE files (
        generation INTEGER PRIMARY KEY, directory INTEGER NOT NULL, name BLOB NOT NULL,
        inode INTEGER NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
        md5 BLOB NOT NULL CHECK (length(md5) = 16), sha256 BLOB NOT NULL CHECK (length(sha256) = 32)
    );
    INSERT INTO directories (path) SELECT DISTINCT parent FROM files_1;
    INSERT INTO files (directory, name, inode, size, modified, changed, md5, sha256)
        SELECT d.id, f.name, f.inode, f.size, f.modified, f.changed, f.md5, f.sha256
        FROM files_1 f JOIN directories d ON d.path = f.parent ORDER BY f.parent, f.name;
    DROP TABLE files_1;
    CREATE UNIQUE INDEX files_by_place ON files (directory, name);
    CREATE INDEX files_by_md5 ON files (md5);
    UPDATE directories SET (files, bytes, generation) =
        (SELECT count(*), sum(size), max(generation) FROM files WHERE directory = directories.id);
    CREATE TABLE gone (generation INTEGER PRIMARY KEY, path BLOB NOT NULL, at INTEGER NOT NULL);
    CREATE TABLE state (
        epoch TEXT NOT NULL, generation INTEGER NOT NULL, reserved INTEGER NOT NULL, forgotten INTEGER NOT NULL,
        files INTEGER NOT NULL
    );
    INSERT INTO state SELECT lower(hex(randomblob(8))), coalesce(max(generation), 0), coalesce(max(generation), 0), 0, count(*)
        FROM files;
";

/// The digests of the pieces of contents that have several, each once however many files have that content. Files that were read before get theirs when
/// they are read the next time.
const PIECES: &str = "
    CREATE TABLE pieces (
        md5 BLOB NOT NULL UNIQUE CHECK (length(md5) = 16), size INTEGER NOT NULL, piece_size INTEGER NOT NULL,
        root BLOB NOT NULL CHECK (length(root) = 32), sha256 BLOB NOT NULL
    );
";

/// Opens or makes the database of a share; the connection writes.
pub(super) fn open(path: &Path, share: &Path) -> Result<Connection, CatalogueError> {
    let connection = LAYOUT.open(path)?;
    let share = share.to_string_lossy();
    let owned = connection
        .execute("INSERT INTO share (path) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM share)", params![share])
        .and_then(|_| connection.query_row("SELECT path FROM share", [], |row| row.get::<_, String>(0)));
    let owner = owned.map_err(|error| explain(path, error))?;
    if owner == share { Ok(connection) } else { Err(CatalogueError::OtherShare { path: path.into(), share: owner }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as the first release left it.
    fn first(path: &Path) -> Connection {
        let first = Layout { application_id: APPLICATION_ID, steps: &[FIRST] };
        let connection = first.open(path).expect("opens");
        connection.execute("INSERT INTO share VALUES ('/share')", []).expect("inserts");
        connection
    }

    #[test]
    fn the_first_version_becomes_the_newest_and_keeps_its_digests() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let old = first(&path);
        for (parent, name, size) in [("b", "2", 5), ("", "0", 3), ("b", "1", 4)] {
            old.execute(
                "INSERT INTO files VALUES (?1, ?2, 1, ?3, 7, 8, zeroblob(16), zeroblob(32))",
                params![parent.as_bytes(), name.as_bytes(), size],
            )
            .expect("inserts");
        }
        drop(old);
        let new = open(&path, Path::new("/share")).expect("opens");
        let rows =
            "SELECT f.generation, d.path, f.name, f.inode, f.size, f.modified, f.changed, length(md5) + length(sha256)
            FROM files f JOIN directories d ON d.id = f.directory ORDER BY f.generation";
        let mut statement = new.prepare(rows).expect("prepares");
        type Found = (i64, Vec<u8>, Vec<u8>, [i64; 5]);
        let found: Vec<Found> = statement
            .query_map([], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?],
                ))
            })
            .and_then(Iterator::collect)
            .expect("reads");
        let expected = [(1, "", "0", 3), (2, "b", "1", 4), (3, "b", "2", 5)]
            .map(|(generation, parent, name, size)| (generation, parent.into(), name.into(), [1, size, 7, 8, 48]));
        assert_eq!(found, expected);
        let sums: Vec<(i64, i64, i64)> = new
            .prepare("SELECT files, bytes, generation FROM directories ORDER BY path")
            .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect())
            .expect("reads");
        assert_eq!(sums, [(1, 3, 1), (2, 9, 3)]);
        let state: (String, i64, i64, i64) = new
            .query_row("SELECT epoch, generation, reserved, files FROM state", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .expect("a state");
        assert_eq!((state.0.len(), state.1, state.2, state.3), (16, 3, 3, 3));
    }

    #[test]
    fn an_empty_first_version_and_an_empty_file_become_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        drop(first(&directory.path().join("old")));
        let tables = |name: &str| -> Vec<String> {
            let connection = open(&directory.path().join(name), Path::new("/share")).expect("opens");
            let mut statement =
                connection.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY sql").expect("prepares");
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("reads")
        };
        assert_eq!(tables("old"), tables("new"));
    }

    #[test]
    fn another_share_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        drop(open(&path, Path::new("/share")).expect("opens"));
        let other = open(&path, Path::new("/other"));
        assert!(matches!(other, Err(CatalogueError::OtherShare { share, .. }) if share == "/share"));
    }
}
