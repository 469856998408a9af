//! `branch`: one file, a thin line, a proxy and forty agents that all want it at once: real processes, each at an address of its own.
//!
//! In reading order: [`variant`] (what is different from run to run), [`net`] (addresses), [`program`] (a process), [`site`] (all of them), [`ask`] (what is
//! asked of them), [`liar`] (a peer that is none of ours), [`round`] (one file), [`report`] (what comes out).

mod ask;
mod liar;
mod net;
mod program;
mod report;
mod round;
mod site;
mod variant;

use std::{
    cell::Cell,
    convert::Infallible,
    env, fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use config::value::parse_size;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use self::{
    liar::Liar,
    net::AGENTS_MAX,
    report::{Outcome, Run, head},
    round::{File, Round},
    site::{Scale, Site},
    variant::Variant,
};
use crate::{origin::pace, target};

/// Of what has crossed the line, in hundredths, when the first of two proxies goes, and when it returns.
const GOES: u64 = 25;
const RETURNS: u64 = 75;
/// Likewise when the only one is killed.
const KILLED: u64 = 50;
/// Options of `branch`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The programs; without them outpost-origin, outpost-proxy and outpost-agent beside this one.
    #[arg(long, value_name = "FILE")]
    origin: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    proxy: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// What is run; repeat it. Without it everything in turn.
    #[arg(long = "variant", value_name = "NAME", value_enum)]
    variants: Vec<Variant>,
    /// How many agents want the file.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=AGENTS_MAX as i64))]
    agents: u16,
    /// How large it is.
    #[arg(long, default_value = "50MB", value_parser = parse_size)]
    size: u64,
    /// The line to headquarters, each direction by itself.
    #[arg(long, default_value = "20Mbit/s", value_parser = pace::rate)]
    line: u64,
    /// The longest wait of an agent after a first failure; as shipped it is 3 minutes, for which nobody wants to wait here.
    #[arg(long, default_value = "5s", value_parser = target::duration)]
    backoff: Duration,
    /// A file that not everybody has by then has failed.
    #[arg(long, default_value = "90s", value_parser = target::duration)]
    limit: Duration,
    /// Where all programs keep what they have while it goes on; without it the directory for temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write the figures to this file as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Where the programs are.
pub(crate) struct Programs {
    origin: PathBuf,
    proxy: PathBuf,
    agent: PathBuf,
}

/// Runs the variants and prints their rows; fails when an agent has wrong bytes, or does not have the file in time.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (mut interrupted, mut ended) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            ended = all(options) => ended,
            _ = interrupted.recv() => bail!("interrupted"),
            _ = ended.recv() => bail!("told to end"),
        }
    })
}

async fn all(options: &Options) -> anyhow::Result<()> {
    let programs = Programs {
        origin: given_or_beside(options.origin.as_deref(), "outpost-origin")?,
        proxy: given_or_beside(options.proxy.as_deref(), "outpost-proxy")?,
        agent: given_or_beside(options.agent.as_deref(), "outpost-agent")?,
    };
    let scale = Scale { agents: options.agents.into(), line: Some(options.line), backoff: options.backoff };
    let (mut runs, mut wrong) = (Vec::new(), 0);
    print!("{}", head(options.size, scale));
    for variant in options.variants() {
        let run = one(options, &programs, *variant, scale).await;
        let run = run.with_context(|| format!("variant {}", variant.name()))?;
        print!("{}", run.rows());
        wrong += run.wrong();
        runs.push(run);
    }
    for (is_met, goal) in runs.iter().flat_map(Run::goals) {
        println!("\n- {}: {goal}", if is_met { "met" } else { "**missed**" });
    }
    if let Some(file) = &options.json {
        let text = format!("{:#}\n", json!({ "runs": runs.iter().map(Run::json).collect::<Vec<_>>() }));
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if wrong > 0 { bail!("{wrong} agents have something else than the file") } else { Ok(()) }
}

impl Options {
    fn variants(&self) -> &[Variant] {
        use clap::ValueEnum as _;
        if self.variants.is_empty() { Variant::value_variants() } else { &self.variants }
    }
}

fn given_or_beside(given: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return fs::canonicalize(given).with_context(|| format!("there is no {}", given.display()));
    }
    let beside = env::current_exe().context("cannot tell where this program is")?.with_file_name(name);
    if beside.exists() {
        return Ok(beside);
    }
    bail!("there is no {}; give --{} FILE", beside.display(), name.trim_start_matches("outpost-"))
}

