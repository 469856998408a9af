//! `outpost-proxy status`: how a proxy is doing, on one screen.

use std::time::{Duration, SystemTime};

use clap::{ArgMatches, Command};
use serde::Deserialize;

use super::{
    Subcommand,
    belonging::Belonging,
    client::{self, Client},
    job::Job,
    output,
    table::{self, Look, Side, Table, count, counted, percent, size, span},
};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const STATUS: Subcommand = Subcommand { define, run };

fn define() -> Command {
    client::arguments(
        Command::new("status").about("Shows how a proxy is doing: cache, requests, line, upstreams, fetches"),
    )
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let answer = Client::of(matches)?.get("/v1/status")?;
    if client::wants_json(matches) {
        return output::print(answer.text());
    }
    output::print(&answer.json::<Status>()?.text(Look::of_stdout()))
}

/// What is shown of `GET /v1/status`. What a proxy of another version does not tell is not shown.
#[derive(Debug, Deserialize)]
struct Status {
    version: String,
    mode: String,
    state: String,
    uptime_seconds: f64,
    #[serde(default)]
    listen: Vec<String>,
    #[serde(default)]
    tls_listen: Vec<String>,
    process: Process,
    cache: Cache,
    requests: Requests,
    connections: u64,
    transfers: u64,
    bytes: Bytes,
    #[serde(default)]
    fills: Vec<Fill>,
    #[serde(default)]
    upstreams: Vec<Upstream>,
    import: Option<Job>,
    export: Option<Job>,
    #[serde(default)]
    preload: Vec<Preload>,
    /// A proxy of an earlier version tells of none.
    origin: Option<Belonging>,
}

#[derive(Debug, Deserialize)]
struct Preload {
    upstream: String,
    state: String,
    left_files: u64,
    left_bytes: u64,
    bytes_per_second: Option<u64>,
    late: bool,
}

#[derive(Debug, Deserialize)]
struct Process {
    cpu_user_seconds: f64,
    cpu_system_seconds: f64,
    resident_bytes: u64,
    open_files: u64,
    open_files_max: u64,
}

#[derive(Debug, Deserialize)]
struct Cache {
    dir: String,
    objects: u64,
    names: u64,
    used_bytes: u64,
    max_size_bytes: u64,
    min_free_bytes: u64,
    disk_available_bytes: u64,
    evictions: u64,
    evicted_bytes: u64,
    quarantined: u64,
    disk_errors: u64,
    #[serde(default)]
    pinned: Pinned,
}

#[derive(Debug, Default, Deserialize)]
struct Pinned {
    objects: u64,
    bytes: u64,
    refused_objects: u64,
    refused_bytes: u64,
    #[serde(default)]
    patterns: Vec<Pattern>,
}

#[derive(Debug, Deserialize)]
struct Pattern {
    pattern: String,
    objects: u64,
}

#[derive(Debug, Deserialize)]
struct Requests {
    total: u64,
    hits: u64,
    misses: u64,
    collapsed: u64,
    revalidated: u64,
    stale: u64,
    passed: u64,
    refused_requesters: u64,
    refused_overloaded: u64,
    #[serde(default)]
    refused_access: u64,
    hit_percent: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Bytes {
    from_upstream: u64,
    to_clients: u64,
}

#[derive(Debug, Deserialize)]
struct Fill {
    upstream: String,
    path: String,
    fetched: u64,
    total: Option<u64>,
    seconds: f64,
    followers: u64,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    name: String,
    mount: String,
    location: String,
    reachable: bool,
    last_error: Option<String>,
    /// A proxy of an earlier version has none of these.
    #[serde(default)]
    line: Line,
    #[serde(default)]
    origins: Vec<Origin>,
    stream: Option<Stream>,
}

#[derive(Debug, Deserialize)]
struct Origin {
    url: String,
    in_use: bool,
}

#[derive(Debug, Deserialize)]
struct Stream {
    live: bool,
    trouble: Option<String>,
}

impl Upstream {
    fn state(&self) -> &'static str {
        match (self.reachable, &self.stream) {
            (false, _) => "away",
            (true, Some(stream)) if stream.live => "up, tells",
            (true, _) => "up",
        }
    }

