//! Names whose contents came by another way: the upstream is asked once whether it has the same, and no byte crosses if it does.

use std::{
    fs::File,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use cache::{Binding, Cache, NamedContent, options::Options};
use protocol::{digest::Md5, etag::ETag, target::Target};
use store::Room;

use crate::{
    client::{get, get_with},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content, put, upstream},
};

const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn modified() -> SystemTime {
    protocol::timestamp::parse_http_date(MODIFIED.as_bytes()).unwrap()
}

fn target(path: &str) -> Target {
    Target::parse(path.as_bytes()).unwrap()
}

/// The bytes come into the store, and the path stands for them.
fn import(proxy: &Proxy, path: &str, bytes: &[u8], modified: SystemTime) -> Binding {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut incoming = runtime.block_on(proxy.store.incoming(bytes.len() as u64, Room::New)).unwrap();
    incoming.push(bytes).unwrap();
    runtime.block_on(incoming.commit(|_| true, None)).unwrap();
    proxy.cache.bind(&target(path), &named(bytes, modified))
}

fn named(bytes: &[u8], modified: SystemTime) -> NamedContent {
    NamedContent { md5: Md5::of(bytes), len: bytes.len() as u64, modified: Some(modified), etag: None }
}

fn upstream_bytes(proxy: &Proxy) -> u64 {
    proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed)
}

fn set_modified(share: &tempfile::TempDir, name: &str, time: SystemTime) {
    File::options().write(true).open(share.path().join(name)).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_of_a_share_with_equal_size_and_time_is_not_read() {
    let (share, bytes) = (tempfile::tempdir().unwrap(), content(1, 300_000));
    put(share.path(), "a.txt", &bytes);
    // The copy was made by something that knows seconds only.
    set_modified(&share, "a.txt", modified() + Duration::from_nanos(123_456_789));
    let proxy = Proxy::of(share.path().to_str().unwrap());
    assert_eq!(import(&proxy, "/a.txt", &bytes, modified()), Binding::Bound);
    for _ in 0..2 {
        let answer = get(proxy.address(), "/a.txt").expect(&bytes);
        assert_eq!(
            (answer.cache_status(), answer.field("Content-Type"), answer.field("Last-Modified")),
            ("outpost; hit", Some("text/plain"), Some(MODIFIED))
        );
        assert_eq!(answer.field("ETag"), Some(format!("\"{}\"", Md5::of(&bytes)).as_str()));
    }
    assert_eq!(upstream_bytes(&proxy), 0);
    // From now on it is known like any other: equal size and time to the second are not enough.
    let other = content(2, 300_000);
    put(share.path(), "a.txt", &other);
    set_modified(&share, "a.txt", modified());
    get(proxy.address(), "/a.txt").expect(&other);
    assert_eq!(upstream_bytes(&proxy), 300_000);
}

#[test]
fn a_file_that_the_share_has_otherwise_is_fetched() {
    let (share, bytes, other) = (tempfile::tempdir().unwrap(), content(1, 300_000), content(2, 300_000));
    put(share.path(), "later", &other);
    put(share.path(), "longer", &content(3, 300_001));
    set_modified(&share, "later", modified() + Duration::from_secs(2));
    set_modified(&share, "longer", modified());
    let proxy = Proxy::of(share.path().to_str().unwrap());
    for path in ["/later", "/longer", "/none"] {
        assert_eq!(import(&proxy, path, &bytes, modified()), Binding::Bound);
    }
    get(proxy.address(), "/later").expect(&other);
    get(proxy.address(), "/longer").expect(&content(3, 300_001));
    get(proxy.address(), "/none").expect_problem(404, "not-found");
}

#[test]
fn a_web_server_is_asked_by_one_head() {
    let bytes = content(1, 300_000);
    let served = bytes.clone();
    let origin = Origin::start(move |request, stream| {
        let fields = [("Last-Modified", MODIFIED), ("ETag", "\"v1\""), ("Content-Type", "text/x"), ("X-A", "1")];
        serve(request, stream, &served, &fields, served.len());
    });
    let proxy = Proxy::of(&origin.url());
    import(&proxy, "/a.bin", &bytes, modified());
    let answer = get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!(
        (answer.field("Content-Type"), answer.field("ETag"), answer.field("X-A")),
        (Some("text/x"), Some("\"v1\""), Some("1"))
    );
    assert_eq!((origin.asked(), upstream_bytes(&proxy)), (vec!["HEAD /a.bin".to_owned()], 0));
    // Then it is a name like any other.
    get_with(proxy.address(), "/a.bin", &[("Cache-Control", "no-cache")]).expect(&bytes);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.field("If-None-Match"), Some("\"v1\""));
}

