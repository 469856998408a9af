//! `fleet`: branches whose agents all want one large file at the same time, simulated by events in virtual time. Whom to ask, for what, and when again is
//! decided by the code that agents and proxies run (`outpost_agent::decide`, `cache::requesters::queue`); made up are only lines and cards.
//!
//! In reading order: [`events`] (what happens when), [`network`] (how fast bytes go), [`setup`] (what a branch is like, and the contestants), [`ground`] (the
//! branch without decisions), [`whole`] (agents that bring the file as a whole), [`pieces`] (or in pieces), [`story`] (what came of it), [`branches`] (many of them), [`report`] and
//! [`plot`].

mod branches;
mod events;
mod ground;
mod network;
mod pieces;
mod plot;
mod report;
mod setup;
mod story;
mod whole;

use std::{fs, num::NonZero, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use outpost_agent::decide::swarm::terms::{Terms, Turns};

use self::{branches::Company, events::Moment, report::Report, setup::Contest, setup::Setup};
use crate::{
    origin::{content::size, pace::rate},
    target,
};

/// Options of `fleet`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Agents, in all branches.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    agents: u32,
    /// Bytes of the file, such as 256m or 4g.
    #[arg(long, default_value = "4g", value_parser = bytes)]
    size: u64,
    /// The line of a branch.
    #[arg(long, default_value = "100Mbit/s", value_parser = rate)]
    line: u64,
    /// The card of a machine, as much in each direction.
    #[arg(long, default_value = "1Gbit/s", value_parser = rate)]
    card: u64,
    /// From a request to its answer, within a branch.
    #[arg(long, default_value = "1ms", value_parser = target::duration)]
    near: Duration,
    /// The same over the line.
    #[arg(long, default_value = "20ms", value_parser = target::duration)]
    far: Duration,
    /// All agents begin within this.
    #[arg(long, default_value = "5s", value_parser = target::duration)]
    begin: Duration,
    /// Who takes part: nobody, peers, peers-in-turn, proxy, proxy-and-peers, pieces; separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    contests: Vec<Contest>,
    /// Places of a proxy for the file; 0: no limit.
    #[arg(long, default_value_t = 5)]
    max_requesters: usize,
    /// After what time a proxy asks those to come back who find no place.
    #[arg(long, default_value = "90s", value_parser = target::duration)]
    retry_delay: Duration,
    /// Transfers that an agent serves at once.
    #[arg(long, default_value_t = 2)]
    peer_uploads: usize,
    /// In pieces: how often an agent is asked what it has, by each that knows it.
    #[arg(long, default_value = "1s", value_parser = target::duration)]
    peer_every: Duration,
    /// The proxies have the file before anybody asks.
    #[arg(long)]
    warm: bool,
    /// Proxies are gone for good when they have this part of the file, such as 0.5.
    #[arg(long, value_name = "PART", value_parser = part)]
    proxy_dies: Option<f64>,
    /// This part of the agents sends wrong bytes (only of pieces).
    #[arg(long, value_name = "PART", default_value = "0", value_parser = part)]
    liars: f64,
    /// Agents leave as soon as they have the file.
    #[arg(long)]
    leave: bool,
    /// In pieces: agents that ask the proxy for the same piece in one turn, to try others; and how long a turn is.
    #[arg(long, value_name = "AGENTS")]
    copies: Option<u32>,
    /// See --copies.
    #[arg(long, value_parser = target::duration)]
    turn: Option<Duration>,
    /// In pieces: those on their way at once to an agent, and of these from one neighbour.
    #[arg(long, value_name = "PIECES")]
    in_flight: Option<usize>,
    /// See --in-flight.
    #[arg(long, value_name = "PIECES")]
    per_peer: Option<usize>,
    /// In pieces: sources that are asked at once what they have.
    #[arg(long, value_name = "SOURCES")]
    questions: Option<usize>,
    /// In pieces: how far ahead of the first missing one is looked.
    #[arg(long, value_name = "PIECES")]
    window: Option<u32>,
    /// Branches, each with a line and a proxy of its own, and an equal part of the agents.
    #[arg(long, default_value = "1")]
    branches: NonZero<u32>,
    /// The line that all branches share at headquarters.
    #[arg(long, default_value = "10Gbit/s", value_parser = rate)]
    uplink: u64,
    /// Of many branches so many are simulated, each with another seed; the others are taken to be like them.
    #[arg(long, default_value = "4")]
    simulated: NonZero<u32>,
    /// Branches that are simulated at a time; without it one per processor.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw who is done when into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Runs the contests and prints what they came to.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let company = options.company()?;
    let contests = if options.contests.is_empty() { &Contest::ALL[..] } else { &options.contests };
    let mut report = Report::new(&company);
    println!("{}", report.head());
    for contest in contests {
        // A line at a time: some need minutes.
        let result = company.run(*contest);
        println!("{}", report.row(&result));
        report.results.push(result);
    }
    println!("{}", report.end());
    if let Some(path) = &options.plot {
        fs::write(path, plot::svg(&report)).with_context(|| format!("cannot write the plot {}", path.display()))?;
    }
    Ok(())
}

