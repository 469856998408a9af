//! Requester places: how many take an object at once, who waits, and that every place is given back.

use std::net::Ipv4Addr;

use harness::{
    KIB, MIB,
    client::{Ask, Connection, Ending, Transfer},
    content::Content,
    proxy::Proxy,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use crate::proxy;

/// A proxy with two places, in front of a file that the upstream holds in the middle until the gate is opened.
struct Held {
    content: Content,
    gate: Gate,
    proxy: Proxy,
    _upstream: ScriptedUpstream,
}

impl Held {
    fn start(serve: &[&str]) -> Self {
        let content = Content::random(1, 4 * MIB);
        let gate = Gate::new();
        let upstream = ScriptedUpstream::start();
        upstream.publish("/file", Page::tagged(&content).repr_digest().next(Reply::right().hold(2 * MIB, &gate)));
        let setup = proxy().upstream("/", &upstream.url()).serve("max_requesters = 2");
        let proxy = serve.iter().fold(setup, |setup, line| setup.serve(line)).start();
        Self { content, gate, proxy, _upstream: upstream }
    }

    /// Takes a place and keeps it.
    fn requester(&self) -> Transfer {
        let mut transfer = self.proxy.open("/file");
        assert_eq!(transfer.status, 200);
        transfer.take(MIB);
        transfer
    }

    fn is_refused(&self) -> bool {
        let transfer = self.proxy.open("/file");
        transfer.status == 503
    }

    fn wait_until_places_are_free(&self) {
        wait::until_true("the places are given back", || self.proxy.requesters() == 0);
    }
}

#[test]
fn the_third_of_two_is_told_when_where_and_how_far() {
    let held = Held::start(&[]);
    let (first, second) = (held.requester(), held.requester());
    let refused = held.proxy.get("/file").expect_status(503);
    assert_eq!(refused.field("Retry-After"), Some("90"));
    assert_eq!(refused.problem(), "max-requesters");
    let problem = refused.json();
    assert_eq!(problem["retry_after"], 90);
    assert_eq!(problem["max_requesters"], 2);
    assert_eq!(problem["position"], 1);
    assert_eq!(problem["total"], held.content.len());
    let fetched = problem["fetched"].as_u64().expect("how far the fill is");
    assert!((MIB..=2 * MIB).contains(&fetched), "{fetched}");
    held.gate.open();
    for transfer in [first, second] {
        assert_eq!(transfer.compare(&held.content, MIB).ending, Ending::Whole);
    }
    held.proxy.get("/file").expect(&held.content);
}

#[test]
fn a_place_is_given_back_when_the_client_leaves_in_mid_body() {
    let held = Held::start(&[]);
    let (first, _second) = (held.requester(), held.requester());
    assert!(held.is_refused());
    first.leave();
    wait::until_true("the place is free again", || !held.is_refused());
}

#[test]
fn a_place_is_given_back_when_the_client_leaves_before_the_head() {
    let content = Content::random(2, 2 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).repr_digest().next(Reply::right().hold_head(&gate)));
    let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 1").start();
    let mut early = Connection::open(proxy.files());
    early.send_ask(&Ask::get("/file"));
    gate.wait_for_arrival();
    drop(early);
    wait::until_true("the place is given back", || proxy.requesters() == 0);
    gate.open();
    proxy.get("/file").expect(&content);
}

#[test]
fn places_are_given_back_when_transfers_end() {
    let held = Held::start(&["max_requesters = 1"]);
    held.gate.open();
    for _ in 0..5 {
        held.proxy.get("/file").expect(&held.content);
        held.wait_until_places_are_free();
    }
    // On one connection too, where nothing but the end of the body tells.
    let mut connection = Connection::open(held.proxy.files());
    for _ in 0..5 {
        let (answer, kept) = connection.ask(&Ask::get("/file")).rest_and_keep();
        answer.expect(&held.content);
        connection = kept;
    }
    held.wait_until_places_are_free();
}

