//! The journaled table of names: an opaque key to a digest and opaque meta data. Lives beside the objects in the same journal, so that an
//! entry is never durable before its object is.

use protocol::digest::Md5;

/// Handle to the table.
#[derive(Clone)]
pub struct Names {}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its content.
    pub md5: Md5,
    /// What the caller keeps with it (validators, freshness); at most 64 KiB.
    pub meta: Box<[u8]>,
}

impl Names {
    /// Looks a name up and lets `read` see it under a short lock; `None` if there is no such name. Never waits for the disk longer
    /// than one small read (and only while the table is still being loaded after a start).
    pub fn read<T>(&self, _key: &[u8], _read: impl FnOnce(&Md5, &[u8]) -> T) -> Option<T> {
        todo!()
    }

    /// Sets or replaces. Journaled in the background; survives `kill -9` within a second, a power loss with the next sync.
    pub fn put(&self, _key: &[u8], _md5: &Md5, _meta: &[u8]) {
        todo!()
    }

    /// Removes; `true` if it was there.
    pub fn remove(&self, _key: &[u8]) -> bool {
        todo!()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        todo!()
    }
}
