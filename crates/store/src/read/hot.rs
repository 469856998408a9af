//! Small bodies of hot objects are kept in memory under one budget, so that a small hit does not touch its file. Which objects are hot is
//! decided by `open_files`: what is let go there leaves memory too, with the last who sends it.
//!
//! | asked for, since its file was opened | the body |
//! | --- | --- |
//! | for the first time | is read from the file by whoever sends it: most files are asked for once |
//! | again | is taken into memory, if it is small, in the page cache, and the budget has room |
//! | after that | is sent from memory |

use std::{
    fs::File,
    os::fd::AsFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

/// Bodies up to this are small: reading one costs a hit more than copying it.
const HOT_BODY_BYTES_MAX: u64 = 16 << 10;

/// The budget of a store.
pub(crate) struct HotBytes {
    used: AtomicU64,
    max: u64,
}

/// One object's body, perhaps in memory.
pub(crate) struct HotBody {
    budget: Arc<HotBytes>,
    was_asked: AtomicBool,
    bytes: OnceLock<Charged>,
}

/// Bytes that the budget knows of.
struct Charged {
    bytes: Bytes,
    budget: Arc<HotBytes>,
}

impl HotBytes {
    /// For so many bytes.
    pub(crate) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), max })
    }

    /// Bytes in memory now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    fn charge(self: &Arc<Self>, bytes: Bytes) -> Option<Charged> {
        let len = bytes.len() as u64;
        let with = |used: u64| used.checked_add(len).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, with).ok()?;
        Some(Charged { bytes, budget: self.clone() })
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes.len() as u64, Relaxed);
    }
}

impl HotBody {
    /// Not asked for yet.
    pub(crate) fn new(budget: &Arc<HotBytes>) -> Self {
        Self { budget: budget.clone(), was_asked: AtomicBool::new(false), bytes: OnceLock::new() }
    }

    /// The whole body of `len` bytes if it is in memory, or can be taken there without waiting for the disk.
    pub(crate) fn get(&self, file: &File, len: u64) -> Option<&Bytes> {
        if let Some(charged) = self.bytes.get() {
            return Some(&charged.bytes);
        }
        if len > HOT_BODY_BYTES_MAX || !self.was_asked.swap(true, Relaxed) || self.budget.used() + len > self.budget.max
        {
            return None;
        }
        let mut bytes = vec![0; len as usize];
        let is_whole = os::residency::read_resident(file.as_fd(), &mut bytes, 0).is_ok_and(|whole| whole);
        let charged = if is_whole { self.budget.charge(bytes.into())? } else { return None };
        // Whoever comes second gives its bytes back.
        Some(&self.bytes.get_or_init(|| charged).bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(len: usize) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&vec![7; len]).expect("room");
        file
    }

    #[test]
    fn a_small_body_is_kept_when_it_is_asked_for_again() {
        let budget = HotBytes::new(1000);
        let (file, body) = (file(600), HotBody::new(&budget));
        assert_eq!(body.get(&file, 600), None);
        assert_eq!((body.get(&file, 600).map(Bytes::len), budget.used()), (Some(600), 600));
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let budget = HotBytes::new(1000);
        let (file, first, second) = (file(600), HotBody::new(&budget), HotBody::new(&budget));
        for _ in 0..3 {
            first.get(&file, 600);
            assert_eq!((second.get(&file, 600), budget.used() <= 600), (None, true));
        }
        drop(first);
        assert!(second.get(&file, 600).is_some());
    }

    #[test]
    fn a_body_that_is_not_small_stays_where_it_is() {
        let (budget, len) = (HotBytes::new(u64::MAX), HOT_BODY_BYTES_MAX + 1);
        let (file, body) = (file(len as usize), HotBody::new(&budget));
        assert!((0..3).all(|_| body.get(&file, len).is_none()));
    }

    #[test]
    fn a_file_that_is_shorter_than_it_should_be_is_not_taken_for_whole() {
        let (budget, file) = (HotBytes::new(1000), file(10));
        let body = HotBody::new(&budget);
        assert!((0..3).all(|_| body.get(&file, 11).is_none()) && budget.used() == 0);
    }
}
