//! The one who writes: each change gets the next generation, and what was changed together is there together or not at all.
//!
//! A power loss may cost the last transactions, but a generation that was told must never be given again to something else: who follows would take it for
//! known. So generations are reserved some thousand at a time, and only that waits for the disk; a start begins behind what was reserved.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{catalog::Gone, changes::Change, digest::Md5, pieces::Pieces, target::Target};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{Hashed, Stamp, below, file, split};
use crate::feed::{Committed, Mark};

/// Generations that are reserved at a time.
const RESERVE: i64 = 10_000;
/// Paths that are gone and known to be; of more the oldest are forgotten.
const GONE_MAX: i64 = 100_000;
/// For so long it is known that a path is gone.
const GONE_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// KiB of the database that are kept in memory for writing: new digests come anywhere in their index.
const CACHE_KIB: i64 = 32 << 10;

/// See the head of this file.
pub(super) struct Writer {
    connection: Connection,
    pub(super) epoch: String,
    state: State,
    /// What was committed and has not been shown.
    committed: Vec<Committed>,
}

/// The one row of the table.
#[derive(Clone, Copy)]
struct State {
    generation: i64,
    reserved: i64,
    /// Up to which it is not known any more what is gone.
    forgotten: i64,
    files: i64,
    /// Rows of what is gone; counted, not kept.
    gone: i64,
}

/// What a transaction adds to the sums of a directory.
#[derive(Clone, Copy, Default)]
struct Sum {
    files: i64,
    bytes: i64,
    generation: i64,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let gone = connection.query_row("SELECT count(*) FROM gone", [], |row| row.get(0))?;
        let state = "SELECT epoch, reserved, forgotten, files FROM state";
        let (epoch, state) = connection.query_row(state, [], |row| {
            let reserved = row.get(1)?;
            // What was given out of the reserve is not known after a power loss.
            let state = State { generation: reserved, reserved, forgotten: row.get(2)?, files: row.get(3)?, gone };
            Ok((row.get(0)?, state))
        })?;
        connection.execute("UPDATE state SET generation = reserved", [])?;
        Ok(Self { connection, epoch, state, committed: Vec::new() })
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.generation.cast_unsigned()
    }

    pub(super) fn files(&self) -> u64 {
        self.state.files.cast_unsigned()
    }

    pub(super) fn take_committed(&mut self) -> Vec<Committed> {
        std::mem::take(&mut self.committed)
    }

    pub(super) fn record(&mut self, hashed: &[Hashed]) -> rusqlite::Result<()> {
        self.reserve(hashed.len())?;
        let mut state = self.state;
        let mut committed = Vec::with_capacity(hashed.len());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut sums, mut lost) = (HashMap::new(), HashSet::new());
        let mut last: Option<(&[u8], i64)> = None;
        for one in hashed {
            let (parent, name) = split(&one.path);
            let directory = match last.filter(|(path, _)| *path == parent) {
                Some((_, id)) => id,
                None => directory(&transaction, parent)?,
            };
            last = Some((parent, directory));
            state.generation += 1;
            let sum: &mut Sum = sums.entry(directory).or_default();
            let before = remove_file(&transaction, directory, name, &mut lost)?;
            one.pieces.as_ref().map_or(Ok(()), |pieces| insert_pieces(&transaction, pieces))?;
            insert_file(&transaction, directory, name, one, state.generation)?;
            sum.files += if before.is_some() { 0 } else { 1 };
            sum.bytes += Stamp::from(&one.identity).size - before.unwrap_or(0);
            sum.generation = state.generation;
            state.files += if before.is_some() { 0 } else { 1 };
            committed.push(told(one, state.generation));
        }
        remove_pieces(&transaction, &lost)?;
        finish(transaction, &state, &sums)?;
        self.state = state;
        self.committed = committed;
        Ok(())
    }

    pub(super) fn forget(&mut self, path: &[u8], seen: Mark, now: SystemTime) -> rusqlite::Result<u64> {
        self.reserve(1)?;
        let mut state = self.state;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut sums, mut lost) = (HashMap::new(), HashSet::new());
        let removed = remove_below(&transaction, path, &mut lost)?;
        let (parent, name) = split(path);
        let above = directory_at(&transaction, parent)?;
        let file = above.map(|above| remove_file(&transaction, above, name, &mut lost)).transpose()?.flatten();
        let files = removed + i64::from(file.is_some());
        let mut change = None;
        if files > 0 {
            state.generation += 1;
            state.files -= files;
            // The directory above has changed, even where it has no files of its own.
            let above = above.map_or_else(|| directory(&transaction, parent), Ok)?;
            let bytes = -file.unwrap_or(0);
            sums.insert(above, Sum { files: -i64::from(file.is_some()), bytes, generation: state.generation });
            keep_gone(&transaction, path, &mut state, now)?;
            let path = Target::from_file_path(path).path().into();
            change = Some(Change::Gone(Gone { path, generation: state.generation.cast_unsigned() }));
        }
        remove_pieces(&transaction, &lost)?;
        finish(transaction, &state, &sums)?;
        self.state = state;
        let generation = state.generation.cast_unsigned();
        self.committed = vec![Committed { path: path.into(), change, generation, seen }];
        Ok(files.cast_unsigned())
    }

    /// Keeps the digests of a content's pieces.
    pub(super) fn keep_pieces(&mut self, pieces: &Pieces) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert_pieces(&transaction, pieces)?;
        transaction.commit()
    }

    /// Sees that so many generations may be told: what is reserved survives a power loss.
    fn reserve(&mut self, count: usize) -> rusqlite::Result<()> {
        let needed = self.state.generation + i64::try_from(count).unwrap_or(i64::MAX);
        if needed <= self.state.reserved {
            return Ok(());
        }
        let reserved = needed + RESERVE;
        self.connection.pragma_update(None, "synchronous", "full")?;
        let written = self.connection.execute("UPDATE state SET reserved = ?1", params![reserved]);
        self.connection.pragma_update(None, "synchronous", "normal")?;
        written?;
        self.state.reserved = reserved;
        Ok(())
    }
}

