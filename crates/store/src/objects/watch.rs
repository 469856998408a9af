//! What came and went, for who tells others what is here. Only digests are remembered, and each once: whether an object is here now is looked up when
//! it is told, so that nothing depends on the order in which threads come by.
//!
//! | what was remembered | when |
//! | --- | --- |
//! | nothing | until somebody watches, and after everything was told |
//! | digests, of which something happened | until they are taken |
//! | that too much happened | until everything is listed anew |

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use tokio::sync::Notify;

use crate::{index::row::md5_hash, shared::Shared};

/// Digests that wait to be taken; if it were more, everything is to be listed anew.
const TOUCHED_MAX: usize = 65_536;

/// What happened since it was looked.
#[derive(Default)]
pub(crate) struct Touched {
    is_watched: AtomicBool,
    /// Locked for moments, inside of nothing.
    since: Mutex<Since>,
    came: Notify,
}

#[derive(Default)]
struct Since {
    md5s: HashSet<Md5>,
    is_too_much: bool,
}

impl Touched {
    /// An object came, and is durable.
    pub(crate) fn came(&self, md5: Md5) {
        if self.is_watched.load(Ordering::Acquire) {
            self.note([md5]);
            self.came.notify_one();
        }
    }

    /// An object went.
    pub(crate) fn went(&self, md5: Md5) {
        if self.is_watched.load(Ordering::Acquire) {
            self.note([md5]);
        }
    }

    fn note(&self, md5s: impl IntoIterator<Item = Md5>) {
        let mut since = self.since.lock();
        for md5 in md5s {
            if since.is_too_much {
                return;
            }
            since.md5s.insert(md5);
            if since.md5s.len() > TOUCHED_MAX {
                *since = Since { md5s: HashSet::new(), is_too_much: true };
            }
        }
    }
}

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
        let watch = Self { shared: shared.clone() };
        watch.begin_anew();
        shared.touched.is_watched.store(true, Ordering::Release);
        watch
    }

    /// Everything is about to be listed: what happened before is part of that.
    pub fn begin_anew(&self) {
        *self.shared.touched.since.lock() = Since::default();
    }

    /// Waits until something has come. One waits at a time; what came before counts once.
    pub async fn came(&self) {
        self.shared.touched.came.notified().await;
    }

    /// What came and went since it was last taken, of at most `max` objects. `None`: too much, list everything.
    pub fn take(&self, max: usize) -> Option<Changed> {
        let (md5s, more) = {
            let mut since = self.shared.touched.since.lock();
            if since.is_too_much {
                return None;
            }
            if since.md5s.len() <= max {
                (std::mem::take(&mut since.md5s), false)
            } else {
                let some: HashSet<Md5> = since.md5s.iter().take(max).copied().collect();
                since.md5s.retain(|md5| !some.contains(md5));
                (some, true)
            }
        };
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
        self.shared.touched.is_watched.store(false, Ordering::Release);
        self.begin_anew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(number: u32) -> Md5 {
        let mut md5 = Md5([0; 16]);
        md5.0[..4].copy_from_slice(&number.to_be_bytes());
        md5
    }

    #[test]
    fn nobody_who_watches_costs_nothing() {
        let touched = Touched::default();
        touched.came(md5(1));
        assert!(touched.since.lock().md5s.is_empty());
    }

    #[test]
    fn too_much_is_remembered_as_that() {
        let touched = Touched { is_watched: true.into(), ..Touched::default() };
        for _ in 0..2 {
            (0..TOUCHED_MAX as u32).for_each(|number| touched.came(md5(number)));
        }
        assert_eq!(touched.since.lock().md5s.len(), TOUCHED_MAX, "each counts once");
        touched.went(md5(u32::MAX));
        touched.came(md5(1));
        let since = touched.since.lock();
        assert!(since.is_too_much && since.md5s.is_empty());
    }
}
