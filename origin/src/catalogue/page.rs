//! One page of the catalogue: what has changed since a generation, in the order of the generations, files and what is gone together.

use protocol::{
    catalog::{Gone, Page},
    target::Target,
};
use rusqlite::{Connection, params};

use super::{join, reader::file_of};
use crate::shares::{concerns, is_below};

/// Files that are looked at for one page; where few of them are of the share that was asked for, the page has fewer than it might, and another behind it.
const EXAMINED_MAX: usize = 50_000;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The last generation that is known to who asks; 0: nothing is.
    pub(crate) since: u64,
    /// When the reading began that this is another page of, if it began with nothing; else 0.
    pub(crate) begun: u64,
    /// The generations that are meant are of another numbering.
    pub(crate) of_another_epoch: bool,
    /// Entries, at most.
    pub(crate) max: usize,
}

/// What there is to be told from.
#[derive(Clone, Copy, Debug)]
struct Known {
    generation: u64,
    /// What is gone since then is known.
    forgotten: u64,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begin {
    since: u64,
    reset: bool,
    /// Not 0 while a reading goes on that began with nothing.
    begun: u64,
    /// What is gone counts from here on.
    gone_since: u64,
}

fn begin(asked: &Asked, known: Known) -> Begin {
    let Asked { since, begun, .. } = *asked;
    let anew = |reset| Begin { since: 0, reset, begun: known.generation, gone_since: known.generation };
    let is_ours = !asked.of_another_epoch && since <= known.generation;
    if is_ours && since > 0 && begun > 0 && begun >= known.forgotten && begun <= known.generation {
        // What went before the reading began was not in it.
        Begin { since, reset: false, begun, gone_since: since.max(begun) }
    } else if is_ours && since > 0 && begun == 0 && since >= known.forgotten {
        Begin { since, reset: false, begun: 0, gone_since: since }
    } else {
        anew(since > 0 || asked.of_another_epoch)
    }
}

/// A page that is being filled.
struct Filling {
    page: Page,
    max: usize,
}

impl Filling {
    fn has_room(&mut self) -> bool {
        let has_room = self.page.files.len() + self.page.gone.len() < self.max;
        self.page.more |= !has_room;
        has_room
    }

    /// Takes what went before a generation; answers whether all of it found room.
    fn take_gone(&mut self, gone: &mut std::iter::Peekable<std::vec::IntoIter<Gone>>, before: u64) -> bool {
        while let Some(one) = gone.peek().filter(|one| one.generation < before).cloned() {
            if !self.has_room() {
                return false;
            }
            gone.next();
            self.page.generation = one.generation;
            self.page.gone.push(one);
        }
        true
    }
}

/// Reads a page of what is at or below some folders, as of one moment.
pub(super) fn read(connection: &Connection, tops: &[Box<[u8]>], asked: &Asked) -> rusqlite::Result<Page> {
    let snapshot = connection.unchecked_transaction()?;
    let known = snapshot.query_row("SELECT generation, forgotten FROM state", [], |row| {
        let (generation, forgotten): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Known { generation: generation.cast_unsigned(), forgotten: forgotten.cast_unsigned() })
    })?;
    let begin = begin(asked, known);
    let page = Page { generation: begin.since, reset: begin.reset, ..Page::default() };
    let mut filling = Filling { page, max: asked.max };
    let mut gone = gone(&snapshot, tops, begin.gone_since, asked.max)?.into_iter().peekable();
    let all = files(&snapshot, tops, begin.since, &mut filling, &mut gone)?;
    if all && filling.take_gone(&mut gone, u64::MAX) {
        filling.page.generation = known.generation;
    }
    filling.page.begun = if filling.page.more { begin.begun } else { 0 };
    Ok(filling.page)
}

/// Takes files, and what went before each; answers whether that was all of them.
fn files(
    connection: &Connection,
    tops: &[Box<[u8]>],
    since: u64,
    filling: &mut Filling,
    gone: &mut std::iter::Peekable<std::vec::IntoIter<Gone>>,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT d.path, f.name, f.size, f.modified, f.md5, f.sha256, f.generation
         FROM files f CROSS JOIN directories d ON d.id = f.directory WHERE f.generation > ?1 ORDER BY f.generation",
    )?;
    let mut rows = statement.query(params![since.cast_signed()])?;
    let mut examined = 0;
    while let Some(row) = rows.next()? {
        let generation = row.get::<_, i64>(6)?.cast_unsigned();
        if examined == EXAMINED_MAX {
            filling.page.more = true;
            return Ok(false);
        }
        examined += 1;
        if !filling.take_gone(gone, generation) {
            return Ok(false);
        }
        let parent = row.get_ref(0)?.as_blob()?;
        if is_below(parent, tops) {
            if !filling.has_room() {
                return Ok(false);
            }
            let name = row.get_ref(1)?.as_blob()?;
            filling.page.files.push(file_of(row, 2, &join(parent, name))?);
        }
        filling.page.generation = generation;
    }
    Ok(true)
}

/// What went since a generation, of a folder or with it; one more than fits in a page, so that a page knows of the next.
fn gone(connection: &Connection, tops: &[Box<[u8]>], since: u64, max: usize) -> rusqlite::Result<Vec<Gone>> {
    let mut statement =
        connection.prepare_cached("SELECT generation, path FROM gone WHERE generation > ?1 ORDER BY generation")?;
    let mut rows = statement.query(params![since.cast_signed()])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let path = row.get_ref(1)?.as_blob()?;
        if concerns(path, tops) {
            let generation = row.get::<_, i64>(0)?.cast_unsigned();
            gone.push(Gone { path: Target::from_file_path(path).path().into(), generation });
            if gone.len() > max {
                break;
            }
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_begins_where_it_ended_or_anew() {
        let known = Known { generation: 100, forgotten: 50 };
        let anew = |reset| Begin { since: 0, reset, begun: 100, gone_since: 100 };
        let goes_on = |since, begun, gone_since| Begin { since, reset: false, begun, gone_since };
        for (since, begun, of_another_epoch, expected) in [
            // The first question of all.
            (0, 0, false, anew(false)),
            (0, 0, true, anew(true)),
            // What changed.
            (70, 0, false, goes_on(70, 0, 70)),
            (50, 0, false, goes_on(50, 0, 50)),
            (100, 0, false, goes_on(100, 0, 100)),
            // So long ago that it is not known what went.
            (49, 0, false, anew(true)),
            // Of another database, or of one from a backup.
            (70, 0, true, anew(true)),
            (101, 0, false, anew(true)),
            // Further pages of a reading that began with nothing.
            (10, 60, false, goes_on(10, 60, 60)),
            (80, 60, false, goes_on(80, 60, 80)),
            // ... before what is not known any more.
            (10, 49, false, anew(true)),
            (10, 200, false, anew(true)),
        ] {
            let asked = Asked { since, begun, of_another_epoch, max: 1 };
            assert_eq!(begin(&asked, known), expected, "{asked:?}");
        }
    }
}
