//! How fast limits are reached that are exceeded: pure. Who lowers a limit is in no hurry, and hits come first; who fills the disk from outside is not
//! waited for.
//!
//! | why bytes have to go | work in one go | rest behind it |
//! | --- | --- | --- |
//! | others fill the disk (`min_free`) | [`HASTE`] | a quarter of what it took |
//! | somebody waits for the room | [`HASTE`] | a quarter of what it took |
//! | `max_size` was lowered | [`CALM`] | three times what it took |

use std::time::Duration;

use crate::space::ledger::Excess;

/// Longest stretch of work while the disk is short.
const HASTE: Duration = Duration::from_millis(20);
/// Longest stretch of work while nobody waits for it.
const CALM: Duration = Duration::from_millis(4);
/// Rest behind a stretch, in quarters of its own length.
const HASTE_REST: u32 = 1;
const CALM_REST: u32 = 12;
/// A rest is no longer than this: the removal of one large file can take a while.
const REST_MAX: Duration = Duration::from_millis(200);
/// Nor shorter, or it would be none.
const REST_MIN: Duration = Duration::from_millis(1);

/// How the next stretch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// It ends after so long, with what is being removed then.
    pub(crate) work: Duration,
    /// In quarters.
    rest: u32,
}

impl Pace {
    /// What is exceeded decides.
    pub(crate) fn of(excess: Excess) -> Self {
        if excess.under > 0 { Self::awaited() } else { Self { work: CALM, rest: CALM_REST } }
    }

    /// Of room that somebody waits for.
    pub(crate) fn awaited() -> Self {
        Self { work: HASTE, rest: HASTE_REST }
    }

    /// How long to rest after a stretch that took so long.
    pub(crate) fn rest(self, took: Duration) -> Duration {
        (took * self.rest / 4).clamp(REST_MIN, REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fills_the_disk_is_not_waited_for_and_who_lowers_a_limit_is() {
        let (over, under) = (Excess { over: 1, under: 0 }, Excess { over: 1, under: 1 });
        let millis = Duration::from_millis;
        for (excess, took, work, rest) in [
            (over, millis(4), CALM, millis(12)),
            (over, millis(0), CALM, REST_MIN),
            (over, millis(500), CALM, REST_MAX),
            (under, millis(20), HASTE, millis(5)),
            (under, millis(2000), HASTE, REST_MAX),
        ] {
            let pace = Pace::of(excess);
            assert_eq!((pace.work, pace.rest(took)), (work, rest), "{excess:?} after {took:?}");
        }
    }

    /// How long it takes until so many objects have gone, each of which takes `each`, on a clock that only moves so.
    fn until_gone(excess: Excess, objects: u32, each: Duration) -> Duration {
        let (mut now, mut left) = (Duration::ZERO, objects);
        while left > 0 {
            let (pace, mut worked) = (Pace::of(excess), Duration::ZERO);
            while left > 0 && worked < pace.work {
                (left, worked) = (left - 1, worked + each);
            }
            now += worked + if left > 0 { pace.rest(worked) } else { Duration::ZERO };
        }
        now
    }

    #[test]
    fn a_disk_that_others_fill_is_given_way_to_within_a_second_and_a_lowered_limit_takes_its_time() {
        let each = Duration::from_millis(1);
        // 256 MiB in files of 1 MiB, at what an unlink of one takes on a slow disk.
        let under = until_gone(Excess { over: 0, under: 1 }, 256, each);
        let over = until_gone(Excess { over: 1, under: 0 }, 256, each);
        assert!(under < Duration::from_millis(500), "{under:?}");
        assert_eq!(over, 256 * each + 63 * Duration::from_millis(12), "a quarter of the time");
    }
}
