//! What a web server says about caching (RFC 9111), and what happens while it says nothing at all.

use std::time::{Duration, Instant};

use harness::{
    MIB,
    client::{Answer, Ask, Connection},
    content::Content,
    proxy::{Proxy, ProxySetup},
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use crate::proxy;

fn over(upstream: &ScriptedUpstream) -> ProxySetup {
    proxy().upstream_with("/", &upstream.url(), "read_timeout = \"1s\"\nretries_max = 1")
}

/// A page with this `Cache-Control`, in front of which a proxy stands.
fn cached_by(cache_control: &str, content: &Content) -> (ScriptedUpstream, Proxy) {
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(content).field("Cache-Control", cache_control));
    let proxy = over(&upstream).start();
    (upstream, proxy)
}

fn word(answer: &Answer) -> &str {
    answer.field("Cache-Status").unwrap_or_default()
}

#[test]
fn what_is_fresh_is_not_asked_about() {
    let content = Content::random(1, MIB);
    let (upstream, proxy) = cached_by("max-age=3600", &content);
    assert_eq!(word(&proxy.get("/file").expect(&content)), "outpost; fwd=uri-miss; stored");
    proxy.wait_until_idle();
    for _ in 0..3 {
        let hit = proxy.get("/file").expect(&content);
        assert_eq!(word(&hit), "outpost; hit");
        assert!(hit.field("Age").is_some_and(|age| age.parse::<u64>().is_ok()), "{hit:?}");
    }
    assert_eq!(upstream.asked("/file").len(), 1);
}

#[test]
fn what_has_become_stale_is_asked_about() {
    let content = Content::random(2, MIB);
    let (upstream, proxy) = cached_by("max-age=1", &content);
    proxy.get("/file").expect(&content);
    wait::pause(Duration::from_millis(2100));
    proxy.get("/file").expect(&content);
    let asked = upstream.asked("/file");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].status(), 304);
}

