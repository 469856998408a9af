//! HTTP/2 as it is spoken by those who mean no good, or know no better: malformed heads, floods, stalls, and what is held for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use serve::{
    handler::Answer,
    options::Options,
    response::{Body, BodyStream, Hold, Response},
};

use super::{options, uploads::mirror};
use crate::common::{frames::*, *};

/// What one connection holds for all its bodies at most, but for a piece.
const BUFFERED_BYTES_MAX: usize = 1 << 20;

#[test]
fn malformed_heads_are_never_asked_about() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = start(options(), move |request, _| {
        counted.fetch_add(1, Relaxed);
        Answer::Now(text(request.target))
    });
    let pseudo = |more: &'static [(&'static str, &'static str)]| request("GET", "/", more);
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"));
    let cases = [
        // Pseudo-header fields (RFC 9113 section 8.3).
        vec![scheme, path, authority],
        vec![method, path, authority],
        vec![method, scheme, authority],
        vec![method, scheme, path],
        vec![method, method, scheme, path, authority],
        vec![method, scheme, path, path, authority],
        vec![method, scheme, path, authority, authority],
        vec![method, scheme, path, ("x", "y"), authority],
        vec![method, scheme, path, authority, (":x", "y")],
        vec![method, scheme, path, authority, (":status", "200")],
        vec![(":method", "G T"), scheme, path, authority],
        vec![(":method", ""), scheme, path, authority],
        vec![method, (":scheme", "ht tp"), path, authority],
        vec![method, scheme, (":path", ""), authority],
        vec![method, scheme, (":path", "x"), authority],
        vec![method, scheme, (":path", "?x"), authority],
        vec![method, scheme, (":path", "*"), authority],
        vec![method, scheme, (":path", "http://a/"), authority],
        vec![method, scheme, (":path", "/a b"), authority],
        vec![method, scheme, (":path", "/a\r\nX: y"), authority],
        vec![method, scheme, (":path", "/\0"), authority],
        vec![method, scheme, (":path", "/\u{7f}"), authority],
        vec![method, scheme, (":path", "/\u{e9}"), authority],
        vec![method, scheme, path, (":authority", "u@a")],
        vec![method, scheme, path, (":authority", "a b")],
        vec![method, scheme, path, (":authority", "")],
        vec![(":method", "CONNECT"), authority],
        vec![(":method", "CONNECT"), (":protocol", "websocket"), scheme, path, authority],
        vec![(":method", "GET"), (":protocol", "websocket"), scheme, path, authority],
        // Two hosts.
        pseudo(&[("host", "b")]),
        pseudo(&[("host", "a"), ("host", "a")]),
        vec![method, scheme, path, ("host", "a"), ("host", "b")],
        vec![method, scheme, path, ("host", "a/b")],
        // Fields of one connection (section 8.2.2).
        pseudo(&[("connection", "close")]),
        pseudo(&[("connection", "x")]),
        pseudo(&[("keep-alive", "1")]),
        pseudo(&[("proxy-connection", "x")]),
        pseudo(&[("transfer-encoding", "chunked")]),
        pseudo(&[("upgrade", "h2c")]),
        pseudo(&[("te", "gzip")]),
        pseudo(&[("te", "trailers, gzip")]),
        // Names and values (section 8.2.1).
        pseudo(&[("X-Upper", "y")]),
        pseudo(&[("x y", "z")]),
        pseudo(&[("x:", "z")]),
        pseudo(&[("", "z")]),
        pseudo(&[("x", "a\r\nb: c")]),
        pseudo(&[("x", "a\nb")]),
        pseudo(&[("x", "a\0b")]),
        pseudo(&[("x", " a")]),
        pseudo(&[("x", "a ")]),
        // Lengths that are none.
        pseudo(&[("content-length", "5")]),
        pseudo(&[("content-length", "+0")]),
        pseudo(&[("content-length", "0, 0")]),
        pseudo(&[("content-length", "0x0")]),
        pseudo(&[("content-length", "")]),
        pseudo(&[("content-length", "00")]),
        pseudo(&[("content-length", "99999999999999999999")]),
        pseudo(&[("content-length", "0"), ("content-length", "0")]),
    ];
    for fields in cases {
        let mut framed = Framed::connect(&server);
        framed.ask(1, &fields);
        assert_eq!(framed.ended(1), PROTOCOL_ERROR, "{fields:?}");
    }
    assert_eq!(asked.load(Relaxed), 0);
    // Nearby, and right.
    for fields in [
        pseudo(&[("te", "trailers")]),
        pseudo(&[("host", "A")]),
        vec![method, scheme, path, ("host", "a:80")],
        pseudo(&[("content-length", "0")]),
        pseudo(&[("x", "")]),
    ] {
        assert_eq!(Framed::connect(&server).ask(1, &fields).answer(1).0, 200, "{fields:?}");
    }
}

