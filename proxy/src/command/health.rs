//! `outpost-proxy health`: an exit code for containers and service managers, without another program. It asks `/readyz`, which never wants a token.

use anyhow::anyhow;
use clap::{ArgMatches, Command};
use serde::Deserialize;

use super::{
    Subcommand,
    client::{self, Client},
    output,
    table::plain,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const HEALTH: Subcommand = Subcommand { define, run };

#[derive(Deserialize)]
struct Ready {
    ready: bool,
    state: String,
}

fn define() -> Command {
    client::arguments(
        Command::new("health")
            .about("Ends with 0 if a proxy serves, with 1 while it starts or drains, with 69 if none answers"),
    )
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let answer = Client::of(matches)?.get_whatever_it_says("/readyz")?;
    let Ready { ready, state } = answer.json()?;
    let text = format!("{}\n", plain(&state));
    output::print(if client::wants_json(matches) { answer.text() } else { &text })?;
    if ready { Ok(()) } else { Err(Failure::Run(anyhow!("the proxy is not ready: it is {}", plain(&state)))) }
}
