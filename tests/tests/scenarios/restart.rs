//! The proxy stops, or is stopped, and starts again: what it had is there, what it was doing goes on.

use std::{fs, thread};

use harness::{
    KIB, MIB,
    client::Ending,
    content::Content,
    proxy::{Proxy, ProxySetup, objects_in},
    script::{Page, Reply},
    share::Share,
    upstream::{Asked, ScriptedUpstream},
    wait::{self, Gate},
};

use crate::{origin_over, proxy};

fn first_byte_asked(asked: &Asked) -> u64 {
    asked.range().and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()).unwrap_or_default()
}

/// Stops a proxy in mid-fill, where the upstream holds and `is_kept` says that what is there is worth something, starts it again, and
/// tells at which byte the fill went on.
fn continued_at(
    content: &Content,
    held_at: u64,
    is_kept: impl Fn(&Proxy) -> bool,
    stop: impl FnOnce(Proxy) -> ProxySetup,
) -> u64 {
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(content).next(Reply::right().hold(held_at, &gate)));
    let setup = proxy().upstream("/", &upstream.url()).serve("drain_timeout = \"0s\"");
    let proxy = setup.start();
    let transfer = proxy.open("/file");
    thread::scope(|scope| {
        let reading = scope.spawn(|| transfer.compare(content, 0));
        wait::until_true("all bytes up to the gate are here", || proxy.fetched_of_fills() >= held_at - 64 * KIB);
        wait::until_true("what is here is kept", || is_kept(&proxy));
        let setup = stop(proxy);
        let cut = reading.join().expect("the client");
        assert_eq!(cut.ending, Ending::Short);
        assert!(objects_in(&setup.cache_dir()).is_empty(), "a part is visible as an object");

        let proxy = setup.start();
        proxy.get("/file").expect(content);
        let asked = upstream.asked("/file");
        let last = asked.last().expect("it was asked");
        assert!(last.fields.first("If-Range").is_some(), "{asked:#?}");
        first_byte_asked(last)
    })
}

#[test]
fn a_fill_goes_on_at_its_byte_after_a_stop() {
    let content = Content::random(1, 16 * MIB);
    let position = continued_at(&content, 12 * MIB, |_| true, Proxy::terminate);
    assert!(position >= 12 * MIB - 256 * KIB, "continued at {position}");
}

#[test]
fn a_fill_goes_on_near_its_byte_after_kill_9() {
    // Large enough that what was there was made durable on the way: the state beside the part says so.
    let content = Content::random(6, 96 * MIB);
    let has_state = |proxy: &Proxy| {
        let parts = fs::read_dir(proxy.setup().cache_dir().join("parts")).into_iter().flatten().flatten();
        parts.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "state"))
    };
    let position = continued_at(&content, 80 * MIB, has_state, Proxy::kill);
    assert!(position >= 48 * MIB, "continued at {position}");
}

#[test]
fn nothing_is_forgotten_by_a_stop() {
    let content = Content::random(2, 2 * MIB);
    let small = Content::random(3, 100);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).last_modified("Sat, 21 Nov 2026 08:00:00 GMT"));
    upstream.publish("/small", Page::tagged(&small));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let before = proxy.get("/file").expect(&content);
    proxy.get("/small").expect(&small);
    let setup = proxy.terminate();
    upstream.stop();
    let proxy = setup.start();
    let after = proxy.get("/file").expect(&content);
    assert_eq!(after.field("Cache-Status"), Some("outpost; hit"));
    assert_eq!(after.field("ETag"), before.field("ETag"));
    assert_eq!(after.field("Last-Modified"), before.field("Last-Modified"));
    proxy.get("/small").expect(&small);
    assert_eq!(proxy.number("/cache/objects"), 2);
}

#[test]
fn what_was_committed_is_served_after_kill_9() {
    let content = Content::random(4, 2 * MIB);
    let share = Share::new();
    share.write("file", &content);
    let proxy = proxy().upstream("/", &share.url()).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    assert_eq!(proxy.objects_on_disk().len(), 1);
    let proxy = proxy.kill().start();
    proxy.get("/file").expect(&content);
    assert_eq!(proxy.objects_on_disk().len(), 1);
}

#[test]
fn an_origin_hashes_nothing_again_after_a_restart() {
    let content = Content::random(5, 4 * MIB);
    let share = Share::new();
    share.write("file", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/file");
    let origin = origin.terminate().start();
    // Asked at once: a digest that is there at the first request was not computed in between.
    let info = origin.get("/.outpost/v1/info/file").expect_status(200).json();
    assert_eq!(info["md5"], content.md5_hex());
    assert_eq!(info["sha256"], content.sha256_hex());
    assert_eq!(info["size"], content.len());
}
