//! What the connections of one reactor thread share. Nothing here is seen by two threads but the counters, so nothing is locked; nothing
//! here waits.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, Semaphore, futures::Notified};

use crate::{
    access_log::{AccessLog, BATCH_AGE_MAX, Batch},
    buffers::{Pool, Spare},
    clients::{
        census::Census,
        forwarded::{self, Told},
    },
    clock::Clock,
    counters::Counters,
    drain::State,
    exchange::{Ending, Exchange},
    handler::Client,
    head::{
        parse::Limits,
        write::{Framing, Head, Persistence, write},
    },
    input::Input,
    options::Options,
    request::Fields,
    response::Response,
    shares::Shares,
    timer::{Timer, sweep_interval},
    tls::{Tls, session::Session},
    turns::Turns,
};

/// What all workers of a server are made with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) options: Arc<Options>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Option<AccessLog>,
    /// Where TLS is spoken.
    pub(crate) tls: Option<Tls>,
    /// Where the connections of each client are counted.
    pub(crate) census: Option<Arc<Census>>,
    /// How fast connections may send.
    pub(crate) shares: Arc<Shares>,
    /// When the server was started: all workers count from there.
    pub(crate) started: Instant,
}

/// What a worker's connections share.
pub(crate) struct Worker {
    pub(crate) options: Arc<Options>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pool: Pool,
    pub(crate) spare: Spare,
    /// Bytes of files on their way into records; empty where there is no TLS.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// One handshake computes, then everybody else has a turn.
    pub(crate) handshake_turn: Semaphore,
    tls: Option<Tls>,
    pub(crate) census: Option<Arc<Census>>,
    pub(crate) turns: Turns,
    pub(crate) shares: Arc<Shares>,
    clock: RefCell<Clock>,
    log: Option<RefCell<Batch>>,
    started: Instant,
    /// As of the last sweep, counted from the start.
    now: Cell<Duration>,
    state: Cell<State>,
    timers: RefCell<HashMap<u64, Rc<Timer>>>,
    /// Connections of this worker, for the acceptor to compare.
    load: Arc<AtomicUsize>,
    /// The last connection has gone.
    deserted: Notify,
}

/// A transfer that is counted as long as this lives.
pub(crate) struct CountedTransfer(Arc<Counters>);

impl Drop for CountedTransfer {
    fn drop(&mut self) {
        self.0.transfers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    pub(crate) fn new(setup: Setup, load: Arc<AtomicUsize>) -> Self {
        let Setup { options, counters, log, tls, census, shares, started } = setup;
        Self {
            limits: Limits { head_bytes_max: options.head_bytes_max, fields_max: options.fields_max },
            counters,
            pool: Pool::default(),
            spare: Spare::default(),
            scratch: RefCell::default(),
            handshake_turn: Semaphore::new(1),
            tls,
            census,
            turns: Turns::new(),
            shares,
            clock: RefCell::new(Clock::new(&options.server_name)),
            log: log.map(|log| RefCell::new(Batch::new(log))),
            started,
            now: Cell::new(Duration::ZERO),
            state: Cell::new(State::Running),
            timers: RefCell::default(),
            load,
            deserted: Notify::new(),
            options,
        }
    }

    /// How often to sweep.
    pub(crate) fn tick(&self) -> Duration {
        let sweep = sweep_interval(&self.options);
        if self.log.is_some() { sweep.min(BATCH_AGE_MAX) } else { sweep }
    }

    /// What the bytes of a connection to a TLS listener go through.
    pub(crate) fn session(&self) -> io::Result<Option<Box<Session>>> {
        let Some(tls) = &self.tls else { return Ok(None) };
        tls.session().map(|session| Some(Box::new(session))).map_err(io::Error::other)
    }

    pub(crate) fn has_connections(&self) -> bool {
        !self.timers.borrow().is_empty()
    }

    /// Wakes whoever is overdue, and hands over lines of the log.
    pub(crate) fn sweep(&self) {
        self.now.set(self.started.elapsed());
        if let Some(log) = &self.log {
            log.borrow_mut().flush();
        }
        self.shares.sweep();
        for timer in self.timers.borrow().values() {
            timer.check(self.now.get(), &self.options);
        }
    }

    /// The server drains or ends: everybody looks up. Answers how many transfers that cuts.
    pub(crate) fn enter(&self, state: State) -> usize {
        self.state.set(state);
        let timers = self.timers.borrow();
        timers.values().for_each(|timer| timer.wake());
        let transfers = timers.values().filter(|timer| timer.phase().is_transfer());
        if state == State::Cutting { transfers.count() } else { 0 }
    }

    /// Ends when the last connection has gone.
    pub(crate) fn deserted(&self) -> Notified<'_> {
        self.deserted.notified()
    }

    /// A note for a new connection.
    pub(crate) fn timer(&self, connection: u64) -> Rc<Timer> {
        let timer = Rc::new(Timer::new(self.now.get()));
        self.timers.borrow_mut().insert(connection, timer.clone());
        timer
    }

    /// A connection has ended.
    pub(crate) fn left(&self, connection: u64) {
        self.timers.borrow_mut().remove(&connection);
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
        if !self.has_connections() {
            self.deserted.notify_one();
        }
    }

    /// As of the last sweep: coarse and free.
    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state.get() != State::Running
    }

    pub(crate) fn is_cutting(&self) -> bool {
        self.state.get() == State::Cutting
    }

    /// Whether anybody wants to read of requests.
    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Counts and logs an answer that has ended. `input` is where its request lies if that was not copied.
    pub(crate) fn account(&self, exchange: &Exchange, ending: Ending, input: Option<&Input>, client: &Client) {
        let counters = &self.counters;
        counters.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(class) = counters.by_class.get(usize::from(ending.status / 100).wrapping_sub(1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        if !ending.whole {
            counters.aborted.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(log) = &self.log {
            let line = exchange.line(ending, input, client);
            log.borrow_mut().push(self.clock.borrow_mut().turn_to(os::clock::coarse_now()), &line);
        }
    }

    /// Who asks, if a proxy in between says so.
    pub(crate) fn client(&self, fields: &Fields<'_>, peer: &Client) -> Client {
        let clients = &self.options.clients;
        if clients.told == Told::No {
            return *peer;
        }
        let told = forwarded::client(clients.told, &clients.trusted, peer.address.ip(), fields);
        // The port of somebody else is not known.
        let port = if told == peer.address.ip() { peer.address.port() } else { 0 };
        Client { address: SocketAddr::new(told, port), ..*peer }
    }

    /// Appends an answer's head.
    pub(crate) fn write_head(
        &self,
        out: &mut Vec<u8>,
        response: &Response,
        framing: Framing,
        persistence: Persistence,
    ) {
        let mut clock = self.clock.borrow_mut();
        let head = Head {
            status: response.status,
            stamp: clock.turn_to(os::clock::coarse_now()).stamp(),
            fields: &response.fields,
            framing,
            persistence,
            cache_status: response.cache_status,
        };
        write(out, &head);
    }

    pub(crate) fn count_transfer(&self) -> CountedTransfer {
        self.counters.transfers.fetch_add(1, Ordering::Relaxed);
        CountedTransfer(self.counters.clone())
    }

    pub(crate) fn count_cold_read(&self) {
        self.counters.cold_reads.fetch_add(1, Ordering::Relaxed);
    }
}