impl Options {
    fn company(&self) -> anyhow::Result<Company> {
        let branches = self.branches.get();
        if branches > self.agents {
            bail!("{branches} branches need at least as many agents; raise --agents");
        }
        let setup = Setup {
            agents: self.agents / branches,
            size: self.size,
            line: self.line * 8,
            card: self.card * 8,
            near: nanoseconds(self.near),
            far: nanoseconds(self.far),
            begin: nanoseconds(self.begin),
            places: self.max_requesters,
            retry_delay: self.retry_delay,
            uploads: self.peer_uploads,
            peer_every: self.peer_every,
            warm: self.warm,
            proxy_dies: self.proxy_dies,
            liars: self.liars,
            leave: self.leave,
            seed: self.seed,
        };
        let simulated = self.simulated.get().min(branches);
        Ok(Company { setup, terms: self.terms(), branches, simulated, uplink: self.uplink * 8, threads: self.threads })
    }
}

impl Options {
    /// What agents do as they are shipped, but for what is to be tried.
    fn terms(&self) -> Terms {
        let terms = Terms::default();
        let near =
            Turns { copies: self.copies.unwrap_or(terms.near.copies), every: self.turn.unwrap_or(terms.near.every) };
        Terms {
            near,
            in_flight: self.in_flight.unwrap_or(terms.in_flight),
            per_peer: self.per_peer.unwrap_or(terms.per_peer),
            questions: self.questions.unwrap_or(terms.questions),
            window: self.window.unwrap_or(terms.window),
            ..terms
        }
    }
}

fn nanoseconds(duration: Duration) -> Moment {
    Moment::try_from(duration.as_nanos()).unwrap_or(Moment::MAX)
}

fn bytes(text: &str) -> Result<u64, String> {
    size(text).filter(|size| *size > 0).ok_or_else(|| format!("'{text}' is no size such as 256m or 4g"))
}

fn part(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    parsed.ok_or_else(|| format!("'{text}' is no part between 0 and 1"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_command_line_is_a_company() {
        let line =
            "fleet --agents 1000 --branches 10 --size 4g --line 100Mbit/s --proxy-dies 0.5 --contests proxy,pieces";
        let options = Line::try_parse_from(line.split(' ')).expect("a command line").options;
        let company = options.company().expect("a company");
        assert_eq!((company.setup.agents, company.setup.size, company.setup.line), (100, 4 << 30, 100_000_000));
        assert_eq!((company.branches, company.simulated, company.setup.proxy_dies), (10, 4, Some(0.5)));
        assert_eq!(options.contests, [Contest::Proxy, Contest::Pieces]);
        for wrong in ["fleet --liars 2", "fleet --contests both", "fleet --size 0"] {
            assert!(Line::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
        let few = Line::try_parse_from("fleet --agents 3 --branches 4".split(' ')).expect("a command line").options;
        assert!(few.company().is_err());
    }
}
