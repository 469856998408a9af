//! How many questions are answered at once, which share of that each tier has for certain, and how many may wait for it.

use std::time::Duration;

use protocol::topology::Tier;

/// Tiers that there are.
pub(super) const TIERS: usize = Tier::ALL.len();

/// Fewer places than this cannot be shared: each tier has one for certain.
pub(crate) const PLACES_MIN: usize = TIERS;
/// More than this no machine computes at once.
pub(crate) const PLACES_MAX: usize = 4_096;

/// Of all places each tier has one in so many for certain. What is left, and what nobody needs, goes to whoever waits, the first tier first.
const SHARE: usize = 4;
/// Proxies that may wait, of each of their tiers: as many as a large tree has, so that they are answered when they have asked once.
const PROXIES_WAITING_MAX: usize = 1_024;
/// Clients that may wait for each place: what is answered before they grow impatient.
const CLIENTS_WAITING_PER_PLACE: usize = 32;
/// A proxy waits longer: others depend on it, and it does not mind.
const PROXY_WAIT_MAX: Duration = Duration::from_secs(10);
/// A client that is not answered by then is told to come again.
const CLIENT_WAIT_MAX: Duration = Duration::from_secs(2);

/// The limits of admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Questions that are answered at once.
    pub(super) places: usize,
    /// By [`index`].
    pub(super) tiers: [TierLimits; TIERS],
}

/// Those of one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TierLimits {
    /// Places that it has for certain.
    pub(super) guaranteed: usize,
    /// Questions that wait at once.
    pub(super) waiting_max: usize,
    /// The longest that one of them waits.
    pub(super) wait_max: Duration,
}

impl Limits {
    /// Of `max_concurrent_info_requests`.
    pub(crate) fn of(places: usize) -> Self {
        let places = places.clamp(PLACES_MIN, PLACES_MAX);
        let guaranteed = (places / SHARE).max(1);
        let tiers = Tier::ALL.map(|tier| match tier {
            Tier::Unconstrained | Tier::Constrained => {
                TierLimits { guaranteed, waiting_max: PROXIES_WAITING_MAX, wait_max: PROXY_WAIT_MAX }
            }
            Tier::Client => {
                TierLimits { guaranteed, waiting_max: places * CLIENTS_WAITING_PER_PLACE, wait_max: CLIENT_WAIT_MAX }
            }
        });
        Self { places, tiers }
    }
}

/// Where a tier stands among all, the first to be admitted at 0.
pub(super) fn index(tier: Tier) -> usize {
    match tier {
        Tier::Unconstrained => 0,
        Tier::Constrained => 1,
        Tier::Client => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guaranteed_is_there_and_each_tier_has_some() {
        for places in 0..5_000 {
            let limits = Limits::of(places);
            let guaranteed: usize = limits.tiers.iter().map(|tier| tier.guaranteed).sum();
            assert!(guaranteed <= limits.places && (PLACES_MIN..=PLACES_MAX).contains(&limits.places), "{places}");
            assert!(limits.tiers.iter().all(|tier| tier.guaranteed > 0 && tier.waiting_max > 0));
        }
        for (place, tier) in Tier::ALL.into_iter().enumerate() {
            assert_eq!(index(tier), place);
        }
    }
}
