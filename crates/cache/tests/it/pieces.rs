//! Contents in pieces: their digests from an upstream or from what is here, what of them is here now, and who else asks.

use std::{io::Write, sync::atomic::Ordering, thread};

use cache::options::{Mode, Options, UpstreamOptions};
use protocol::{
    digest::Md5,
    pieces::{Have, Pieces, PiecesHasher},
    problem::Problem,
};

use crate::{
    client::{ask, get, get_with, head},
    origin::{Gate, Origin, Request, reply, serve},
    proxy::{Proxy, content, eventually, put, upstream},
};

const M: usize = 1 << 20;

fn list(bytes: &[u8]) -> Pieces {
    let mut hasher = PiecesHasher::new(bytes.len() as u64);
    hasher.update(bytes);
    hasher.finish().1.unwrap()
}

fn is_about_pieces(request: &Request) -> bool {
    request.target.starts_with("/.outpost/v1/pieces/")
}

/// An origin with one content under every name, which sends this where its pieces are asked for.
fn origin(bytes: &[u8], told: String) -> Origin {
    let (bytes, md5) = (bytes.to_vec(), Md5::of(bytes));
    let (digest, etag) = (md5.repr_digest(), format!("\"{md5}\""));
    Origin::start(move |request, stream| {
        if !is_about_pieces(request) {
            let fields = [("Repr-Digest", digest.as_str()), ("ETag", &etag)];
            return serve(request, stream, &bytes, &fields, bytes.len());
        }
        let (status, body) = if told.is_empty() { ("404 Not Found", "") } else { ("200 OK", told.as_str()) };
        reply(request, stream, status, &[("Content-Length", &body.len().to_string())], body.as_bytes());
    })
}

fn over(origin: &Origin, mode: Mode) -> Options {
    Options::new(vec![UpstreamOptions { mode, ..upstream("/", &format!("outpost+{}", origin.url())) }])
}

fn pieces(proxy: &Proxy, md5: &Md5) -> crate::client::Answer {
    get(proxy.address(), &format!("/.outpost/v1/pieces/{md5}"))
}

fn read(answer: &crate::client::Answer) -> Pieces {
    assert_eq!((answer.status, answer.field("Cache-Control")), (200, Some("public, max-age=31536000, immutable")));
    serde_json::from_slice(&answer.body).unwrap()
}

fn have(proxy: &Proxy, md5: &Md5, fields: &[(&str, &str)]) -> Have {
    let answer = get_with(proxy.address(), &format!("/.outpost/v1/have/{md5}?piece={M}"), fields);
    assert_eq!((answer.status, answer.field("Cache-Control")), (200, Some("no-store")), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn counts(proxy: &Proxy) -> (u64, u64) {
    let counters = proxy.cache.counters();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    (count(&counters.piece_lists_made), count(&counters.piece_lists_refused))
}

#[test]
fn digests_come_from_the_upstream_once_however_many_ask() {
    let bytes = content(1, 3 * M + 5);
    let (expected, md5, gate) = (list(&bytes), Md5::of(&bytes), Gate::default());
    let (told, held) = (serde_json::to_string(&expected).unwrap(), gate.clone());
    let origin = Origin::start(move |request, stream| {
        held.wait();
        reply(request, stream, "200 OK", &[("Content-Length", &told.len().to_string())], told.as_bytes());
    });
    let proxy = Proxy::with(over(&origin, Mode::Fetch));
    thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| read(&pieces(&proxy, &md5)))).collect();
        eventually("the upstream is asked", || !origin.asked().is_empty());
        gate.open();
        asking.into_iter().for_each(|asked| assert_eq!(asked.join().unwrap(), expected));
    });
    assert_eq!(read(&pieces(&proxy, &md5)), expected);
    let asked = head(proxy.address(), &format!("/.outpost/v1/pieces/{md5}"));
    assert_eq!((asked.status, asked.body.len()), (200, 0));
    assert_eq!(origin.asked(), [format!("GET /.outpost/v1/pieces/{md5}")], "once, and nothing was fetched");
    assert_eq!(counts(&proxy), (0, 0));
}

#[test]
fn a_list_of_another_content_is_not_used() {
    let bytes = content(2, 2 * M + 5);
    let (right, md5) = (list(&bytes), Md5::of(&bytes));
    let text = |pieces: &Pieces| serde_json::to_string(pieces).unwrap();
    let other = |md5, size: u64, count| {
        let digests = vec![protocol::digest::Sha256([7; 32]); count];
        text(&Pieces::new(md5, size, M as u64, digests).unwrap())
    };
    for (told, refused, what) in [
        (other(Md5::of(b""), right.size(), 3), 1, "another digest"),
        (other(md5, right.size() + 1, 3), 1, "another size"),
        (other(md5, 2 * M as u64, 2), 1, "another size and count"),
        (text(&right).replace("\"size\":2097157", "\"size\":3145729"), 0, "too few digests"),
        (text(&right).replace("\"piece_size\":1048576", "\"piece_size\":1"), 0, "no piece size"),
        ("[]".into(), 0, "another thing"),
        ("x".repeat(300 << 10), 0, "too long"),
        (String::new(), 0, "none"),
    ] {
        let origin = origin(&bytes, told);
        let proxy = Proxy::with(over(&origin, Mode::Fetch));
        get(proxy.address(), "/a").expect(&bytes);
        proxy.expect_objects(1);
        assert_eq!(read(&pieces(&proxy, &md5)), right, "{what}: it is made of what is here");
        assert_eq!(counts(&proxy), (1, refused), "{what}");
        assert_eq!(read(&pieces(&proxy, &md5)), right);
        assert_eq!(counts(&proxy), (1, refused), "{what}: it is kept");
    }
}