fn told(one: &Hashed, generation: i64) -> Committed {
    let stamp = Stamp::from(&one.identity);
    let file = file(&one.path, stamp.size, stamp.modified, one.digests, generation);
    Committed {
        path: one.path.clone(),
        change: Some(Change::File(file)),
        generation: generation.cast_unsigned(),
        seen: one.seen,
    }
}

fn directory_at(transaction: &Transaction<'_>, path: &[u8]) -> rusqlite::Result<Option<i64>> {
    let mut statement = transaction.prepare_cached("SELECT id FROM directories WHERE path = ?1")?;
    statement.query_row(params![path], |row| row.get(0)).optional()
}

fn directory(transaction: &Transaction<'_>, path: &[u8]) -> rusqlite::Result<i64> {
    if let Some(id) = directory_at(transaction, path)? {
        return Ok(id);
    }
    transaction.prepare_cached("INSERT INTO directories (path) VALUES (?1)")?.insert(params![path])
}

/// Answers the size of what was there; its content may have lost its last file.
fn remove_file(
    transaction: &Transaction<'_>,
    directory: i64,
    name: &[u8],
    lost: &mut HashSet<Md5>,
) -> rusqlite::Result<Option<i64>> {
    let mut statement =
        transaction.prepare_cached("DELETE FROM files WHERE directory = ?1 AND name = ?2 RETURNING size, md5")?;
    let found = statement.query_row(params![directory, name], |row| Ok((row.get(0)?, Md5(row.get(1)?)))).optional()?;
    Ok(found.map(|(size, md5)| {
        lost.insert(md5);
        size
    }))
}

/// What is there already is the same, or was damaged.
fn insert_pieces(transaction: &Transaction<'_>, pieces: &Pieces) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO pieces (md5, size, piece_size, root, sha256) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let (size, piece_size) = (pieces.size().cast_signed(), pieces.piece_size().cast_signed());
    statement.execute(params![pieces.md5().0, size, piece_size, pieces.root().0, pieces.to_bytes()])?;
    Ok(())
}

