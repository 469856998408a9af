//! RFC 9111 between a scripted web server and real clients: which answers are kept, for whom, with which fields, and when they are asked for again.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use cache::options::Options;

use crate::{
    client::{Answer, Asked, ask, get, get_with, head},
    origin::{Gate, Origin, Request, reply},
    proxy::{Proxy, eventually, upstream},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

/// Answers each request with the target's words: a status and a line of fields, as `/404/Cache-Control: max-age=60`, and counts.
fn obliging() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |request, stream| {
        let number = (count.fetch_add(1, SeqCst) + 1).to_string();
        let target = request.target.replace("%20", " ").replace("%22", "\"").replace("%7C", "|");
        let mut words = target.trim_start_matches('/').splitn(2, '/');
        let status = format!("{} As Asked", words.next().unwrap());
        let lines = words.next().unwrap_or_default().split('|').filter_map(|line| line.split_once(": "));
        let mut fields: Vec<(&str, &str)> = lines.collect();
        let len = number.len().to_string();
        if !status.starts_with("204") {
            fields.push(("Content-Length", &len));
        }
        fields.push(("X-Number", &number));
        let body: &[u8] = if status.starts_with("204") { b"" } else { number.as_bytes() };
        reply(request, stream, &status, &fields, body);
    })
}

/// Asks twice. Whether the second answer is the first again.
fn is_kept(proxy: &Proxy, target: &str) -> bool {
    let target = target.replace(' ', "%20");
    let first = get(proxy.address(), &target);
    proxy.expect_no_fills();
    let second = get(proxy.address(), &target);
    assert_eq!(first.status, second.status, "{target}");
    assert_eq!(first.status.to_string(), target[1..4], "{target}");
    first.field("X-Number") == second.field("X-Number")
}

#[test]
fn a_status_is_kept_when_its_server_says_so() {
    let (origin, fresh) = (obliging(), "Cache-Control: max-age=60");
    let proxy = Proxy::of(&origin.url());
    for status in [200, 203, 204, 299, 301, 302, 307, 308, 400, 404, 410, 499, 500, 503, 599] {
        assert!(is_kept(&proxy, &format!("/{status}/{fresh}")), "{status}");
        // An error may be the fault of one request: no guess is made of it, and nobody gets it without asking.
        if status >= 300 {
            assert!(!is_kept(&proxy, &format!("/{status}")), "{status}");
        }
    }
    for fields in
        ["Cache-Control: no-store", "Cache-Control: private, max-age=60", "Set-Cookie: a=b|Cache-Control: max-age=60"]
    {
        assert!(!is_kept(&proxy, &format!("/404/{fields}")), "{fields}");
    }
    assert!(is_kept(&proxy, "/200/Cache-Control: no-store|CDN-Cache-Control: max-age=60"));
}

#[test]
fn a_kept_error_has_neither_ranges_nor_conditions() {
    let origin = obliging();
    let proxy = Proxy::of(&origin.url());
    let fields = [("Range", "bytes=0-0"), ("If-None-Match", "*")];
    for (status, with_range, with_condition) in [(404, 404, 404), (203, 203, 304), (200, 206, 304)] {
        let target = format!("/{status}/ETag:%20%22a%22|Cache-Control:%20max-age=60");
        get(proxy.address(), &target);
        proxy.expect_no_fills();
        assert_eq!(get_with(proxy.address(), &target, &fields[..1]).status, with_range, "{status}");
        assert_eq!(get_with(proxy.address(), &target, &fields[1..]).status, with_condition, "{status}");
    }
    assert_eq!(origin.asked().len(), 3);
}

