//! The downstream side: accepts, reads requests, sends answers, drains. It serves files by `sendfile` and knows nothing of upstreams.
//!
//! In reading order: [`server`] accepts and drains, `worker` is one reactor thread, `connection` one client's life on its `link`,
//! [`tls`] what the link goes through where it is asked for,
//! `asked` what is remembered of a request, [`head`] reads requests and writes heads, [`request`] is what was asked, [`handler`] is the trait that answers, [`response`] the
//! answer, [`source`] where body bytes are, `transmit` the one place that sends them, `turns` in what order large ones leave, [`access_log`] who got what.
#![forbid(unsafe_code)]

mod accept;
pub mod access_log;
mod asked;
mod buffers;
mod clock;
mod connection;
pub mod counters;
pub mod handler;
pub mod head;
mod link;
mod multipart;
pub mod request;
pub mod response;
pub mod server;
pub mod source;
pub mod tls;
mod transmit;
mod turns;
mod watch;
mod worker;
