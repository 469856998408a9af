//! The command line: a file for each command, and what they share.
//!
//! In reading order: here what there is and how it ends; [`run`] is the service, [`asks`] what asks it; [`asking`] the options of who asks servers himself, [`get`] with its [`bar`], and
//! [`by_service`] which lets the service do it; [`log`] where
//! events go, [`ending`] the exit codes, [`reference`] the page of all this.

mod asking;
mod asks;
mod bar;
mod by_service;
mod ending;
mod get;
mod jobs;
mod log;
pub(crate) mod reference;
mod run;

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

    /// Which events are logged: error, warn, info or debug, or per module such as warn,outpost_agent=debug [default: warn; of run: info]
    #[arg(long, global = true, env = "OUTPOST_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// What it can be told to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Brings one file, verifies it, and puts it where it is wanted
    Get(Box<get::Arguments>),
    /// Runs as a service: a cache of its own, shared with neighbours, that every get of this machine uses
    Run(run::Arguments),
    /// Shows what the service has and does
    Status(asks::Where),
    /// Shows what the service knows of one file
    Why(asks::Why),
    /// Shows the packages that this machine keeps for its origin
    Jobs(asks::Jobs),
    /// Ends all waits of the service: whoever failed is asked again now
    RetryNow(asks::Where),
    /// Looks into the service's cache
    #[command(subcommand)]
    Cache(asks::Cache),
}

/// Reads the command line and does what it says. A wrong one ends the program with 2.
pub(crate) fn run() -> ExitCode {
    let program = Program::parse();
    let usual = if matches!(program.command, Command::Run(_)) { "info" } else { "warn" };
    if let Err(ending) = log::start(program.log.as_deref().unwrap_or(usual)) {
        return ending.tell();
    }
    let ended = match program.command {
        Command::Get(arguments) => get::run(*arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Status(place) => asks::status(&place),
        Command::Why(why) => asks::why(&why),
        Command::Jobs(jobs) => asks::jobs(&jobs),
        Command::RetryNow(place) => asks::retry_now(&place),
        Command::Cache(cache) => asks::cache(&cache),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => ending.tell(),
    }
}
