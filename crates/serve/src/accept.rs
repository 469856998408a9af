//! The acceptor's thread: takes connections from the listeners and hands each to the least busy worker. It never reads a request. When the
//! server drains, it closes the listeners and, if draining takes too long, has the rest cut.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use protocol::problem::{Kind, Problem};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::LocalRuntime,
    sync::{mpsc, watch},
};

use crate::{
    clients::{census::Census, ranges::Ranges},
    counters::Counters,
    drain::State,
    handler::Client,
    head::write::{Framing, Head, Persistence, write},
    listen::{Door, Listener},
    options::Options,
    reactor::Accepted,
    response::{Body, Response},
    timer::LINGER_TIMEOUT,
};

/// How long to wait when the process or the system has no more descriptors: connections wait in the backlog meanwhile.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(50);
/// So many clients at once are told why they are refused; more are just closed.
const REFUSALS_MAX: usize = 256;
/// Seconds after which a refused client may try again.
const REFUSED_RETRY_AFTER: u64 = 5;

/// A worker as the acceptor sees it.
pub(crate) struct Inbox {
    pub(crate) connections: mpsc::Sender<Accepted>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// Everything the acceptor's thread is started with.
pub(crate) struct Acceptor {
    pub(crate) options: Arc<Options>,
    pub(crate) counters: Arc<Counters>,
    /// Where the connections of each client are counted.
    pub(crate) census: Option<Arc<Census>>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) state: watch::Sender<State>,
    /// Workers whose threads have not ended.
    pub(crate) workers: watch::Receiver<usize>,
}

/// Which limit leaves no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Server,
    Client,
}

/// What to do about a failed accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// That connection failed, not the listener.
    Again,
    /// Something is exhausted: trying again at once would fail again.
    Wait,
}

impl Acceptor {
    /// The thread's life: until the server drains and the workers have ended.
    pub(crate) fn run(self, runtime: &LocalRuntime, listeners: Vec<Listener>) {
        runtime.block_on(async move {
            let Self { options, counters, census, inboxes, state, mut workers } = self;
            let (limit, trusted) = (options.connections_max, options.clients.trusted.clone());
            let dispatcher = Rc::new(Dispatcher { limit, counters, census, trusted, inboxes, refusals: Rc::new(()) });
            for listener in listeners {
                tokio::task::spawn_local(accept(listener, dispatcher.clone(), state.subscribe()));
            }
            drop(dispatcher);
            let mut seen = state.subscribe();
            // Errors mean that the other side has gone, which is what is waited for.
            let _ = seen.wait_for(|state| *state != State::Running).await;
            let ended = workers.wait_for(|left| *left == 0);
            if tokio::time::timeout(options.drain_timeout, ended).await.is_err() {
                state.send_replace(State::Cutting);
            }
        });
    }
}

/// Hands connections to workers.
struct Dispatcher {
    limit: usize,
    counters: Arc<Counters>,
    census: Option<Arc<Census>>,
    trusted: Ranges,
    inboxes: Vec<Inbox>,
    /// Counted by its references.
    refusals: Rc<()>,
}

async fn accept(listener: Listener, dispatcher: Rc<Dispatcher>, mut state: watch::Receiver<State>) {
    let door = listener.door;
    let address = listener.socket.local_addr();
    let listener = match tokio::net::TcpListener::from_std(listener.socket) {
        Ok(listener) => listener,
        Err(error) => {
            let address = address.map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
            return tracing::error!(address, %error, "no connections can be taken on an address; restart the program");
        }
    };
    let mut waiting = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.and_then(|(socket, address)| Ok((socket.into_std()?, address))),
            _ = state.wait_for(|state| *state != State::Running) => return,
        };
        match accepted {
            Ok((socket, address)) => {
                waiting = false;
                dispatcher.put(socket, address, door);
            }
            Err(error) if failure(&error) == Failure::Again => {}
            Err(error) => {
                // Once per time of need.
                if !std::mem::replace(&mut waiting, true) {
                    tracing::warn!(%error, "new connections wait, for they cannot be taken just now; if this lasts, raise the limit of open files (ulimit -n, LimitNOFILE=)");
                }
                tokio::time::sleep(EXHAUSTED_WAIT).await;
            }
        }
    }
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Failure::Again,
        _ => Failure::Wait,
    }
}