#[test]
fn a_list_that_cannot_be_had_is_refused_and_not_asked_for_again_at_once() {
    let bytes = content(3, 2 * M);
    let origin = origin(&bytes, String::new());
    let proxy = Proxy::with(over(&origin, Mode::Fetch));
    for _ in 0..3 {
        pieces(&proxy, &Md5::of(&bytes)).expect_problem(404, "not-found");
    }
    assert_eq!(origin.asked().len(), 1);
    get(proxy.address(), "/.outpost/v1/pieces/xyz").expect_problem(400, "bad-request");
    assert_eq!(
        ask(proxy.address(), "POST", "/.outpost/v1/pieces/xyz", &[("Content-Length", "0")]).answer().status,
        405
    );
}

#[test]
fn of_what_is_here_the_digests_are_made_where_nobody_tells_them() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(4, 5 * M / 2);
    put(share.path(), "large", &bytes);
    put(share.path(), "small", &bytes[..M]);
    let proxy = Proxy::of(share.path().to_str().unwrap());
    get(proxy.address(), "/large").expect(&bytes);
    get(proxy.address(), "/small").expect(&bytes[..M]);
    proxy.expect_objects(2);
    assert_eq!(read(&pieces(&proxy, &Md5::of(&bytes))), list(&bytes));
    let one = pieces(&proxy, &Md5::of(&bytes[..M])).expect_problem(404, "not-found");
    assert!(one.text().contains("is of one piece"), "{}", one.text());
    pieces(&proxy, &Md5::of(b"unknown")).expect_problem(404, "not-found");
    assert_eq!(counts(&proxy), (1, 0));
}

#[test]
fn an_object_that_is_damaged_on_the_disk_gets_no_list_and_is_removed() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(5, 2 * M);
    put(share.path(), "a", &bytes);
    let proxy = Proxy::of(share.path().to_str().unwrap());
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    proxy.expect_no_fills();
    let md5 = Md5::of(&bytes);
    let object = std::fs::read_link(format!("/proc/self/fd/{}", {
        use std::os::fd::AsRawFd;
        proxy.store.hit(&md5).unwrap().file().as_raw_fd()
    }))
    .unwrap();
    let mut permissions = std::fs::metadata(&object).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of the test's own")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&object, permissions).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&object).unwrap();
    file.write_all(b"rot").unwrap();
    pieces(&proxy, &md5).expect_problem(404, "not-found");
    assert_eq!((proxy.store.peek(&md5).is_some(), counts(&proxy)), (false, (0, 0)));
    get(proxy.address(), "/a").expect(&bytes);
}

#[test]
fn where_files_come_only_beforehand_nobody_is_asked_for_digests_either() {
    let bytes = content(6, 2 * M);
    let (origin, md5) = (origin(&bytes, serde_json::to_string(&list(&bytes)).unwrap()), Md5::of(&bytes));
    let proxy = Proxy::with(over(&origin, Mode::Preload));
    pieces(&proxy, &md5).expect_problem(503, "not-preloaded");
    let asked = have(&proxy, &md5, &[]);
    assert_eq!((asked.size, asked.filling, asked.have.count()), (None, false, 0));
    assert_eq!(origin.asked(), Vec::<String>::new());

    proxy.cache.reconfigure(over(&origin, Mode::Fetch)).unwrap();
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    proxy.cache.reconfigure(over(&origin, Mode::Preload)).unwrap();
    let asked = origin.asked().len();
    // That it was refused a moment ago does not count any more.
    assert_eq!((read(&pieces(&proxy, &md5)), counts(&proxy)), (list(&bytes), (1, 0)));
    let here = have(&proxy, &md5, &[]);
    assert_eq!((here.size, here.have.count()), (Some(2 * M as u64), 2));
    assert_eq!(origin.asked().len(), asked);
}

