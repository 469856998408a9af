//! What is asked of the tables. Each is a few steps in an index.

use std::collections::{BTreeSet, HashMap};

use protocol::{
    catalog::File,
    digest::{Digests, Md5, Sha256},
    pieces::Pieces,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{FileOf, Folder, Stamp, below, file, join, split};

pub(super) fn digests(connection: &Connection, path: &[u8], stamp: &Stamp) -> rusqlite::Result<Option<Digests>> {
    let (parent, name) = split(path);
    let mut statement = connection.prepare_cached(
        "SELECT inode, size, modified, changed, md5, sha256 FROM files
         WHERE directory = (SELECT id FROM directories WHERE path = ?1) AND name = ?2",
    )?;
    let row = statement
        .query_row(params![parent, name], |row| {
            let digests = Digests { md5: Md5(row.get(4)?), sha256: Sha256(row.get(5)?) };
            Ok((stamp_of(row, 0)?, digests))
        })
        .optional()?;
    Ok(row.filter(|(found, _)| found == stamp).map(|(_, digests)| digests))
}

pub(super) fn files_in(connection: &Connection, directory: &[u8]) -> rusqlite::Result<HashMap<Vec<u8>, Stamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, inode, size, modified, changed FROM files
         WHERE directory = (SELECT id FROM directories WHERE path = ?1)",
    )?;
    let rows = statement.query_map(params![directory], |row| Ok((row.get(0)?, stamp_of(row, 1)?)))?;
    rows.collect()
}

/// From one to the next: what lies below each is passed over in one step.
pub(super) fn directories_in(connection: &Connection, directory: &[u8]) -> rusqlite::Result<BTreeSet<Vec<u8>>> {
    let (mut from, end) = below(directory);
    let prefix = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let mut statement = connection
        .prepare_cached("SELECT path FROM directories WHERE path >= ?1 AND path < ?2 ORDER BY path LIMIT 1")?;
    let mut names = BTreeSet::new();
    while let Some(path) = statement.query_row(params![from, end], |row| row.get::<_, Vec<u8>>(0)).optional()? {
        let name_len = path[prefix..].iter().position(|byte| *byte == b'/');
        let name = &path[prefix..name_len.map_or(path.len(), |len| prefix + len)];
        names.insert(name.to_vec());
        // Behind itself, or behind everything below it: names that begin with its own may lie between.
        from = match name_len {
            None => [&path[..], b"\0"].concat(),
            Some(len) => below(&path[..prefix + len]).1,
        };
    }
    Ok(names)
}

pub(super) fn paths_of(connection: &Connection, md5: &Md5, max: u32) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.path, f.name FROM files f JOIN directories d ON d.id = f.directory WHERE f.md5 = ?1 LIMIT ?2",
    )?;
    let rows = statement.query_map(params![md5.0, max], |row| {
        let (parent, name): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        Ok(join(&parent, &name))
    })?;
    rows.collect()
}

pub(super) fn one_of(connection: &Connection, md5: &Md5) -> rusqlite::Result<Option<FileOf>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.path, f.name, f.size, p.root FROM files f JOIN directories d ON d.id = f.directory
         LEFT JOIN pieces p ON p.md5 = f.md5 AND p.size = f.size WHERE f.md5 = ?1 LIMIT 1",
    )?;
    let found = statement.query_row(params![md5.0], |row| {
        let (parent, name): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let size = row.get::<_, i64>(2)?.cast_unsigned();
        Ok(FileOf { path: join(&parent, &name), size, root: row.get::<_, Option<_>>(3)?.map(Sha256) })
    });
    found.optional()
}

/// A list that does not fit itself any more is none: it is made again when it is asked for.
pub(super) fn pieces(connection: &Connection, md5: &Md5) -> rusqlite::Result<Option<Pieces>> {
    let mut statement = connection.prepare_cached("SELECT size, piece_size, sha256 FROM pieces WHERE md5 = ?1")?;
    let found = statement.query_row(params![md5.0], |row| {
        let (size, piece_size): (i64, i64) = (row.get(0)?, row.get(1)?);
        let digests = row.get_ref(2)?.as_blob()?;
        Ok(Pieces::from_bytes(*md5, size.cast_unsigned(), piece_size.cast_unsigned(), digests).ok())
    });
    Ok(found.optional()?.flatten())
}

pub(super) fn folders(connection: &Connection, top: &[u8], each: &mut dyn FnMut(Folder)) -> rusqlite::Result<()> {
    let (first, end) = below(top);
    let mut statement = connection.prepare_cached(
        "SELECT path, files, bytes, generation FROM directories WHERE path = ?1
         UNION ALL
         SELECT path, files, bytes, generation FROM directories WHERE path >= ?2 AND path < ?3",
    )?;
    let mut rows = statement.query(params![top, first, end])?;
    while let Some(row) = rows.next()? {
        each(Folder {
            path: row.get(0)?,
            files: row.get::<_, i64>(1)?.cast_unsigned(),
            bytes: row.get::<_, i64>(2)?.cast_unsigned(),
            generation: row.get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    Ok(())
}

pub(super) fn files_below(
    connection: &Connection,
    top: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> rusqlite::Result<Vec<File>> {
    let (first, end) = below(top);
    let (from, name) = after.map_or((top, None), |path| {
        let (parent, name) = split(path);
        (parent, Some(name))
    });
    // In this order by two indexes; what lies between a folder and what is below it (`a-b` between `a` and `a/`) is passed over.
    let mut statement = connection.prepare_cached(
        "SELECT d.path, f.name, f.size, f.modified, f.md5, f.sha256, f.generation
         FROM directories d CROSS JOIN files f ON f.directory = d.id
         WHERE d.path >= ?1 AND d.path < ?2 AND (d.path = ?3 OR d.path >= ?4) AND (d.path > ?1 OR ?5 IS NULL OR f.name > ?5)
         ORDER BY d.path, f.name LIMIT ?6",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![from, end, top, first, name, max], |row| {
        let (parent, name): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        file_of(row, 2, &join(&parent, &name))
    })?;
    rows.collect()
}

/// From columns `size, modified, md5, sha256, generation`, beginning at `first`.
pub(super) fn file_of(row: &Row<'_>, first: usize, path: &[u8]) -> rusqlite::Result<File> {
    let digests = Digests { md5: Md5(row.get(first + 2)?), sha256: Sha256(row.get(first + 3)?) };
    Ok(file(path, row.get(first)?, row.get(first + 1)?, digests, row.get(first + 4)?))
}

/// From columns `inode, size, modified, changed`, beginning at `first`.
fn stamp_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        inode: row.get(first)?,
        size: row.get(first + 1)?,
        modified: row.get(first + 2)?,
        changed: row.get(first + 3)?,
    })
}
