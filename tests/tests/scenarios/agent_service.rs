//! `outpost-agent run`: what one program gets is here for all, for neighbours too, and the end of anybody costs nobody a byte.

use std::{fs, net::Ipv4Addr};

use harness::{
    KIB, MIB,
    agent::AgentService,
    client::Ask,
    content::Content,
    machine::Machine,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use serde_json::json;

use crate::agent;

#[test]
fn what_one_program_gets_is_here_for_all() {
    let (content, upstream, gate) = (Content::random(21, 2 * MIB), ScriptedUpstream::start(), Gate::new());
    let held = Reply::right().hold(content.at_percent(50), &gate);
    upstream.publish("/dir/file.zip", Page::new(&content).repr_digest().next(held));
    let setup = agent();
    let service = setup.serve(&["--server", &upstream.url()]);
    let get = setup.clone().by(&service);
    let all: Vec<_> = (0..4).map(|number| get.start("/dir/file.zip", &format!("file{number}"))).collect();
    wait::until_true("all four follow one download", || {
        let status = Ask::get("/v1/status").fetch(service.local).expect_status(200).json();
        status["downloads"][0]["followers"] == 4
    });
    gate.open();
    let got: Vec<_> = all.into_iter().map(|get| get.wait().expect(&content)).collect();
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

/// Without it the service would come back to its origin after minutes.
#[test]
fn retry_now_ends_the_waits_of_what_is_asked_and_told_without_anybody_wanting_a_file() {
    let share = Share::new();
    let own = Ipv4Addr::new(127, 79, 1, 1);
    let mut origin = Machine::new("origin", env!("CARGO_BIN_EXE_outpost-origin-under-test"), own);
    origin.configure(&format!(
        "listen = [\"{}\"]\n[catalogue]\ndirectory = \"{}\"\nsettle = \"100ms\"\n",
        origin.socket(),
        share.path().display()
    ));
    let mut agent = Machine::new("agent", env!("CARGO_BIN_EXE_outpost-agent-under-test"), Ipv4Addr::new(127, 79, 1, 2));
    agent.run(
        &["run"],
        &format!(
            "local = \"{}\"\n[origin]\nname = \"pc1\"\nurls = [\"{}\"]\n[servers]\nbackoff_first = \"1h\"\nbackoff_max = \"1h\"\n\
             [cache]\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n[peers]\nlisten = \"{}:0\"\n",
            agent.socket(),
            origin.url(),
            agent.socket().ip(),
        ),
    );
    agent.start();
    let status = || Ask::get("/v1/status").fetch(agent.socket()).expect_status(200).json();
    wait::until_true("it waits for its origin", || status()["waiting"][0]["for"] == "enrolment");
    origin.start();
    assert_eq!(status()["waiting"][0]["server"], origin.url().as_str());
    Ask::method("POST", "/v1/retry-now").fetch(agent.socket()).expect_status(200);
    wait::until_true("it belongs to its origin", || status()["membership"]["member"] == true);
    assert_eq!(status()["waiting"], json!([]));
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

/// It has told that the file is here, and is killed before anybody has taken it: the one that comes back does not know of it, or only the name.
#[test]
fn a_service_that_has_lost_what_it_had_is_told_again_what_is_wanted() {
    let content = Content::random(26, 2 * MIB);
    let ready =
        json!({ "md5": content.md5_hex(), "sha256": content.sha256_hex(), "size": content.len(), "verified": true });
    let ready = Content::from(format!("event: ready\ndata: {ready}\n\n").as_str());
    let object = format!("/.outpost/v1/objects/{}?path=/file.zip", content.md5_hex());
    for loses in [Reply::status(404), Reply::status(503), Reply::right().reset(content.at_percent(40))] {
        let service = ScriptedUpstream::start();
        service.publish("/v1/fetch?what=/file.zip", Page::new(&ready).field("Content-Type", "text/event-stream"));
        service.publish(&object, Page::new(&content).repr_digest().next(loses));
        agent().backoff("1h").by_service_at(service.address()).get("/file.zip", "file").expect(&content);
        assert_eq!(service.gets("/v1/fetch?what=/file.zip"), 2);
    }
    // One that never gives it is not made to fetch it for ever.
    let service = ScriptedUpstream::start();
    service.publish("/v1/fetch?what=/file.zip", Page::new(&ready).field("Content-Type", "text/event-stream"));
    agent().backoff("1h").by_service_at(service.address()).get("/file.zip", "file").expect_code(69);
    assert_eq!(service.gets("/v1/fetch?what=/file.zip"), 4);
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
