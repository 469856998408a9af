//! A running server: starts the threads and ends them in good order. What they do is in `accept` and `reactor`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use tokio::sync::{mpsc, watch};

use crate::{
    accept::{Acceptor, Inbox},
    access_log::AccessLog,
    counters::Counters,
    drain::State,
    handler::Handler,
    listen,
    options::Options,
    reactor::Reactor,
    thread,
    tls::{self, Credentials, Tls},
    worker::Setup,
};

/// A running listener with its reactor threads. Dropping it is [`Server::stop`].
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    counters: Arc<Counters>,
    state: watch::Sender<State>,
    /// Reactor threads that have not ended.
    workers: watch::Receiver<usize>,
    cut: Arc<AtomicUsize>,
}

impl Server {
    /// Binds and starts to serve. An address in use is an error that names it.
    pub fn start<H: Handler>(options: Options, handler: Arc<H>, log: Option<AccessLog>) -> io::Result<Self> {
        let tls = if options.tls.is_on() { Some(open_tls(&options.tls, options.http2_streams_max > 0)?) } else { None };
        let listeners = listen::bind(&options)?;
        let addresses = listen::addresses(&listeners, false)?;
        let tls_addresses = listen::addresses(&listeners, true)?;
        let counters = Arc::new(Counters::default());
        let (options, started) = (Arc::new(options), Instant::now());
        let setup = Setup { options: options.clone(), counters: counters.clone(), log, tls: tls.clone(), started };
        let cut = Arc::new(AtomicUsize::new(0));
        let (state, watched) = watch::channel(State::Running);
        let count = worker_count(&options);
        let (left, workers) = watch::channel(count);
        let mut inboxes = Vec::with_capacity(count);
        for index in 0..count {
            let (connections, accepted) = mpsc::channel(options.connections_max.max(1));
            let load = Arc::new(AtomicUsize::new(0));
            inboxes.push(Inbox { connections, load: load.clone() });
            let (setup, handler, state, cut) = (setup.clone(), handler.clone(), watched.clone(), cut.clone());
            start_worker(index, Reactor { setup, handler, accepted, state, load, cut }, left.clone())?;
        }
        let acceptor =
            Acceptor { options, counters: counters.clone(), inboxes, state: state.clone(), workers: workers.clone() };
        thread::spawn("accept".into(), move |runtime| acceptor.run(&runtime, listeners))?;
        Ok(Self { addresses, tls_addresses, tls, counters, state, workers, cut })
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for TLS, likewise.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// From now on new TLS connections see these credentials; those that are there stay. Nothing where TLS is not spoken.
    pub fn replace_credentials(&self, credentials: Credentials) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        tls.replace(credentials).map_err(io::Error::other)
    }

    /// When the first of its certificates ends, where TLS is spoken.
    pub fn certificates_expire(&self) -> Option<SystemTime> {
        self.tls.as_ref()?.expire()
    }

    /// Live counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Stops accepting, lets what is being sent finish (bounded by `drain_timeout`), closes idle connections, ends the threads.
    /// Answers how many transfers were cut. A second call, or [`Server::stop`], cuts at once.
    pub async fn drain(&self) -> usize {
        let first = self.state.send_if_modified(|state| {
            let first = *state == State::Running;
            *state = (*state).max(State::Draining);
            first
        });
        if !first {
            self.stop();
        }
        // An error means that every thread has ended.
        let _ = self.workers.clone().wait_for(|left| *left == 0).await;
        self.cut.load(Ordering::Relaxed)
    }

    /// Cuts everything now.
    pub fn stop(&self) {
        self.state.send_replace(State::Cutting);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start_worker<H: Handler>(index: usize, reactor: Reactor<H>, left: watch::Sender<usize>) -> io::Result<()> {
    thread::spawn(format!("serve-{index}"), move |runtime| {
        reactor.run(&runtime);
        // Tasks and their places are given back before the thread counts as ended.
        runtime.shutdown_background();
        left.send_modify(|left| *left -= 1);
    })
}

fn worker_count(options: &Options) -> usize {
    match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn open_tls(options: &tls::Options, http2: bool) -> io::Result<Tls> {
    let credentials = options
        .read()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}; {}", error.advice())))?;
    Tls::new(credentials, options.kernel, http2).map_err(io::Error::other)
}
