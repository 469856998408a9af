//! An upstream that breaks: the fill goes on at its byte, or ends in a clear failure, and never in a wrong file.

use std::time::{Duration, Instant};

use harness::{
    KIB, MIB,
    client::Ending,
    content::Content,
    crowd::all_at_once,
    proxy::ProxySetup,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::Gate,
};

use crate::proxy;

/// Bytes that may cross the line twice: what was on its way when the connection was reset.
const IN_FLIGHT: u64 = 512 * KIB;

fn impatient(upstream: &ScriptedUpstream) -> ProxySetup {
    let keys = "connect_timeout = \"500ms\"\nread_timeout = \"500ms\"\nretries_max = 3\nretry_backoff = \"20ms\"";
    proxy().upstream_with("/", &upstream.url(), keys)
}

/// The failure at the beginning, in the middle and at the end, each with a proxy and an upstream of its own. At the same time, for most of
/// it is waiting.
fn at_each_place(check: impl Fn(u64) + Sync) {
    let percents = [0, 37, 99];
    all_at_once(percents.len(), |place| check(percents[place]));
}

/// The failure happens once at each place; a client that was there before it and one that comes late both get the file.
fn expect_recovery(name: &str, failing: impl Fn(Page, u64) -> Page + Sync) {
    at_each_place(|percent| {
        let content = Content::random(percent, 4 * MIB);
        let at = content.at_percent(percent);
        let upstream = ScriptedUpstream::start();
        let page = Page::tagged(&content);
        let tag = format!("\"tag-{}\"", content.md5_hex());
        upstream.publish("/file", failing(page, at));
        let proxy = impatient(&upstream).start();
        let answers = all_at_once(3, |_| proxy.get("/file"));
        answers.into_iter().for_each(|answer| drop(answer.expect(&content)));
        let asked = upstream.asked("/file");
        if at > 0 {
            let continued = &asked.last().expect("it was asked");
            let from: u64 = continued
                .range()
                .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok())
                .unwrap_or_default();
            assert!(from > 0 && from <= at, "{name} at {percent}%: not continued at its byte: {asked:#?}");
            assert_eq!(continued.fields.first("If-Range"), Some(tag.as_str()), "{name} at {percent}%: {asked:#?}");
        }
        let crossed = upstream.body_bytes("/file");
        assert!(crossed <= content.len() + IN_FLIGHT, "{name} at {percent}%: {crossed} bytes crossed the line");
        proxy.get("/file").expect(&content);
    });
}

/// The failure happens each time: clients see a failure in bounded time, and all is well when the upstream is.
fn expect_clear_failure(name: &str, failing: impl Fn(u64) -> Reply + Sync) {
    at_each_place(|percent| {
        let content = Content::random(percent, 4 * MIB);
        let at = content.at_percent(percent);
        let upstream = ScriptedUpstream::start();
        upstream.publish("/file", Page::tagged(&content).then(failing(at)));
        let proxy = impatient(&upstream).start();
        let began = Instant::now();
        for answer in all_at_once(3, |_| proxy.get("/file")) {
            assert!(
                !answer.is_whole(),
                "{name} at {percent}%: a whole file from an upstream that never sent it: {answer:?}"
            );
            assert_ne!(answer.ending, Ending::Stuck, "{name} at {percent}%: {answer:?}");
            assert!(answer.status == 200 || answer.status >= 502, "{name} at {percent}%: {answer:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{name} at {percent}%: it took {:?}", began.elapsed());
        assert!(proxy.objects_on_disk().is_empty());
        upstream.publish("/file", Page::tagged(&content));
        proxy.get("/file").expect(&content);
    });
}

#[test]
fn a_closed_connection_is_continued() {
    expect_recovery("close", |page, at| page.next(Reply::right().cut(at)));
}

#[test]
fn a_reset_connection_is_continued() {
    expect_recovery("reset", |page, at| page.next(Reply::right().reset(at)));
}

#[test]
fn a_stalled_connection_is_continued() {
    expect_recovery("stall", |page, at| page.next(Reply::right().stall(at)));
}

#[test]
fn an_error_status_on_the_way_is_survived() {
    expect_recovery("5xx", |page, at| {
        page.next(Reply::right().cut(at)).next(Reply::status(503)).next(Reply::status(500))
    });
}

#[test]
fn a_part_with_a_wrong_content_range_is_not_taken() {
    expect_recovery("lying 206", |page, at| {
        page.next(Reply::right().cut(at)).next(Reply::right().content_range_off_by(1000))
    });
}

#[test]
fn several_failures_in_one_file_are_survived() {
    let content = Content::random(7, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let page = (1..10)
        .fold(Page::tagged(&content), |page, tenth| page.next(Reply::right().cut(content.at_percent(tenth * 10))));
    upstream.publish("/file", page);
    let proxy = impatient(&upstream).start();
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.body_bytes("/file"), content.len(), "each byte crosses the line once");
}

#[test]
fn closing_each_time_is_a_clear_failure() {
    expect_clear_failure("close", |at| Reply::right().cut(at));
}

#[test]
fn resetting_each_time_is_a_clear_failure() {
    expect_clear_failure("reset", |at| Reply::right().reset(at));
}

#[test]
fn stalling_each_time_is_a_clear_failure() {
    expect_clear_failure("stall", |at| Reply::right().stall(at));
}

#[test]
fn an_upstream_that_knows_no_ranges_is_read_from_the_start_again() {
    let content = Content::random(8, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let page = Page::tagged(&content).next(Reply::right().cut(MIB)).then(Reply::right().ignoring_range());
    upstream.publish("/file", page);
    let proxy = impatient(&upstream).start();
    let first = proxy.get("/file").expect_none_but(&[&content]);
    assert!(first.status == 200 || first.status == 502, "{first:?}");
    proxy.get("/file").expect(&content);
}

#[test]
fn without_validators_two_halves_are_never_put_together() {
    let (old, new) = (Content::random(9, 4 * MIB), Content::random(10, 4 * MIB));
    let upstream = ScriptedUpstream::start();
    let gate = Gate::new();
    let half = old.at_percent(50);
    upstream.publish("/file", Page::new(&old).next(Reply::right().hold(half, &gate).cut(half)));
    let proxy = impatient(&upstream).start();
    let transfer = proxy.open("/file");
    gate.wait_for_arrival();
    upstream.publish("/file", Page::new(&new));
    gate.open();
    transfer.rest().expect_none_but(&[&old, &new]);
    proxy.get("/file").expect(&new);
}

#[test]
fn an_upstream_that_is_not_there_is_a_502_and_one_that_is_silent_a_504() {
    let upstream = ScriptedUpstream::start();
    let proxy = impatient(&upstream).start();
    upstream.be_silent(true);
    let silent = proxy.get("/file").expect_status(504);
    assert_eq!(silent.problem(), "upstream-timeout");
    upstream.stop();
    let gone = proxy.get("/other").expect_status(502);
    assert_eq!(gone.problem(), "upstream-unreachable");
}