#[test]
fn an_unchanged_file_moves_no_bytes() {
    let content = Content::random(3, MIB);
    let (upstream, proxy) = cached_by("no-cache", &content);
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    for _ in 0..3 {
        let answer = proxy.get("/file").expect(&content);
        assert_eq!(word(&answer), "outpost; fwd=stale; fwd-status=304");
    }
    let asked = upstream.asked("/file");
    assert_eq!(asked.len(), 4);
    assert!(
        asked[1..].iter().all(|asked| asked.status() == 304 && asked.fields.first("If-None-Match").is_some()),
        "{asked:#?}"
    );
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn what_was_fetched_a_moment_ago_is_asked_about_too() {
    let (old, new) = (Content::random(30, MIB), Content::random(31, MIB));
    let (upstream, proxy) = cached_by("no-cache", &old);
    for content in [&old, &new, &old, &new] {
        // At once: what was fetched may not even be durable yet.
        upstream.publish("/file", Page::tagged(content).field("Cache-Control", "no-cache"));
        proxy.get("/file").expect(content);
    }
}

#[test]
fn by_last_modified_alone_it_moves_no_bytes_either() {
    let content = Content::random(4, MIB);
    let upstream = ScriptedUpstream::start();
    let page = Page::new(&content).last_modified("Fri, 20 Nov 2026 08:00:00 GMT").field("Cache-Control", "no-cache");
    upstream.publish("/file", page);
    let proxy = over(&upstream).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.asked("/file").last().expect("asked").status(), 304);
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn asking_again_is_coalesced() {
    let content = Content::random(5, 1000);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    let page = Page::tagged(&content).field("Cache-Control", "no-cache");
    upstream.publish("/file", page.next(Reply::right()).next(Reply::right().hold_head(&gate)));
    let proxy = over(&upstream).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let ask = || {
        let mut connection = Connection::open(proxy.files());
        connection.send_ask(&Ask::get("/file"));
        connection
    };
    let clients: Vec<_> = (0..20).map(|_| ask()).collect();
    gate.wait_for_arrival();
    proxy.wait_until_read(clients.len());
    gate.open();
    clients.into_iter().for_each(|client| drop(client.answer("GET").rest().expect(&content)));
    // Whose turn came only after the answer may ask once more; all others share one question.
    let asked = upstream.asked("/file").len();
    assert!(asked <= 4, "{asked} requests for 20 clients");
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn what_must_not_be_stored_is_not() {
    let content = Content::random(6, MIB);
    for cache_control in ["no-store", "private", "private, max-age=3600", "no-store, max-age=3600"] {
        let (upstream, proxy) = cached_by(cache_control, &content);
        for _ in 0..3 {
            proxy.get("/file").expect(&content);
        }
        assert_eq!(upstream.gets("/file"), 3, "{cache_control}");
        assert!(proxy.objects_on_disk().is_empty(), "{cache_control}");
    }
}

#[test]
fn a_cookie_is_not_handed_to_the_next_one() {
    let content = Content::random(7, 1000);
    let upstream = ScriptedUpstream::start();
    let page = |cookie: &str| Page::tagged(&content).etag("\"one\"").field("Set-Cookie", format!("id={cookie}"));
    upstream.publish("/file", page("alice"));
    let proxy = over(&upstream).start();
    proxy.get("/file").expect(&content);
    upstream.publish("/file", page("bob"));
    let second = proxy.get("/file").expect(&content);
    assert_ne!(second.field("Set-Cookie"), Some("id=alice"), "{second:?}");
}

#[test]
fn what_varies_is_kept_apart() {
    let (english, german) = (Content::from("hello"), Content::from("hallo"));
    let upstream = ScriptedUpstream::start();
    let page = |content: &Content| Page::tagged(content).field("Vary", "Accept-Language");
    upstream.publish("/file", page(&english));
    let proxy = over(&upstream).start();
    let ask = |language: &str| proxy.ask(&Ask::get("/file").field("Accept-Language", language));
    ask("en").expect(&english);
    upstream.publish("/file", page(&german));
    ask("de").expect(&german);
    ask("de").expect(&german);
    let asked = upstream.asked("/file");
    assert_eq!(asked[1].fields.first("Accept-Language"), Some("de"), "{asked:#?}");
    upstream.publish("/file", Page::tagged(&english).field("Vary", "*"));
    for count in 1..3 {
        let before = upstream.asked("/file").len();
        ask(&format!("fr-{count}")).expect(&english);
        assert!(upstream.asked("/file").len() > before, "a hit in spite of Vary: *");
    }
}

#[test]
fn what_needed_a_password_is_not_given_to_others() {
    let (secret, public) = (Content::from("for alice"), Content::from("for everybody"));
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&secret));
    let proxy = over(&upstream).start();
    proxy.ask(&Ask::get("/file").field("Authorization", "Basic YWxpY2U6eA==")).expect(&secret);
    let asked = upstream.asked("/file");
    assert_eq!(asked[0].fields.first("Authorization"), Some("Basic YWxpY2U6eA=="), "{asked:#?}");
    upstream.publish("/file", Page::tagged(&public));
    proxy.get("/file").expect(&public);
}

#[test]
fn the_last_good_copy_stands_in_for_an_upstream_that_is_gone() {
    let content = Content::random(8, MIB);
    let (upstream, proxy) = cached_by("max-age=0", &content);
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let address = upstream.stop();
    for _ in 0..5 {
        let stale = proxy.get("/file").expect(&content);
        assert_eq!(word(&stale), "outpost; fwd=stale");
    }
    proxy.get("/never-seen").expect_status(502);
    let changed = Content::random(9, MIB);
    let upstream = ScriptedUpstream::start_at(address);
    upstream.publish("/file", Page::tagged(&changed));
    wait::until_true("the new file is served", || {
        proxy.get("/file").expect_none_but(&[&content, &changed]).is(&changed)
    });
}