/// Of contents that have no file any more.
fn remove_pieces(transaction: &Transaction<'_>, lost: &HashSet<Md5>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM pieces WHERE md5 = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE files.md5 = ?1)",
    )?;
    lost.iter().try_for_each(|md5| statement.execute(params![md5.0]).map(drop))
}

fn insert_file(
    transaction: &Transaction<'_>,
    directory: i64,
    name: &[u8],
    one: &Hashed,
    generation: i64,
) -> rusqlite::Result<()> {
    let stamp = Stamp::from(&one.identity);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO files (generation, directory, name, inode, size, modified, changed, md5, sha256)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    statement.execute(params![
        generation,
        directory,
        name,
        stamp.inode,
        stamp.size,
        stamp.modified,
        stamp.changed,
        one.digests.md5.0,
        one.digests.sha256.0
    ])?;
    Ok(())
}

/// Removes a directory and what is below it, but nothing of a file at that path; answers how many files that were.
fn remove_below(transaction: &Transaction<'_>, path: &[u8], lost: &mut HashSet<Md5>) -> rusqlite::Result<i64> {
    let (first, end) = below(path);
    // Two statements each, so that each is one step in the index and none looks through the table.
    let mut files = 0_i64;
    {
        let mut each = |row: &Row<'_>| {
            files += 1;
            lost.insert(Md5(row.get(0)?));
            Ok(())
        };
        transaction
            .prepare_cached(
                "DELETE FROM files WHERE directory = (SELECT id FROM directories WHERE path = ?1) RETURNING md5",
            )?
            .query_map(params![path], &mut each)?
            .collect::<rusqlite::Result<()>>()?;
        transaction
            .prepare_cached(
                "DELETE FROM files WHERE directory IN (SELECT id FROM directories WHERE path >= ?1 AND path < ?2) RETURNING md5",
            )?
            .query_map(params![first, end], &mut each)?
            .collect::<rusqlite::Result<()>>()?;
    }
    transaction.prepare_cached("DELETE FROM directories WHERE path = ?1")?.execute(params![path])?;
    transaction
        .prepare_cached("DELETE FROM directories WHERE path >= ?1 AND path < ?2")?
        .execute(params![first, end])?;
    Ok(files)
}

/// Notes that a path is gone, and forgets what has been gone for long, or is too much.
fn keep_gone(transaction: &Transaction<'_>, path: &[u8], state: &mut State, now: SystemTime) -> rusqlite::Result<()> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    transaction.prepare_cached("INSERT INTO gone (generation, path, at) VALUES (?1, ?2, ?3)")?.execute(params![
        state.generation,
        path,
        seconds(now)
    ])?;
    state.gone += 1;
    let old = seconds(now.saturating_sub(GONE_AGE_MAX));
    // From the oldest on, so that it ends at the first that stays.
    let mut statement = transaction.prepare_cached("SELECT generation, at FROM gone ORDER BY generation")?;
    let mut rows = statement.query([])?;
    let (mut surplus, mut forgotten) = (state.gone - GONE_MAX, None);
    while let Some(row) = rows.next()? {
        let (generation, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if surplus <= 0 && at >= old {
            break;
        }
        surplus -= 1;
        forgotten = Some(generation);
    }
    drop(rows);
    if let Some(forgotten) = forgotten {
        let removed =
            transaction.prepare_cached("DELETE FROM gone WHERE generation <= ?1")?.execute(params![forgotten])?;
        state.gone -= i64::try_from(removed).unwrap_or(0);
        state.forgotten = forgotten;
    }
    Ok(())
}

fn finish(transaction: Transaction<'_>, state: &State, sums: &HashMap<i64, Sum>) -> rusqlite::Result<()> {
    {
        let mut statement = transaction.prepare_cached(
            "UPDATE directories SET files = files + ?2, bytes = bytes + ?3, generation = ?4 WHERE id = ?1",
        )?;
        for (id, sum) in sums {
            statement.execute(params![id, sum.files, sum.bytes, sum.generation])?;
        }
        transaction
            .prepare_cached("UPDATE state SET generation = ?1, forgotten = ?2, files = ?3")?
            .execute(params![state.generation, state.forgotten, state.files])?;
    }
    transaction.commit()
}
