//! When to try again: a pure decision. It counts tries that moved nothing; a byte of progress makes it patient again.

use std::time::Duration;

/// The tries of one fill so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    vain: u32,
    vain_max: u32,
    first: Duration,
    longest: Duration,
}

/// What to do after a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try once more after this wait.
    Again(Duration),
    /// It was tried often enough without progress.
    GiveUp,
}

impl Retries {
    pub(crate) fn new(vain_max: u32, first: Duration, longest: Duration) -> Self {
        Self { vain: 0, vain_max, first, longest }
    }

    /// After a failed try. The wait doubles from `first` to `longest`; the jitter (from `seed`) takes up to half of it, so that many
    /// fills that broke together do not come back together.
    pub(crate) fn after_failure(&mut self, progressed: bool, seed: u64) -> Decision {
        self.vain = if progressed { 1 } else { self.vain.saturating_add(1) };
        if self.vain > self.vain_max {
            return Decision::GiveUp;
        }
        let doubled = self.first.saturating_mul(1u32.checked_shl(self.vain - 1).unwrap_or(u32::MAX));
        let full = doubled.min(self.longest);
        Decision::Again(full - full.mul_f64((seed % 1024) as f64 / 2048.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(vain_max: u32) -> Retries {
        Retries::new(vain_max, Duration::from_millis(250), Duration::from_secs(10))
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut retries = retries(40);
        let waits: Vec<u128> = (0..40)
            .map(|_| match retries.after_failure(false, 0) {
                Decision::Again(wait) => wait.as_millis(),
                Decision::GiveUp => panic!("gave up early"),
            })
            .collect();
        assert_eq!(waits[..7], [250, 500, 1000, 2000, 4000, 8000, 10_000]);
        assert!(waits[7..].iter().all(|wait| *wait == 10_000));
    }

    #[test]
    fn gives_up_after_so_many_vain_tries_and_progress_resets_the_count() {
        let mut retries = retries(2);
        assert!(matches!(retries.after_failure(false, 0), Decision::Again(_)));
        assert!(matches!(retries.after_failure(false, 0), Decision::Again(_)));
        assert!(matches!(retries.after_failure(true, 0), Decision::Again(_)));
        assert!(matches!(retries.after_failure(false, 0), Decision::Again(_)));
        assert_eq!(retries.after_failure(false, 0), Decision::GiveUp);
    }

    #[test]
    fn no_retries_means_none() {
        assert_eq!(retries(0).after_failure(true, 0), Decision::GiveUp);
    }

    #[test]
    fn jitter_takes_at_most_half() {
        for seed in 0..5000 {
            match retries(1).after_failure(false, seed) {
                Decision::Again(wait) => assert!((125..=250).contains(&wait.as_millis()), "{wait:?}"),
                Decision::GiveUp => panic!("gave up"),
            }
        }
    }
}
