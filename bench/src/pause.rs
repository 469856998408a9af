//! Letting time pass, where time itself is what is wanted: the pace of a line, the span of a measurement.

use std::{thread, time::Duration};

/// Waits.
#[expect(clippy::disallowed_methods, reason = "there is nothing here to wait for but the time")]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}
