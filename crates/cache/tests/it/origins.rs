//! Several servers of one upstream: who is asked when one fails, and when the first is back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use cache::options::{Options, UpstreamOptions};
use http::Method;
use protocol::digest::Md5;

use crate::{
    client::{get, get_with},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content, upstream},
};

/// An Outpost at both.
fn both(first: &str, second: &str) -> UpstreamOptions {
    let origins = vec![format!("outpost+{second}").parse().unwrap()];
    UpstreamOptions { origins, ..upstream("/", &format!("outpost+{first}")) }
}

/// Serves one content under every name, unless it is told to fail.
fn origin(bytes: &[u8], fails: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Origin {
    let (bytes, md5) = (bytes.to_vec(), Md5::of(bytes));
    let (digest, etag) = (md5.repr_digest(), format!("\"{md5}\""));
    Origin::start(move |request, stream| match fails(&request.target) {
        Some("") => {}
        Some(status) => reply(request, stream, status, &[("Content-Length", "0")], b""),
        None => serve(request, stream, &bytes, &[("Repr-Digest", &digest), ("ETag", &etag)], bytes.len()),
    })
}

fn refused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn in_use(proxy: &Proxy) -> String {
    let upstreams = proxy.cache.upstreams();
    upstreams[0].origins.iter().find(|origin| origin.in_use).unwrap().url.clone()
}

#[test]
fn the_next_answers_when_one_cannot() {
    let bytes = content(1, 300_000);
    let second = origin(&bytes, |_| None);
    for (what, first) in [
        ("closes", origin(&bytes, |_| Some(""))),
        ("500", origin(&bytes, |_| Some("500 Broken"))),
        ("503 without a time", origin(&bytes, |_| Some("503 Away"))),
    ] {
        let proxy = Proxy::with(Options::new(vec![both(&first.url(), &second.url())]));
        get(proxy.address(), "/a").expect(&bytes);
        assert_eq!(first.asked().len(), 1, "{what}: the first is not asked again at once");
        assert_eq!(in_use(&proxy), second.url(), "{what}");
        assert!(proxy.cache.upstreams()[0].reachable, "{what}");
    }
    let proxy = Proxy::with(Options::new(vec![both(&refused(), &second.url())]));
    get(proxy.address(), "/a").expect(&bytes);
    assert_eq!(in_use(&proxy), second.url());
    let link = proxy.cache.origin_links().remove(0);
    proxy.wait(link.call(Method::POST, "/.outpost/v1/reports", "{}".into())).unwrap();
}

#[test]
fn a_server_that_asks_for_patience_has_not_failed() {
    let bytes = content(2, 1000);
    let second = origin(&bytes, |_| None);
    let first = Origin::start(|request, stream| {
        let body = br#"{"type":"urn:outpost:problem:max-requesters","title":"t","status":503,"detail":"full"}"#;
        let fields = [("Retry-After", "90"), ("Content-Length", &*body.len().to_string())];
        reply(request, stream, "503 Service Unavailable", &fields, body);
    });
    let proxy = Proxy::with(Options::new(vec![both(&first.url(), &second.url())]));
    get(proxy.address(), "/a").expect_problem(503, "max-requesters");
    assert_eq!((second.asked().len(), in_use(&proxy)), (0, first.url()));
}

#[test]
fn a_fill_goes_on_at_its_byte_at_another_server() {
    let bytes = content(3, 4 << 20);
    let (served, md5) = (bytes.clone(), Md5::of(&bytes));
    let first = Origin::start(move |request, stream| {
        let end = if request.method == "HEAD" { served.len() } else { served.len() * 37 / 100 };
        serve(request, stream, &served, &[("Repr-Digest", &md5.repr_digest()), ("ETag", &format!("\"{md5}\""))], end);
    });
    let second = origin(&bytes, |_| None);
    let proxy = Proxy::with(Options::new(vec![both(&first.url(), &second.url())]));
    get(proxy.address(), "/a").expect(&bytes);
    let rest = second.requests();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].range_start().is_some_and(|start| start >= 1 << 20), "{rest:?}");
    assert_eq!(proxy.cache.counters().resumed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_listing_comes_from_the_next_too() {
    let second = Origin::start(|request, stream| {
        let body = br#"{"path":"/d/","entries":[{"name":"x","href":"x","directory":false,"size":3}]}"#;
        reply(request, stream, "200 OK", &[("Content-Length", &body.len().to_string())], body);
    });
    let proxy = Proxy::with(Options::new(vec![both(&refused(), &second.url())]));
    let json = get_with(proxy.address(), "/d/", &[("Accept", "application/json")]);
    assert!(json.text().contains(r#""name":"x""#), "{}", json.text());
}

#[test]
fn what_one_server_told_is_known_of_a_name_whoever_is_asked() {
    let bytes = content(4, 300_000);
    let is_down = Arc::new(AtomicBool::new(false));
    let down = is_down.clone();
    let first = origin(&bytes, move |_| down.load(Ordering::Acquire).then_some("502 Bad Gateway"));
    let second = origin(&bytes, |_| None);
    let proxy = Proxy::with(Options::new(vec![both(&first.url(), &second.url())]));
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    is_down.store(true, Ordering::Release);
    let answer = get(proxy.address(), "/a").expect(&bytes);
    assert_eq!(second.asked(), ["HEAD /a"], "no byte crosses the line again");
    assert!(answer.cache_status().contains("hit") || answer.cache_status().contains("stale"));
}

#[test]
fn when_all_fail_the_last_good_copy_stands_in_and_the_first_that_is_back_is_asked() {
    let bytes = content(5, 1000);
    let (down, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let servers: Vec<_> = (0..2)
        .map(|_| {
            let (down, asked) = (down.clone(), asked.clone());
            origin(&bytes, move |_| {
                asked.fetch_add(1, Ordering::AcqRel);
                down.load(Ordering::Acquire).then_some("")
            })
        })
        .collect();
    let proxy = Proxy::with(Options::new(vec![both(&servers[0].url(), &servers[1].url())]));
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    down.store(true, Ordering::Release);
    get(proxy.address(), "/a").expect(&bytes);
    assert!(servers[1].asked().len() == 1 && !servers[0].asked().is_empty(), "both were asked");
    down.store(false, Ordering::Release);
    get(proxy.address(), "/b").expect(&bytes);
}

#[test]
fn a_change_is_not_asked_for_twice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let web = |origin: &Origin| origin.url();
    let first = Origin::start(move |_, _| _ = counted.fetch_add(1, Ordering::AcqRel));
    let second = Origin::start(|request, stream| reply(request, stream, "204 No Content", &[], b""));
    let origins = vec![web(&second).parse().unwrap()];
    let proxy = Proxy::with(Options::new(vec![UpstreamOptions { origins, ..upstream("/", &web(&first)) }]));
    let answer = crate::client::ask(proxy.address(), "DELETE", "/a", &[]).answer();
    answer.expect_problem(502, "upstream-unreachable");
    assert_eq!((calls.load(Ordering::Acquire), second.asked().len()), (1, 0), "it may have been carried out");
}
