//! `outpost-proxy export`: has a running proxy write what it has into a bundle, for another proxy to take in.

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};

use super::{
    Subcommand,
    job::{self, Kind},
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const EXPORT: Subcommand = Subcommand { define, run };

const KIND: Kind = Kind { name: "export", target: "/v1/export", done: "written" };

fn define() -> Command {
    let command = Command::new("export")
        .about(
            "Writes what is in the cache, or some of it, into one file, which outpost-proxy import takes in elsewhere",
        )
        .arg(
            Arg::new("path")
                .value_name("BUNDLE")
                .help("The file to write, on the proxy's machine; it must not be there"),
        )
        .arg(Arg::new("include").value_name("PATTERN").num_args(0..).requires("path").help(
            "What to write: /drivers/**, /packages/office-1.2/ (a folder with everything below), *.iso [default: all]",
        ));
    job::arguments(command, "path")
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    job::run(matches, &KIND, matches.get_one::<String>("path").map(|path| order(path, matches)))
}

fn order(path: &str, matches: &ArgMatches) -> Value {
    let include: Vec<_> = matches.get_many::<String>("include").unwrap_or_default().collect();
    json!({ "path": job::absolute(path), "include": include })
}