#[test]
fn what_a_web_server_does_not_confirm_is_fetched() {
    let (bytes, other) = (content(1, 1000), content(2, 1000));
    let (old, at) = ("Sat, 21 Nov 2026 09:00:00 GMT", modified());
    let cases: [(&str, Fields<'_>, &[u8]); 5] = [
        ("405 Method Not Allowed", vec![], &other),
        ("200 OK", vec![("Last-Modified", old)], &other),
        ("200 OK", vec![("Last-Modified", MODIFIED)], &other[..999]),
        ("200 OK", vec![], &other),
        ("200 OK", vec![("Last-Modified", MODIFIED), ("Content-Encoding", "gzip")], &other),
    ];
    for (status, fields, theirs) in cases {
        let told = (status.to_owned(), theirs.to_vec());
        let lines: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let origin = Origin::start(move |request, stream| {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            match request.method.as_str() {
                "HEAD" if told.0 != "200 OK" => reply(request, stream, &told.0, &[], b""),
                _ => serve(request, stream, &told.1, &lines, told.1.len()),
            }
        });
        let proxy = Proxy::of(&origin.url());
        import(&proxy, "/a.bin", &bytes, at);
        get(proxy.address(), "/a.bin").expect(theirs);
        assert_eq!(origin.asked(), ["HEAD /a.bin", "GET /a.bin"], "{status} {fields:?}");
    }
}

#[test]
fn a_tag_that_came_along_confirms_where_there_is_no_time() {
    let bytes = content(1, 1000);
    let served = bytes.clone();
    let origin =
        Origin::start(move |request, stream| serve(request, stream, &served, &[("ETag", "\"v1\"")], served.len()));
    let proxy = Proxy::of(&origin.url());
    import(&proxy, "/elsewhere", &bytes, modified());
    let content = NamedContent { modified: None, etag: ETag::parse(b"\"v1\""), ..named(&bytes, modified()) };
    proxy.cache.bind(&target("/a.bin"), &content);
    get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!(origin.asked(), ["HEAD /a.bin"]);
}

#[test]
fn an_outpost_confirms_by_the_digest_and_the_time_does_not_matter() {
    let bytes = content(1, 1000);
    let (served, digest) = (bytes.clone(), Md5::of(&bytes).repr_digest());
    let origin = Origin::start(move |request, stream| {
        let fields = [("Repr-Digest", digest.as_str()), ("Last-Modified", MODIFIED), ("Content-Type", "text/x")];
        serve(request, stream, &served, &fields, served.len());
    });
    let proxy = Proxy::of(&format!("outpost+{}", origin.url()));
    import(&proxy, "/a.bin", &bytes, SystemTime::UNIX_EPOCH);
    let answer = get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!((answer.field("Content-Type"), answer.field("Last-Modified")), (Some("text/x"), Some(MODIFIED)));
    assert_eq!(origin.asked(), ["HEAD /a.bin"]);
}

#[test]
fn while_the_upstream_is_away_it_stands_in() {
    let bytes = content(1, 1000);
    let origin = Origin::start(|request, stream| reply(request, stream, "503 Service Unavailable", &[], b""));
    let proxy = Proxy::of(&origin.url());
    import(&proxy, "/a.bin", &bytes, modified());
    let answer = get(proxy.address(), "/a.bin").expect(&bytes);
    assert!(answer.cache_status().contains("fwd=stale"), "{}", answer.cache_status());
}

#[test]
fn the_upstreams_own_word_stays_unless_it_is_older() {
    let (share, bytes) = (tempfile::tempdir().unwrap(), content(1, 1000));
    put(share.path(), "a", &bytes);
    set_modified(&share, "a", modified());
    let proxy = Proxy::of(share.path().to_str().unwrap());
    get(proxy.address(), "/a").expect(&bytes);
    proxy.expect_no_fills();
    assert_eq!(import(&proxy, "/a", &bytes, modified()), Binding::Same, "the same content");
    let other = content(2, 1000);
    assert_eq!(import(&proxy, "/a", &other, modified() - Duration::from_secs(60)), Binding::Newer, "an older one");
    get(proxy.address(), "/a").expect(&bytes);
    // The share has a newer one, and so has the import.
    put(share.path(), "a", &other);
    set_modified(&share, "a", modified() + Duration::from_secs(60));
    let before = upstream_bytes(&proxy);
    assert_eq!(import(&proxy, "/a", &other, modified() + Duration::from_secs(60)), Binding::Bound);
    get(proxy.address(), "/a").expect(&other);
    assert_eq!(upstream_bytes(&proxy), before);
    // What was imported gives way to what is imported; what is not here, to anything.
    assert_eq!(import(&proxy, "/b", &bytes, modified()), Binding::Bound);
    assert_eq!(import(&proxy, "/b", &other, modified() - Duration::from_secs(60)), Binding::Bound);
    assert!(proxy.store.remove(&Md5::of(&other)));
    assert_eq!(import(&proxy, "/a", &bytes, SystemTime::UNIX_EPOCH), Binding::Bound);
}

#[test]
fn names_come_back_as_clients_ask_for_them() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of = |mount: &str, dir: &tempfile::TempDir| upstream(mount, dir.path().to_str().unwrap());
    let proxy = Proxy::with(Options::new(vec![of("/one", &one), of("/one/two", &two)]));
    let paths = ["/one/a%20b/%FF", "/one/two/c", "/one/d"];
    for (seed, path) in paths.iter().enumerate() {
        assert_eq!(import(&proxy, path, &content(seed as u64, 100), modified()), Binding::Bound);
    }
    assert_eq!(import(&proxy, "/three/a", &content(0, 100), modified()), Binding::Nowhere);
    assert!(proxy.cache.stands_for(&target(paths[0]), 100, modified() + Duration::from_nanos(5)));
    assert!(!proxy.cache.stands_for(&target(paths[0]), 101, modified()));
    assert!(!proxy.cache.stands_for(&target("/one/none"), 100, modified()));
    // What is not here is not told.
    assert!(proxy.store.remove(&Md5::of(&content(2, 100))));
    assert!(!proxy.cache.stands_for(&target(paths[2]), 100, modified()));
    let all = |cache: &Cache| {
        let mut found: Vec<_> = (0..Cache::NAME_PARTS).flat_map(|part| cache.names(part)).collect();
        found.sort_by_key(|(target, _)| target.clone());
        found
    };
    let expected = [
        (target(paths[0]), named(&content(0, 100), modified())),
        (target(paths[1]), named(&content(1, 100), modified())),
    ];
    assert_eq!(all(&proxy.cache), expected);
    let proxy = proxy.restart(Options::new(vec![of("/one", &one), of("/one/two", &two)]));
    assert_eq!(all(&proxy.cache), expected);
}
