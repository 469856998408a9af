//! What is remembered of a name for moments: that it is not for the cache (Varnish says hit-for-pass), or that its bytes were wrong. It is
//! forgotten after its time, or when there is too much of it; nothing of it is written to disk.

use std::time::{Duration, Instant};

use crate::bounded::Bounded;

/// Names that are remembered so.
const NAMES_MAX: usize = 4096;
/// How long a name is remembered as not for the cache.
const PASSES_FOR: Duration = Duration::from_secs(60);
/// How long after wrong bytes a name is not fetched again, once there were [`WRONG_MAX`] in a row.
pub(crate) const WRONG_FOR: Duration = Duration::from_secs(10);
/// Wrong bytes in a row that are tried once more.
pub(crate) const WRONG_MAX: u32 = 2;

/// One name's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memo {
    /// It is not for the cache: nobody waits to find that out again.
    Passes,
    /// It sent wrong bytes so many times in a row.
    Wrong(u32),
}

/// All of them.
pub(crate) struct Memos(Bounded<(Memo, Instant)>);

impl Default for Memos {
    fn default() -> Self {
        Self(Bounded::new(NAMES_MAX))
    }
}

impl Memos {
    pub(crate) fn of(&self, key: &[u8], now: Instant) -> Option<Memo> {
        let (memo, until) = self.0.find(key)?;
        (until > now).then_some(memo)
    }

    /// Its answers are not for the cache.
    pub(crate) fn passes(&self, key: &[u8], now: Instant) {
        self.0.put(key, (Memo::Passes, now + PASSES_FOR));
    }

    /// It sent wrong bytes once more.
    pub(crate) fn was_wrong(&self, key: &[u8], now: Instant) {
        let times = match self.of(key, now) {
            Some(Memo::Wrong(times)) => times.saturating_add(1),
            _ => 1,
        };
        self.0.put(key, (Memo::Wrong(times), now + WRONG_FOR));
    }

    /// It is as any other.
    pub(crate) fn forget(&self, key: &[u8]) {
        self.0.remove(key);
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
        memos.was_wrong(b"a", now);
        assert_eq!(memos.of(b"a", now), Some(Memo::Wrong(1)));
        memos.was_wrong(b"a", now + WRONG_FOR);
        assert_eq!(memos.of(b"a", now + WRONG_FOR), Some(Memo::Wrong(1)), "what was long ago does not count");
    }
}
