//! `registry`: an origin that 10,000 agents report to, over HTTP: how large its registry is, what a report costs, and how soon it answers after it was killed.
//!
//! In reading order: [`node`] (who reports, and what), [`client`] (one question after the other), [`server`] (the origin as a child). The load is as many connections as asked for, each in
//! turn for its part of the nodes, as fast as the origin answers.

mod client;
mod node;
mod server;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use protocol::info::{NODES, OBJECTS};

use self::{
    client::Client,
    node::{Crowd, Node},
    server::Server,
};
use crate::{histogram::Histogram, target};

/// Options of `registry`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The origin; without it outpost-origin beside this program.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Nodes that report.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    nodes: u32,
    /// Contents that each holds.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    held: u32,
    /// Different contents that most of them choose from.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    distinct: u32,
    /// One node of so many holds only what nobody else does; 0: none does.
    #[arg(long, default_value_t = 10)]
    own_every: u32,
    /// One report of so many tells everything, the others three contents that came and three that went; 0: none does.
    #[arg(long, default_value_t = 10)]
    full_every: u64,
    /// How long is reported when all are known.
    #[arg(long, default_value = "20s", value_parser = target::duration)]
    duration: Duration,
    /// Connections that report at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// Processor of the origin.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// Processor of the load.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
}

/// What some reports came to.
struct Reports {
    count: u64,
    elapsed: Duration,
    latency: Histogram,
    /// Of the origin.
    cpu: Duration,
}

/// Does all of it and prints a line for each figure.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    os::process::pin_thread(options.cpu).with_context(|| format!("cannot pin to processor {}", options.cpu))?;
    let directory = tempfile::tempdir()?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("outpost-origin"),
    };
    let server = start(&program, directory.path(), options)?;
    println!("memory before the first report: {}", mib(server.memory()?));
    let mut crowd = Crowd::new(options.nodes, options.held, options.distinct, options.own_every);
    let filled = report(&server, &mut crowd, options, Until::Everybody)?;
    println!("{} full reports of {} contents: {filled}", options.nodes, options.held);
    size(&server, "then")?;
    let steady = report(&server, &mut crowd, options, Until::Time(options.duration))?;
    println!("reports, one of {} full, the others 3 came and 3 went: {steady}", options.full_every);
    size(&server, "then")?;
    check(&server, &crowd)?;
    let everywhere = server.address();
    questions(
        everywhere,
        &format!("{OBJECTS}{}/holders?limit=30", node::popular()),
        "30 of the holders of a content that half of them hold",
    )?;
    questions(everywhere, &format!("{OBJECTS}{}/holders?limit=1000", node::popular()), "1,000 of them")?;
    questions(everywhere, &format!("{OBJECTS}{}/holders", node::unknown()), "of one that nobody holds")?;
    questions(everywhere, &format!("{NODES}/{}", node::name(0)), "one node")?;
    server.kill()?;
    restart(&program, directory.path(), options)
}

fn start(program: &Path, directory: &Path, options: &Options) -> anyhow::Result<Server> {
    Server::start(program, directory, options.server_cpu, options.cpu)
}

/// When reporting ends.
#[derive(Clone, Copy)]
enum Until {
    /// Everybody has told everything.
    Everybody,
    Time(Duration),
}

/// Everybody reports, on all connections at once.
fn report(server: &Server, crowd: &mut Crowd, options: &Options, until: Until) -> anyhow::Result<Reports> {
    let (before, began) = (server.cpu()?, Instant::now());
    let parts = crowd.parts(options.connections as usize);
    let address = server.address();
    let told = thread::scope(|scope| {
        let told: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || report_part(address, part, options, until))).collect();
        told.into_iter()
            .map(|part| part.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))?)
            .collect::<Result<Vec<_>, _>>()
    })?;
    let (elapsed, mut latency) = (began.elapsed(), Histogram::new());
    told.iter().for_each(|part| latency.merge(part));
    Ok(Reports { count: latency.count(), elapsed, latency, cpu: server.cpu()?.since(before).total() })
}