#[test]
fn who_never_says_anything_right_is_ended() {
    let server = echo(options());
    let mut framed = Framed::connect(&server);
    let head = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/ "), (":authority", "a"), ("x", " y")]);
    let streams = (0..150).map(|number| 2 * number + 1);
    framed.send_all(
        &streams.map(|stream| Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head)).collect::<Vec<_>>(),
    );
    assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
    // Likewise where it is not the library that finds it wrong.
    let mut framed = Framed::connect(&server);
    let head = block(&request("GET", "/", &[("x", " y")]));
    for stream in (0..101).map(|number| 2 * number + 1) {
        framed.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        assert_eq!(framed.ended(stream), PROTOCOL_ERROR);
    }
    assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_body_of_another_length_than_announced_is_no_body() {
    let server = mirror(options());
    for (announced, pieces) in [("5", &[4][..]), ("5", &[6]), ("5", &[3, 3]), ("5", &[]), ("0", &[1])] {
        let mut framed = Framed::connect(&server);
        framed.open(1, &request("PUT", "/", &[("content-length", announced)]));
        for (index, len) in pieces.iter().enumerate() {
            let end = if index + 1 == pieces.len() { END_STREAM } else { 0 };
            framed.send(&Frame::new(DATA, end, 1, &b"xxxxxx"[..*len]));
        }
        if pieces.is_empty() {
            framed.send(&Frame::new(DATA, END_STREAM, 1, b""));
        }
        assert_eq!(framed.ended(1), PROTOCOL_ERROR, "{announced} {pieces:?}");
    }
}

#[test]
fn heads_that_are_too_large_are_told_so() {
    let server = echo(options());
    let long = "x".repeat(17_000);
    assert_eq!(Framed::connect(&server).ask(1, &request("GET", "/", &[("x", &long[..16_290])])).answer(1).0, 431);
    let crumbs = request("GET", "/", &[("x", "y"); 110]);
    assert_eq!(Framed::connect(&server).ask(1, &crumbs).answer(1).0, 431, "too many");
    // Crumbs of one cookie are one field, and what they weigh is counted crumb by crumb.
    let crumbs = request("GET", "/", &[("cookie", "a=b"); 110]);
    assert_eq!(Framed::connect(&server).ask(1, &crumbs).answer(1).0, 200);
    let crumbs = request("GET", "/", &[("cookie", ""); 600]);
    assert_eq!(Framed::connect(&server).ask(1, &crumbs).answer(1).0, 431);
}

