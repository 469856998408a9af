//! One piece on its way: from whom, and since when.

use std::time::{Duration, Instant};

/// What has not come by then is asked of another one too, if nothing else is to be done.
const LATE_AFTER: Duration = Duration::from_secs(3);

/// A piece on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    /// From whom, by its place.
    pub(super) source: usize,
    pub(super) piece: u32,
    pub(super) since: Instant,
}

impl Flight {
    /// From then on it counts as late.
    pub(super) fn is_late_at(&self) -> Instant {
        self.since + LATE_AFTER
    }
}
