//! Whether neighbours may be served now.
//!
//! | of this machine | neighbours are not served while |
//! | --- | --- |
//! | the times of day | the policy names them |
//! | its line | costs by the byte |
//! | its power | comes from its battery, unless the policy allows that |
//! | its disk's room | is less than the policy wants free |
//! | its processors | are busy for a larger part than the policy allows |
//! | its disk | keeps some program waiting for a larger part of the time |
//!
//! [`may_share`] is the table, [`Watch`] keeps it from flapping: what comes and goes must hold for [`WORSE_FOR`] before sharing stops, and be past for
//! [`BETTER_FOR`], by a margin, before it goes on.

use std::time::{Duration, Instant, SystemTime};

use protocol::schedule::{Window, Windows};

/// A machine that is busy for less than this goes on sharing.
pub const WORSE_FOR: Duration = Duration::from_secs(20);
/// What kept it from sharing must be past for so long.
pub const BETTER_FOR: Duration = Duration::from_secs(60);
/// Of what is allowed, while it does not share: parts of four.
const EASED_PARTS: u8 = 3;
/// Seconds after which neighbours may ask again: at least, at most, and where nobody knows.
const RETRY_MIN: u64 = 5;
const RETRY_MAX: u64 = 3_600;
const RETRY_LOAD: u64 = 60;
const RETRY_STATE: u64 = 600;

/// How this machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// It runs on its battery.
    pub on_battery: bool,
    /// Its line costs by the byte.
    pub is_metered: bool,
    /// Percent of its processors that were busy; `None`: not known.
    pub processors: Option<u8>,
    /// Percent of the time in which some program waited for a disk; likewise.
    pub disk: Option<u8>,
    /// Bytes free on the cache's disk, and which that has; likewise.
    pub room: Option<Room>,
}

/// A disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free.
    pub free: u64,
    /// Least that should be.
    pub least: u64,
}

/// What the owner allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Also on its battery.
    pub on_battery: bool,
    /// Percent of the processors; 100: any.
    pub processors_max: u8,
    /// Percent of the time; 100: any.
    pub disk_max: u8,
    /// Never then.
    pub not_during: Windows,
}

/// Why neighbours are not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is one of those times, until then.
    Times(Option<SystemTime>),
    /// The line costs by the byte.
    Metered,
    /// There is only the battery.
    Battery,
    /// Its disk is nearly full.
    Full,
    /// Its processors are busy, in percent.
    Processors(u8),
    /// Its disk is, in percent.
    Disk(u8),
}

/// The table.
pub fn may_share(conditions: &Conditions, policy: &Policy, now: SystemTime) -> Result<(), Why> {
    if !policy.not_during.is_empty()
        && let Window::Open { until, .. } = policy.not_during.state(now)
    {
        return Err(Why::Times(until));
    }
    if conditions.is_metered {
        return Err(Why::Metered);
    }
    if conditions.on_battery && !policy.on_battery {
        return Err(Why::Battery);
    }
    if conditions.room.is_some_and(|room| room.free < room.least) {
        return Err(Why::Full);
    }
    let over = |found: Option<u8>, most: u8| found.filter(|percent| most < 100 && *percent > most);
    if let Some(percent) = over(conditions.processors, policy.processors_max) {
        return Err(Why::Processors(percent));
    }
    over(conditions.disk, policy.disk_max).map_or(Ok(()), |percent| Err(Why::Disk(percent)))
}

impl Why {
    /// For scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Times(_) => "times",
            Self::Metered => "metered",
            Self::Battery => "battery",
            Self::Full => "disk-full",
            Self::Processors(_) => "processors",
            Self::Disk(_) => "disk",
        }
    }

    /// For a person, behind "nothing is shared: ".
    pub fn text(self) -> String {
        match self {
            Self::Times(_) => "it is a time of day without sharing".into(),
            Self::Metered => "its line costs by the byte".into(),
            Self::Battery => "it runs on its battery".into(),
            Self::Full => "its disk is nearly full".into(),
            Self::Processors(percent) => format!("its processors are busy ({percent} %)"),
            Self::Disk(percent) => format!("programs wait for its disk ({percent} % of the time)"),
        }
    }

    /// Seconds after which a neighbour may ask again.
    pub fn retry_after(self, now: SystemTime) -> u64 {
        let seconds = match self {
            Self::Times(Some(until)) => until.duration_since(now).map_or(0, |left| left.as_secs() + 1),
            Self::Times(None) => RETRY_MAX,
            Self::Metered | Self::Battery | Self::Full => RETRY_STATE,
            Self::Processors(_) | Self::Disk(_) => RETRY_LOAD,
        };
        seconds.clamp(RETRY_MIN, RETRY_MAX)
    }

    /// Whether it comes and goes by itself, so that a moment of it means nothing.
    const fn is_passing(self) -> bool {
        matches!(self, Self::Full | Self::Processors(_) | Self::Disk(_))
    }
}

/// What was decided last, and since when it looks otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    why: Option<Why>,
    otherwise_since: Option<Instant>,
}

impl Watch {
    /// Looks at the table again. `None`: neighbours are served.
    pub fn look(&mut self, conditions: &Conditions, policy: &Policy, wall: SystemTime, now: Instant) -> Option<Why> {
        let strict = may_share(conditions, policy, wall).err();
        self.why = match (self.why, strict) {
            (None, None) => self.stay(None),
            (None, Some(why)) if why.is_passing() && !self.has_lasted(now, WORSE_FOR) => None,
            (_, Some(why)) => self.stay(Some(why)),
            // Its time is over, and so is the reason.
            (Some(Why::Times(_)), None) => self.stay(None),
            (Some(why), None) => match may_share(&conditions.eased(), &policy.eased(), wall) {
                Err(_) if why.is_passing() => self.stay(Some(why)),
                _ if self.has_lasted(now, BETTER_FOR) => self.stay(None),
                _ => Some(why),
            },
        };
        self.why
    }

    fn stay(&mut self, why: Option<Why>) -> Option<Why> {
        self.otherwise_since = None;
        why
    }

    fn has_lasted(&mut self, now: Instant, time: Duration) -> bool {
        let since = *self.otherwise_since.get_or_insert(now);
        now.saturating_duration_since(since) >= time
    }
}

impl Policy {
    fn eased(&self) -> Self {
        let eased = |percent: u8| if percent < 100 { percent / 4 * EASED_PARTS } else { percent };
        Self { processors_max: eased(self.processors_max), disk_max: eased(self.disk_max), ..self.clone() }
    }
}

impl Conditions {
    /// As much more must be free as less must be busy.
    fn eased(&self) -> Self {
        let least = |room: Room| room.least / u64::from(EASED_PARTS) * 4;
        Self { room: self.room.map(|room| Room { least: least(room), ..room }), ..*self }
    }
}

#[cfg(test)]
mod tests;
