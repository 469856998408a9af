//! `outpost-proxy objects`: what is in the cache, by digest, size or use, page by page.

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use config::value::parse_size;
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
}

fn define() -> Command {
    let number = |name: &'static str| Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u32));
    let bytes = |name: &'static str| Arg::new(name).long(name).value_name("SIZE").value_parser(parse_size);
    let command = Command::new("objects")
        .about("Lists what is in the cache; ends with 3 if there is nothing")
        .arg(
            Arg::new("sort")
                .long("sort")
                .value_name("BY")
                .value_parser(PossibleValuesParser::new(["md5", "size", "uses"]))
                .default_value("md5")
                .help("In which order: by digest, or the largest or the most asked for first"),
        )
        .arg(Arg::new("reverse").long("reverse").action(ArgAction::SetTrue).help("The other way round"))
        .arg(
            Arg::new("path")
                .long("path")
                .value_name("GLOB")
                .help("Only what a path stands for, such as /drivers/** or *.iso"),
        )
        .arg(bytes("min-size").help("Only objects of at least so many bytes, such as 10MB"))
        .arg(bytes("max-size").help("Only objects of at most so many bytes"))
        .arg(number("min-uses").help("Only what was asked for at least so often; counts fade with time"))
        .arg(number("max-uses").help("Only what was asked for at most so often"))
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
                .value_name("CURSOR")
                .help("Goes on where a list ended that named this; sort and choose as for that"),
        )
        .arg(
            Arg::new("no-paths")
                .long("no-paths")
                .action(ArgAction::SetTrue)
                .help("Without paths, which takes the proxy less time where it knows millions of them"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let mut left = match matches.get_one::<u64>("limit") {
        Some(limit) if !matches.get_flag("all") => *limit,
        _ => u64::MAX,
    };
    let query = query(matches);
    let mut cursor = matches.get_one::<String>("cursor").cloned();
    let mut printer = Printer { wants_json: client::wants_json(matches), look: Look::of_stdout(), pages: 0 };
    loop {
        let page = page(&client, &query, cursor.as_deref(), left.min(PAGE_MAX))?;
        left -= left.min(page.objects.len() as u64);
        // Page by page: who reads only the beginning does not wait for the end.
        printer.page(&page)?;
        cursor = page.next;
        if left == 0 || cursor.is_none() {
            return printer.end(cursor.as_deref());
        }
    }
}

/// What all pages are asked for with.
fn query(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let sort = matches.get_one::<String>("sort").map_or("md5", String::as_str);
    let mut query = vec![("sort", sort.to_owned())];
    if matches.get_flag("reverse") {
        // What comes first otherwise is the smallest digest, or the largest of the others.
        query.push(("order", if sort == "md5" { "descending" } else { "ascending" }.to_owned()));
    }
    for (flag, name) in [("min-size", "min_size"), ("max-size", "max_size")] {
        query.extend(matches.get_one::<u64>(flag).map(|bytes| (name, bytes.to_string())));
    }
    for (flag, name) in [("min-uses", "min_uses"), ("max-uses", "max_uses")] {
        query.extend(matches.get_one::<u32>(flag).map(|uses| (name, uses.to_string())));
    }
    query.extend(matches.get_one::<String>("path").map(|glob| ("path", glob.clone())));
    if !matches.get_flag("no-paths") {
        query.push(("paths", "true".into()));
    }
    query
}

fn page(client: &Client, query: &[(&str, String)], cursor: Option<&str>, limit: u64) -> Result<Page, Failure> {
    let limit = limit.to_string();
    let mut all: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.push(("limit", &limit));
    all.extend(cursor.map(|cursor| ("cursor", cursor)));
    client.get(&target("/v1/objects", &all))?.json()
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
            return Err(Failure::NotHere("there is no such object in the cache, or none behind the cursor".into()));
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
    let mut table =
        Table::new(&[("MD5", Side::Left), ("    SIZE", Side::Right), ("   USES", Side::Right), ("PATH", Side::Left)]);
    for object in objects {
        let path = path(object.paths.as_deref().unwrap_or_default());
        table.row([object.md5.clone(), size(object.size), count(object.uses), path]);
    }
    let text = table.text(look);
    match text.split_once('\n') {
        Some((_, rows)) if !is_first => rows.to_owned(),
        _ => text,
    }
}

/// The first, and how many more there are.
fn path(paths: &[String]) -> String {
    match paths {
        [] => String::new(),
        [path] => path.clone(),
        [path, more @ ..] => format!("{path} (+{})", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_continue_each_other() {
        let object = |letter: &str, size, uses, paths: &[&str]| {
            let paths = Some(paths.iter().map(ToString::to_string).collect());
            Object { md5: letter.repeat(32), sha256: None, size, uses, paths }
        };
        let first = [object("0", 5, 1, &["/a.txt", "/b/a.txt"]), object("1", 12_300_000_000, 12_345, &[])];
        let expected = "MD5                                   SIZE     USES  PATH
00000000000000000000000000000000       5 B        1  /a.txt (+1)
11111111111111111111111111111111   12.3 GB   12,345
";
        assert_eq!(table(&first, true, Look::default()), expected);
        let second = table(&[object("2", 999, 0, &["/c"])], false, Look::default());
        assert_eq!(second, "22222222222222222222222222222222     999 B        0  /c\n");
    }
}
