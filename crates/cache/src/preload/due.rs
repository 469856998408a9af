//! When it is preloaded: what follows, at a moment, from the schedule or the time to be ready by, and from the last round. Pure.

use std::time::{Duration, SystemTime};

use protocol::schedule::Window;

use crate::options::{Mode, PreloadOptions};

/// A start (cron without a length) that nobody was there to see is made up for within this time: the program was restarted in the middle of
/// what it began. Later it waits for the next.
const MISSED_START_MAX: Duration = Duration::from_secs(6 * 3600);

/// The last round of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// Which window or which deadline it is of: when that began.
    pub(crate) period: SystemTime,
    /// `None`: it has not ended.
    pub(crate) ended: Option<SystemTime>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A new round, of this period: the upstream is listed.
    Round(SystemTime),
    /// The round that is on goes on.
    GoOn,
    /// Nothing may begin, until then.
    Nothing(Option<SystemTime>),
}

/// What is due now.
pub(crate) fn due(mode: Mode, options: &PreloadOptions, last: Option<Last>, now: SystemTime) -> Due {
    if !mode.preloads() {
        return Due::Nothing(None);
    }
    if let Some(ready_by) = &options.ready_by {
        let next = ready_by.deadline().next(now);
        return within(ready_by.deadline().last(now), Some(next), options.relist, last, now);
    }
    match options.schedule.windows().state(now) {
        Window::Closed { opens } => Due::Nothing(opens),
        Window::Open { since, until, is_start_only: false } => within(since, until, options.relist, last, now),
        Window::Open { since, until, is_start_only: true } => after_start(since, until, last, now),
    }
}

/// Whether what changes now is brought now, and not with the next round: not where each round has a start of its own.
pub(crate) fn is_open(mode: Mode, options: &PreloadOptions, now: SystemTime) -> bool {
    let is_window = || matches!(options.schedule.windows().state(now), Window::Open { is_start_only: false, .. });
    mode.preloads() && (options.ready_by.is_some() || is_window())
}

/// When nothing more may begin of what is on now; `None` if nothing ends it.
pub(crate) fn closes(options: &PreloadOptions, now: SystemTime) -> Option<SystemTime> {
    match options.schedule.windows().state(now) {
        Window::Open { until, is_start_only: false, .. } if options.ready_by.is_none() => until,
        Window::Open { .. } | Window::Closed { .. } => None,
    }
}

/// In a period in which it is looked for changes again and again.
fn within(period: SystemTime, until: Option<SystemTime>, relist: Duration, last: Option<Last>, now: SystemTime) -> Due {
    let Some(last) = last.filter(|last| last.period >= period) else { return Due::Round(period) };
    let Some(ended) = last.ended else { return Due::GoOn };
    match ended.checked_add(relist) {
        Some(again) if again <= now => Due::Round(period),
        // The next period begins with a round of its own.
        Some(again) => Due::Nothing(Some(until.map_or(again, |until| again.min(until)))),
        None => Due::Nothing(until),
    }
}

