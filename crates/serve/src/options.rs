//! What a downstream listener is started with: where it listens and every limit that it keeps. Typed and checked by `config`; nothing here reads a
//! file but [`tls::Options::read`], which is asked to.

use std::{net::SocketAddr, time::Duration};

use crate::tls;

/// Options of a downstream listener. Every limit has an answer: see each.
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
    /// Header fields, at most [`FIELDS_CEILING`](crate::head::parse::FIELDS_CEILING); more: 431.
    pub fields_max: usize,
    /// Requests at once on one connection of HTTP/2; more are refused. 0: HTTP/2 is not spoken.
    pub http2_streams_max: u32,
    /// From the first byte of a request to the end of its head; then 408 and close.
    pub header_timeout: Duration,
    /// Bytes of a request's body, where it is read; more: 413.
    pub body_bytes_max: u64,
    /// A client that sends nothing of its request's body for so long gets 408 and is closed.
    pub body_timeout: Duration,
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
            http2_streams_max: 100,
            header_timeout: Duration::from_secs(15),
            body_bytes_max: 1 << 30,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            server_name: format!("outpost/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}
