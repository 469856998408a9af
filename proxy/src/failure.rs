//! Why the program ends early, and with which exit code: 1 at run time, 78 for a configuration that cannot be used (`EX_CONFIG`).
//! A wrong command line is 2 and never comes here: clap ends the program itself.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use config::{Fault, Refused};

const RUN_TIME: u8 = 1;
const CONFIGURATION: u8 = 78;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration.
    Configuration(Refused),
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
            Self::Configuration(refused) => {
                let shown = refused.render(std::io::stderr().is_terminal());
                (format!("outpost-proxy cannot use this configuration:\n{shown}"), CONFIGURATION)
            }
            Self::Run(error) => (format!("outpost-proxy: {error:#}\n"), RUN_TIME),
        };
        // Nobody is left to be told when standard error is closed; the exit code still tells.
        drop(std::io::stderr().write_all(text.as_bytes()));
        ExitCode::from(code)
    }
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
