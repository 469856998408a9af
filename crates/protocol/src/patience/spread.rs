//! Numbers that look random and can be had again: who asks at the same moment must not ask again at the same moment.

use std::time::Duration;

/// A seed, and how often it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread(u64);

impl Spread {
    /// Of a seed that is another one for each machine.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A time between two, evenly. `least` if that is the longer one.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let width = most.saturating_sub(least).as_nanos().min(u128::from(u64::MAX)) as u64;
        let share = (u128::from(self.number()) * u128::from(width)) >> 64;
        least + Duration::from_nanos(share as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_even_and_within_their_bounds() {
        let (least, most) = (Duration::from_secs(10), Duration::from_secs(20));
        let mut spread = Spread::new(1);
        let times: Vec<_> = (0..100_000).map(|_| spread.between(least, most)).collect();
        assert!(times.iter().all(|time| (least..most).contains(time)));
        for tenth in 0..10 {
            let within = |time: &&Duration| time.as_secs() == 10 + tenth;
            let count = times.iter().filter(within).count();
            assert!((9_700..10_300).contains(&count), "{count} in second {tenth}");
        }
        assert_eq!(spread.between(most, least), most);
    }

    #[test]
    fn another_seed_is_another_row() {
        assert_ne!(Spread::new(1).number(), Spread::new(2).number());
        assert_eq!(Spread::new(1).number(), Spread::new(1).number());
    }
}
