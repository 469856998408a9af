//! `info`, `objects` and `progress` over a directory and a web server.

use protocol::digest::Md5;

use crate::{
    client::{ask, get},
    origin::{Gate, Origin, serve},
    proxy::{Proxy, content, put},
};

#[test]
fn info_fetches_what_was_never_asked_for() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(1, 100_000);
    put(share.path(), "a b.bin", &bytes);
    let proxy = Proxy::of(share.path().to_str().unwrap());
    for _ in 0..2 {
        let info = get(proxy.address(), "/.outpost/v1/info/a%20b.bin");
        let expected = format!(r#"{{"path":"/a%20b.bin","size":100000,"md5":"{}","sha256":""#, Md5::of(&bytes));
        assert!(info.text().starts_with(&expected) && info.text().contains("modified"), "{}", info.text());
    }
    get(proxy.address(), "/.outpost/v1/info/none").expect_problem(404, "not-found");
    get(proxy.address(), "/.outpost/v1/info/").expect_problem(404, "not-found");
}

#[test]
fn an_object_that_was_removed_is_fetched_again_only_under_its_name() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(2, 100_000);
    put(share.path(), "a.bin", &bytes);
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let md5 = Md5::of(&bytes);
    let object = format!("/.outpost/v1/objects/{md5}");
    get(proxy.address(), &format!("{object}?path=/a.bin")).expect_problem(404, "not-found");
    get(proxy.address(), "/a.bin").expect(&bytes);
    proxy.expect_objects(1);
    proxy.expect_no_fills();
    get(proxy.address(), &object).expect(&bytes);
    proxy.store.remove(&md5);
    get(proxy.address(), &object).expect_problem(404, "not-found");
    get(proxy.address(), &format!("{object}?path=/a.bin")).expect(&bytes);
    get(proxy.address(), "/.outpost/v1/objects/xyz").expect_problem(400, "bad-request");
}

#[test]
fn progress_is_told_until_the_object_is_ready() {
    use std::io::Write;
    let bytes = content(3, 1 << 20);
    let digest = Md5::of(&bytes);
    let (served, gate) = (bytes.clone(), Gate::default());
    let held = gate.clone();
    let origin = Origin::start(move |request, stream| {
        let fields = [("Cache-Control", "max-age=60"), ("Repr-Digest", &*digest.repr_digest())];
        serve(request, stream, &served, &fields, 1 << 19);
        held.wait();
        stream.write_all(&served[1 << 19..]).unwrap();
    });
    let proxy = Proxy::of(&origin.url());
    let target = format!("/.outpost/v1/progress/{digest}");
    get(proxy.address(), &target).expect_problem(404, "not-found");
    let mut asked = ask(proxy.address(), "GET", "/a.bin", &[]);
    asked.read_some(100_000);
    let following = ask(proxy.address(), "GET", &target, &[]);
    // It is told before the rest comes.
    following.wait_for_answer();
    gate.open();
    let events = following.answer();
    assert_eq!(events.field("Content-Type"), Some("text/event-stream"));
    let text = events.text();
    assert!(text.starts_with("event: progress\n") && text.contains(r#""total":1048576"#), "{text}");
    assert!(text.contains("event: ready\n"), "{text}");
    proxy.expect_objects(1);
    assert_eq!(get(proxy.address(), &target).text(), "event: ready\ndata: {}\n\n");
}
