//! HTTP/2 as a client sees it that speaks in good faith: requests side by side, bodies of every origin, windows, uploads, drain, the log.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use bytes::Bytes;
use protocol::digest::Claims;
use serve::{
    access_log::{AccessLog, Format},
    clients::{
        access::{Access, Rules},
        forwarded::Told,
        ranges::Ranges,
    },
    handler::Answer,
    options::{Clients, Options},
};

use super::{
    OVER_TLS,
    objects::{Bench, TAIL},
    options,
    requests::announcing,
    transfers::{fed, lost, share, whole},
    uploads::mirror,
};
use crate::common::{frames::*, *};

#[test]
fn requests_are_answered_side_by_side() {
    let server = echo(options());
    let mut framed = Framed::connect(&server);
    let said: Vec<_> =
        framed.own.payload.chunks(6).map(|one| (one[1], u32::from_be_bytes(one[2..].try_into().unwrap()))).collect();
    assert!(said.contains(&(3, 100)) && said.contains(&(6, 16 << 10)), "{said:?}");
    for stream in [1, 3, 5] {
        framed.get(stream, &format!("/{stream}"));
    }
    let mut bodies = std::collections::BTreeMap::new();
    while bodies.len() < 3 {
        let frame = framed.next();
        if frame.kind == DATA {
            bodies.insert(frame.stream, frame.payload);
        }
    }
    assert!(bodies.iter().all(|(stream, body)| *body == format!("/{stream}").into_bytes()), "{bodies:?}");
    framed.ask(7, &request("HEAD", "/", &[]));
    let head = framed.next();
    assert!(head.ends_stream(), "{head:?}");
    assert_eq!(server.counters().requests.load(Relaxed), 4);
    assert_eq!(server.counters().by_class[1].load(Relaxed), 4);
}

#[test]
fn what_comes_before_an_answer_is_handed_on_as_it_comes() {
    let (server, release) = announcing(options());
    let mut framed = Framed::connect(&server);
    framed.get(1, "/x");
    let hints = framed.next();
    assert_eq!((hints.kind, hints.status(), hints.ends_stream()), (HEADERS, 103, false), "{hints:?}");
    release.send(true).unwrap();
    assert_eq!(framed.next().status(), 102);
    assert_eq!(framed.answer(1), (200, b"done".to_vec()));
}

#[test]
fn a_preface_in_pieces_is_one() {
    let server = echo(options());
    let mut framed = Framed::silent(&server);
    for byte in PREFACE.chunks(1) {
        framed.peer.send(byte);
    }
    framed.send(&settings(&[])).get(1, "/x");
    assert_eq!(framed.answer(1), (200, b"/x".to_vec()));
}

#[test]
fn the_preface_means_nothing_where_http2_is_not_spoken() {
    let refuses = |options: Options| {
        let server = echo(options);
        let mut peer = Peer::connect(&server);
        peer.send(PREFACE);
        let answer = peer.answer();
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8(answer.body).unwrap().contains("HTTP/2 is not spoken here"));
    };
    refuses(Options { http2_streams_max: 0, ..options() });
    if OVER_TLS {
        // Over TLS it must be agreed on, and this client asks for HTTP/1.1.
        refuses(options());
    }
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.get("/");
    peer.send(PREFACE);
    assert_eq!(peer.answer().status, 400, "behind a request of HTTP/1.1");
}

#[test]
fn bodies_of_every_origin_arrive_whole() {
    let bench = Bench::new();
    for len in [0, 1, 1000, 16 << 10, 100_000, 3 << 20] {
        let content = pattern(len);
        bench.sealed(&content);
        let mut framed = Framed::connect(&bench.server);
        for stream in [1, 3, 5] {
            assert!(framed.get(stream, "/").answer(stream) == (200, content.clone()), "{len}");
        }
    }
    let content = pattern(1 << 20);
    bench.sealed(&content);
    let mut framed = Framed::connect(&bench.server);
    assert!(framed.get(1, "/1000-300000").answer(1).1 == content[1000..300_000]);
    let (status, parts) = framed.get(3, "/0-70000,500000-500001").answer(3);
    let text = String::from_utf8_lossy(&parts);
    assert!(status == 200 && text.contains("bytes 0-69999/1048576") && text.ends_with("--\r\n"));
    assert!(parts.windows(70_000).any(|window| window == &content[..70_000]));
}