impl Dispatcher {
    fn put(&self, socket: std::net::TcpStream, address: SocketAddr, door: Door) {
        let number = self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        if self.counters.connections.load(Ordering::Relaxed) >= self.limit as u64 {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return self.refuse(socket, door, Full::Server);
        }
        // One person is one address, whichever family the listener speaks.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let place = match &self.census {
            // Proxies come for many.
            Some(census) if !self.trusted.contains(address.ip()) => match census.enter(address.ip()) {
                Some(place) => Some(place),
                None => {
                    self.counters.refused_client.fetch_add(1, Ordering::Relaxed);
                    return self.refuse(socket, door, Full::Client);
                }
            },
            _ => None,
        };
        let loads: Vec<usize> = self.inboxes.iter().map(|inbox| inbox.load.load(Ordering::Relaxed)).collect();
        let inbox = &self.inboxes[least_busy(&loads, number as usize)];
        inbox.load.fetch_add(1, Ordering::Relaxed);
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        let client = Client { address, connection: number, secure: door == Door::Secure };
        if inbox.connections.try_send(Accepted { socket, client, door, place }).is_err() {
            inbox.load.fetch_sub(1, Ordering::Relaxed);
            self.counters.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// 503 and close, and a moment to read it in. Where TLS is spoken just a close: a handshake would cost more than what is refused.
    fn refuse(&self, socket: std::net::TcpStream, door: Door, full: Full) {
        if door == Door::Secure || Rc::strong_count(&self.refusals) > REFUSALS_MAX {
            return;
        }
        let counted = self.refusals.clone();
        tokio::task::spawn_local(async move {
            let _counted = counted;
            // Whether the client hears it or not, it is refused.
            let _ = tokio::time::timeout(LINGER_TIMEOUT, tell_overloaded(socket, full)).await;
        });
    }
}

async fn tell_overloaded(socket: std::net::TcpStream, full: Full) -> io::Result<()> {
    let mut socket = TcpStream::from_std(socket)?;
    socket.write_all(&overloaded(full)).await?;
    socket.shutdown().await?;
    let mut scratch = [0; 1024];
    while socket.read(&mut scratch).await? > 0 {}
    Ok(())
}

fn overloaded(full: Full) -> Vec<u8> {
    let detail = match full {
        Full::Server => format!(
            "this server has as many connections as it may have (serve.connections_max); try again in {REFUSED_RETRY_AFTER} s"
        ),
        Full::Client => format!(
            "your address has as many connections here as one client may have (serve.connections_per_client_max); close some of them, and try \
             again in {REFUSED_RETRY_AFTER} s"
        ),
    };
    let problem = Problem::new(Kind::Overloaded, detail).retry_after(REFUSED_RETRY_AFTER);
    let response = Response::problem(&problem, Kind::Overloaded);
    let Body::Memory(body) = response.body else { return Vec::new() };
    let head = Head {
        status: response.status,
        stamp: &[],
        fields: &response.fields,
        framing: Framing::Length(body.len() as u64),
        persistence: Persistence::Closes,
        cache_status: None,
    };
    let mut text = Vec::new();
    write(&mut text, &head);
    text.extend_from_slice(&body);
    text
}

/// The index of the smallest load; among equals they take turns.
fn least_busy(loads: &[usize], turn: usize) -> usize {
    let count = loads.len().max(1);
    (0..loads.len()).map(|step| (turn + step) % count).min_by_key(|index| loads[*index]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_takes_it_and_equals_take_turns() {
        for (loads, turn, expected) in [
            (&[3, 1, 2][..], 0, 1),
            (&[0, 0, 0], 0, 0),
            (&[0, 0, 0], 1, 1),
            (&[0, 0, 0], 5, 2),
            (&[1, 0, 0], 3, 1),
            (&[7], 9, 0),
        ] {
            assert_eq!(least_busy(loads, turn), expected, "{loads:?} {turn}");
        }
    }

    #[test]
    fn exhaustion_is_waited_out_and_a_lost_connection_is_not() {
        for (errno, expected) in [
            (24, Failure::Wait),
            (23, Failure::Wait),
            (105, Failure::Wait),
            (12, Failure::Wait),
            (103, Failure::Again),
            (4, Failure::Again),
        ] {
            assert_eq!(failure(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}
