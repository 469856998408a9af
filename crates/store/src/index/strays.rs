//! Files of objects that the index does not know, on the list between being found and being looked at.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use protocol::digest::Md5;

/// A file that the index does not know.
#[derive(Clone, Copy)]
pub(crate) struct Stray {
    pub(crate) md5: Md5,
    pub(crate) len: u64,
}

/// Strays that were found and not looked at yet.
#[derive(Default)]
pub(crate) struct Strays {
    left: Mutex<HashMap<Md5, u64>>,
    /// Whether there are any: spares every miss the lock.
    some: AtomicBool,
    /// Whether one could not be looked at: it is still there, and still counted.
    missed: AtomicBool,
}

impl Strays {
    /// These were found.
    pub(crate) fn set(&self, strays: &[Stray]) {
        *self.left.lock() = strays.iter().map(|stray| (stray.md5, stray.len)).collect();
        self.some.store(!strays.is_empty(), Ordering::Release);
    }

    /// Takes one, to look at it.
    pub(crate) fn take(&self, md5: &Md5) -> Option<Stray> {
        if !self.some.load(Ordering::Acquire) {
            return None;
        }
        let mut left = self.left.lock();
        let len = left.remove(md5)?;
        self.some.store(!left.is_empty(), Ordering::Release);
        Some(Stray { md5: *md5, len })
    }

    /// One could not be looked at now: a later start has to find it again.
    pub(crate) fn miss(&self) {
        self.missed.store(true, Ordering::Release);
    }

    /// Whether every one that was found could be looked at.
    pub(crate) fn all_seen(&self) -> bool {
        !self.missed.load(Ordering::Acquire)
    }
}
