//! Who clients are, where proxies stand between; who of them is served, how many connections one has, and what is said to come over TLS.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use serve::{
    access_log::{AccessLog, Format},
    clients::{
        access::{Access, Rules},
        forwarded::Told,
        ranges::Ranges,
    },
    handler::Answer,
    options::{Clients, Options, ProxyHeader},
    server::Server,
};

use super::{OVER_TLS, options};
use crate::common::*;

fn loopback() -> Ranges {
    Ranges::new(vec!["127.0.0.0/8".parse().unwrap()])
}

/// A server that answers with the client's address, as these options have it.
fn who(clients: Clients) -> Server {
    start(Options { clients, ..options() }, |_, client| Answer::Now(text(client.address.to_string().as_bytes())))
}

/// With a header of the PROXY protocol, or not.
fn announced(proxy_header: ProxyHeader) -> Clients {
    Clients { trusted: loopback(), proxy_header, ..Clients::default() }
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";

/// Connects and sends these bytes before anything else.
fn after(first: &[u8], server: &Server) -> Peer {
    let mut peer = Peer::connect(server);
    peer.socket.write_all(first).unwrap();
    peer
}

#[test]
fn a_proxy_says_once_for_whom_it_connects() {
    let binary = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x27"[..],
        &"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        &[0; 16],
        &4711u16.to_be_bytes(),
        &443u16.to_be_bytes(),
        &[4, 0, 0],
    ]
    .concat();
    for mode in [ProxyHeader::Optional, ProxyHeader::Required] {
        let server = who(announced(mode));
        for (header, expected) in [(LINE, "192.0.2.1:4711"), (&binary, "[2001:db8::1]:4711")] {
            let mut peer = after(header, &server);
            for _ in 0..2 {
                assert_eq!(String::from_utf8(peer.get("/").body).unwrap(), expected);
            }
            // However its bytes come.
            let mut peer = Peer::connect(&server);
            for byte in header {
                peer.socket.write_all(&[*byte]).unwrap();
            }
            assert_eq!(String::from_utf8(peer.get("/").body).unwrap(), expected);
        }
        // For itself.
        let mut peer = after(b"PROXY UNKNOWN\r\n", &server);
        assert!(peer.get("/").body.starts_with(b"127.0.0.1:"));
    }
}

#[test]
fn who_says_nothing_is_a_client_or_closed() {
    let server = who(announced(ProxyHeader::Optional));
    let mut peer = Peer::connect(&server);
    assert!(peer.get("/").body.starts_with(b"127.0.0.1:"));
    let server = who(announced(ProxyHeader::Required));
    for first in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"PROXY nonsense\r\n"] {
        let mut socket = TcpStream::connect(Peer::address(&server)).unwrap();
        socket.write_all(first).unwrap();
        let mut answer = Vec::new();
        // A reset, for what was sent is not read; nothing else.
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{first:?}");
    }
    assert_eq!(server.counters().malformed.load(Relaxed), 3);
}

