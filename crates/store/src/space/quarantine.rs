//! Parts that were not what they were said to be, kept for a person to look at: few, the oldest go first, and all of them
//! before anything useful has to.

use std::{collections::VecDeque, io, sync::Arc};

use parking_lot::Mutex;
use protocol::digest::Md5;

use crate::{
    disk::layout::{Layout, quarantine_name},
    space::ledger::{Account, Space, on_disk},
};

/// What is in quarantine.
pub(crate) struct Quarantine {
    space: Arc<Space>,
    layout: Layout,
    max: u64,
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Clone, Copy)]
struct Kept {
    id: u64,
    md5: Md5,
    bytes: u64,
}

impl Quarantine {
    /// What is there from before, counted.
    pub(crate) fn open(space: &Arc<Space>, layout: &Layout, max: u64) -> io::Result<Self> {
        let mut kept = Vec::new();
        for item in space.disk().list(&layout.quarantine())? {
            if let Some((id, md5)) = quarantine_name(&item.name)
                && let Ok(stat) = space.disk().stat(&layout.quarantined(id, &md5))
            {
                kept.push(Kept { id, md5, bytes: on_disk(stat.len) });
            }
        }
        kept.sort_unstable_by_key(|kept| kept.id);
        space.add(Account::Quarantine, kept.iter().map(|kept| kept.bytes).sum());
        Ok(Self { space: space.clone(), layout: layout.clone(), max, kept: Mutex::new(kept.into()) })
    }

    /// The highest number in use.
    pub(crate) fn last_id(&self) -> u64 {
        self.kept.lock().back().map_or(0, |kept| kept.id)
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.lock().len()
    }

    /// Moves a file of `len` bytes here and answers what it occupies, to be put to the account; `None` if it is not to be
    /// kept, or cannot be. Blocks.
    pub(crate) fn take_in(&self, id: u64, from: &std::path::Path, md5: &Md5, len: u64) -> Option<u64> {
        let bytes = on_disk(len);
        if bytes > self.max || len == 0 {
            return None;
        }
        while self.kept.lock().iter().map(|kept| kept.bytes).sum::<u64>() + bytes > self.max {
            self.drop_oldest()?;
        }
        self.space.disk().rename(from, &self.layout.quarantined(id, md5)).ok()?;
        self.kept.lock().push_back(Kept { id, md5: *md5, bytes });
        Some(bytes)
    }

    /// Removes the oldest; answers the bytes that it gave free. Blocks.
    pub(crate) fn drop_oldest(&self) -> Option<u64> {
        let oldest = self.kept.lock().pop_front()?;
        // Whoever reads it still (a follower that has not noticed yet) keeps it a moment longer; that is not counted.
        match self.space.disk().unlink(&self.layout.quarantined(oldest.id, &oldest.md5)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.layout.quarantined(oldest.id, &oldest.md5);
                tracing::warn!(path = %path.display(), %error, "a file in quarantine cannot be removed; remove it by hand");
                None
            }
            _ => {
                self.space.sub(Account::Quarantine, oldest.bytes);
                Some(oldest.bytes)
            }
        }
    }
}