#[test]
fn a_kept_redirect_leads_through_the_mount() {
    let origin = Origin::start(|request, stream| {
        reply(request, stream, "301 Moved", &[FRESH, ("Location", "/new"), ("Content-Length", "0")], b"");
    });
    let proxy = Proxy::with(Options::new(vec![upstream("/m", &origin.url())]));
    for _ in 0..2 {
        let answer = get(proxy.address(), "/m/old");
        assert_eq!((answer.status, answer.field("Location")), (301, Some("/m/new")));
        proxy.expect_no_fills();
    }
    assert_eq!(origin.asked().len(), 1);
}

fn ask_for(address: SocketAddr, count: usize, target: &str, fields: &[(&str, &str)]) -> Vec<Asked> {
    (0..count).map(|_| ask(address, "GET", target, fields)).collect()
}

#[test]
fn who_waits_for_what_is_missing_shares_one_question() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, stream| {
        held.wait();
        reply(request, stream, "404 Not Found", &[("Content-Length", "4"), ("X-Own", "1")], b"gone");
    });
    let proxy = Proxy::of(&origin.url());
    let asked = ask_for(proxy.address(), 20, "/none", &[]);
    let with_session = ask(proxy.address(), "GET", "/none", &[("Cookie", "id=alice")]);
    eventually("all who wait", || proxy.followers() == 21);
    gate.open();
    for asked in asked {
        let answer = asked.answer();
        assert_eq!((answer.status, answer.text().as_str(), answer.field("X-Own")), (404, "gone", Some("1")));
    }
    assert_eq!(with_session.answer().status, 404);
    assert_eq!(origin.asked().len(), 2, "who has a session asks for himself");
    assert_eq!(get(proxy.address(), "/none").status, 404);
    assert_eq!(origin.asked().len(), 3, "it is kept for nobody");
}

fn in_language(request: &Request) -> String {
    request.field("Accept-Language").unwrap_or("none").to_owned()
}

fn by_language(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, stream| {
        gate.wait();
        let language = in_language(request);
        let len = language.len().to_string();
        let fields = [FRESH, ("Vary", "Accept-Language"), ("Content-Length", &*len)];
        reply(request, stream, "200 OK", &fields, language.as_bytes());
    })
}

#[test]
fn who_waits_for_another_variant_gets_that_and_it_is_fetched_once() {
    let gate = Gate::default();
    let origin = by_language(&gate);
    let proxy = Proxy::of(&origin.url());
    let languages = ["de", "fr", "en"];
    let asked: Vec<_> = languages
        .iter()
        .map(|language| (*language, ask_for(proxy.address(), 5, "/a", &[("Accept-Language", language)])))
        .collect();
    eventually("fifteen who wait", || proxy.followers() == 15);
    gate.open();
    for (language, asked) in asked {
        asked.into_iter().for_each(|asked| _ = asked.answer().expect(language.as_bytes()));
    }
    assert_eq!(origin.asked().len(), languages.len());
}

#[test]
fn variants_outlive_a_restart_and_are_forgotten_together() {
    let gate = Gate::default();
    gate.open();
    let origin = by_language(&gate);
    let options = || Options::new(vec![upstream("/", &origin.url())]);
    let mut proxy = Proxy::with(options());
    let languages = ["de", "fr", "en"];
    let ask_all = |proxy: &Proxy| {
        for language in languages {
            get_with(proxy.address(), "/a", &[("Accept-Language", language)]).expect(language.as_bytes());
            proxy.expect_no_fills();
        }
        origin.requests().iter().filter(|request| request.method == "GET").count()
    };
    assert_eq!(ask_all(&proxy), 3);
    proxy = proxy.restart(options());
    assert_eq!(ask_all(&proxy), 3, "what was kept is known again");
    ask(proxy.address(), "POST", "/a", &[("Content-Length", "0")]).answer();
    assert_eq!(ask_all(&proxy), 6, "an unsafe method may have changed all of them");
    assert!(proxy.cache.purge_path("/a") && !proxy.cache.purge_path("/a"));
    assert_eq!(proxy.store.report().objects, 0);
    assert_eq!(ask_all(&proxy), 9);
}