#[test]
fn a_growing_object_is_followed() {
    for known in [true, false] {
        let bench = Bench::new();
        let content = pattern(500_000 + TAIL);
        let mut fill = bench.begin(known.then_some(content.len()), Claims::default());
        let mut framed = Framed::connect_with(&bench.server, &[(4, 4 << 20)]);
        framed.send(&window_update(0, 4 << 20)).get(1, "/");
        assert_eq!(framed.next().status(), 200);
        let mut got = Vec::new();
        for (number, piece) in content.chunks(50_000).enumerate() {
            bench.push(&mut fill, piece);
            // The last 64 KiB are held back.
            if number % 4 == 3 {
                got.extend(framed.next().payload);
            }
        }
        bench.seal(fill);
        loop {
            let data = framed.next();
            got.extend_from_slice(&data.payload);
            if data.ends_stream() {
                break;
            }
        }
        assert!(got == content, "{known}");
    }
}

#[test]
fn bytes_that_came_before_their_turn_leave_before_it() {
    let bench = Bench::new();
    let content = pattern(5 << 20);
    let fill = bench.begin(Some(content.len()), Claims::default());
    let mut framed = Framed::connect(&bench.server);
    framed.get(1, "/3000000-3100000");
    assert_eq!(framed.next().status(), 200);
    bench.push_at(&fill, 3_000_000, &content[3_000_000..3_050_000]);
    let mut got = framed.next().payload;
    bench.push_at(&fill, 3_050_000, &content[3_050_000..3_100_000]);
    while got.len() < 65_535 {
        got.extend(framed.next().payload);
    }
    framed.send_all(&[window_update(0, 100_000), window_update(1, 100_000)]);
    while got.len() < 100_000 {
        got.extend(framed.next().payload);
    }
    assert!(got == content[3_000_000..3_100_000]);
}

#[test]
fn a_source_that_fails_resets_its_stream_and_no_other() {
    for len in [None, Some(6)] {
        let (server, is_asked) = fed(len);
        let mut framed = Framed::connect(&server);
        framed.get(1, "/");
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        feed.blocking_send(Ok(Bytes::from_static(b"abc"))).unwrap();
        assert_eq!(framed.next().status(), 200);
        assert_eq!(framed.next().payload, b"abc");
        feed.blocking_send(lost()).unwrap();
        assert_eq!(framed.reset_of(1), INTERNAL_ERROR);
        eventually("the count of it", || server.counters().aborted.load(Relaxed) == 1);
        framed.get(3, "/");
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        feed.blocking_send(Ok(Bytes::from_static(b"abcdef"))).unwrap();
        drop(feed);
        assert_eq!(framed.answer(3), (200, b"abcdef".to_vec()));
    }
}

#[test]
fn a_stream_of_another_length_than_announced_is_reset() {
    for pieces in [&[&b"abcdefg"[..]][..], &[b"abc", b"defg"], &[b"abc"], &[]] {
        let (server, is_asked) = fed(Some(6));
        let mut framed = Framed::connect(&server);
        framed.get(1, "/");
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        for piece in pieces {
            feed.blocking_send(Ok(Bytes::from_static(piece))).unwrap();
        }
        drop(feed);
        assert_eq!(framed.reset_of(1), INTERNAL_ERROR, "{pieces:?}");
    }
}

#[test]
fn a_share_s_file_that_changes_is_never_whole() {
    let content = pattern(400_000);
    let share = share(&content, whole);
    let mut framed = Framed::connect(&share.server);
    assert!(framed.get(1, "/").answer(1) == (200, content));
    // As much has gone out as the windows allow when the file is changed.
    let mut framed = Framed::connect(&share.server);
    framed.get(1, "/");
    assert_eq!(framed.next().status(), 200);
    let mut got = 0;
    while got < 65_535 {
        got += framed.next().payload.len();
    }
    std::fs::write(&share.path, pattern(400_001)).unwrap();
    framed.send_all(&[window_update(0, 1 << 20), window_update(1, 1 << 20)]);
    assert_eq!(framed.reset_of(1), INTERNAL_ERROR);
}

#[test]
fn a_window_of_one_byte_is_filled_with_one_byte() {
    let server = echo(options());
    let mut framed = Framed::connect_with(&server, &[(4, 1)]);
    framed.get(1, "/abc");
    assert_eq!(framed.next().status(), 200);
    for (expected, end, more) in [(&b"/"[..], 0, 1), (b"a", 0, 2), (b"bc", END_STREAM, 1)] {
        let data = framed.next();
        assert_eq!((&data.payload[..], data.flags), (expected, end));
        framed.send(&window_update(1, more));
    }
}

