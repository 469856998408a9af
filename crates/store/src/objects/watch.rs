//! What came and went, for who tells others what is here.

use std::sync::Arc;

use protocol::digest::Md5;

use crate::{index::row::md5_hash, shared::Shared};

/// Whoever tells others what is here; one at a time.
pub struct Watch {
    shared: Arc<Shared>,
}

/// What came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Objects that are here now.
    pub came: Vec<Md5>,
    /// Objects that are not.
    pub gone: Vec<Md5>,
    /// There is more than was asked for.
    pub more: bool,
}

impl Watch {
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        shared.touched.watch(true);
        Self { shared: shared.clone() }
    }

    /// Everything is about to be listed: what happened before is part of that.
    pub fn begin_anew(&self) {
        self.shared.touched.watch(true);
    }

    /// Waits until something has come. One waits at a time; what came before counts once.
    pub async fn came(&self) {
        self.shared.touched.coming().await;
    }

    /// What came and went since it was last taken, of at most `max` objects. `None`: too much, list everything.
    pub fn take(&self, max: usize) -> Option<Changed> {
        let (md5s, more) = self.shared.touched.take(max)?;
        let (came, gone) = md5s.into_iter().partition(|md5| self.is_here(md5));
        Some(Changed { came, gone, more })
    }

    /// What was taken could not be told: it is to be told again, as it is then.
    pub fn put_back(&self, changed: &Changed) {
        self.shared.touched.note(changed.came.iter().chain(&changed.gone).copied());
    }

    fn is_here(&self, md5: &Md5) -> bool {
        let (now, hash) = (self.shared.clock.now(), md5_hash(md5));
        self.shared.objects.shard(hash, now).shard.rows.find(hash, |row| row.md5 == *md5).is_some()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.touched.watch(false);
    }
}
