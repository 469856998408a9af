//! `outpost-origin update`: has proxies brought up to date now, and follows that to its end.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use config::value::human_size;
use protocol::{
    enrolment::{OrderState, Stage},
    plain::plain,
};

use super::{
    Failure,
    client::{self, Client},
    print,
};
use crate::control::work::{Given, Listed, Wanted};

/// How often it is looked how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An origin that is started anew knows its orders, and they go on meanwhile: for so long it is waited for.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Orders that are asked for at once: their numbers stand in one request.
const ASKED_MAX: usize = 400;

/// How far each is, by number: who, and the state.
type Progress = BTreeMap<u64, (String, OrderState)>;

pub(super) fn define() -> Command {
    let command = Command::new("update")
        .about("Has proxies fetch now what is preloaded, or one package, and follows that to the end")
        .after_help("Exit codes: 0 done, 1 failed at one proxy at least, 3 no such proxy or domain, 69 nobody answers, 77 not allowed, 78 wrong configuration")
        .arg(Arg::new("path").value_name("PATH").help("A file, or a folder with its / and all below it [default: everything that is preloaded]"))
        .arg(Arg::new("proxy").long("proxy").value_name("NAME").conflicts_with("domain").help("One proxy, or one agent [default: all proxies]"))
        .arg(Arg::new("domain").long("domain").value_name("NAME").help("The proxies of a domain, and of those below it"))
        .arg(Arg::new("no-wait").long("no-wait").action(ArgAction::SetTrue).help("Only orders it, and prints the numbers of the orders"));
    client::arguments(command)
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let said = |name: &str| matches.get_one::<String>(name).cloned();
    let domain = said("domain").map(|name| name.parse()).transpose();
    let domain = domain.map_err(|bad: protocol::topology::BadDomain| Failure::Run(bad.to_string()))?;
    let wanted = Wanted { proxy: said("proxy"), domain, path: said("path") };
    let client = Client::of(matches)?;
    let body = serde_json::to_string(&wanted).unwrap_or_default();
    let (given, text): (Given, String) = client.post("/v1/update", &body)?;
    let is_json = matches.get_flag("json");
    if matches.get_flag("no-wait") {
        let ids: String = given.ids.iter().map(|id| format!("{id}\n")).collect();
        return print(if is_json { &text } else { &ids });
    }
    follow(&client, &given.ids, is_json)
}

fn follow(client: &Client, ids: &[u64], is_json: bool) -> Result<(), Failure> {
    let (mut known, mut answered) = (Progress::new(), Instant::now());
    loop {
        match look(client, ids, is_json, &mut known) {
            Err(Failure::Unavailable(_)) if answered.elapsed() < AWAY_MAX => {
                pause();
                continue;
            }
            looked => looked?,
        }
        answered = Instant::now();
        if known.len() < ids.len() {
            return Err(Failure::Run(
                "the origin knows no more of some of these orders: it was started anew with another database".into(),
            ));
        }
        if ids.iter().all(|id| has_ended(&known, *id)) {
            return end(&known, is_json);
        }
        show(&known);
        pause();
    }
}

/// Asks for those that have not ended yet, and tells of each that has.
fn look(client: &Client, ids: &[u64], is_json: bool, known: &mut Progress) -> Result<(), Failure> {
    let open: Vec<u64> = ids.iter().filter(|id| !has_ended(known, **id)).copied().collect();
    for piece in open.chunks(ASKED_MAX) {
        let numbers: Vec<String> = piece.iter().map(u64::to_string).collect();
        let (listed, _): (Listed, String) = client.get(&format!("/v1/orders?ids={}", numbers.join(",")))?;
        for shown in listed.orders {
            if shown.state.state.is_end() && !is_json {
                clear_line();
                print(&line(&shown.node, &shown.state))?;
            }
            known.insert(shown.state.id, (shown.node, shown.state));
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what happens at the proxies gives no event to wait for here")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}

fn has_ended(known: &Progress, id: u64) -> bool {
    known.get(&id).is_some_and(|(_, state)| state.state.is_end())
}

fn end(known: &Progress, is_json: bool) -> Result<(), Failure> {
    clear_line();
    let failed = known.values().filter(|(_, state)| state.state == Stage::Failed).count();
    if is_json {
        let orders: Vec<_> =
            known.values().map(|(node, state)| serde_json::json!({ "node": node, "order": state })).collect();
        print(&format!("{}\n", serde_json::json!({ "failed": failed, "orders": orders })))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Run(format!("{failed} of {} proxies could not be brought up to date", known.len()))),
    }
}

/// A proxy that has ended.
fn line(node: &str, state: &OrderState) -> String {
    match state.state {
        Stage::Failed => format!("{node}  failed: {}\n", plain(&state.detail)),
        _ => format!("{node}  done, {}\n", human_size(state.fetched)),
    }
}

/// Of all together, while somebody watches.
fn progress(known: &Progress) -> String {
    let ended = known.values().filter(|(_, state)| state.state.is_end()).count();
    let waiting = known.values().filter(|(_, state)| state.state == Stage::Waiting).count();
    let sum = |of: fn(&OrderState) -> u64| known.values().map(|(_, state)| of(state)).sum();
    let (fetched, total) = (human_size(sum(|state| state.fetched)), human_size(sum(|state| state.total)));
    format!("{ended} of {} proxies done, {waiting} not begun, {fetched} of {total}", known.len())
}

fn show(known: &Progress) {
    if io::stderr().is_terminal() {
        // A line that cannot be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{}", progress(known));
    }
}

fn clear_line() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: u64, stage: Stage, fetched: u64) -> (u64, (String, OrderState)) {
        let detail = if stage == Stage::Failed { "no\x1b[2J room".to_owned() } else { String::new() };
        (id, (format!("p{id}"), OrderState { id, state: stage, fetched, total: 4_000_000, detail }))
    }

    #[test]
    fn what_a_person_sees() {
        let known: Progress =
            [state(1, Stage::Done, 4_000_000), state(2, Stage::Running, 1_000_000), state(3, Stage::Waiting, 0)].into();
        assert_eq!(progress(&known), "1 of 3 proxies done, 1 not begun, 5.00 MB of 12.0 MB");
        assert_eq!(line("p1", &known[&1].1), "p1  done, 4.00 MB\n");
        assert_eq!(line("p4", &state(4, Stage::Failed, 0).1.1), "p4  failed: no [2J room\n");
        assert!(has_ended(&known, 1) && !has_ended(&known, 2) && !has_ended(&known, 9));
    }
}
