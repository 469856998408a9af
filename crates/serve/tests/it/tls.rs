//! What only TLS has: handshakes that come about, are taken up again, or fail; records; identities.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustls::{HandshakeKind, version::TLS12, version::TLS13};
use serve::{
    handler::Answer,
    options::Options,
    response::Body,
    server::Server,
    tls::{Identity, IdentityError, Kernel},
};

use crate::common::{tls::Files, *};

/// Options with TLS beside plain, as who these files say.
fn with(files: &Files) -> Options {
    Options { tls: files.options(), ..options() }
}

/// A raw connection to where TLS is spoken.
fn raw(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.tls_addresses()[0]).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn everything(mut socket: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset behind the bytes is an end like another.
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

fn failed(server: &Server) -> u64 {
    server.counters().handshakes_failed.load(Relaxed)
}

#[test]
fn plain_and_tls_are_served_side_by_side() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    assert_eq!(Peer::connect(&server).get("/plain").body, b"/plain");
    for version in [&TLS12, &TLS13] {
        let mut peer = Peer::connect_tls(&server, &files.trusting_with(&[version]));
        assert_eq!(peer.get("/secure").body, b"/secure");
        let session = &peer.session().0;
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn with_or_without_the_kernel_s_help_answers_are_right() {
    let files = Files::new("localhost");
    let mut options = with(&files);
    options.tls.kernel = Kernel::Auto;
    let server = echo(options);
    for version in [&TLS12, &TLS13] {
        let mut peer = Peer::connect_tls(&server, &files.trusting_with(&[version]));
        assert_eq!((peer.get("/a").body, peer.get("/b").body), (b"/a".to_vec(), b"/b".to_vec()));
    }
}

#[test]
fn a_client_takes_up_its_earlier_session() {
    let files = Files::new("localhost");
    // Two workers: what one began the other takes up.
    let server = echo(Options { workers: 2, ..with(&files) });
    for version in [&TLS12, &TLS13] {
        let config = files.trusting_with(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut peer = Peer::connect_tls(&server, &config);
            assert_eq!(peer.get("/").status, 200);
            kinds.push(peer.session().0.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed], "{version:?}");
    }
    let counters = server.counters();
    assert_eq!((counters.handshakes_full.load(Relaxed), counters.handshakes_resumed.load(Relaxed)), (2, 4));
}

#[test]
fn http_where_tls_is_spoken_is_told_so() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    let mut socket = raw(&server);
    socket.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let text = String::from_utf8(everything(socket)).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("Connection: close"), "{text}");
    assert!(text.contains("https://"), "{text}");
    assert_eq!(failed(&server), 1);
}

#[test]
fn garbage_is_answered_by_an_alert_and_a_close() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    for garbage in [
        // A handshake record with a message that is none, an alert, an unknown type, a record that is too long.
        &[22, 3, 1, 0, 5, 99, 0, 0, 1, 0][..],
        &[23, 3, 3, 0, 2, 1, 1],
        &[200, 3, 3, 0, 1, 0],
        &[22, 3, 1, 0xff, 0xff, 1, 0, 0, 0],
    ] {
        let before = failed(&server);
        let mut socket = raw(&server);
        socket.write_all(garbage).unwrap();
        let answer = everything(socket);
        // A fatal alert, in plain: there are no keys yet.
        assert!(answer.len() == 7 && answer[0] == 21 && answer[5] == 2, "{garbage:?}: {answer:?}");
        eventually("the count of it", || failed(&server) == before + 1);
    }
    eventually("all closed", || server.counters().connections.load(Relaxed) == 0);
}

#[test]
fn a_client_without_a_protocol_in_common_is_refused() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    let mut config = (*files.trusting()).clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let mut peer = Peer::connect_tls(&server, &Arc::new(config));
    let error = peer.shake_hands().unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    eventually("the count of it", || failed(&server) == 1);
}

