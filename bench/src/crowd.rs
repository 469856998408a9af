//! Many clients that ask at once, each measured on its own: when its answer began, when the first byte of its body came, and the last.

use std::{
    collections::BTreeMap,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use protocol::digest::Md5;

use crate::{
    exchange::{Check, Exchange, Progress, Scratch, connect},
    histogram::Histogram,
    poll::{Interest, Poll},
    response::Head,
    target::Targets,
};

/// One client and when what came to it, counted from the common start.
struct Client {
    socket: TcpStream,
    exchange: Exchange,
    check: Option<Check>,
    waits_for: Interest,
    /// The first byte of the head.
    answered: Option<Duration>,
    /// The first byte of the body.
    first: Option<Duration>,
    /// The last byte, or why it did not come.
    ended: Option<Result<(Head, Duration), String>>,
}

/// All clients of a run.
pub(crate) struct Crowd {
    poll: Poll,
    clients: Vec<Client>,
    targets: Targets,
    request: Vec<u8>,
    scratch: Scratch,
    began: Instant,
    open: usize,
}

/// What they saw.
pub(crate) struct Summary {
    pub(crate) clients: usize,
    /// Bytes of the bodies that came whole.
    pub(crate) bytes: u64,
    /// How the exchanges ended: by status, or by what failed.
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) answered: Histogram,
    pub(crate) first: Histogram,
    pub(crate) done: Histogram,
}

impl Crowd {
    /// Everybody is connected before anybody asks.
    pub(crate) fn connect(targets: Targets, clients: u32) -> anyhow::Result<Self> {
        let address = targets.address().with_context(|| format!("cannot find {}", targets.authority))?;
        let poll = Poll::new()?;
        let mut all = Vec::with_capacity(clients as usize);
        for number in 0..clients as usize {
            let socket = connect(&address).with_context(|| format!("cannot connect to {address}"))?;
            poll.add(&socket, number, Interest::Read)?;
            all.push(Client::new(socket));
        }
        let open = all.len();
        let (request, scratch) = (Vec::new(), Scratch::new());
        Ok(Self { poll, clients: all, targets, request, scratch, began: Instant::now(), open })
    }

    /// Has one of them look at what it gets.
    pub(crate) fn check(&mut self, client: usize, check: Check) {
        self.clients[client].check = Some(check);
    }

    /// The checks, with the numbers of their clients.
    pub(crate) fn take_checks(&mut self) -> Vec<(usize, Check)> {
        let checks = self.clients.iter_mut().enumerate().map(|(number, client)| Some((number, client.check.take()?)));
        checks.flatten().collect()
    }

    /// When they asked.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Asks for all (for the paths in turn) and receives until all have ended.
    pub(crate) fn fetch(&mut self, stall: Duration) -> anyhow::Result<()> {
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
        if client.exchange.is_unsent() {
            self.targets.write_request(number, &mut self.request);
        }
        let progress = client.exchange.drive(&client.socket, &self.request, &mut self.scratch, client.check.as_mut());
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

    /// What was seen so far.
    pub(crate) fn summary(&self) -> Summary {
        let (mut answered, mut first, mut done) = (Histogram::new(), Histogram::new(), Histogram::new());
        let mut ends = BTreeMap::<String, u64>::new();
        let mut bytes = 0;
        for client in &self.clients {
            client.answered.iter().for_each(|at| answered.record(*at));
            client.first.iter().for_each(|at| first.record(*at));
            match &client.ended {
                Some(Ok((head, at))) => {
                    done.record(*at);
                    bytes += head.length;
                    *ends.entry(head.status.to_string()).or_default() += 1;
                }
                Some(Err(failure)) => *ends.entry(failure.clone()).or_default() += 1,
                None => {}
            }
        }
        Summary { clients: self.clients.len(), bytes, ends, answered, first, done }
    }

    /// Everybody must have got a 200 or 206, all of the same length; answers it.
    pub(crate) fn require_all(&self) -> anyhow::Result<u64> {
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
        Ok(lengths.first().copied().unwrap_or(0))
    }

    /// The digest that the answer to the first client claims.
    pub(crate) fn claimed(&self) -> Option<Md5> {
        match self.clients.first()?.ended.as_ref()? {
            Ok((head, _)) => head.md5,
            Err(_) => None,
        }
    }
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        let exchange = Exchange::new();
        Self { socket, exchange, check: None, waits_for: Interest::Read, answered: None, first: None, ended: None }
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
