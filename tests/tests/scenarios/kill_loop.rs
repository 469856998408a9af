//! `kill -9` at arbitrary instants of concurrent fills: whatever is served afterwards is right.
//!
//! `OUTPOST_KILL_ROUNDS=1000 OUTPOST_KILL_SEED=7 cargo test -p outpost-tests kill_loop` runs longer, or once more what failed.

use std::{fs, thread};

use harness::{
    KIB, MIB,
    client::{Ask, fetch},
    content::{Content, Numbers, md5_hex},
    proxy::{Proxy, ProxySetup, objects_in},
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait,
};

use crate::proxy;

const FILES: usize = 10;

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var_os(name).map_or(default, |text| text.to_string_lossy().parse().expect("a number"))
}

/// What the upstream has under a path now, and what it had before: with what a client may still be answered while it is believed fresh.
struct Published {
    path: String,
    versions: Vec<Content>,
}

#[test]
fn killed_in_the_middle_of_fills_it_never_serves_a_wrong_byte() {
    let rounds = number_from_environment("OUTPOST_KILL_ROUNDS", 15);
    let seed = number_from_environment("OUTPOST_KILL_SEED", 1);
    println!("seed {seed}, {rounds} rounds");
    let mut numbers = Numbers::new(seed);
    let upstream = ScriptedUpstream::start();
    let mut files: Vec<_> =
        (0..FILES).map(|file| Published { path: format!("/{file}"), versions: Vec::new() }).collect();
    let mut setup = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0");
    for round in 0..rounds {
        println!("round {round}");
        for _ in 0..FILES / 2 {
            let file = &mut files[numbers.below(FILES as u64) as usize];
            publish_anew(file, &upstream, &mut numbers);
        }
        setup = one_life(&setup, &upstream, &files, &mut numbers);
        expect_objects_right(&setup);
    }
    let proxy = setup.start();
    for version in files.iter().flat_map(|file| &file.versions) {
        expect_life_told(&proxy, version);
    }
    for file in &files {
        proxy.get(&file.path).expect(file.versions.last().unwrap_or(&Content::from("")));
    }
    assert!(objects_in(&setup.cache_dir()).len() <= files.iter().map(|file| file.versions.len()).sum());
}

/// Every answer is asked about at the upstream again, so that what is served at the end is what it has at the end.
fn publish_anew(file: &mut Published, upstream: &ScriptedUpstream, numbers: &mut Numbers) {
    let len = 1 + numbers.below(3 * MIB);
    let content = Content::random(numbers.below(u64::MAX), len);
    let page = Page::new(&content).etag(content.etag()).field("Cache-Control", "no-cache");
    upstream.publish(&file.path, page.then(Reply::right().bytes_per_second(40 * MIB)));
    file.versions.push(content);
}

/// Starts, asks for everything at once, and kills when so many bytes have come from the upstream as the numbers say.
fn one_life(setup: &ProxySetup, upstream: &ScriptedUpstream, files: &[Published], numbers: &mut Numbers) -> ProxySetup {
    let proxy = setup.start();
    let address = proxy.files();
    let known: Vec<_> = files.iter().filter(|file| !file.versions.is_empty()).collect();
    let bytes_so_far = || upstream.asked_at_all().iter().map(|asked| asked.sent()).sum::<u64>();
    let kill_at = bytes_so_far() + numbers.below(4 * MIB);
    thread::scope(|scope| {
        let clients: Vec<_> = known
            .iter()
            .map(|file| {
                scope.spawn(move || {
                    for _ in 0..2 {
                        // Killed in between, it may say nothing; what it says must be right.
                        if let Ok(answer) = Ask::get(&file.path).try_fetch(address) {
                            answer.expect_none_but(&file.versions.iter().collect::<Vec<_>>());
                        }
                    }
                })
            })
            .collect();
        wait::until_true("enough bytes came, or all are served", || {
            bytes_so_far() >= kill_at || clients.iter().all(|client| client.is_finished())
        });
        proxy.kill()
    })
}

/// Each kill may have torn the history: what can be read of it is true, and what cannot keeps nobody.
fn expect_life_told(proxy: &Proxy, content: &Content) {
    let told = fetch(proxy.admin(), format!("/v1/why?md5={}", content.md5_hex())).expect_status(200).json();
    let life = &told["objects"][0];
    for happened in life["history"].as_array().expect("a history") {
        let is_right =
            ["fetched", "found"].iter().all(|event| happened["event"] != *event) || happened["size"] == content.len();
        assert!(is_right, "a history of what never was: {told:#}");
    }
}

/// What `find objects | md5sum` would say.
fn expect_objects_right(setup: &ProxySetup) {
    for path in objects_in(&setup.cache_dir()) {
        let bytes = fs::read(&path).expect("an object can be read");
        let name = path.file_name().and_then(|name| name.to_str()).expect("an object has a name");
        assert_eq!(
            md5_hex(&bytes),
            name,
            "{} has {} KiB that are not what its name says",
            path.display(),
            bytes.len() as u64 / KIB
        );
    }
}
