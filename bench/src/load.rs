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

pub(crate) use self::report::{GB, Report};
use self::worker::{Plan, Tally, Worker};
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
    /// Time from an answer to the client's next request: for a load that a faster server does not make larger.
    #[arg(long, default_value = "0s", value_parser = target::duration)]
    think: Duration,
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

/// A load to be run.
pub(crate) struct Job {
    pub(crate) targets: Targets,
    /// Connections, each with one request at a time.
    pub(crate) clients: u32,
    pub(crate) threads: u16,
    /// Processors to pin the threads to, in turn; none: where they are.
    pub(crate) cpus: Vec<usize>,
    /// Time before it counts.
    pub(crate) warmup: Duration,
    /// Time from an answer to the client's next request.
    pub(crate) think: Duration,
    pub(crate) until: Until,
    pub(crate) server: ServerPids,
}

/// When a load ends.
pub(crate) enum Until {
    /// After this time.
    Time(Duration),
    /// After so many requests.
    Requests(u64),
    /// When the sender is gone, or after this time.
    Told(mpsc::Receiver<()>, Duration),
}

/// Runs it and prints what was measured.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = measure(options.job()?)?;
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

impl Options {
    fn job(&self) -> anyhow::Result<Job> {
        let mut urls = self.urls.clone();
        if let Some(list) = &self.list {
            urls.extend(target::read_list(list).with_context(|| format!("cannot read {}", list.display()))?);
        }
        Ok(Job {
            targets: Targets::new(&urls, &self.headers)?,
            clients: self.clients,
            threads: self.threads,
            cpus: self.cpu.clone(),
            warmup: self.warmup,
            think: self.think,
            until: self.requests.map_or(Until::Time(self.duration), Until::Requests),
            server: self.server.clone(),
        })
    }
}

/// Connects everybody, starts them together, and samples the server around what counts.
pub(crate) fn measure(job: Job) -> anyhow::Result<Report> {
    let address = job.targets.address().with_context(|| format!("cannot find {}", job.targets.authority))?;
    let threads = u32::from(job.threads).min(job.clients);
    let plan = Arc::new(Plan {
        targets: job.targets,
        address,
        counting: AtomicBool::new(job.warmup.is_zero()),
        stop: AtomicBool::new(false),
        think: job.think,
        left: AtomicU64::new(if let Until::Requests(number) = job.until { number } else { u64::MAX }),
        start: Barrier::new(threads as usize + 1),
    });
    // Nothing is ever sent: that all senders are gone says that all workers have ended.
    let (running, ended) = mpsc::channel::<()>();
    let mut workers = Vec::new();
    for number in 0..threads {
        let clients = (0..job.clients).filter(|client| client % threads == number).collect();
        let worker = Worker::connect(plan.clone(), clients).with_context(|| format!("cannot connect to {address}"))?;
        let cpu = (!job.cpus.is_empty()).then(|| job.cpus[number as usize % job.cpus.len()]);
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
    let _ = ended.recv_timeout(job.warmup);
    let (server_before, own_before) = (job.server.sample()?, os::process::own_cpu_time());
    let began = Instant::now();
    plan.counting.store(true, Relaxed);
    wait(&job.until, &ended);
    plan.stop.store(true, Relaxed);
    let elapsed = began.elapsed();
    let (server_after, own_after) = (job.server.sample()?, os::process::own_cpu_time());
    let mut tally = Tally::new();
    for worker in workers {
        tally.merge(&worker.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??);
    }
    Ok(Report {
        clients: job.clients,
        threads,
        elapsed,
        tally,
        server: between(server_before, server_after),
        own: own_after.since(own_before),
    })
}

/// By requests the workers end by themselves; by time the samples must not wait for the slowest of them.
fn wait(until: &Until, ended: &mpsc::Receiver<()>) {
    match until {
        Until::Time(duration) => _ = ended.recv_timeout(*duration),
        Until::Requests(_) => _ = ended.recv(),
        Until::Told(told, longest) => _ = told.recv_timeout(*longest),
    }
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
        measure(options.job().unwrap()).unwrap()
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
    fn clients_that_think_ask_as_often_as_they_are_told_to() {
        let more = ["--requests", "60", "--clients", "3", "--think", "1ms"];
        let report = load(&server(Way::Send, 100), &more);
        assert_eq!((report.tally.latency.count(), report.tally.bytes), (60, 6000));
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
