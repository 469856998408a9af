//! What an upstream has told of names without being asked: who asks next for a file that has changed needs no question. In memory only; it is forgotten
//! when there is too much of it, and then there is a question.

use std::time::SystemTime;

use protocol::digest::{Claims, Digests};

use super::record::{Provenance, Record, seconds};
use crate::bounded::Bounded;

/// Names of which something is known so, recent ones; some 200 bytes each.
const TOLD_MAX: usize = 8192;

/// What is at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) len: u64,
    pub(crate) digests: Digests,
    pub(crate) modified: Option<SystemTime>,
    /// When it was told, by the book.
    pub(crate) at: u64,
}

/// By the keys of names.
pub(crate) struct ToldNames(Bounded<Told>);

impl Default for ToldNames {
    fn default() -> Self {
        Self(Bounded::new(TOLD_MAX))
    }
}

impl ToldNames {
    pub(crate) fn find(&self, key: &[u8]) -> Option<Told> {
        self.0.find(key)
    }

    pub(crate) fn put(&self, key: &[u8], told: Told) {
        self.0.put(key, told);
    }

    pub(crate) fn forget(&self, key: &[u8]) {
        self.0.remove(key);
    }

    /// Forgets those that are meant.
    pub(crate) fn forget_where(&self, is_meant: impl Fn(&[u8]) -> bool) {
        self.0.retain(|key, _| !is_meant(key));
    }
}

impl Told {
    /// As an answer would have said it.
    pub(crate) fn record(&self, now: SystemTime) -> Record {
        Record {
            checked: seconds(now),
            len: Some(self.len),
            modified: self.modified,
            etag: None,
            provisional: None,
            provenance: Provenance::Outpost { content_type: None },
        }
    }

    pub(crate) fn claims(&self) -> Claims {
        Claims { md5: Some(self.digests.md5), sha256: Some(self.digests.sha256) }
    }
}
