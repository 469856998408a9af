//! A web server as the upstream, behaving well.

use std::{
    sync::{Arc, Barrier, atomic::Ordering},
    thread,
};

use crate::{
    client::{ask, get, get_with, head},
    origin::{Gate, Origin, reply, serve},
    proxy::{Proxy, content},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

#[test]
fn fifty_askers_are_one_fetch() {
    let bytes = Arc::new(content(1, 3 << 20));
    let (gate, served) = (Gate::default(), bytes.clone());
    let held = gate.clone();
    let origin = Origin::start(move |request, stream| {
        held.wait();
        serve(request, stream, &served, &[FRESH, ("ETag", "\"v1\"")], served.len());
    });
    let mut options = cache::options::Options::new(vec![crate::proxy::upstream("/", &origin.url())]);
    options.max_requesters = 0;
    let proxy = Proxy::with(options);
    let (address, sent) = (proxy.address(), Arc::new(Barrier::new(51)));
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let (bytes, sent) = (bytes.clone(), sent.clone());
            thread::spawn(move || {
                let asked = ask(address, "GET", "/a.bin", &[]);
                sent.wait();
                asked.answer().expect(&bytes).field("ETag") == Some("\"v1\"")
            })
        })
        .collect();
    sent.wait();
    gate.open();
    assert!(askers.into_iter().all(|asker| asker.join().unwrap()));
    assert_eq!(origin.asked(), ["GET /a.bin"]);
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), bytes.len() as u64);
    assert_eq!(proxy.cache.counters().misses.load(Ordering::Relaxed), 1);
}

