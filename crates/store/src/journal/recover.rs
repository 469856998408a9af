//! After a start: what the snapshot and the journal say is here. Quick whatever the number of objects: of the snapshot only the table is
//! read, of the journal what was written since.
//!
//! | found | done |
//! | --- | --- |
//! | a snapshot and whole journals, the last one closed | all is known |
//! | the last journal not closed | all that was journaled is known; the directory is searched for files that were not |
//! | a torn or rotten record | what is behind it in this file is not known; the directory is searched |
//! | a rotten bucket | its rows are not known; the directory is searched |
//! | no snapshot that is whole, or a journal missing | the directory is searched, and counted before anything is let in |

use std::{io, sync::Arc};

use crate::{
    disk::layout::{IndexName, Layout, index_name, leaf_of},
    index::{
        record::Record,
        row::{NameRow, Object},
        slots::Slots,
        table::Table,
    },
    journal::{
        Before,
        frames::replay,
        snapshot::{Section, Snapshot},
    },
    space::{
        dirs::Dirs,
        evict::Now,
        ledger::{Account, Space, on_disk},
    },
};

/// What was found.
pub(crate) struct Recovered {
    pub(crate) journal: Before,
    /// How long the snapshot is.
    pub(crate) snapshot_bytes: u64,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) search: Search,
    /// Whether a journal is torn: the tables are to be written afresh once the search is done, or every start would search.
    pub(crate) torn: bool,
}

/// Whether the directory has to be searched for objects that are not in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// It was closed in order.
    No,
    /// There may be a few: what was about to be journaled.
    Strays,
    /// There may be many: until they are counted, nothing is let in.
    Everything,
}

/// The files in `index`.
#[derive(Default)]
struct Files {
    journals: Vec<u64>,
    snapshots: Vec<u64>,
    unfinished: Vec<u64>,
}

impl Files {
    fn list(space: &Space, layout: &Layout) -> io::Result<Self> {
        let mut files = Self::default();
        for item in space.disk().list(&layout.index())? {
            match index_name(&item.name) {
                Some(IndexName::Journal(seq)) => files.journals.push(seq),
                Some(IndexName::Snapshot(seq)) => files.snapshots.push(seq),
                Some(IndexName::SnapshotNew(seq)) => files.unfinished.push(seq),
                None => {}
            }
        }
        files.journals.sort_unstable();
        files.snapshots.sort_unstable();
        Ok(files)
    }

    /// Removes what a newer snapshot has replaced, and what never became one.
    fn tidy(&mut self, space: &Space, layout: &Layout, newest: u64) {
        for seq in self.unfinished.drain(..) {
            let _ = space.disk().unlink(&layout.snapshot_new(seq));
        }
        self.snapshots.retain(|seq| *seq >= newest || space.disk().unlink(&layout.snapshot(*seq)).is_err());
        self.journals.retain(|seq| *seq >= newest || space.disk().unlink(&layout.journal(*seq)).is_err());
    }
}

/// An empty index, and where what belongs into it is.
pub(crate) struct Index<'a> {
    pub(crate) space: &'a Arc<Space>,
    pub(crate) layout: &'a Layout,
    pub(crate) objects: &'a Table<Object, Slots>,
    pub(crate) names: &'a Table<NameRow, ()>,
    pub(crate) dirs: &'a Dirs,
}

impl Index<'_> {
    /// Reads what there is.
    pub(crate) fn load(&self) -> io::Result<Recovered> {
        let (space, layout) = (self.space, self.layout);
        let mut files = Files::list(space, layout)?;
        let open = |seq: &u64| Some((*seq, Arc::new(Snapshot::open(space.disk(), &layout.snapshot(*seq), *seq)?)));
        let snapshot = files.snapshots.iter().rev().find_map(open);
        let from = snapshot.as_ref().map_or(1, |(seq, _)| *seq);
        let is_newest = snapshot.as_ref().map(|(seq, _)| *seq) == files.snapshots.last().copied();
        let next_journal = files.journals.iter().chain(&files.snapshots).max().map_or(1, |last| last + 1);
        if is_newest {
            files.tidy(space, layout, from);
        }
        let mut since = Since { whole: is_newest, closed: files.journals.is_empty(), ..Since::default() };
        let mut expected = from;
        for seq in files.journals.iter().filter(|seq| **seq >= from) {
            since.missing |= *seq != expected;
            expected = seq + 1;
            since.read(self, *seq)?;
        }
        // An index without a file is that of a new directory, or all of it was lost.
        let known = match files.snapshots.is_empty() && files.journals.is_empty() {
            true => space.disk().list(&layout.objects())?.is_empty(),
            false => is_newest && !since.missing,
        };
        let search = match (known, since.whole && since.closed) {
            (true, true) => Search::No,
            (true, false) => Search::Strays,
            (false, _) => Search::Everything,
        };
        let journal = Before { next: next_journal, bytes: since.bytes, files: files.journals.len() };
        let torn = !since.whole || !known;
        let snapshot = snapshot.map(|(_, snapshot)| snapshot);
        let snapshot_bytes = snapshot.as_ref().map_or(0, |snapshot| snapshot.len);
        space.add(Account::Tables, on_disk(snapshot_bytes));
        since.enter(snapshot.as_ref(), self);
        Ok(Recovered { journal, snapshot_bytes, snapshot, search, torn })
    }
}

/// What the journals say.
#[derive(Default)]
struct Since {
    objects: Vec<(u64, Record)>,
    names: Vec<(u64, Record)>,
    bytes: u64,
    /// Whether all were read to their ends.
    whole: bool,
    /// Whether the last one ends with an orderly end.
    closed: bool,
    /// Whether one is not there.
    missing: bool,
}

impl Since {
    fn read(&mut self, index: &Index<'_>, seq: u64) -> io::Result<()> {
        let (disk, path) = (index.space.disk(), index.layout.journal(seq));
        let mut bytes = vec![0; disk.stat(&path)?.len as usize];
        disk.read_exact_at(&disk.open(&path, false)?, &mut bytes, 0)?;
        self.bytes += bytes.len() as u64;
        index.space.add(Account::Tables, on_disk(bytes.len() as u64));
        let replay = replay(&bytes, seq, Now::default());
        self.whole &= replay.whole;
        self.closed = false;
        for record in replay.records {
            if let Record::Closed { complete } = record {
                self.closed = complete;
            }
            if let Record::ObjectPut(object) = &record {
                index.dirs.there(leaf_of(&object.md5));
            }
            let Some(hash) = record.hash(index.objects.sip()) else { continue };
            match record {
                Record::NamePut(_) | Record::NameRemoved(_) => self.names.push((hash, record)),
                _ => self.objects.push((hash, record)),
            }
        }
        Ok(())
    }

    /// Into the tables: behind what the snapshot holds, if there is one.
    fn enter(self, snapshot: Option<&Arc<Snapshot>>, index: &Index<'_>) {
        let Some(snapshot) = snapshot else {
            self.objects.into_iter().for_each(|(hash, record)| index.objects.replay(hash, record));
            self.names.into_iter().for_each(|(hash, record)| index.names.replay(hash, record));
            return;
        };
        index.dirs.restore(&snapshot.bitmap);
        let section = |names| Section { snapshot: snapshot.clone(), names };
        index.space.add(Account::Objects, index.objects.attach(Arc::new(section(false)), self.objects));
        index.names.attach(Arc::new(section(true)), self.names);
    }
}
