//! The store as its users see it: one test binary, a file per promise.

mod adopt;
mod ahead;
mod crash;
mod fills;
mod helpers;
mod history;
mod limits;
mod names;
mod parts;
mod pins;
mod pressure;
mod recovery;
mod reopen;
mod sim_disk;
mod watch;
