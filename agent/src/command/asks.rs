//! `status`, `why`, `retry-now` and `cache`: ask the service of this machine. People see tables, scripts with `--json` what the service said.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use clap::{Args, Subcommand};
use config::value::{human_size, parse_address};
use protocol::plain::plain;
use serde_json::Value;
use tokio::runtime::Builder;

use super::{ending::Ending, jobs};
use crate::net::{
    client::{Ask, Client, Manners, escaped},
    json,
};

/// How long the service may take to say something; it may be reading its whole cache.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

/// Where the service is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Where the service of this machine is
    #[arg(long, value_name = "IP:PORT", env = "OUTPOST__LOCAL", default_value = "127.0.0.1:7777", value_parser = parse_address)]
    pub(crate) local: SocketAddr,

    /// Prints JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What is known of one thing.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// A path, a URL, or the MD5 of a content
    #[arg(value_name = "URL|PATH|MD5")]
    what: String,

    #[command(flatten)]
    place: Where,
}

/// The packages that this machine keeps.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// Looks after all of them now
    #[arg(long)]
    pub(super) run: bool,

    #[command(flatten)]
    pub(super) place: Where,
}

/// What is done with the service's cache.
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Lists what is here
    Ls(Where),
    /// Reads everything and compares it with its digest; what is wrong is removed
    Verify(Where),
    /// Removes everything
    Clear(Where),
}

pub(super) fn status(place: &Where) -> Result<(), Ending> {
    let value = ask(place, "GET", "/v1/status")?;
    show(place, &value, || {
        let cache = &value["cache"];
        let size = |value: &Value| human_size(value.as_u64().unwrap_or(0));
        let mut text = format!(
            "{} {}, up for {} s\ncache      {} in {} contents, at most {}; {} free\n",
            word(&value["name"]),
            word(&value["version"]),
            value["uptime"],
            size(&cache["used"]),
            cache["objects"],
            size(&cache["max_size"]),
            size(&cache["free"]),
        );
        for (title, list) in [("origins", &value["origins"]), ("servers", &value["servers"])] {
            let urls: Vec<_> = list.as_array().into_iter().flatten().map(word).collect();
            text.push_str(&format!("{title:10} {}\n", if urls.is_empty() { "none".into() } else { urls.join(" ") }));
        }
        text.push_str(&member(&value["membership"]));
        text.push_str(&format!("peers      {}\n", peers(&value["peers"], &value["sharing"])));
        let neighbours = value["neighbours"].as_array().map_or(0, Vec::len);
        text.push_str(&format!("neighbours {neighbours} known\n"));
        text + &jobs::lines(&value["jobs"]) + &downloads(&value["downloads"]) + &waits(&value["waiting"])
    })
}

pub(super) fn jobs(jobs: &Jobs) -> Result<(), Ending> {
    if jobs.run {
        let value = ask(&jobs.place, "POST", "/v1/jobs/run")?;
        return show(&jobs.place, &value, || format!("{} jobs are looked after now\n", value["jobs"]));
    }
    let value = ask(&jobs.place, "GET", "/v1/jobs")?;
    show(&jobs.place, &value, || jobs::table(&value["jobs"]))
}

pub(super) fn why(why: &Why) -> Result<(), Ending> {
    let value = ask(&why.place, "GET", &format!("/v1/why?what={}", escaped(&why.what)))?;
    show(&why.place, &value, || {
        let md5 = value["md5"].as_str().unwrap_or("not known");
        let here = match (value["here"].as_bool(), value["size"].as_u64()) {
            (Some(true), Some(size)) => format!("here, {}", human_size(size)),
            _ => "not here".into(),
        };
        let name = value["name"].as_str().map(|name| format!("\nname       {name}")).unwrap_or_default();
        let download = value["download"].as_object().map(|_| downloads(&Value::Array(vec![value["download"].clone()])));
        format!("{}\ndigest     {md5}\ncontent    {here}{name}\n", word(&value["what"]))
            + &download.unwrap_or_default()
            + &waits(&value["waiting"])
    })
}

pub(super) fn retry_now(place: &Where) -> Result<(), Ending> {
    let value = ask(place, "POST", "/v1/retry-now")?;
    show(place, &value, || format!("all waits are over; {} on their way\n", value["waiting"]))
}

pub(super) fn cache(cache: &Cache) -> Result<(), Ending> {
    match cache {
        Cache::Ls(place) => list(place),
        Cache::Verify(place) => {
            let value = ask(place, "POST", "/v1/cache/verify")?;
            show(place, &value, || {
                format!("{} right, {} wrong and removed, {} missing\n", value["good"], value["bad"], value["missing"])
            })
        }
        Cache::Clear(place) => {
            let value = ask(place, "POST", "/v1/cache/clear")?;
            show(place, &value, || format!("{} removed\n", value["removed"]))
        }
    }
}

