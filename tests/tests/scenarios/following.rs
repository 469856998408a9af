//! Who follows a fill is woken by its progress: every byte that is here is sent, though the upstream does not move.

use harness::{
    KIB, MIB,
    client::Ending,
    content::Content,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::Gate,
};

use crate::{origin_over, proxy};

#[test]
fn followers_get_every_byte_that_is_here_while_the_upstream_holds() {
    let content = Content::random(1, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let (first_gate, second_gate) = (Gate::new(), Gate::new());
    let reply = Reply::right().hold(MIB, &first_gate).hold(2 * MIB, &second_gate);
    upstream.publish("/file", Page::tagged(&content).next(reply));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let mut first = proxy.open("/file");
    let mut late = proxy.open("/file");
    for follower in [&mut first, &mut late] {
        assert_eq!(follower.take(MIB), content.bytes()[..MIB as usize]);
    }
    first_gate.open();
    for follower in [&mut first, &mut late] {
        assert_eq!(follower.take(MIB), content.bytes()[MIB as usize..2 * MIB as usize]);
    }
    second_gate.open();
    for follower in [first, late] {
        assert_eq!(follower.compare(&content, 2 * MIB).ending, Ending::Whole);
    }
}

#[test]
fn the_head_comes_before_the_upstream_is_done() {
    let content = Content::random(2, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let gate = Gate::new();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(0, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let transfer = proxy.open("/file");
    assert_eq!(transfer.fields.first("Content-Length"), Some(content.len().to_string().as_str()));
    gate.open();
    assert_eq!(transfer.compare(&content, 0).ending, Ending::Whole);
}

#[test]
fn an_upstream_without_a_length_is_followed_too() {
    let content = Content::random(3, 2 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().chunked().hold(MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let mut transfer = proxy.open("/file");
    // What is withheld until the end is known stays behind; all else is here.
    let here = MIB - 64 * KIB;
    assert_eq!(transfer.take(here), content.bytes()[..here as usize]);
    gate.open();
    assert_eq!(transfer.compare(&content, here).ending, Ending::Whole);
    let warm = proxy.get("/file").expect(&content);
    assert_eq!(warm.field("Content-Length"), Some(content.len().to_string().as_str()));
    assert_eq!(upstream.gets("/file"), 1);
}

#[test]
fn a_body_that_only_the_close_ends_is_passed_on_and_not_kept() {
    // A cut would look the same (RFC 9112 section 8): such bytes may be handed on, but not be taken for a whole file later.
    let content = Content::random(4, 2 * MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).then(Reply::right().until_close()));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    for count in 1..=2 {
        proxy.get("/file").expect(&content);
        assert_eq!(upstream.gets("/file"), count);
    }
    assert!(proxy.objects_on_disk().is_empty());
}

#[test]
fn every_size_comes_right_through_every_kind_of_upstream_cold_and_warm() {
    let sizes = [0, 1, 2, 4095, 4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, MIB - 1, MIB + 1];
    let share = Share::new();
    let upstream = ScriptedUpstream::start();
    let contents: Vec<_> = sizes.iter().map(|size| Content::random(*size, *size)).collect();
    for (size, content) in sizes.iter().zip(&contents) {
        share.write(size.to_string(), content);
        upstream.publish(&format!("/{size}"), Page::tagged(content));
    }
    let origin = origin_over(&share).start();
    let setup = proxy().upstream("/directory", &share.url()).upstream("/http", &upstream.url());
    let proxy = setup.upstream("/outpost", &origin.url()).start();
    for kind in ["directory", "http", "outpost"] {
        for (size, content) in sizes.iter().zip(&contents) {
            for _ in ["cold", "warm"] {
                let answer = proxy.get(format!("/{kind}/{size}")).expect(content);
                assert_eq!(answer.field("Content-Length"), Some(size.to_string().as_str()), "/{kind}/{size}");
            }
        }
    }
    proxy.wait_until_idle();
    assert_eq!(proxy.objects_on_disk().len(), sizes.len(), "equal contents are kept once");
}
