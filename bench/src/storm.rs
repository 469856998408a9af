//! `storm`: ten packages are published at once, and a whole company wants them: a real origin, real HTTP, simulated machines.
//!
//! In reading order: [`world`] (who there is), [`server`] (the origin's process), [`machine`] (what one does next, by the code of agents and
//! proxies), [`live`] (it does it), [`tally`] and [`findings`] (what came of it), [`report`]; and [`flood`] (what a refusal costs).
//!
//! Time is compressed in what machines do: lines are `--factor` times as fast, and so much shorter are back-offs and the time between reports. What the
//! origin says (seconds to wait) is obeyed as it is, and requests cost it what they cost.

mod findings;
mod flood;
mod live;
mod machine;
mod report;
mod server;
mod tally;
mod world;

use std::{
    cell::RefCell,
    env, fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::{patience::Backoff, patience::Spread, topology::Tier};
use tokio::{
    sync::{Semaphore, watch},
    task::LocalSet,
};

pub(crate) use self::report::thousands;
use self::{
    findings::Findings,
    live::{Net, Progress, live},
    machine::{Habits, Machine},
    report::Storm,
    server::{Server, State},
    tally::Tally,
    world::{Environment, Member, members, topology},
};
use crate::target;

/// Packages that are published at once, as in the field.
const PACKAGES: usize = 10;
/// Bytes of the files of each.
const FILES: [usize; 2] = [4 << 20, 16 << 10];
/// Connections that are opened at the same moment before the publication.
const OPENING_MAX: usize = 128;
/// Machines that report for the first time in each second.
const FIRST_REPORTS: u64 = 1_000;
/// How often the origin is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The last reports of proxies come after the last package.
const AFTERMATH: Duration = Duration::from_secs(2);
/// The lines of upper proxies and within a branch, in times of a thin one.
const GOOD_LINE: u64 = 30;

/// Options of `storm`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The origin to measure; without it outpost-origin beside this program.
    #[arg(long, value_name = "FILE")]
    origin: Option<PathBuf>,
    /// Who takes part: small (3 upper proxies, 100 constrained ones, 1,000 agents), large (5, 800, 10,000), or UPPER+CONSTRAINED+AGENTS; repeat it.
    #[arg(long = "environment", value_name = "WORD|NUMBERS", default_values = ["small", "large"])]
    environments: Vec<Environment>,
    /// How long a thin line needs for the ten packages, if time were not compressed.
    #[arg(long, default_value = "40m", value_parser = target::duration)]
    preload: Duration,
    /// How often everybody reports, likewise.
    #[arg(long, default_value = "20m", value_parser = target::duration)]
    report_every: Duration,
    /// By how much lines are faster and the waits of machines shorter than that.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    factor: u32,
    /// Machines ask within this of hearing of something new, as it is here.
    #[arg(long, default_value = "2s", value_parser = target::duration)]
    gather: Duration,
    /// Lines of configuration for the origin, for example to try other limits; repeat it.
    #[arg(long, value_name = "LINE")]
    configure: Vec<String>,
    /// Instead: so many clients that obey nothing and ask as fast as they can, for what a refusal costs; repeat it. The first should be so few that
    /// nobody is refused.
    #[arg(long, value_name = "CLIENTS")]
    flood: Vec<usize>,
    /// How long each flood lasts.
    #[arg(long, default_value = "10s", value_parser = target::duration)]
    duration: Duration,
    /// A storm that has not ended by then has failed, as it is here.
    #[arg(long, default_value = "90s", value_parser = target::duration)]
    limit: Duration,
}

/// Runs each environment and prints its tables; fails when a goal is missed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let program = options.origin.clone().map_or_else(beside, Ok)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if !options.flood.is_empty() {
        println!("{}", LocalSet::new().block_on(&runtime, floods(options, &program))?);
        return Ok(());
    }
    let mut missed = 0;
    for environment in &options.environments {
        let storm = LocalSet::new().block_on(&runtime, storm(options, *environment, &program))?;
        println!("{}", storm.to_text());
        missed += usize::from(!storm.is_calm());
    }
    if missed > 0 {
        bail!("{missed} of {} storms missed a goal", options.environments.len());
    }
    Ok(())
}

fn beside() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let origin = own.with_file_name("outpost-origin");
    if origin.exists() { Ok(origin) } else { bail!("there is no {}; give --origin FILE", origin.display()) }
}

async fn floods(options: &Options, program: &Path) -> anyhow::Result<String> {
    let members = members(Environment { upper: 1, constrained: 1, agents: 0 });
    let server = Server::start(program, &configuration(options, &members)).await?;
    let mut floods = Vec::new();
    for clients in &options.flood {
        floods.push(flood::flood(&server, *clients, options.duration).await?);
    }
    Ok(flood::to_text(&floods))
}

