//! Listening, accepting, and ending in good order.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    runtime::LocalRuntime,
    sync::{mpsc, watch},
};

use crate::{
    accept::{Acceptor, Desk, Listener},
    access_log::AccessLog,
    counters::Counters,
    handler::Handler,
    tls::{self, Identity, Tls},
    worker::{Seat, runtime},
};

/// Options of a downstream listener, typed and checked by `config`. Every limit has an answer: see each.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 for any.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for TLS, and as whom.
    pub tls: tls::Options,
    /// Reactor threads; 0: one per core.
    pub workers: usize,
    /// Connections at once; one more is answered 503 `overloaded` and closed.
    pub connections_max: usize,
    /// Bytes of a request head; more: 431 (414 if it is the target).
    pub head_bytes_max: usize,
    /// Header fields, at most 256; more: 431.
    pub fields_max: usize,
    /// From the first byte of a request to the end of its head; then 408 and close.
    pub header_timeout: Duration,
    /// An idle keep-alive connection is closed after this.
    pub idle_timeout: Duration,
    /// A client that takes no byte for so long is closed.
    pub send_timeout: Duration,
    /// What drains at most this long is cut.
    pub drain_timeout: Duration,
    /// This machine's name in `Via`, and in the field `Server`.
    pub server_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            tls: tls::Options::default(),
            workers: 0,
            connections_max: 20_000,
            head_bytes_max: 16 << 10,
            fields_max: 100,
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            server_name: format!("outpost/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// The kernel takes no more than this of a body ahead of what the client has been sent: enough for the fastest line, and little enough that
/// a slow one does not hold what it will not read.
const NOT_SENT_BYTES_MAX: u32 = 1 << 20;

/// What the threads of a server are to do. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Serve.
    Running,
    /// Finish what was begun.
    Draining,
    /// End now.
    Cutting,
}

/// A running listener with its reactor threads. Dropping it is [`Server::stop`].
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    counters: Arc<Counters>,
    state: watch::Sender<State>,
    workers: watch::Receiver<usize>,
    cut: Arc<AtomicUsize>,
}

impl Server {
    /// Binds and starts to serve. An address in use is an error that names it.
    pub fn start<H: Handler>(options: Options, handler: Arc<H>, log: Option<AccessLog>) -> io::Result<Self> {
        let tls = if options.tls.is_on() { Some(open_tls(&options.tls)?) } else { None };
        let all = [options.listen.as_slice(), &options.tls.listen].concat();
        let bind = |address: &SocketAddr| listen(*address, is_doubled(*address, &all));
        let plain = options.listen.iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        let secure = options.tls.listen.iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        let addresses = addresses_of(&plain)?;
        let tls_addresses = addresses_of(&secure)?;
        let listeners = listeners(plain, false).chain(listeners(secure, true)).collect();
        let options = Arc::new(options);
        let counters = Arc::new(Counters::default());
        let cut = Arc::new(AtomicUsize::new(0));
        let (count, started) = (worker_count(&options), Instant::now());
        let (state, watched) = watch::channel(State::Running);
        let (left, workers) = watch::channel(count);
        let mut desks = Vec::with_capacity(count);
        for index in 0..count {
            let (posts, received) = mpsc::channel(options.connections_max.max(1));
            let load = Arc::new(AtomicUsize::new(0));
            desks.push(Desk { posts, load: load.clone() });
            let seat = Seat {
                options: options.clone(),
                handler: handler.clone(),
                counters: counters.clone(),
                log: log.clone(),
                tls: tls.clone(),
                posts: received,
                state: watched.clone(),
                load,
                started,
                cut: cut.clone(),
            };
            let left = left.clone();
            spawn(format!("serve-{index}"), move |runtime| {
                seat.run(&runtime);
                // Tasks and their places are given back before the thread counts as ended.
                runtime.shutdown_background();
                left.send_modify(|left| *left -= 1);
            })?;
        }
        let acceptor =
            Acceptor { options, counters: counters.clone(), desks, state: state.clone(), workers: workers.clone() };
        spawn("accept".into(), move |runtime| acceptor.run(&runtime, listeners))?;
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

    /// From now on new TLS connections see this certificate; those that are there stay. Nothing where TLS is not spoken.
    pub fn replace_identity(&self, identity: Identity) {
        if let Some(tls) = &self.tls {
            tls.replace(identity);
        }
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

/// A thread with a runtime that was made before anybody relies on it.
fn spawn(name: String, body: impl FnOnce(LocalRuntime) + Send + 'static) -> io::Result<()> {
    let (made, is_made) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name(name).spawn(move || match runtime() {
        Ok(runtime) => {
            let _ = made.send(Ok(()));
            body(runtime);
        }
        Err(error) => _ = made.send(Err(error)),
    })?;
    is_made.recv().map_err(io::Error::other)?
}

fn worker_count(options: &Options) -> usize {
    match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// Whether an IPv6 listener must leave IPv4 to another one on the same port. Alone, `[::]` takes both.
fn is_doubled(address: SocketAddr, all: &[SocketAddr]) -> bool {
    address.is_ipv6()
        && address.port() != 0
        && all.iter().any(|other| other.is_ipv4() && other.port() == address.port())
}

fn open_tls(options: &tls::Options) -> io::Result<Tls> {
    let identity = options
        .identity()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}; {}", error.advice())))?;
    Tls::new(identity, options.kernel).map_err(io::Error::other)
}

fn addresses_of(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

fn listeners(sockets: Vec<TcpListener>, secure: bool) -> impl Iterator<Item = Listener> {
    sockets.into_iter().map(move |socket| Listener { socket, secure })
}

/// What is set here is inherited by every connection, which saves system calls for each.
fn listen(address: SocketAddr, only_ipv6: bool) -> io::Result<TcpListener> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if only_ipv6 {
            socket.set_only_v6(true)?;
        }
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "; another program listens there: stop it or choose another port",
            io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
            _ => "",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{advice}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named() {
        let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let address = taken.local_addr().unwrap();
        let error = listen(address, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn both_families_may_have_one_port() {
        let taken = listen(SocketAddr::from(([0, 0, 0, 0], 0)), false).unwrap();
        let port = taken.local_addr().unwrap().port();
        let (v4, v6) = (SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0u16; 8], port)));
        assert!(is_doubled(v6, &[v4, v6]) && !is_doubled(v4, &[v4, v6]) && !is_doubled(v6, &[v6]));
        listen(v6, true).unwrap();
        assert_eq!(listen(v6, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn connections_inherit_the_listeners_options() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The handshake on loopback is over when connect returns.
        let (accepted, _) = listener.accept().unwrap();
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES_MAX);
    }
}
