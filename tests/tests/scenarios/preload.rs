//! What is preloaded survives what befalls the proxy, and clients see none of it before its time.

use std::fs;

use harness::{
    KIB, MIB,
    client::Ask,
    content::Content,
    proxy::Proxy,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use crate::proxy;

/// The page that nginx makes of a folder.
fn index(path: &str, names: &[&str]) -> Page {
    let lines: String =
        names.iter().map(|name| format!("<a href=\"{name}\">{name}</a>  22-Nov-2026 01:41  17\r\n")).collect();
    let page = format!(
        "<html><head><title>Index of {path}</title></head><body><pre><a href=\"../\">../</a>\r\n{lines}</pre></body></html>"
    );
    Page::new(&Content::from(page.as_str())).field("Content-Type", "text/html")
}

#[test]
fn a_file_that_is_preloaded_goes_on_near_its_byte_after_kill_9() {
    let (content, gate) = (Content::random(11, 96 * MIB), Gate::new());
    let upstream = ScriptedUpstream::start();
    upstream.publish("/", index("/", &["big.iso", "small"]));
    upstream.publish("/big.iso", Page::tagged(&content).next(Reply::right().hold(80 * MIB, &gate)));
    let small = Content::random(12, 10 * KIB);
    upstream.publish("/small", Page::tagged(&small));
    let setup = proxy().top("mode = \"preload\"").top("time_zone = \"UTC\"").upstream_with(
        "/",
        &upstream.url(),
        "schedule = [\"00:00-24:00\"]",
    );
    let proxy = setup.start();
    // Nobody asks for anything.
    wait::until_true("all bytes up to the gate are here", || proxy.fetched_of_fills() >= 80 * MIB - 64 * KIB);
    let has_state = |proxy: &Proxy| {
        let parts = fs::read_dir(proxy.setup().cache_dir().join("parts")).into_iter().flatten().flatten();
        parts.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "state"))
    };
    wait::until_true("what is here is kept", || has_state(&proxy) && proxy.number("/cache/objects") == 1);
    proxy.get("/small").expect(&small);
    assert_eq!(proxy.ask(&Ask::get("/none")).status, 503);
    let proxy = proxy.kill().start();
    wait::until_true("it is here", || proxy.number("/cache/objects") == 2);
    proxy.get("/big.iso").expect(&content);
    proxy.get("/small").expect(&small);
    let last = upstream.asked("/big.iso").into_iter().last().expect("it was asked");
    let start =
        last.range().and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()).unwrap_or(0);
    assert!(start >= 48 * MIB, "continued at {start}");
    assert!(upstream.asked("/none").is_empty(), "what a client asked crossed the line");
}

#[test]
fn a_listing_without_an_end_and_names_that_lead_elsewhere_do_no_harm() {
    let upstream = ScriptedUpstream::start();
    let content = Content::random(13, 100 * KIB);
    let names: Vec<String> = (0..20_000).map(|number| format!("file-{number}?x={number}")).collect();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.extend([
        "../../etc/passwd",
        "/etc/passwd",
        "//elsewhere.example/a",
        "..%2f..%2fetc",
        "a%00b",
        "good",
        "again/",
    ]);
    upstream.publish("/", index("/", &all));
    // A folder that holds itself, for ever.
    let mut path = "/".to_owned();
    for _ in 0..70 {
        path.push_str("again/");
        upstream.publish(&path, index(&path, &["again/", "another"]));
    }
    upstream.publish("/good", Page::tagged(&content));
    let proxy = proxy()
        .top("mode = \"preload\"")
        .top("time_zone = \"UTC\"")
        .upstream_with("/", &upstream.url(), "schedule = [\"00:00-24:00\"]")
        .start();
    wait::until_true("the round is done", || {
        let preload = proxy.status()["preload"][0].clone();
        preload["state"] == "waiting" && preload["left_files"] == 0
    });
    proxy.get("/good").expect(&content);
    let asked = upstream.asked_at_all().len();
    assert!(asked < 20, "{asked} questions");
}