#[test]
fn floods_of_every_kind_are_ended() {
    let server = echo(options());
    let open = [Frame::new(HEADERS, END_HEADERS, 1, &block(&request("POST", "/", &[])))];
    for (name, before, flood) in [
        ("PING", &[][..], Frame::new(PING, 0, 0, &[7; 8])),
        ("PING, answered", &[], Frame::new(PING, ACK, 0, &[7; 8])),
        ("SETTINGS", &[], settings(&[(3, 7)])),
        ("PRIORITY", &[], Frame::new(PRIORITY, 0, 3, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", &[], window_update(0, 1)),
        ("DATA without a byte", &open, Frame::new(DATA, 0, 1, &[])),
        ("unknown", &[], Frame::new(0xfa, 0, 0, &[1, 2, 3])),
    ] {
        let mut framed = Framed::connect(&server);
        framed.send_all(before).send_all(&vec![flood; 2100]);
        assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM, "{name}");
        framed.peer.close_sending();
    }
    eventually("everybody's leaving", || server.counters().connections.load(Relaxed) == 0);
    assert_eq!(server.counters().http2_faults.load(Relaxed), 7);
}

#[test]
fn streams_that_are_begun_and_reset_are_ended() {
    // Each reset in its own time, so that the handler was asked.
    let (server, told) = never(options());
    let mut framed = Framed::connect(&server);
    let mut stream = 1;
    loop {
        framed.get(stream, "/");
        match told.recv_timeout(DEADLINE).unwrap() {
            "asked" => {}
            other => panic!("{other}"),
        }
        framed.send(&reset(stream, CANCEL));
        assert_eq!(told.recv_timeout(DEADLINE), Ok("dropped"));
        stream += 2;
        if stream > 2 * 200 {
            break;
        }
    }
    framed.send_all(&vec![reset(1, CANCEL); 100]);
    assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
    // And all together.
    let mut framed = Framed::connect(&server);
    let head = block(&request("GET", "/", &[]));
    let pairs = (0..500).map(|number| 2 * number + 1);
    let frames: Vec<_> = pairs
        .flat_map(|stream| [Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head), reset(stream, CANCEL)])
        .collect();
    framed.send_all(&frames);
    assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_client_that_has_its_streams_reset_is_ended() {
    let (server, _told) = never(options());
    let head = block(&request("GET", "/", &[]));
    for wrong in [window_update(0, 0), window_update(0, 0x7fff_ffff), Frame::new(PRIORITY, 0, 0, &[0, 0, 0, 0])] {
        let mut framed = Framed::connect(&server);
        let frames: Vec<_> = (0..500)
            .map(|number| 2 * number + 1)
            .flat_map(|stream| {
                let wrong = Frame { stream, ..wrong.clone() };
                [Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &head), wrong]
            })
            .collect();
        framed.send_all(&frames);
        assert_ne!(framed.goaway(), NO_ERROR, "{wrong:?}");
    }
}

#[test]
fn a_head_in_endless_frames_is_ended() {
    let server = echo(options());
    let part = block(&[("x", "y")]);
    for payload in [&part[..], &[]] {
        let mut framed = Framed::connect(&server);
        let first = Frame::new(HEADERS, END_STREAM, 1, &block(&request("GET", "/", &[])));
        framed.send(&first).send_all(&vec![Frame::new(CONTINUATION, 0, 1, payload); 10_000]);
        assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
    }
}

#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_ended() {
    let server = echo(options());
    let mut framed = Framed::connect(&server);
    // A field of 3,900 bytes into the table, then a byte for each time that it is meant.
    let mut bomb = block(&request("GET", "/", &[]));
    let value = "v".repeat(3900);
    let mut named = block(&[("x", &value)]);
    named[0] = 0x40;
    bomb.extend_from_slice(&named);
    bomb.extend_from_slice(&[0x80 | 62; 8000]);
    framed.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    assert_eq!(framed.goaway(), ENHANCE_YOUR_CALM);
}

#[test]
fn more_streams_than_are_offered_are_refused() {
    let (server, told) = never(Options { http2_streams_max: 3, ..options() });
    let mut framed = Framed::connect(&server);
    for stream in [1, 3, 5] {
        framed.get(stream, "/");
        assert_eq!(told.recv_timeout(DEADLINE), Ok("asked"));
    }
    assert_eq!(framed.get(7, "/").reset_of(7), REFUSED_STREAM);
    framed.send(&reset(3, CANCEL));
    assert_eq!(told.recv_timeout(DEADLINE), Ok("dropped"));
    framed.get(9, "/");
    assert_eq!(told.recv_timeout(DEADLINE), Ok("asked"));
}

/// A body of 50,000 bytes, held as a requester's place is.
fn holding(held: &Arc<()>) -> impl Fn(&serve::request::Request<'_>, &serve::handler::Client) -> Answer + use<> {
    let held = held.clone();
    move |_, _| {
        let mut response = text(&[7; 50_000]);
        response.hold = Some(Hold::new(held.clone()));
        Answer::Now(response)
    }
}

#[test]
fn a_stalled_stream_is_reset_and_the_others_go_on() {
    let held = Arc::new(());
    let server = start(Options { send_timeout: Duration::from_millis(100), ..options() }, holding(&held));
    let mut framed = Framed::connect_with(&server, &[(4, 0)]);
    for stream in (1..200).step_by(2) {
        framed.get(stream, "/");
    }
    // All of them stand still, and all of them are ended.
    let mut ended = 0;
    while ended < 100 {
        let frame = framed.next();
        if frame.kind == RST_STREAM {
            assert_eq!(frame.number(0), CANCEL);
            ended += 1;
        }
    }
    eventually("giving back what was held", || Arc::strong_count(&held) == 2);
    assert_eq!(server.counters().aborted.load(Relaxed), 100);
    assert_eq!(server.counters().http2_stalled.load(Relaxed), 100);
    // The connection is as good as before.
    framed.send(&settings(&[(4, 1 << 20)])).send(&window_update(0, 1 << 20));
    assert_eq!(framed.get(201, "/").answer(201).1.len(), 50_000);
}

