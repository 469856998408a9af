//! Events for people, on standard error: compact lines with the time to the second. Requests are not events; they have the access log.

use std::fmt;

use tracing_subscriber::{
    EnvFilter,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
};

use crate::{console::Console, failure::Failure};

/// What clients can make a library say as often as they like, unless it is asked for: the one for HTTP/2 warns of their mistakes.
const QUIET: &str = "h2=error";

/// Letters of `2026-11-22T02:01:03`.
const TO_THE_SECOND: usize = 19;

/// Begins to log what the filter lets through.
pub(crate) fn start(filter: &str, console: &Console) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|_| {
        Failure::configuration(format!(
            "--log (OUTPOST_LOG): '{filter}' is not a filter: write error, warn, info or debug, or per module such as info,cache=debug"
        ))
    })?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let events =
        tracing_subscriber::fmt().with_env_filter(filter).with_timer(Seconds).with_target(false).with_ansi(colours);
    // A second start in one process (a test's) keeps the first one's log.
    drop(events.with_writer(console.clone()).try_init());
    Ok(())
}

/// UTC to the second.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut text = String::new();
        SystemTime.format_time(&mut Writer::new(&mut text))?;
        write!(writer, "{}Z", text.get(..TO_THE_SECOND).unwrap_or(&text))
    }
}
