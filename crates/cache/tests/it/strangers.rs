//! Web servers that break the rules of messages: what they send is no answer, or ends where the rules say, and never becomes the answer to another
//! request.

use std::{io::Write, sync::Mutex};

use crate::{
    client::{ask, get, get_with, head},
    origin::Origin,
    proxy::{Proxy, eventually},
};

/// What a server writes when it is asked for a path.
fn saying(answers: Vec<(&'static str, String)>) -> (Origin, Proxy) {
    let answers = Mutex::new(answers);
    let origin = Origin::start(move |request, stream| {
        let answers = answers.lock().unwrap();
        let found = answers.iter().find(|(path, _)| request.target == *path);
        let text = found.map_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", |(_, text)| text);
        let _ = stream.write_all(text.as_bytes());
    });
    let proxy = Proxy::of(&origin.url());
    (origin, proxy)
}

#[test]
fn an_answer_that_can_be_understood_in_two_ways_is_none() {
    let bad = [
        "HTTP/1.1 099 Odd\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 abc OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "ICY 200 OK\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /b\r\nTransfer-Encoding: xchunked\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/9\r\nContent-Length: 1\r\n\r\nx",
    ];
    for text in bad {
        let text = text.replacen("\r\n", "\r\nCache-Control: max-age=3600\r\n", 1);
        let (origin, proxy) = saying(vec![("/a", text.clone())]);
        get(proxy.address(), "/a").expect_problem(502, "upstream-invalid");
        get(proxy.address(), "/a").expect_problem(502, "upstream-invalid");
        assert!(origin.requests().len() >= 2, "it was kept: {text:?}");
        proxy.expect_objects(0);
    }
}

#[test]
fn a_body_with_bad_chunks_is_cut_and_not_kept() {
    let bad =
        ["0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "g\r\n", "FFFFFFFFFFFFFFFFF\r\nhello", "5\r\nhel"];
    for chunks in bad {
        let text =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let (_origin, proxy) = saying(vec![("/a", text)]);
        let answer = get(proxy.address(), "/a");
        assert!(answer.status >= 500 || !answer.is_whole, "{chunks:?}: {answer:?}");
        proxy.expect_no_fills();
        proxy.expect_objects(0);
    }
}

#[test]
fn answers_without_a_body_have_none_whatever_their_fields_say() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let (origin, proxy) = saying(vec![
        ("/204", format!("HTTP/1.1 204 No Content\r\nContent-Length: {}\r\n\r\n{evil}", evil.len())),
        ("/304", format!("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n{evil}")),
        (
            "/head",
            format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n{evil}", evil.len()),
        ),
        (
            "/100",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        ),
    ]);
    for round in 0..3 {
        let answer = get(proxy.address(), "/204");
        assert!(answer.body.is_empty() && answer.status == 204, "{round}: {answer:?}");
        let answer = get_with(proxy.address(), "/304", &[("If-None-Match", "\"x\"")]);
        answer.expect_problem(502, "upstream-invalid");
        let answer = head(proxy.address(), "/head");
        assert!(answer.body.is_empty() && answer.status == 200, "{round}: {answer:?}");
        assert_eq!(get(proxy.address(), "/nothing").status, 404, "{round}: what was owed answered another request");
        assert_eq!(get(proxy.address(), "/100").text(), "ok");
    }
    drop(origin);
}

#[test]
fn a_connection_that_said_too_much_is_not_used_again() {
    // One connection for as long as the proxy likes it; each request gets the answer that its number says.
    let origin = Origin::persistent(|number, request| match request.target.as_str() {
        "/more" => format!(
            "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil{number}"
        ),
        _ => "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\nright".to_owned(),
    });
    let proxy = Proxy::of(&origin.url());
    for _ in 0..20 {
        assert_eq!(get(proxy.address(), "/more").text(), "ok");
        assert_eq!(get(proxy.address(), "/right").text(), "right");
    }
}

#[test]
fn fields_that_a_request_nominates_are_dropped_but_never_those_that_matter() {
    let (origin, proxy) = saying(vec![("/a", "HTTP/1.1 200 OK\r\nConnection: content-type, x-hop, cache-control\r\nX-Hop: 1\r\nContent-Type: text/x\r\nCache-Control: no-store\r\nContent-Length: 1\r\n\r\nx".to_owned())]);
    let fields = [
        ("Connection", "close, Host, Content-Length, X-Auth, Via, Authorization, x-forwarded-for"),
        ("X-Auth", "1"),
        ("Authorization", "Basic eA=="),
        ("Content-Length", "0"),
    ];
    let answer = ask(proxy.address(), "POST", "/a", &fields).answer();
    assert_eq!(
        (answer.field("Content-Type"), answer.field("X-Hop"), answer.field("Cache-Control")),
        (Some("text/x"), None, Some("no-store"))
    );
    let asked = &origin.requests()[0];
    assert_eq!(asked.field("X-Auth"), None);
    assert!(
        ["Host", "Via", "Authorization", "X-Forwarded-For"].iter().all(|name| asked.field(name).is_some()),
        "{asked:?}"
    );
}

#[test]
fn no_upgrade_is_asked_for_and_none_is_given() {
    let (origin, proxy) = saying(vec![
        ("/a", "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok".to_owned()),
        ("/b", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nanything".to_owned()),
    ]);
    let fields = [("Connection", "upgrade"), ("Upgrade", "x"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")];
    assert_eq!(get_with(proxy.address(), "/a", &fields).text(), "ok");
    assert!(origin.requests().iter().all(|request| request.field("Upgrade").is_none()));
    let answer = get_with(proxy.address(), "/b", &fields);
    assert!(answer.status == 502, "{answer:?}");
}

#[test]
fn an_endless_head_is_no_answer() {
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 1\r\n\r\nx", "X: y\r\n".repeat(1000));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 1\r\n\r\nx", "y".repeat(1 << 20));
    let (_origin, proxy) = saying(vec![("/many", many), ("/large", large)]);
    for path in ["/many", "/large"] {
        assert_eq!(get(proxy.address(), path).status, 502, "{path}");
    }
    eventually("no fills", || proxy.cache.fills().is_empty());
}
