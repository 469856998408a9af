//! The agent of a machine: finds a file by its digest at the nearest place that has it, loads nobody more than it may, and keeps trying in a way
//! that never adds to a storm.
//!
//! In reading order: `command` is the command line, a file for each command; `service` what runs all the time, with a cache of its own; `jobs` keeps packages for an origin; `bring` brings
//! one content; `net` is the one room that connects to anyone. [`decide`] is all that is decided, without sockets and without a clock.
#![forbid(unsafe_code)]

mod bring;
mod command;
pub mod decide;
mod jobs;
mod net;
mod service;

use std::{
    fs,
    hash::{BuildHasher, Hasher},
    process::ExitCode,
};

pub use command::reference::text as command_line_reference;

/// The program: reads the command line, does what it says, and answers the exit code.
pub fn main() -> ExitCode {
    command::run()
}

/// A URL without what people need not read.
fn short(url: &str) -> String {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

/// Another one for each machine and each start.
fn seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// The host's own name, as far as it can be that of a node.
fn host_name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = host.trim().chars().map(|letter| if fits(letter) { letter } else { '-' }).take(64).collect();
    if name.is_empty() { "agent".into() } else { name }
}
