//! A web server as the upstream, behaving badly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cache::options::{NoRoom, Options};

use crate::{
    client::{ask, get, get_with},
    origin::{Gate, Origin, reply, serve},
    proxy::{Proxy, content, eventually, upstream},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

/// An upstream that cuts its first `cuts` answers after 37 percent of what is left.
fn cutting(bytes: &[u8], cuts: usize, fields: &'static [(&'static str, &'static str)]) -> Origin {
    let (bytes, count) = (bytes.to_vec(), AtomicUsize::new(0));
    Origin::start(move |request, stream| {
        let start = request.range_start().unwrap_or(0);
        let is_cut = count.fetch_add(1, Ordering::AcqRel) < cuts;
        let end = if is_cut { start + (bytes.len() - start) * 37 / 100 } else { bytes.len() };
        serve(request, stream, &bytes, fields, end);
    })
}

#[test]
fn a_cut_fetch_continues_at_its_byte() {
    let bytes = content(1, 4 << 20);
    let origin = cutting(&bytes, 5, &[FRESH, TAG]);
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a.bin").expect(&bytes);
    let requests = origin.requests();
    assert_eq!(requests.len(), 6);
    for request in &requests[1..] {
        assert!(request.range_start().is_some_and(|start| start >= bytes.len() * 37 / 100), "{request:?}");
        assert_eq!(request.field("If-Range"), Some("\"v1\""));
    }
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), bytes.len() as u64);
    assert_eq!(proxy.cache.counters().resumed.load(Ordering::Relaxed), 5);
}

