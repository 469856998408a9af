//! What is remembered of a name for a while: that it is not for the cache (Varnish says hit-for-pass), or that its bytes were wrong. It is
//! forgotten after its time, or when there is too much of it; nothing of it is written to disk.
//!
//! Wrong bytes taint what they were given out under, for longer: clients may hold pieces of them that came whole, under a tag that the right bytes
//! have too. Nobody is given the piece that is missing: a range of it is answered with everything (RFC 9110 section 14.2 allows it).

use std::time::{Duration, Instant};

use crate::bounded::Bounded;

/// Names that are remembered so.
const NAMES_MAX: usize = 4096;
/// How long a name is remembered as not for the cache, or not for a cache of this size.
const PASSES_FOR: Duration = Duration::from_secs(60);
/// How long after wrong bytes a name is not fetched again, once there were [`WRONG_MAX`] in a row.
pub(crate) const WRONG_FOR: Duration = Duration::from_secs(10);
/// How long a client may come back with pieces of wrong bytes.
const TAINTED_FOR: Duration = Duration::from_secs(3600);
/// Wrong bytes in a row that are tried once more.
pub(crate) const WRONG_MAX: u32 = 2;

/// One name's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memo {
    /// It is not for the cache: nobody waits to find that out again.
    Passes,
    /// It found no room while it was arriving, and may not pass.
    NoRoom,
    /// It sent wrong bytes so many times in a row.
    Wrong(u32),
}

/// All of them.
pub(crate) struct Memos {
    names: Bounded<(Memo, Instant)>,
    /// Until when, by the name's key or the object's MD5.
    tainted: Bounded<Instant>,
}

impl Default for Memos {
    fn default() -> Self {
        Self { names: Bounded::new(NAMES_MAX), tainted: Bounded::new(NAMES_MAX) }
    }
}

impl Memos {
    pub(crate) fn of(&self, key: &[u8], now: Instant) -> Option<Memo> {
        let (memo, until) = self.names.find(key)?;
        (until > now).then_some(memo)
    }

    /// Its answers are not for the cache.
    pub(crate) fn passes(&self, key: &[u8], now: Instant) {
        self.names.put(key, (Memo::Passes, now + PASSES_FOR));
    }

    /// There is no room for it.
    pub(crate) fn no_room(&self, key: &[u8], now: Instant) {
        self.names.put(key, (Memo::NoRoom, now + PASSES_FOR));
    }

    /// It sent wrong bytes once more.
    pub(crate) fn was_wrong(&self, key: &[u8], now: Instant) {
        let times = match self.of(key, now) {
            Some(Memo::Wrong(times)) => times.saturating_add(1),
            _ => 1,
        };
        self.names.put(key, (Memo::Wrong(times), now + WRONG_FOR));
        self.taint(key, now);
    }

    /// Wrong bytes may have been given out under this key.
    pub(crate) fn taint(&self, key: &[u8], now: Instant) {
        self.tainted.put(key, now + TAINTED_FOR);
    }

    pub(crate) fn is_tainted(&self, key: &[u8], now: Instant) -> bool {
        self.tainted.find(key).is_some_and(|until| until > now)
    }

    /// Its bytes were right. Pieces of wrong ones may be about all the same.
    pub(crate) fn forget(&self, key: &[u8]) {
        self.names.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_passes_for_its_time() {
        let (memos, now) = (Memos::default(), Instant::now());
        memos.passes(b"a", now);
        assert_eq!(memos.of(b"a", now), Some(Memo::Passes));
        assert_eq!(memos.of(b"b", now), None);
        assert_eq!(memos.of(b"a", now + PASSES_FOR), None);
    }

    #[test]
    fn wrong_bytes_count_in_a_row() {
        let (memos, now) = (Memos::default(), Instant::now());
        memos.was_wrong(b"a", now);
        memos.was_wrong(b"a", now);
        assert_eq!(memos.of(b"a", now), Some(Memo::Wrong(2)));
        memos.forget(b"a");
        assert!(memos.is_tainted(b"a", now), "right bytes do not make good the pieces of wrong ones");
        assert!(!memos.is_tainted(b"a", now + TAINTED_FOR) && !memos.is_tainted(b"b", now));
        memos.was_wrong(b"a", now);
        assert_eq!(memos.of(b"a", now), Some(Memo::Wrong(1)));
        memos.was_wrong(b"a", now + WRONG_FOR);
        assert_eq!(memos.of(b"a", now + WRONG_FOR), Some(Memo::Wrong(1)), "what was long ago does not count");
    }
}
