//! The origin at headquarters: publishes a directory with the same engine that the proxies serve with, and knows the digests of its files.
//!
//! In reading order: `arguments` is the command line, `site` what the configuration says of who stands where, `origin` what runs, `life` how it reloads and ends, `handler` answers requests with what `route` says
//! that they mean: of files (`published`) `publish` finds and `answer` composes, all else is `control`'s, to whom `admission` lets as many as can be answered; `files` is what was opened a moment ago. Digests are made by `hasher` in the order of
//! `queue` and kept in `catalogue`; `scan` and `watch` notice changes, `feed` tells them to who listens, `shares` says which folders are packages. `admin` is for monitors, `counters` what it shows.
//!
//! `members` is who belongs and `orders` what they are told to do; `command` is the command line that asks the admin listener, `commands` what it is answered.
//!
//! It writes nothing but its database and its access log, and fetches nothing.
#![forbid(unsafe_code)]

mod admin;
mod admission;
mod answer;
mod arguments;
mod catalogue;
mod command;
mod commands;
mod control;
mod counters;
mod database;
mod feed;
mod files;
mod handler;
mod hasher;
mod life;
mod members;
mod orders;
mod origin;
mod publish;
mod published;
mod queue;
mod registry;
mod route;
mod scan;
mod shares;
mod site;
mod sources;
mod watch;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use arguments::Arguments;
pub use catalogue::CatalogueError;
pub use config::origin::Settings as Options;
use config::{Refused, origin::Loaded};
pub use counters::Counters;
pub use database::DatabaseError;
use life::Signals;
pub use members::DatabaseError as MembersError;
pub use origin::{Origin, StartError};
pub use registry::RegistryError;
pub use site::{SiteError, TokensError};

/// Threads that may block on the share at once; what is more waits for one of them.
const BLOCKING_THREADS_MAX: usize = 64;

/// Of `sysexits.h`: the configuration is wrong.
const CONFIGURATION: u8 = 78;

/// The program: reads the command line, runs until it is told to end, and answers the exit code.
pub fn main() -> ExitCode {
    let matches = command::program().get_matches();
    if let Some(ended) = command::run(&matches) {
        return ended.map_or_else(|failure| failure.tell(), |()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_matches(&matches);
    let loaded = match arguments.load() {
        Ok(loaded) => loaded,
        Err(refused) => return refuse(&refused),
    };
    if arguments.check_config {
        println!("the configuration is good");
        return ExitCode::SUCCESS;
    }
    // A library that walks directories must not fill the log with what it is told about each.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,notify=error,h2=error"));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_target(false).with_ansi(colours).init();
    match run(&Arc::new(arguments), loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outpost-origin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(refused: &Refused) -> ExitCode {
    let shown = refused.render(io::stderr().is_terminal());
    // Nobody is left to be told when standard error is closed; the exit code still tells.
    drop(write!(io::stderr(), "outpost-origin cannot use this configuration:\n{shown}"));
    ExitCode::from(CONFIGURATION)
}

fn run(arguments: &Arc<Arguments>, loaded: Loaded) -> anyhow::Result<()> {
    os::process::raise_open_files();
    let runtime = runtime().map_err(StartError::Threads)?;
    let listened = runtime.block_on(async { Signals::listen() });
    let mut signals = listened.map_err(|error| anyhow::anyhow!("cannot listen for signals: {error}"))?;
    let options = &loaded.settings;
    let origin = Origin::start(options, runtime.handle())?;
    say(options, &origin.describe(options));
    runtime.block_on(life::run(&origin, arguments, &loaded, &mut signals));
    drop(origin);
    // Threads that hang on a mount that is gone must not keep the program.
    runtime.shutdown_background();
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("share")
        .enable_all()
        .build()
}

/// To standard output, unless the access log goes there. Nobody may be listening, which is no error.
fn say(options: &Options, text: &str) {
    let to_stdout = options.access_log.as_ref().is_none_or(|path| path.as_os_str() != "-");
    let _ = if to_stdout { writeln!(io::stdout(), "{text}") } else { writeln!(io::stderr(), "{text}") };
}