#[test]
fn a_name_has_so_many_variants_and_no_more() {
    let gate = Gate::default();
    gate.open();
    let origin = by_language(&gate);
    let proxy = Proxy::of(&origin.url());
    let ask = |number: usize| {
        let language = format!("x-{number}");
        get_with(proxy.address(), "/a", &[("Accept-Language", &language)]).expect(language.as_bytes());
        proxy.expect_no_fills();
        origin.asked().len()
    };
    for number in 0..17 {
        assert_eq!(ask(number), number + 1);
    }
    assert_eq!(ask(16), 17, "the latest is here");
    assert_eq!(ask(1), 17, "so is the oldest that has a place");
    assert_eq!(ask(0), 18, "the one before gave its place away");
}

/// Says that its answers are stale, and may be given out while they are asked for.
fn stale(gate: &Gate) -> Origin {
    let (count, gate) = (AtomicUsize::new(0), gate.clone());
    Origin::start(move |request, stream| {
        let number = (count.fetch_add(1, SeqCst) + 1).to_string();
        if number != "1" {
            gate.wait();
        }
        let fields =
            [("Cache-Control", "max-age=60, stale-while-revalidate=3600"), ("Age", "100"), ("Content-Length", "1")];
        reply(request, stream, "200 OK", &fields, number.as_bytes());
    })
}

#[test]
fn what_may_be_stale_is_given_out_while_it_is_asked_for() {
    let gate = Gate::default();
    let origin = stale(&gate);
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"1");
    proxy.expect_no_fills();
    for _ in 0..5 {
        // Nobody waits, and one question goes for all.
        assert_eq!(get(proxy.address(), "/a").expect(b"1").cache_status(), "outpost; hit");
    }
    eventually("a question behind it", || origin.asked().len() == 2);
    gate.open();
    eventually("the new one", || get(proxy.address(), "/a").text() != "1");
}

#[test]
fn who_made_an_answer_and_when_is_told_as_it_was() {
    let origin = Origin::start(|request, stream| {
        let fields = [
            FRESH,
            ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
            ("Server", "mill/1"),
            ("Via", "1.1 other"),
            ("Age", "7"),
            ("Content-Length", "1"),
        ];
        reply(request, stream, "200 OK", &fields, b"x");
    });
    let proxy = Proxy::of(&origin.url());
    // Fetched, kept, passed.
    for session in [&[][..], &[], &[("Authorization", "Basic eA=="), ("Cache-Control", "no-cache")]] {
        let answer = get_with(proxy.address(), "/a", session);
        assert_eq!(answer.field("Date"), Some("Sat, 21 Nov 2026 10:00:00 GMT"));
        assert_eq!(answer.field("Server"), Some("mill/1"));
        assert_eq!(answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("date")).count(), 1);
        let via: Vec<_> = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("via")).collect();
        assert_eq!(via.len(), 2, "{via:?}");
        proxy.expect_no_fills();
    }
}

#[test]
fn who_says_who_he_is_takes_nothing_from_the_others() {
    let origin = Origin::start(|request, stream| {
        let (status, body) = if request.target == "/b" { ("404 Not Found", "none") } else { ("200 OK", "text") };
        reply(request, stream, status, &[FRESH, ("Content-Length", "4")], body.as_bytes());
    });
    let proxy = Proxy::of(&origin.url());
    for target in ["/a", "/b"] {
        get(proxy.address(), target);
        proxy.expect_no_fills();
        for fields in [("Authorization", "Basic eA=="), ("Cache-Control", "no-store")] {
            get_with(proxy.address(), target, &[fields, ("Cache-Control", "no-cache")]);
        }
        assert_eq!(get(proxy.address(), target).cache_status(), "outpost; hit", "{target}");
    }
}

