//! `cold`: many clients at once on one file, each measured on its own.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::digest::{Md5, Md5Hasher};
use serde_json::{Value, json};

use crate::{
    crowd::{Crowd, Summary},
    exchange::Check,
    histogram::Histogram,
    server_cpu::{ServerPids, between},
    target::{self, Targets},
};

/// Options of `cold`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The file.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Clients that ask at once.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Verify the content: one of the clients hashes what it gets. Without a value, compares with the answer's Repr-Digest.
    #[arg(long, value_name = "HEX", num_args = 0..=1)]
    md5: Option<Option<String>>,
    /// Give up after this time without any byte for anybody.
    #[arg(long, default_value = "30s", value_parser = target::duration)]
    stall: Duration,
    /// Processor to pin this client to.
    #[arg(long, value_name = "CPU")]
    cpu: Option<usize>,
    #[command(flatten)]
    server: ServerPids,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs it, prints what was measured, and fails if any client did not get the whole file.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let targets = Targets::new(std::slice::from_ref(&options.url), &[])?;
    if let Some(cpu) = options.cpu {
        os::process::pin_thread(cpu).with_context(|| format!("cannot pin to processor {cpu}"))?;
    }
    let mut crowd = Crowd::connect(targets, options.clients)?;
    if options.md5.is_some() {
        crowd.check(0, Check::Md5(Md5Hasher::default()));
    }
    let before = options.server.sample()?;
    crowd.fetch(options.stall)?;
    let cpu = between(before, options.server.sample()?);
    let digest = crowd.take_checks().into_iter().find_map(|(_, check)| match check {
        Check::Md5(hasher) => Some(hasher.finish()),
        Check::Content(_) => None,
    });
    let mut report = report(&crowd.summary());
    if let Some(cpu) = cpu {
        report["server_cpu_seconds"] = cpu.total().as_secs_f64().into();
    }
    if let Some(digest) = digest {
        report["md5"] = digest.to_string().into();
    }
    if options.json {
        println!("{report:#}");
    } else {
        print!("{}", table(&report));
    }
    crowd.require_all()?;
    digest.map_or(Ok(()), |found| check_digest(found, options.md5.as_ref().and_then(Option::as_deref), crowd.claimed()))
}

/// What the first client got must be what was wanted, or what the server claims.
fn check_digest(found: Md5, wanted: Option<&str>, claimed: Option<Md5>) -> anyhow::Result<()> {
    match (wanted, claimed) {
        (Some(wanted), _) if wanted.eq_ignore_ascii_case(&found.to_string()) => Ok(()),
        (Some(wanted), _) => bail!("the content has the MD5 {found}, not {wanted}"),
        (None, Some(claimed)) if claimed == found => Ok(()),
        (None, Some(claimed)) => bail!("the content has the MD5 {found}, but the server claims {claimed}"),
        (None, None) => bail!("the answer claims no MD5 to verify {found} with; give it with --md5 HEX"),
    }
}

fn report(summary: &Summary) -> Value {
    json!({
        "clients": summary.clients,
        "bytes": summary.bytes,
        "ends": summary.ends,
        "answer_seconds": spread(&summary.answered),
        "first_byte_seconds": spread(&summary.first),
        "complete_seconds": spread(&summary.done),
    })
}

fn spread(histogram: &Histogram) -> Value {
    json!({
        "min": histogram.min().as_secs_f64(),
        "median": histogram.quantile(0.5).as_secs_f64(),
        "p99": histogram.quantile(0.99).as_secs_f64(),
        "max": histogram.max().as_secs_f64(),
    })
}

/// The report for people.
fn table(report: &Value) -> String {
    let mut text = format!("clients         {}\nbodies          {} bytes\n", report["clients"], report["bytes"]);
    text += "milliseconds           min     median        p99        max\n";
    for (name, key) in
        [("answer", "answer_seconds"), ("first byte", "first_byte_seconds"), ("complete", "complete_seconds")]
    {
        text += &format!("{name:<15}");
        for part in ["min", "median", "p99", "max"] {
            text += &format!(" {:>10.2}", report[key][part].as_f64().unwrap_or(0.0) * 1e3);
        }
        text += "\n";
    }
    for (end, count) in report["ends"].as_object().into_iter().flatten() {
        text += &format!("ends            {count}: {end}\n");
    }
    if let Some(md5) = report["md5"].as_str() {
        text += &format!("md5             {md5}\n");
    }
    if let Some(seconds) = report["server_cpu_seconds"].as_f64() {
        text += &format!("server cpu      {seconds:.2} s\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use clap::Parser;

    use super::*;
    use crate::limit::{Answer, Way, serve};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn cold(more: &[&str]) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        thread::spawn(move || serve(&listener, &Answer::new(Way::Sendfile, 1_000_000).unwrap(), None).unwrap());
        run(&Cli::parse_from(["cold", "--url", &url, "--clients", "20"].iter().chain(more)).options)
    }

    #[test]
    fn everybody_gets_the_whole_file() {
        let md5 = Md5::of(&vec![b'x'; 1_000_000]).to_string();
        cold(&["--md5", &md5]).unwrap();
    }

    #[test]
    fn wrong_content_is_an_error() {
        let error = cold(&["--md5", &Md5::of(b"other").to_string()]).unwrap_err().to_string();
        assert!(error.contains("the content has the MD5"), "{error}");
        assert!(cold(&["--md5"]).unwrap_err().to_string().contains("claims no MD5"));
    }

    #[test]
    fn the_table_shows_milliseconds() {
        let mut seen = Histogram::new();
        seen.record(Duration::from_millis(1500));
        let shown =
            table(&json!({ "clients": 1, "bytes": 5, "complete_seconds": spread(&seen), "ends": { "200": 1 } }));
        assert!(shown.contains("complete           1500.00"), "{shown}");
        assert!(shown.contains("1: 200"), "{shown}");
    }
}
