//! `outpost-proxy preload`: has files fetched before anybody asks for them, and shows how that stands; with `--follow` until it is done.

use std::{io::Read, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Subcommand,
    client::{self, Client},
    live::{LOOK_EVERY, Live},
    output,
    table::{self, Look, Side, Table, bar, count, counted, size, span},
    what::as_in_url,
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const PRELOAD: Subcommand = Subcommand { define, run };

/// Of `GET /v1/preload`.
#[derive(Debug, Deserialize)]
struct Preloads {
    upstreams: Vec<Upstream>,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    upstream: String,
    mode: String,
    state: String,
    next: Option<String>,
    closes: Option<String>,
    ready_by: Option<ReadyBy>,
    bytes_per_second: Option<u64>,
    scheduled: Option<Round>,
    on_demand: Option<Round>,
    running: Vec<Running>,
    failures: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
struct ReadyBy {
    deadline: String,
    outlook: String,
    late: bool,
}

#[derive(Debug, Deserialize)]
struct Round {
    ended: Option<String>,
    listing: bool,
    total: Files,
    here: Files,
    fetched: Files,
    left: Files,
    no_room: Files,
    failed_files: u64,
    line_bytes: u64,
    seconds_left: Option<f64>,
    listed: Listed,
}

#[derive(Debug, Default, Deserialize)]
struct Files {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Listed {
    folders: u64,
    entries: u64,
    cut: bool,
}

#[derive(Debug, Deserialize)]
struct Running {
    path: String,
    fetched: u64,
    total: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    path: String,
    reason: String,
}

/// Of `POST /v1/preload`.
#[derive(Debug, Deserialize)]
struct Begun {
    upstreams: Vec<String>,
}

fn define() -> Command {
    let command = Command::new("preload")
        .about("Has files fetched before anybody asks for them: everything, paths, a package or a list; or shows how that stands")
        .arg(Arg::new("path").value_name("PATH").action(ArgAction::Append).help(
            "Files as clients ask for them, such as /pool/a.deb; with / at its end a folder with everything below. None: all that the configuration says",
        ))
        .arg(
            Arg::new("package")
                .long("package")
                .value_name("PATTERN")
                .conflicts_with_all(["path", "list"])
                .help("Folders with everything below, such as /packages/office-1.2/ or /packages/office-*/"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("path")
                .help("A file with a path on each line, for a server that has no index of its own; - is standard input"),
        )
        .arg(Arg::new("upstream").long("upstream").value_name("NAME").help("Of this upstream only"))
        .arg(
            Arg::new("priority")
                .long("priority")
                .value_name("NUMBER")
                .value_parser(value_parser!(i64))
                .default_value("0")
                .allow_negative_numbers(true)
                .help("What is more goes first, among all that was asked for"),
        )
        .arg(
            Arg::new("status")
                .long("status")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["path", "package", "list", "priority"])
                .help("Asks for nothing, and shows how preloading stands"),
        )
        .arg(
            Arg::new("follow")
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Waits until it is done, with a progress bar; ends with 1 if files failed. With --status: what is on already"),
        );
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let upstream = matches.get_one::<String>("upstream").cloned();
    let only_shows = matches.get_flag("status");
    let names = if only_shows {
        upstream.map(|name| vec![name])
    } else {
        let begun: Begun = client.post("/v1/preload", &asked(matches)?)?.json()?;
        Some(begun.upstreams)
    };
    if !matches.get_flag("follow") {
        return match names {
            Some(names) if !only_shows => begun(matches, &names),
            names => show(&client, matches, names.as_deref()),
        };
    }
    let failed = follow(&client, names.as_deref(), only_shows)?;
    show(&client, matches, names.as_deref())?;
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::Run(anyhow!(
        "{} could not be preloaded; the reasons are above, and in its log",
        counted(failed, "file")
    )))
}

/// The body of the request.
fn asked(matches: &ArgMatches) -> Result<Value, Failure> {
    let mut asked = json!({ "priority": matches.get_one::<i64>("priority") });
    if let Some(name) = matches.get_one::<String>("upstream") {
        asked["upstream"] = json!(name);
    }
    let paths: Vec<String> =
        matches.get_many::<String>("path").into_iter().flatten().map(|path| as_in_url(path)).collect();
    if let Some(package) = matches.get_one::<String>("package") {
        asked["package"] = json!(package);
    } else if let Some(list) = matches.get_one::<PathBuf>("list") {
        asked["paths"] = json!(lines(&read(list)?)?);
    } else if !paths.is_empty() {
        asked["paths"] = json!(paths);
    }
    Ok(asked)
}

fn read(list: &PathBuf) -> Result<String, Failure> {
    if list.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the list from standard input")?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(list).with_context(|| format!("cannot read the list {}", list.display()))?)
}

/// The paths of a list: one on each line; what begins with `#` is a remark.
fn lines(text: &str) -> Result<Vec<String>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let paths: Vec<String> = lines.map(as_in_url).collect();
    if paths.is_empty() {
        return Err(Failure::Run(anyhow!("the list has no path")));
    }
    Ok(paths)
}

fn begun(matches: &ArgMatches, names: &[String]) -> Result<(), Failure> {
    if client::wants_json(matches) {
        return output::print(&format!("{:#}\n", json!({ "preload": "started", "upstreams": names })));
    }
    let names = table::plain(&names.join(", "));
    output::print(&format!("preload of {names} has begun; outpost-proxy preload --status --follow watches it\n"))
}

fn is_of(names: Option<&[String]>, upstream: &Upstream) -> bool {
    names.is_none_or(|names| names.contains(&upstream.upstream))
}

/// How it stands.
fn show(client: &Client, matches: &ArgMatches, names: Option<&[String]>) -> Result<(), Failure> {
    let answer = client.get("/v1/preload")?;
    if client::wants_json(matches) {
        let mut all: Value = answer.json()?;
        if let Some(upstreams) = all["upstreams"].as_array_mut() {
            let name = |upstream: &Value| upstream["upstream"].as_str().map(str::to_owned);
            upstreams
                .retain(|upstream| names.is_none_or(|names| name(upstream).is_some_and(|name| names.contains(&name))));
        }
        return output::print(&format!("{all:#}\n"));
    }
    let mut preloads: Preloads = answer.json()?;
    preloads.upstreams.retain(|upstream| is_of(names, upstream));
    if preloads.upstreams.is_empty() {
        return Err(Failure::NotHere("there is no such upstream".into()));
    }
    output::print(&preloads.text(Look::of_stdout()))
}

/// Until all that is on, or all that was asked for, is done. Answers how many files failed.
fn follow(client: &Client, names: Option<&[String]>, is_any: bool) -> Result<u64, Failure> {
    let line = Live::start();
    loop {
        let preloads: Preloads = client.get("/v1/preload")?.json()?;
        let chosen: Vec<&Upstream> = preloads.upstreams.iter().filter(|upstream| is_of(names, upstream)).collect();
        let rounds = || chosen.iter().flat_map(|upstream| upstream.followed(is_any));
        if rounds().all(|round| round.ended.is_some()) {
            return Ok(rounds().map(|round| round.failed_files).sum());
        }
        line.show(&progress(&chosen, is_any));
        client.pause(LOOK_EVERY);
    }
}

impl Upstream {
    /// The rounds that are waited for: those on demand, or any that go on now.
    fn followed(&self, is_any: bool) -> impl Iterator<Item = &Round> {
        let is_on = !matches!(self.state.as_str(), "waiting" | "off" | "finishing");
        let scheduled = self.scheduled.as_ref().filter(|round| is_any && (is_on || round.ended.is_some()));
        self.on_demand.as_ref().into_iter().chain(scheduled)
    }

    /// What it does now, in a few words.
    fn doing(&self) -> String {
        let when = |what: &str, time: &Option<String>| time.as_deref().map(|time| format!("{what} {}", readable(time)));
        let mut parts = vec![self.state.clone()];
        parts.extend(when("until", &self.closes));
        parts.extend(when("next", &self.next));
        if let Some(ready_by) = &self.ready_by {
            parts.push(format!("ready by {}: {}", readable(&ready_by.deadline), ready_by.outlook));
        }
        parts.join(", ")
    }
}

/// `2026-11-23T02:00:00Z` without what nobody needs.
fn readable(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

/// The line that is written over and over.
fn progress(chosen: &[&Upstream], is_any: bool) -> String {
    let rounds = || chosen.iter().flat_map(|upstream| upstream.followed(is_any)).filter(|round| round.ended.is_none());
    if rounds().any(|round| round.listing && round.total.files == 0) {
        let (folders, entries): (u64, u64) =
            rounds().fold((0, 0), |sum, round| (sum.0 + round.listed.folders, sum.1 + round.listed.entries));
        return format!(
            "looks what there is: {} in {}",
            counted(entries, "entry").replace("entrys", "entries"),
            counted(folders, "folder")
        );
    }
    let sum = |read: fn(&Round) -> u64| rounds().map(read).sum::<u64>();
    let (total, left) = (sum(|round| round.total.bytes), sum(|round| round.left.bytes));
    let (files, files_left) = (sum(|round| round.total.files), sum(|round| round.left.files));
    let rate: u64 = chosen.iter().filter_map(|upstream| upstream.bytes_per_second).sum();
    let seconds = rounds().filter_map(|round| round.seconds_left).fold(0.0, f64::max);
    let mut parts = vec![format!(
        "{} {} of {}",
        bar(total.saturating_sub(left), total),
        count(files.saturating_sub(files_left)),
        counted(files, "file")
    )];
    parts.push(format!("{} of {}", size(total.saturating_sub(left)), size(total)));
    if rate > 0 {
        parts.push(format!("{}/s", size(rate)));
    }
    if seconds > 0.0 {
        parts.push(format!("{} left", span(Duration::from_secs_f64(seconds))));
    }
    parts.extend(chosen.iter().flat_map(|upstream| &upstream.running).next().map(|file| file.path.clone()));
    parts.join(", ")
}

impl Preloads {
    fn text(&self, look: Look) -> String {
        let mut rounds = Table::new(&[
            ("UPSTREAM", Side::Left),
            ("MODE", Side::Left),
            ("DONE", Side::Right),
            ("HERE", Side::Right),
            ("FETCHED", Side::Right),
            ("LEFT", Side::Right),
            ("FAILED", Side::Right),
            ("LINE", Side::Right),
            ("WHAT", Side::Left),
        ]);
        for upstream in &self.upstreams {
            let both = [("by the clock", &upstream.scheduled), ("on demand", &upstream.on_demand)];
            let known: Vec<_> = both.iter().filter_map(|(what, round)| Some((*what, round.as_ref()?))).collect();
            for (what, round) in &known {
                rounds.row(round.row(upstream, what));
            }
            if known.is_empty() {
                let none = || "-".to_owned();
                let name = upstream.upstream.clone();
                rounds.row([name, upstream.mode.clone(), none(), none(), none(), none(), none(), none(), none()]);
            }
        }
        let mut text = rounds.text(look);
        let doing: Vec<_> = self.upstreams.iter().map(|one| (one.upstream.as_str(), one.doing())).collect();
        text.push('\n');
        text.push_str(&table::facts(&doing, look));
        for upstream in &self.upstreams {
            text.push_str(&upstream.rest(look));
        }
        text
    }
}

impl Round {
    fn row(&self, upstream: &Upstream, what: &str) -> [String; 9] {
        let part = table::percent(self.total.bytes.saturating_sub(self.left.bytes), self.total.bytes);
        let done = match (part, &self.ended) {
            (_, Some(_)) => "100%".to_owned(),
            (Some(part), None) => format!("{part}%"),
            (None, None) => "?".to_owned(),
        };
        let files = |files: &Files| format!("{} ({})", count(files.files), size(files.bytes));
        [
            upstream.upstream.clone(),
            upstream.mode.clone(),
            done,
            files(&self.here),
            files(&self.fetched),
            files(&self.left),
            count(self.failed_files),
            size(self.line_bytes),
            what.to_owned(),
        ]
    }
}

impl Upstream {
    /// What is on its way, and what somebody should look at.
    fn rest(&self, look: Look) -> String {
        let mut text = String::new();
        for file in &self.running {
            let whole = file.total.map_or_else(|| "?".into(), size);
            text.push_str(&table::plain(&format!("  fetching {}: {} of {whole}", file.path, size(file.fetched))));
            text.push('\n');
        }
        let rounds = || [&self.scheduled, &self.on_demand].into_iter().flatten();
        let mut alarms = Vec::new();
        if self.ready_by.as_ref().is_some_and(|ready_by| ready_by.late) {
            alarms.push(format!("{} will not be here in time at this rate", self.upstream));
        }
        if let Some(round) = rounds().find(|round| round.no_room.files > 0) {
            let Files { files, bytes } = round.no_room;
            alarms.push(format!("the cache is too small for {} more ({})", counted(files, "file"), size(bytes)));
        }
        if rounds().any(|round| round.listed.cut) {
            alarms.push(format!("the listing of {} was cut, for it is too long or too deep", self.upstream));
        }
        alarms.extend(self.failures.iter().map(|failed| format!("{}: {}", failed.path, failed.reason)));
        for alarm in alarms {
            text.push_str(&look.alarm(&table::plain(&format!("  {alarm}"))));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Preloads {
        let round = |ended: Option<&str>, left: u64| {
            json!({"began": "2026-11-23T02:00:00Z", "ended": ended, "listing": false, "percent": 62.5,
                "total": {"files": 80, "bytes": 8_000_000}, "here": {"files": 40, "bytes": 4_000_000},
                "fetched": {"files": 40 - left, "bytes": 1_000_000}, "left": {"files": left, "bytes": left * 100_000},
                "no_room": {"files": 2, "bytes": 7_000_000}, "failed_files": 1, "gone_files": 0, "line_bytes": 1_000_000,
                "seconds_left": if left > 0 { json!(90.0) } else { Value::Null },
                "listed": {"folders": 3, "entries": 80, "circles": 0, "unreadable_folders": 0, "cut": false}})
        };
        let value = json!({"upstreams": [
            {"upstream": "prod", "mount": "/", "mode": "preload", "state": "fetching", "schedule": ["02:00-04:00"],
             "next": null, "closes": "2026-11-23T04:00:00Z", "ready_by": null, "bytes_per_second": 30_000,
             "scheduled": round(None, 30), "on_demand": null,
             "running": [{"path": "/a.iso", "fetched": 500_000, "total": 1_000_000, "began": "", "on_demand": false}],
             "failures": [{"path": "/b\u{1b}[2J", "reason": "no", "at": ""}]},
            {"upstream": "test", "mount": "/test", "mode": "fetch-and-preload", "state": "waiting", "schedule": [],
             "next": "2026-11-24T02:00:00Z", "closes": null,
             "ready_by": {"text": "Mon 08:00", "deadline": "2026-11-30T08:00:00Z", "outlook": "late", "late": true},
             "bytes_per_second": null, "scheduled": null, "on_demand": null, "running": [], "failures": []}]});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn how_it_stands() {
        let expected = "\
UPSTREAM  MODE               DONE          HERE       FETCHED          LEFT  FAILED     LINE  WHAT
prod      preload             62%  40 (4.00 MB)  10 (1.00 MB)  30 (3.00 MB)       1  1.00 MB  by the clock
test      fetch-and-preload     -             -             -             -       -        -  -

  prod  fetching, until 2026-11-23 04:00 UTC
  test  waiting, next 2026-11-24 02:00 UTC, ready by 2026-11-30 08:00 UTC: late
  fetching /a.iso: 500 KB of 1.00 MB
  the cache is too small for 2 files more (7.00 MB)
  /b\u{fffd}[2J: no
  test will not be here in time at this rate
";
        assert_eq!(sample().text(Look::default()), expected);
    }

    #[test]
    fn the_line_that_is_followed() {
        let preloads = sample();
        let chosen: Vec<_> = preloads.upstreams.iter().collect();
        let line = progress(&chosen, true);
        assert_eq!(
            line,
            "[==================>           ]  62% 50 of 80 files, 5.00 MB of 8.00 MB, 30.0 KB/s, 1 min 30 s left, /a.iso"
        );
        assert!(chosen.iter().flat_map(|upstream| upstream.followed(false)).next().is_none(), "nothing on demand");
    }

    #[test]
    fn a_list_has_a_path_on_each_line() {
        let paths = lines("# drivers\n/a b\r\n\n  /c%20d  \n").unwrap();
        assert_eq!(paths, ["/a%20b", "/c%20d"]);
        assert!(lines("# nothing\n").is_err());
    }
}