#[test]
fn nobody_else_is_believed() {
    let elsewhere = Ranges::new(vec!["192.0.2.0/24".parse().unwrap()]);
    for proxy_header in [ProxyHeader::Off, ProxyHeader::Required] {
        let server = who(Clients { trusted: elsewhere.clone(), proxy_header, ..Clients::default() });
        assert!(Peer::connect(&server).get("/").body.starts_with(b"127.0.0.1:"));
        let mut socket = TcpStream::connect(Peer::address(&server)).unwrap();
        socket.write_all(&[LINE, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn a_header_that_does_not_come_to_its_end_is_not_waited_for() {
    let timeouts = Options { header_timeout: Duration::from_millis(60), ..options() };
    for (mode, sent) in
        [(ProxyHeader::Required, &b""[..]), (ProxyHeader::Required, b"PROX"), (ProxyHeader::Optional, b"PROXY TCP4 ")]
    {
        let server = echo(Options { clients: announced(mode), ..timeouts.clone() });
        let mut socket = TcpStream::connect(Peer::address(&server)).unwrap();
        socket.write_all(sent).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{sent:?}");
        // One that is cut off is not waited for either.
        let mut socket = TcpStream::connect(Peer::address(&server)).unwrap();
        socket.write_all(b"PROXY").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut answer);
        eventually("all closed", || server.counters().connections.load(Relaxed) == 0);
    }
}

#[test]
fn a_field_of_a_proxy_names_the_client_of_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&path, Format::Combined).unwrap();
    let clients = Clients { trusted: loopback(), told: Told::XForwardedFor, ..Clients::default() };
    let server = start_logged(Options { clients, ..options() }, Some(log.clone()), |_, client| {
        let body = client.address.to_string();
        Answer::later(async move { text(body.as_bytes()) })
    });
    let mut peer = Peer::connect(&server);
    let mut ask = |field: &str| {
        peer.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n"));
        String::from_utf8(peer.answer().body).unwrap()
    };
    assert_eq!(ask("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 127.0.0.9\r\n"), "192.0.2.1:0");
    assert!(ask("Forwarded: for=6.6.6.6\r\n").starts_with("127.0.0.1:"));
    assert!(ask("").starts_with("127.0.0.1:"));
    wait(server.drain());
    drop((server, log));
    let text = std::fs::read_to_string(&path).unwrap();
    let logged: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(logged, ["192.0.2.1", "127.0.0.1", "127.0.0.1"]);
}

#[test]
fn who_is_not_allowed_is_told_so() {
    let clients = |allowed: &str| Clients {
        trusted: loopback(),
        told: Told::Forwarded,
        access: Access { allow: Rules::new(&[allowed.parse().unwrap()]), ..Access::default() },
        ..Clients::default()
    };
    let server = who(clients("192.0.2.0/24"));
    let mut peer = Peer::connect(&server);
    let answer = peer.get("/");
    assert_eq!(answer.status, 403);
    assert!(String::from_utf8(answer.body).unwrap().contains("urn:outpost:problem:not-allowed"));
    // The connection goes on: the next request may be somebody else's.
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=192.0.2.77\r\n\r\n");
    assert_eq!(peer.answer().status, 200);
    assert_eq!(Peer::connect(&who(clients("127.0.0.1/32"))).get("/").status, 200);
    assert_eq!(server.counters().refused_access.load(Relaxed), 1);
}

#[test]
fn rules_that_are_replaced_hold_on_connections_that_are_there() {
    let rules = |text: &str| Rules::new(&[text.parse().unwrap()]);
    let server = who(Clients::default());
    let mut peer = Peer::connect(&server);
    assert_eq!(peer.get("/").status, 200);
    server.replace_access(Access { allow: rules("127.0.0.0/8"), deny: rules("127.0.0.1-127.0.0.9") });
    let refused = peer.get("/");
    assert_eq!(refused.status, 403);
    assert!(String::from_utf8(refused.body).unwrap().contains("in access.deny"));
    // Nobody's network card is known here: that of this machine is none.
    server.replace_access(Access { allow: rules("52:54:00:00:00:01"), ..Access::default() });
    let refused = peer.get("/");
    assert!(refused.status == 403 && String::from_utf8(refused.body).unwrap().contains("access.allow"));
    server.replace_access(Access { deny: rules("52:54:00:00:00:01"), ..Access::default() });
    assert_eq!(peer.get("/").status, 200);
}

#[test]
fn a_client_has_so_many_connections_and_no_more() {
    let server = echo(Options { connections_per_client_max: 2, ..options() });
    let mut peers = [Peer::connect(&server), Peer::connect(&server)];
    peers.iter_mut().for_each(|peer| assert_eq!(peer.get("/").status, 200));
    let mut refused = Peer::connect(&server);
    if OVER_TLS {
        assert!(refused.rest_or_reset().is_err());
    } else {
        let answer = refused.answer();
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert!(String::from_utf8(answer.body).unwrap().contains("connections_per_client_max"));
    }
    let counters = server.counters();
    assert_eq!((counters.refused_client.load(Relaxed), counters.refused.load(Relaxed)), (1, 0));
    // Another address is another client.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&Peer::address(&server).into()).unwrap();
    eventually("its connection", || counters.connections.load(Relaxed) == 3);
    let [first, _second] = peers;
    drop(first);
    eventually("a free place", || counters.connections.load(Relaxed) == 2);
    assert_eq!(Peer::connect(&server).get("/").status, 200);
}

#[test]
fn a_proxy_s_clients_are_counted_one_by_one() {
    let clients = announced(ProxyHeader::Optional);
    let server = echo(Options { connections_per_client_max: 1, clients, ..options() });
    // Without a header a trusted proxy is not counted.
    let mut own = [Peer::connect(&server), Peer::connect(&server)];
    own.iter_mut().for_each(|peer| assert_eq!(peer.get("/").status, 200));
    let mut first = after(LINE, &server);
    assert_eq!(first.get("/").status, 200);
    let mut second = after(LINE, &server);
    if OVER_TLS {
        assert!(second.shake_hands().is_err());
    } else {
        assert_eq!(second.answer().status, 503);
    }
    let mut other = after(b"PROXY TCP4 192.0.2.2 198.51.100.2 4711 443\r\n", &server);
    assert_eq!(other.get("/").status, 200);
    drop(first);
    eventually("a free place", || {
        after(LINE, &server).shake_hands().is_ok() && server.counters().connections.load(Relaxed) <= 4
    });
}
