//! Some windows together: whether one is open, until when, and when the next opens.

use std::{ops::Range, time::SystemTime};

use super::{ScheduleError, cron::Recurring, daily::Daily, zone::Zone};

/// Days around now that are looked at: windows that began before today may be on, and each day of the week comes once.
const DAYS_AROUND: Range<i32> = -2..9;

/// What an operator wrote, and where the clock hangs that it is meant by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    zone: Zone,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Daily(Daily),
    Recurring(Recurring),
}

/// How it stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// It may happen.
    Open {
        /// Since when; of windows that meet or overlap, the first, at most two days ago.
        since: SystemTime,
        /// `None`: it does not close within a week.
        until: Option<SystemTime>,
        /// What begins at `since` goes on until it is done, and nothing new begins before `until`: a cron expression without a length.
        is_start_only: bool,
    },
    /// It may not.
    Closed {
        /// `None`: never again.
        opens: Option<SystemTime>,
    },
}

impl Window {
    /// Whether it may happen.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

impl Windows {
    /// Of all these texts together.
    pub fn parse(texts: &[impl AsRef<str>], zone: &Zone) -> Result<Self, ScheduleError> {
        let rule = |text: &str| match Recurring::is_meant(text) {
            true => Recurring::parse(text).map(Rule::Recurring),
            false => Daily::parse(text).map(Rule::Daily),
        };
        let rules = texts.iter().map(|text| rule(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { zone: zone.clone(), rules })
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any of it only begins: cron expressions without a length.
    pub fn has_starts(&self) -> bool {
        self.starts().next().is_some()
    }

    /// In which zone it is meant.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// How it stands.
    pub fn state(&self, now: SystemTime) -> Window {
        let stretches = self.stretches(now);
        if let Some((on, is_last)) = on(&stretches, now) {
            let until = (!is_last || on.end < self.horizon(now)).then_some(on.end);
            return Window::Open { since: on.start, until, is_start_only: false };
        }
        let opens = self.next_opening(now);
        match self.starts().filter_map(|start| start.last(&self.zone, now)).max() {
            Some(since) => Window::Open { since, until: opens, is_start_only: true },
            None => Window::Closed { opens },
        }
    }

    /// When the next one begins, whether or not one is open now; windows that meet are one.
    pub fn next_opening(&self, now: SystemTime) -> Option<SystemTime> {
        let stretches = self.stretches(now);
        let next_window = merged(&stretches).map(|stretch| stretch.start).find(|start| *start > now);
        let next_start = self.starts().filter_map(|start| start.next(&self.zone, now)).min();
        next_window.into_iter().chain(next_start).min()
    }

    /// Cron expressions without a length.
    fn starts(&self) -> impl Iterator<Item = &Recurring> {
        self.rules.iter().filter_map(|rule| match rule {
            Rule::Recurring(recurring) if recurring.length.is_none() => Some(recurring),
            _ => None,
        })
    }

    /// From when on nothing was looked at.
    fn horizon(&self, now: SystemTime) -> SystemTime {
        let week = std::time::Duration::from_secs(7 * 86_400);
        now.checked_add(week).unwrap_or(now)
    }

    /// All stretches around now, by their beginnings.
    fn stretches(&self, now: SystemTime) -> Vec<Range<SystemTime>> {
        let mut stretches: Vec<_> = self
            .rules
            .iter()
            .flat_map(|rule| -> Box<dyn Iterator<Item = Range<SystemTime>>> {
                match rule {
                    Rule::Daily(daily) => Box::new(daily.around(now, DAYS_AROUND, &self.zone)),
                    Rule::Recurring(recurring) => Box::new(recurring.from(&self.zone, now)),
                }
            })
            .collect();
        stretches.sort_unstable_by_key(|stretch| stretch.start);
        stretches
    }
}

/// Sorted stretches, those that meet or overlap as one.
fn merged(stretches: &[Range<SystemTime>]) -> impl Iterator<Item = Range<SystemTime>> {
    let mut rest = stretches.iter();
    let mut current = rest.next().cloned();
    std::iter::from_fn(move || {
        let mut whole = current.take()?;
        for next in rest.by_ref() {
            if next.start > whole.end {
                current = Some(next.clone());
                break;
            }
            whole.end = whole.end.max(next.end);
        }
        Some(whole)
    })
}

/// The one that is on, and whether none that is known comes after it.
fn on(stretches: &[Range<SystemTime>], now: SystemTime) -> Option<(Range<SystemTime>, bool)> {
    let mut merged = merged(stretches).skip_while(|stretch| stretch.end <= now);
    let first = merged.next().filter(|stretch| stretch.start <= now)?;
    Some((first, merged.next().is_none()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::at, *};

    /// In words: when it opened and closes, or opens.
    fn state(texts: &[&str], zone: &str, now: &str) -> String {
        let zone = Zone::named(zone).unwrap();
        let show =
            |moment: Option<SystemTime>| moment.map_or("never".into(), |moment| zone.show(moment)[..16].to_owned());
        match Windows::parse(texts, &zone).unwrap().state(at(now)) {
            Window::Open { since, until, is_start_only: false } => format!("{} to {}", show(Some(since)), show(until)),
            Window::Open { since, until, .. } => format!("start {}, next {}", show(Some(since)), show(until)),
            Window::Closed { opens } => format!("opens {}", show(opens)),
        }
    }

    #[test]
    fn windows_open_and_close_by_the_wall_clock() {
        // 2026-11-22 is a Sunday.
        for (texts, now, expected) in [
            (&["02:00-04:00"][..], "2026-11-22T01:59:59Z", "opens 2026-11-22T02:00"),
            (&["02:00-04:00"], "2026-11-22T02:00:00Z", "2026-11-22T02:00 to 2026-11-22T04:00"),
            (&["02:00-04:00"], "2026-11-22T04:00:00Z", "opens 2026-11-23T02:00"),
            (&["Mon-Fri 22:00-06:00"], "2026-11-22T23:00:00Z", "opens 2026-11-23T22:00"),
            (&["Mon-Fri 22:00-06:00"], "2026-11-21T05:00:00Z", "2026-11-20T22:00 to 2026-11-21T06:00"),
            (&["Mon-Fri 22:00-06:00"], "2026-11-21T06:00:00Z", "opens 2026-11-23T22:00"),
            (&["Sat,Sun 00:00-24:00"], "2026-11-22T12:00:00Z", "2026-11-21T00:00 to 2026-11-23T00:00"),
            (&["22:00-24:00", "00:00-06:00"], "2026-11-22T23:00:00Z", "2026-11-22T22:00 to 2026-11-23T06:00"),
            (&["02:00-04:00", "03:00-05:00"], "2026-11-22T02:30:00Z", "2026-11-22T02:00 to 2026-11-22T05:00"),
            (&["00:00-24:00"], "2026-11-22T12:00:00Z", "2026-11-20T00:00 to never"),
            (&["Sun 12:00-13:00"], "2026-11-22T13:00:00Z", "opens 2026-11-29T12:00"),
            (&["0 2 * * * for 2h"], "2026-11-22T03:00:00Z", "2026-11-22T02:00 to 2026-11-22T04:00"),
            (&["0 2 * * * for 2h"], "2026-11-22T02:00:00Z", "2026-11-22T02:00 to 2026-11-22T04:00"),
            (&["0 2 * * * for 2h"], "2026-11-22T04:00:00Z", "opens 2026-11-23T02:00"),
            (&["0 2 1 * * for 1h"], "2026-11-22T04:00:00Z", "opens 2026-12-01T02:00"),
            (&["*/5 * * * * for 10m"], "2026-11-22T04:02:00Z", "2026-11-22T03:55 to never"),
            (&["0 2 * * *"], "2026-11-22T03:00:00Z", "start 2026-11-22T02:00, next 2026-11-23T02:00"),
            (&["0 2 * * *", "12:00-13:00"], "2026-11-22T03:00:00Z", "start 2026-11-22T02:00, next 2026-11-22T12:00"),
            (&["0 2 * * *", "12:00-13:00"], "2026-11-22T12:30:00Z", "2026-11-22T12:00 to 2026-11-22T13:00"),
            (&[], "2026-11-22T12:30:00Z", "opens never"),
        ] {
            assert_eq!(state(texts, "UTC", now), expected, "{texts:?} at {now}");
        }
    }

    #[test]
    fn a_window_is_there_each_day_though_the_clock_is_changed() {
        for (text, now, expected) in [
            // Put forward at 02:00 on 2026-03-29, in Berlin.
            ("02:00-04:00", "2026-03-29T01:00:00Z", "2026-03-29T03:00 to 2026-03-29T04:00"),
            ("02:15-02:45", "2026-03-29T01:20:00Z", "2026-03-29T03:15 to 2026-03-29T03:45"),
            ("22:00-06:00", "2026-03-28T21:30:00Z", "2026-03-28T22:00 to 2026-03-29T06:00"),
            ("22:00-06:00", "2026-03-29T04:00:00Z", "opens 2026-03-29T22:00"),
            // Put back at 03:00 on 2026-10-25.
            ("02:00-02:30", "2026-10-25T00:10:00Z", "2026-10-25T02:00 to 2026-10-25T02:30"),
            ("02:00-02:30", "2026-10-25T01:10:00Z", "opens 2026-10-26T02:00"),
            ("02:00-04:00", "2026-10-25T02:30:00Z", "2026-10-25T02:00 to 2026-10-25T04:00"),
        ] {
            assert_eq!(state(&[text], "Europe/Berlin", now), expected, "{text} at {now}");
        }
    }

    #[test]
    fn the_next_opening_is_known_while_one_is_open() {
        let windows = Windows::parse(&["02:00-04:00"], &Zone::default()).unwrap();
        assert_eq!(windows.next_opening(at("2026-11-22T03:00:00Z")), Some(at("2026-11-23T02:00:00Z")));
        let always = Windows::parse(&["00:00-24:00"], &Zone::default()).unwrap();
        assert_eq!(always.next_opening(at("2026-11-22T03:00:00Z")), None);
    }

    /// Text that is nearly a schedule, which comes further than any.
    fn nearly() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "Mon",
            "Fri",
            "sun",
            "-",
            ",",
            ":",
            " ",
            "00",
            "02",
            "24",
            "25",
            "59",
            "60",
            "0",
            "7",
            "*",
            "/",
            "L",
            "W",
            "#",
            "?",
            " for ",
            "2h",
            "90m",
            "P1D",
            "@daily",
            "@reboot",
            "99999999999",
            "\u{e9}",
        ]);
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_and_no_moment_make_it_panic(text in prop_oneof![nearly(), any::<String>()], seconds in 0..u64::from(u32::MAX)) {
            let zone = Zone::named("Europe/Berlin").unwrap();
            let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            if let Ok(windows) = Windows::parse(&[&text], &zone) {
                windows.state(now);
                windows.next_opening(now);
            }
            if let Ok(deadline) = super::super::Deadline::parse(&text, &zone) {
                prop_assert!(deadline.last(now) <= now && now < deadline.next(now));
            }
        }

        /// What is said of the future comes true: nothing changes before the next change that was told, and then it does.
        #[test]
        fn what_is_said_of_the_future_comes_true(minutes in 0..2 * 366 * 1440_u64, from in 0..1440_u16, length in 1..1440_u16, days in 1..128_u8) {
            let zone = Zone::named("America/New_York").unwrap();
            let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let days: Vec<_> = (0..7).filter(|day| days & 1 << day != 0).map(|day| names[day]).collect();
            let clock = |minute: u16| format!("{:02}:{:02}", minute % 1440 / 60, minute % 60);
            let text = format!("{} {}-{}", days.join(","), clock(from), clock(from + length));
            let windows = Windows::parse(&[text], &zone).unwrap();
            let minute = std::time::Duration::from_secs(60);
            let now = at("2026-01-01T00:00:00Z") + minute * minutes as u32;
            let change = match windows.state(now) {
                Window::Open { until, .. } => until,
                Window::Closed { opens } => opens,
            };
            let change = change.expect("there is one within eight days");
            prop_assert!(change > now);
            prop_assert_eq!(windows.state(change - minute / 60).is_open(), windows.state(now).is_open());
            prop_assert_ne!(windows.state(change).is_open(), windows.state(now).is_open());
        }
    }
}
