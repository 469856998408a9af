//! `outpost-proxy purge`: takes files out of the cache. Who is being sent one gets the rest; who asks next makes it be fetched again.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Subcommand,
    client::{self, Client},
    output,
    table::plain,
    what::What,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const PURGE: Subcommand = Subcommand { define, run };

/// What the proxy says of a path.
#[derive(Deserialize)]
struct Purged {
    purged: bool,
}

fn define() -> Command {
    let command = Command::new("purge")
        .about("Takes files out of the cache, by path or by MD5; ends with 3 if none of them was there")
        .arg(
            Arg::new("what")
                .value_name("PATH|MD5")
                .value_parser(What::parse)
                .action(ArgAction::Append)
                .required(true)
                .help("A path as clients ask for it, such as /pool/a.deb, or the MD5 of an object, with all its names"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let mut told = Vec::new();
    for what in matches.get_many::<What>("what").into_iter().flatten() {
        told.push((what, purge(&client, what)?));
    }
    let text = if client::wants_json(matches) {
        let list: Vec<_> = told.iter().map(|(what, purged)| entry(what, *purged)).collect();
        format!("{:#}\n", Value::Array(list))
    } else {
        told.iter().map(|(what, purged)| line(what, *purged)).collect()
    };
    output::print(&text)?;
    if told.iter().any(|(_, purged)| *purged) {
        return Ok(());
    }
    Err(Failure::NotHere("nothing was purged".into()))
}

/// Whether it was there.
fn purge(client: &Client, what: &What) -> Result<bool, Failure> {
    match what {
        What::Path(path) => Ok(client.post("/v1/purge", &json!({ "path": path }))?.json::<Purged>()?.purged),
        What::Md5(md5) => match client.delete(&format!("/v1/objects/{md5}")) {
            Ok(_) => Ok(true),
            Err(Failure::NotHere(_)) => Ok(false),
            Err(failure) => Err(failure),
        },
    }
}

fn entry(what: &What, purged: bool) -> Value {
    match what {
        What::Path(path) => json!({ "path": path, "purged": purged }),
        What::Md5(md5) => json!({ "md5": md5.to_string(), "purged": purged }),
    }
}

fn line(what: &What, purged: bool) -> String {
    let name = match what {
        What::Path(path) => plain(path),
        What::Md5(md5) => md5.to_string(),
    };
    if purged { format!("purged {name}\n") } else { format!("{name} was not here\n") }
}
