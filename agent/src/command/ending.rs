//! Why the program ends early, and with which exit code. A wrong command line is 2, mostly from clap.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use crate::bring::task::BringError;

/// What each exit code means, for help and reference.
pub(crate) const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done"),
    (1, "failed: this machine's disk, say"),
    (2, "wrong command line"),
    (3, "nobody has this file"),
    (4, "what came has another digest than it should have, wherever it came from"),
    (69, "it did not come in time; what is here is kept for the next try"),
    (77, "nobody gives this file to this machine"),
    (78, "wrong configuration"),
    (130, "interrupted (143: told to end); what is here is kept for the next try"),
];

/// Why.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The command line.
    Usage(String),
    /// A file did not come.
    Not(BringError),
    /// The service said why, with the exit code.
    Told(u8, String),
    /// No service answers there.
    NoService(SocketAddr, String),
    /// The configuration.
    Configuration(String),
    /// SIGINT or SIGTERM, by its number.
    Signal(u8),
    /// Anything else.
    Failed(String),
}

impl Ending {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Not(error) => error.code(),
            Self::Told(code, _) => *code,
            Self::NoService(..) => 69,
            Self::Configuration(_) => 78,
            Self::Signal(number) => 128 + number,
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::Told(_, text) | Self::Configuration(text) => text.clone(),
            Self::Not(error) => error.to_string(),
            Self::NoService(local, why) => format!(
                "no outpost-agent answers at {local} ({why}); start it with outpost-agent run, or say where it is with --local IP:PORT"
            ),
            Self::Signal(_) => "interrupted; what is here is kept, and the same command continues it".into(),
        }
    }

    /// Says it on standard error and answers the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        // Nobody is left to be told when standard error is closed; the exit code still tells.
        drop(writeln!(std::io::stderr(), "outpost-agent: {}", self.text()));
        ExitCode::from(self.code())
    }
}

impl From<BringError> for Ending {
    fn from(error: BringError) -> Self {
        Self::Not(error)
    }
}
