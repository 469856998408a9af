//! `load`: a closed loop of clients, each asking again as soon as it has its answer.

mod report;
mod worker;

use std::{
    path::PathBuf,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{
    report::Report,
    worker::{Plan, Tally, Worker},
};
use crate::{
    server_cpu::{ServerPids, between},
    target::{self, Targets},
};

/// Options of `load`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to ask for; repeat it to go round several. All must be of one server.
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// A file of URLs, one per line.
    #[arg(long = "urls", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Header of every request, for example "Range: bytes=0-99"; repeatable.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// How long to measure: 10s, 500ms, 2m.
    #[arg(long, default_value = "10s", value_parser = target::duration, conflicts_with = "requests")]
    duration: Duration,
    /// Measure this many requests instead of a time.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Time before it counts.
    #[arg(long, default_value = "0s", value_parser = target::duration)]
    warmup: Duration,
    /// Threads of this client.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Processors to pin the threads to, in turn: --cpu 1 or --cpu 2,3.
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    cpu: Vec<usize>,
    #[command(flatten)]
    server: ServerPids,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs it and prints what was measured.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut urls = options.urls.clone();
    if let Some(list) = &options.list {
        urls.extend(target::read_list(list).with_context(|| format!("cannot read {}", list.display()))?);
    }
    let report = measure(options, Targets::new(&urls, &options.headers)?)?;
    if options.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    if report.tally.latency.count() == 0 && report.tally.bytes == 0 {
        bail!("no request was answered{}", report.first_failure());
    }
    Ok(())
}

/// Connects everybody, starts them together, and samples the server around what counts.
fn measure(options: &Options, targets: Targets) -> anyhow::Result<Report> {
    let address = targets.address().with_context(|| format!("cannot find {}", targets.authority))?;
    let threads = u32::from(options.threads).min(options.clients);
    let plan = Arc::new(Plan {
        targets,
        address,
        counting: AtomicBool::new(options.warmup.is_zero()),
        stop: AtomicBool::new(false),
        left: AtomicU64::new(options.requests.unwrap_or(u64::MAX)),
        start: Barrier::new(threads as usize + 1),
    });
    // Nothing is ever sent: that all senders are gone says that all workers have ended.
    let (running, ended) = mpsc::channel::<()>();
    let mut workers = Vec::new();
    for number in 0..threads {
        let clients = (0..options.clients).filter(|client| client % threads == number).collect();
        let worker = Worker::connect(plan.clone(), clients).with_context(|| format!("cannot connect to {address}"))?;
        let cpu = (!options.cpu.is_empty()).then(|| options.cpu[number as usize % options.cpu.len()]);
        workers.push(thread::Builder::new().name(format!("load-{number}")).spawn({
            let running = running.clone();
            move || {
                let _running = running;
                worker.run(cpu)
            }
        })?);
    }
    drop(running);
    plan.start.wait();
    let _ = ended.recv_timeout(options.warmup);
    let (server_before, own_before) = (options.server.sample()?, os::process::own_cpu_time());
    let began = Instant::now();
    plan.counting.store(true, Relaxed);
    // By requests the workers end by themselves; by time the samples must not wait for the slowest of them.
    if options.requests.is_none() {
        let _ = ended.recv_timeout(options.duration);
        plan.stop.store(true, Relaxed);
    } else {
        let _ = ended.recv();
    }
    let elapsed = began.elapsed();
    let (server_after, own_after) = (options.server.sample()?, os::process::own_cpu_time());
    let mut tally = Tally::new();
    for worker in workers {
        tally.merge(&worker.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??);
    }
    Ok(Report {
        clients: options.clients,
        threads,
        elapsed,
        tally,
        server: between(server_before, server_after),
        own: own_after.since(own_before),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::limit::{Answer, Way, serve};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    /// A server that ends with the test program.
    fn server(way: Way, size: u64) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        thread::spawn(move || serve(&listener, &Answer::new(way, size).unwrap(), None).unwrap());
        url
    }

    fn load(url: &str, more: &[&str]) -> Report {
        let options = Cli::parse_from(["load", "--url", url].iter().chain(more)).options;
        measure(&options, Targets::new(&options.urls, &options.headers).unwrap()).unwrap()
    }

    #[test]
    fn exactly_the_requests_asked_for_are_made() {
        for (way, size) in [(Way::Send, 0), (Way::Send, 100), (Way::Sendfile, 300_000), (Way::Send, 3_000_000)] {
            let report = load(&server(way, size), &["--requests", "333", "--clients", "7", "--threads", "2"]);
            assert_eq!(report.tally.latency.count(), 333);
            assert_eq!(report.tally.statuses[&200], 333);
            assert_eq!(report.tally.bytes, 333 * size);
            assert!(report.tally.failures.is_empty(), "{:?}", report.tally.failures);
        }
    }

    #[test]
    fn a_server_that_ends_each_connection_is_measured_too() {
        use std::io::{Read, Write};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let _ = socket.read(&mut [0; 1000]);
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab");
            }
        });
        let report = load(&url, &["--requests", "20", "--clients", "1"]);
        assert_eq!((report.tally.latency.count(), report.tally.reconnects), (20, 20));
    }

    #[test]
    fn a_server_that_never_answers_right_ends_the_run() {
        use std::io::Read;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let _ = socket.unwrap().read(&mut [0; 1000]);
            }
        });
        let report = load(&url, &["--clients", "3", "--duration", "1m"]);
        assert_eq!(report.tally.latency.count(), 0);
        assert!(report.first_failure().contains("before answering"), "{}", report.first_failure());
    }
}