#[test]
fn a_handshake_that_does_not_go_on_is_ended() {
    let files = Files::new("localhost");
    let mut options = with(&files);
    options.tls.handshake_timeout = Duration::from_millis(60);
    let server = echo(options);
    let mut hello = Vec::new();
    tls::Client::new(&files.trusting()).0.write_tls(&mut hello).unwrap();
    // Silent, in the middle of its first message, before its last one, and not TLS at all.
    for sent in [&[][..], &hello[..hello.len() / 2], &hello, b"GE"] {
        let before = failed(&server);
        let mut socket = raw(&server);
        socket.write_all(sent).unwrap();
        let answer = everything(socket);
        assert_eq!(answer.starts_with(b"HTTP/1.1 400 "), sent == b"GE", "{sent:?}: {answer:?}");
        eventually("the count of it", || failed(&server) == before + 1);
    }
    // What follows a handshake has its own limits.
    let mut peer = Peer::connect_tls(&server, &files.trusting());
    assert_eq!(peer.get("/").status, 200);
}

#[test]
fn slow_bytes_do_not_prolong_the_time_for_a_handshake() {
    let files = Files::new("localhost");
    let mut options = with(&files);
    options.tls.handshake_timeout = Duration::from_millis(100);
    let server = echo(options);
    let mut hello = Vec::new();
    tls::Client::new(&files.trusting()).0.write_tls(&mut hello).unwrap();
    let mut socket = raw(&server);
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = std::time::Instant::now();
    let mut bytes = hello[..hello.len() - 1].iter();
    // A byte now and then, until the server has had enough.
    while socket.peek(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
        assert!(begun.elapsed() < DEADLINE);
        if let Some(byte) = bytes.next() {
            let _ = socket.write(&[*byte]);
        }
    }
    assert_eq!(failed(&server), 1);
}

#[test]
fn a_client_that_leaves_in_its_handshake_or_in_a_body_is_noticed() {
    let files = Files::new("localhost");
    let body = bytes::Bytes::from(vec![7; 64 << 20]);
    let server = start(with(&files), move |_, _| {
        let mut response = text(b"");
        response.body = Body::Memory(body.clone());
        Answer::Now(response)
    });
    drop(raw(&server));
    eventually("the end of a handshake", || failed(&server) == 1);
    let mut peer = Peer::connect_tls(&server, &files.trusting());
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.take(100_000);
    drop(peer);
    eventually("the end of a transfer", || server.counters().aborted.load(Relaxed) == 1);
    eventually("all closed", || server.counters().connections.load(Relaxed) == 0);
    assert!(server.counters().bytes_sent.load(Relaxed) < 64 << 20);
}

#[test]
fn a_record_that_was_changed_on_the_way_ends_the_connection() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    let mut peer = Peer::connect_tls(&server, &files.trusting());
    assert_eq!(peer.get("/").status, 200);
    let session = &mut peer.session().0;
    session.writer().write_all(b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut record = Vec::new();
    session.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    peer.socket.write_all(&record).unwrap();
    let error = peer.rest_or_reset().unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    assert_eq!(server.counters().requests.load(Relaxed), 1);
}

#[test]
fn a_request_that_is_cut_off_is_not_answered() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    for said in [false, true] {
        let mut peer = Peer::connect_tls(&server, &files.trusting());
        peer.send("GET /cut HTTP/1.1\r\nHost: a\r\n");
        if said {
            peer.close_sending();
        } else {
            peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        peer.assert_closed();
    }
    assert_eq!(server.counters().requests.load(Relaxed), 0);
}

#[test]
fn an_idle_connection_is_told_its_end() {
    let files = Files::new("localhost");
    let server = echo(Options { idle_timeout: Duration::from_millis(60), ..with(&files) });
    let mut peer = Peer::connect_tls(&server, &files.trusting());
    assert_eq!(peer.get("/").status, 200);
    assert_eq!(peer.rest_or_reset().unwrap(), b"");
}

#[test]
fn drain_ends_handshakes_and_says_the_end_to_the_idle() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    let begun = raw(&server);
    let mut idle = Peer::connect_tls(&server, &files.trusting());
    assert_eq!(idle.get("/").status, 200);
    assert_eq!(wait(server.drain()), 0);
    assert_eq!(idle.rest_or_reset().unwrap(), b"");
    assert_eq!(everything(begun), b"");
}