    /// What is not as it should be, and no outage.
    fn remark(&self) -> Option<String> {
        let other = self.origins.iter().skip(1).find(|origin| origin.in_use).map(|origin| origin.url.as_str());
        let trouble = self.stream.as_ref().filter(|stream| !stream.live).and_then(|stream| stream.trouble.as_deref());
        let name = &self.name;
        match (other, trouble) {
            (Some(url), _) => Some(format!("{name} is asked at {url}, for those before it failed")),
            (None, Some(trouble)) => Some(format!("{name} does not tell what changes: {trouble}")),
            (None, None) => None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Line {
    rate: Option<u64>,
}

impl Status {
    fn text(&self, look: Look) -> String {
        let uptime = span(Duration::from_secs_f64(self.uptime_seconds.max(0.0)));
        let title = format!("Outpost {}, {} for {uptime}, {}", self.version, self.state, self.mode);
        let mut text = look.heading(&table::plain(&title)) + "\n";
        text.push_str(&table::facts(&self.facts(), look));
        for part in [self.upstreams(look), self.fills(look)].into_iter().flatten() {
            text.push('\n');
            text.push_str(&part);
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let serves: Vec<_> = [("http", &self.listen), ("https", &self.tls_listen)]
            .into_iter()
            .flat_map(|(scheme, addresses)| addresses.iter().map(move |address| format!("{scheme}://{address}/")))
            .collect();
        let mut facts = vec![("serves", serves.join("  ")), ("cache", self.cache.text()), ("", self.cache.disk())];
        facts.extend(self.cache.trouble().map(|trouble| ("", trouble)));
        facts.extend(self.cache.pinned.text().map(|pinned| ("pinned", pinned)));
        facts.push(("requests", self.requests.text()));
        facts.push(("", self.requests.kinds()));
        facts.extend(self.requests.refused().map(|refused| ("", refused)));
        facts.push(("bytes", self.bytes.text()));
        let preloads = self.preload.iter().filter(|preload| preload.is_shown());
        facts.extend(preloads.enumerate().map(|(place, one)| (if place == 0 { "preload" } else { "" }, one.text())));
        facts.push((
            "clients",
            format!("{}, {}", counted(self.connections, "connection"), counted(self.transfers, "transfer")),
        ));
        for (what, job) in [("import", &self.import), ("export", &self.export)] {
            facts.extend(job.as_ref().and_then(Job::line).map(|line| (what, line)));
        }
        let origin = self.origin.iter().flat_map(|origin| origin.lines(SystemTime::now()));
        facts.extend(origin.enumerate().map(|(place, line)| (if place == 0 { "origin" } else { "" }, line)));
        facts.push(("process", self.process.text()));
        facts
    }

    fn upstreams(&self, look: Look) -> Option<String> {
        let mut rows = Table::new(&[
            ("UPSTREAM", Side::Left),
            ("MOUNT", Side::Left),
            ("STATE", Side::Left),
            ("RATE", Side::Right),
            ("WHERE", Side::Left),
        ]);
        for upstream in &self.upstreams {
            let state = upstream.state();
            let Upstream { name, mount, location, line, .. } = upstream;
            let rate = line.rate.map_or_else(|| "-".into(), |rate| table::rate(rate, Duration::from_secs(1)));
            rows.row([name.clone(), mount.clone(), state.into(), rate, location.clone()]);
        }
        if rows.is_empty() {
            return None;
        }
        let away = self.upstreams.iter().filter(|upstream| !upstream.reachable);
        let errors = away.filter_map(|upstream| {
            let error = upstream.last_error.as_deref()?;
            Some(look.alarm(&table::plain(&format!("{} is away: {error}", upstream.name))) + "\n")
        });
        let reachable = self.upstreams.iter().filter(|upstream| upstream.reachable);
        let remarks = reachable.filter_map(Upstream::remark).map(|remark| table::plain(&remark) + "\n");
        Some(rows.text(look) + &errors.collect::<String>() + &remarks.collect::<String>())
    }

    fn fills(&self, look: Look) -> Option<String> {
        let mut rows = Table::new(&[
            ("DONE", Side::Right),
            ("HERE", Side::Right),
            ("SIZE", Side::Right),
            ("RATE", Side::Right),
            ("CLIENTS", Side::Right),
            ("UPSTREAM", Side::Left),
            ("FETCHING", Side::Left),
        ]);
        for fill in &self.fills {
            let done = fill.total.and_then(|total| percent(fill.fetched, total));
            rows.row([
                done.map_or_else(|| "?".into(), |done| format!("{done}%")),
                size(fill.fetched),
                fill.total.map_or_else(|| "?".into(), size),
                table::rate(fill.fetched, Duration::from_secs_f64(fill.seconds.max(0.0))),
                count(fill.followers),
                fill.upstream.clone(),
                fill.path.clone(),
            ]);
        }
        (!rows.is_empty()).then(|| rows.text(look))
    }
}

impl Preload {
    /// What has nothing to do is not shown.
    fn is_shown(&self) -> bool {
        self.left_files > 0 || self.late || !matches!(self.state.as_str(), "off" | "on-demand")
    }

    fn text(&self) -> String {
        let left = match self.left_files {
            0 => String::new(),
            files => format!(", {} left ({})", counted(files, "file"), size(self.left_bytes)),
        };
        let rate = self.bytes_per_second.map(|rate| format!(" at {}/s", size(rate))).unwrap_or_default();
        let late = if self.late { ", late" } else { "" };
        format!("{} {}{left}{rate}{late}", self.upstream, self.state)
    }
}

impl Cache {
    fn text(&self) -> String {
        let part = percent(self.used_bytes, self.max_size_bytes).map(|part| format!(" ({part}%)")).unwrap_or_default();
        format!(
            "{} of {}{part} in {} under {}",
            size(self.used_bytes),
            size(self.max_size_bytes),
            counted(self.objects, "object"),
            counted(self.names, "name"),
        )
    }

    fn disk(&self) -> String {
        format!("{}: {} free, keeps {} free", self.dir, size(self.disk_available_bytes), size(self.min_free_bytes))
    }

    fn trouble(&self) -> Option<String> {
        let told = [
            (self.evictions > 0)
                .then(|| format!("{} evicted ({})", counted(self.evictions, "object"), size(self.evicted_bytes))),
            (self.quarantined > 0).then(|| format!("{} in quarantine", count(self.quarantined))),
            (self.disk_errors > 0).then(|| counted(self.disk_errors, "disk error")),
        ];
        let told: Vec<_> = told.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

impl Requests {
    fn text(&self) -> String {
        match self.hit_percent {
            Some(percent) => {
                // Rounded down: 100% is all of them.
                let percent = (percent * 10.0).floor() / 10.0;
                format!("{}, {percent:.1}% of those for files answered from the cache", count(self.total))
            }
            None => count(self.total),
        }
    }

    fn kinds(&self) -> String {
        let kinds = [
            (self.hits, "hits"),
            (self.revalidated, "revalidated"),
            (self.stale, "stale"),
            (self.misses, "misses"),
            (self.collapsed, "coalesced"),
            (self.passed, "passed"),
        ];
        kinds.map(|(number, what)| format!("{what} {}", count(number))).join(", ")
    }

    fn refused(&self) -> Option<String> {
        let (places, limits, access) = (self.refused_requesters, self.refused_overloaded, self.refused_access);
        let access_too = if access > 0 { format!(", {} by [access]", count(access)) } else { String::new() };
        (places + limits + access > 0).then(|| {
            let (places, limits) = (count(places), count(limits));
            format!("refused: {places} for want of a requester's place, {limits} at other limits{access_too}")
        })
    }
}

impl Pinned {
    /// `None` where nothing is to be.
    fn text(&self) -> Option<String> {
        if self.patterns.is_empty() {
            return None;
        }
        let idle = self.patterns.iter().filter(|pattern| pattern.objects == 0);
        let idle: Vec<_> = idle.map(|pattern| format!("'{}'", pattern.pattern)).collect();
        let nothing = if idle.is_empty() { String::new() } else { format!("; nothing here by {}", idle.join(", ")) };
        let refused = match self.refused_objects {
            0 => String::new(),
            objects => format!("; {} in {} do not fit", size(self.refused_bytes), counted(objects, "object")),
        };
        Some(format!("{} in {}{refused}{nothing}", size(self.bytes), counted(self.objects, "object")))
    }
}

impl Bytes {
    fn text(&self) -> String {
        let saved = self.to_clients.saturating_sub(self.from_upstream);
        let part = percent(saved, self.to_clients).filter(|_| saved > 0);
        let saved = part.map(|part| format!(": {part}% did not cross the line")).unwrap_or_default();
        format!("{} to clients, {} from upstreams{saved}", size(self.to_clients), size(self.from_upstream))
    }
}

impl Process {
    fn text(&self) -> String {
        format!(
            "{} of processor time, {} of memory, {} of {} files open",
            span(Duration::from_secs_f64((self.cpu_user_seconds + self.cpu_system_seconds).max(0.0))),
            size(self.resident_bytes),
            count(self.open_files),
            count(self.open_files_max),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_screen() {
        let status: Status = serde_json::from_value(json!({
            "version": "1.2.3", "mode": "fetch", "state": "serving", "uptime_seconds": 273_600.5,
            "listen": ["0.0.0.0:8080"], "tls_listen": ["0.0.0.0:8443"],
            "process": {"cpu_user_seconds": 60.0, "cpu_system_seconds": 12.0, "resident_bytes": 212_000_000,
                        "open_files": 140, "open_files_max": 1_048_576},
            "cache": {"dir": "/var/cache/outpost", "objects": 1234, "names": 2000, "used_bytes": 12_300_000_000_u64,
                      "max_size_bytes": 400_000_000_000_u64, "min_free_bytes": 25_000_000_000_u64,
                      "disk_available_bytes": 300_000_000_000_u64, "evictions": 1, "evicted_bytes": 5_000_000,
                      "quarantined": 0, "disk_errors": 0,
                      "pinned": {"objects": 3, "bytes": 5_000_000_000_u64, "refused_objects": 1, "refused_bytes": 7000,
                                 "patterns": [{"pattern": "*.iso", "objects": 3}, {"pattern": "/typo/", "objects": 0}]}},
            "requests": {"total": 123_456, "hits": 115_200, "misses": 3000, "collapsed": 120, "revalidated": 0, "stale": 0,
                         "passed": 6, "refused_requesters": 2, "refused_overloaded": 0, "refused_access": 1234, "hit_percent": 97.36},
            "connections": 34, "transfers": 1,
            "bytes": {"from_upstream": 80_000_000_000_u64, "to_clients": 1_200_000_000_000_u64},
            "fills": [{"upstream": "prod", "path": "/iso/big.iso", "md5": null, "fetched": 370_000_000, "total": 1_000_000_000,
                       "seconds": 10.0, "followers": 3},
                      {"upstream": "test", "path": "/x", "md5": null, "fetched": 5, "total": null, "seconds": 0.0, "followers": 0}],
            "upstreams": [{"name": "prod", "mount": "/", "location": "https://hq.example/", "reachable": true, "last_error": null,
                           "line": {"rate": 6_250_000}},
                          {"name": "test", "mount": "/test", "location": "/srv/test", "reachable": false,
                           "last_error": "connection refused\u{1b}[2J"}],
            "preload": [{"upstream": "prod", "state": "fetching", "left_files": 1200, "left_bytes": 3_000_000_000_u64,
                         "bytes_per_second": 1_000_000, "late": true},
                        {"upstream": "test", "state": "on-demand", "left_files": 0, "left_bytes": 0, "bytes_per_second": null,
                         "late": false}],
        }))
        .unwrap();
        let expected = "Outpost 1.2.3, serving for 3 d 4 h, fetch
  serves    http://0.0.0.0:8080/  https://0.0.0.0:8443/
  cache     12.3 GB of 400 GB (3%) in 1,234 objects under 2,000 names
            /var/cache/outpost: 300 GB free, keeps 25.0 GB free
            1 object evicted (5.00 MB)
  pinned    5.00 GB in 3 objects; 7.00 KB in 1 object do not fit; nothing here by '/typo/'
  requests  123,456, 97.3% of those for files answered from the cache
            hits 115,200, revalidated 0, stale 0, misses 3,000, coalesced 120, passed 6
            refused: 2 for want of a requester's place, 0 at other limits, 1,234 by [access]
  bytes     1.20 TB to clients, 80.0 GB from upstreams: 93% did not cross the line
  preload   prod fetching, 1,200 files left (3.00 GB) at 1.00 MB/s, late
  clients   34 connections, 1 transfer
  process   1 min 12 s of processor time, 212 MB of memory, 140 of 1,048,576 files open

UPSTREAM  MOUNT  STATE       RATE  WHERE
prod      /      up     6.25 MB/s  https://hq.example/
test      /test  away           -  /srv/test
test is away: connection refused\u{fffd}[2J

DONE    HERE     SIZE       RATE  CLIENTS  UPSTREAM  FETCHING
 37%  370 MB  1.00 GB  37.0 MB/s        3  prod      /iso/big.iso
   ?     5 B        ?  5.00 KB/s        0  test      /x
";
        assert_eq!(status.text(Look::default()), expected);
    }
}
