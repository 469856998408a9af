//! A line that is written over and over while somebody watches. Where standard error is no terminal there is none.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::plain;

/// How often a command that follows something looks again.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The line. Dropping it takes it away.
pub(crate) struct Live {
    line: Option<ProgressBar>,
}

impl Live {
    pub(crate) fn start() -> Self {
        let line = io::stderr().is_terminal().then(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template that cannot be parsed would be a line of another look, not a fault.
            line.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            line
        });
        Self { line }
    }

    /// Writes it anew.
    pub(crate) fn show(&self, text: &str) {
        if let Some(line) = &self.line {
            line.set_message(plain(text));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