async fn storm(options: &Options, environment: Environment, program: &Path) -> anyhow::Result<Storm> {
    let members = members(environment);
    let server = Server::start(program, &configuration(options, &members)).await?;
    let idle = server.state().await?;
    let (end, ended) = watch::channel(false);
    let net = Rc::new(Net {
        origin: server.address,
        tally: RefCell::new(Tally::new()),
        opening: Semaphore::new(OPENING_MAX),
        ended,
        progress: RefCell::default(),
    });
    let tasks = begin(options, members, &net);
    let machines = environment.machines();
    let all_are_there = |progress: Progress| progress.known == machines && progress.streams == machines;
    if !watched(&server, &net, options.limit, &mut Peaks::default(), all_are_there).await? {
        let progress = *net.progress.borrow();
        bail!("not everybody is there after {:?} ({progress:?}); the origin says: {}", options.limit, server.log());
    }
    let open = server.state().await?;
    let mut peaks = Peaks::default();
    let contents = publish(&server).context("cannot publish the packages")?;
    let published = Instant::now();
    net.tally.borrow_mut().publish(published);
    let has_all = |progress: Progress| progress.held == machines * contents;
    watched(&server, &net, options.limit, &mut peaks, has_all).await?;
    tokio::time::sleep(AFTERMATH).await;
    let (last, measured, progress) = (server.state().await?, published.elapsed(), *net.progress.borrow());
    // The receivers are in the tasks.
    let _ = end.send(true);
    let mut survivors = Vec::with_capacity(machines);
    for task in tasks {
        survivors.push(task.await?);
    }
    let tally = net.tally.replace(Tally::new());
    let findings = Findings::of(&survivors, contents, published);
    Ok(Storm {
        environment,
        packages: PACKAGES,
        contents,
        findings,
        tally,
        states: [idle, open, last],
        connections_peak: peaks.connections,
        waiting_peak: peaks.waiting,
        broken: progress.broken,
        measured,
    })
}

/// The most that was seen.
#[derive(Debug, Default)]
struct Peaks {
    connections: u64,
    waiting: u64,
}

/// Looks at the origin until it is so, or too long has passed; answers whether it is.
async fn watched(
    server: &Server,
    net: &Net,
    limit: Duration,
    peaks: &mut Peaks,
    is_so: impl Fn(Progress) -> bool,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while !is_so(*net.progress.borrow()) {
        if begun.elapsed() > limit {
            return Ok(false);
        }
        let State { connections, waiting, .. } = server.state().await?;
        peaks.connections = peaks.connections.max(connections);
        peaks.waiting = peaks.waiting.max(waiting);
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}

fn begin(options: &Options, members: Vec<Member>, net: &Rc<Net>) -> Vec<tokio::task::JoinHandle<Machine>> {
    let now = Instant::now();
    let begin = Duration::from_millis(members.len() as u64 * 1_000 / FIRST_REPORTS);
    let shared = Backoff::default();
    let backoff = Backoff { first: shared.first / options.factor, max: shared.max / options.factor };
    let thin = thin_line(options);
    let mut seeds = Spread::new(1);
    let live_one = |member: Member| {
        let rate = if member.tier == Tier::Constrained { thin } else { thin * GOOD_LINE };
        // What comes together is heard within a moment.
        let gather = (options.gather / 2, options.gather);
        let habits = Habits { backoff, gather, rate, begin, prefix: "/package-".into() };
        let machine = Machine::new(member, habits, now, seeds.number());
        tokio::task::spawn_local(live(machine, net.clone(), backoff))
    };
    members.into_iter().map(live_one).collect()
}

/// Bytes per second of a thin line, compressed.
fn thin_line(options: &Options) -> u64 {
    let bytes = (PACKAGES * FILES.iter().sum::<usize>()) as f64;
    (bytes * f64::from(options.factor) / options.preload.as_secs_f64().max(1.0)) as u64
}

fn configuration(options: &Options, members: &[Member]) -> String {
    let report_every = (options.report_every / options.factor).as_secs().max(1);
    format!(
        "{}\n[sources]\nretry_min = \"1s\"\n\n[registry]\nreport_every = \"{report_every}s\"\nexpiry = \"{}s\"\n\n{}",
        options.configure.join("\n"),
        report_every * 3,
        topology(members)
    )
}

/// All packages at once; answers how many contents they have.
fn publish(server: &Server) -> anyhow::Result<usize> {
    let mut numbers = Spread::new(2);
    for package in 0..PACKAGES {
        let folder = server.workshop().join(format!("package-{package:02}"));
        fs::create_dir_all(&folder)?;
        for (file, size) in FILES.iter().enumerate() {
            let bytes: Vec<u8> = (0..size / 8).flat_map(|_| numbers.number().to_le_bytes()).collect();
            fs::write(folder.join(format!("file-{file}")), bytes)?;
        }
    }
    for package in 0..PACKAGES {
        let name = format!("package-{package:02}");
        fs::rename(server.workshop().join(&name), server.share().join(&name))?;
    }
    Ok(PACKAGES * FILES.len())
}

#[cfg(test)]
mod scripted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_shortens_what_it_says_and_nothing_else() {
        let options = Options {
            origin: None,
            environments: Vec::new(),
            preload: Duration::from_secs(2_400),
            report_every: Duration::from_secs(1_200),
            factor: 60,
            gather: Duration::from_secs(2),
            flood: Vec::new(),
            duration: Duration::from_secs(10),
            configure: vec!["[admission]\nmax_concurrent_info_requests = 9".into()],
            limit: Duration::from_secs(90),
        };
        let bytes = (PACKAGES * FILES.iter().sum::<usize>()) as u64;
        assert_eq!(thin_line(&options), bytes / 40);
        let text = configuration(&options, &members(Environment { upper: 1, constrained: 1, agents: 2 }));
        assert!(text.contains("report_every = \"20s\"") && text.contains("max_concurrent_info_requests = 9"), "{text}");
    }
}
