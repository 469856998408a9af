//! How files come into the cache, and what of an upstream is fetched before anybody asks. What an operator writes keeps its text beside what it
//! means, for it is shown again.

use std::time::{Duration, SystemTime};

use protocol::{
    glob::Globs,
    schedule::{Deadline, ScheduleError, Window, Windows, Zone},
};

/// How files come into the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// When they are asked for.
    Fetch,
    /// When they are asked for, and beforehand as the operator says.
    #[default]
    FetchAndPreload,
    /// Only beforehand: nothing that a client asks crosses the line.
    Preload,
}

impl Mode {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::FetchAndPreload => "fetch-and-preload",
            Self::Preload => "preload",
        }
    }

    /// Whether a client's request may go upstream.
    pub fn asks_for_clients(self) -> bool {
        self != Self::Preload
    }

    /// Whether anything is fetched beforehand.
    pub fn preloads(self) -> bool {
        self != Self::Fetch
    }
}

/// What of an upstream is fetched beforehand, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct PreloadOptions {
    /// When it may happen; nothing: on demand only.
    pub schedule: Schedule,
    /// When it should be done, in place of a schedule.
    pub ready_by: Option<ReadyBy>,
    /// What is preloaded; nothing written: everything.
    pub include: Globs,
    /// What is left out of that.
    pub exclude: Globs,
    /// What goes first: what the first pattern matches, then the second, then the rest.
    pub priority: Globs,
    /// Files at once.
    pub concurrency: usize,
    /// What becomes of a file that is on its way when a window closes.
    pub at_close: AtClose,
    /// How long after the end of a round it is looked for changes again, while there is time.
    pub relist: Duration,
}

/// What becomes of a file that is on its way when a window closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtClose {
    /// It may finish.
    #[default]
    Finish,
    /// It stops at its byte and goes on from there in the next window.
    Stop,
}

impl Default for PreloadOptions {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            ready_by: None,
            include: Globs::default(),
            exclude: Globs::default(),
            priority: Globs::default(),
            concurrency: 2,
            at_close: AtClose::default(),
            relist: Duration::from_secs(3600),
        }
    }
}

impl PreloadOptions {
    /// The same times, as the clocks of another zone show them.
    pub fn in_zone(&self, zone: &Zone) -> Result<Self, ScheduleError> {
        Ok(Self {
            schedule: Schedule::parse(self.schedule.texts(), zone)?,
            ready_by: self.ready_by.as_ref().map(|ready_by| ReadyBy::parse(ready_by.text(), zone)).transpose()?,
            ..self.clone()
        })
    }

    /// How long who finds that a file is not here should wait: until the next window; where there is none, or one is open, as others do.
    pub(crate) fn wait(&self, now: SystemTime, retry_delay: Duration) -> Duration {
        let opens = match self.schedule.windows().state(now) {
            Window::Closed { opens } => opens,
            Window::Open { is_start_only: true, until, .. } => until,
            Window::Open { .. } => None,
        };
        opens.and_then(|opens| opens.duration_since(now).ok()).unwrap_or(retry_delay)
    }
}

/// Windows in which it is preloaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    texts: Vec<String>,
    windows: Windows,
}

impl Schedule {
    /// From what is written.
    pub fn parse(texts: &[String], zone: &Zone) -> Result<Self, ScheduleError> {
        Ok(Self { texts: texts.to_vec(), windows: Windows::parse(texts, zone)? })
    }

    /// As it was written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What it means.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }
}

/// A time by which everything should be here.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyBy {
    text: String,
    deadline: Deadline,
}

impl ReadyBy {
    /// From what is written.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, ScheduleError> {
        Ok(Self { text: text.into(), deadline: Deadline::parse(text, zone)? })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it means.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn with(texts: &[&str]) -> PreloadOptions {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        PreloadOptions { schedule: Schedule::parse(&texts, &Zone::default()).unwrap(), ..PreloadOptions::default() }
    }

    #[test]
    fn who_finds_a_file_missing_waits_for_the_next_window() {
        // 1970-01-01 was a Thursday.
        let (hour, delay) = (Duration::from_secs(3600), Duration::from_secs(90));
        for (texts, now, expected) in [
            (&["02:00-04:00"][..], 1, hour),
            (&["02:00-04:00"], 3, delay),
            (&["02:00-04:00"], 5, 21 * hour),
            (&["0 2 * * *"], 5, 21 * hour),
            (&["00:00-24:00"], 5, delay),
            (&[], 5, delay),
        ] {
            assert_eq!(with(texts).wait(UNIX_EPOCH + now * hour, delay), expected, "{texts:?} at {now}");
        }
    }

    #[test]
    fn another_zone_moves_the_windows() {
        let (hour, delay) = (Duration::from_secs(3600), Duration::from_secs(90));
        let options = with(&["02:00-04:00"]);
        let east = options.in_zone(&Zone::named("Asia/Tokyo").unwrap()).unwrap();
        assert_eq!(options.wait(UNIX_EPOCH + 12 * hour, delay), 14 * hour);
        assert_eq!(east.wait(UNIX_EPOCH + 12 * hour, delay), 5 * hour);
    }
}
