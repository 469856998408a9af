//! The way to TLS: an address that only sends on, and what browsers are told.

use std::time::Duration;

use serve::{handler::Answer, options::Options, server::Server};

use crate::common::{tls::Files, *};

fn server(files: &Files, redirect_port: u16, strict: Duration) -> Server {
    let any = vec![([127, 0, 0, 1], 0).into()];
    let tls = serve::tls::Options { redirect: any, redirect_port, strict, ..files.options() };
    start(Options { tls, ..options() }, |request, _| match request.target {
        b"/later" => Answer::later(async { text(b"later") }),
        _ => Answer::Now(text(b"now")),
    })
}

#[test]
fn everything_is_sent_on_to_tls() {
    let files = Files::new("localhost");
    let server = server(&files, 0, Duration::ZERO);
    let mut peer = Peer::connect_to(server.redirect_addresses()[0]);
    let port = server.tls_addresses()[0].port();
    for (request, expected) in [
        (
            "GET /a%20b?c=d HTTP/1.1\r\nHost: files.example:80\r\n\r\n",
            format!("https://files.example:{port}/a%20b?c=d"),
        ),
        ("HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n", format!("https://[::1]:{port}/")),
        ("DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", format!("https://a:{port}/x")),
    ] {
        let answer = peer.send(request).answer();
        assert_eq!((answer.status, answer.field("location")), (308, Some(expected.as_str())), "{request}");
    }
    assert_eq!(peer.send("GET / HTTP/1.0\r\n\r\n").answer().status, 400);
    let server = self::server(&files, 443, Duration::ZERO);
    let answer = Peer::connect_to(server.redirect_addresses()[0]).get("/");
    assert_eq!(answer.field("location"), Some("https://test/"));
}

#[test]
fn only_who_came_over_tls_is_told_to_stay_there() {
    let files = Files::new("localhost");
    let strict = server(&files, 0, Duration::from_secs(3600));
    for target in ["/now", "/later"] {
        let over_tls = Peer::connect_tls(&strict, &files.trusting()).get(target);
        assert_eq!(over_tls.field("strict-transport-security"), Some("max-age=3600"), "{target}");
        assert_eq!(Peer::connect(&strict).get(target).field("strict-transport-security"), None);
    }
    assert_eq!(Peer::connect_to(strict.redirect_addresses()[0]).get("/").field("strict-transport-security"), None);
    let lax = server(&files, 0, Duration::ZERO);
    assert_eq!(Peer::connect_tls(&lax, &files.trusting()).get("/").field("strict-transport-security"), None);
}
