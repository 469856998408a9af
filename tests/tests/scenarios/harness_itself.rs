//! The scripted upstream and client against each other: a scenario proves something only if its instruments are right.

use std::panic::{self, AssertUnwindSafe};

use harness::{
    MIB,
    client::{Ask, Connection, Ending, fetch},
    content::Content,
    program::Program,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::Gate,
};

#[test]
fn a_page_is_served_with_ranges_and_conditions() {
    let content = Content::random(1, MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::new(&content).etag("\"one\""));
    fetch(upstream.address(), "/file").expect(&content);
    let part = Ask::get("/file").range("bytes=100-199").field("If-Range", "\"one\"").fetch(upstream.address());
    part.expect_part(&content, 100, 200);
    let other = Ask::get("/file").range("bytes=100-199").field("If-Range", "\"two\"").fetch(upstream.address());
    other.expect(&content);
    Ask::get("/file").field("If-None-Match", "\"one\"").fetch(upstream.address()).expect_status(304);
    fetch(upstream.address(), "/nothing").expect_status(404);
    assert_eq!(upstream.gets("/file"), 4);
    assert_eq!(upstream.body_bytes("/file"), 2 * MIB + 100);
}

#[test]
fn each_failure_is_seen_as_what_it_is() {
    let content = Content::random(2, MIB);
    let half = content.at_percent(50);
    let upstream = ScriptedUpstream::start();
    let page = Page::new(&content)
        .next(Reply::right().cut(half))
        .next(Reply::right().reset(half))
        .next(Reply::right().chunked().cut(half))
        .next(Reply::right().length_off_by(5))
        .next(Reply::right().chunked())
        .next(Reply::status(503));
    upstream.publish("/file", page);
    let get = || fetch(upstream.address(), "/file");
    let cut = get();
    assert_eq!((cut.ending, cut.body.len() as u64), (Ending::Short, half));
    assert_eq!(get().ending, Ending::Short);
    let chunked = get();
    assert_eq!((chunked.ending, chunked.body.len() as u64), (Ending::Short, half));
    let long = get();
    assert_eq!((long.ending, long.body.len() as u64), (Ending::Short, content.len()));
    get().expect(&content);
    get().expect_status(503);
    get().expect(&content);
}

#[test]
fn a_gate_holds_at_its_byte_and_lets_go() {
    let content = Content::random(3, MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::new(&content).next(Reply::right().hold(1000, &gate)));
    let mut transfer = Ask::get("/file").open(upstream.address());
    assert_eq!(transfer.take(1000), content.bytes()[..1000]);
    gate.wait_for_arrival();
    assert_eq!(upstream.body_bytes("/file"), 1000);
    gate.open();
    let rest = transfer.compare(&content, 1000);
    assert_eq!((rest.ending, rest.received), (Ending::Whole, MIB - 1000));
}

#[test]
fn a_stopped_upstream_refuses_and_may_come_back() {
    let content = Content::from("here");
    let upstream = ScriptedUpstream::start();
    let address = upstream.stop();
    assert!(Connection::try_open(address).is_err());
    let upstream = ScriptedUpstream::start_at(address);
    upstream.publish("/file", Page::new(&content).next(Reply::right().bytes_per_second(100)));
    fetch(address, "/file").expect(&content);
}

#[test]
fn a_line_that_does_not_come_is_told_with_what_was_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = Program::start("/bin/sh".as_ref(), ["-c", "echo one; echo two"], directory.path());
    assert_eq!(program.find_line("a two", |line| (line == "two").then_some(2)), 2);
    let look = |find: fn(&str) -> Option<()>| {
        let failed = panic::catch_unwind(AssertUnwindSafe(|| program.find_line("a three", find))).unwrap_err();
        failed.downcast::<String>().map(|text| *text).expect("it says why")
    };
    assert_eq!(look(|line| (line == "three").then_some(())), "the program ended without printing a three");
    assert_eq!(look(|line| panic!("{line} makes no sense")), "one makes no sense");
    assert!(program.printed().contains("one"), "it can still be shown");
}
