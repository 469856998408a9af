//! Who tries to enrol in vain, by address, and for how long nobody listens there. Pure: the time is an argument.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Attempts in vain from one address within [`WINDOW`].
const FAILURES_MAX: u32 = 10;
/// See [`FAILURES_MAX`].
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond, all of them are forgotten, so that nobody is shut out for others.
const ADDRESSES_MAX: usize = 10_000;
/// Between two lines of the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Attempts in vain.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by: HashMap<IpAddr, (u32, Instant)>,
    told: Option<Instant>,
}

impl Attempts {
    /// One more; whether it is time to tell somebody.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.by.len() >= ADDRESSES_MAX {
            self.by.retain(|_, (_, since)| now.duration_since(*since) < WINDOW);
        }
        if self.by.len() >= ADDRESSES_MAX {
            self.by.clear();
        }
        let (count, since) = self.by.entry(address).or_insert((0, now));
        if now.duration_since(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count += 1;
        let is_time = self.told.is_none_or(|told| now >= told + TOLD_EVERY);
        if is_time {
            self.told = Some(now);
        }
        is_time
    }

    /// Seconds until somebody there is listened to again.
    pub(super) fn shut_out(&self, address: IpAddr, now: Instant) -> Option<u64> {
        let (count, since) = self.by.get(&address)?;
        let left = WINDOW.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())?;
        (*count >= FAILURES_MAX).then(|| left.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_too_often_is_not_listened_to_for_a_minute() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        let [one, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let told: Vec<_> = (0..FAILURES_MAX).map(|_| attempts.failed(one, begin)).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1, "it is told once a minute");
        assert_eq!(attempts.shut_out(one, begin), Some(61));
        assert_eq!(attempts.shut_out(other, begin), None);
        let later = begin + WINDOW;
        assert_eq!(attempts.shut_out(one, later), None);
        assert!(attempts.failed(one, later));
        assert_eq!(attempts.shut_out(one, later), None, "it counts anew");
    }

    #[test]
    fn addresses_are_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..2 * ADDRESSES_MAX as u32 {
            attempts.failed(IpAddr::from(number.to_be_bytes()), now);
            assert!(attempts.by.len() <= ADDRESSES_MAX);
        }
    }
}