#[test]
fn records_are_full_and_small_answers_take_one_each() {
    let files = Files::new("localhost");
    let server = start(with(&files), |request, _| {
        let len: usize = std::str::from_utf8(&request.target[1..]).unwrap().parse().unwrap();
        let mut response = text(b"");
        response.body = Body::Memory(pattern(len).into());
        Answer::Now(response)
    });
    let mut peer = Peer::connect_tls(&server, &files.trusting_with(&[&TLS13]));
    // The tickets come with the first answer.
    assert_eq!(peer.get("/1").status, 200);
    for len in [0usize, 1, 1000, 16 << 10, 100_000, 1 << 20] {
        let session = peer.session();
        session.0.writer().write_all(format!("GET /{len} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut request = Vec::new();
        session.0.write_tls(&mut request).unwrap();
        peer.socket.write_all(&request).unwrap();
        let (records, head) = read_records(&mut peer, len);
        // What a record holds: its length without the tag and the byte that tells its type.
        let held: Vec<usize> = records.iter().map(|len| len - 17).collect();
        assert_eq!(held.len(), (head + len).div_ceil(16 << 10), "{len}: {held:?}");
        assert!(held[..held.len() - 1].iter().all(|held| *held == 16 << 10), "{len}: {held:?}");
    }
}

/// Reads an answer record by record: the lengths of the records and of the head.
fn read_records(peer: &mut Peer, body: usize) -> (Vec<usize>, usize) {
    let (mut records, mut plain) = (Vec::new(), Vec::new());
    loop {
        let mut record = vec![0; 5];
        peer.socket.read_exact(&mut record).unwrap();
        let len = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(5 + len, 0);
        peer.socket.read_exact(&mut record[5..]).unwrap();
        records.push(len);
        let session = &mut peer.session().0;
        let mut rest = &record[..];
        while !rest.is_empty() {
            session.read_tls(&mut rest).unwrap();
            session.process_new_packets().unwrap();
            let mut piece = vec![0; 32 << 10];
            if let Ok(len) = session.reader().read(&mut piece) {
                plain.extend_from_slice(&piece[..len]);
            }
        }
        if let Some(end) = plain.windows(4).position(|window| window == b"\r\n\r\n")
            && plain.len() == end + 4 + body
        {
            assert!(plain[end + 4..] == pattern(body));
            return (records, end + 4);
        }
    }
}

#[test]
fn a_new_identity_is_seen_by_new_connections_only() {
    let files = Files::new("localhost");
    let server = echo(with(&files));
    let old = files.trusting_with(&[&TLS13]);
    let mut open = Peer::connect_tls(&server, &old);
    assert_eq!(open.get("/").status, 200);
    files.renew("localhost");
    server.replace_credentials(files.options().read().unwrap()).unwrap();
    assert_eq!(open.get("/").status, 200);
    assert_eq!(Peer::connect_tls(&server, &files.trusting()).get("/").status, 200);
    // A ticket is still good: the session was begun with the old one.
    assert_eq!(Peer::connect_tls(&server, &old).get("/").status, 200);
    let mut config = (*old).clone();
    config.resumption = rustls::client::Resumption::disabled();
    let error = Peer::connect_tls(&server, &Arc::new(config)).shake_hands().unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let (files, other) = (Files::new("localhost"), Files::new("localhost"));
    let absent = files.certificate().with_file_name("absent.pem");
    let empty = files.certificate().with_file_name("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let broken = files.certificate().with_file_name("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let sealed = files.certificate().with_file_name("sealed.pem");
    std::fs::write(&sealed, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    assert!(Identity::read(&files.certificate(), &files.key()).is_ok());
    for (certificate, key, named, expected) in [
        (absent.clone(), files.key(), &absent, "cannot read the certificate"),
        (files.certificate(), absent.clone(), &absent, "cannot read the key"),
        (empty.clone(), files.key(), &empty, "holds no usable certificate"),
        (files.key(), files.key(), &files.key(), "holds no usable certificate"),
        (files.certificate(), files.certificate(), &files.certificate(), "holds no usable private key"),
        (files.certificate(), sealed.clone(), &sealed, "holds no usable private key"),
        (broken.clone(), files.key(), &broken, "the first certificate"),
        (files.certificate(), other.key(), &other.key(), "does not belong to"),
    ] {
        let error = Identity::read(&certificate, &key).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains(&*named.to_string_lossy()), "{message}");
        assert!(!error.advice().is_empty());
    }
    assert!(matches!(serve::tls::Options::default().read(), Err(IdentityError::Missing)));
    let mut options = with(&files);
    options.tls.key = Some(other.key());
    let handler = Answers(Box::new(|_, _| Answer::Now(text(b""))));
    let error = Server::start(options, Arc::new(handler), None).err().unwrap();
    assert!(error.to_string().contains("does not belong to"), "{error}");
}
