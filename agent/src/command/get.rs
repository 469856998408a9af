//! `outpost-agent get`: brings one file. It needs no service.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use config::value::{parse_address, parse_duration};
use protocol::digest::Digests;
use serde_json::json;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use super::{
    asking::Asking,
    bar,
    by_service::{self, Served, THIS_MACHINE},
    ending::Ending,
};
use crate::{
    bring::{
        part::FilePart,
        sink::Sink,
        task::{BringError, Task},
        told::Told,
        wanted::Wanted,
    },
    decide::{
        chain::Chain,
        health::Request,
        resume::Identity,
        source::{Rank, Source},
    },
    seed,
    service::downloads::given,
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

    /// Where the service of this machine is, which brings it to its cache first. Not used where --origin or --server say who is asked
    #[arg(long, value_name = "IP:PORT", env = "OUTPOST__LOCAL", default_value = "127.0.0.1:7777", value_parser = parse_address)]
    local: SocketAddr,

    /// Does not use the service of this machine
    #[arg(long)]
    alone: bool,

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
pub(super) fn run(mut arguments: Arguments) -> Result<(), Ending> {
    let began = Instant::now();
    let asking = arguments.asking.with_environment(variable);
    arguments.asking = asking.map_err(Ending::Usage)?;
    let arguments = &arguments;
    let wanted = Wanted::parse(&arguments.what).map_err(|error| Ending::Usage(error.to_string()))?;
    if wanted.server.is_none() && arguments.is_alone() && !arguments.asking.names_somebody() {
        return Err(Ending::Usage(NOBODY.into()));
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

/// Nobody is named, and there is no service.
const NOBODY: &str = "nobody can be asked for it: start the service with outpost-agent run, or name a server with --server URL or --origin URL";

/// How long it is waited before the service is asked again that went away.
const SERVICE_WAIT: Duration = Duration::from_secs(1);
/// So often a service may have said that it has the file, and not give it: each time it may fetch it anew.
const LOSSES_MAX: u32 = 4;

impl Arguments {
    /// Whether the service has no part in it.
    fn is_alone(&self) -> bool {
        self.alone || self.asking.is_told()
    }
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
    let mut said = None;
    let ended = tokio::select! {
        ended = by_service_or_alone(arguments, &mut task, &mut said) => ended,
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
    let mut verified = identity.md5.is_some() || identity.sha256.is_some();
    if let Some(said) = said {
        verified = said.verified;
        // From where it came to this machine, if it was not here before.
        if !said.sources.is_empty() {
            task.sources = said.sources;
        }
    }
    Ok(Brought { digests, verified, size: task.sink.position(), resumed, task })
}

/// Lets the service bring it to its cache, and takes it from there; where there is none, does it alone. `said`: how it came there.
async fn by_service_or_alone(
    arguments: &Arguments,
    task: &mut Task,
    said: &mut Option<by_service::Brought>,
) -> Result<Digests, Ending> {
    let may_do_it_alone = task.wanted.server.is_some() || arguments.asking.names_somebody();
    let (mut was_there, mut losses) = (false, 0);
    while !arguments.is_alone() {
        match by_service::fetch(&task.finder.client, arguments.local, &task.wanted, &task.told).await {
            Served::Ready(identity, brought) => match take_from_service(arguments, task, identity).await? {
                Some(digests) => {
                    *said = Some(brought);
                    return Ok(digests);
                }
                // It had it, and went away, or has lost it since.
                None if may_do_it_alone => break,
                None => losses += 1,
            },
            Served::Failed(code, detail) => return Err(Ending::Told(code, detail)),
            // Who knows somebody to ask can do it alone; who does not would wait for nobody.
            Served::NoService | Served::Broken if may_do_it_alone => break,
            Served::NoService if !was_there => return Err(Ending::Usage(NOBODY.into())),
            Served::NoService | Served::Broken => {}
        }
        was_there = true;
        task.told.say(|state| state.trouble = Some("the service of this machine went away".into()));
        if losses >= LOSSES_MAX || task.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(BringError::TimedOut(task.told.now().trouble).into());
        }
        tokio::time::sleep(SERVICE_WAIT * 2_u32.pow(losses.saturating_sub(1))).await;
    }
    (task.by_digest, task.chain) = alone(&arguments.asking, &task.wanted);
    task.bring().await.map_err(Ending::from)
}

/// Asks the service by the digest. `None`: it does not give it now.
async fn take_from_service(
    arguments: &Arguments,
    task: &mut Task,
    identity: Identity,
) -> Result<Option<Digests>, Ending> {
    if task.sink.position() > 0 && task.sink.identity().md5 != identity.md5 {
        task.sink.anew().await.map_err(|error| Ending::Failed(error.to_string()))?;
    }
    (task.wanted.identity, task.wanted.is_given, task.by_digest) = (identity, true, true);
    let url = format!("http://{}/", arguments.local);
    // It has just answered: that it went away before is no reason to wait.
    task.health.lock().succeeded(&url, Request::Content);
    let service = Source { rank: Rank::Peer, name: THIS_MACHINE.into(), url, partial: false };
    task.chain = Chain::given(vec![service], arguments.asking.backoff(), seed());
    // It is there at once, or not: a service that has begun anew has to be told what is wanted, and asking again would not do that.
    let deadline = task.deadline.replace(Instant::now());
    let came = task.bring().await;
    task.deadline = deadline;
    match came {
        Ok(digests) => Ok(Some(digests)),
        Err(BringError::Disk(why)) => Err(BringError::Disk(why).into()),
        Err(error) => {
            tracing::debug!(%error, "the service of this machine has it and does not give it");
            Ok(None)
        }
    }
}

fn task(arguments: &Arguments, wanted: Wanted, sink: Sink) -> Task {
    let asks = &arguments.asking;
    let finder = Arc::new(asks.finder());
    let (by_digest, chain) = alone(asks, &wanted);
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
        slots: None,
        sources: Vec::new(),
        arrivals: None,
        party: None,
        knows_proxies_word: false,
    }
}

/// Whom it asks without a service, and whether by the digest.
fn alone(asks: &Asking, wanted: &Wanted) -> (bool, Chain) {
    if asks.origins.is_empty() {
        (false, Chain::given(given(&asks.proxies(), wanted), asks.backoff(), seed()))
    } else {
        (true, Chain::new(asks.backoff(), seed()))
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

#[expect(clippy::disallowed_methods, reason = "the options of a command are read where it begins")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
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
