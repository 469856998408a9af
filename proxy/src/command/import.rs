//! `outpost-proxy import`: has a running proxy take in the files of a directory, or a bundle, and watches until it is done.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::{Value, json};

use super::{
    Subcommand,
    job::{self, Kind},
    what::as_in_url,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const IMPORT: Subcommand = Subcommand { define, run };

const KIND: Kind = Kind { name: "import", target: "/v1/import", done: "taken in" };

const WAYS: [&str; 3] = ["link", "copy", "move"];

fn define() -> Command {
    let way = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let command = Command::new("import")
        .about("Takes the files of a directory on the proxy's machine, or a bundle, into the cache")
        .arg(Arg::new("path").value_name("DIR|BUNDLE").help("The directory, or a bundle made by outpost-proxy export"))
        .arg(
            Arg::new("mount")
                .long("mount")
                .value_name("PREFIX")
                .default_value("/")
                .help("The path under which clients see what stands in the directory"),
        )
        .arg(way("move").help("Moves the files into the cache: each leaves its place when it is durably there"))
        .arg(way("link").help("Shares blocks with the files, or leaves them out where the file system cannot"))
        .arg(way("copy").help("Copies the files [default: shares blocks where the file system can, else copies]"))
        .group(ArgGroup::new("way").args(WAYS));
    job::arguments(command, "path")
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    job::run(matches, &KIND, matches.get_one::<String>("path").map(|path| order(path, matches)))
}

fn order(path: &str, matches: &ArgMatches) -> Value {
    let way = WAYS.into_iter().find(|way| matches.get_flag(way)).unwrap_or("best");
    let mount = matches.get_one::<String>("mount").map_or("/", String::as_str);
    let mount = if mount.starts_with('/') { as_in_url(mount) } else { format!("/{}", as_in_url(mount)) };
    json!({ "path": job::absolute(path), "mount": mount, "way": way })
}
