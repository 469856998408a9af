//! What a person at the terminal sees: events, and below them one live line. Where standard error is no terminal, events alone.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use config::value::human_size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;

use crate::{admin::preload::left, app::App, snapshot::Snapshot};

/// How often the live line is drawn anew.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Fills that the live line names; the others are counted.
const FILLS_SHOWN_MAX: usize = 3;

/// Letters of a file's name that the live line shows.
const NAME_SHOWN_MAX: usize = 28;

/// Standard error; clones share it.
#[derive(Clone)]
pub(crate) struct Console {
    line: Option<ProgressBar>,
}

impl Console {
    /// With a live line if it is wanted and standard error is a terminal.
    pub(crate) fn start(line_wanted: bool) -> Self {
        let line = (line_wanted && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template that cannot be parsed would be a bar of another look, not a fault.
            bar.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { line }
    }

    /// Text above the live line.
    pub(crate) fn say(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// Keeps the live line current until the task is aborted. Does nothing where there is none.
    pub(crate) fn follow(&self, app: Arc<App>) -> JoinHandle<()> {
        let line = self.line.clone();
        tokio::spawn(async move {
            let Some(line) = line else { return };
            let mut before = Snapshot::take(&app);
            let mut ticks = tokio::time::interval(LINE_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let now = Snapshot::take(&app);
                line.set_message(text(&before, &now));
                before = now;
            }
        })
    }

    /// Takes the live line away.
    pub(crate) fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }

    fn write(&self, bytes: &[u8]) {
        // Nobody is left to be told when standard error is closed.
        let write = || drop(io::stderr().write_all(bytes));
        match &self.line {
            Some(line) => line.suspend(write),
            None => write(),
        }
    }
}

/// One event of the log, written as a whole when it is complete, so that the live line never tears it.
pub(crate) struct Event {
    console: Console,
    text: Vec<u8>,
}

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.console.write(&self.text);
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        Event { console: self.clone(), text: Vec::new() }
    }
}

/// The live line: rates between two moments, totals since the start in parentheses; in is from upstreams, out is to clients. It says the most
/// on a terminal of 80 columns, where the end of a longer one is cut off.
fn text(before: &Snapshot, now: &Snapshot) -> String {
    let seconds = (now.uptime - before.uptime).as_secs_f64().max(0.001);
    let rate = |earlier: u64, later: u64| (later.saturating_sub(earlier) as f64 / seconds).round() as u64;
    let mut parts = vec![
        format!("{} req/s", rate(before.serve.requests, now.serve.requests)),
        match now.hit_percent() {
            Some(percent) => format!("{percent:.1}% hits"),
            None => "no requests yet".into(),
        },
        format!(
            "in {}/s ({})",
            human_size(rate(before.cache.upstream_bytes, now.cache.upstream_bytes)),
            human_size(now.cache.upstream_bytes)
        ),
        format!(
            "out {}/s ({})",
            human_size(rate(before.serve.bytes_sent, now.serve.bytes_sent)),
            human_size(now.serve.bytes_sent)
        ),
    ];
    parts.extend(preload(now));
    if !now.fills.is_empty() {
        parts.push(fills(now));
    }
    parts.join("  ")
}

/// What is still to be preloaded, of rounds that are on.
fn preload(now: &Snapshot) -> Option<String> {
    let left = now.preloads.iter().map(left).fold((0, 0), |sum, left| (sum.0 + left.files, sum.1 + left.bytes));
    (left.0 > 0).then(|| format!("preload {} left ({})", left.0, human_size(left.1)))
}

fn fills(now: &Snapshot) -> String {
    let shown = now.fills.iter().take(FILLS_SHOWN_MAX).map(|fill| {
        let name = fill.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let progress = match fill.total {
            Some(total) if total > 0 => format!("{}%", fill.fetched.saturating_mul(100) / total),
            _ => human_size(fill.fetched),
        };
        format!("{progress} {}", shorten(name))
    });
    let mut text = format!("fetches {}", shown.collect::<Vec<_>>().join(", "));
    if now.fills.len() > FILLS_SHOWN_MAX {
        text.push_str(&format!(", +{}", now.fills.len() - FILLS_SHOWN_MAX));
    }
    text
}

/// The end of a long name is kept: versions and kinds stand there.
fn shorten(name: &str) -> String {
    let letters = name.chars().count();
    if letters <= NAME_SHOWN_MAX {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(letters - NAME_SHOWN_MAX + 1).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use cache::status::FillStatus;

    use super::*;

    fn fill(path: &str, fetched: u64, total: Option<u64>) -> FillStatus {
        FillStatus { upstream: "a".into(), path: path.into(), md5: None, fetched, total, seconds: 1.0, followers: 1 }
    }

    #[test]
    fn rates_are_between_two_moments_and_totals_since_the_start() {
        let mut before = Snapshot { uptime: Duration::from_secs(10), ..Snapshot::default() };
        before.serve.requests = 100;
        before.cache.upstream_bytes = 1_000_000;
        let mut now = before.clone();
        now.uptime = Duration::from_secs(12);
        now.serve.requests = 300;
        now.serve.bytes_sent = 500_000_000;
        now.cache.upstream_bytes = 3_000_000;
        now.cache.hits = 90;
        now.cache.misses = 10;
        assert_eq!(text(&before, &now), "100 req/s  90.0% hits  in 1.00 MB/s (3.00 MB)  out 250 MB/s (500 MB)");
    }

    #[test]
    fn an_idle_proxy_has_a_line_too() {
        let still = Snapshot::default();
        assert_eq!(text(&still, &still), "0 req/s  no requests yet  in 0 B/s (0 B)  out 0 B/s (0 B)");
    }

    #[test]
    fn some_fills_are_named_and_the_others_counted() {
        let now = Snapshot {
            fills: vec![
                fill("/pool/linux-image_6.1_amd64.deb", 37, Some(100)),
                fill("/unknown/length", 5_000_000, None),
                fill("/a", 0, Some(10)),
                fill("/b", 0, Some(10)),
            ],
            ..Snapshot::default()
        };
        assert_eq!(fills(&now), "fetches 37% linux-image_6.1_amd64.deb, 5.00 MB length, 0% a, +1");
        assert_eq!(shorten(&format!("{}-end.deb", "x".repeat(60))).chars().count(), NAME_SHOWN_MAX);
    }
}