#[test]
fn what_an_answer_withholds_is_for_the_one_who_asked() {
    let origin = Origin::start(|request, stream| {
        let fields = [
            ("Cache-Control", "max-age=60, private=\"Set-Cookie\", no-cache=\"X-Mine\""),
            ("Set-Cookie", "id=alice"),
            ("X-Mine", "1"),
            ("X-All", "2"),
            ("Content-Length", "1"),
        ];
        reply(request, stream, "200 OK", &fields, b"x");
    });
    let proxy = Proxy::of(&origin.url());
    let seen = |answer: Answer| ["Set-Cookie", "X-Mine", "X-All"].map(|name| answer.field(name).map(str::to_owned));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(seen(get(proxy.address(), "/a")), [text("id=alice"), text("1"), text("2")]);
    proxy.expect_no_fills();
    assert_eq!(seen(get(proxy.address(), "/a")), [None, None, text("2")]);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_field_that_http_has_given_up_is_handed_on_and_not_believed() {
    let origin = Origin::start(|request, stream| {
        // The MD5 of "bar".
        let fields = [FRESH, ("Content-MD5", "N7UdGUp1E+RbVvZSTy1R8g=="), ("Content-Length", "3")];
        reply(request, stream, "200 OK", &fields, b"foo");
    });
    let proxy = Proxy::of(&origin.url());
    for _ in 0..2 {
        let answer = get(proxy.address(), "/a").expect(b"foo");
        assert_eq!(answer.field("Content-MD5"), Some("N7UdGUp1E+RbVvZSTy1R8g=="));
        assert!(answer.field("Repr-Digest").unwrap().starts_with("md5=:rL0Y20zC+Fzt72VPzMSk2A==:"), "of what came");
        proxy.expect_no_fills();
    }
    let part = get_with(proxy.address(), "/a", &[("Range", "bytes=0-0")]);
    assert_eq!((part.status, part.field("Content-MD5")), (206, None));
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_head_renews_what_is_here() {
    let origin = Origin::start(|request, stream| {
        let age = if request.method == "HEAD" { "0" } else { "100" };
        let fields = [("Cache-Control", "max-age=60"), ("Age", age), ("ETag", "\"v1\""), ("Content-Length", "1")];
        reply(request, stream, "200 OK", &fields, b"x");
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"x");
    proxy.expect_no_fills();
    assert_eq!(head(proxy.address(), "/a").status, 200);
    assert_eq!(get(proxy.address(), "/a").expect(b"x").cache_status(), "outpost; hit");
    assert_eq!(origin.asked(), ["GET /a", "HEAD /a"]);
}

#[test]
fn what_comes_before_an_answer_is_for_the_one_who_asked_and_kept_for_nobody() {
    let origin = Origin::start(|request, stream| {
        let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Early: 1\r\nConnection: x-early\r\n\r\n";
        stream.write_all(interim).unwrap();
        reply(request, stream, "200 OK", &[FRESH, ("Content-Length", "1")], b"x");
    });
    let proxy = Proxy::of(&origin.url());
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n";
    // Fetched, and passed.
    for session in [&[][..], &[("Authorization", "Basic eA=="), ("Cache-Control", "no-cache")]] {
        let text = ask(proxy.address(), "GET", "/a", session).everything();
        assert!(text.starts_with(expected) && !text.contains("x-early"), "{text}");
        proxy.expect_no_fills();
    }
    let text = ask(proxy.address(), "GET", "/a", &[]).everything();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !text.contains("link"), "{text}");
}

#[test]
fn an_error_does_not_take_the_place_of_what_is_here() {
    let count = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |request, stream| match count.fetch_add(1, SeqCst) {
        0 => reply(request, stream, "200 OK", &[("Cache-Control", "max-age=0"), ("Content-Length", "1")], b"x"),
        _ => reply(request, stream, "503 Busy", &[FRESH, ("Content-Length", "4")], b"busy"),
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"x");
    proxy.expect_no_fills();
    for _ in 0..2 {
        assert_eq!(get(proxy.address(), "/a").expect(b"x").cache_status(), "outpost; fwd=stale");
    }
}