/// Page by page.
fn list(place: &Where) -> Result<(), Ending> {
    let mut target = "/v1/cache".to_owned();
    loop {
        let page = ask(place, "GET", &target)?;
        for object in page["objects"].as_array().into_iter().flatten() {
            show(place, object, || {
                let size = human_size(object["size"].as_u64().unwrap_or(0));
                format!("{}  {size:>9}  {}\n", word(&object["md5"]), object["name"].as_str().unwrap_or(""))
            })?;
        }
        let Some(cursor) = page["cursor"].as_str() else { return Ok(()) };
        target = format!("/v1/cache?cursor={cursor}");
    }
}

/// How it stands with its origin.
fn member(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let word = |key: &str, none: &str| value[key].as_str().unwrap_or(none).to_owned();
    let stands = match value["member"].as_bool() {
        Some(true) => format!("belongs to {}", word("origin", "an origin")),
        _ => "not known to an origin yet".into(),
    };
    let mut text = format!(
        "member     {stands}, in {}; configuration {}\n",
        word("domain", "no domain"),
        value["generation"].as_u64().unwrap_or_default()
    );
    for refused in value["refused"].as_array().into_iter().flatten() {
        let option = refused["option"].as_str().filter(|option| !option.is_empty()).unwrap_or("all of it");
        text.push_str(&format!("           not taken: {option} ({})\n", refused["reason"].as_str().unwrap_or("")));
    }
    let restart: Vec<_> = value["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !restart.is_empty() {
        text.push_str(&format!("           with the next start: {}\n", restart.join(", ")));
    }
    text
}

/// Where neighbours are served, or why not now.
fn peers(at: &Value, sharing: &Value) -> String {
    let Some(at) = at.as_str() else { return "not served".into() };
    match (sharing["on"].as_bool(), sharing["text"].as_str()) {
        (Some(true), _) => at.into(),
        (_, Some(why)) => format!("{at}, not served now: {why}"),
        (_, None) => format!("{at}, nothing is shared"),
    }
}

fn downloads(list: &Value) -> String {
    let line = |download: &Value| {
        let size = download["size"].as_u64().map(|size| format!(" of {}", human_size(size))).unwrap_or_default();
        let at = human_size(download["at"].as_u64().unwrap_or(0));
        let whom = download["source"].as_str().map(|source| format!(" {source}")).unwrap_or_default();
        let why = download["why"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
        let pieces = match (download["pieces_here"].as_u64(), download["pieces"].as_u64()) {
            (Some(here), Some(all)) => format!(", {here} of {all} pieces"),
            _ => String::new(),
        };
        let banned: Vec<_> = download["banned"].as_array().into_iter().flatten().map(word).collect();
        let banned = match banned.as_slice() {
            [] => String::new(),
            banned => format!("; wrong pieces came from {}", banned.join(", ")),
        };
        let trouble = download["trouble"].as_str().map(|text| format!("; {text}")).unwrap_or_default();
        format!(
            "  {}  {at}{size}  {}{whom}{pieces}{why}{banned}{trouble}\n",
            word(&download["what"]),
            word(&download["stage"])
        )
    };
    let lines: String = list.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("on their way\n{lines}") }
}

fn waits(list: &Value) -> String {
    let line = |wait: &Value| {
        format!(
            "  {}  for {}, after {} failures, again in {} s\n",
            word(&wait["server"]),
            word(&wait["for"]),
            wait["failures"],
            wait["again_in"]
        )
    };
    let lines: String = list.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("not asked for now\n{lines}") }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn ask(place: &Where, method: &str, target: &str) -> Result<Value, Ending> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ending::Failed(format!("cannot start: {error}")))?;
    let server = format!("http://{}/", place.local);
    let client = Client::new(Manners::of_this_machine(SILENCE_MAX));
    let none = |why: String| Ending::NoService(place.local, why);
    runtime.block_on(async {
        let asking = if method == "POST" { Ask::post(&server, target, &()) } else { Ask::get(&server, target) };
        let answer = client.send(asking).await.map_err(|error| none(error.to_string()))?;
        match json::read::<Value>(answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(refusal)) => {
                let detail = refusal.problem.map_or_else(|| refusal.status.to_string(), |problem| problem.detail);
                Err(Ending::Failed(detail))
            }
            Err(error) => Err(none(error.to_string())),
        }
    })
}

/// Names and reasons are those that others have sent, and steer no terminal. Whoever closed the pipe has read enough.
fn show(place: &Where, value: &Value, table: impl FnOnce() -> String) -> Result<(), Ending> {
    let lines = || table().lines().map(|line| plain(line) + "\n").collect();
    let text: String = if place.json { format!("{value}\n") } else { lines() };
    drop(io::stdout().write_all(text.as_bytes()));
    Ok(())
}
