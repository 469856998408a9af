//! One file on its way into a tree: out of the tree that is being replaced, where that has it, else brought to the cache and copied from there.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::digest::Sha256;
use tokio::sync::OwnedMutexGuard;

use super::{
    bringing::{Thing, bring},
    disk::{blocking, failed},
    place,
    record::Look,
};
use crate::{
    decide::jobs::{
        plan::Stopped,
        tree::{Entry, Tree},
    },
    service::downloads::Downloads,
};

/// How often a content is brought again that was gone from the cache when it was to be copied.
const GONE_MAX: usize = 3;

/// The tree that is being replaced: what of it the new one has too is not brought again.
#[derive(Default)]
pub(super) struct Old {
    dir: PathBuf,
    files: HashMap<Sha256, PathBuf>,
}

impl Old {
    pub(super) fn of(dir: &Path, tree: &Tree) -> Self {
        let files = tree.files().map(|(path, entry)| (entry.sha256, path.to_owned())).collect();
        Self { dir: dir.to_owned(), files }
    }
}

/// One file on its way into a tree.
pub(super) struct One {
    /// Where it stands in the tree.
    pub(super) path: PathBuf,
    pub(super) entry: Entry,
    /// The directory of the tree.
    pub(super) to: PathBuf,
    /// Held while the disk is at work.
    pub(super) place: Arc<OwnedMutexGuard<()>>,
}

impl One {
    /// Takes it from the old tree, or brings it.
    pub(super) async fn bring(self, downloads: Arc<Downloads>, old: Arc<Old>) -> Result<(PathBuf, Look), Stopped> {
        if let Some(path) = old.files.get(&self.entry.sha256)
            && let Ok(file) = File::open(old.dir.join(path))
            // One that was changed is brought.
            && let Ok(look) = self.put(file).await
        {
            return Ok((self.path, look));
        }
        for _ in 0..GONE_MAX {
            let (md5, _) = bring(&downloads, &Thing::from(&self.entry)).await?;
            let Some(reader) = downloads.store().hit(&md5) else { continue };
            let file = reader.file().try_clone().map_err(failed)?;
            let look = self.put(file).await?;
            return Ok((self.path, look));
        }
        Err(Stopped::Waiting(format!("{} leaves the cache before it can be copied", self.entry.path)))
    }

    async fn put(&self, from: File) -> Result<Look, Stopped> {
        let (to, path, entry) = (self.to.clone(), self.path.clone(), self.entry.clone());
        blocking(self.place.clone(), move || place::put(&to, &path, &from, &entry)).await
    }
}
