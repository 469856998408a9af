//! The command line of who runs an origin: what asks the admin listener of one that runs. Without a command the program is the server.
//!
//! | file | what it is |
//! | --- | --- |
//! | here | which commands there are, and why one ends as it does |
//! | `client` | asks the admin listener |
//! | `update` | has proxies brought up to date, and follows that to the end |
//! | `jobs` | how the packages stand that agents keep |
//! | `columns` | tables for people |
//! | `nodes` | who has reported; `forget` removes a name |

mod client;
mod columns;
mod jobs;
mod nodes;
mod update;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{ArgMatches, Command};
use config::{ConfigFile, Refused, origin::flags};

use crate::arguments;

/// Read where no `--config` is given, if it is there.
const USUAL_FILE: &str = "/etc/outpost/origin.toml";

/// Why a command ends early, with the exit codes that those of a proxy have.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed, or was refused.
    Run(String),
    /// What was asked for is not there.
    NotFound(String),
    /// Nobody answers.
    Unavailable(String),
    /// Not to this user.
    NotAllowed(String),
    /// The configuration.
    Configuration(Refused),
}

impl Failure {
    /// Says it on standard error and answers the exit code. 69, 77 and 78 are those of `sysexits.h`.
    pub(crate) fn tell(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Run(text) => (format!("outpost-origin: {text}\n"), 1),
            Self::NotFound(text) => (format!("outpost-origin: {text}\n"), 3),
            Self::Unavailable(text) => (format!("outpost-origin: {text}\n"), 69),
            Self::NotAllowed(text) => (format!("outpost-origin: {text}\n"), 77),
            Self::Configuration(refused) => {
                let shown = refused.render(io::stderr().is_terminal());
                (format!("outpost-origin cannot use this configuration:\n{shown}"), 78)
            }
        };
        // Nobody is left to be told when standard error is closed; the exit code still tells.
        drop(io::stderr().write_all(text.as_bytes()));
        ExitCode::from(code)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Configuration(refused)
    }
}

/// The whole command line.
pub(crate) fn program() -> Command {
    arguments::command()
        .subcommands([update::define(), nodes::define(), jobs::define(), nodes::define_forget(), define_check()])
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
}

/// Runs the command that was asked for; `None`: the server was.
pub(crate) fn run(matches: &ArgMatches) -> Option<Result<(), Failure>> {
    let (name, matches) = matches.subcommand()?;
    Some(match name {
        "update" => update::run(matches),
        "jobs" => jobs::run(matches),
        "nodes" => nodes::run(matches),
        "forget" => nodes::forget(matches),
        _ => check(matches),
    })
}

fn define_check() -> Command {
    flags::arguments(config::flags::check_config(USUAL_FILE).next_help_heading("As the server has them"))
}

fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let file = read(matches.get_one::<PathBuf>("file"))?;
    let whose = file.as_ref().map_or_else(|| "the configuration".into(), |file| file.path.display().to_string());
    let loaded = config::origin::load(&arguments::sources(file, flags::said(matches)))?;
    crate::origin::Change::prepare(&loaded.settings).map_err(|error| Failure::Run(error.to_string()))?;
    if matches.get_flag("effective") {
        return print(&config::origin::reference::effective(&loaded));
    }
    print(&format!("{whose} is good\n"))
}

/// The file that was named, or the usual one if it is there.
fn read(named: Option<&PathBuf>) -> Result<Option<ConfigFile>, Refused> {
    let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists());
    named.cloned().or_else(usual).map(|path| ConfigFile::read(&path)).transpose()
}

/// Who reads only the beginning (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Run(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        program().debug_assert();
        let mixed = program().try_get_matches_from(["outpost-origin", "--share", "/srv", "nodes"]);
        assert!(mixed.is_err(), "options of the server are not those of a command");
    }
}
