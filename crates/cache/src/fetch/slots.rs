//! How many fills may go on at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Those that are taken.
#[derive(Clone, Default)]
pub(crate) struct Slots(Arc<AtomicUsize>);

/// One of the fills that may go on at once. Dropping it gives the place to another.
pub(crate) struct Slot(Slots);

impl Slots {
    /// One more, unless there are `fills_max`.
    pub(crate) fn take(&self, fills_max: usize) -> Option<Slot> {
        let more = |taken: usize| (taken < fills_max).then_some(taken + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
