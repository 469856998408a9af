//! `outpost-bench`: load, measurements, and the machine's own limit to compare them with.
//!
//! Threads and epoll, no runtime (but in `storm` and `branch`, where machines wait most of the time): what the client costs is taken from the server on a small machine. In reading order:
//! `target` (what is asked for), `response` and `exchange` (one request and its answer), `crowd` (many at once), `poll`,
//! `histogram`, `server_cpu`, `svg`, and the commands `load`, `cold`, `limit`, `origin`, `compare`, `registry`, `storm`, `branch`, `fleet` and `traces`; `http` and `line` are what
//! machines ask with, and over.
#![forbid(unsafe_code)]

mod branch;
mod cold;
mod compare;
mod crowd;
mod exchange;
mod fleet;
mod histogram;
mod http;
mod limit;
mod line;
mod load;
mod origin;
mod pause;
mod poll;
mod registry;
mod response;
mod server_cpu;
mod storm;
mod svg;
mod target;
mod traces;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures HTTP/1.1 file servers: how fast they answer, and what a unit of work costs them.
///
/// The figure that does not depend on the load generator is the server's processor time per unit of work: give --server-pid.
/// On a machine with few cores pin server and load to different ones (taskset -c 0 SERVER; outpost-bench load --cpu 1).
#[derive(Debug, Parser)]
#[command(name = "outpost-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Closed loop: every client asks again as soon as it has its answer.
    Load(load::Options),
    /// Many clients at once on one file, each measured on its own: for files the server does not have yet.
    Cold(cold::Options),
    /// The least a server can do: one receive and one send per request. The machine's limit for `load`.
    Limit(limit::Options),
    /// A web server that makes up what is asked of it, at a given rate: an upstream to measure with.
    Origin(origin::Options),
    /// Outpost beside nginx, Varnish and the minimal loop, taking turns; prints the table of docs/performance.md.
    Compare(Box<compare::Options>),
    /// An origin that 10,000 agents report to: what a report costs, how large its registry is, and how soon it is back; prints the figures of docs/origin.md.
    Registry(registry::Options),
    /// Ten packages published at once, and a whole company that wants them: a real origin, real HTTP, simulated machines; prints the tables of docs/storms.md.
    Storm(storm::Options),
    /// Branches whose agents all want one large file, in virtual time: nobody managing, whole-file peers, a proxy, pieces; prints the tables of docs/fleet.md.
    Fleet(Box<fleet::Options>),
    /// One file, a thin line, a proxy and forty agents, all of them real processes: what crosses the line, and when the last has it; prints the table of docs/branch.md.
    Branch(branch::Options),
    /// Request traces, replayed against the store's eviction policy beside others and the offline bound; prints the tables of docs/eviction.md.
    Traces(traces::Options),
}

/// The program.
pub fn main() -> ExitCode {
    os::process::raise_open_files();
    let outcome = match Cli::parse().command {
        Command::Load(options) => load::run(&options),
        Command::Cold(options) => cold::run(&options),
        Command::Limit(options) => limit::run(&options),
        Command::Origin(options) => origin::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Registry(options) => registry::run(&options),
        Command::Storm(options) => storm::run(&options),
        Command::Fleet(options) => fleet::run(&options),
        Command::Branch(options) => branch::run(&options),
        Command::Traces(options) => traces::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outpost-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
