//! Modes: where files come only beforehand, nothing that a client asks reaches the upstream.

use cache::options::{DeliveryOptions, Mode, Options, UpstreamOptions};
use protocol::digest::Md5;

use crate::{
    client::{ask, get, get_with, head},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content, put, upstream},
};

fn of(location: &str, mode: Mode) -> Options {
    Options::new(vec![UpstreamOptions { mode, ..upstream("/", location) }])
}

/// A web server that also knows digests, whose answers are stale at once.
fn server(bytes: &[u8]) -> Origin {
    let (bytes, md5) = (bytes.to_vec(), Md5::of(bytes));
    let (digest, etag) = (md5.repr_digest(), format!("\"{md5}\""));
    Origin::start(move |request, stream| match request.target.as_str() {
        "/gone" => reply(request, stream, "404 Not Found", &[("Content-Length", "0")], b""),
        _ => {
            let fields = [("Repr-Digest", digest.as_str()), ("ETag", &etag), ("Cache-Control", "max-age=0")];
            serve(request, stream, &bytes, &fields, bytes.len());
        }
    })
}

/// `/here` was fetched; then the mode is `preload`.
fn preloaded(origin: &Origin, scheme: &str, bytes: &[u8]) -> (Proxy, usize) {
    let location = format!("{scheme}{}", origin.url());
    let proxy = Proxy::with(of(&location, Mode::Fetch));
    get(proxy.address(), "/here").expect(bytes);
    proxy.expect_no_fills();
    proxy.cache.reconfigure(of(&location, Mode::Preload)).unwrap();
    (proxy, origin.asked().len())
}

#[test]
fn what_is_here_is_served_and_all_else_is_refused_without_a_word_to_the_upstream() {
    let bytes = content(1, 300_000);
    let md5 = Md5::of(&bytes);
    for scheme in ["", "outpost+"] {
        let origin = server(&bytes);
        let (proxy, asked) = preloaded(&origin, scheme, &bytes);
        let address = proxy.address();
        for fields in [
            &[][..],
            &[("Cache-Control", "no-cache")],
            &[("Cache-Control", "max-age=0")],
            &[("Pragma", "no-cache")],
            &[("If-None-Match", "\"other\"")],
        ] {
            let answer = get_with(address, "/here", fields).expect(&bytes);
            assert_eq!(answer.cache_status(), "outpost; hit", "{fields:?}");
        }
        assert_eq!(head(address, "/here").status, 200);
        assert_eq!(get_with(address, "/here", &[("Range", "bytes=5-9")]).body, bytes[5..10]);
        let tag = get(address, "/here").field("ETag").unwrap().to_owned();
        assert_eq!(get_with(address, "/here", &[("If-None-Match", &tag)]).status, 304);
        assert!(get(address, "/.outpost/v1/info/here").text().contains(&md5.to_string()));
        get(address, &format!("/.outpost/v1/objects/{md5}")).expect(&bytes);

        let other = Md5::of(b"other");
        for target in [
            "/missing".to_owned(),
            "/missing?a=b".to_owned(),
            "/dir/".to_owned(),
            "/gone".to_owned(),
            "/.outpost/v1/info/missing".to_owned(),
        ] {
            let answer = get(address, &target).expect_problem(503, "not-preloaded");
            assert_eq!(answer.field("Retry-After"), Some("90"), "{target}");
            assert!(answer.text().contains("\"retry_after\":90"), "{}", answer.text());
        }
        assert_eq!(head(address, "/missing").status, 503);
        for fields in
            [&[("Range", "bytes=0-9")][..], &[("If-None-Match", "\"a\"")], &[("Cache-Control", "only-if-cached")]]
        {
            get_with(address, "/missing", fields).expect_problem(503, "not-preloaded");
        }
        let object = get(address, &format!("/.outpost/v1/objects/{other}?path=/missing"));
        let expected = if scheme.is_empty() { (404, "not-found") } else { (503, "not-preloaded") };
        object.expect_problem(expected.0, expected.1);
        get(address, &format!("/.outpost/v1/progress/{other}")).expect_problem(404, "not-found");
        assert_eq!(origin.asked().len(), asked, "{scheme}: {:?}", origin.asked());
    }
}

