//! What an administrator says of sources.

use std::time::{Duration, SystemTime};

use config::origin::{Blackout, SourceOptions};
use protocol::{
    schedule::{ScheduleError, Window, Windows, Zone},
    topology::Tier,
};

/// Windows are looked ahead for so long.
const AHEAD: Duration = Duration::from_secs(7 * 86_400);
/// Peers of one list, at most.
pub(crate) const PEERS_MAX: usize = 4;
/// Peers of one list that are still fetching the content, at most.
pub(crate) const PARTIALS_MAX: usize = 8;
/// Origins of one list, at most.
pub(crate) const ORIGINS_MAX: usize = 4;

/// How sources are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// For so long a list may be used without asking again.
    pub(crate) source_expiry: Duration,
    /// Whether a content is told only when the tier above has it.
    pub(crate) staging: bool,
    /// Who is told to come again does so after this, at the earliest.
    pub(crate) retry_min: Duration,
    /// And after this at the latest, but for blackouts.
    pub(crate) retry_max: Duration,
    /// When each tier is to leave the lines alone, in the order of [`Tier::ALL`].
    pub(crate) blackout: [Windows; 3],
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            source_expiry: Duration::from_secs(600),
            staging: true,
            retry_min: Duration::from_secs(5),
            retry_max: Duration::from_secs(600),
            blackout: <[Windows; 3]>::default(),
        }
    }
}

impl Terms {
    /// As they were written.
    pub(crate) fn of(sources: &SourceOptions, blackout: &Blackout, zone: &Zone) -> Result<Self, ScheduleError> {
        let [unconstrained, constrained, client] = Tier::ALL.map(|tier| blackout.windows(tier, zone));
        Ok(Self {
            source_expiry: sources.expiry,
            staging: sources.staging,
            retry_min: sources.retry_min,
            retry_max: sources.retry_max,
            blackout: [unconstrained?, constrained?, client?],
        })
    }

    /// How long the blackout of a tier still lasts, if one is on.
    pub(crate) fn blackout_left(&self, tier: Tier, now: SystemTime) -> Option<Duration> {
        let windows = &self.blackout[Tier::ALL.iter().position(|each| *each == tier)?];
        if windows.is_empty() {
            return None;
        }
        match windows.state(now) {
            // What only begins is no time in which nothing may happen.
            Window::Open { is_start_only: false, until, .. } => {
                let until = until.and_then(|until| until.duration_since(now).ok());
                // It is on for longer than is looked ahead: who asks again then is told anew.
                Some(until.unwrap_or(AHEAD))
            }
            Window::Open { .. } | Window::Closed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::schedule::Zone;

    use super::*;

    #[test]
    fn a_blackout_is_of_its_tier_and_ends() {
        let windows = |texts: &[&str]| Windows::parse(texts, &Zone::named("UTC").unwrap()).unwrap();
        let blackout = [Windows::default(), windows(&["01:00-02:00"]), windows(&["00:00-24:00"])];
        let terms = Terms { blackout, ..Terms::default() };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (tier, second, expected) in [
            (Tier::Unconstrained, 3_600, None),
            (Tier::Constrained, 3_599, None),
            (Tier::Constrained, 3_600, Some(3_600)),
            (Tier::Constrained, 7_199, Some(1)),
            (Tier::Constrained, 7_200, None),
            (Tier::Client, 0, Some(7 * 86_400)),
        ] {
            let left = terms.blackout_left(tier, at(second));
            assert_eq!(left, expected.map(Duration::from_secs), "{tier:?} at {second}");
        }
        let starts = Terms { blackout: [(); 3].map(|()| windows(&["0 1 * * *"])), ..Terms::default() };
        assert_eq!(starts.blackout_left(Tier::Client, at(3_700)), None);
    }
}
