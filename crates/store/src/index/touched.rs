//! Digests of objects that came or went since somebody looked. Each is remembered once, and not whether it came or went: that is looked up when it is
//! told, so that nothing depends on the order in which threads come by.
//!
//! | what was remembered | when |
//! | --- | --- |
//! | nothing | until somebody watches, and after everything was told |
//! | digests, of which something happened | until they are taken |
//! | that too much happened | until everything is listed anew |

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use tokio::sync::Notify;

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

    /// Forgets what was, and watches from now on, or no more.
    pub(crate) fn watch(&self, is_watched: bool) {
        *self.since.lock() = Since::default();
        self.is_watched.store(is_watched, Ordering::Release);
    }

    /// Waits until something has come.
    pub(crate) async fn coming(&self) {
        self.came.notified().await;
    }

    /// At most so many, and whether there are more. `None`: too many were to be remembered.
    pub(crate) fn take(&self, max: usize) -> Option<(HashSet<Md5>, bool)> {
        let mut since = self.since.lock();
        if since.is_too_much {
            return None;
        }
        if since.md5s.len() <= max {
            return Some((std::mem::take(&mut since.md5s), false));
        }
        let some: HashSet<Md5> = since.md5s.iter().take(max).copied().collect();
        since.md5s.retain(|md5| !some.contains(md5));
        Some((some, true))
    }

    /// Something happened to these.
    pub(crate) fn note(&self, md5s: impl IntoIterator<Item = Md5>) {
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
