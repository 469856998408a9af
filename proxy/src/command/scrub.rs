//! `outpost-proxy scrub`: has every object read again and compared with its digest, and with `--follow` watches until it is done.

use std::time::Duration;

use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Subcommand,
    client::{self, Client},
    live::{LOOK_EVERY, Live},
    output,
    table::{bar, count, counted, rate, size, span},
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const SCRUB: Subcommand = Subcommand { define, run };

/// Of `GET /v1/status`.
#[derive(Deserialize)]
struct Status {
    scrub: Scrub,
}

/// How it stands.
#[derive(Deserialize)]
struct Scrub {
    running: bool,
    now: Option<Found>,
    last: Option<Found>,
}

/// What was found so far, or in all.
#[derive(Deserialize, Serialize)]
struct Found {
    good: u64,
    bad: u64,
    missing: u64,
    bytes: u64,
    seconds: f64,
    /// Objects there are, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_objects: Option<u64>,
}

fn define() -> Command {
    let command =
        Command::new("scrub").about("Has every object in the cache read again and compared with its digest").arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Waits until it is done and says what was found; ends with 1 if objects were bad or missing"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let wants_json = client::wants_json(matches);
    let begun = client.post("/v1/scrub", &json!({}))?;
    if !matches.get_flag("follow") {
        let text = "the scrub runs; outpost-proxy scrub --follow watches it\n";
        return output::print(if wants_json { begun.text() } else { text });
    }
    let found = follow(&client)?;
    let text = if wants_json { format!("{:#}\n", json!(found)) } else { found.text() + "\n" };
    output::print(&text)?;
    if found.bad + found.missing == 0 {
        return Ok(());
    }
    Err(Failure::Run(anyhow!(
        "objects were bad or missing; they are fetched again when they are asked for. Look at the disk"
    )))
}

/// Until it is done. Somebody else's that is on already is as good as our own.
fn follow(client: &Client) -> Result<Found, Failure> {
    let line = Live::start();
    loop {
        let Status { scrub } = client.get("/v1/status")?.json()?;
        match scrub {
            Scrub { running: false, last: Some(found), .. } => return Ok(found),
            Scrub { running: false, .. } => {
                return Err(Failure::Run(anyhow!(
                    "the proxy was started anew before the scrub was done; begin it again"
                )));
            }
            Scrub { now: Some(now), .. } => line.show(&now.progress()),
            Scrub { .. } => {}
        }
        client.pause(LOOK_EVERY);
    }
}

impl Found {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.max(0.0))
    }

    fn progress(&self) -> String {
        let faults = self.bad + self.missing;
        let done = self.good + faults;
        let whole = self.of_objects.unwrap_or(done);
        let faults = if faults > 0 { format!(", {faults} bad or missing") } else { String::new() };
        let objects = format!("{} of {}", count(done), counted(whole, "object"));
        format!("{} {objects}, {} at {}{faults}", bar(done, whole), size(self.bytes), rate(self.bytes, self.time()))
    }

    fn text(&self) -> String {
        format!(
            "{} good, {} bad (now in quarantine), {} missing: {} read in {}",
            counted(self.good, "object"),
            self.bad,
            self.missing,
            size(self.bytes),
            span(self.time()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_result() {
        let found = Found { good: 1200, bad: 1, missing: 0, bytes: 5_000_000, seconds: 2.0, of_objects: Some(2402) };
        let line =
            "[===============>              ]  50% 1,201 of 2,402 objects, 5.00 MB at 2.50 MB/s, 1 bad or missing";
        assert_eq!(found.progress(), line);
        assert_eq!(found.text(), "1,200 objects good, 1 bad (now in quarantine), 0 missing: 5.00 MB read in 2.0 s");
    }
}
