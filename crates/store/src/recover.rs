//! After a start: what the snapshot and the journal say is here.

use std::{io, sync::Arc};

use crate::{
    dirs::Dirs,
    evict::Now,
    journal::replay,
    layout::{IndexName, Layout, index_name, leaf_of},
    record::{NameRow, Object, Record, on_disk},
    slots::Slots,
    space::{Account, Space},
    table::{Table, record_hash},
};

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovered {
    /// The number of the journal file to begin.
    pub(crate) next_journal: u64,
    /// Bytes in those before.
    pub(crate) journal_bytes: u64,
}

/// Reads what there is into the tables.
pub(crate) fn load(
    space: &Arc<Space>,
    layout: &Layout,
    objects: &Table<Object, Slots>,
    names: &Table<NameRow, ()>,
    dirs: &Dirs,
) -> io::Result<Recovered> {
    let disk = space.disk();
    let mut journals: Vec<u64> = disk
        .list(&layout.index())?
        .iter()
        .filter_map(|item| match index_name(&item.name) {
            Some(IndexName::Journal(seq)) => Some(seq),
            _ => None,
        })
        .collect();
    journals.sort_unstable();
    let mut recovered = Recovered { next_journal: journals.last().map_or(1, |last| last + 1), journal_bytes: 0 };
    for seq in journals {
        let path = layout.journal(seq);
        let mut bytes = vec![0; disk.stat(&path)?.len as usize];
        disk.read_exact_at(&disk.open(&path, false)?, &mut bytes, 0)?;
        recovered.journal_bytes += bytes.len() as u64;
        space.add(Account::Tables, on_disk(bytes.len() as u64));
        for record in replay(&bytes, seq, Now::default()).records {
            let Some(hash) = record_hash(&record, objects.sip()) else { continue };
            match record {
                Record::ObjectPut(object) => {
                    dirs.found(leaf_of(&object.md5));
                    objects.replay(hash, record);
                }
                Record::ObjectRemoved(_) | Record::Uses(..) => objects.replay(hash, record),
                Record::NamePut(_) | Record::NameRemoved(_) => names.replay(hash, record),
                Record::Opened | Record::Closed { .. } => {}
            }
        }
    }
    Ok(recovered)
}