#[test]
fn places_are_given_back_when_the_fill_fails() {
    let content = Content::random(3, 4 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    let reply = Reply::right().hold(2 * MIB, &gate).cut(2 * MIB);
    upstream.publish("/file", Page::tagged(&content).next(reply).then(Reply::status(503)));
    let proxy = proxy().upstream_with("/", &upstream.url(), "retries_max = 1").start();
    let mut transfer = proxy.open("/file");
    transfer.take(MIB);
    assert_eq!(proxy.requesters(), 1);
    gate.open();
    assert_eq!(transfer.compare(&content, MIB).ending, Ending::Short);
    wait::until_true("the place is given back", || proxy.requesters() == 0);
}

#[test]
fn small_bodies_heads_and_304s_take_no_place() {
    let content = Content::random(4, 64 * KIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/small", Page::tagged(&content));
    let held = Held::start(&["max_requesters = 1"]);
    let _only = held.requester();
    Ask::head("/file").fetch(held.proxy.files()).expect_status(200);
    let tag = format!("\"tag-{}\"", held.content.md5_hex());
    held.proxy.ask(&Ask::get("/file").field("If-None-Match", tag)).expect_status(304);
    let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 1").start();
    harness::crowd::all_at_once(20, |_| drop(proxy.get("/small").expect(&content)));
    assert_eq!(proxy.requesters(), 0);
}

#[test]
fn by_address_the_connections_of_one_machine_are_one_requester() {
    let held = Held::start(&["max_requesters = 1", "requesters_by = \"address\""]);
    let connect_from =
        |last: u8| Connection::try_open_from(Ipv4Addr::new(127, 0, 0, last), held.proxy.files()).expect("loopback");
    let ask = |last: u8| connect_from(last).ask(&Ask::get("/file"));
    let mut one = ask(1);
    let mut again = ask(1);
    assert_eq!((one.status, again.status), (200, 200));
    one.take(MIB);
    again.take(MIB);
    assert_eq!(ask(2).status, 503);
    one.leave();
    assert_eq!(ask(2).status, 503, "the machine still has a connection");
    again.leave();
    wait::until_true("the other machine gets the place", || ask(2).status == 200);
}

#[test]
fn an_agent_that_names_itself_counts_once() {
    let held = Held::start(&["max_requesters = 1"]);
    let ask = |name: &str| Ask::get("/file").field("Outpost-Requester", name).open(held.proxy.files());
    let mut one = ask("agent-1");
    let mut again = ask("agent-1");
    assert_eq!((one.status, again.status), (200, 200));
    one.take(MIB);
    again.take(MIB);
    assert_eq!(ask("agent-2").status, 503);
}

#[test]
fn progress_is_told_until_the_file_is_ready() {
    let held = Held::start(&[]);
    let _requester = held.requester();
    let target = format!("/.outpost/v1/progress/{}", held.content.md5_hex());
    let events = held.proxy.open(&target);
    assert_eq!(events.status, 200);
    assert_eq!(events.fields.first("Content-Type"), Some("text/event-stream"));
    held.gate.open();
    let answer = events.rest();
    let text = String::from_utf8(answer.body).expect("events are text");
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.first(), Some(&"progress"), "{text}");
    assert_eq!(names.last(), Some(&"ready"), "{text}");
    let first = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let first: serde_json::Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["total"], held.content.len());
    assert_eq!(first["max_requesters"], 2);
    assert!(first["fetched"].as_u64().is_some_and(|fetched| fetched <= held.content.len()), "{first}");
}

#[test]
fn progress_tells_a_failure_too() {
    let content = Content::random(5, 4 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    let reply = Reply::right().hold(2 * MIB, &gate).cut(2 * MIB);
    upstream.publish("/file", Page::tagged(&content).repr_digest().next(reply).then(Reply::status(500)));
    let proxy = proxy().upstream_with("/", &upstream.url(), "retries_max = 1").start();
    let mut transfer = proxy.open("/file");
    transfer.take(MIB);
    let events = proxy.open(format!("/.outpost/v1/progress/{}", content.md5_hex()));
    gate.open();
    let text = String::from_utf8(events.rest().body).expect("events are text");
    let last = text.lines().filter_map(|line| line.strip_prefix("event: ")).next_back();
    assert!(matches!(last, Some("failed" | "pause")), "{text}");
}

#[test]
fn at_the_limit_of_fills_new_files_wait_and_hits_do_not() {
    let (held, other, hit) = (Content::random(6, 4 * MIB), Content::random(7, MIB), Content::random(8, MIB));
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/hit", Page::tagged(&hit));
    upstream.publish("/other", Page::tagged(&other));
    upstream.publish("/held", Page::tagged(&held).next(Reply::right().hold(2 * MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).cache("fills_max = 1").start();
    proxy.get("/hit").expect(&hit);
    proxy.wait_until_idle();
    let mut transfer = proxy.open("/held");
    transfer.take(MIB);
    let refused = proxy.get("/other").expect_status(503);
    assert_eq!(refused.problem(), "overloaded");
    assert!(refused.field("Retry-After").is_some(), "{refused:?}");
    proxy.get("/hit").expect(&hit);
    gate.open();
    assert_eq!(transfer.compare(&held, MIB).ending, Ending::Whole);
    proxy.wait_until_idle();
    proxy.get("/other").expect(&other);
}
