//! The origin at headquarters: publishes a directory with the same engine that the proxies serve with, and knows the digests of its files.
//!
//! In reading order: [`options`] is the command line, `origin` what runs and how it ends, `handler` answers requests with what `route` says
//! that they mean: of files `publish` finds and `answer` composes, all else is `control`'s, to whom `admission` lets as many as can be answered; `files` is what was opened a moment ago. Digests are made by `hasher` in the order of
//! `queue` and kept in `catalogue`; `scan` and `watch` notice changes. `admin` is for monitors, `counters` what it shows.
//!
//! It writes nothing but its database and its access log, and fetches nothing.
#![forbid(unsafe_code)]

mod admin;
mod admission;
mod answer;
mod catalogue;
mod control;
mod counters;
mod files;
mod handler;
mod hasher;
pub mod options;
mod origin;
mod publish;
mod queue;
mod registry;
mod route;
mod scan;
#[allow(dead_code, unused_imports, reason = "its resource comes with the catalogue and the registry")]
mod sources;
mod watch;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

pub use catalogue::CatalogueError;
pub use counters::Counters;
pub use options::Options;
pub use origin::{Origin, StartError};
pub use registry::RegistryError;

/// Threads that may block on the share at once; what is more waits for one of them.
const BLOCKING_THREADS_MAX: usize = 64;

/// The program: reads the command line, runs until it is told to end, and answers the exit code.
pub fn main() -> ExitCode {
    let options = Options::parse();
    // A library that walks directories must not fill the log with what it is told about each.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,notify=error,h2=error"));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_target(false).with_ansi(colours).init();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outpost-origin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    os::process::raise_open_files();
    let runtime = runtime().map_err(StartError::Threads)?;
    let listened = runtime.block_on(async { Signals::listen() });
    let mut signals = listened.map_err(|error| anyhow::anyhow!("cannot listen for signals: {error}"))?;
    let origin = Origin::start(options, runtime.handle())?;
    say(options, &origin.describe(options));
    runtime.block_on(until_ended(&origin, &mut signals, options.drain_timeout));
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

/// SIGTERM and SIGINT: the first drains, the second cuts.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Dropping it loses no signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn until_ended(origin: &Origin, signals: &mut Signals, drain_timeout: Duration) {
    signals.next().await;
    let bound = config::value::show_duration(drain_timeout);
    tracing::info!(
        "told to end: what is being sent may go on for up to {bound} (--drain-timeout); a second signal ends at once"
    );
    let drained = async {
        match origin.drain().await {
            0 => tracing::info!("ended"),
            cut => tracing::warn!(transfers = cut, "what was not sent by the end of --drain-timeout was cut off"),
        }
    };
    tokio::select! {
        () = drained => {}
        () = signals.next() => origin.stop(),
    }
}
