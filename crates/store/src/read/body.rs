//! An open file of the store: shared by all who read it, whether it is growing or sealed, named or already unlinked.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::space::ledger::{Account, Space};

/// The file and what it costs once it has no name any more.
pub(crate) struct Body {
    file: Arc<File>,
    space: Arc<Space>,
    unlinked: AtomicU64,
}

impl Body {
    pub(crate) fn new(file: File, space: Arc<Space>) -> Arc<Self> {
        Arc::new(Self { file: Arc::new(file), space, unlinked: AtomicU64::new(0) })
    }

    pub(crate) fn engine(&self) -> &os::engine::Engine {
        self.space.disk().engine()
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// From now on the file has no name. The caller has moved `bytes` to the account of the unlinked; they leave it with the
    /// last who holds this body.
    pub(crate) fn unlinked(&self, bytes: u64) {
        self.unlinked.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let bytes = *self.unlinked.get_mut();
        if bytes > 0 {
            self.space.sub(Account::Unlinked, bytes);
        }
    }
}
