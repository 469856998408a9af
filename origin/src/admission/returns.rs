//! When those who are refused come again: one after the other, as fast as questions are answered.
//!
//! Everybody who is refused counts as one more answer to be given, at the pace of the last answers: behind all who wait and all who were told to come
//! again before it. That is when it could be answered, and it is told a moment in a window that begins there and is as long again: so, however
//! many are refused together, at no time come more than seven tenths of what can be answered (the logarithm of 2), and the rest stays for those
//! who come for the first time. So the window grows with each refusal, and becomes shorter by itself as time passes. Those of the tiers behind it
//! nobody counts. Pure: the time and the seed are arguments.

use std::time::{Duration, Instant};

use protocol::patience::Spread;

use super::limits::TIERS;

/// Seconds; nobody is told to come at once, for nobody could be answered then.
const RETRY_AFTER_MIN: u64 = 1;
/// Seconds; whoever has to wait for longer asks once more in between, and costs less than the question would.
pub(super) const RETRY_AFTER_MAX: u64 = 600;
/// Where the window ends, in times of where it begins.
const ROOM: u32 = 2;
/// What one answer takes before the first has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(2);
/// Of the mean time of an answer each one changes so much: one part in this.
const WEIGHT: u32 = 16;

/// The pace of the answers, and until when those who will come again take it up.
#[derive(Clone, Debug)]
pub(super) struct Returns {
    /// How long a place is taken for one answer, on the average.
    answer: Duration,
    /// By then those of each tier who were told to come again could have been answered.
    until: [Option<Instant>; TIERS],
}

impl Default for Returns {
    fn default() -> Self {
        Self { answer: FIRST_GUESS, until: [None; TIERS] }
    }
}

impl Returns {
    /// An answer took so long.
    pub(super) fn answered(&mut self, took: Duration) {
        self.answer = (self.answer * (WEIGHT - 1) + took) / WEIGHT;
    }

    /// Seconds after which one of a tier comes again, if so many `waiting` questions go before it, and `places` are answered at once.
    pub(super) fn refuse(
        &mut self,
        tier: usize,
        waiting: usize,
        places: usize,
        now: Instant,
        spread: &mut Spread,
    ) -> u64 {
        let each = self.answer / u32::try_from(places).unwrap_or(u32::MAX).max(1);
        let queue = each.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX));
        let limit = Duration::from_secs(RETRY_AFTER_MAX);
        let left = |until: Option<Instant>| until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let own = (left(self.until[tier]) + each).min(limit);
        self.until[tier] = Some(now + own);
        let before: Duration = self.until[..tier].iter().map(|until| left(*until)).sum();
        let begin = (own + before).saturating_add(queue).min(limit);
        let seconds = spread.between(begin, begin * ROOM).as_secs();
        (RETRY_AFTER_MIN + seconds).min(RETRY_AFTER_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 10;

    fn refused(returns: &mut Returns, tier: usize, now: Instant, seed: u64) -> u64 {
        returns.refuse(tier, 0, PLACES, now, &mut Spread::new(seed))
    }

    /// Everybody takes a tenth of a second: a hundred a second.
    fn slow() -> Returns {
        let mut returns = Returns::default();
        (0..1_000).for_each(|_| returns.answered(Duration::from_millis(100)));
        returns
    }

    #[test]
    fn ten_thousand_at_once_come_again_one_after_the_other() {
        let (mut returns, now) = (slow(), Instant::now());
        let mut seconds: Vec<_> = (0..10_000).map(|seed| refused(&mut returns, 2, now, seed)).collect();
        seconds.sort_unstable();
        // A hundred seconds' work.
        assert!((180..=201).contains(&seconds[9_999]), "{}", seconds[9_999]);
        for second in 1..=201 {
            let count = seconds.iter().filter(|at| **at == second).count();
            assert!(count < 100, "{count} come in second {second}, and 100 can be answered");
        }
    }

    #[test]
    fn the_window_grows_with_the_queue_and_shrinks_with_time() {
        let (mut returns, now) = (slow(), Instant::now());
        let longest = |returns: &mut Returns, waiting, at| {
            let mut asked = returns.clone();
            (0..100).map(|seed| asked.refuse(2, waiting, PLACES, at, &mut Spread::new(seed))).max()
        };
        let short = longest(&mut returns, 0, now);
        assert!(short < longest(&mut returns, 1_000, now));
        (0..1_000).for_each(|seed| _ = refused(&mut returns, 2, now, seed));
        let (long, later) = (longest(&mut returns, 0, now), now + Duration::from_secs(3_600));
        assert!(short < long);
        assert_eq!(longest(&mut returns, 0, later), short);
    }

    #[test]
    fn the_first_tier_does_not_wait_for_the_others() {
        let (mut returns, now) = (slow(), Instant::now());
        (0..5_000).for_each(|seed| _ = refused(&mut returns, 2, now, seed));
        assert_eq!(refused(&mut returns, 0, now, 1), 1);
        // The others do for it.
        (0..5_000).for_each(|seed| _ = refused(&mut returns, 0, now, seed));
        let of_clients = (0..100).map(|seed| refused(&mut returns, 2, now, seed)).max();
        assert!(of_clients > Some(150), "{of_clients:?}");
    }

    #[test]
    fn no_time_is_none_or_too_long() {
        let now = Instant::now();
        let mut stuck = Returns::default();
        (0..100).for_each(|_| stuck.answered(Duration::from_secs(3_600)));
        for seed in 0..10_000 {
            let seconds = stuck.refuse(1, usize::MAX, 1, now, &mut Spread::new(seed));
            assert!((1..=RETRY_AFTER_MAX).contains(&seconds), "{seconds}");
        }
        let mut quick = Returns::default();
        (0..1_000).for_each(|_| quick.answered(Duration::ZERO));
        assert_eq!(refused(&mut quick, 0, now, 3), 1);
    }
}
