//! One thread of the load: its share of the clients, and what they saw.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    exchange::{Exchange, Failure, Progress, Scratch, connect},
    histogram::Histogram,
    poll::{Interest, Poll},
    response::Head,
    target::Targets,
};

/// How often the flags are looked at when nothing happens.
const LOOK_UP: Duration = Duration::from_millis(20);

/// Failures of one client in a row after which the run is given up: the server is gone.
const FAILURES_MAX: u32 = 10;

/// What all threads share.
pub(super) struct Plan {
    pub(super) targets: Targets,
    pub(super) address: SocketAddr,
    /// Whether answers count yet.
    pub(super) counting: AtomicBool,
    pub(super) stop: AtomicBool,
    /// Requests that may still be begun while it counts.
    pub(super) left: AtomicU64,
    /// Time from an answer to the client's next request.
    pub(super) think: Duration,
    /// Passed when everybody is connected.
    pub(super) start: Barrier,
}

/// What was seen while it counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// From the first byte of the request to the last of the answer.
    pub(crate) latency: Histogram,
    /// Bytes of bodies, those of answers cut off by the end of the measurement included: a run may be shorter than one body.
    pub(crate) bytes: u64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Failures by what they say.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Connections made again because the server had closed them.
    pub(crate) reconnects: u64,
}

/// A connection and what it is doing.
struct Client {
    socket: TcpStream,
    exchange: Exchange,
    request: Vec<u8>,
    /// Which URL is next.
    number: usize,
    began: Instant,
    /// Whether the current request is one of those that count.
    counts: bool,
    /// Bytes of the current body that are in the tally.
    tallied: u64,
    /// Answers on this connection: before the first, a close is a failure.
    answers: u64,
    waits_for: Interest,
    /// Whether it has its answer and has not asked again.
    thinks: bool,
    failures: u32,
}

/// The thread.
pub(super) struct Worker {
    plan: Arc<Plan>,
    poll: Poll,
    scratch: Scratch,
    clients: Vec<Option<Client>>,
    /// Clients that think, by when they ask again.
    thinking: BinaryHeap<Reverse<(Instant, usize)>>,
    busy: usize,
    tally: Tally,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            latency: Histogram::new(),
            bytes: 0,
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            reconnects: 0,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.bytes += other.bytes;
        self.reconnects += other.reconnects;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
    }

    fn answer(&mut self, head: &Head, latency: Duration) {
        self.latency.record(latency);
        *self.statuses.entry(head.status).or_default() += 1;
    }
}

impl Worker {
    /// Connects the clients of these numbers.
    pub(super) fn connect(plan: Arc<Plan>, numbers: Vec<u32>) -> io::Result<Self> {
        let poll = Poll::new()?;
        // Spread over the URLs, so that not everybody asks for the same at once.
        let spread = (plan.targets.paths.len() / numbers.len().max(1)).max(1);
        let mut clients = Vec::with_capacity(numbers.len());
        for number in numbers {
            let socket = connect(&plan.address)?;
            poll.add(&socket, clients.len(), Interest::Read)?;
            clients.push(Some(Client::new(socket, number as usize * spread)));
        }
        let busy = clients.len();
        let (scratch, thinking, tally) = (Scratch::new(), BinaryHeap::new(), Tally::new());
        Ok(Self { plan, poll, scratch, clients, thinking, busy, tally })
    }

    /// Until told to stop, or all requests are done.
    pub(super) fn run(mut self, cpu: Option<usize>) -> io::Result<Tally> {
        let pinned = cpu.map_or(Ok(()), os::process::pin_thread);
        self.plan.start.wait();
        pinned?;
        for slot in 0..self.clients.len() {
            if self.begin(slot) {
                self.drive(slot)?;
            }
        }
        let mut ready = Vec::new();
        while self.busy > 0 && !self.plan.stop.load(Relaxed) {
            let now = Instant::now();
            let due = self.thinking.peek().map_or(LOOK_UP, |Reverse((at, _))| at.saturating_duration_since(now));
            self.poll.wait(Some(due.min(LOOK_UP)), &mut ready)?;
            for slot in &ready {
                self.drive(*slot)?;
            }
            self.ask_again()?;
        }
        Ok(self.tally)
    }

