//! Beginning and end: limits, time limits, drain, the access log.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};

use protocol::cache_status::CacheStatus;
use serve::{
    access_log::{AccessLog, Format},
    handler::Answer,
    options::Options,
    response::Hold,
};

use super::{OVER_TLS, options};
use crate::common::*;

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let server = echo(Options { connections_max: 2, ..options() });
    let mut peers = [Peer::connect(&server), Peer::connect(&server)];
    peers.iter_mut().for_each(|peer| assert_eq!(peer.get("/").status, 200));
    for _ in 0..20 {
        let mut refused = Peer::connect(&server);
        if OVER_TLS {
            // A handshake, only to be told, would cost more than what is refused.
            assert!(refused.rest_or_reset().is_err());
            continue;
        }
        let answer = refused.answer();
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert!(answer.field("retry-after").is_some());
        assert!(String::from_utf8(answer.body).unwrap().contains("urn:outpost:problem:overloaded"));
        refused.close_sending();
        refused.assert_closed();
    }
    assert_eq!(server.counters().refused.load(Relaxed), 20);
    let [first, mut second] = peers;
    drop(first);
    eventually("a free place", || server.counters().connections.load(Relaxed) == 1);
    assert_eq!(Peer::connect(&server).get("/").status, 200);
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn all_workers_take_part() {
    let server = echo(Options { workers: 3, ..options() });
    let mut peers: Vec<_> = (0..60).map(|_| Peer::connect(&server)).collect();
    for peer in &mut peers {
        assert_eq!(peer.get("/x").body, b"/x");
    }
    assert_eq!(server.counters().connections.load(Relaxed), 60);
    drop(peers);
    eventually("everybody's leaving", || server.counters().connections.load(Relaxed) == 0);
}

#[test]
fn an_unfinished_head_is_answered_408() {
    let server = echo(Options { header_timeout: Duration::from_millis(60), ..options() });
    let mut peer = Peer::connect(&server);
    peer.send("GET / HTT");
    assert_eq!(peer.answer().status, 408);
    peer.close_sending();
    peer.assert_closed();
}

#[test]
fn slow_bytes_do_not_prolong_the_time_for_a_head() {
    let server = echo(Options { header_timeout: Duration::from_millis(100), ..options() });
    let mut peer = Peer::connect(&server);
    peer.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = Instant::now();
    peer.send("GET / HTTP/1.1\r\n");
    // One field after the other until the server has had enough.
    let mut byte = [0; 1];
    while peer.socket.peek(&mut byte).is_err() {
        assert!(begun.elapsed() < DEADLINE);
        peer.send("X: y\r\n");
    }
    peer.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(peer.answer().status, 408);
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let server = echo(Options { idle_timeout: Duration::from_millis(60), ..options() });
    let mut used = Peer::connect(&server);
    assert_eq!(used.get("/").status, 200);
    used.assert_closed();
    Peer::connect(&server).assert_closed();
}

