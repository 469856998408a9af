//! The command line: a file for each command, and what they share.
//!
//! In reading order: here what there is and how it ends, [`asking`] the options of everybody who asks servers, [`get`] with its [`bar`]; [`log`] where
//! events go, [`ending`] the exit codes, [`reference`] the page of all this.

mod asking;
mod bar;
mod ending;
mod get;
mod log;
pub(crate) mod reference;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Simplest use: outpost-agent get http://HOST/PATH
Messages and what to do: docs/messages.md.";

/// Brings files to this machine from the nearest place that has them.
#[derive(Debug, Parser)]
#[command(name = "outpost-agent", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Program {
    #[command(subcommand)]
    command: Command,

    /// Which events are logged: error, warn, info or debug, or per module such as warn,outpost_agent=debug
    #[arg(long, global = true, env = "OUTPOST_LOG", value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// What it can be told to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Brings one file, verifies it, and puts it where it is wanted
    Get(get::Arguments),
}

/// Reads the command line and does what it says. A wrong one ends the program with 2.
pub(crate) fn run() -> ExitCode {
    let program = Program::parse();
    if let Err(ending) = log::start(&program.log) {
        return ending.tell();
    }
    let ended = match program.command {
        Command::Get(arguments) => get::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => ending.tell(),
    }
}
