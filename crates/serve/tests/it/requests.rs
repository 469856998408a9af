//! What clients send: one answer per request, in order, whatever is sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::StatusCode;
use serve::{handler::Answer, interim, options::Options};

use super::options;
use crate::common::*;

#[test]
fn a_connection_carries_many_requests() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    for round in 0..10 {
        let answer = peer.get(&format!("/{round}"));
        assert_eq!((answer.status, answer.body), (200, format!("/{round}").into_bytes()));
        assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\nServer: test\r\nDate: "), "{}", answer.head);
        assert!(answer.head.contains("\r\nContent-Type: text/plain\r\n"), "{}", answer.head);
    }
    assert_eq!(server.counters().accepted.load(Relaxed), 1);
    eventually("the count of ten", || server.counters().requests.load(Relaxed) == 10);
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    let many: String = (0..500).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    peer.send(many);
    for n in 0..500 {
        assert_eq!(peer.answer().body, format!("/{n}").into_bytes());
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.socket.set_nodelay(true).unwrap();
    for byte in b"\r\nGET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" {
        peer.send([*byte]);
    }
    assert_eq!(peer.answer().body, b"/slow");
    peer.assert_closed();
}

#[test]
fn an_answer_that_waits_keeps_its_place() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = start(options(), move |request, _| {
        if request.target != b"/wait" {
            return Answer::Now(text(request.target));
        }
        let mut released = released.clone();
        Answer::later(async move {
            released.wait_for(|released| *released).await.unwrap();
            text(b"waited")
        })
    });
    let mut peer = Peer::connect(&server);
    peer.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(peer.answer().body, b"/1", "what is ready does not wait for what is not");
    peer.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    release.send(true).unwrap();
    for expected in [&b"waited"[..], b"/2", b"/3"] {
        assert_eq!(peer.answer().body, expected);
    }
}

/// Says something, waits for the gate, and says more with its answer.
pub(super) fn announcing(options: Options) -> (serve::server::Server, tokio::sync::watch::Sender<bool>) {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = start(options, move |_, _| {
        let (sender, interims) = interim::channel();
        let mut released = released.clone();
        let answer = async move {
            sender.send(StatusCode::EARLY_HINTS, b"link: </a>\r\n");
            sender.send(StatusCode::CONTINUE, b"");
            released.wait_for(|released| *released).await.unwrap();
            sender.send(StatusCode::PROCESSING, b"");
            text(b"done")
        };
        Answer::Preceded(interims, Box::pin(answer))
    });
    (server, release)
}

#[test]
fn what_comes_before_an_answer_is_handed_on_as_it_comes() {
    let (server, release) = announcing(options());
    let mut peer = Peer::connect(&server);
    peer.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = peer.head();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")), "{}", hints.head);
    release.send(true).unwrap();
    assert_eq!(peer.head().status, 102);
    assert_eq!(peer.answer().body, b"done");
    // HTTP/1.0 has no such thing: it would be taken for the answer.
    let mut old = Peer::connect(&server);
    old.send("GET /1 HTTP/1.0\r\n\r\n");
    let answer = old.answer();
    assert_eq!((answer.status, answer.body), (200, b"done".to_vec()));
}

#[test]
fn a_body_is_never_answered_as_a_request() {
    let server = echo(options());
    let evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, body) in [
        (format!("GET /hit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", evil.len()), evil.to_owned()),
        (format!("GET /hit HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", evil.len() + 9), evil.to_owned()),
        (
            "GET /hit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            format!("{:x}\r\n{evil}\r\n0\r\n\r\n", evil.len()),
        ),
        (
            "GET /hit HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 31\r\n\r\n".to_owned(),
            evil.to_owned(),
        ),
    ] {
        for at_once in [true, false] {
            let mut peer = Peer::connect(&server);
            if at_once {
                peer.send(format!("{head}{body}"));
            } else {
                peer.send(&head);
                // The answer has come: the head was read without the body.
                assert_eq!(peer.head().status, 200);
                assert_eq!(peer.take(4), b"/hit");
                peer.send(&body);
                peer.close_sending();
                peer.assert_closed();
                continue;
            }
            assert_eq!(peer.answer().body, b"/hit", "{head}");
            peer.close_sending();
            peer.assert_closed();
        }
    }
}

#[test]
fn a_small_body_at_hand_is_skipped() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.send("GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.answer().body, b"/1");
    assert_eq!(peer.answer().body, b"/2");
}

#[test]
fn malformed_requests_are_refused_and_nothing_behind_them_is_answered() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let server = start(options(), move |request, _| {
        counted.fetch_add(1, Relaxed);
        Answer::Now(text(request.target))
    });
    let host = "Host: a\r\n";
    let cases: Vec<(String, u16)> = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5c\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 12345678901234567890\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        ("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", 505),
        ("\x16\x03\x01\x02", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("PUT / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\n", 417),
    ]
    .map(|(text, status)| (text.to_owned(), status))
    .into_iter()
    .chain([
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), 414),
        (format!("GET / HTTP/1.1\r\n{host}X: {}\r\n", "a".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(200)), 431),
    ])
    .collect();
    for (text, status) in cases {
        let mut peer = Peer::connect(&server);
        peer.send(&text).send("GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = peer.answer();
        assert_eq!(answer.status, status, "{text:.80?}");
        assert_eq!(answer.field("connection"), Some("close"), "{text:.80?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("urn:outpost:problem:") && body.contains("\"detail\":\""), "{body}");
        peer.close_sending();
        peer.assert_closed();
    }
    assert_eq!(seen.load(Relaxed), 0);
}

#[test]
fn the_answer_to_a_long_upload_arrives() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n").send(vec![b'x'; 500_000]);
    peer.close_sending();
    assert_eq!(peer.answer().body, b"/x");
    peer.assert_closed();
}

#[test]
fn head_tells_what_get_would_send() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    let answer = peer.send("HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n").head();
    assert_eq!(answer.field("content-length"), Some("4"));
    assert_eq!(peer.get("/next").body, b"/next", "no body came between");
}

#[test]
fn old_clients_stay_only_if_they_ask() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = peer.answer();
    assert_eq!(answer.field("connection"), Some("keep-alive"));
    peer.send("GET /2 HTTP/1.0\r\n\r\n");
    let answer = peer.answer();
    assert_eq!((answer.field("connection"), &answer.body[..]), (Some("close"), &b"/2"[..]));
    peer.assert_closed();
}

#[test]
fn nothing_behind_connection_close_is_answered() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.answer().body, b"/1");
    peer.close_sending();
    peer.assert_closed();
}

#[test]
fn heads_may_fill_their_limit_and_no_more() {
    let limit = 9000;
    let server = echo(Options { head_bytes_max: limit, ..options() });
    for (len, status) in [(limit, 200), (limit + 1, 431)] {
        let begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        let text = format!("{begin}{}\r\n\r\n", "a".repeat(len - begin.len() - 4));
        assert_eq!(text.len(), len);
        let mut peer = Peer::connect(&server);
        peer.send(&text);
        assert_eq!(peer.answer().status, status, "{len}");
    }
}