#[test]
fn a_client_that_leaves_gives_back_what_its_answer_holds() {
    let (told, dropped) = mpsc::channel();
    let (asked, is_asked) = mpsc::channel();
    let told = parking_lot::Mutex::new(told);
    let server = start(options(), move |_, _| {
        let held = Told(told.lock().clone());
        asked.send(()).unwrap();
        Answer::later(async move {
            let _held = held;
            std::future::pending().await
        })
    });
    for pipelined in ["", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut peer = Peer::connect(&server);
        peer.send(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{pipelined}"));
        is_asked.recv_timeout(DEADLINE).unwrap();
        drop(peer);
        dropped.recv_timeout(DEADLINE).unwrap();
    }
    eventually("the count of both", || server.counters().aborted.load(Relaxed) == 2);
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let (told, dropped) = mpsc::channel();
    let told = parking_lot::Mutex::new(told);
    let body = bytes::Bytes::from(vec![7; 64 << 20]);
    let server = start(Options { send_timeout: Duration::from_millis(100), ..options() }, move |_, _| {
        let mut response = text(b"");
        response.body = serve::response::Body::Memory(body.clone());
        response.hold = Some(Hold::new(parking_lot::Mutex::new(Told(told.lock().clone()))));
        Answer::Now(response)
    });
    let mut peer = Peer::connect_narrow(&server);
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    dropped.recv_timeout(DEADLINE).unwrap();
    eventually("the count of it", || server.counters().aborted.load(Relaxed) == 1);
    assert_eq!(server.counters().transfers.load(Relaxed), 0);
}

#[test]
fn drain_lets_what_was_begun_finish() {
    let (release, released) = tokio::sync::watch::channel(false);
    let (asked, is_asked) = mpsc::channel();
    let server = Arc::new(start(options(), move |request, _| {
        if request.target == b"/now" {
            return Answer::Now(text(b"now"));
        }
        asked.send(()).unwrap();
        let mut released = released.clone();
        Answer::later(async move {
            released.wait_for(|released| *released).await.unwrap();
            text(b"late")
        })
    }));
    let mut idle = Peer::connect(&server);
    assert_eq!(idle.get("/now").status, 200);
    let mut busy = Peer::connect(&server);
    busy.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(DEADLINE).unwrap();

    let draining = server.clone();
    let drain = std::thread::spawn(move || wait(draining.drain()));
    idle.assert_closed();
    let address = Peer::address(&server);
    eventually("the listener's close", || std::net::TcpStream::connect(address).is_err());
    release.send(true).unwrap();
    let answer = busy.answer();
    assert_eq!((answer.field("connection"), &answer.body[..]), (Some("close"), &b"late"[..]));
    busy.assert_closed();
    assert_eq!(drain.join().unwrap(), 0);
}

#[test]
fn drain_cuts_what_takes_too_long_and_counts_it() {
    let (asked, is_asked) = mpsc::channel();
    let server = start(Options { drain_timeout: Duration::from_millis(50), ..options() }, move |_, _| {
        asked.send(()).unwrap();
        Answer::later(std::future::pending())
    });
    let mut peer = Peer::connect(&server);
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(DEADLINE).unwrap();
    assert_eq!(wait(server.drain()), 1);
    peer.assert_closed();
}

#[test]
fn a_second_drain_cuts_at_once() {
    let (asked, is_asked) = mpsc::channel();
    let server = Arc::new(start(Options { drain_timeout: Duration::from_secs(3600), ..options() }, move |_, _| {
        asked.send(()).unwrap();
        Answer::later(std::future::pending())
    }));
    let mut peer = Peer::connect(&server);
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is_asked.recv_timeout(DEADLINE).unwrap();
    let draining = server.clone();
    let first = std::thread::spawn(move || wait(draining.drain()));
    let address = Peer::address(&server);
    eventually("the listener's close", || std::net::TcpStream::connect(address).is_err());
    assert_eq!(wait(server.drain()), 1);
    assert_eq!(first.join().unwrap(), 1);
}

#[test]
fn a_head_that_was_begun_before_the_drain_is_answered() {
    let server = Arc::new(echo(options()));
    let mut peer = Peer::connect(&server);
    assert_eq!(peer.get("/").status, 200);
    peer.send("GET /begun HTTP/1.1\r\nHo");
    // Another connection's answer shows that the worker has seen those bytes: it reads in the order of arrival or sooner.
    eventually("reading", || {
        assert_eq!(Peer::connect(&server).get("/").status, 200);
        server.counters().requests.load(Relaxed) > 20
    });
    let draining = server.clone();
    let drain = std::thread::spawn(move || wait(draining.drain()));
    let address = Peer::address(&server);
    eventually("the listener's close", || std::net::TcpStream::connect(address).is_err());
    let answer = peer.send("st: a\r\n\r\n").answer();
    assert_eq!((answer.field("connection"), &answer.body[..]), (Some("close"), &b"/begun"[..]));
    // Over TLS the server waits a while for the client to close as well.
    peer.assert_closed();
    assert_eq!(drain.join().unwrap(), 0);
}

#[test]
fn the_access_log_has_a_line_for_every_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&path, Format::Combined).unwrap();
    let server = start_logged(options(), Some(log.clone()), |request, _| {
        let mut response = text(request.target);
        response.cache_status = Some(CacheStatus::Hit);
        if request.target == b"/later" {
            return Answer::later(async { text(&[7; 100_000]) });
        }
        Answer::Now(response)
    });
    let mut peer = Peer::connect(&server);
    let long = "a".repeat(5000);
    peer.send(format!(
        "GET /1 HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\nReferer: x\"y\r\n\r\n\
         HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\nUser-Agent: wget\r\n\r\nGET /{long} HTTP/1.1\r\nHost: a\r\n\r\nGET /\0 x"
    ));
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.head().status, 200);
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.answer().status, 400);
    drop(peer);
    wait(server.drain());
    drop((server, log));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    let after_time: Vec<_> = lines.iter().map(|line| line.split_once("] ").unwrap().1).collect();
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
    assert!(after_time[0].starts_with("\"GET /1 HTTP/1.1\" 200 2 \"x\\x22y\" \"curl/8\" HIT 0."), "{text}");
    assert!(after_time[1].starts_with("\"HEAD /2 HTTP/1.1\" 200 0 \"-\" \"-\" HIT 0."), "{text}");
    assert!(after_time[2].starts_with("\"GET /later HTTP/1.1\" 200 100000 \"-\" \"wget\" - 0."), "{text}");
    assert!(after_time[3].starts_with(&format!("\"GET /{long} HTTP/1.1\" 200 5001 ")), "{text}");
    assert!(after_time[4].starts_with("\"GET /\\x00 x\" 400 "), "{text}");
}
