//! The line to an upstream: how fast its bytes may come, and who goes first. A rate is held by reading no faster: what is not read closes the
//! connection's window, and the upstream sends no more. Bytes are counted where they are read, on the connection or in a file, so that heads and the
//! records of TLS count too.
//!
//! [`schedule`] decides, purely, with [`order`] for who is next and [`background`] for how fast those may be who yield to everybody; [`shared`] is the line as everybody on it sees it, [`turn`] a place in its queue.
//! It never looks into what it counts. Where no rate is set, all of it is one look at a flag.

mod background;
mod order;
mod schedule;
pub(crate) mod shared;
pub(crate) mod turn;
