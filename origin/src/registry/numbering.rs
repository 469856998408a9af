//! Whether a report follows the last one that was heard: pure.
//!
//! | heard last | the report | it is |
//! | --- | --- | --- |
//! | anything | full | everything |
//! | number 7 | number 8 | what changed |
//! | number 7 | number 7 again: its answer was lost | what changed, told as it is now |
//! | number 7 | any other number | not to be understood: one was missed, or the node began anew |
//! | nothing | not full | likewise |

use protocol::report::Report;

/// What a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Everything that the node holds, or the first page of it.
    Everything,
    /// What came and went.
    Changes,
    /// What came and went since something that was not heard: the node must tell everything.
    Missed,
}

impl Heard {
    /// Of a report, after the one with this number.
    pub(super) fn of(report: &Report, last: Option<u64>) -> Self {
        match last {
            _ if report.full => Self::Everything,
            Some(last) if report.sequence == last || Some(report.sequence) == last.checked_add(1) => Self::Changes,
            _ => Self::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tests::report;

    #[test]
    fn what_follows_what() {
        for (last, sequence, full, expected) in [
            (None, 1, true, Heard::Everything),
            (Some(7), 1, true, Heard::Everything),
            (Some(7), 8, true, Heard::Everything),
            (Some(7), 8, false, Heard::Changes),
            (Some(7), 7, false, Heard::Changes),
            (Some(7), 9, false, Heard::Missed),
            (Some(7), 6, false, Heard::Missed),
            (Some(7), 1, false, Heard::Missed),
            (None, 1, false, Heard::Missed),
            (None, 0, false, Heard::Missed),
            (Some(u64::MAX), u64::MAX, false, Heard::Changes),
            (Some(u64::MAX), 0, false, Heard::Missed),
        ] {
            let said = Report { sequence, full, ..report("a", &[]) };
            assert_eq!(Heard::of(&said, last), expected, "{sequence} {full} after {last:?}");
        }
    }
}