#[test]
fn a_server_that_ignores_ranges_is_continued_by_skipping() {
    let bytes = content(2, 1 << 20);
    let (served, count) = (bytes.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, stream| {
        let len = served.len().to_string();
        let sent = if count.fetch_add(1, Ordering::AcqRel) == 0 { 300_000 } else { served.len() };
        reply(request, stream, "200 OK", &[FRESH, TAG, ("Content-Length", &len)], &served[..sent]);
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!(origin.asked().len(), 2);
}

#[test]
fn another_version_is_never_mixed_in() {
    let (old, new) = (content(3, 1 << 20), content(4, 1 << 20));
    let (first, second, count) = (old.clone(), new.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, stream| match count.fetch_add(1, Ordering::AcqRel) {
        0 => serve(request, stream, &first, &[FRESH, TAG], 400_000),
        _ => serve(request, stream, &second, &[FRESH, ("ETag", "\"v2\"")], second.len()),
    });
    let proxy = Proxy::of(&origin.url());
    let answer = get(proxy.address(), "/a.bin");
    assert!(!answer.is_whole && old.starts_with(&answer.body), "{} bytes", answer.body.len());
    get(proxy.address(), "/a.bin").expect(&new);
}

#[test]
fn a_206_that_lies_is_not_believed() {
    let bytes = content(5, 1 << 20);
    for lie in ["bytes 0-1048575/1048576", "bytes 387973-1048574/1048575", "nonsense"] {
        let (served, count) = (bytes.clone(), AtomicUsize::new(0));
        let origin = Origin::start(move |request, stream| {
            if count.fetch_add(1, Ordering::AcqRel) == 0 {
                return serve(request, stream, &served, &[FRESH, TAG], 387_973);
            }
            reply(request, stream, "206 Partial Content", &[TAG, ("Content-Range", lie)], &served[387_973..]);
        });
        let proxy = Proxy::of(&origin.url());
        let answer = get(proxy.address(), "/a.bin");
        assert!(!answer.is_whole && bytes.starts_with(&answer.body), "{lie}: {} bytes", answer.body.len());
        proxy.expect_no_fills();
        assert_eq!(proxy.store.report().objects, 0, "{lie}");
    }
}

#[test]
fn wrong_bytes_are_never_whole_and_never_kept() {
    let (large, small) = (content(6, 1 << 20), content(7, 1000));
    let wrong = protocol::digest::Md5::of(b"something else").repr_digest();
    let (of_large, of_small) = (large.clone(), small.clone());
    let origin = Origin::start(move |request, stream| {
        let bytes = if request.target == "/large" { &of_large } else { &of_small };
        serve(request, stream, bytes, &[FRESH, ("Repr-Digest", &wrong)], bytes.len());
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/small").expect_problem(502, "digest-mismatch");
    let answer = get(proxy.address(), "/large");
    assert!(answer.status == 200 && !answer.is_whole, "{} {}", answer.status, answer.body.len());
    proxy.expect_no_fills();
    assert_eq!(proxy.store.report().objects, 0);
    assert_eq!(proxy.cache.counters().mismatches.load(Ordering::Relaxed), 2);
    // Tried once more, then not for a while.
    get(proxy.address(), "/small").expect_problem(502, "digest-mismatch");
    let asked = origin.asked().len();
    get(proxy.address(), "/small").expect_problem(502, "digest-mismatch");
    assert_eq!(origin.asked().len(), asked);
}

#[test]
fn an_upstream_that_breaks_every_time_is_given_up() {
    let bytes = content(8, 1 << 20);
    let origin = Origin::start(move |request, stream| {
        if request.range_start().is_none() {
            serve(request, stream, &bytes, &[FRESH, TAG], 300_000);
        }
    });
    let proxy = Proxy::of(&origin.url());
    let answer = get(proxy.address(), "/a.bin");
    assert!(!answer.is_whole && answer.body.len() == 300_000, "{} bytes", answer.body.len());
    proxy.expect_no_fills();
}

#[test]
fn what_is_not_http_is_an_invalid_upstream() {
    use std::io::Write;
    let origin = Origin::start(|_, stream| stream.write_all(b"SSH-2.0-nothing\r\n\r\n").unwrap());
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect_problem(502, "upstream-invalid");
}

#[test]
fn an_endless_head_is_an_invalid_upstream() {
    use std::io::Write;
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-Field: and one more of these endless fields\r\n").is_ok() {}
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect_problem(502, "upstream-invalid");
}

#[test]
fn the_last_good_copy_stands_in_while_the_upstream_is_down() {
    let fields = [("Cache-Control", "max-age=0"), TAG];
    let origin = Origin::start(move |request, stream| serve(request, stream, b"kept", &fields, 4));
    let address = origin.address;
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"kept");
    proxy.expect_no_fills();
    drop(origin);
    eventually("the port is closed", || std::net::TcpStream::connect(address).is_err());
    for _ in 0..5 {
        assert_eq!(get(proxy.address(), "/a").expect(b"kept").cache_status(), "outpost; fwd=stale");
    }
    get(proxy.address(), "/cold").expect_problem(502, "upstream-unreachable");
    eventually("the breaker opens", || !proxy.cache.upstreams()[0].reachable);
    assert!(proxy.cache.upstreams()[0].last_error.is_some());
}

#[test]
fn an_upstream_that_hangs_costs_one_timeout() {
    // Accepted by the kernel, answered by nobody.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut hanging = upstream("/", &format!("http://{}/", listener.local_addr().unwrap()));
    hanging.connect_timeout = Duration::from_millis(100);
    hanging.read_timeout = Duration::from_millis(200);
    let proxy = Proxy::with(Options::new(vec![hanging]));
    get(proxy.address(), "/a").expect_problem(504, "upstream-timeout");
    let began = Instant::now();
    for _ in 0..10 {
        get(proxy.address(), "/b").expect_problem(502, "upstream-unreachable");
    }
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn a_server_error_is_handed_on_or_a_copy_stands_in() {
    let is_broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let broken = is_broken.clone();
    let origin = Origin::start(move |request, stream| {
        if broken.load(Ordering::Acquire) {
            return reply(request, stream, "500 Internal Server Error", &[("Content-Length", "4")], b"oops");
        }
        serve(request, stream, b"kept", &[("Cache-Control", "max-age=0"), TAG], 4);
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"kept");
    proxy.expect_no_fills();
    is_broken.store(true, Ordering::Release);
    assert_eq!(get(proxy.address(), "/a").expect(b"kept").cache_status(), "outpost; fwd=stale");
    let answer = get(proxy.address(), "/b");
    assert_eq!((answer.status, answer.text().as_str()), (500, "oops"));
}

#[test]
fn a_fetch_continues_after_a_restart() {
    let bytes = content(9, 6 << 20);
    let (served, gate) = (bytes.clone(), Gate::default());
    let held = gate.clone();
    let origin = Origin::start(move |request, stream| {
        if request.range_start().is_some() {
            return serve(request, stream, &served, &[FRESH, TAG], served.len());
        }
        serve(request, stream, &served, &[FRESH, TAG], 4 << 20);
        held.wait();
    });
    let options = || Options::new(vec![upstream("/", &origin.url())]);
    let proxy = Proxy::with(options());
    let mut asked = ask(proxy.address(), "GET", "/a.bin", &[]);
    assert_eq!(asked.read_some(3 << 20), bytes[..3 << 20]);
    let proxy = proxy.restart(options());
    drop(asked);
    get(proxy.address(), "/a.bin").expect(&bytes);
    gate.open();
    let last = origin.requests().pop().unwrap();
    assert!(last.range_start().is_some_and(|start| start >= 1 << 20), "{last:?}");
}

#[test]
fn pieces_of_wrong_bytes_are_not_completed_by_right_ones() {
    let right = content(10, 1 << 20);
    let mut wrong = right.clone();
    wrong[10] ^= 1;
    let (served, count, digest) = (right.clone(), AtomicUsize::new(0), protocol::digest::Md5::of(&right).repr_digest());
    let origin = Origin::start(move |request, stream| {
        let bytes = if count.fetch_add(1, Ordering::AcqRel) == 0 { &wrong } else { &served };
        serve(request, stream, bytes, &[FRESH, TAG, ("Repr-Digest", &digest)], bytes.len());
    });
    let proxy = Proxy::of(&origin.url());
    let first = get(proxy.address(), "/a.bin");
    assert!(!first.is_whole && first.body.len() > 900_000, "{} bytes", first.body.len());
    // Whoever has that prefix asks for the rest, under the tag that both have.
    let rest = ("Range", format!("bytes={}-", first.body.len()));
    for condition in [TAG.1, ""] {
        let fields = [(rest.0, rest.1.as_str()), ("If-Range", condition)];
        get_with(proxy.address(), "/a.bin", &fields[..if condition.is_empty() { 1 } else { 2 }]).expect(&right);
    }
    proxy.expect_objects(1);
    let by_digest = format!("/.outpost/v1/objects/{}", protocol::digest::Md5::of(&right));
    get_with(proxy.address(), &by_digest, &[(rest.0, &rest.1)]).expect(&right);
}

fn sha256_of(bytes: &[u8]) -> protocol::digest::Sha256 {
    let mut hasher = protocol::digest::DigestsHasher::default();
    hasher.update(bytes);
    hasher.finish().sha256
}

#[test]
fn an_md5_that_is_here_with_another_sha_256_is_not_handed_out_for_it() {
    let (here, other) = (content(11, 1000), content(12, 1000));
    let claimed = protocol::digest::Digests { md5: protocol::digest::Md5::of(&here), sha256: sha256_of(&other) };
    let (served, digest) = (here.clone(), claimed.repr_digest());
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/here" => serve(request, stream, &served, &[FRESH, TAG], served.len()),
        _ => serve(request, stream, &other, &[FRESH, TAG, ("Repr-Digest", &digest)], other.len()),
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/here").expect(&here);
    proxy.expect_objects(1);
    get(proxy.address(), "/other").expect_problem(502, "digest-mismatch");
}

#[test]
fn what_finds_no_room_on_the_way_is_refused_where_nothing_may_pass() {
    let bytes = content(13, 3 << 20);
    let origin = Origin::start(move |request, stream| {
        let chunked = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n0\r\n\r\n"].concat();
        reply(request, stream, "200 OK", &[FRESH, TAG, ("Transfer-Encoding", "chunked")], &chunked);
    });
    let options = Options { no_room: NoRoom::Refuse, ..Options::new(vec![upstream("/", &origin.url())]) };
    let proxy = Proxy::with_room(options, 1 << 20);
    assert!(!get(proxy.address(), "/a.bin").is_whole);
    proxy.expect_no_fills();
    get(proxy.address(), "/a.bin").expect_problem(507, "no-room");
    assert_eq!(origin.asked().len(), 1, "it is not fetched again for nothing");
}
