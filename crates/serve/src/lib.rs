//! The downstream side: accepts, reads requests, sends answers, drains. It serves files by `sendfile` and knows nothing of upstreams.
//!
//! In reading order: [`server`] accepts and drains, `connection` is one client's life, [`request`] is what was asked,
//! [`handler`] is the trait that answers, [`response`] the answer, [`source`] where body bytes are, `transmit` the one place
//! that sends them, [`access_log`] who got what.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod counters;
pub mod handler;
pub mod request;
pub mod response;
pub mod server;
pub mod source;
