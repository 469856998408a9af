//! `outpost-agent get`: brings one file. It needs no service.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use config::value::parse_duration;
use protocol::digest::Digests;
use serde_json::json;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use super::{
    asking::{Asking, seed, short},
    bar,
    ending::Ending,
};
use crate::{
    bring::{part::FilePart, sink::Sink, task::Task, told::Told, wanted::Wanted},
    decide::{
        chain::Chain,
        source::{Rank, Source},
    },
};

/// The arguments of `get`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// http://HOST/PATH, or a path at the origins or servers, or the MD5 of a content
    #[arg(value_name = "URL|PATH|MD5")]
    what: String,

    /// Where to put it; a directory takes the file's own name [default: its own name, here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    asking: Asking,

    /// How long to keep trying while nothing comes; 0s: ends when all have failed once
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    give_up_after: Duration,

    /// Prints what came of it as JSON, for scripts, and shows no progress
    #[arg(long)]
    json: bool,

    /// Shows no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Brings it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Ending> {
    let began = Instant::now();
    let wanted = Wanted::parse(&arguments.what).map_err(|error| Ending::Usage(error.to_string()))?;
    let asks = &arguments.asking;
    if wanted.server.is_none() && asks.origins.is_empty() && asks.servers.is_empty() {
        return Err(Ending::Usage(
            "nobody can be asked for it: name a server with --server URL or --origin URL".into(),
        ));
    }
    let out = place(arguments.output.as_deref(), &wanted.file_name());
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ending::Failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(bring(arguments, wanted, &out));
    if arguments.json {
        print(&report(&ended, &out, began.elapsed()));
    }
    ended.map(drop)
}

/// What came.
struct Brought {
    digests: Digests,
    /// Whether somebody had told a digest to compare with.
    verified: bool,
    size: u64,
    /// Bytes that were here before.
    resumed: u64,
    task: Box<Task>,
}

async fn bring(arguments: &Arguments, wanted: Wanted, out: &Path) -> Result<Brought, Ending> {
    let opened = FilePart::open(out, &wanted).map_err(|error| Ending::Failed(error.to_string()))?;
    let sink = Sink::from(opened);
    let resumed = sink.position();
    let mut task = Box::new(task(arguments, wanted, sink));
    let told = task.told.clone();
    let ended = tokio::select! {
        ended = task.bring() => ended.map_err(Ending::from),
        never = bar::draw(&told, !arguments.quiet && !arguments.json) => match never {},
        number = interrupted() => Err(Ending::Signal(number)),
    };
    let digests = match ended {
        Ok(digests) => digests,
        Err(ending) => {
            task.sink.save().await;
            return Err(ending);
        }
    };
    let identity = task.sink.identity();
    let verified = identity.md5.is_some() || identity.sha256.is_some();
    Ok(Brought { digests, verified, size: task.sink.position(), resumed, task })
}

fn task(arguments: &Arguments, wanted: Wanted, sink: Sink) -> Task {
    let asks = &arguments.asking;
    let finder = Arc::new(asks.finder());
    let (by_digest, chain) = if asks.origins.is_empty() {
        let url = wanted.server.iter().map(|url| Source { rank: Rank::Origin, name: short(url), url: url.clone() });
        let sources = asks.proxies().into_iter().chain(url).collect();
        (false, Chain::given(sources, asks.backoff(), seed()))
    } else {
        (true, Chain::new(asks.backoff(), seed()))
    };
    Task {
        health: finder.health.clone(),
        finder,
        chain,
        by_digest,
        wanted,
        sink,
        told: Told::default(),
        deadline: Some(Instant::now() + arguments.give_up_after),
        retry_now: Arc::default(),
        sources: Vec::new(),
    }
}

/// Ends with the number of the signal that tells us to end.
async fn interrupted() -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}

fn place(output: Option<&Path>, name: &str) -> PathBuf {
    match output {
        Some(output) if output.is_dir() => output.join(name),
        Some(output) => output.into(),
        None => name.into(),
    }
}

fn report(ended: &Result<Brought, Ending>, out: &Path, took: Duration) -> serde_json::Value {
    match ended {
        Ok(brought) => json!({
            "file": out.display().to_string(),
            "size": brought.size,
            "md5": brought.digests.md5,
            "sha256": brought.digests.sha256,
            "verified": brought.verified,
            "resumed": brought.resumed,
            "seconds": took.as_secs_f64(),
            "sources": brought.task.sources,
        }),
        Err(ending) => json!({
            "file": out.display().to_string(),
            "error": ending.text(),
            "exit": ending.code(),
        }),
    }
}

/// Whoever closed the pipe has read enough.
fn print(value: &serde_json::Value) {
    drop(writeln!(io::stdout(), "{value}"));
}
