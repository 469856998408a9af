//! `cold`: many clients at once on one file, each measured on its own.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::digest::{Md5, Md5Hasher};
use serde_json::{Value, json};

use crate::{
    exchange::{Exchange, Progress, Scratch, connect},
    histogram::Histogram,
    poll::{Interest, Poll},
    response::Head,
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

/// One client and when what came to it, counted from the common start.
struct Client {
    socket: TcpStream,
    exchange: Exchange,
    waits_for: Interest,
    /// The first byte of the head.
    answered: Option<Duration>,
    /// The first byte of the body.
    first: Option<Duration>,
    /// The last byte, or why it did not come.
    ended: Option<Result<(Head, Duration), String>>,
}

/// All clients of a run.
struct Run {
    poll: Poll,
    clients: Vec<Client>,
    request: Vec<u8>,
    scratch: Scratch,
    /// Fed by the first client only.
    hasher: Option<Md5Hasher>,
    began: Instant,
    open: usize,
}

/// Runs it, prints what was measured, and fails if any client did not get the whole file.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let targets = Targets::new(std::slice::from_ref(&options.url), &[])?;
    if let Some(cpu) = options.cpu {
        os::process::pin_thread(cpu).with_context(|| format!("cannot pin to processor {cpu}"))?;
    }
    let mut run = Run::connect(&targets, options)?;
    let before = options.server.sample()?;
    run.fetch(options.stall)?;
    let cpu = between(before, options.server.sample()?);
    let digest = run.hasher.take().map(Md5Hasher::finish);
    let mut report = run.report();
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
    run.check()?;
    digest.map_or(Ok(()), |found| run.check_digest(found, options.md5.as_ref().and_then(Option::as_deref)))
}

impl Run {
    /// Everybody is connected before anybody asks.
    fn connect(targets: &Targets, options: &Options) -> anyhow::Result<Self> {
        let address = targets.address().with_context(|| format!("cannot find {}", targets.authority))?;
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(options.clients as usize);
        for number in 0..options.clients as usize {
            let socket = connect(&address).with_context(|| format!("cannot connect to {address}"))?;
            poll.add(&socket, number, Interest::Read)?;
            clients.push(Client::new(socket));
        }
        let mut request = Vec::new();
        targets.write_request(0, &mut request);
        let hasher = options.md5.as_ref().map(|_| Md5Hasher::default());
        let open = clients.len();
        Ok(Self { poll, clients, request, scratch: Scratch::new(), hasher, began: Instant::now(), open })
    }

    /// Asks for all and receives until all have ended.
    fn fetch(&mut self, stall: Duration) -> anyhow::Result<()> {
        self.began = Instant::now();
        for number in 0..self.clients.len() {
            self.drive(number)?;
        }
        let mut ready = Vec::new();
        let mut last_byte = Instant::now();
        while self.open > 0 {
            self.poll.wait(Some(stall), &mut ready)?;
            if !ready.is_empty() {
                last_byte = Instant::now();
            } else if last_byte.elapsed() >= stall {
                bail!("{} of {} clients got no byte for {stall:?}", self.open, self.clients.len());
            }
            for number in &ready {
                self.drive(*number)?;
            }
        }
        Ok(())
    }

    fn drive(&mut self, number: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[number];
        if client.ended.is_some() {
            return Ok(());
        }
        let hasher = if number == 0 { self.hasher.as_mut() } else { None };
        let progress = client.exchange.drive(&client.socket, &self.request, &mut self.scratch, hasher);
        let now = self.began.elapsed();
        client.note(now);
        let wanted = match progress {
            Ok(Progress::Read) => Interest::Read,
            Ok(Progress::Write) => Interest::Write,
            Ok(Progress::Done(head)) => return self.end(number, Ok((head, now))),
            Err(failure) => return self.end(number, Err(failure.to_string())),
        };
        if client.waits_for != wanted {
            client.waits_for = wanted;
            self.poll.change(&client.socket, number, wanted)?;
        }
        Ok(())
    }

    /// Its connection is kept open, for closing it may be what the server waits for to give a place to another.
    fn end(&mut self, number: usize, how: Result<(Head, Duration), String>) -> anyhow::Result<()> {
        let client = &mut self.clients[number];
        client.ended = Some(how);
        self.open -= 1;
        self.poll.remove(&client.socket)?;
        Ok(())
    }

    fn report(&self) -> Value {
        let (mut answered, mut first, mut done) = (Histogram::new(), Histogram::new(), Histogram::new());
        let mut statuses = std::collections::BTreeMap::<String, u64>::new();
        let mut bytes = 0;
        for client in &self.clients {
            client.answered.iter().for_each(|at| answered.record(*at));
            client.first.iter().for_each(|at| first.record(*at));
            match &client.ended {
                Some(Ok((head, at))) => {
                    done.record(*at);
                    bytes += head.length;
                    *statuses.entry(head.status.to_string()).or_default() += 1;
                }
                Some(Err(failure)) => *statuses.entry(failure.clone()).or_default() += 1,
                None => {}
            }
        }
        json!({
            "clients": self.clients.len(),
            "bytes": bytes,
            "ends": statuses,
            "answer_seconds": spread(&answered),
            "first_byte_seconds": spread(&first),
            "complete_seconds": spread(&done),
        })
    }

    /// Everybody must have got a 200 or 206 of the same length.
    fn check(&self) -> anyhow::Result<()> {
        let complete = self.clients.iter().filter_map(|client| match &client.ended {
            Some(Ok((head, _))) if matches!(head.status, 200 | 206) => Some(head.length),
            _ => None,
        });
        let lengths: Vec<_> = complete.collect();
        if lengths.len() != self.clients.len() {
            bail!("{} of {} clients did not get the file", self.clients.len() - lengths.len(), self.clients.len());
        }
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            bail!("the clients got files of different lengths");
        }
        Ok(())
    }

    /// What the first client got must be what was wanted, or what the server claims.
    fn check_digest(&self, found: Md5, wanted: Option<&str>) -> anyhow::Result<()> {
        let claimed = match &self.clients[0].ended {
            Some(Ok((head, _))) => head.md5,
            _ => None,
        };
        match (wanted, claimed) {
            (Some(wanted), _) if wanted.eq_ignore_ascii_case(&found.to_string()) => Ok(()),
            (Some(wanted), _) => bail!("the content has the MD5 {found}, not {wanted}"),
            (None, Some(claimed)) if claimed == found => Ok(()),
            (None, Some(claimed)) => bail!("the content has the MD5 {found}, but the server claims {claimed}"),
            (None, None) => bail!("the answer claims no MD5 to verify {found} with; give it with --md5 HEX"),
        }
    }
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        let exchange = Exchange::new();
        Self { socket, exchange, waits_for: Interest::Read, answered: None, first: None, ended: None }
    }

    /// Takes note of what came for the first time.
    fn note(&mut self, now: Duration) {
        if self.exchange.answered() {
            self.answered.get_or_insert(now);
        }
        if self.exchange.body().is_some_and(|(_, received)| received > 0) {
            self.first.get_or_insert(now);
        }
    }
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
