//! The server as its clients see it, over plain connections and all of it once more over TLS. One test binary, so that the
//! server is compiled and linked once.

use common::options;

mod clients;
mod common;
mod credentials;
mod http2;
mod http2_hostile;
mod lifecycle;
mod objects;
mod over_tls;
mod requests;
mod slow;
mod strict;
mod tls;
mod transfers;
mod uploads;

/// Whether the tests beside this are those that speak TLS; `over_tls` says yes.
const OVER_TLS: bool = false;