/// After a start, which is of one round.
fn after_start(since: SystemTime, next: Option<SystemTime>, last: Option<Last>, now: SystemTime) -> Due {
    let age = now.duration_since(since).unwrap_or_default();
    match last {
        None if age > MISSED_START_MAX => Due::Nothing(next),
        Some(last) if last.period >= since => last.ended.map_or(Due::GoOn, |_| Due::Nothing(next)),
        None | Some(_) => Due::Round(since),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{schedule::Zone, timestamp::parse_rfc3339};

    use super::*;
    use crate::options::{ReadyBy, Schedule};

    fn at(text: &str) -> SystemTime {
        parse_rfc3339(text).unwrap()
    }

    fn options(schedule: &[&str], ready_by: Option<&str>, zone: &str) -> PreloadOptions {
        let zone = Zone::named(zone).unwrap();
        let texts: Vec<String> = schedule.iter().map(|text| (*text).to_owned()).collect();
        PreloadOptions {
            schedule: Schedule::parse(&texts, &zone).unwrap(),
            ready_by: ready_by.map(|text| ReadyBy::parse(text, &zone).unwrap()),
            relist: Duration::from_secs(3600),
            ..PreloadOptions::default()
        }
    }

    fn last(period: &str, ended: Option<&str>) -> Option<Last> {
        Some(Last { period: at(period), ended: ended.map(at) })
    }

    #[test]
    fn what_changes_is_brought_while_a_window_is_open() {
        let now = at("2026-11-22T03:00:00Z");
        for (mode, schedule, ready_by, expected) in [
            (Mode::Preload, &["02:00-04:00"][..], None, true),
            (Mode::Fetch, &["02:00-04:00"], None, false),
            (Mode::FetchAndPreload, &["04:00-05:00"], None, false),
            (Mode::FetchAndPreload, &["0 2 * * *"], None, false),
            (Mode::FetchAndPreload, &[], Some("Mon 08:00"), true),
            (Mode::FetchAndPreload, &[], None, false),
        ] {
            assert_eq!(is_open(mode, &options(schedule, ready_by, "UTC"), now), expected, "{schedule:?} {ready_by:?}");
        }
    }

    #[test]
    fn what_is_due_at_which_time() {
        let night = options(&["02:00-04:00"], None, "UTC");
        let start = options(&["0 2 * * *"], None, "UTC");
        let ready = options(&[], Some("Mon 08:00"), "UTC");
        let never = options(&[], None, "UTC");
        let nothing = |until: &str| Due::Nothing(Some(at(until)));
        let round = |period: &str| Due::Round(at(period));
        // 2026-11-23 is a Monday.
        for (name, options, now, last, expected) in [
            ("nothing said", &never, "2026-11-23T03:00:00Z", None, Due::Nothing(None)),
            ("before", &night, "2026-11-23T01:59:59Z", None, nothing("2026-11-23T02:00:00Z")),
            ("opens", &night, "2026-11-23T02:00:00Z", None, round("2026-11-23T02:00:00Z")),
            ("restart within", &night, "2026-11-23T03:00:00Z", None, round("2026-11-23T02:00:00Z")),
            ("on", &night, "2026-11-23T03:00:00Z", last("2026-11-23T02:00:00Z", None), Due::GoOn),
            (
                "closed in the middle",
                &night,
                "2026-11-23T04:00:00Z",
                last("2026-11-23T02:00:00Z", None),
                nothing("2026-11-24T02:00:00Z"),
            ),
            (
                "what was left",
                &night,
                "2026-11-24T02:00:00Z",
                last("2026-11-23T02:00:00Z", None),
                round("2026-11-24T02:00:00Z"),
            ),
            (
                "done, and there is time",
                &night,
                "2026-11-23T02:30:00Z",
                last("2026-11-23T02:00:00Z", Some("2026-11-23T02:10:00Z")),
                nothing("2026-11-23T03:10:00Z"),
            ),
            (
                "looked again",
                &night,
                "2026-11-23T03:10:00Z",
                last("2026-11-23T02:00:00Z", Some("2026-11-23T02:10:00Z")),
                round("2026-11-23T02:00:00Z"),
            ),
            (
                "done, and it closes before",
                &night,
                "2026-11-23T03:30:00Z",
                last("2026-11-23T02:00:00Z", Some("2026-11-23T03:20:00Z")),
                nothing("2026-11-23T04:00:00Z"),
            ),
            ("a start", &start, "2026-11-23T02:00:00Z", None, round("2026-11-23T02:00:00Z")),
            ("a start goes on", &start, "2026-11-23T15:00:00Z", last("2026-11-23T02:00:00Z", None), Due::GoOn),
            (
                "a start is of one round",
                &start,
                "2026-11-23T15:00:00Z",
                last("2026-11-23T02:00:00Z", Some("2026-11-23T05:00:00Z")),
                nothing("2026-11-24T02:00:00Z"),
            ),
            ("a start just missed", &start, "2026-11-23T07:59:00Z", None, round("2026-11-23T02:00:00Z")),
            ("a start long missed", &start, "2026-11-23T15:00:00Z", None, nothing("2026-11-24T02:00:00Z")),
            ("ready by", &ready, "2026-11-22T12:00:00Z", None, round("2026-11-16T08:00:00Z")),
            ("ready by, on", &ready, "2026-11-22T12:00:00Z", last("2026-11-16T08:00:00Z", None), Due::GoOn),
            (
                "ready by, passed",
                &ready,
                "2026-11-23T08:00:00Z",
                last("2026-11-16T08:00:00Z", None),
                round("2026-11-23T08:00:00Z"),
            ),
            (
                "ready by, done",
                &ready,
                "2026-11-22T12:00:00Z",
                last("2026-11-16T08:00:00Z", Some("2026-11-22T11:30:00Z")),
                nothing("2026-11-22T12:30:00Z"),
            ),
        ] {
            assert_eq!(due(Mode::FetchAndPreload, options, last, at(now)), expected, "{name}");
            assert_eq!(due(Mode::Fetch, options, last, at(now)), Due::Nothing(None), "{name}");
        }
    }

    #[test]
    fn windows_follow_the_clock_on_the_wall() {
        let night = options(&["02:30-04:00"], None, "Europe/Berlin");
        // The night of 2026-03-29 has no 02:30: it is 03:30 then, which is 01:30 UTC.
        let spring = |now: &str| due(Mode::Preload, &night, None, at(now));
        assert_eq!(spring("2026-03-29T01:29:59Z"), Due::Nothing(Some(at("2026-03-29T01:30:00Z"))));
        assert_eq!(spring("2026-03-29T01:30:00Z"), Due::Round(at("2026-03-29T01:30:00Z")));
        assert_eq!(closes(&night, at("2026-03-29T01:45:00Z")), Some(at("2026-03-29T02:00:00Z")));
        // That of 2026-10-25 has it twice, and the window is an hour longer.
        assert_eq!(closes(&night, at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T03:00:00Z")));
        let autumn = last("2026-10-25T00:30:00Z", None);
        assert_eq!(due(Mode::Preload, &night, autumn, at("2026-10-25T01:30:00Z")), Due::GoOn, "the second 02:30");
    }

    #[test]
    fn only_a_window_closes() {
        let now = at("2026-11-23T03:00:00Z");
        assert_eq!(closes(&options(&["02:00-04:00"], None, "UTC"), now), Some(at("2026-11-23T04:00:00Z")));
        assert_eq!(closes(&options(&["0 2 * * *"], None, "UTC"), now), None);
        assert_eq!(closes(&options(&[], Some("08:00"), "UTC"), now), None);
    }
}
