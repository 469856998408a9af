//! The whole-system scenarios, by what they are about. One test binary, so that `cargo test` links the programs once.

use harness::{agent::AgentSetup, origin::OriginSetup, proxy::ProxySetup, share::Share};

mod admin;
mod agent;
mod agent_service;
mod ahead;
mod belonging;
mod branch;
mod change;
mod clients;
mod coalescing;
mod collision;
mod comparison;
mod conduct;
mod following;
mod freshness;
mod harness_itself;
mod import;
mod jobs;
mod keeping;
mod kill_loop;
mod lies;
mod manners;
mod names;
mod neighbours;
mod pieces;
mod pieces_agent;
mod preload;
mod ranges;
mod requesters;
mod restart;
mod sharing;
mod site;
mod space;
mod storm;
mod strangers;
mod tls;
mod upstream_failures;
mod upstream_tls;
mod withheld;

/// A proxy that is yet to get its upstreams.
fn proxy() -> ProxySetup {
    ProxySetup::new(env!("CARGO_BIN_EXE_outpost-proxy-under-test"))
}

/// An agent with a directory of its own.
fn agent() -> AgentSetup {
    AgentSetup::new(env!("CARGO_BIN_EXE_outpost-agent-under-test"))
}

/// An origin over a share. It takes a file for settled soon, for here nobody writes files slowly.
fn origin_over(share: &Share) -> OriginSetup {
    OriginSetup::new(env!("CARGO_BIN_EXE_outpost-origin-under-test"), share.path()).arguments(&["--settle", "100ms"])
}
