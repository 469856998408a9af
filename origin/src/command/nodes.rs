//! `outpost-origin nodes`: who has reported. `outpost-origin forget NAME`: has a name given anew.

use clap::{Arg, ArgMatches, Command};
use config::value::human_size;
use protocol::{
    plain::plain,
    report::{Node, Nodes},
};

use super::{
    Failure,
    client::{self, Client},
    columns, print,
};

pub(super) fn define() -> Command {
    client::arguments(Command::new("nodes").about("Lists the proxies and agents that have reported, and how they are"))
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let mut all = Vec::new();
    let mut target = "/v1/nodes".to_owned();
    loop {
        let (page, _): (Nodes, String) = client.get(&target)?;
        all.extend(page.nodes);
        match page.cursor {
            // A name has no letter that would have to be escaped.
            Some(cursor) => target = format!("/v1/nodes?cursor={cursor}"),
            None => break,
        }
    }
    if matches.get_flag("json") {
        return print(&format!("{}\n", serde_json::json!({ "nodes": all })));
    }
    print(&table(&all))
}

pub(super) fn define_forget() -> Command {
    let command = Command::new("forget")
        .about("Removes a name that has enrolled, so that whoever has a token for it can enrol under it anew")
        .arg(Arg::new("name").value_name("NAME").required(true).help("Of a proxy or an agent"));
    client::arguments(command)
}

pub(super) fn forget(matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>("name").cloned().unwrap_or_default();
    if !protocol::enrolment::is_name(&name) {
        return Err(Failure::NotFound(format!("nobody named {name} has enrolled here")));
    }
    Client::of(matches)?.delete(&format!("/v1/members/{name}"))?;
    print(&format!("{name} is removed; it can enrol anew\n"))
}

/// A line for each, in columns.
fn table(nodes: &[Node]) -> String {
    let head = ["NAME", "DOMAIN", "VERSION", "STATE", "LOAD", "FREE", "HOLDS"].map(str::to_owned);
    let rows: Vec<[String; 7]> = [head].into_iter().chain(nodes.iter().map(row)).collect();
    columns::table(&rows)
}

fn row(node: &Node) -> [String; 7] {
    let domain = node.domain.as_ref().map_or("-".to_owned(), ToString::to_string);
    let state = if node.away { "away" } else { "here" };
    [
        node.name.clone(),
        domain,
        plain(&node.version),
        state.to_owned(),
        format!("{}%", node.load),
        human_size(node.free),
        node.holds.to_string(),
    ]
}
