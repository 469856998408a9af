//! An Outpost as the upstream: it tells digests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cache::options::Options;
use protocol::digest::Md5;

use crate::{
    client::{get, get_with, head},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content},
};

/// An origin that knows the digest of its one content, under every name.
fn origin(bytes: &[u8]) -> Origin {
    let (bytes, md5) = (bytes.to_vec(), Md5::of(bytes));
    let (digest, etag) = (md5.repr_digest(), format!("\"{md5}\""));
    Origin::start(move |request, stream| {
        let fields = [("Repr-Digest", digest.as_str()), ("ETag", &etag), ("Content-Type", "text/x")];
        serve(request, stream, &bytes, &fields, bytes.len());
    })
}

fn outpost(origin: &Origin) -> String {
    format!("outpost+{}", origin.url())
}

#[test]
fn a_name_is_asked_by_head_and_fetched_by_its_digest() {
    let bytes = content(1, 300_000);
    let origin = origin(&bytes);
    let proxy = Proxy::of(&outpost(&origin));
    let answer = get(proxy.address(), "/a%20b&c.bin").expect(&bytes);
    let md5 = Md5::of(&bytes);
    assert_eq!(answer.field("ETag"), Some(format!("\"{md5}\"").as_str()));
    assert_eq!(answer.field("Content-Type"), Some("text/x"));
    assert!(answer.field("Repr-Digest").is_some(), "the digest is known beforehand");
    let expected = ["HEAD /a%20b&c.bin".to_owned(), format!("GET /.outpost/v1/objects/{md5}?path=/a%20b%26c.bin")];
    assert_eq!(origin.asked(), expected);
}

#[test]
fn what_is_here_under_another_name_is_not_fetched_again() {
    let bytes = content(2, 300_000);
    let origin = origin(&bytes);
    let proxy = Proxy::of(&outpost(&origin));
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_objects(1);
    get(proxy.address(), "/b").expect(&bytes);
    get(proxy.address(), "/a").expect(&bytes);
    let gets = origin.asked().into_iter().filter(|asked| asked.starts_with("GET")).count();
    assert_eq!(gets, 1);
    assert_eq!(proxy.cache.counters().known_by_digest.load(Ordering::Relaxed), 1);
}

#[test]
fn a_digest_that_is_not_known_yet_is_fetched_by_name() {
    let bytes = content(3, 300_000);
    let served = bytes.clone();
    let origin =
        Origin::start(move |request, stream| serve(request, stream, &served, &[("ETag", "\"f-1\"")], served.len()));
    let proxy = Proxy::of(&outpost(&origin));
    get(proxy.address(), "/a").expect(&bytes);
    assert_eq!(origin.asked(), ["HEAD /a", "GET /a"]);
    proxy.expect_no_fills();
    get(proxy.address(), "/a").expect(&bytes);
    assert_eq!(origin.asked().len(), 3);
}

#[test]
fn a_file_that_changes_between_asking_and_fetching_is_asked_for_again() {
    let (old, new) = (content(4, 100_000), content(5, 100_000));
    let (bytes, heads) = (new.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, stream| {
        let is_old = request.method == "HEAD" && heads.fetch_add(1, Ordering::AcqRel) == 0;
        let digest = if is_old { Md5::of(&old) } else { Md5::of(&bytes) };
        if request.target.contains(&Md5::of(&old).to_string()) {
            return reply(request, stream, "404 Not Found", &[("Content-Length", "0")], b"");
        }
        serve(request, stream, &bytes, &[("Repr-Digest", &digest.repr_digest())], bytes.len());
    });
    let proxy = Proxy::of(&outpost(&origin));
    get(proxy.address(), "/a").expect(&new);
}

#[test]
fn the_parents_refusal_is_handed_on_with_its_patience() {
    let origin = Origin::start(|request, stream| {
        let body = br#"{"type":"urn:outpost:problem:not-preloaded","title":"t","status":503,"detail":"tonight"}"#;
        let len = body.len().to_string();
        reply(request, stream, "503 Service Unavailable", &[("Retry-After", "777"), ("Content-Length", &len)], body);
    });
    let proxy = Proxy::of(&outpost(&origin));
    let answer = get(proxy.address(), "/a");
    assert_eq!(answer.field("Retry-After"), Some("777"));
    answer.expect_problem(503, "not-preloaded");
}

