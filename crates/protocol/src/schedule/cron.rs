//! A window whose beginnings are written as cron: `0 2 * * * for 2h`, or without a length.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use croner::{Cron, parser::CronParser};
use jiff::SignedDuration;

use super::{ScheduleError, zone::Zone};

/// So many beginnings of one expression are looked at, which is two days of minutes.
const STARTS_MAX: usize = 2 * 24 * 60;
/// Longest window.
const LENGTH_MAX: Duration = Duration::from_secs(7 * 86_400);

/// When it begins, and for how long; without a length it is a start only.
#[derive(Clone, Debug)]
pub(super) struct Recurring {
    cron: Box<Cron>,
    pub(super) length: Option<Duration>,
}

impl PartialEq for Recurring {
    fn eq(&self, other: &Self) -> bool {
        self.cron.as_str() == other.cron.as_str() && self.length == other.length
    }
}

impl Recurring {
    /// Whether a text is meant as cron: five fields or more, or an alias.
    pub(super) fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with('@') || text.split_whitespace().count() >= 5
    }

    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let bad = |reason: String| ScheduleError::window(text, reason);
        let (pattern, length) = match text.split_once(" for ") {
            None => (text, None),
            Some((pattern, length)) => {
                let parsed = length.trim().parse::<SignedDuration>().ok().and_then(|length| length.try_into().ok());
                let length = parsed.ok_or_else(|| bad(format!("'{length}' is no duration such as 2h or 90m")))?;
                (pattern, Some(length))
            }
        };
        if length.is_some_and(|length| length < Duration::from_secs(60) || length > LENGTH_MAX) {
            return Err(bad("it may last from 1 minute to 7 days".into()));
        }
        let cron = CronParser::new().parse(pattern.trim()).map_err(|error| bad(error.to_string()))?;
        let recurring = Self { cron: Box::new(cron), length };
        match recurring.next(&Zone::default(), SystemTime::UNIX_EPOCH) {
            None => Err(bad("it never comes".into())),
            Some(_) => Ok(recurring),
        }
    }

    /// When it begins next, after a moment.
    pub(super) fn next(&self, zone: &Zone, after: SystemTime) -> Option<SystemTime> {
        let next = self.cron.find_next_occurrence(&zone.at(after), false).ok()?;
        Some(next.timestamp().into()).filter(|next| *next > after)
    }

    /// When it began last, a moment included.
    pub(super) fn last(&self, zone: &Zone, until: SystemTime) -> Option<SystemTime> {
        let last = self.cron.find_previous_occurrence(&zone.at(until), true).ok()?;
        Some(last.timestamp().into())
    }

    /// Stretches of its length that are on at a moment or come after it, in their order; none if it has no length.
    pub(super) fn from(&self, zone: &Zone, moment: SystemTime) -> impl Iterator<Item = Range<SystemTime>> {
        let length = self.length;
        // One that begins as the search does counts, and what `next` finds is later.
        let before = |length: Duration| moment.checked_sub(length + Duration::from_secs(1));
        let first = length.and_then(before).and_then(|before| self.next(zone, before));
        let starts = std::iter::successors(first, |start| self.next(zone, *start)).take(STARTS_MAX);
        starts.filter_map(move |start| Some(start..start + length?))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("0 25 * * *", "0 25 * * *"),
            ("0 2 30 2 *", "never comes"),
            ("0 2 * * * for ever", "'ever' is no duration"),
            ("0 2 * * * for 10s", "from 1 minute to 7 days"),
            ("0 2 * * * for -2h", "'-2h' is no duration"),
        ] {
            let error = Recurring::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn beginnings_follow_the_wall_clock() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let night = Recurring::parse("0 2 * * *").unwrap();
        let next = |after: &str| night.next(&berlin, at(after)).unwrap();
        assert_eq!(next("2026-03-27T12:00:00Z"), at("2026-03-28T01:00:00Z"));
        // Two o'clock does not exist that night.
        assert_eq!(next("2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"));
        assert_eq!(next("2026-03-29T12:00:00Z"), at("2026-03-30T00:00:00Z"));
        assert_eq!(night.last(&berlin, at("2026-03-29T12:00:00Z")).unwrap(), at("2026-03-29T01:00:00Z"));
        // It comes twice, and counts once.
        assert_eq!(next("2026-10-24T12:00:00Z"), at("2026-10-25T00:00:00Z"));
        assert_eq!(next("2026-10-25T00:00:00Z"), at("2026-10-26T01:00:00Z"));
    }
}
