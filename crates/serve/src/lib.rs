//! The downstream side: accepts, reads requests, sends answers, drains. It serves files by `sendfile`.
//!
//! It does not decide what is answered, but to requests that it cannot understand: a [`handler::Handler`] does. It has never heard of upstreams, names or
//! freshness, opens no connection, and writes no file but the access log.
//!
//! In reading order, each room above those that it uses:
//!
//! | room | what it is |
//! | --- | --- |
//! | [`server`], `listen`, `accept` | a running server, its sockets, who takes connections from them |
//! | `reactor`, `thread`, `drain` | the life of a thread that serves, and its end |
//! | `connection`, `intake` | one client's life, from accept to close; a request's body on its way to who reads it |
//! | `http2` | one that speaks HTTP/2 |
//! | `transmit` | the one place that body bytes leave from |
//! | `link` | one client's socket: receive, wait, send, close; plainly or through a TLS session |
//! | `worker` | what the connections of one thread share: |
//! | `buffers`, `input`, `exchange` | what is lent to busy ones, and what is remembered of requests whose answers are not out |
//! | `timer`, `pace`, `turns`, `clock` | their time limits, how fast clients must be, in what order large bodies leave, what time it is |
//! | [`shares`] | how fast bytes may leave, for all clients and for each |
//! | [`clients`] | who asks, where proxies stand between, and how many connections each has |
//! | [`tls`] | who this server is, and the records of one connection |
//! | [`access_log`], [`counters`] | who got what |
//! | [`handler`], [`request`], [`upload`], [`interim`], [`response`], [`multipart`], [`source`] | what a program that answers needs to know |
//! | [`webdav`] | what of a read-only WebDAV share needs no knowledge of the share |
//! | [`head`] | requests are read strictly, heads of answers written quickly |
//! | [`options`] | what it is started with |
#![forbid(unsafe_code)]

pub mod server;

mod accept;
mod listen;

mod drain;
mod reactor;
mod thread;

mod entrance;

mod connection;
mod http2;
mod intake;

mod transmit;

mod link;

mod worker;

mod buffers;
mod exchange;
mod input;

mod clock;
mod pace;
mod timer;
mod turns;

pub mod shares;

pub mod clients;

pub mod tls;

#[cfg(fuzzing)]
pub mod fuzz;

pub mod access_log;
pub mod counters;

pub mod handler;
pub mod interim;
pub mod multipart;
pub mod request;
pub mod response;
pub mod source;
pub mod upload;
pub mod webdav;

pub mod head;

pub mod options;