#[test]
fn objects_are_served_by_digest_from_here_and_from_the_parent() {
    let bytes = content(6, 100_000);
    let origin = origin(&bytes);
    let proxy = Proxy::of(&outpost(&origin));
    let md5 = Md5::of(&bytes);
    let target = format!("/.outpost/v1/objects/{md5}");
    let answer = get(proxy.address(), &format!("{target}?path=/x.txt")).expect(&bytes);
    assert_eq!(answer.field("Cache-Control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(answer.field("Content-Type"), Some("text/plain"));
    proxy.expect_objects(1);
    assert_eq!(get(proxy.address(), &target).expect(&bytes).cache_status(), "outpost; hit");
    assert_eq!(head(proxy.address(), &target).field("Content-Length"), Some("100000"));
    assert_eq!(origin.asked(), [format!("GET {target}?path=/x.txt")]);
}

#[test]
fn an_index_of_the_parent_is_shown_as_asked() {
    let origin = Origin::start(|request, stream| {
        assert_eq!(request.field("Accept"), Some("application/json"));
        let body = br#"{"path":"/d/","entries":[{"name":"x y","href":"x%20y","directory":false,"size":3}]}"#;
        reply(request, stream, "200 OK", &[("Content-Length", &body.len().to_string())], body);
    });
    let options = vec![crate::proxy::upstream("/m", &outpost(&origin))];
    let proxy = Proxy::with(Options::new(options));
    assert!(get(proxy.address(), "/m/d/").text().contains("x%20y"));
    let json = get_with(proxy.address(), "/m/d/", &[("Accept", "application/json")]);
    assert!(json.text().contains(r#""path":"/m/d/""#), "{}", json.text());
}

#[test]
fn equal_content_of_two_names_asked_at_once_is_fetched_once() {
    let bytes = Arc::new(content(7, 2 << 20));
    let origin = origin(&bytes);
    let upstream = crate::proxy::upstream("/", &outpost(&origin));
    let proxy = Proxy::with(Options { max_requesters: 0, ..Options::new(vec![upstream]) });
    let address = proxy.address();
    let askers: Vec<_> = (0..8)
        .map(|number| {
            let bytes = bytes.clone();
            std::thread::spawn(move || _ = get(address, &format!("/{number}")).expect(&bytes))
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    assert_eq!(origin.asked().into_iter().filter(|asked| asked.starts_with("GET")).count(), 1);
}

#[test]
fn a_parent_without_a_place_is_waited_for_or_its_refusal_is_handed_on() {
    let bytes = content(8, 300_000);
    let (served, digest, busy) = (bytes.clone(), Md5::of(&bytes).repr_digest(), AtomicUsize::new(1));
    let origin = Origin::start(move |request, stream| {
        let patience = if request.target.contains("/long") { "90" } else { "0" };
        let is_refused =
            patience == "90" || busy.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok();
        if request.method == "GET" && is_refused {
            let body =
                br#"{"type":"urn:outpost:problem:max-requesters","title":"t","status":503,"detail":"5 transfers"}"#;
            let fields = [("Retry-After", patience), ("Content-Length", &*body.len().to_string())];
            return reply(request, stream, "503 Service Unavailable", &fields, body);
        }
        serve(request, stream, &served, &[("Repr-Digest", &digest)], served.len());
    });
    let proxy = Proxy::of(&outpost(&origin));
    let refused = get(proxy.address(), "/long");
    assert_eq!(refused.field("Retry-After"), Some("90"));
    refused.expect_problem(503, "max-requesters");
    get(proxy.address(), "/short").expect(&bytes);
}

#[test]
fn a_fetch_from_a_parent_proxy_continues_under_the_digest() {
    let bytes = content(9, 4 << 20);
    let (served, md5, gets) = (bytes.clone(), Md5::of(&bytes), AtomicUsize::new(0));
    let (digest, tag) = (md5.repr_digest(), format!("\"{md5}\""));
    let expected = tag.clone();
    // Under its name the file has a tag of the parent's own upstream; under its digest it has the digest, and no date.
    let origin = Origin::start(move |request, stream| {
        if request.method == "HEAD" {
            let fields =
                [("Repr-Digest", &*digest), ("ETag", "\"v1\""), ("Last-Modified", "Mon, 02 Jan 2023 00:00:00 GMT")];
            return serve(request, stream, &served, &fields, served.len());
        }
        let is_cut = gets.fetch_add(1, Ordering::AcqRel) == 0;
        let end = if is_cut { served.len() * 37 / 100 } else { served.len() };
        serve(request, stream, &served, &[("Repr-Digest", &*digest), ("ETag", &*tag)], end);
    });
    let proxy = Proxy::of(&outpost(&origin));
    get(proxy.address(), "/a.bin").expect(&bytes);
    let requests = origin.requests();
    let continued = requests.last().unwrap();
    assert!(continued.range_start().is_some_and(|start| start >= 1 << 20), "{continued:?}");
    assert_eq!(continued.field("If-Range"), Some(&*expected));
}
