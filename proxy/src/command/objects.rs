//! `outpost-proxy objects`: what is in the cache, page by page in the order of the digests.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Subcommand,
    client::{self, Client, target},
    output,
    table::{Look, Side, Table, count, size},
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const OBJECTS: Subcommand = Subcommand { define, run };

/// Objects that are shown unless said otherwise.
const SHOWN: &str = "100";

/// Objects that are asked for at a time: the most that the admin interface gives.
const PAGE_MAX: u64 = 1000;

/// A page of `GET /v1/objects`.
#[derive(Deserialize)]
struct Page {
    objects: Vec<Object>,
    next: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Object {
    md5: String,
    sha256: Option<String>,
    size: u64,
    uses: u64,
}

fn define() -> Command {
    let command = Command::new("objects")
        .about("Lists what is in the cache, in the order of the digests; ends with 3 if there is nothing")
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .default_value(SHOWN)
                .help("How many to show"),
        )
        .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).conflicts_with("limit").help("Shows all of them"))
        .arg(
            Arg::new("cursor")
                .long("cursor")
                .value_name("MD5")
                .help("Goes on behind this one, which a list named as next"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let mut left = match matches.get_one::<u64>("limit") {
        Some(limit) if !matches.get_flag("all") => *limit,
        _ => u64::MAX,
    };
    let mut cursor = matches.get_one::<String>("cursor").cloned();
    let mut printer = Printer { wants_json: client::wants_json(matches), look: Look::of_stdout(), pages: 0 };
    loop {
        let page = page(&client, cursor.as_deref(), left.min(PAGE_MAX))?;
        left -= left.min(page.objects.len() as u64);
        // Page by page: who reads only the beginning does not wait for the end.
        printer.page(&page)?;
        cursor = page.next;
        if left == 0 || cursor.is_none() {
            return printer.end(cursor.as_deref());
        }
    }
}

fn page(client: &Client, cursor: Option<&str>, limit: u64) -> Result<Page, Failure> {
    let limit = limit.to_string();
    let query: Vec<_> = [("limit", Some(limit.as_str())), ("cursor", cursor)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    client.get(&target("/v1/objects", &query))?.json()
}

/// How pages become one list.
struct Printer {
    wants_json: bool,
    look: Look,
    /// That had something in them.
    pages: u64,
}

impl Printer {
    fn page(&mut self, page: &Page) -> Result<(), Failure> {
        if page.objects.is_empty() {
            return Ok(());
        }
        self.pages += 1;
        output::print(&if self.wants_json {
            lines(&page.objects)
        } else {
            table(&page.objects, self.pages == 1, self.look)
        })
    }

    fn end(&self, next: Option<&str>) -> Result<(), Failure> {
        if self.pages == 0 {
            return Err(Failure::NotHere("there is no object in the cache, or none behind the cursor".into()));
        }
        match next {
            Some(next) if self.wants_json => output::print(&format!("{}\n", json!({ "next": next }))),
            Some(next) => output::print(&format!("there are more: --cursor {next}, or --all\n")),
            None => Ok(()),
        }
    }
}

/// An object per line, so that a list of any length can be read while it comes.
fn lines(objects: &[Object]) -> String {
    objects.iter().map(|object| format!("{}\n", json!(object))).collect()
}

fn table(objects: &[Object], is_first: bool, look: Look) -> String {
    let mut table = Table::new(&[("MD5", Side::Left), ("    SIZE", Side::Right), ("      USES", Side::Right)]);
    for object in objects {
        table.row([object.md5.clone(), size(object.size), count(object.uses)]);
    }
    let text = table.text(look);
    match text.split_once('\n') {
        Some((_, rows)) if !is_first => rows.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_continue_each_other() {
        let object = |letter: &str, size, uses| Object { md5: letter.repeat(32), sha256: None, size, uses };
        let first = table(&[object("0", 5, 1), object("1", 12_300_000_000, 1_234_567)], true, Look::default());
        let expected = "MD5                                   SIZE        USES
00000000000000000000000000000000       5 B           1
11111111111111111111111111111111   12.3 GB   1,234,567
";
        assert_eq!(first, expected);
        let second = table(&[object("2", 999, 0)], false, Look::default());
        assert_eq!(second, "22222222222222222222222222222222     999 B           0\n");
    }
}
