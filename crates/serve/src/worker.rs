//! One reactor thread: its runtime, its connections and what they share. Nothing here is seen by two threads but the counters, so
//! nothing is locked.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::{Notify, Semaphore, mpsc, watch},
    time::MissedTickBehavior,
};

use crate::{
    access_log::{AccessLog, BATCH_AGE_MAX, Batch, Line},
    clock::Clock,
    connection,
    counters::Counters,
    handler::{Client, Handler},
    head::{
        parse::Limits,
        write::{Framing, Head, Persistence, write},
    },
    link::Link,
    response::Response,
    server::{Options, State},
    tls::{Tls, session::Session},
    turns::Turns,
    watch::{Watch, sweep_interval},
};

/// Threads that may wait for a share's file system, per worker.
const BLOCKING_THREADS_MAX: usize = 32;
/// How long a worker may run before another thread of its processor has its turn, and so how soon it is to run once it wakes.
const SLICE: Duration = Duration::from_micros(200);
/// A task that another thread woke is taken up before every so many others. Followers of a fill are woken by the store: at tokio's 31 the
/// last of 100 had its first byte after a second, for those who had theirs kept the thread busy.
const WOKEN_ELSEWHERE_EVERY: u32 = 3;

/// A connection on its way from the acceptor to a worker.
pub(crate) struct Post {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) client: Client,
    /// Whether it came to a TLS listener.
    pub(crate) secure: bool,
}

/// Everything a worker thread is started with.
pub(crate) struct Seat<H> {
    pub(crate) options: Arc<Options>,
    pub(crate) handler: Arc<H>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Option<AccessLog>,
    /// Where TLS is spoken.
    pub(crate) tls: Option<Tls>,
    pub(crate) posts: mpsc::Receiver<Post>,
    pub(crate) state: watch::Receiver<State>,
    /// Connections of this worker, for the acceptor to compare.
    pub(crate) load: Arc<AtomicUsize>,
    /// When the server was started: all workers count from there.
    pub(crate) started: Instant,
    /// Transfers that were cut at the end, of all workers.
    pub(crate) cut: Arc<AtomicUsize>,
}

/// What a worker's connections share.
pub(crate) struct Worker {
    pub(crate) options: Arc<Options>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pool: crate::buffers::Pool,
    /// Bytes of files on their way into records; empty where there is no TLS.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// One handshake computes, then everybody else has a turn.
    pub(crate) handshake_turn: Semaphore,
    tls: Option<Tls>,
    pub(crate) turns: Turns,
    clock: RefCell<Clock>,
    log: Option<RefCell<Batch>>,
    started: Instant,
    /// As of the last sweep, counted from the start.
    now: Cell<Duration>,
    state: Cell<State>,
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
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

/// A runtime for this thread alone; fails where the system has no more to give.
pub(crate) fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .global_queue_interval(WOKEN_ELSEWHERE_EVERY)
        .build_local(LocalOptions::default())
}

impl<H: Handler> Seat<H> {
    /// The thread's life: until there is nobody to accept for and no connection left.
    pub(crate) fn run(self, runtime: &LocalRuntime) {
        runtime.block_on(self.work());
    }

    async fn work(mut self) {
        // Without it all works the same, later where others compute on this processor.
        if let Err(error) = os::process::set_slice(SLICE) {
            tracing::debug!(%error, "the scheduler gives no shorter slices");
        }
        let worker = Rc::new(Worker::new(&self));
        let mut ticker = tokio::time::interval(worker.tick());
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut accepting, mut told) = (true, true);
        while accepting || worker.has_connections() {
            tokio::select! {
                post = self.posts.recv(), if accepting => match post {
                    Some(post) => worker.admit(post, self.handler.clone()),
                    None => accepting = false,
                },
                changed = self.state.changed(), if told => {
                    told = changed.is_ok();
                    let state = if told { *self.state.borrow_and_update() } else { State::Cutting };
                    worker.turn(state, &self.cut);
                }
                _ = ticker.tick() => worker.sweep(),
                () = worker.deserted.notified() => {}
            }
        }
    }
}

impl Worker {
    fn new<H>(seat: &Seat<H>) -> Self {
        Self {
            options: seat.options.clone(),
            limits: Limits { head_bytes_max: seat.options.head_bytes_max, fields_max: seat.options.fields_max },
            counters: seat.counters.clone(),
            pool: crate::buffers::Pool::default(),
            scratch: RefCell::default(),
            handshake_turn: Semaphore::new(1),
            tls: seat.tls.clone(),
            turns: Turns::new(),
            clock: RefCell::new(Clock::new(&seat.options.server_name)),
            log: seat.log.clone().map(|log| RefCell::new(Batch::new(log))),
            started: seat.started,
            now: Cell::new(Duration::ZERO),
            state: Cell::new(State::Running),
            watches: RefCell::default(),
            load: seat.load.clone(),
            deserted: Notify::new(),
        }
    }

    fn tick(&self) -> Duration {
        let sweep = sweep_interval(&self.options);
        if self.log.is_some() { sweep.min(BATCH_AGE_MAX) } else { sweep }
    }

    fn admit<H: Handler>(self: &Rc<Self>, post: Post, handler: Arc<H>) {
        // From here the link gives back what the acceptor has counted.
        let made = self.session(post.secure).and_then(|session| Ok((TcpStream::from_std(post.socket)?, session)));
        match made {
            Ok((socket, session)) => {
                let link = Link::new(socket, session, self.clone(), post.client);
                tokio::task::spawn_local(connection::run(link, handler));
            }
            Err(error) => {
                tracing::warn!(%error, client = %post.client.address, "a connection could not be watched and is closed");
                self.left(post.client.connection);
            }
        }
    }

    /// What a connection's bytes go through, if not plainly over its socket.
    fn session(&self, secure: bool) -> io::Result<Option<Box<Session>>> {
        let Some(tls) = self.tls.as_ref().filter(|_| secure) else { return Ok(None) };
        tls.session().map(|session| Some(Box::new(session))).map_err(io::Error::other)
    }

    fn has_connections(&self) -> bool {
        !self.watches.borrow().is_empty()
    }

    fn sweep(&self) {
        self.now.set(self.started.elapsed());
        if let Some(log) = &self.log {
            log.borrow_mut().flush();
        }
        for watch in self.watches.borrow().values() {
            watch.check(self.now.get(), &self.options);
        }
    }

    /// The server drains or ends: everybody looks up.
    fn turn(&self, state: State, cut: &AtomicUsize) {
        self.state.set(state);
        let watches = self.watches.borrow();
        if state == State::Cutting {
            let transfers = watches.values().filter(|watch| watch.phase().is_transfer()).count();
            cut.fetch_add(transfers, Ordering::Relaxed);
        }
        watches.values().for_each(|watch| watch.wake());
    }

    /// A note for a new connection.
    pub(crate) fn watch(&self, connection: u64) -> Rc<Watch> {
        let watch = Rc::new(Watch::new(self.now.get()));
        self.watches.borrow_mut().insert(connection, watch.clone());
        watch
    }

    /// A connection has ended.
    pub(crate) fn left(&self, connection: u64) {
        self.watches.borrow_mut().remove(&connection);
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

    /// Adds a line to the access log, if there is one.
    pub(crate) fn log(&self, line: &Line<'_>) {
        if let Some(log) = &self.log {
            log.borrow_mut().push(self.clock.borrow_mut().turn_to(os::clock::coarse_now()), line);
        }
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