    /// Prepares the next request of a client, or ends the client if there is none.
    fn begin(&mut self, slot: usize) -> bool {
        let Some(client) = &mut self.clients[slot] else { return false };
        client.counts = self.plan.counting.load(Relaxed);
        if client.counts && !take_one(&self.plan.left) {
            self.give_up(slot);
            return false;
        }
        self.plan.targets.write_request(client.number, &mut client.request);
        client.number += 1;
        client.exchange = Exchange::new();
        client.thinks = false;
        client.tallied = 0;
        client.began = Instant::now();
        true
    }

    /// Those who have thought long enough.
    fn ask_again(&mut self) -> io::Result<()> {
        while let Some(Reverse((at, slot))) = self.thinking.peek().copied()
            && at <= Instant::now()
        {
            self.thinking.pop();
            if self.begin(slot) {
                self.drive(slot)?;
            }
        }
        Ok(())
    }

    /// Moves a client on, over as many requests as it can without waiting.
    fn drive(&mut self, slot: usize) -> io::Result<()> {
        while self.step(slot)? {}
        Ok(())
    }

    /// Whether there is more to do without waiting.
    fn step(&mut self, slot: usize) -> io::Result<bool> {
        let Some(client) = self.clients[slot].as_mut().filter(|client| !client.thinks) else { return Ok(false) };
        let progress = client.exchange.drive(&client.socket, &client.request, &mut self.scratch, None);
        if let Some((_, received)) = client.exchange.body() {
            // Bytes count by when they come, requests by when they begin.
            if self.plan.counting.load(Relaxed) {
                self.tally.bytes += received - client.tallied;
            }
            client.tallied = received;
        }
        let wanted = match progress {
            Ok(Progress::Done(head)) => {
                client.failures = 0;
                client.answers += 1;
                if client.counts {
                    self.tally.answer(&head, client.began.elapsed());
                }
                client.thinks = !self.plan.think.is_zero();
                let thinks = client.thinks;
                if !head.reusable {
                    self.reconnect(slot)?;
                }
                if thinks {
                    self.thinking.push(Reverse((Instant::now() + self.plan.think, slot)));
                    return Ok(false);
                }
                return Ok(self.begin(slot));
            }
            Ok(Progress::Read) => Interest::Read,
            Ok(Progress::Write) => Interest::Write,
            Err(failure) => return self.failed(slot, &failure),
        };
        if client.waits_for != wanted {
            client.waits_for = wanted;
            self.poll.change(&client.socket, slot, wanted)?;
        }
        Ok(false)
    }

    /// A close between two requests is the server's right: the request is made again. All else counts as a failure.
    fn failed(&mut self, slot: usize, failure: &Failure) -> io::Result<bool> {
        let Some(client) = &mut self.clients[slot] else { return Ok(false) };
        if matches!(failure, Failure::ClosedUnanswered) && client.answers > 0 {
            client.exchange = Exchange::new();
            self.reconnect(slot)?;
            return Ok(true);
        }
        client.failures += 1;
        if client.counts {
            *self.tally.failures.entry(failure.to_string()).or_default() += 1;
        }
        if client.failures >= FAILURES_MAX {
            self.give_up(slot);
            return Ok(false);
        }
        self.reconnect(slot)?;
        Ok(self.begin(slot))
    }

    fn give_up(&mut self, slot: usize) {
        self.clients[slot] = None;
        self.busy -= 1;
    }

    fn reconnect(&mut self, slot: usize) -> io::Result<()> {
        let Some(client) = &mut self.clients[slot] else { return Ok(()) };
        client.socket = connect(&self.plan.address)?;
        client.answers = 0;
        client.waits_for = Interest::Read;
        self.tally.reconnects += 1;
        self.poll.add(&client.socket, slot, Interest::Read)
    }
}

impl Client {
    fn new(socket: TcpStream, number: usize) -> Self {
        Self {
            socket,
            exchange: Exchange::new(),
            request: Vec::new(),
            number,
            began: Instant::now(),
            counts: false,
            tallied: 0,
            answers: 0,
            waits_for: Interest::Read,
            thinks: false,
            failures: 0,
        }
    }
}

/// Takes one from what is left, if anything is.
fn take_one(left: &AtomicU64) -> bool {
    left.try_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let left = AtomicU64::new(2);
        assert_eq!([take_one(&left), take_one(&left), take_one(&left)], [true, true, false]);
        assert_eq!(left.load(Relaxed), 0);
    }
}