fn report_part(address: SocketAddr, part: &mut [Node], options: &Options, until: Until) -> anyhow::Result<Histogram> {
    os::process::pin_thread(options.cpu)?;
    let (mut client, mut latency) = (Client::connect(address)?, Histogram::new());
    let began = Instant::now();
    for round in 0_u64.. {
        for (place, node) in part.iter_mut().enumerate() {
            if matches!(until, Until::Time(time) if began.elapsed() >= time) {
                return Ok(latency);
            }
            let is_full = options.full_every > 0 && (place as u64 + round).is_multiple_of(options.full_every);
            let body = if matches!(until, Until::Everybody) || is_full { node.full() } else { node.change() };
            let asked = Instant::now();
            let answer = client.post(node.name(), &body)?;
            latency.record(asked.elapsed());
            ensure!(answer.status == 200, "a report was answered with {}: {}", answer.status, answer.text());
            ensure!(!answer.text().contains("\"full\":true"), "a report was not understood: {}", answer.text());
        }
        if matches!(until, Until::Everybody) {
            break;
        }
    }
    Ok(latency)
}

/// When everything is written.
fn size(server: &Server, when: &str) -> anyhow::Result<()> {
    server.wait_until_written()?;
    let metric = |name: &str| server.metric(&format!("registry_{name}"));
    println!(
        "{when}: memory {}, at most {}; database {}; {} contents, {} holdings",
        mib(server.memory()?),
        mib(server.memory_peak()?),
        mib(metric("database_bytes")?),
        metric("objects")?,
        metric("holdings")?
    );
    Ok(())
}

/// Whether the origin knows what it was told.
fn check(server: &Server, crowd: &Crowd) -> anyhow::Result<()> {
    let (known, told) = (server.metric("registry_holdings")?, crowd.holdings());
    ensure!(known == told, "the origin knows of {known} holdings, and was told of {told}");
    Ok(())
}

/// The same question again and again, on one connection.
fn questions(address: SocketAddr, target: &str, what: &str) -> anyhow::Result<()> {
    const COUNT: u32 = 2_000;
    let (mut client, mut latency) = (Client::connect(address)?, Histogram::new());
    let mut bytes = 0;
    for _ in 0..COUNT {
        let asked = Instant::now();
        let answer = client.get(target)?;
        latency.record(asked.elapsed());
        ensure!(answer.status == 200, "{target} was answered with {}: {}", answer.status, answer.text());
        bytes = answer.body.len();
    }
    println!(
        "{what} ({bytes} bytes): median {:.0?}, 99 percent within {:.0?}",
        latency.quantile(0.5),
        latency.quantile(0.99)
    );
    Ok(())
}

/// After a kill.
fn restart(program: &Path, directory: &Path, options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let server = start(program, directory, options)?;
    let mut client = Client::connect(server.address())?;
    let answer = client.get(&format!("{OBJECTS}{}/holders?limit=1000", node::popular()))?;
    let elapsed = began.elapsed();
    let holders = answer.text().matches("\"name\":").count();
    if holders == 0 {
        bail!("nothing is known after the restart: {}", answer.text());
    }
    println!(
        "killed and started again: the first answer, with {holders} holders, after {elapsed:.0?}; memory {}",
        mib(server.memory()?)
    );
    server.kill()
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl std::fmt::Display for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, count) = (self.elapsed.as_secs_f64(), self.count.max(1));
        write!(
            f,
            "{:.0} per second; {:.0} µs of the origin's processor each, which was busy for {:.0} percent; median {:.1?}, 99 percent within {:.1?}",
            self.count as f64 / seconds,
            self.cpu.as_secs_f64() * 1e6 / count as f64,
            self.cpu.as_secs_f64() * 100.0 / seconds,
            self.latency.quantile(0.5),
            self.latency.quantile(0.99)
        )
    }
}
