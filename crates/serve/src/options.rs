//! What a downstream listener is started with: where it listens and every limit that it keeps. Typed and checked by `config`; nothing here reads a
//! file but [`tls::Options::read`], which is asked to.

use std::{net::SocketAddr, time::Duration};

use crate::{
    clients::{access::Access, forwarded::Told, ranges::Ranges},
    shares::ShareOptions,
    tls,
};

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
    /// Connections of one client at once, by its address (IPv6: by its network of 64 bits); one more is answered 503 `overloaded` and closed.
    /// 0: as many as there are. Proxies that are trusted are not counted, but whom they name before the first request.
    pub connections_per_client_max: usize,
    /// Who clients are, and which are served.
    pub clients: Clients,
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
    /// Bytes per second that a client must take of what is there for it, over each `rate_window` in which nobody else is waited for; slower: it is closed.
    /// 0: any rate is good.
    pub min_send_rate: u64,
    /// Likewise, of a request's body; slower: 408 and close.
    pub min_body_rate: u64,
    /// See these two.
    pub rate_window: Duration,
    /// How fast bytes may leave for clients.
    pub shares: ShareOptions,
    /// What drains at most this long is cut.
    pub drain_timeout: Duration,
    /// This machine's name in `Via`, and in the field `Server`.
    pub server_name: String,
}

/// Who clients are, where proxies stand between, and which of them are served.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// Proxies whose word is taken for who their clients are.
    pub trusted: Ranges,
    /// Whether they tell it once per connection, by the PROXY protocol.
    pub proxy_header: ProxyHeader,
    /// Whether they tell it with each request.
    pub told: Told,
    /// Clients that are served. Others are answered 403 `not-allowed`.
    pub access: Access,
}

/// Whether connections of trusted proxies begin with a header of the PROXY protocol. Those of others never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// No.
    #[default]
    Off,
    /// Those that do tell their client, the others are the client.
    Optional,
    /// One that does not is closed.
    Required,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            tls: tls::Options::default(),
            workers: 0,
            connections_max: 20_000,
            connections_per_client_max: 4_096,
            clients: Clients::default(),
            head_bytes_max: 16 << 10,
            fields_max: 100,
            http2_streams_max: 100,
            header_timeout: Duration::from_secs(15),
            body_bytes_max: 1 << 30,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            min_send_rate: 1 << 10,
            min_body_rate: 1 << 10,
            rate_window: Duration::from_secs(60),
            shares: ShareOptions::default(),
            drain_timeout: Duration::from_secs(30),
            server_name: format!("outpost/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}
