//! The time zone in which a schedule is meant.

use std::time::SystemTime;

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};

use super::ScheduleError;

/// What the machine itself is set to.
const LOCAL: &str = "local";

/// A time zone, with its changes of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: Box<str>,
    zone: TimeZone,
}

impl Zone {
    /// By its name in the IANA database, such as `Europe/Berlin`; `local` or nothing is what the machine is set to, which is looked up once.
    pub fn named(name: &str) -> Result<Self, ScheduleError> {
        let zone = match name {
            "" | LOCAL => TimeZone::system(),
            _ => {
                TimeZone::get(name).map_err(|_| ScheduleError::zone(name, "the time zone database has no such name"))?
            }
        };
        Ok(Self { name: if name.is_empty() { LOCAL } else { name }.into(), zone })
    }

    /// As it is written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the clock on the wall shows, and how far it is from UTC, such as `2026-03-29T02:00:00+01:00`; to the second.
    pub fn show(&self, moment: SystemTime) -> String {
        self.at(moment).strftime("%FT%T%:z").to_string()
    }

    /// What the clock on the wall shows, for people: `Sun 2026-03-29 02:00`.
    pub fn show_short(&self, moment: SystemTime) -> String {
        let shown = self.at(moment);
        format!("{} {}", shown.strftime("%a %F"), shown.strftime("%R"))
    }

    /// A moment as seen here. One beyond the years that a calendar has counts as the epoch.
    pub(super) fn at(&self, moment: SystemTime) -> Zoned {
        Timestamp::try_from(moment).unwrap_or_default().to_zoned(self.zone.clone())
    }

    /// The moment at which the wall clock shows this: the first if it does so twice, as much later if it never does.
    pub(super) fn moment(&self, civil: DateTime) -> Option<SystemTime> {
        let resolved = self.zone.to_ambiguous_zoned(civil).compatible().ok()?;
        Some(resolved.timestamp().into())
    }
}

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};

    #[test]
    fn zones_are_known_by_name() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.show(at("2026-07-01T00:00:00Z")), "2026-07-01T02:00:00+02:00");
        assert_eq!(berlin.show_short(at("2026-01-01T00:00:00Z")), "Thu 2026-01-01 01:00");
        assert_eq!(Zone::named("").unwrap().name(), "local");
        let error = Zone::named("Europe/Atlantis").unwrap_err().to_string();
        assert!(error.contains("'Europe/Atlantis' is not a time zone"), "{error}");
    }

    #[test]
    fn a_time_that_does_not_exist_is_later_and_one_that_comes_twice_is_the_first() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let moment = |text: &str| berlin.moment(text.parse().unwrap()).unwrap();
        assert_eq!(moment("2026-03-29T02:30:00"), at("2026-03-29T01:30:00Z"));
        assert_eq!(moment("2026-10-25T02:30:00"), at("2026-10-25T00:30:00Z"));
    }
}
