//! What is pinned stays, and what goes or stays can be explained.

use std::{fs, sync::Barrier};

use harness::{
    KIB, MIB,
    client::{Ask, fetch},
    content::Content,
    crowd::all_at_once,
    proxy::{Proxy, objects_in},
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use rustix::process::Signal;
use serde_json::Value;

use crate::proxy;

/// `GET /v1/why`.
fn why(proxy: &Proxy, query: &str) -> Value {
    fetch(proxy.admin(), format!("/v1/why?{query}")).expect_status(200).json()
}

fn events(why: &Value, object: usize) -> Vec<String> {
    let history = why["objects"][object]["history"].as_array().expect("a history");
    history.iter().map(|happened| happened["event"].as_str().expect("an event").to_owned()).collect()
}

#[test]
fn a_pinned_package_outlives_a_flood_and_other_patterns_are_taken_with_a_reload() {
    let share = Share::new();
    let packed = Content::random(1, MIB);
    share.write("package/setup.exe", &packed);
    share.write("other/setup.exe", &Content::random(2, MIB));
    for file in 0..40 {
        share.write(format!("flood/{file}"), &Content::random(100 + file, 512 * KIB));
    }
    let setup = proxy().upstream("/prod", &share.url()).cache("max_size = \"8MiB\"\npin = [\"/prod/package/\"]");
    let mut proxy = setup.start();
    let flood =
        |proxy: &Proxy| (0..40).for_each(|file| drop(proxy.get(format!("/prod/flood/{file}")).expect_status(200)));
    proxy.get("/prod/package/setup.exe").expect(&packed);
    proxy.get("/prod/other/setup.exe");
    flood(&proxy);
    assert_eq!(proxy.number("/cache/pinned/bytes"), MIB);
    let told = why(&proxy, "path=/prod/package/setup.exe");
    assert_eq!((&told["state"], &told["objects"][0]["pinned_by"]), (&"here".into(), &"/prod/package/".into()));
    let told = why(&proxy, "path=/prod/other/setup.exe");
    assert_eq!(told["state"], "gone", "{told:#}");
    assert!(told["because"].as_str().is_some_and(|text| text.starts_with("evicted: /prod/flood/")), "{told:#}");
    assert_eq!(events(&told, 0), ["fetched", "evicted"]);

    let config = setup.directory().join("outpost.toml");
    let changed = fs::read_to_string(&config).expect("it was written").replace("/prod/package/", "/prod/other/");
    fs::write(&config, changed).expect("writable");
    proxy.program().signal(Signal::HUP);
    proxy.program().find_line("the reload", |line| line.contains("was read again and is in use").then_some(()));
    proxy.get("/prod/other/setup.exe");
    flood(&proxy);
    assert_eq!(why(&proxy, "path=/prod/package/setup.exe")["state"], "gone");
    assert_eq!(why(&proxy, "path=/prod/other/setup.exe")["objects"][0]["is_pinned"], true);
}

#[test]
fn who_waited_for_a_fetch_is_told_and_nobody_is_named_where_that_is_not_wanted() {
    const CLIENTS: usize = 12;
    let content = Content::random(1, 4 * MIB);
    for (option, named) in [("", 1), ("history_clients = 0", 0)] {
        let upstream = ScriptedUpstream::start();
        let gate = Gate::new();
        upstream.publish("/image.iso?password=1", Page::tagged(&content).next(Reply::right().hold(MIB, &gate)));
        let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0").cache(option).start();
        let everybody_follows = Barrier::new(CLIENTS);
        all_at_once(CLIENTS, |_| {
            let transfer = proxy.open("/image.iso?password=1");
            if everybody_follows.wait().is_leader() {
                let told = why(&proxy, "path=/image.iso?password=1");
                assert_eq!((&told["state"], &told["fetching"]["waited"]), (&"fetching".into(), &CLIENTS.into()));
                gate.open();
            }
            transfer.compare(&content, 0)
        });
        proxy.wait_until_idle();
        let told = why(&proxy, &format!("md5={}", content.md5_hex()));
        let fetched = &told["objects"][0]["history"][0];
        assert_eq!((&fetched["event"], &fetched["waited"]), (&"fetched".into(), &CLIENTS.into()), "{told:#}");
        assert_eq!(fetched["clients"].as_array().map_or(0, Vec::len), named, "{told:#}");
        assert_eq!(fetched["path"], "/image.iso", "what stands behind a path may be a password");
        let history = fs::read(proxy.setup().cache_dir().join("history")).expect("it is there");
        assert!(!String::from_utf8_lossy(&history).contains("password"));
    }
}

#[test]
fn a_file_that_changes_tells_of_both_contents() {
    let (old, new) = (Content::random(1, 300_000), Content::random(2, 300_000));
    let share = Share::new();
    share.write("file", &old);
    let proxy = proxy().upstream("/", &share.url()).start();
    proxy.get("/file").expect(&old);
    share.replace("file", &new);
    wait::until_true("the new content is served", || proxy.get("/file").is(&new));
    proxy.wait_until_idle();
    let told = wait::until("the name stands for the new content", || {
        Some(why(&proxy, "path=/file")).filter(|told| told["objects"][0]["md5"] == new.md5_hex())
    });
    assert_eq!(told["objects"][1]["md5"], old.md5_hex(), "{told:#}");
    assert_eq!(events(&told, 1).last().map(String::as_str), Some("replaced"));
    assert_eq!(told["objects"][1]["history"][1]["by_md5"], new.md5_hex());
    for (query, status) in [("", 400), ("path=/a&md5=b", 400), ("md5=b", 400), ("path=a", 400), ("path=/none", 200)] {
        assert_eq!(Ask::get(format!("/v1/why?{query}")).fetch(proxy.admin()).status, status, "{query}");
    }
}

#[test]
fn a_history_that_is_damaged_keeps_nobody_from_the_files() {
    let content = Content::random(1, 300_000);
    let share = Share::new();
    share.write("file", &content);
    let setup = proxy().upstream("/", &share.url());
    let proxy = setup.start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let killed = proxy.kill();
    let file = killed.cache_dir().join("history");
    let mut bytes = fs::read(&file).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("writable");
    let proxy = killed.start();
    proxy.get("/file").expect(&content);
    assert_eq!(objects_in(&killed.cache_dir()).len(), 1);
    let told = why(&proxy, "path=/file");
    assert_eq!((&told["state"], events(&told, 0).len()), (&"here".into(), 0), "{told:#}");
}