#[test]
fn a_silent_upstream_is_not_waited_for_by_every_request() {
    let content = Content::random(10, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).field("Cache-Control", "max-age=0"));
    let keys = "connect_timeout = \"200ms\"\nread_timeout = \"200ms\"\nretries_max = 1\nretry_backoff = \"20ms\"";
    let proxy = proxy().upstream_with("/", &upstream.url(), keys).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    upstream.be_silent(true);
    proxy.get("/file").expect(&content);
    let began = Instant::now();
    for _ in 0..75 {
        proxy.get("/file").expect(&content);
    }
    // Were each to wait for the timeout, this would take thirty seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "75 stale answers took {:?}", began.elapsed());
}

#[test]
fn an_error_of_the_upstream_is_covered_by_the_last_good_copy() {
    let content = Content::random(11, 1000);
    let upstream = ScriptedUpstream::start();
    let page = Page::tagged(&content).field("Cache-Control", "max-age=0").next(Reply::right());
    upstream.publish("/file", page.then(Reply::status(503)));
    let proxy = over(&upstream).start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    assert_eq!(word(&proxy.get("/file").expect(&content)), "outpost; fwd=stale");
}

#[test]
fn what_must_be_revalidated_is_never_served_stale() {
    // RFC 9111 section 4.2.4: these directives forbid it, whatever the operator would like.
    let content = Content::random(14, 1000);
    for cache_control in ["no-cache", "max-age=0, must-revalidate", "max-age=0, proxy-revalidate"] {
        let (upstream, proxy) = cached_by(cache_control, &content);
        proxy.get("/file").expect(&content);
        proxy.wait_until_idle();
        upstream.stop();
        let gone = proxy.get("/file");
        assert!(gone.status == 502 || gone.status == 504, "{cache_control}: {gone:?}");
    }
}

#[test]
fn after_stale_if_error_it_is_a_502() {
    let content = Content::random(12, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).field("Cache-Control", "max-age=0"));
    let proxy = over(&upstream).cache("stale_if_error = \"0s\"").start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    upstream.stop();
    let gone = proxy.get("/file").expect_status(502);
    assert_eq!(gone.problem(), "upstream-unreachable");
}

#[test]
fn errors_are_not_kept() {
    let content = Content::random(13, 1000);
    let upstream = ScriptedUpstream::start();
    let proxy = over(&upstream).start();
    proxy.get("/file").expect_status(404);
    upstream.publish("/file", Page::tagged(&content).next(Reply::status(500)));
    let failed = proxy.get("/file");
    assert!(failed.is(&content) || failed.status >= 500, "{failed:?}");
    proxy.get("/file").expect(&content);
}

#[test]
fn a_query_is_part_of_the_name() {
    let (one, two) = (Content::from("one"), Content::from("two"));
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file?v=1", Page::tagged(&one));
    upstream.publish("/file?v=2", Page::tagged(&two));
    let proxy = over(&upstream).start();
    for _ in ["cold", "warm"] {
        proxy.get("/file?v=1").expect(&one);
        proxy.get("/file?v=2").expect(&two);
    }
}

#[test]
fn what_a_client_sends_is_not_passed_on_to_the_upstream() {
    let content = Content::from("plain");
    let (upstream, proxy) = cached_by("max-age=3600", &content);
    let ask = Ask::get("/file").field("X-Forwarded-Host", "evil.example").field("X-HTTP-Method-Override", "DELETE");
    proxy.ask(
        &ask.field("Cookie", "id=1").field("Range", "bytes=0-1").field("Upgrade", "x").field("Connection", "upgrade"),
    );
    let asked = &upstream.asked("/file")[0];
    for name in ["X-Forwarded-Host", "X-HTTP-Method-Override", "Upgrade"] {
        assert_eq!(asked.fields.first(name), None, "{asked:#?}");
    }
    assert_eq!(asked.fields.first("Host"), Some(upstream.address().to_string().as_str()));
}
