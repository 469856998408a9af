//! Methods that do not read: passed to web servers with their bodies, refused elsewhere, and what they may have changed is asked for again.

use std::{
    io::Write,
    net::Shutdown,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use crate::{
    client::{ask, get, get_with},
    origin::{Body, Gate, Origin, reply},
    proxy::{Proxy, content, eventually, put},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

/// Answers a GET with how often one was asked for, everything else with what was sent.
fn counting() -> Origin {
    let gets = AtomicUsize::new(0);
    Origin::start(move |request, stream| {
        let body = match request.method.as_str() {
            "GET" => (gets.fetch_add(1, SeqCst) + 1).to_string().into_bytes(),
            _ => request.sent(),
        };
        let len = body.len().to_string();
        let mut fields =
            vec![("Content-Length", len.as_str()), ("X-Own", "kept"), ("Connection", "x-hop"), ("X-Hop", "1")];
        if request.method == "GET" {
            fields.push(FRESH);
        }
        if request.target == "/moves" {
            fields.push(("Location", "/other?x"));
        }
        let status = if request.target == "/refuses" && request.method != "GET" { "403 Forbidden" } else { "200 OK" };
        reply(request, stream, status, &fields, &body);
    })
}

fn send(proxy: &Proxy, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> crate::client::Answer {
    let mut asked = ask(proxy.address(), method, target, fields);
    asked.stream.write_all(body).unwrap();
    asked.answer()
}

#[test]
fn a_body_passes_as_it_is() {
    let origin = counting();
    let proxy = Proxy::of(&origin.url());
    let large = content(1, 3 << 20);
    let len = large.len().to_string();
    let answer =
        send(&proxy, "PUT", "/a?b=c", &[("Content-Length", &len), ("Content-Type", "x/y"), ("X-Mine", "1")], &large);
    assert!(answer.body == large && answer.status == 200);
    assert_eq!((answer.field("X-Own"), answer.field("X-Hop")), (Some("kept"), None));
    let chunked = [format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\nX-Trailer: 1\r\n\r\n"].concat();
    assert!(send(&proxy, "POST", "/a", &[("Transfer-Encoding", "chunked")], &chunked).body == large);
    assert_eq!(send(&proxy, "PATCH", "/a", &[("Content-Length", "0")], b"").status, 200);
    assert_eq!(send(&proxy, "BREW", "/pot", &[], b"").status, 200);
    let requests = origin.requests();
    let first = &requests[0];
    assert_eq!((first.method.as_str(), first.target.as_str()), ("PUT", "/a?b=c"));
    assert_eq!(
        (first.field("Content-Type"), first.field("X-Mine"), first.field("Content-Length")),
        (Some("x/y"), Some("1"), Some(len.as_str()))
    );
    assert_eq!((first.field("X-Forwarded-For"), first.field("X-Forwarded-Host")), (Some("127.0.0.1"), Some("test")));
    assert_eq!(first.field("Forwarded"), Some("for=127.0.0.1;proto=http;host=\"test\""));
    assert!(first.field("Via").unwrap().starts_with("1.1 outpost-"), "{first:?}");
    let post = &requests[1];
    assert_eq!(
        (post.field("Transfer-Encoding"), post.field("X-Trailer"), post.field("Trailer")),
        (Some("chunked"), None, None)
    );
    assert_eq!(requests[3].method, "BREW");
}

#[test]
fn what_may_have_changed_is_asked_for_again() {
    let origin = counting();
    let proxy = Proxy::of(&origin.url());
    let number = |target: &str| get(proxy.address(), target).text();
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let before = number("/a");
        assert_eq!(number("/a"), before, "it is not kept");
        assert_eq!(send(&proxy, method, "/a", &[("Content-Length", "1")], b"x").status, 200);
        assert_ne!(number("/a"), before, "{method}");
    }
    let (before, other) = (number("/moves"), number("/other?x"));
    send(&proxy, "POST", "/moves", &[("Content-Length", "0")], b"");
    assert!(number("/moves") != before && number("/other?x") != other);
    let before = number("/refuses");
    assert_eq!(send(&proxy, "POST", "/refuses", &[("Content-Length", "0")], b"").status, 403);
    assert_eq!(number("/refuses"), before, "nothing was changed");
    let before = number("/a");
    assert_eq!(send(&proxy, "OPTIONS", "/a", &[], b"").status, 200);
    assert_eq!(number("/a"), before, "a safe method changes nothing");
}

#[test]
fn what_is_being_fetched_while_it_changes_is_not_kept() {
    let gate = Gate::default();
    let (held, first) = (gate.clone(), AtomicBool::new(true));
    let origin = Origin::start(move |request, stream| {
        let is_old = request.method == "GET" && first.swap(false, SeqCst);
        let body: &[u8] = if is_old { b"old" } else { b"new" };
        reply(request, stream, "200 OK", &[FRESH, ("Content-Length", "3")], &body[..1]);
        if is_old {
            held.wait();
        }
        let _ = stream.write_all(&body[1..]);
    });
    let proxy = Proxy::of(&origin.url());
    let asked = ask(proxy.address(), "GET", "/a", &[]);
    eventually("the first question", || !origin.requests().is_empty());
    assert_eq!(send(&proxy, "PUT", "/a", &[("Content-Length", "1")], b"x").status, 200);
    assert_eq!(get(proxy.address(), "/a").text(), "new");
    gate.open();
    assert_eq!(asked.answer().text(), "old", "who asked before gets what was there before");
    assert_eq!(get(proxy.address(), "/a").text(), "new");
}

#[test]
fn an_upload_that_is_cut_is_cut_upstream_too_and_its_connection_is_not_used_again() {
    let origin = counting();
    let proxy = Proxy::of(&origin.url());
    let mut asked = ask(proxy.address(), "PUT", "/a", &[("Content-Length", "1000")]);
    asked.stream.write_all(&[b'x'; 500]).unwrap();
    eventually("the upload's head", || !origin.requests().is_empty());
    asked.stream.shutdown(Shutdown::Both).unwrap();
    drop(asked);
    assert_eq!(get(proxy.address(), "/b").text(), "1");
    let is_cut = |request: &crate::origin::Request| request.method == "PUT" && request.body == Body::Cut;
    eventually("a cut upload", || origin.requests().iter().any(is_cut));
}

#[test]
fn read_only_upstreams_say_so() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", b"a");
    let proxy = Proxy::of(share.path().to_str().unwrap());
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer =
            send(&proxy, method, "/a", &[("Content-Length", "0")], b"").expect_problem(405, "method-not-allowed");
        assert!(answer.field("Allow").unwrap().starts_with("GET, HEAD, OPTIONS"), "{method}");
    }
    let answer = send(&proxy, "OPTIONS", "/a", &[], b"");
    assert!(answer.status == 200 && answer.field("Allow").unwrap().starts_with("GET, HEAD, OPTIONS"));
    send(&proxy, "POST", "/.outpost/v1/info/a", &[], b"").expect_problem(405, "method-not-allowed");
    let origin = counting();
    let proxy = Proxy::of(&origin.url());
    send(&proxy, "TRACE", "/a", &[], b"").expect_problem(405, "method-not-allowed");
    assert!(origin.requests().is_empty(), "TRACE was passed on");
}

#[test]
fn a_request_that_comes_back_is_refused() {
    let origin = counting();
    let proxy = Proxy::of(&origin.url());
    send(&proxy, "POST", "/a", &[("Content-Length", "0")], b"");
    let via = origin.requests()[0].field("Via").unwrap().to_owned();
    for (method, target) in [("POST", "/a"), ("GET", "/b"), ("HEAD", "/c")] {
        let answer =
            ask(proxy.address(), method, target, &[("Via", &format!("1.0 other, {via}")), ("Content-Length", "0")])
                .answer();
        assert_eq!(answer.status, 508, "{method}");
    }
    assert_eq!(origin.requests().len(), 1);
    let with_other = get_with(proxy.address(), "/b", &[("Via", "1.1 outpost")]);
    assert_eq!(with_other.text(), "1");
    assert_eq!(origin.requests()[1].field("Via").map(|via| via.starts_with("1.1 outpost")), Some(true));
}

#[test]
fn an_answer_whose_request_may_have_been_carried_out_says_so() {
    let proxy = Proxy::of("http://127.0.0.1:9/");
    let answer =
        send(&proxy, "POST", "/a", &[("Content-Length", "1")], b"x").expect_problem(502, "upstream-unreachable");
    assert!(answer.text().contains("POST /a"), "{}", answer.text());
}