#[test]
fn what_is_here_is_told_as_it_comes_and_nothing_is_fetched_for_it() {
    let bytes = content(7, 4 * M);
    let (served, gate, md5) = (bytes.clone(), Gate::default(), Md5::of(&bytes));
    let (held, digest) = (gate.clone(), md5.repr_digest());
    let origin = Origin::start(move |request, stream| {
        let fields = [("Cache-Control", "max-age=60"), ("Repr-Digest", digest.as_str())];
        serve(request, stream, &served, &fields, 2 * M + 5);
        held.wait();
        let _ = stream.write_all(&served[2 * M + 5..]);
    });
    let proxy = Proxy::of(&origin.url());
    let nothing = have(&proxy, &md5, &[]);
    assert_eq!((nothing.size, nothing.have.len(), nothing.filling, nothing.askers), (None, 0, false, 1));
    assert!(origin.asked().is_empty() && proxy.cache.fills().is_empty());

    let mut first = ask(proxy.address(), "GET", "/a.bin", &[]);
    first.read_some(2 * M);
    let some = have(&proxy, &md5, &[]);
    assert_eq!((some.size, some.filling), (Some(4 * M as u64), true));
    let set = some.have.of_len(4).unwrap();
    assert_eq!(set.ones().collect::<Vec<_>>(), [0, 1]);
    gate.open();
    proxy.expect_objects(1);
    let all = have(&proxy, &md5, &[]);
    assert_eq!((all.filling, all.have.of_len(4).unwrap().is_full()), (false, true));
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn questions_that_make_no_sense_are_refused_with_a_sentence() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(8, 100_000);
    put(share.path(), "a", &bytes);
    let proxy = Proxy::of(share.path().to_str().unwrap());
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    let unknown = Md5::of(b"unknown");
    for md5 in [Md5::of(&bytes), unknown] {
        for piece in ["", "0", "1", "3", "-1", "65535", "1048577", "18446744073709551616", "1e6", "%31", "0x10000"] {
            let answer = get(proxy.address(), &format!("/.outpost/v1/have/{md5}?piece={piece}"));
            answer.expect_problem(400, "bad-request");
        }
        for port in ["0", "", "65536", "http", "10.0.0.1:80", "80,81", "-1"] {
            let answer = get_with(proxy.address(), &format!("/.outpost/v1/have/{md5}"), &[("Outpost-Peer", port)]);
            let answer = answer.expect_problem(400, "bad-request");
            assert!(answer.text().contains("Outpost-Peer"), "{}", answer.text());
        }
        for query in ["", "?piece=65536", "?piece=1048576&piece=0", "?other=1", "?piece=9223372036854775808"] {
            assert_eq!(get(proxy.address(), &format!("/.outpost/v1/have/{md5}{query}")).status, 200, "{query}");
        }
    }
    get(proxy.address(), "/.outpost/v1/have/xyz?piece=1048576").expect_problem(400, "bad-request");
    let long = format!("/.outpost/v1/have/{unknown}?piece={}", "9".repeat(7_000));
    get(proxy.address(), &long).expect_problem(400, "bad-request");
    assert_eq!(proxy.cache.askers(), 2, "for two contents, and who asks nonsense is not remembered");
}

#[test]
fn askers_find_each_other_and_so_does_who_finds_no_place() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(9, 48 * M);
    put(share.path(), "a.bin", &bytes);
    let upstream = upstream("/", share.path().to_str().unwrap());
    let proxy = Proxy::with(Options { max_requesters: 1, ..Options::new(vec![upstream]) });
    get(proxy.address(), "/a.bin").expect(&bytes);
    proxy.expect_objects(1);
    let md5 = Md5::of(&bytes);
    let from = |port: &str| have(&proxy, &md5, &[("Outpost-Peer", port), ("X-Forwarded-For", "10.9.9.9")]);
    assert_eq!((from("9181").peers, from("9181").askers), (vec![], 1));
    let second = from("9182");
    assert_eq!((second.peers, second.askers), (vec!["http://127.0.0.1:9181/".to_owned()], 2));
    assert!((375..=625).contains(&second.next_in), "{}", second.next_in);
    assert_eq!(proxy.cache.askers(), 2);

    let mut first = ask(proxy.address(), "GET", "/a.bin", &[]);
    first.read_some(1000);
    let refused = get(proxy.address(), "/a.bin").expect_problem(503, "max-requesters");
    let mut problem: Problem = serde_json::from_slice(&refused.body).unwrap();
    problem.peers.sort();
    assert_eq!(problem.peers, ["http://127.0.0.1:9181/", "http://127.0.0.1:9182/"]);
}

#[test]
fn a_proxy_that_is_stopping_says_so() {
    let bytes = content(10, 2 * M);
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, _| held.wait());
    let (proxy, md5) = (Proxy::with(over(&origin, Mode::Fetch)), Md5::of(&bytes));
    thread::scope(|scope| {
        let asking = scope.spawn(|| pieces(&proxy, &md5));
        eventually("the upstream is asked", || !origin.asked().is_empty());
        proxy.wait(proxy.cache.close());
        proxy.wait(proxy.store.close());
        asking.join().unwrap().expect_problem(503, "overloaded");
    });
    let again = pieces(&proxy, &Md5::of(b"other")).expect_problem(503, "overloaded");
    assert_eq!(again.field("Retry-After"), Some("1"));
    assert_eq!(have(&proxy, &md5, &[]).have.count(), 0);
    gate.open();
}
