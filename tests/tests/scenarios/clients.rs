//! Clients as the whole proxy sees them: behind other proxies, not allowed, plain where TLS is wanted, and slow on purpose.

use std::time::Duration;

use harness::{
    KIB, MIB,
    client::{Ask, Connection},
    content::Content,
    program::address_in,
    proxy::Proxy,
    script::Page,
    secure::Certificate,
    upstream::ScriptedUpstream,
    wait,
};

use crate::proxy;

fn published(content: &Content) -> ScriptedUpstream {
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(content));
    upstream
}

/// Asks for the file as somebody behind a proxy.
fn ask_for(client: &str) -> Ask {
    Ask::get("/file").field("X-Forwarded-For", client)
}

#[test]
fn clients_behind_a_proxy_are_told_apart() {
    let content = Content::random(1, 32 * MIB);
    let upstream = published(&content);
    let setup = proxy().upstream("/", &upstream.url()).serve("max_requesters = 1").serve("requesters_by = \"address\"");
    let proxy = setup.serve("trusted = [\"127.0.0.0/8\"]").serve("client_from = \"x-forwarded-for\"").start();
    proxy.get("/file").expect(&content);
    wait::until_true("the place is given back", || proxy.requesters() == 0);
    let mut first = ask_for("192.0.2.1").open(proxy.files());
    first.take(MIB);
    // The same machine may have more of it, another one finds no place; and nobody pretends to be somebody else.
    assert_eq!(ask_for("6.6.6.6, 192.0.2.1").open(proxy.files()).status, 200);
    for other in ["192.0.2.2", "192.0.2.1, 192.0.2.2"] {
        assert_eq!(ask_for(other).open(proxy.files()).status, 503, "{other}");
    }
}

