//! Clients that are slow on purpose: each holds what it holds for as long as its limit says, and no longer.

use std::{
    io::Read,
    net::TcpStream,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};

use serve::{
    handler::Answer,
    options::Options,
    response::{Body, Hold},
    server::Server,
};

use super::options;
use crate::common::*;

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A server that answers with a large body, and tells when it is done with one.
fn large(options: Options) -> (Server, mpsc::Receiver<()>) {
    let (told, done) = mpsc::channel();
    let told = parking_lot::Mutex::new(told);
    let body = bytes::Bytes::from(vec![7; 16 << 20]);
    let server = start(options, move |_, _| {
        let mut response = text(b"");
        response.body = Body::Memory(body.clone());
        response.hold = Some(Hold::new(parking_lot::Mutex::new(Told(told.lock().clone()))));
        Answer::Now(response)
    });
    (server, done)
}

/// Rates over a short window, and no other limit that a test could meet.
fn rates() -> Options {
    let hour = Duration::from_secs(3600);
    Options {
        rate_window: Duration::from_millis(400),
        min_send_rate: 8 << 20,
        min_body_rate: 1 << 20,
        send_timeout: hour,
        body_timeout: hour,
        ..options()
    }
}

/// Some time in which a client does nothing: a silent connection is the clock.
fn idle_a_while(silent: &TcpStream) {
    let mut byte = [0; 1];
    assert!(silent.peek(&mut byte).is_err(), "nobody says anything there");
}

fn silent(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(Peer::address(server)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(3))).unwrap();
    socket
}

#[test]
fn who_takes_a_byte_now_and_then_holds_its_place_for_a_while_only() {
    let (server, done) = large(rates());
    let (mut peer, silent) = (Peer::connect_narrow(&server), silent(&server));
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let begun = Instant::now();
    let mut byte = [0; 1];
    while done.try_recv().is_err() {
        assert!(begun.elapsed() < DEADLINE, "it goes on");
        idle_a_while(&silent);
        let _ = peer.socket.read(&mut byte);
    }
    eventually("the count of it", || server.counters().too_slow.load(Relaxed) == 1);
    assert_eq!(server.counters().aborted.load(Relaxed), 1);
}

#[test]
fn who_is_fast_enough_gets_everything() {
    let (server, done) = large(Options { min_send_rate: 1 << 10, ..rates() });
    let (mut peer, silent) = (Peer::connect_narrow(&server), silent(&server));
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // Slowly over several windows, but not too slowly.
    let begun = Instant::now();
    let mut taken = 0;
    while begun.elapsed() < Duration::from_millis(1500) {
        idle_a_while(&silent);
        taken += peer.take(4096).len();
    }
    assert!(done.try_recv().is_err());
    let rest = peer.rest();
    assert!(taken + rest.len() > 16 << 20, "{taken} and {}", rest.len());
    assert_eq!(server.counters().too_slow.load(Relaxed), 0);
}

#[test]
fn who_waits_for_others_is_not_slow() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = start(rates(), move |_, _| {
        let mut released = released.clone();
        Answer::later(async move {
            released.wait_for(|released| *released).await.unwrap();
            text(b"late")
        })
    });
    let (mut peer, silent) = (Peer::connect(&server), silent(&server));
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1000) {
        idle_a_while(&silent);
    }
    release.send(true).unwrap();
    assert_eq!(peer.answer().body, b"late");
    assert_eq!(server.counters().too_slow.load(Relaxed), 0);
}

#[test]
fn who_sends_a_byte_of_its_body_now_and_then_gets_408() {
    let server = start(rates(), |_, _| {
        Answer::Reads(Box::new(|mut upload| {
            Box::pin(async move {
                while let Some(Ok(_)) = upload.next().await {}
                text(b"read")
            })
        }))
    });
    let (mut peer, silent) = (Peer::connect(&server), silent(&server));
    peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    peer.socket.set_read_timeout(Some(Duration::from_millis(3))).unwrap();
    let begun = Instant::now();
    let mut byte = [0; 1];
    while peer.socket.peek(&mut byte).is_err() {
        assert!(begun.elapsed() < DEADLINE, "it goes on");
        idle_a_while(&silent);
        peer.send("x");
    }
    peer.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(peer.answer().status, 408);
    assert_eq!(server.counters().too_slow.load(Relaxed), 1);
}

#[test]
fn what_hostile_clients_leave_behind_is_nothing() {
    let (server, done) = large(Options { header_timeout: Duration::from_millis(60), ..rates() });
    let server = Arc::new(server);
    let mut hostile: Vec<Peer> = (0..60).map(|_| Peer::connect_narrow(&server)).collect();
    for (number, peer) in hostile.iter_mut().enumerate() {
        match number % 3 {
            0 => _ = peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => _ = peer.send("GET / HTTP/1.1\r\nHost: a\r\nX-"),
            _ => _ = peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"),
        }
    }
    // A probe is answered meanwhile.
    let mut probe = Peer::connect(&server);
    probe.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(probe.head().status, 200);
    drop(probe);
    eventually("everybody's end", || server.counters().connections.load(Relaxed) == 0);
    assert_eq!(server.counters().transfers.load(Relaxed), 0);
    drop((done, hostile));
}