#[test]
fn a_body_that_is_sent_is_read() {
    let server = mirror(options());
    let mut framed = Framed::connect(&server);
    let bytes = pattern(60_000);
    framed.open(1, &request("PUT", "/", &[("content-length", "60000")]));
    let pieces: Vec<_> = bytes.chunks(16_000).map(|piece| Frame::new(DATA, 0, 1, piece)).collect();
    framed.send_all(&pieces).send(&Frame::new(DATA, END_STREAM, 1, b""));
    assert!(framed.answer(1) == (200, bytes));
    framed.open(3, &request("POST", "/", &[])).send(&Frame::new(DATA, END_STREAM, 3, b"no length"));
    assert_eq!(framed.answer(3), (200, b"no length".to_vec()));
    framed.open(5, &request("POST", "/", &[("expect", "100-continue")]));
    assert!(!framed.next().ends_stream(), "100");
    framed.send(&Frame::new(DATA, END_STREAM, 5, b"word"));
    assert_eq!(framed.answer(5).1, b"word");
    framed.ask(7, &request("PUT", "/none", &[]));
    assert_eq!(framed.answer(7).1, b"/none");
}

#[test]
fn a_handler_that_does_not_read_on_stops_the_client() {
    let (asked, is_asked) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(parking_lot::Mutex::new(may_go_on));
    let server = start(options(), move |_, _| {
        let (asked, may_go_on) = (asked.clone(), may_go_on.clone());
        Answer::reads(move |mut upload| async move {
            asked.send(()).unwrap();
            let waited = tokio::task::spawn_blocking(move || may_go_on.lock().recv().is_ok());
            waited.await.unwrap();
            let mut total = 0;
            while let Some(Ok(piece)) = upload.next().await {
                total += piece.len();
            }
            text(total.to_string().as_bytes())
        })
    });
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("PUT", "/", &[]));
    is_asked.recv_timeout(DEADLINE).unwrap();
    // A few pieces are on their way to the handler, and a window is full behind them: who goes on is told so.
    framed.send_all(&vec![Frame::new(DATA, 0, 1, &[0; 16 << 10]); (256 + 128) / 16]);
    assert_eq!(framed.reset_of(1), FLOW_CONTROL_ERROR);
    drop(go_on);
}

#[test]
fn an_answer_before_the_end_of_a_body_stops_the_body() {
    let server = start(options(), |_, _| Answer::reads(|_| async { text(b"enough") }));
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("PUT", "/", &[])).send(&Frame::new(DATA, 0, 1, b"some"));
    assert_eq!(framed.answer(1), (200, b"enough".to_vec()));
    assert_eq!(framed.reset_of(1), NO_ERROR);
    assert_eq!(framed.ask(3, &request("PUT", "/", &[])).answer(3).1, b"enough");
}

#[test]
fn a_small_body_that_nobody_reads_is_let_come() {
    let server = echo(options());
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("POST", "/1", &[])).send(&Frame::new(DATA, 0, 1, b"some"));
    framed.send(&Frame::new(DATA, END_STREAM, 1, b"more"));
    assert_eq!(framed.answer(1), (200, b"/1".to_vec()));
    // What is large is stopped.
    framed.open(3, &request("POST", "/3", &[]));
    framed.send_all(&vec![Frame::new(DATA, 0, 3, &[0; 16 << 10]); 5]);
    assert_eq!(framed.answer(3), (200, b"/3".to_vec()));
    assert_eq!(framed.reset_of(3), NO_ERROR);
}

#[test]
fn bodies_have_their_limits() {
    let server = mirror(Options { body_bytes_max: 1000, ..options() });
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("PUT", "/", &[("content-length", "1001")]));
    assert_eq!(framed.answer(1).0, 413);
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("PUT", "/", &[])).send(&Frame::new(DATA, 0, 1, &[0; 1001]));
    assert_eq!(framed.answer(1).0, 413);
    let server = mirror(Options { body_timeout: Duration::from_millis(60), ..options() });
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("PUT", "/", &[])).send(&Frame::new(DATA, 0, 1, b"x"));
    assert_eq!(framed.answer(1).0, 408);
}