#[test]
fn no_other_method_reaches_a_web_server() {
    let bytes = content(2, 1000);
    let origin = server(&bytes);
    let (proxy, asked) = preloaded(&origin, "", &bytes);
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "MKCOL"] {
        for target in ["/here", "/missing"] {
            let answer = ask(proxy.address(), method, target, &[("Content-Length", "0")]).answer();
            assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
        }
    }
    assert_eq!(ask(proxy.address(), "OPTIONS", "/missing", &[]).answer().status, 200);
    get(proxy.address(), "/here").expect(&bytes);
    assert_eq!(origin.asked().len(), asked, "{:?}", origin.asked());
}

#[test]
fn a_share_is_not_looked_at_for_a_client() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "dir/here", &content(3, 100_000));
    put(share.path(), "dir/missing", b"x");
    let location = share.path().to_str().unwrap();
    let proxy = Proxy::with(of(location, Mode::FetchAndPreload));
    get(proxy.address(), "/dir/here").expect(&content(3, 100_000));
    proxy.expect_no_fills();
    proxy.cache.reconfigure(of(location, Mode::Preload)).unwrap();
    // What was here a moment ago is given out though it is gone there.
    std::fs::remove_file(share.path().join("dir/here")).unwrap();
    get(proxy.address(), "/dir/here").expect(&content(3, 100_000));
    for target in ["/dir/missing", "/dir/", "/dir", "/"] {
        get(proxy.address(), target).expect_problem(503, "not-preloaded");
    }
    let propfind = |target: &str, depth: &str| ask(proxy.address(), "PROPFIND", target, &[("Depth", depth)]).answer();
    assert_eq!(propfind("/dir/here", "0").status, 207);
    propfind("/dir/missing", "0").expect_problem(503, "not-preloaded");
    propfind("/dir/", "1").expect_problem(503, "not-preloaded");
    let refused = proxy.cache.counters().refused_not_preloaded.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused, 4);
}

#[test]
fn a_reload_changes_the_mode_back_and_each_upstream_has_its_own() {
    let (one, two) = (server(&content(4, 1000)), server(&content(5, 1000)));
    let options = |mode: Mode| {
        let upstreams = vec![
            UpstreamOptions { mode, ..upstream("/one", &one.url()) },
            UpstreamOptions { mode: Mode::Fetch, ..upstream("/two", &two.url()) },
        ];
        Options::new(upstreams)
    };
    let proxy = Proxy::with(options(Mode::Preload));
    get(proxy.address(), "/one/a").expect_problem(503, "not-preloaded");
    get(proxy.address(), "/two/a").expect(&content(5, 1000));
    proxy.cache.reconfigure(options(Mode::Fetch)).unwrap();
    get(proxy.address(), "/one/a").expect(&content(4, 1000));
}

#[test]
fn a_cache_host_of_windows_asks_no_server_either() {
    let (share, origin) = (tempfile::tempdir().unwrap(), server(&content(6, 1000)));
    let host = origin.address.to_string();
    let options = |mode| {
        let delivery = DeliveryOptions { hosts: vec![host.parse().unwrap()], mode, ..DeliveryOptions::default() };
        Options { delivery, ..of(share.path().to_str().unwrap(), mode) }
    };
    let proxy = Proxy::with(options(Mode::Fetch));
    let target = |name: &str| format!("/{name}?cacheHostOrigin={host}");
    get(proxy.address(), &target("here")).expect(&content(6, 1000));
    proxy.expect_no_fills();
    proxy.cache.reconfigure(options(Mode::Preload)).unwrap();
    get(proxy.address(), &target("here")).expect(&content(6, 1000));
    get(proxy.address(), &target("missing")).expect_problem(503, "not-preloaded");
    assert_eq!(origin.asked().len(), 1);
}