/// Rates over a short window, and no other limit that a test could meet.
fn rates() -> Options {
    let hour = Duration::from_secs(3600);
    Options {
        rate_window: Duration::from_millis(200),
        min_send_rate: 1 << 20,
        min_body_rate: 1 << 20,
        send_timeout: hour,
        body_timeout: hour,
        ..options()
    }
}

#[test]
fn a_window_that_opens_by_single_bytes_is_too_slow() {
    let held = Arc::new(());
    let server = start(rates(), holding(&held));
    let mut framed = Framed::connect_with(&server, &[(4, 1)]);
    framed.get(1, "/");
    assert_eq!(framed.next().status(), 200);
    let mut got = 0;
    // Each byte is answered by another one, until the server has had enough.
    let reason = loop {
        let frame = framed.next();
        match frame.kind {
            DATA => {
                got += frame.payload.len();
                framed.send(&window_update(1, 1));
            }
            RST_STREAM => break frame.number(0),
            _ => {}
        }
        idle_a_moment(&server);
    };
    assert_eq!(reason, CANCEL);
    assert!((1..50_000).contains(&got), "{got}");
    eventually("giving back what was held", || Arc::strong_count(&held) == 2);
    assert_eq!(server.counters().too_slow.load(Relaxed), 1);
}

#[test]
fn a_body_that_comes_by_single_bytes_is_too_slow() {
    let server = mirror(rates());
    let mut framed = Framed::connect(&server);
    framed.open(1, &request("POST", "/", &[]));
    while server.counters().too_slow.load(Relaxed) == 0 {
        framed.send(&Frame::new(DATA, 0, 1, b"x"));
        idle_a_moment(&server);
    }
    assert_eq!(framed.next().status(), 408);
}

/// Some time in which a client does nothing: a silent connection is the clock.
fn idle_a_moment(server: &serve::server::Server) {
    let silent = std::net::TcpStream::connect(Peer::address(server)).unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(3))).unwrap();
    assert!(silent.peek(&mut [0; 1]).is_err());
}

#[test]
fn a_stream_whose_window_is_taken_back_is_reset_too() {
    let held = Arc::new(());
    let server = start(Options { send_timeout: Duration::from_millis(100), ..options() }, holding(&held));
    let mut framed = Framed::connect_with(&server, &[(4, 10)]);
    framed.get(1, "/");
    assert_eq!(framed.next().status(), 200);
    assert_eq!(framed.next().payload.len(), 10);
    framed.send(&settings(&[(4, 0)])).send(&window_update(1, 5));
    assert_eq!(framed.reset_of(1), CANCEL);
    eventually("giving back what was held", || Arc::strong_count(&held) == 2);
}

#[test]
fn answers_that_come_whole_into_memory_have_a_limit_together() {
    let server = start(options(), |_, _| Answer::Now(text(&[7; 3_000_000])));
    let mut framed = Framed::connect_with(&server, &[(4, 0)]);
    framed.get(1, "/").get(3, "/").get(5, "/");
    assert_eq!(framed.reset_of(5), ENHANCE_YOUR_CALM);
    framed.send(&reset(1, CANCEL)).send(&settings(&[(4, 1 << 30)])).send(&window_update(0, 1 << 30));
    let mut got = 0;
    while got < 3_000_000 {
        let frame = framed.next();
        got += if (frame.kind, frame.stream) == (DATA, 3) { frame.payload.len() } else { 0 };
    }
    assert_eq!(framed.get(7, "/").answer(7).1.len(), 3_000_000);
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let held = Arc::new(());
    let holding = held.clone();
    let server = start(Options { send_timeout: Duration::from_millis(200), ..options() }, move |_, _| {
        let mut response = text(&pattern(50_000_000));
        response.hold = Some(Hold::new(holding.clone()));
        Answer::Now(response)
    });
    let mut framed = Framed::connect_with(&server, &[(4, 0x7fff_ffff)]);
    framed.send(&window_update(0, 0x7fff_0000)).get(1, "/");
    assert_eq!(framed.next().status(), 200);
    eventually("the end of it", || server.counters().connections.load(Relaxed) == 0);
    assert_eq!(Arc::strong_count(&held), 2);
}

