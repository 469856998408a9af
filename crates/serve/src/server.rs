//! A running server: starts the threads and ends them in good order. What they do is in `accept` and `reactor`.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use crate::{
    accept::{Acceptor, Inbox},
    access_log::AccessLog,
    clients::{access::Access, census::Census, porter::Porter},
    counters::Counters,
    drain::State,
    entrance::Entrance,
    handler::Handler,
    listen::{self, Door},
    options::Options,
    reactor::{Doors, Reactor},
    shares::{ShareOptions, Shares},
    thread,
    tls::{self, Credentials, Tls, identities::Identities},
    worker::Setup,
};

/// A running listener with its reactor threads. Dropping it is [`Server::stop`].
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    redirect_addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    porter: Arc<Porter>,
    counters: Arc<Counters>,
    shares: Arc<Shares>,
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
        let addresses = listen::addresses(&listeners, Door::Plain)?;
        let tls_addresses = listen::addresses(&listeners, Door::Secure)?;
        let redirect_addresses = listen::addresses(&listeners, Door::Redirect)?;
        let counters = Arc::new(Counters::default());
        let porter = Arc::new(Porter::new(options.clients.access.clone()));
        let doors = doors(&options, handler, &porter, &counters, &tls_addresses);
        let census = NonZeroUsize::new(options.connections_per_client_max).map(Census::new);
        let shares = Shares::new(options.shares.clone());
        let (options, started) = (Arc::new(options), Instant::now());
        let setup = Setup {
            options: options.clone(),
            counters: counters.clone(),
            log,
            tls: tls.clone(),
            census: census.clone(),
            shares: shares.clone(),
            started,
        };
        let cut = Arc::new(AtomicUsize::new(0));
        let (state, watched) = watch::channel(State::Running);
        let count = worker_count(&options);
        let (left, workers) = watch::channel(count);
        let mut inboxes = Vec::with_capacity(count);
        for index in 0..count {
            let (connections, accepted) = mpsc::channel(options.connections_max.max(1));
            let load = Arc::new(AtomicUsize::new(0));
            inboxes.push(Inbox { connections, load: load.clone() });
            let (setup, doors, state, cut) = (setup.clone(), doors.clone(), watched.clone(), cut.clone());
            start_worker(index, Reactor { setup, doors, accepted, state, load, cut }, left.clone())?;
        }
        let acceptor = Acceptor {
            options,
            counters: counters.clone(),
            census,
            inboxes,
            state: state.clone(),
            workers: workers.clone(),
        };
        thread::spawn("accept".into(), move |runtime| acceptor.run(&runtime, listeners))?;
        Ok(Self { addresses, tls_addresses, redirect_addresses, tls, porter, counters, shares, state, workers, cut })
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for TLS, likewise.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// Where it only sends on to TLS, likewise.
    pub fn redirect_addresses(&self) -> &[SocketAddr] {
        &self.redirect_addresses
    }

    /// From now on new TLS connections see these credentials; those that are there stay. Nothing where TLS is not spoken.
    pub fn replace_credentials(&self, credentials: Credentials) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        tls.replace(credentials).map_err(io::Error::other)
    }

    /// From now on these clients are served, on connections that are there as well.
    pub fn replace_access(&self, access: Access) {
        self.porter.replace(access);
    }

    /// From now on bytes leave no faster than this, what is on its way too; over HTTP/2 on connections that begin from now on where there was no rate before.
    pub fn replace_shares(&self, options: ShareOptions) {
        self.shares.replace(options);
    }

    /// Connections whose sending is paced, and the bytes per second that may leave for all; 0: no limit.
    pub fn shares(&self) -> (u64, u64) {
        self.shares.figures()
    }

    /// Who it is to new connections, where TLS is spoken.
    pub fn identities(&self) -> Option<Arc<Identities>> {
        self.tls.as_ref().map(Tls::identities)
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

/// What is answered on each kind of address.
fn doors<H>(
    options: &Options,
    handler: Arc<H>,
    porter: &Arc<Porter>,
    counters: &Arc<Counters>,
    tls_addresses: &[SocketAddr],
) -> Doors<H> {
    let tls = &options.tls;
    let port = match (tls.redirect_port, tls_addresses.first()) {
        (0, Some(address)) => address.port(),
        (port, _) => port,
    };
    let files = Entrance::new(handler, porter.clone(), counters.clone(), tls.strict);
    Doors { redirect: Arc::new(files.redirecting(port)), files: Arc::new(files) }
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