#[test]
fn who_is_not_allowed_gets_403_however_it_comes() {
    let content = Content::random(2, 10 * KIB);
    let upstream = published(&content);
    let setup = proxy().upstream("/", &upstream.url()).access("allow = [\"192.0.2.0/24\"]");
    let proxy = setup.serve("trusted = [\"127.0.0.0/8\"]").serve("proxy_protocol = \"optional\"").start();
    assert_eq!(proxy.get("/file").expect_status(403).problem(), "not-allowed");
    assert_eq!(upstream.gets("/file"), 0);
    assert_eq!(proxy.number("/requests/refused_access"), 1);
    for (client, status) in [("192.0.2.7", 200), ("203.0.113.7", 403)] {
        let mut connection = Connection::open(proxy.files());
        connection.send(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n").as_bytes());
        connection.ask(&Ask::get("/file")).rest().expect_status(status);
    }
    // Whoever can reach the admin interface is let in by its address, not by this list.
    Ask::get("/healthz").fetch(proxy.admin()).expect_status(200);
}

#[test]
fn everything_plain_is_sent_on_to_tls() {
    let content = Content::random(3, 10 * KIB);
    let upstream = published(&content);
    let setup = proxy().upstream("/", &upstream.url());
    let certificate = Certificate::make(setup.directory());
    let mut proxy = setup
        .tls("listen = [\"127.0.0.1:0\"]")
        .tls("redirect = [\"127.0.0.1:0\"]")
        .tls("hsts = \"1h\"")
        .tls(&format!("certificate = \"{}\"", certificate.file.display()))
        .tls(&format!("key = \"{}\"", certificate.key.display()))
        .start();
    let secure = proxy.secure_files();
    let sends_on = |line: &str| line.contains("which sends on to https").then(|| address_in(line)).flatten();
    let redirect = proxy.program().find_line("the address that sends on", sends_on);
    let answer = Ask::get("/file?a=%20b").field("Host", "branch.example:80").fetch(redirect).expect_status(308);
    assert_eq!(answer.field("Location"), Some(&*format!("https://branch.example:{}/file?a=%20b", secure.port())));
    assert_eq!(answer.field("Strict-Transport-Security"), None);
    let (head, body) = certificate.believer().get(secure, "/file", "").unwrap();
    assert!(head.contains("Strict-Transport-Security: max-age=3600") && body == *content.bytes(), "{head}");
    assert_eq!(proxy.get("/file").expect(&content).field("Strict-Transport-Security"), None);
}

#[test]
fn a_stranger_s_slow_reads_do_not_keep_a_place() {
    let content = Content::random(4, 64 * MIB);
    let upstream = published(&content);
    let setup = proxy().upstream("/", &upstream.url()).serve("max_requesters = 1");
    let proxy = setup.serve("min_send_rate = \"4MiB/s\"").serve("rate_window = \"1s\"").start();
    proxy.get("/file").expect(&content);
    wait::until_true("the place is given back", || proxy.requesters() == 0);
    let mut stranger = proxy.open("/file");
    assert_eq!(stranger.status, 200);
    assert_eq!(proxy.open("/file").status, 503);
    wait::until_true("somebody else has a place", || {
        // It takes what it has in memory, byte by byte, and is never quite silent.
        stranger.take(1);
        proxy.open("/file").status == 200
    });
    assert_eq!(proxy.number("/requests/too_slow"), 1);
}

/// Processor time of the proxy.
fn processor_seconds(proxy: &Proxy) -> f64 {
    let status = proxy.status();
    let of = |pointer: &str| status.pointer(pointer).and_then(serde_json::Value::as_f64).expect("a number");
    of("/process/cpu_user_seconds") + of("/process/cpu_system_seconds")
}

#[test]
fn hostile_clients_cost_nothing_while_they_wait_and_leave_nothing() {
    let content = Content::random(5, 8 * MIB);
    let upstream = published(&content);
    let setup =
        proxy().upstream("/", &upstream.url()).tls("listen = [\"127.0.0.1:0\"]").tls("handshake_timeout = \"4s\"");
    let setup = setup.serve("header_timeout = \"4s\"").serve("body_timeout = \"4s\"").serve("send_timeout = \"4s\"");
    let setup = setup.serve("idle_timeout = \"4s\"").serve("max_requesters = 0");
    let state = setup.directory().join("state");
    let proxy = setup.tls(&format!("state_dir = \"{}\"", state.display())).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let before = proxy.number("/process/resident_bytes");
    let attacks: &[(bool, &[u8])] = &[
        (false, b""),
        (false, b"GET / HTTP/1.1\r\nHost: a\r\nX-"),
        (false, b"PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx"),
        (false, b"PUT /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx"),
        (false, b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"),
        (false, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        (true, b""),
        (true, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (true, b"\x16\x03\x01\x00\x05\x01\x00\x00"),
    ];
    let mut hostile = Vec::new();
    for (secure, bytes) in attacks.iter().cycle().take(attacks.len() * 30) {
        let mut connection = Connection::open(if *secure { proxy.secure_files() } else { proxy.files() });
        connection.send(bytes);
        hostile.push(connection);
    }
    wait::until_true("all are here", || proxy.number("/connections") >= hostile.len() as u64 / 2);
    // While they wait the processor is at rest: what turned in a circle would take all of this second.
    let begun = processor_seconds(&proxy);
    wait::pause(Duration::from_secs(1));
    let spent = processor_seconds(&proxy) - begun;
    assert!(spent < 0.5, "{spent} s of processor time in a second of waiting");
    proxy.get("/file").expect(&content);
    wait::until_true("all of them are ended", || proxy.number("/connections") == 0);
    assert_eq!(proxy.number("/transfers"), 0);
    let after = proxy.number("/process/resident_bytes");
    assert!(after < before + 64 * MIB, "{before} bytes of memory became {after}");
    drop(hostile);
    let begun = processor_seconds(&proxy);
    wait::pause(Duration::from_secs(1));
    let spent = processor_seconds(&proxy) - begun;
    assert!(spent < 0.5, "{spent} s of processor time in a second without clients");
}