/// One variant, in a directory of its own.
async fn one(options: &Options, programs: &Programs, variant: Variant, scale: Scale) -> anyhow::Result<Run> {
    let place = match &options.dir {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    };
    let place = place.context("cannot make a directory for the branch")?;
    let mut site = Site::start(place.path(), programs, variant.terms(), scale).await?;
    let file = Rc::new(File::new(1, options.size));
    site.publish(&file.name, &file.bytes).await?;
    let mut rounds = Vec::new();
    match variant {
        Variant::Nobody | Variant::Plain | Variant::Shipped => {
            let round = Round::begin(&site, &file).await;
            rounds.push((round.end(&site, options.limit).await?, Vec::new()));
        }
        Variant::Killed => rounds.push(killed(&mut site, &file, options.limit).await?),
        Variant::Liar => rounds.push(lied_to(&site, &file, options.limit).await?),
        Variant::Preload => rounds.push(preloaded(&site, &file, options.limit).await?),
        Variant::Returns => {
            let (mut outcome, notes) = goes_and_returns(&mut site, &file, options.limit).await?;
            // What is left of the first file is not the second's.
            site.wait_until_idle().await?;
            outcome.after = site.line.down() - outcome.ended_at;
            rounds.push((outcome, notes));
            rounds.push(is_used_again(&site, options).await?);
        }
    }
    Ok(Run { variant, scale, rounds })
}

type Noted = (Outcome, Vec<String>);

async fn killed(site: &mut Site, file: &File, limit: Duration) -> anyhow::Result<Noted> {
    let round = Round::begin(site, file).await;
    site.line.has_brought(round.at_percent(KILLED)).await;
    site.kill_proxy(0).await;
    Ok((round.end(site, limit).await?, Vec::new()))
}

async fn lied_to(site: &Site, file: &Rc<File>, limit: Duration) -> anyhow::Result<Noted> {
    let liar =
        Liar::start(site.net.stranger(), site.line.address, file.clone()).await.context("the liar is not heard")?;
    let round = Round::begin(site, file).await;
    let outcome = round.end(site, limit).await?;
    let note = format!("{} lies", liar.lies());
    Ok((outcome, vec![note]))
}

async fn preloaded(site: &Site, file: &File, limit: Duration) -> anyhow::Result<Noted> {
    let mut round = Round::begin(site, file).await;
    let waits =
        |status: &serde_json::Value| status.pointer("/downloads/0/stage").is_some_and(|stage| stage == "waiting");
    site.wait_until_all("waits for the preload", waits).await?;
    round.restart_clock();
    let order = json!({ "path": format!("/{}", file.name) });
    let admin = site.net.proxy(0).1;
    ask::post((std::net::Ipv4Addr::LOCALHOST, "bench"), admin, "/v1/preload", &order).await.context("no preload")?;
    Ok((round.end(site, limit).await?, Vec::new()))
}

async fn goes_and_returns(site: &mut Site, file: &File, limit: Duration) -> anyhow::Result<Noted> {
    let round = Round::begin(site, file).await;
    site.line.has_brought(round.at_percent(GOES)).await;
    site.kill_proxy(0).await;
    site.line.has_brought(round.at_percent(RETURNS)).await;
    site.start_proxy(0).await?;
    let busiest = Cell::new(0);
    let outcome = tokio::select! {
        outcome = round.end(site, limit) => outcome?,
        never = watch_the_first(site, &busiest) => match never {},
    };
    let note = format!("the first is asked at most {} times in a second after its return", busiest.get());
    Ok((outcome, vec![note]))
}

/// How often it is asked in its busiest second, from now on.
async fn watch_the_first(site: &Site, busiest: &Cell<u64>) -> Infallible {
    let mut seen = site.proxied().await[0].requests;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = site.proxied().await[0].requests;
        busiest.set(busiest.get().max(now.saturating_sub(seen)));
        seen = now;
    }
}

/// When nobody holds anything against the first any more, a second file is asked for.
async fn is_used_again(site: &Site, options: &Options) -> anyhow::Result<Noted> {
    let first = format!("http://{}/", site.net.proxy(0).0);
    let is_asked = |status: &serde_json::Value| {
        let waits = status["waiting"].as_array().into_iter().flatten();
        !waits.into_iter().any(|wait| wait["server"] == first.as_str())
    };
    site.wait_until_all("asks the first proxy again", is_asked).await?;
    let file = File::new(2, options.size);
    site.publish(&file.name, &file.bytes).await?;
    let round = Round::begin(site, &file).await;
    Ok((round.end(site, options.limit).await?, Vec::new()))
}
