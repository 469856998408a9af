//! Listening, accepting, and ending in good order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use crate::{access_log::AccessLog, counters::Counters, handler::Handler};

/// Options of a downstream listener, typed and checked by `config`. Every limit has an answer: see each.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 for any.
    pub listen: Vec<SocketAddr>,
    /// Reactor threads; 0: one per core.
    pub workers: usize,
    /// Connections at once; one more is answered 503 `overloaded` and closed.
    pub connections_max: usize,
    /// Bytes of a request head; more: 431 (414 if it is the target).
    pub head_bytes_max: usize,
    /// Header fields; more: 431.
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

/// A running listener with its reactor threads.
pub struct Server {}

impl Server {
    /// Binds and starts to serve. An address in use is an error that names it.
    pub fn start<H: Handler>(_options: Options, _handler: Arc<H>, _log: Option<AccessLog>) -> io::Result<Self> {
        todo!()
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        todo!()
    }

    /// Live counters.
    pub fn counters(&self) -> &Arc<Counters> {
        todo!()
    }

    /// Stops accepting, lets what is being sent finish (bounded by `drain_timeout`), closes idle connections, ends the threads.
    /// Answers how many transfers were cut. A second call, or [`Server::stop`], cuts at once.
    pub async fn drain(&self) -> usize {
        todo!()
    }

    /// Cuts everything now.
    pub fn stop(&self) {
        todo!()
    }
}
