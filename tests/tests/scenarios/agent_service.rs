//! `outpost-agent run`: what one program gets is here for all, for neighbours too, and the end of anybody costs nobody a byte.

use std::fs;

use harness::{
    KIB, MIB,
    agent::AgentService,
    client::Ask,
    content::Content,
    crowd::all_at_once,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::Gate,
};

use crate::agent;

#[test]
fn what_one_program_gets_is_here_for_all() {
    let (content, upstream) = (Content::random(21, 2 * MIB), ScriptedUpstream::start());
    upstream.publish("/dir/file.zip", Page::new(&content).repr_digest());
    let setup = agent();
    let service = setup.serve(&["--server", &upstream.url()]);
    let get = setup.clone().by(&service);
    let got = all_at_once(4, |number| get.get("/dir/file.zip", &format!("file{number}")).expect(&content));
    assert_eq!(upstream.gets("/dir/file.zip"), 1, "{got:#?}");
    assert!(got.iter().all(|got| got.said["verified"] == true), "{got:#?}");
    // By its digest it needs nobody any more.
    upstream.stop();
    get.get(&content.md5_hex(), "by-digest").expect(&content);
    let listed = service.ask(&["cache", "ls"]);
    assert!(listed.contains(&content.md5_hex()) && listed.contains("/dir/file.zip"), "{listed}");
    assert!(service.ask(&["status"]).contains("in 1 contents"), "{}", service.ask(&["status"]));
    assert!(service.ask(&["why", "/dir/file.zip"]).contains("content    here, "));
    assert!(service.ask(&["cache", "verify"]).starts_with("1 right, 0 wrong"));
    assert!(service.ask(&["retry-now"]).contains("all waits are over"));
    assert!(service.ask(&["cache", "clear"]).starts_with("1 removed"));
    assert!(service.ask(&["why", &content.md5_hex()]).contains("not here"));
    service.terminate();
    let (code, printed) = setup.command(&["status", "--local", "127.0.0.1:1"]);
    assert_eq!(code, Some(69), "{printed}");
}

#[test]
fn failures_are_told_as_they_are_without_a_service() {
    let upstream = ScriptedUpstream::start();
    let setup = agent();
    let service = setup.serve(&["--server", &upstream.url()]);
    let get = setup.clone().by(&service);
    get.get("/none", "none").expect_code(3);
    upstream.publish("/not-ours", Page::new(&Content::from("x")).then(Reply::status(403)));
    get.get("/not-ours", "not-ours").expect_code(77);
    // Nobody is there who could be asked: neither a service nor a server.
    service.terminate();
    get.get("/x", "x").expect_code(2);
}

#[test]
fn the_service_may_be_killed_in_mid_file_and_the_file_comes_all_the_same() {
    let (content, upstream, gate) = (Content::random(22, 4 * MIB), ScriptedUpstream::start(), Gate::new());
    let at = content.at_percent(60);
    upstream.publish("/file.zip", Page::new(&content).repr_digest().next(Reply::right().hold(at, &gate)));
    let setup = agent();
    let server = upstream.url();
    let mut service = setup.serve(&["--server", &server]);
    let get = setup.clone().by(&service).start("/file.zip", "file");
    gate.wait_for_arrival();
    service.program.kill();
    gate.open();
    // Again at the same place, so that the program that waits finds it.
    let local = service.local.to_string();
    let _again: AgentService = setup.serve(&["--server", &server, "--local", &local]);
    get.wait().expect(&content);
    assert!(upstream.body_bytes("/file.zip") <= 2 * content.len());
}

#[test]
fn neighbours_get_what_is_shared_and_no_more_at_once_than_is_meant() {
    let upstream = ScriptedUpstream::start();
    let (big, text, small) =
        (Content::random(23, 24 * MIB), Content::random(24, 2 * MIB), Content::random(25, 10 * KIB));
    upstream.publish("/a.zip", Page::new(&big).repr_digest());
    upstream.publish("/b.txt", Page::new(&text).repr_digest());
    upstream.publish("/c.zip", Page::new(&small).repr_digest());
    let setup = agent();
    let service = setup.serve(&["--server", &upstream.url(), "--peer-uploads", "2"]);
    let get = setup.clone().by(&service);
    for (path, content) in [("/a.zip", &big), ("/b.txt", &text), ("/c.zip", &small)] {
        get.get(path, path.trim_start_matches('/')).expect(content);
    }
    let object = |content: &Content| format!("/.outpost/v1/objects/{}", content.md5_hex());
    let whole = Ask::get(object(&big)).fetch(service.peers).expect(&big);
    assert!(whole.field("Repr-Digest").is_some_and(|digest| digest.contains("sha-256")), "{whole:?}");
    for content in [&text, &small, &Content::from("nowhere")] {
        assert_eq!(Ask::get(object(content)).fetch(service.peers).status, 404);
    }
    assert_eq!(Ask::get("/a.zip").fetch(service.peers).status, 404, "a peer knows no paths");
    // Two who read nothing hold the places.
    let _held: Vec<_> = (0..2).map(|_| Ask::get(object(&big)).open(service.peers)).collect();
    let refused = Ask::get(object(&big)).fetch(service.peers);
    assert_eq!((refused.status, refused.field("Retry-After")), (503, Some("5")), "{refused:?}");
    assert!(fs::read_dir(setup.directory()).expect("its directory").count() > 3);
}