#[test]
fn a_stream_that_the_client_resets_is_given_up() {
    let (server, told) = never(options());
    let mut framed = Framed::connect(&server);
    framed.get(1, "/");
    assert_eq!(told.recv_timeout(DEADLINE), Ok("asked"));
    framed.send(&reset(1, CANCEL));
    assert_eq!(told.recv_timeout(DEADLINE), Ok("dropped"));
    eventually("the count of it", || server.counters().aborted.load(Relaxed) == 1);
    framed.get(3, "/").get(5, "/");
    assert_eq!([(); 2].map(|()| told.recv_timeout(DEADLINE).unwrap()), ["asked"; 2]);
    drop(framed);
    assert_eq!([(); 2].map(|()| told.recv_timeout(DEADLINE).unwrap()), ["dropped"; 2], "with the connection");
    eventually("everybody's leaving", || server.counters().connections.load(Relaxed) == 0);
}

#[test]
fn a_drain_finishes_what_was_begun() {
    let (server, is_asked) = fed(Some(6));
    let server = Arc::new(server);
    let mut framed = Framed::connect(&server);
    framed.get(1, "/");
    let feed = is_asked.recv_timeout(DEADLINE).unwrap();
    feed.blocking_send(Ok(Bytes::from_static(b"abc"))).unwrap();
    assert_eq!(framed.next().status(), 200);
    assert_eq!(framed.next().payload, b"abc");
    let draining = server.clone();
    let drain = std::thread::spawn(move || wait(draining.drain()));
    let said = framed.next();
    assert_eq!((said.kind, said.number(0), said.number(4)), (GOAWAY, 0x7fff_ffff, NO_ERROR));
    // By the answer to the PING behind it the server knows that the client has heard it.
    assert_eq!(framed.next(), Frame::new(GOAWAY, 0, 0, &[[0, 0, 0, 1], [0; 4]].concat()));
    feed.blocking_send(Ok(Bytes::from_static(b"def"))).unwrap();
    drop(feed);
    assert_eq!(framed.next().payload, b"def");
    framed.peer.close_sending();
    assert_eq!(drain.join().unwrap(), 0);
    framed.peer.assert_closed();
}

#[test]
fn a_drain_that_takes_too_long_cuts() {
    let (server, told) = never(Options { drain_timeout: Duration::from_millis(50), ..options() });
    let mut framed = Framed::connect(&server);
    framed.get(1, "/");
    told.recv_timeout(DEADLINE).unwrap();
    assert_eq!(wait(server.drain()), 1);
}

#[test]
fn the_log_has_a_line_for_every_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&path, Format::Combined).unwrap();
    let server = start_logged(options(), Some(log.clone()), |request, _| Answer::Now(text(request.target)));
    let mut framed = Framed::connect(&server);
    framed.ask(1, &request("GET", "/1?a", &[("user-agent", "nghttp2"), ("referer", "x\"y")])).answer(1);
    framed.ask(3, &request("HEAD", "/2", &[])).answer(3);
    framed.ask(5, &request("GET", "/\u{e9}", &[]));
    assert_eq!(framed.reset_of(5), PROTOCOL_ERROR);
    drop(framed);
    wait(server.drain());
    drop((server, log));
    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = log.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].starts_with("\"GET /1?a HTTP/2.0\" 200 4 \"x\\x22y\" \"nghttp2\" - 0."), "{log}");
    assert!(lines[1].starts_with("\"HEAD /2 HTTP/2.0\" 200 0 \"-\" \"-\" - 0."), "{log}");
    assert!(lines[2].starts_with("\"GET /\\xC3\\xA9 HTTP/2.0\" 400 0 "), "{log}");
}

#[test]
fn who_asks_and_who_may_is_the_same() {
    let trusted = Ranges::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let allow = Rules::new(&["192.0.2.0/24".parse().unwrap()]);
    let clients =
        Clients { trusted, access: Access { allow, ..Access::default() }, told: Told::Forwarded, ..Clients::default() };
    let server = start(Options { clients, ..options() }, |_, client| {
        Answer::Now(text(client.address.ip().to_string().as_bytes()))
    });
    let mut framed = Framed::connect(&server);
    for (stream, forwarded, status) in [(1, "for=192.0.2.9, for=203.0.113.1", 403), (3, "for=192.0.2.9", 200)] {
        framed.ask(stream, &request("GET", "/", &[("forwarded", forwarded)]));
        let (found, body) = framed.answer(stream);
        assert_eq!(found, status, "{forwarded}");
        assert_eq!(body == b"192.0.2.9", status == 200);
    }
}