#[test]
fn a_client_without_a_stream_is_let_go() {
    let server = echo(Options { idle_timeout: Duration::from_millis(60), ..options() });
    let mut framed = Framed::connect(&server);
    framed.get(1, "/").answer(1);
    assert_eq!(framed.goaway(), NO_ERROR);
    framed.peer.close_sending();
    framed.peer.assert_closed();
}

#[test]
fn what_is_begun_and_does_not_end_is_ended() {
    let server = echo(Options { header_timeout: Duration::from_millis(60), ..options() });
    let head = Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &block(&request("GET", "/", &[]))).bytes();
    let open = Frame::new(HEADERS, END_STREAM, 1, &block(&request("GET", "/", &[]))).bytes();
    for bytes in [&head[..5], &head[..head.len() - 1], &open, &Frame::new(PING, 0, 0, &[0; 8]).bytes()[..12]] {
        let mut framed = Framed::connect(&server);
        framed.peer.send(bytes);
        assert_eq!(framed.goaway(), NO_ERROR, "{bytes:?}");
    }
    // A part of the preface, and all of it with nothing behind it, have other ends: one is no HTTP/2 yet, the other a client that says nothing.
    let mut framed = Framed::silent(&server);
    framed.peer.send(&PREFACE[..20]);
    eventually("the end of it", || server.counters().connections.load(Relaxed) == 0);
}

#[test]
fn a_client_that_says_nothing_is_asked_whether_it_is_there() {
    let (server, told) = never(Options { idle_timeout: Duration::from_millis(60), ..options() });
    let mut framed = Framed::connect(&server);
    framed.get(1, "/");
    assert_eq!(told.recv_timeout(DEADLINE), Ok("asked"));
    for _ in 0..3 {
        // Who answers stays.
        let ping = loop {
            let frame = framed.frame();
            if frame.kind == PING {
                break frame;
            }
        };
        framed.send(&Frame::new(PING, ACK, 0, &ping.payload));
    }
    assert_eq!(told.recv_timeout(DEADLINE), Ok("dropped"));
}

/// A piece that is counted as long as it is in memory.
struct Tracked {
    bytes: Vec<u8>,
    now: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.now.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// Pieces of 50,000 bytes that are there whenever they are asked for.
struct Endless {
    left: usize,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

impl futures_core::Stream for Endless {
    type Item = std::io::Result<Bytes>;
    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        let bytes = vec![7; 50_000];
        let now = self.now.fetch_add(bytes.len(), Relaxed) + bytes.len();
        self.most.fetch_max(now, Relaxed);
        self.total.fetch_add(bytes.len(), Relaxed);
        Poll::Ready(Some(Ok(Bytes::from_owner(Tracked { bytes, now: self.now.clone() }))))
    }
}

#[test]
fn what_is_held_for_all_streams_together_is_bounded() {
    let (now, most, total) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let counts = (now.clone(), most.clone(), total.clone());
    let server = start(options(), move |_, _| {
        let (now, most, total) = counts.clone();
        let stream: BodyStream = Box::pin(Endless { left: 10, now, most, total });
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::Stream { stream, len: Some(500_000) };
        Answer::Now(response)
    });
    let mut framed = Framed::connect_with(&server, &[(4, 0x7fff_ffff)]);
    framed.send(&window_update(0, 0x7fff_0000));
    for stream in (1..200).step_by(2) {
        framed.get(stream, "/");
    }
    // Nothing is taken yet, and all that may be is in memory.
    eventually("reading until it is enough", || now.load(Relaxed) >= BUFFERED_BYTES_MAX);
    let (mut ended, mut got) = (0, 0);
    while ended < 100 {
        let frame = framed.next();
        ended += usize::from(frame.ends_stream());
        got += if frame.kind == DATA { frame.payload.len() } else { 0 };
    }
    assert_eq!((got, total.load(Relaxed)), (50_000_000, 50_000_000));
    let most = most.load(Relaxed);
    assert!(most <= BUFFERED_BYTES_MAX + 100_000, "{most}");
    eventually("letting all of it go", || now.load(Relaxed) == 0);
}