#[test]
fn followers_get_bytes_as_they_come_and_a_client_that_leaves_cancels_nothing() {
    let bytes = Arc::new(content(2, 2 << 20));
    let (gate, served) = (Gate::default(), bytes.clone());
    let held = gate.clone();
    let origin = Origin::start(move |request, stream| {
        use std::io::Write;
        serve(request, stream, &served, &[FRESH], 1 << 20);
        held.wait();
        stream.write_all(&served[1 << 20..]).unwrap();
    });
    let proxy = Proxy::of(&origin.url());
    let mut first = ask(proxy.address(), "GET", "/a.bin", &[]);
    assert_eq!(first.read_some(500_000), bytes[..500_000]);
    // A range whose bytes are there is sent at once.
    let part = get_with(proxy.address(), "/a.bin", &[("Range", "bytes=1000-1999")]);
    assert_eq!((part.status, &part.body[..]), (206, &bytes[1000..2000]));
    drop(first);
    gate.open();
    get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn an_unchanged_304_moves_no_bytes_and_keeps_the_body() {
    let bytes = content(3, 100_000);
    let served = bytes.clone();
    let origin = Origin::start(move |request, stream| {
        let fields =
            [("Cache-Control", "max-age=0"), ("ETag", "\"v1\""), ("Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT")];
        match request.field("If-None-Match") {
            Some("\"v1\"") => reply(request, stream, "304 Not Modified", &fields, b""),
            _ => serve(request, stream, &served, &fields, served.len()),
        }
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a.bin").expect(&bytes);
    proxy.expect_no_fills();
    for _ in 0..3 {
        let answer = get(proxy.address(), "/a.bin").expect(&bytes);
        assert_eq!(answer.cache_status(), "outpost; fwd=stale; fwd-status=304");
        // A second may have begun in between.
        assert!(matches!(answer.field("Age"), Some("0" | "1")), "{:?}", answer.field("Age"));
    }
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), bytes.len() as u64);
    assert_eq!(origin.asked().len(), 4);
}

#[test]
fn a_fresh_answer_is_not_asked_for_again_unless_the_client_says_so() {
    let origin = Origin::start(|request, stream| {
        serve(
            request,
            stream,
            b"text",
            &[FRESH, ("Content-Type", "text/x"), ("X-Own", "1"), ("Connection", "x-hop"), ("X-Hop", "1")],
            4,
        );
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a?q=1").expect(b"text");
    proxy.expect_no_fills();
    let hit = get(proxy.address(), "/a?q=1").expect(b"text");
    assert_eq!((hit.cache_status(), hit.field("Content-Type")), ("outpost; hit", Some("text/x")));
    assert_eq!(hit.field("Cache-Control"), Some("max-age=3600"));
    assert_eq!((hit.field("X-Own"), hit.field("X-Hop")), (Some("1"), None));
    assert_eq!(origin.asked().len(), 1);
    get_with(proxy.address(), "/a?q=1", &[("Cache-Control", "no-cache")]).expect(b"text");
    get(proxy.address(), "/a?q=2").expect(b"text");
    assert_eq!(origin.asked(), ["GET /a?q=1", "GET /a?q=1", "GET /a?q=2"]);
}

#[test]
fn what_must_not_be_stored_passes_through_with_its_fields() {
    let origin = Origin::start(|request, stream| {
        let fields: &[(&str, &str)] = match request.target.as_str() {
            "/no-store" => &[("Cache-Control", "no-store")],
            "/private" => &[("Cache-Control", "private, max-age=60")],
            "/cookie" => &[("Set-Cookie", "a=b"), FRESH],
            "/vary" => &[("Vary", "*"), FRESH],
            _ => &[FRESH],
        };
        let mut fields = fields.to_vec();
        fields.push(("X-Extra", "kept"));
        serve(request, stream, request.target.as_bytes(), &fields, request.target.len());
    });
    let proxy = Proxy::of(&origin.url());
    for target in ["/no-store", "/private", "/cookie", "/vary"] {
        for _ in 0..2 {
            let answer = get(proxy.address(), target).expect(target.as_bytes());
            assert_eq!((answer.cache_status(), answer.field("X-Extra")), ("outpost; fwd=uri-miss", Some("kept")));
        }
    }
    let authorized = [("Authorization", "Basic eA==")];
    get_with(proxy.address(), "/authorized", &authorized).expect(b"/authorized");
    assert_eq!(proxy.store.report().objects, 0);
    assert_eq!(origin.asked().len(), 9);
}

#[test]
fn other_statuses_pass_through_and_redirects_are_seen_through_the_mount() {
    let origin = Origin::start(|request, stream| match request.target.as_str() {
        "/base/old" => reply(request, stream, "302 Found", &[("Location", "/base/new"), ("Content-Length", "0")], b""),
        "/base/far" => {
            reply(request, stream, "302 Found", &[("Location", "https://example.com/x"), ("Content-Length", "0")], b"");
        }
        _ => reply(request, stream, "404 Not Found", &[("Content-Length", "4")], b"gone"),
    });
    let location = format!("{}base", origin.url());
    let proxy = Proxy::with(cache::options::Options::new(vec![crate::proxy::upstream("/m", &location)]));
    let redirected = get(proxy.address(), "/m/old");
    assert_eq!((redirected.status, redirected.field("Location")), (302, Some("/m/new")));
    assert_eq!(get(proxy.address(), "/m/far").field("Location"), Some("https://example.com/x"));
    let missing = get(proxy.address(), "/m/none");
    assert_eq!((missing.status, missing.text().as_str()), (404, "gone"));
}

#[test]
fn variants_are_not_mixed_up() {
    let origin = Origin::start(|request, stream| {
        let language = request.field("Accept-Language").unwrap_or("none").to_owned();
        serve(request, stream, language.as_bytes(), &[FRESH, ("Vary", "Accept-Language")], language.len());
    });
    let proxy = Proxy::of(&origin.url());
    for language in ["de", "de", "fr", "fr", "de"] {
        get_with(proxy.address(), "/a", &[("Accept-Language", language)]).expect(language.as_bytes());
        proxy.expect_no_fills();
    }
    assert_eq!(origin.asked().len(), 2, "each variant is kept");
}

#[test]
fn only_allowed_fields_reach_the_upstream() {
    let origin = Origin::start(|request, stream| serve(request, stream, b"x", &[FRESH], 1));
    let proxy = Proxy::of(&origin.url());
    let fields = [("X-Forwarded-Host", "evil"), ("Range", "bytes=0-0"), ("Accept-Encoding", "gzip"), ("Cookie", "a=b")];
    get_with(proxy.address(), "/a", &fields);
    let request = &origin.requests()[0];
    for name in ["X-Forwarded-Host", "Range"] {
        assert_eq!(request.field(name), None, "{name}");
    }
    assert_eq!(request.field("Accept-Encoding"), Some("identity"));
    assert_eq!(request.field("Cookie"), Some("a=b"));
    assert!(request.field("Via").unwrap().starts_with("1.1 outpost-"), "{request:?}");
}

#[test]
fn bodies_of_unknown_length_are_kept_when_they_have_an_end() {
    let origin = Origin::start(|request, stream| {
        let chunks: &[u8] = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        match request.target.as_str() {
            "/whole" => reply(request, stream, "200 OK", &[FRESH, ("Transfer-Encoding", "chunked")], chunks),
            "/to-the-close" => reply(request, stream, "200 OK", &[FRESH], b"hello"),
            _ => {
                let fields = [FRESH, ("Transfer-Encoding", "chunked")];
                reply(request, stream, "200 OK", &fields, &chunks[..chunks.len() - 5]);
            }
        }
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/whole").expect(b"hello world");
    proxy.expect_objects(1);
    assert_eq!(get(proxy.address(), "/whole").expect(b"hello world").field("Content-Length"), Some("11"));
    // A cut would look like an end: not kept.
    assert_eq!(get(proxy.address(), "/to-the-close").expect(b"hello").cache_status(), "outpost; fwd=uri-miss");
    let cut = get(proxy.address(), "/cut");
    assert!(!cut.is_whole || cut.status == 502, "{cut:?}");
    assert_eq!(proxy.store.report().objects, 1);
}

#[test]
fn a_head_of_a_cold_file_is_a_head_upstream() {
    let bytes = content(7, 200_000);
    let served = bytes.clone();
    let origin = Origin::start(move |request, stream| {
        serve(request, stream, &served, &[FRESH, ("ETag", "\"v1\"")], served.len());
    });
    let proxy = Proxy::of(&origin.url());
    let answer = head(proxy.address(), "/a.bin");
    assert_eq!(
        (answer.status, answer.field("Content-Length"), answer.field("ETag")),
        (200, Some("200000"), Some("\"v1\""))
    );
    assert_eq!(get_with(proxy.address(), "/a.bin", &[("If-None-Match", "\"v1\"")]).status, 304);
    assert_eq!(origin.asked(), ["HEAD /a.bin", "HEAD /a.bin"]);
    get_with(proxy.address(), "/a.bin", &[("If-None-Match", "\"v0\"")]).expect(&bytes);
    assert_eq!(origin.asked().len(), 4);
}

#[test]
fn what_is_claimed_and_already_here_is_not_read_again() {
    let bytes = content(8, 400_000);
    let md5 = protocol::digest::Md5::of(&bytes).repr_digest();
    let served = bytes.clone();
    let origin = Origin::start(move |request, stream| {
        let cut = if request.target == "/a" { served.len() } else { 0 };
        serve(request, stream, &served, &[FRESH, ("Repr-Digest", &md5)], cut);
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    get(proxy.address(), "/b").expect(&bytes);
    assert_eq!(proxy.cache.counters().known_by_digest.load(Ordering::Relaxed), 1);
}

#[test]
fn only_if_cached_asks_nobody() {
    let origin = Origin::start(|request, stream| serve(request, stream, b"x", &[FRESH], 1));
    let proxy = Proxy::of(&origin.url());
    let only = [("Cache-Control", "only-if-cached")];
    assert_eq!(get_with(proxy.address(), "/a", &only).status, 504);
    assert!(origin.asked().is_empty());
    get(proxy.address(), "/a").expect(b"x");
    proxy.expect_no_fills();
    get_with(proxy.address(), "/a", &only).expect(b"x");
}

#[test]
fn empty_answers_are_kept_like_others() {
    let origin = Origin::start(|request, stream| serve(request, stream, b"", &[FRESH], 0));
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"");
    proxy.expect_no_fills();
    assert_eq!(get(proxy.address(), "/a").expect(b"").cache_status(), "outpost; hit");
}
