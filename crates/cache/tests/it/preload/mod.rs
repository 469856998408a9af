//! Preloading by a clock that the test moves: each mode, each kind of upstream, windows that open and close, and what goes wrong meanwhile.

mod demand;
mod errands;
mod listings;
mod windows;

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use cache::{
    clock::Clock,
    options::{AtClose, Mode, Options, PreloadOptions, ReadyBy, Schedule, UpstreamOptions},
    preload::{Demand, DemandError, Preloaded, Wanted},
    status::{PreloadRound, PreloadState, PreloadStatus},
};
use protocol::{digest::Md5, glob::Globs, schedule::Zone, timestamp::parse_rfc3339};
use tokio::sync::watch;

use crate::{
    client::{get, get_with},
    origin::{Gate, Origin, Request, reply, serve},
    proxy::{Proxy, content, eventually, put, upstream},
};

pub(super) fn at(text: &str) -> SystemTime {
    parse_rfc3339(text).unwrap()
}

pub(super) fn clock(now: &str) -> (watch::Sender<SystemTime>, Clock) {
    let (told, time) = watch::channel(at(now));
    (told, Clock::Told(time))
}

pub(super) fn tell(told: &watch::Sender<SystemTime>, now: &str) {
    told.send(at(now)).unwrap();
}

pub(super) fn schedule(windows: &[&str], zone: &str) -> PreloadOptions {
    let texts: Vec<String> = windows.iter().map(|text| (*text).to_owned()).collect();
    let schedule = Schedule::parse(&texts, &Zone::named(zone).unwrap()).unwrap();
    PreloadOptions { schedule, ..PreloadOptions::default() }
}

pub(super) fn options(location: &str, mode: Mode, preload: PreloadOptions) -> Options {
    Options::new(vec![UpstreamOptions { mode, preload, ..upstream("/", location) }])
}

pub(super) fn globs(texts: &[&str]) -> Globs {
    Globs::parse(texts).unwrap()
}

pub(super) fn status(proxy: &Proxy) -> PreloadStatus {
    proxy.cache.preloads().remove(0)
}

/// The round by the clock, once it is done.
#[track_caller]
pub(super) fn done(proxy: &Proxy) -> PreloadRound {
    eventually(&format!("a round is done: {:?}", status(proxy)), || {
        status(proxy).scheduled.is_some_and(|round| round.ended.is_some())
    });
    status(proxy).scheduled.unwrap()
}

#[track_caller]
pub(super) fn done_on_demand(proxy: &Proxy) -> PreloadRound {
    eventually("what was asked for is done", || status(proxy).on_demand.is_some_and(|round| round.ended.is_some()));
    status(proxy).on_demand.unwrap()
}

pub(super) fn demand(wanted: Wanted) -> Demand {
    Demand { wanted, upstream: None, priority: 0 }
}

pub(super) fn paths(paths: &[&str]) -> Demand {
    demand(Wanted::Paths(paths.iter().map(|path| (*path).to_owned()).collect()))
}

/// A page as nginx makes it.
pub(super) fn nginx(request: &Request, stream: &mut std::net::TcpStream, entries: &[&str]) {
    let line = |name: &&str| format!("<a href=\"{name}\">{name}</a>   22-Nov-2026 01:41   17\r\n");
    let lines: String = entries.iter().map(line).collect();
    let title = request.target.clone();
    let page =
        format!("<html><head><title>Index of {title}</title></head><pre><a href=\"../\">../</a>\r\n{lines}</pre>");
    let len = page.len().to_string();
    reply(request, stream, "200 OK", &[("Content-Type", "text/html"), ("Content-Length", &len)], page.as_bytes());
}

pub(super) fn missing(request: &Request, stream: &mut std::net::TcpStream) {
    reply(request, stream, "404 Not Found", &[("Content-Length", "0")], b"");
}

/// A web server with one large file, of which it sends `cut` bytes and then waits at the gate; from the second request on it sends all.
pub(super) fn slow(bytes: Vec<u8>, cut: usize, gate: Gate) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::start(move |request, stream| match request.target.as_str() {
        "/" => nginx(request, stream, &["big.iso"]),
        "/big.iso" if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            let len = bytes.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&bytes[..cut]);
            gate.wait();
            let _ = stream.write_all(&bytes[cut..]);
        }
        "/big.iso" => serve(request, stream, &bytes, &[("ETag", "\"v1\"")], bytes.len()),
        _ => missing(request, stream),
    })
}

/// An Outpost that lists these files at its root, with their times, and gives what `bytes` says. What begins with `/gated` waits at the gate.
pub(super) fn outpost(
    files: impl Fn() -> Vec<(&'static str, Vec<u8>, &'static str)> + Send + Sync + 'static,
    gate: Gate,
) -> Origin {
    Origin::start(move |request, stream| {
        let files = files();
        if request.target == "/" {
            let entry = |(name, bytes, day): &(&str, Vec<u8>, &str)| {
                let len = bytes.len();
                format!(
                    r#"{{"name":"{name}","href":"{name}","directory":false,"size":{len},"modified":"2026-11-{day}T00:00:00Z"}}"#
                )
            };
            let entries: Vec<_> = files.iter().map(entry).collect();
            let json = format!(r#"{{"path":"/","entries":[{}]}}"#, entries.join(","));
            let len = json.len().to_string();
            return reply(request, stream, "200 OK", &[("Content-Length", &len)], json.as_bytes());
        }
        let of_object = |bytes: &[u8]| request.target.contains(&Md5::of(bytes).to_string());
        let found = files.iter().find(|(name, bytes, _)| request.target[1..] == **name || of_object(bytes));
        let Some((name, bytes, day)) = found else { return missing(request, stream) };
        if name.starts_with("gated") && request.method == "GET" {
            gate.wait();
        }
        let day_name = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][day.parse::<usize>().unwrap() % 7];
        let modified = format!("{day_name}, {day} Nov 2026 00:00:00 GMT");
        let digest = Md5::of(bytes).repr_digest();
        serve(request, stream, bytes, &[("Repr-Digest", &digest), ("Last-Modified", &modified)], bytes.len());
    })
}
