//! `traces`: request traces replayed against the store's eviction policy and against others'.
//!
//! In reading order: [`trace`] (what a trace is), [`format`] and [`input`] (where it comes from), [`synthetic`] (or is made up), [`policies`],
//! [`replay`] (a policy at a size), [`report`] (who is best, as tables and as JSON) and [`plot`].

mod format;
mod input;
mod plot;
mod policies;
mod replay;
mod report;
mod synthetic;
mod trace;

use std::{
    fs,
    num::NonZero,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{
    format::Format,
    replay::{Counts, Kind},
    report::{AtSize, Report, Section},
    synthetic::Synthetic,
    trace::{Changed, Trace},
};

/// Options of `traces`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Request traces, plain or compressed (.xz, .zst).
    #[arg(value_name = "FILE", required_unless_present = "synthetic")]
    files: Vec<PathBuf>,
    /// How the files are written; without it their names tell.
    #[arg(long)]
    format: Option<Format>,
    /// What a request is that names a known object with another size.
    #[arg(long, value_enum, default_value_t)]
    changed: Changed,
    /// Made-up traces too, separated by commas.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    synthetic: Vec<Synthetic>,
    /// Requests of a made-up trace.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    requests: u64,
    /// Sizes of the cache, in percent of the bytes of all objects of a trace.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0.1,1,5,10,25", value_parser = percent)]
    sizes: Vec<f64>,
    /// Only one of several parts of equal length of each trace, such as 2/3.
    #[arg(long, value_name = "PART/OF", value_parser = part)]
    part: Option<(usize, usize)>,
    /// Only these policies, separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    policies: Vec<Kind>,
    /// The seed of the store's sampling, and of the made-up traces.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Replays at a time; without it one per processor.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// In tables and the plot, show by how many percentage points each is better than this policy, instead of its hit ratios.
    #[arg(long, value_name = "NAME")]
    above: Option<Kind>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw what the tables have of bytes into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Replays, and prints who kept what.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let mut report = Report { command, above: options.above, sections: Vec::new() };
    if let Some(kind) = options.above.filter(|kind| !options.kinds().contains(kind)) {
        bail!("'{}' is to be compared with and takes no part: name it in --policies too", kind.id());
    }
    for path in &options.files {
        let trace = input::read(path, options.format, options.changed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default();
        report.sections.push(options.section(name, trace));
    }
    for kind in &options.synthetic {
        let trace = kind.trace(options.requests, options.seed);
        report.sections.push(options.section(kind.name(), trace));
    }
    if let Some(path) = &options.plot {
        let drawn = plot::svg(&report.sections, options.above);
        fs::write(path, drawn).with_context(|| format!("cannot write the plot {}", path.display()))?;
    }
    if options.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.tables());
    }
    Ok(())
}

impl Options {
    fn kinds(&self) -> &[Kind] {
        if self.policies.is_empty() { &Kind::ALL } else { &self.policies }
    }

    /// All policies at all sizes.
    fn section(&self, name: &str, trace: Trace) -> Section {
        let trace = self.part.map_or_else(|| trace.clone(), |(part, of)| trace.part(part, of));
        let unique = trace.unique_bytes();
        eprintln!("{name}: {} requests for {} objects", trace.requests.len(), trace.sizes.len());
        let rooms = self.sizes.iter().map(|percent| (*percent, ((unique as f64 * percent / 100.0) as u64).max(1)));
        let rooms: Vec<(f64, u64)> = rooms.collect();
        let jobs: Vec<(u64, Kind)> =
            rooms.iter().flat_map(|(_, room)| self.kinds().iter().map(|kind| (*room, *kind))).collect();
        let mut outcomes = self.replay_all(&trace, &jobs).into_iter();
        let sized = rooms.iter().map(|(percent, room)| AtSize {
            percent: *percent,
            room: *room,
            outcomes: self.kinds().iter().copied().zip(&mut outcomes).collect(),
        });
        Section {
            name: name.to_owned(),
            requests: trace.requests.len(),
            objects: trace.sizes.len(),
            asked_bytes: trace.asked_bytes(),
            unique_bytes: unique,
            sizes: sized.collect(),
        }
    }

    /// Each job by whoever of a few threads is free; the outcomes in the order of the jobs.
    fn replay_all(&self, trace: &Trace, jobs: &[(u64, Kind)]) -> Vec<Counts> {
        let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(vec![Counts::default(); jobs.len()]));
        let threads = self.threads.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let work = || {
            while let Some((at, (room, kind))) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                jobs.get(at).map(|job| (at, job))
            } {
                let counts = replay::replay(trace, *kind, *room, self.seed);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner)[at] = counts;
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if percent > 0.0 && percent <= 1000.0 { Ok(percent) } else { Err("more than 0 and at most 1000".to_owned()) }
}

fn part(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    parsed.filter(|(part, of)| 1 <= *part && part <= of).ok_or_else(|| format!("'{text}' is no part such as 2/3"))
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

    fn options(line: &[&str]) -> Options {
        Line::try_parse_from([&["traces"], line].concat()).expect("a command line").options
    }

    #[test]
    fn outcomes_stand_where_their_jobs_stood() {
        let options =
            options(&["--synthetic", "zipf09", "--sizes", "1,50", "--policies", "lru,fifo", "--threads", "3"]);
        let trace = Synthetic::Zipf09.trace(4000, 1);
        let section = options.section("one", trace.clone());
        for sized in &section.sizes {
            for (kind, counts) in &sized.outcomes {
                assert_eq!(*counts, replay::replay(&trace, *kind, sized.room, 7), "{kind:?} at {}", sized.percent);
            }
        }
        assert_eq!(section.sizes.iter().map(|sized| sized.outcomes.len()).collect::<Vec<_>>(), [2, 2]);
        assert!(section.sizes[0].room < section.sizes[1].room);
    }

    #[test]
    fn what_is_no_part_and_no_percent_is_refused() {
        assert_eq!(part("2/3"), Ok((2, 3)));
        for wrong in ["0/3", "4/3", "2", "a/b"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "NaN", "x", "1001"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert!(Line::try_parse_from(["traces"]).is_err(), "no trace at all");
    }
}
