//! Why the program ends early, and with which exit code. A wrong command line is 2 and never comes here: clap ends the program itself.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use config::{Fault, Refused};

// 69, 77 and 78 are those of `sysexits.h`.
pub(crate) const RUN_TIME: u8 = 1;
pub(crate) const NOT_HERE: u8 = 3;
pub(crate) const UNAVAILABLE: u8 = 69;
pub(crate) const NOT_ALLOWED: u8 = 77;
pub(crate) const CONFIGURATION: u8 = 78;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration.
    Configuration(Refused),
    /// What was asked for is not here.
    NotHere(String),
    /// No proxy answers.
    Unavailable(String),
    /// Not to this user.
    NotAllowed(String),
    /// Who read our output has read enough (`| head`): no failure.
    NobodyReads,
    /// Anything else.
    Run(anyhow::Error),
}

impl Failure {
    /// A configuration that turned out to be wrong when it was used.
    pub(crate) fn configuration(error: impl ToString) -> Self {
        Self::Configuration(Fault::new(error.to_string(), None).into())
    }

    /// Says it on standard error and answers the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        let (text, code) = match self {
            Self::NobodyReads => return ExitCode::SUCCESS,
            Self::Configuration(refused) => {
                let shown = refused.render(std::io::stderr().is_terminal());
                (format!("outpost-proxy cannot use this configuration:\n{shown}"), CONFIGURATION)
            }
            Self::NotHere(text) => (line(text), NOT_HERE),
            Self::Unavailable(text) => (line(text), UNAVAILABLE),
            Self::NotAllowed(text) => (line(text), NOT_ALLOWED),
            Self::Run(error) => (line(&format!("{error:#}")), RUN_TIME),
        };
        // Nobody is left to be told when standard error is closed; the exit code still tells.
        drop(std::io::stderr().write_all(text.as_bytes()));
        ExitCode::from(code)
    }
}

fn line(text: &str) -> String {
    format!("outpost-proxy: {text}\n")
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Configuration(refused)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
