//! `outpost-proxy drain`: has a proxy finish what it is sending and end, as SIGTERM does.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::{
    Subcommand,
    client::{self, Client},
    output,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const DRAIN: Subcommand = Subcommand { define, run };

fn define() -> Command {
    client::arguments(
        Command::new("drain").about("Has a proxy finish what it is sending, for up to serve.drain_timeout, and end"),
    )
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let answer = Client::of(matches)?.post("/v1/drain", &json!({}))?;
    let text = "the proxy finishes what it is sending, and ends\n";
    output::print(if client::wants_json(matches) { answer.text() } else { text })
}
