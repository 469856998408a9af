//! How long one waits before one asks again, and whom one asks next. Pure: the moment and the seed are arguments, so that an agent, a proxy and a
//! simulation of 10,000 agents do the same.

mod backoff;
mod failover;
mod spread;
mod together;

pub use backoff::Backoff;
pub use failover::{Failover, Next};
pub use spread::Spread;
pub use together::together;
