//! Where events go: to standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::ending::Ending;

/// Starts the log.
pub(super) fn start(filter: &str) -> Result<(), Ending> {
    let parsed = EnvFilter::try_new(filter).map_err(|_| {
        Ending::Usage(format!(
            "--log (OUTPOST_LOG): '{filter}' is not a filter: write error, warn, info or debug, or per module such as warn,outpost_agent=debug"
        ))
    })?;
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(io::stderr);
    log.with_target(false).with_ansi(colours).init();
    Ok(())
}
