//! What upstreams list, and what of it is fetched.

use super::*;

#[test]
fn what_a_listing_of_an_outpost_shows_to_be_here_costs_nothing() {
    let bytes = content(8, 100_000);
    let sent = bytes.clone();
    let origin = outpost(move || vec![("a", sent.clone(), "02"), ("same", sent.clone(), "01")], Gate::default());
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let preload = PreloadOptions { concurrency: 1, ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&format!("outpost+{}", origin.url()), Mode::Preload, preload), clock);
    let round = done(&proxy);
    // The second name has the same bytes, which are not fetched again.
    assert_eq!((round.fetched.files, round.here.files, round.line_bytes), (1, 1, 100_000), "{round:?}");
    assert_eq!(origin.asked().len(), 4, "{:?}", origin.asked());
    // The next night nothing has changed: it is listed and nothing else.
    tell(&told, "2026-11-24T02:00:00Z");
    eventually("the next round", || done(&proxy).began == at("2026-11-24T02:00:00Z"));
    assert_eq!((done(&proxy).here.files, origin.asked().len()), (2, 5), "{:?}", origin.asked());
}

#[test]
fn a_file_that_has_changed_counts_as_not_here_until_it_has_come() {
    let (gate, is_changed) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let changed = is_changed.clone();
    let files = move || match changed.load(Ordering::Relaxed) {
        0 => vec![("a", content(10, 100_000), "01"), ("same", content(9, 1000), "01")],
        _ => vec![
            ("gated", content(12, 100_000), "20"),
            ("a", content(11, 90_000), "10"),
            ("same", content(9, 1000), "01"),
        ],
    };
    let origin = outpost(files, gate.clone());
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let preload = PreloadOptions { concurrency: 1, ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&format!("outpost+{}", origin.url()), Mode::Preload, preload), clock);
    done(&proxy);
    get(proxy.address(), "/a").expect(&content(10, 100_000));
    is_changed.store(1, Ordering::Relaxed);
    // Nobody knows yet that it has.
    get(proxy.address(), "/a").expect(&content(10, 100_000));
    tell(&told, "2026-11-24T02:00:00Z");
    eventually("the newest is on its way", || status(&proxy).running.first().is_some_and(|file| file.path == "/gated"));
    let refused = get(proxy.address(), "/a").expect_problem(503, "not-preloaded");
    assert_eq!(refused.field("Retry-After"), Some("90"), "its window is open");
    get(proxy.address(), "/same").expect(&content(9, 1000));
    gate.open();
    eventually("the next round", || done(&proxy).began == at("2026-11-24T02:00:00Z"));
    get(proxy.address(), "/a").expect(&content(11, 90_000));
    assert_eq!(done(&proxy).here.files, 1);
}

#[test]
fn the_page_of_a_web_server_is_followed_into_its_folders() {
    let bytes = content(12, 17);
    let sent = bytes.clone();
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/" => nginx(request, stream, &["sub/", "tmp/", "a.iso", "b.txt", "loop/", "..%2f..%2fetc/"]),
        "/loop/" => nginx(request, stream, &["sub/", "tmp/", "a.iso", "b.txt", "loop/", "..%2f..%2fetc/"]),
        "/sub/" => nginx(request, stream, &["c%20d.iso", "gone.iso", "/etc/passwd", "http://other.example/x.iso"]),
        "/a.iso" | "/sub/c%20d.iso" => serve(request, stream, &sent, &[("ETag", "\"v\"")], sent.len()),
        _ => missing(request, stream),
    });
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let preload =
        PreloadOptions { include: globs(&["*.iso"]), exclude: globs(&["/tmp/"]), ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::Preload, preload), clock);
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.gone, round.failed, round.circles), (2, 1, 0, 1), "{round:?}");
    get(proxy.address(), "/sub/c%20d.iso").expect(&bytes);
    let mut asked = origin.asked();
    asked.sort_unstable();
    let expected = ["GET /", "GET /a.iso", "GET /loop/", "GET /sub/", "GET /sub/c%20d.iso", "GET /sub/gone.iso"];
    assert_eq!(asked, expected, "nothing outside, nothing twice, nothing that is left out");
}

