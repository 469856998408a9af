//! The agent of a machine: finds a file by its digest at the nearest place that has it, loads nobody more than it may, and keeps trying in a way
//! that never adds to a storm.
//!
//! In reading order: `command` is the command line, a file for each command; `bring` brings one content; `net` is the one room that connects to
//! anyone. [`decide`] is all that is decided, without sockets and without a clock.
#![forbid(unsafe_code)]

mod bring;
mod command;
pub mod decide;
mod net;

use std::process::ExitCode;

pub use command::reference::text as command_line_reference;

/// The program: reads the command line, does what it says, and answers the exit code.
pub fn main() -> ExitCode {
    command::run()
}
