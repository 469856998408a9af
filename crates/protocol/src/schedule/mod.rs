//! When something may happen: windows of the week ([`Windows`]) and moments that it is to be ready by ([`Deadline`]), as an operator writes them,
//! in a named time zone ([`Zone`]). Pure: the moment is an argument, and nothing waits here.
//!
//! | written | means |
//! | --- | --- |
//! | `02:00-04:00` | every day |
//! | `Mon-Fri 22:00-06:00` | begins on these days, and ends on the morning after |
//! | `Sat,Sun 00:00-24:00` | two whole days |
//! | `0 2 * * * for 2h` | cron says when it begins, `for` how long it lasts |
//! | `0 2 * * *` | cron alone is a start: what begins then goes on until it is done |
//!
//! Days and times are those of the wall clock. Where it is put forward, a time that does not exist is as much later; where it is put back, a time
//! that comes twice is the first: so each window opens exactly once on each of its days, and lasts an hour more or less if the change is inside.

mod cron;
mod daily;
mod deadline;
mod windows;
mod zone;

pub use deadline::Deadline;
pub use windows::{Window, Windows};
pub use zone::Zone;

/// Text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {wanted}: {reason}; write {example}")]
pub struct ScheduleError {
    text: String,
    wanted: &'static str,
    reason: String,
    example: &'static str,
}

impl ScheduleError {
    fn window(text: &str, reason: impl Into<String>) -> Self {
        let example = "\"02:00-04:00\", \"Mon-Fri 22:00-06:00\" or cron such as \"0 2 * * * for 2h\"";
        Self { text: text.into(), wanted: "a window of time", reason: reason.into(), example }
    }

    pub(crate) fn endless(text: &str) -> Self {
        Self::window(text, "it says when it begins and not when it ends")
    }

    fn deadline(text: &str, reason: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            wanted: "a time to be ready by",
            reason: reason.into(),
            example: "\"08:00\" or \"Mon 08:00\"",
        }
    }

    fn zone(text: &str, reason: impl Into<String>) -> Self {
        let example = "\"Europe/Berlin\", \"UTC\" or \"local\"";
        Self { text: text.into(), wanted: "a time zone", reason: reason.into(), example }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use jiff::Timestamp;

    /// A moment, written as RFC 3339.
    pub(crate) fn at(text: &str) -> SystemTime {
        SystemTime::from(text.parse::<Timestamp>().expect("a moment"))
    }
}