#[test]
fn a_page_that_is_no_index_is_said_to_be_none_and_a_list_takes_its_place() {
    let origin = Origin::start(|request, stream| match request.target.as_str() {
        "/" => reply(request, stream, "200 OK", &[("Content-Length", "7")], b"welcome"),
        _ => serve(request, stream, b"file", &[("ETag", "\"v\"")], 4),
    });
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")), clock);
    let round = done(&proxy);
    assert_eq!(round.failed, 1);
    assert!(status(&proxy).failures[0].reason.contains("give a list of paths"), "{:?}", status(&proxy).failures);
    proxy.cache.preload_on_demand(&paths(&["/a", "/b?x=1", "/a"])).unwrap();
    let round = done_on_demand(&proxy);
    assert_eq!((round.fetched.files + round.here.files, round.failed), (2, 0), "{round:?}");
    get(proxy.address(), "/b?x=1").expect(b"file");
}

#[test]
fn a_link_in_a_circle_on_a_share_ends() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a/file", b"x");
    put(share.path(), "top", b"y");
    std::os::unix::fs::symlink("../a", share.path().join("a/self")).unwrap();
    std::os::unix::fs::symlink("..", share.path().join("a/up")).unwrap();
    std::os::unix::fs::symlink("/etc", share.path().join("a/outside")).unwrap();
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy = Proxy::by_clock(
        options(share.path().to_str().unwrap(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")),
        clock,
    );
    let round = done(&proxy);
    assert!(round.folders < 10 && !round.is_cut, "{round:?}");
    get(proxy.address(), "/a/file").expect(b"x");
    get(proxy.address(), "/top").expect(b"y");
    assert!(proxy.store.report().objects == 2);
}

#[test]
fn odd_names_of_a_share_are_preloaded_too() {
    use std::os::unix::ffi::OsStrExt;
    let share = tempfile::tempdir().unwrap();
    for name in
        [&b"a b"[..], b"50%", b"#x?y", b"\xff\xfe", b"back\\slash", b"x:y", b"new\nline", "\u{fc}".as_bytes(), b"..."]
    {
        std::fs::write(share.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy = Proxy::by_clock(
        options(share.path().to_str().unwrap(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")),
        clock,
    );
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.failed), (9, 0), "{:?}", status(&proxy).failures);
    for (target, bytes) in [
        ("/a%20b", &b"a b"[..]),
        ("/50%25", b"50%"),
        ("/%23x%3Fy", b"#x?y"),
        ("/%FF%FE", b"\xff\xfe"),
        ("/back%5Cslash", b"back\\slash"),
        ("/new%0Aline", b"new\nline"),
    ] {
        get(proxy.address(), target).expect(bytes);
    }
}

#[test]
fn a_cache_that_is_too_small_keeps_what_goes_first_and_fetches_nothing_twice() {
    let share = tempfile::tempdir().unwrap();
    for number in 0..6 {
        put(share.path(), &format!("f{number}"), &content(20 + number, 1 << 20));
    }
    let preload = PreloadOptions { priority: globs(&["/f5", "/f4"]), ..schedule(&["00:00-24:00"], "UTC") };
    let of = || options(share.path().to_str().unwrap(), Mode::Preload, preload.clone());
    let proxy = Proxy::with_room(of(), 4 << 20);
    let round = done(&proxy);
    assert!(round.beyond.files >= 2 && round.fetched.files + round.beyond.files == 6, "{round:?}");
    get(proxy.address(), "/f5").expect(&content(25, 1 << 20));
    get(proxy.address(), "/f4").expect(&content(24, 1 << 20));
    let evictions = proxy.store.report().evictions;
    assert_eq!(evictions, 0, "what goes first is not pushed out by what goes last");
}

#[test]
fn a_preloaded_answer_of_a_web_server_is_fresh_or_asked_after_and_never_fetched_twice() {
    let bytes = content(30, 1000);
    let sent = bytes.clone();
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/" => nginx(request, stream, &["a", "private"]),
        "/a" if request.field("If-None-Match").is_some() => {
            reply(request, stream, "304 Not Modified", &[("ETag", "\"v\"")], b"")
        }
        "/a" => serve(request, stream, &sent, &[("ETag", "\"v\"")], sent.len()),
        _ => serve(request, stream, &sent, &[("Cache-Control", "no-store")], sent.len()),
    });
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy =
        Proxy::by_clock(options(&origin.url(), Mode::FetchAndPreload, schedule(&["02:00-04:00"], "UTC")), clock);
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.failed), (1, 1), "{round:?}");
    assert!(status(&proxy).failures[0].reason.contains("may not be kept"));
    tell(&told, "2026-11-24T02:00:00Z");
    eventually("the next round", || done(&proxy).began == at("2026-11-24T02:00:00Z"));
    assert_eq!((done(&proxy).here.files, done(&proxy).line_bytes), (1, 0));
    assert_eq!(get_with(proxy.address(), "/a", &[]).body, bytes);
}
