//! How long one waits after failures.

use std::time::Duration;

use super::Spread;

/// The wait doubles with each failure in a row, and the whole of it is spread (full jitter): of many that failed together each comes at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest after the first failure.
    pub first: Duration,
    /// The longest of all.
    pub max: Duration,
}

/// Who draws the shortest wait of all still waits for this part of the longest: nobody asks in a tight loop.
const LEAST_PART: u32 = 10;

/// In what servers say for how long one is to wait.
const SAID_IN: Duration = Duration::from_secs(1);

impl Default for Backoff {
    /// 3 minutes, doubling up to 2 hours.
    fn default() -> Self {
        Self { first: Duration::from_secs(180), max: Duration::from_secs(7_200) }
    }
}

impl Backoff {
    /// The longest wait after so many failures in a row; none after none.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }

    /// How long to wait after so many failures in a row.
    pub fn wait(&self, failures: u32, spread: &mut Spread) -> Duration {
        let ceiling = self.ceiling(failures);
        spread.between(ceiling / LEAST_PART, ceiling)
    }

    /// How long to wait where a server has said for how long: not shorter, and spread over a tenth more, for it has said so to others too; over a
    /// second at least, for it can say only whole ones.
    pub fn obey(retry_after: Duration, spread: &mut Spread) -> Duration {
        spread.between(retry_after, retry_after + (retry_after / 10).max(SAID_IN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_end() {
        let backoff = Backoff::default();
        for (failures, minutes) in [(0, 0), (1, 3), (2, 6), (3, 12), (6, 96), (7, 120), (33, 120), (u32::MAX, 120)] {
            assert_eq!(backoff.ceiling(failures), Duration::from_secs(60 * minutes), "{failures}");
        }
    }

    #[test]
    fn nobody_waits_for_nothing_and_all_at_different_times() {
        let backoff = Backoff::default();
        let mut waits: Vec<_> = (0..1_000).map(|seed| backoff.wait(1, &mut Spread::new(seed))).collect();
        waits.sort();
        assert!(waits[0] >= Duration::from_secs(18) && waits[999] < Duration::from_secs(180));
        assert!(waits.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(waits[500] > Duration::from_secs(80) && waits[500] < Duration::from_secs(120));
    }

    #[test]
    fn what_a_server_says_is_obeyed() {
        for seed in 0..100 {
            let wait = Backoff::obey(Duration::from_secs(90), &mut Spread::new(seed));
            assert!((90..=99).contains(&wait.as_secs()), "{wait:?}");
        }
    }

    #[test]
    fn those_who_are_told_the_same_second_do_not_come_in_its_first_tenth() {
        let waits: Vec<_> =
            (0..1_000).map(|seed| Backoff::obey(Duration::from_secs(1), &mut Spread::new(seed))).collect();
        assert!(waits.iter().all(|wait| wait.as_secs() == 1));
        let late = waits.iter().filter(|wait| wait.subsec_millis() >= 500).count();
        assert!((400..600).contains(&late), "{late}");
    }
}
