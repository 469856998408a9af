//! `compare`: Outpost beside nginx, Varnish and the minimal loop, on one machine, in one run, taking turns.
//!
//! In reading order: [`rows`] (what is compared, and the aims), [`contestant`] (who takes part), [`texts`] (their configurations),
//! [`programs`], [`machine`], [`ports`], [`process`] and [`field`] (what runs where), [`hits`], [`tls`], [`cold`], [`disk`], [`idle`] with [`memory`] (how each kind of row is measured),
//! [`samples`] and [`report`] (what comes out), [`interrupt`].

mod cold;
mod contestant;
mod disk;
mod field;
mod hits;
mod idle;
mod interrupt;
mod machine;
mod memory;
mod ports;
mod process;
mod programs;
mod report;
mod rows;
mod samples;
mod texts;
mod tls;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{
    cold::Cold,
    contestant::{Contestant, Program},
    field::Field,
    machine::Machine,
    process::Running,
    programs::Found,
    report::Report,
    rows::{Row, Work},
    samples::{Sample, Samples},
};
use crate::target;

/// Options of `compare`.
#[derive(Debug, Args)]
#[command(after_help = rows::help())]
pub(crate) struct Options {
    /// The Outpost to measure; without it outpost-proxy beside this program.
    #[arg(long, value_name = "FILE")]
    outpost: Option<PathBuf>,
    /// The nginx to compare with; without it the one of PATH.
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// The varnishd to compare with; without it the one of PATH.
    #[arg(long, value_name = "FILE")]
    varnish: Option<PathBuf>,
    /// Rows or groups of rows, separated by commas; they are listed below.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    rows: Vec<String>,
    /// Leave these out: outpost, nginx, varnish, limit.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without: Vec<String>,
    /// How often everybody has their turn; rows that take long have fewer.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How long a turn is, where it is bound by time.
    #[arg(long, default_value = "1s", value_parser = target::duration)]
    duration: Duration,
    /// Processor of the servers; without it the first.
    #[arg(long, value_name = "CPU")]
    server_cpu: Option<usize>,
    /// Processors of load and origin; without it all others.
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    load_cpu: Vec<usize>,
    /// Work in this directory and leave configurations, logs and caches there; without it a temporary one is made and removed.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write the table to this file too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write everything, each single run too, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Each program with its version, or with why it is missing.
type Said = Vec<(Program, Result<String, String>)>;

/// Measures, and prints the table.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let rows = rows::choose(&options.rows).map_err(anyhow::Error::msg)?;
    if let Some(name) = options.without.iter().find(|name| !is_somebody(name)) {
        bail!("there is no '{name}' to leave out; there are outpost, nginx, varnish and limit");
    }
    let machine = Machine::look(options.server_cpu, &options.load_cpu)?;
    let temporary = options.keep.is_none().then(tempfile::tempdir).transpose().context("cannot make a directory")?;
    let directory = match (&options.keep, &temporary) {
        (Some(directory), _) => made(directory)?,
        (None, Some(directory)) => directory.path().to_path_buf(),
        (None, None) => bail!("no directory to work in"),
    };
    let running = Running::default();
    interrupt::watch(running.clone(), temporary.is_some().then(|| directory.clone()))?;
    let (programs, found) = options.programs();
    let mut field = Field::new(machine.clone(), &directory, found, running)?;
    let mut report = Report {
        machine,
        programs,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        runs: options.runs,
        seconds: options.duration.as_secs_f64(),
        rows: Vec::new(),
        notes: Vec::new(),
    };
    for row in rows {
        eprintln!("{}: {}", row.name, row.title);
        let samples = options.row(&mut field, row, &mut report.notes);
        report.rows.push((row, samples));
    }
    drop(field);
    options.write(&report)
}

impl Options {
    /// What there is to start, and what is to be said of each program.
    fn programs(&self) -> (Said, BTreeMap<Program, Found>) {
        let (mut said, mut found) = (Vec::new(), BTreeMap::new());
        for program in Program::ALL {
            let given = match program {
                Program::Outpost => self.outpost.as_deref(),
                Program::Nginx => self.nginx.as_deref(),
                Program::Varnish => self.varnish.as_deref(),
            };
            let left_out = self.without.iter().any(|name| name == program.name());
            let looked = if left_out { Err("left out".to_owned()) } else { programs::find(program, given) };
            said.push((program, looked.as_ref().map(|it| it.version.clone()).map_err(Clone::clone)));
            found.extend(looked.ok().map(|it| (program, it)));
        }
        (said, found)
    }

    /// All runs of a row, everybody in turn. Who fails is noted and has no further turn in it.
    fn row(&self, field: &mut Field, row: &'static Row, notes: &mut Vec<String>) -> Samples {
        let mut samples = Samples::default();
        let leaves_limit = self.without.iter().any(|name| name == Contestant::Limit.key());
        let takes_part = |one: &Contestant| field.has(*one) && !(leaves_limit && *one == Contestant::Limit);
        let mut contestants: Vec<_> = row.contestants.iter().copied().filter(takes_part).collect();
        if row.is_fresh {
            field.clear();
        }
        for _ in 0..self.runs.min(row.runs_max) {
            contestants.retain(|&contestant| match self.turn(field, row.work, contestant) {
                Ok(sample) => {
                    samples.add(contestant, sample);
                    true
                }
                Err(error) => {
                    let note = format!("{}, {}: {error:#}", row.name, contestant.key());
                    eprintln!("  {note}");
                    notes.push(note);
                    false
                }
            });
        }
        samples
    }

    fn turn(&self, field: &mut Field, work: Work, contestant: Contestant) -> anyhow::Result<Sample> {
        match work {
            Work::Hits { size, clients } => hits::run(field, contestant, (size, clients), self.duration),
            Work::Tls { size, clients } => tls::run(field, contestant, (size, clients), self.duration),
            Work::Cold { size, clients, rate } => cold::run(field, contestant, Cold { size, clients, rate }),
            Work::Disk { readers } => disk::run(field, contestant, readers, self.duration),
            Work::Idle { clients } => idle::run(field, contestant, clients),
        }
    }

    fn write(&self, report: &Report) -> anyhow::Result<()> {
        let table = report.markdown();
        print!("{table}");
        let write =
            |path: &Path, text: &str| fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
        if let Some(path) = &self.markdown {
            write(path, &table)?;
        }
        if let Some(path) = &self.json {
            write(path, &format!("{:#}\n", report.json()))?;
        }
        Ok(())
    }
}

fn is_somebody(name: &str) -> bool {
    name == Contestant::Limit.key() || Program::ALL.iter().any(|program| program.name() == name)
}

/// A directory that is there and has an absolute name: servers are started elsewhere.
fn made(directory: &Path) -> anyhow::Result<PathBuf> {
    let cannot = || format!("cannot work in {}", directory.display());
    fs::create_dir_all(directory).with_context(cannot)?;
    directory.canonicalize().with_context(cannot)
}
