//! However many ask for a file that is not here, it crosses the line once.

use std::sync::Barrier;

use harness::{
    KIB, MIB,
    client::{Compared, Ending},
    content::Content,
    crowd::all_at_once,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::Gate,
};

use crate::{origin_over, proxy};

#[test]
fn two_hundred_clients_on_one_cold_file_are_one_upstream_fetch() {
    const CLIENTS: usize = 200;
    let content = Content::random(1, 16 * MIB);
    let upstream = ScriptedUpstream::start();
    let gate = Gate::new();
    upstream.publish("/image.iso", Page::tagged(&content).next(Reply::right().hold(MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0").start();

    let everybody_follows = Barrier::new(CLIENTS);
    let results = all_at_once(CLIENTS, |_| {
        let transfer = proxy.open("/image.iso");
        if everybody_follows.wait().is_leader() {
            gate.open();
        }
        transfer.compare(&content, 0)
    });

    let right = Compared { status: 200, received: content.len(), ending: Ending::Whole };
    assert!(results.iter().all(|result| *result == right), "{results:?}");
    assert_eq!(upstream.gets("/image.iso"), 1, "the upstream was asked more than once");
    assert_eq!(upstream.body_bytes("/image.iso"), content.len(), "upstream bytes are not 1.00 x the size");
    assert_eq!(proxy.upstream_bytes(), content.len());
    proxy.wait_until_idle();
    assert_eq!(proxy.objects_on_disk().len(), 1);
}

/// It lay unread in the kernel's buffers, which for a thin line is much.
#[test]
fn a_second_name_of_a_content_on_its_way_lets_its_own_body_go() {
    let content = Content::random(9, 16 * MIB);
    let upstream = ScriptedUpstream::start();
    let (first, second) = (Gate::new(), Gate::new());
    let page = |hold: Reply| Page::new(&content).repr_digest().next(hold);
    upstream.publish("/one.iso", page(Reply::right().hold(2 * MIB, &first)));
    upstream.publish("/two.iso", page(Reply::right().hold(64 * KIB, &second)));
    let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0").start();
    let one = proxy.open("/one.iso");
    first.wait_for_arrival();
    let mut two = proxy.open("/two.iso");
    second.wait_for_arrival();
    second.open();
    assert_eq!(two.take(MIB), content.bytes()[..MIB as usize]);
    first.open();
    assert_eq!(one.compare(&content, 0).ending, Ending::Whole);
    assert_eq!(two.compare(&content, MIB).ending, Ending::Whole);
    assert!(upstream.body_bytes("/two.iso") < 2 * MIB, "{} bytes", upstream.body_bytes("/two.iso"));
}

#[test]
fn fifty_clients_on_one_cold_file_of_a_directory_are_one_fill() {
    let content = Content::random(2, 16 * MIB);
    let share = Share::new();
    share.write("setup.exe", &content);
    let proxy = proxy().upstream("/", &share.url()).serve("max_requesters = 0").start();
    let results = all_at_once(50, |_| proxy.open("/setup.exe").compare(&content, 0));
    let right = Compared { status: 200, received: content.len(), ending: Ending::Whole };
    assert!(results.iter().all(|result| *result == right), "{results:?}");
    assert_eq!(proxy.upstream_bytes(), content.len(), "the directory was read more than once");
}

#[test]
fn fifty_clients_on_one_cold_file_of_an_origin_are_one_fetch() {
    let content = Content::random(3, 16 * MIB);
    let share = Share::new();
    share.write("setup.exe", &content);
    let origin = origin_over(&share).start();
    let proxy = proxy().upstream("/", &origin.url()).serve("max_requesters = 0").start();
    let results = all_at_once(50, |_| proxy.open("/setup.exe").compare(&content, 0));
    let right = Compared { status: 200, received: content.len(), ending: Ending::Whole };
    assert!(results.iter().all(|result| *result == right), "{results:?}");
    assert_eq!(proxy.upstream_bytes(), content.len(), "the origin was asked for the bytes more than once");
}

#[test]
fn small_files_asked_for_by_many_are_fetched_once_each() {
    let contents: Vec<_> = (0..20).map(|seed| Content::random(seed, 1000 + seed)).collect();
    let upstream = ScriptedUpstream::start();
    for (number, content) in contents.iter().enumerate() {
        upstream.publish(&format!("/{number}"), Page::tagged(content));
    }
    let proxy = proxy().upstream("/", &upstream.url()).start();
    all_at_once(100, |client| {
        let number = client % contents.len();
        proxy.get(format!("/{number}")).expect(&contents[number]);
    });
    for number in 0..contents.len() {
        assert_eq!(upstream.gets(&format!("/{number}")), 1);
    }
}

#[test]
fn a_client_that_leaves_cancels_nothing() {
    let content = Content::random(4, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let gate = Gate::new();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let mut first = proxy.open("/file");
    first.take(1000);
    let mut second = proxy.open("/file");
    second.take(1000);
    first.leave();
    gate.open();
    assert_eq!(second.compare(&content, 1000).ending, Ending::Whole);
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.gets("/file"), 1);
}

#[test]
fn a_fill_that_everybody_left_is_finished_all_the_same() {
    let content = Content::random(5, 4 * MIB);
    let upstream = ScriptedUpstream::start();
    let gate = Gate::new();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let mut only = proxy.open("/file");
    only.take(1000);
    only.leave();
    gate.open();
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.gets("/file"), 1);
    assert_eq!(upstream.body_bytes("/file"), content.len());
}
