//! Bodies of requests, and the handlers that read them.

use std::{
    io::Write,
    sync::{atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use bytes::Bytes;
use serve::{handler::Answer, options::Options, request::Announced, upload::UploadError};

use super::options;
use crate::common::*;

/// More than the sockets between a client and a server hold.
const LARGE: usize = 60_000_000;

/// A server that answers with the body that it was sent, after the last byte of it.
pub(super) fn mirror(options: Options) -> serve::server::Server {
    start(options, |request, _| {
        if request.body == Announced::None {
            return Answer::Now(text(request.target));
        }
        Answer::reads(|mut upload| async move {
            let mut body = Vec::new();
            while let Some(piece) = upload.next().await {
                match piece {
                    Ok(piece) => body.extend_from_slice(&piece),
                    Err(UploadError::Cut) => return text(b"cut"),
                }
            }
            text(&body)
        })
    })
}

#[test]
fn a_body_is_read_and_the_connection_goes_on() {
    let server = mirror(options());
    let mut peer = Peer::connect(&server);
    let bytes = pattern(300_000);
    for round in 0..3 {
        peer.send(format!("PUT /{round} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", bytes.len())).send(&bytes);
        assert!(peer.answer().body == bytes, "{round}");
    }
    let mut chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in bytes.chunks(50_000) {
        chunked.extend_from_slice(format!("{:x};a=b\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\nX-Trailer: y\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.send(&chunked);
    assert!(peer.answer().body == bytes);
    assert_eq!(peer.answer().body, b"/behind");
}

#[test]
fn a_body_may_come_byte_by_byte() {
    let server = mirror(options());
    let mut peer = Peer::connect(&server);
    peer.socket.set_nodelay(true).unwrap();
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\n" {
        peer.send([*byte]);
    }
    assert_eq!(peer.answer().body, b"hello");
    assert_eq!(peer.get("/next").body, b"/next");
}

#[test]
fn who_waits_for_the_word_gets_it_and_stays() {
    let server = mirror(options());
    let mut peer = Peer::connect(&server);
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(peer.take(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("abc");
    assert_eq!(peer.answer().body, b"abc");
    // Who does not wait for it needs none.
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    assert_eq!(peer.answer().body, b"abc");
    assert_eq!(peer.get("/next").body, b"/next");
}

#[test]
fn who_is_answered_without_the_word_is_the_last_on_its_connection() {
    let server = echo(options());
    let mut peer = Peer::connect(&server);
    peer.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n");
    let answer = peer.answer();
    assert_eq!((answer.field("connection"), &answer.body[..]), (Some("close"), &b"/x"[..]));
    peer.send("GET /evil HTTP/1.1\r\nHost: a\r\n\r\n").close_sending();
    peer.assert_closed();
}

#[test]
fn an_answer_before_the_end_of_the_body_is_the_last() {
    let server = start(options(), |request, _| {
        let target = request.target.to_vec();
        Answer::reads(move |mut upload| async move {
            let _ = upload.next().await;
            text(&target)
        })
    });
    let mut peer = Peer::connect(&server);
    peer.send("PUT /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = peer.answer();
    assert_eq!((answer.field("connection"), &answer.body[..]), (Some("close"), &b"/early"[..]));
    peer.close_sending();
    peer.assert_closed();
}

#[test]
fn a_malformed_body_is_answered_once_and_nothing_behind_it() {
    let server = mirror(options());
    for chunks in ["0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX", "5\nhello", "0\r\nX y\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n"]
    {
        let mut peer = Peer::connect(&server);
        peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        peer.send("GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = peer.answer();
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{chunks:?}");
        peer.close_sending();
        peer.assert_closed();
    }
}

#[test]
fn a_body_has_a_limit() {
    let server = mirror(Options { body_bytes_max: 10, ..options() });
    for body in
        ["Content-Length: 11\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n"]
    {
        let mut peer = Peer::connect(&server);
        let answer = peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}")).answer();
        assert_eq!((answer.status, answer.field("connection")), (413, Some("close")), "{body:?}");
    }
    let mut peer = Peer::connect(&server);
    assert_eq!(peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789").answer().status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = mirror(Options { body_timeout: Duration::from_millis(50), ..options() });
    let mut peer = Peer::connect(&server);
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    let answer = peer.answer();
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    peer.close_sending();
    peer.assert_closed();
}

/// Says what a handler came to, also if it is dropped.
struct Report(mpsc::Sender<Option<Result<Bytes, UploadError>>>);

impl Drop for Report {
    fn drop(&mut self) {
        let _ = self.0.send(Some(Err(UploadError::Cut)));
    }
}

#[test]
fn a_client_that_leaves_cuts_its_body() {
    let (told, hears) = mpsc::channel();
    let told = parking_lot::Mutex::new(told);
    let server = start(options(), move |_, _| {
        let report = Report(told.lock().clone());
        Answer::reads(move |mut upload| async move {
            // Either this future is dropped while it waits, or it is told that the rest does not come.
            for _ in 0..2 {
                let piece = upload.next().await;
                let _ = report.0.send(piece);
            }
            text(b"")
        })
    });
    let mut peer = Peer::connect(&server);
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(hears.recv_timeout(DEADLINE).unwrap(), Some(Ok(Bytes::from_static(b"01234"))));
    drop(peer);
    assert_eq!(hears.recv_timeout(DEADLINE).unwrap(), Some(Err(UploadError::Cut)), "a part was taken for the whole");
    eventually("the end of the connection", || server.counters().connections.load(Relaxed) == 0);
}

#[test]
fn a_handler_that_takes_nothing_holds_the_client_back() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = start(options(), move |_, _| {
        let mut released = released.clone();
        Answer::reads(move |mut upload| async move {
            released.wait_for(|released| *released).await.unwrap();
            let mut len = 0;
            while let Some(Ok(piece)) = upload.next().await {
                len += piece.len();
            }
            text(len.to_string().as_bytes())
        })
    });
    let mut peer = Peer::connect(&server);
    peer.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"));
    if super::OVER_TLS {
        // Half a record cannot be continued: the plain side shows it.
        return;
    }
    let (piece, mut sent) = (vec![b'x'; 1 << 20], 0);
    peer.socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while sent < LARGE {
        match peer.socket.write(&piece[..piece.len().min(LARGE - sent)]) {
            Ok(len) => sent += len,
            Err(_) => break,
        }
    }
    assert!(sent < LARGE, "all of it was taken in by nobody");
    peer.socket.set_write_timeout(None).unwrap();
    release.send(true).unwrap();
    peer.socket.write_all(&vec![b'x'; LARGE - sent]).unwrap();
    assert_eq!(peer.answer().body, LARGE.to_string().into_bytes());
}
