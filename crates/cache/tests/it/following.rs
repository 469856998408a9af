//! Names of an origin that tells what changes: when it is asked, and what is given out.

use std::sync::{Arc, atomic::Ordering};

use cache::options::{Mode, Options, Schedule, UpstreamOptions};
use protocol::{
    changes::{Change, Generation, Hello},
    enrolment::{Order, Update},
    event_stream::{EVENT_BYTES_MAX, HEARTBEAT},
    schedule::Zone,
};

use crate::{
    client::get,
    origin::Gate,
    proxy::{Proxy, content, eventually, upstream},
    site::{Site, file, gone, hello, stale},
};

fn followed(site: &Site) -> UpstreamOptions {
    UpstreamOptions { follow: true, ..upstream("/", &site.url()) }
}

fn live(proxy: &Proxy) -> bool {
    proxy.cache.upstreams()[0].stream.as_ref().is_some_and(|stream| stream.is_live)
}

fn streams(proxy: &Proxy) -> u64 {
    proxy.cache.counters().streams.load(Ordering::Relaxed)
}

/// A proxy that has heard how the stream begins.
fn following(site: &Site) -> Proxy {
    let proxy = Proxy::with(Options::new(vec![followed(site)]));
    eventually("the stream is up", || live(&proxy));
    proxy
}

/// Asks so often that what is to be is known: the moment of the stream's beginning itself is not vouched for.
fn settle(proxy: &Proxy, site: &Site, path: &str, bytes: &[u8]) {
    eventually("it is given out without a question", || {
        let before = site.questions().len();
        get(proxy.address(), path).expect(bytes);
        site.questions().len() == before
    });
}

fn expect_no_question(proxy: &Proxy, site: &Site, path: &str, bytes: &[u8]) {
    let before = site.questions();
    for _ in 0..5 {
        get(proxy.address(), path).expect(bytes);
    }
    assert_eq!(site.questions(), before, "{path}");
}

#[track_caller]
fn expect_a_question(proxy: &Proxy, site: &Site, path: &str, bytes: &[u8]) {
    let before = site.questions().len();
    get(proxy.address(), path).expect(bytes);
    assert_eq!(site.questions()[before..], [format!("HEAD {path}")]);
}

#[test]
fn while_it_is_up_nothing_is_asked_and_when_it_is_down_everything() {
    let (site, bytes) = (Site::start(&hello(1)), content(1, 100_000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &bytes);
    expect_no_question(&proxy, &site, "/a", &bytes);
    site.refuse_streams("500 Broken", "1");
    site.cut();
    eventually("the stream is down", || !live(&proxy));
    expect_a_question(&proxy, &site, "/a", &bytes);
    expect_a_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn what_was_known_before_the_stream_began_is_asked_for_once() {
    let (site, bytes) = (Site::start(&hello(1)), content(2, 1000));
    site.put("/a", &bytes);
    let proxy = Proxy::with(Options::new(vec![upstream("/", &site.url())]));
    get(proxy.address(), "/a").expect(&bytes);
    assert!(site.streams_asked().is_empty() && proxy.cache.upstreams()[0].stream.is_none());
    proxy.cache.reconfigure(Options::new(vec![followed(&site)])).unwrap();
    eventually("the stream is up", || live(&proxy));
    expect_a_question(&proxy, &site, "/a", &bytes);
    settle(&proxy, &site, "/a", &bytes);
    expect_no_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn a_changed_file_is_new_from_the_word_on_and_needs_no_question() {
    let (site, old, new) = (Site::start(&hello(1)), content(3, 100_000), content(4, 100_000));
    site.put("/a", &old);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &old);
    site.put("/a", &new);
    let before = site.questions().len();
    site.tell(&proxy.cache, &[file("/a", &new, 2)]);
    let answer = get(proxy.address(), "/a").expect(&new);
    assert_eq!(answer.field("Last-Modified"), Some("Sun, 22 Nov 2026 01:41:00 GMT"));
    let asked = &site.questions()[before..];
    assert!(asked.len() == 1 && asked[0].starts_with("GET /.outpost/v1/objects/"), "{asked:?}");
    proxy.expect_no_fills();
    expect_no_question(&proxy, &site, "/a", &new);
}

#[test]
fn a_file_that_is_told_to_be_as_it_is_stays_so() {
    let (site, bytes) = (Site::start(&hello(1)), content(5, 1000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &bytes);
    site.tell(&proxy.cache, &[file("/a", &bytes, 2)]);
    expect_no_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn what_is_stale_or_gone_is_asked_for_with_all_below_it_and_nothing_else() {
    let (site, bytes) = (Site::start(&hello(1)), content(6, 1000));
    let paths = ["/a/x", "/a/b/y", "/ab", "/c"];
    paths.iter().for_each(|path| site.put(path, &bytes));
    let proxy = following(&site);
    for change in [stale("/a"), stale("/a/"), gone("/a", 2)] {
        paths.iter().for_each(|path| settle(&proxy, &site, path, &bytes));
        site.tell(&proxy.cache, &[change]);
        expect_no_question(&proxy, &site, "/ab", &bytes);
        expect_no_question(&proxy, &site, "/c", &bytes);
        expect_a_question(&proxy, &site, "/a/x", &bytes);
        expect_a_question(&proxy, &site, "/a/b/y", &bytes);
    }
    paths.iter().for_each(|path| settle(&proxy, &site, path, &bytes));
    site.tell(&proxy.cache, &[stale("/")]);
    paths.iter().for_each(|path| expect_a_question(&proxy, &site, path, &bytes));
    site.remove("/c");
    site.tell(&proxy.cache, &[gone("/c", 3)]);
    get(proxy.address(), "/c").expect_problem(404, "not-found");
}

#[test]
fn an_answer_from_before_the_word_is_not_kept_behind_it() {
    let (site, old, new) = (Site::start(&hello(1)), content(7, 1000), content(8, 1000));
    site.put("/a", &old);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &old);
    site.tell(&proxy.cache, &[stale("/a")]);
    let gate = Gate::default();
    site.hold_heads(&gate);
    let address = proxy.address();
    let asker = std::thread::spawn(move || get(address, "/a"));
    eventually("it is asked", || site.held() == 1);
    site.put("/a", &new);
    site.tell(&proxy.cache, &[file("/a", &new, 2)]);
    // Who asks now does not wait for the old answer.
    get(proxy.address(), "/a").expect(&new);
    gate.open();
    asker.join().unwrap().expect(&old);
    proxy.expect_no_fills();
    get(proxy.address(), "/a").expect(&new);
    expect_no_question(&proxy, &site, "/a", &new);
}

#[test]
fn a_stream_goes_on_where_it_was_cut_if_nothing_is_missing() {
    let (site, bytes) = (Site::start(&hello(1)), content(9, 1000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &bytes);
    site.tell(&proxy.cache, &[gone("/other", 5)]);
    site.open_with(&hello(5));
    site.cut();
    eventually("it is up again", || streams(&proxy) == 2);
    assert_eq!(site.streams_asked()[1].target, "/.outpost/v1/changes?since=5&epoch=%6f%6e%65");
    // What happened meanwhile may still be told: until then names are asked for.
    expect_a_question(&proxy, &site, "/a", &bytes);
    site.say(HEARTBEAT);
    settle(&proxy, &site, "/a", &bytes);
    for (number, opening) in
        [Hello { reset: true, ..hello(5) }, Hello { epoch: "two".into(), ..hello(5) }, hello(9)].iter().enumerate()
    {
        site.open_with(opening);
        site.cut();
        eventually("it is up again", || streams(&proxy) == 3 + number as u64);
        expect_a_question(&proxy, &site, "/a", &bytes);
        settle(&proxy, &site, "/a", &bytes);
    }
}

#[test]
fn a_silent_stream_is_down() {
    let (site, bytes) = (Site::start(&Hello { heartbeat: 1, ..hello(1) }), content(10, 1000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &bytes);
    site.refuse_streams("500 Broken", "1");
    eventually("it is down", || !live(&proxy));
    expect_a_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn a_stream_that_lies_is_not_believed() {
    let good = Change::Hello(hello(1)).to_text();
    let endless = format!("{good}event: file\ndata: {}", "x".repeat(EVENT_BYTES_MAX));
    let bytes = content(11, 1000);
    for text in [
        stale("/a").to_text(),
        format!("{good}{good}"),
        format!("{good}event: stale\ndata: {{}}\n\n"),
        format!("{good}{}", stale("no path").to_text()),
        endless,
        "\u{0}\u{1}\u{2}\n\n".into(),
    ] {
        let site = Site::start(&hello(1));
        site.put("/a", &bytes);
        site.open_with_text(&text);
        let proxy = Proxy::with(Options::new(vec![followed(&site)]));
        let shown = text.chars().take(60).collect::<String>();
        let trouble = || proxy.cache.upstreams()[0].stream.clone().unwrap().trouble;
        // Without a beginning nothing is heard, and what is no event says nothing.
        if !text.contains('\u{0}') {
            eventually(&format!("trouble with {shown}"), || trouble().is_some());
        }
        site.refuse_streams("500 Broken", "1");
        site.cut();
        eventually("it is not believed", || !live(&proxy));
        get(proxy.address(), "/a").expect(&bytes);
        expect_a_question(&proxy, &site, "/a", &bytes);
    }
}

#[test]
fn an_event_that_is_cut_is_not_passed_over() {
    let (site, old, new) = (Site::start(&hello(1)), content(12, 1000), content(13, 1000));
    site.put("/a", &old);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &old);
    site.put("/a", &new);
    let event = file("/a", &new, 2).to_text();
    site.say(&event[..event.len() / 2]);
    site.open_with(&hello(2));
    site.cut();
    eventually("another stream", || streams(&proxy) == 2);
    get(proxy.address(), "/a").expect(&new);
}

#[test]
fn very_many_events_are_taken_and_the_hits_go_on() {
    let (site, bytes) = (Site::start(&hello(1)), content(14, 1000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    settle(&proxy, &site, "/a", &bytes);
    let changes: Vec<_> = (0..20_000)
        .map(|number| match number % 2 {
            0 => stale(&format!("/many/{number}")),
            _ => file(&format!("/many/{number}"), b"x", number),
        })
        .collect();
    site.tell(&proxy.cache, &changes);
    expect_no_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn an_origin_without_a_stream_is_asked_as_before() {
    for (status, field) in [("404 Not Found", ""), ("405 Method Not Allowed", ""), ("503 Busy", "600")] {
        let (site, bytes) = (Site::start(&hello(1)), content(15, 1000));
        site.put("/a", &bytes);
        site.refuse_streams(status, field);
        let proxy = Proxy::with(Options::new(vec![followed(&site)]));
        let trouble = || proxy.cache.upstreams()[0].stream.clone().unwrap().trouble;
        eventually("it is asked for a stream", || trouble().is_some());
        get(proxy.address(), "/a").expect(&bytes);
        expect_a_question(&proxy, &site, "/a", &bytes);
        expect_a_question(&proxy, &site, "/a", &bytes);
        assert_eq!(site.streams_asked().len(), 1, "{status}: not again at once");
    }
}

#[test]
fn what_is_noticed_late_is_not_vouched_for() {
    let (site, bytes) = (Site::start(&Hello { delay: 30, ..hello(1) }), content(16, 1000));
    site.put("/a", &bytes);
    let proxy = following(&site);
    get(proxy.address(), "/a").expect(&bytes);
    expect_a_question(&proxy, &site, "/a", &bytes);
    site.say(HEARTBEAT);
    expect_a_question(&proxy, &site, "/a", &bytes);
}

#[test]
fn what_an_origin_tells_says_nothing_of_the_answers_of_another() {
    let (first, second, bytes) = (Site::start(&hello(1)), Site::start(&hello(1)), content(17, 1000));
    [&first, &second].iter().for_each(|site| site.put("/a", &bytes));
    let both = UpstreamOptions { origins: vec![second.url().parse().unwrap()], ..followed(&first) };
    let proxy = Proxy::with(Options::new(vec![both]));
    eventually("the stream is up", || live(&proxy));
    settle(&proxy, &first, "/a", &bytes);
    // The files of the first go bad, its stream stays up.
    first.put("/b", &bytes);
    second.put("/b", &bytes);
    second.refuse_streams("500 Broken", "1");
    first.break_files();
    get(proxy.address(), "/b").expect(&bytes);
    let before = second.questions().len();
    get(proxy.address(), "/a").expect(&bytes);
    assert_eq!(second.questions()[before..], ["HEAD /a"], "the stream of the first vouches for it no more");
}

#[test]
fn orders_reach_who_listens_and_another_name_begins_another_stream() {
    let site = Site::start(&hello(1));
    let proxy = following(&site);
    let link = proxy.cache.origin_links().remove(0);
    let mut events = link.events();
    assert!(link.is_live());
    let order = Change::Order(Order { id: 7, update: Update::Everything });
    let configuration = Change::Configuration(Generation { generation: 3 });
    site.tell(&proxy.cache, &[order.clone(), stale("/x"), configuration.clone()]);
    assert_eq!((proxy.wait(events.next()), proxy.wait(events.next())), (order, configuration));
    assert!(link.set_node("branch7") && link.set_credential(Some("secret")));
    assert_eq!(proxy.wait(events.next()), Change::Hello(hello(1)));
    eventually("another stream", || {
        let asked = site.streams_asked();
        let last = asked.last().unwrap();
        last.field("outpost-node") == Some("branch7") && last.field("authorization") == Some("Bearer secret")
    });
}

#[test]
fn a_new_file_is_preloaded_at_once_where_that_is_wanted() {
    let (site, bytes) = (Site::start(&hello(1)), Arc::new(content(18, 1000)));
    let mut options = followed(&site);
    options.mode = Mode::FetchAndPreload;
    let zone = Zone::named("UTC").unwrap();
    options.preload.schedule = Schedule::parse(&["00:00-24:00".into()], &zone).unwrap();
    options.preload.exclude = protocol::glob::Globs::parse(&["/tmp/**"]).unwrap();
    let proxy = Proxy::with(Options::new(vec![options]));
    eventually("the first round is done", || {
        live(&proxy) && proxy.cache.preloads()[0].scheduled.as_ref().is_some_and(|round| round.ended.is_some())
    });
    site.put("/new", &bytes);
    site.put("/tmp/new", &content(19, 1000));
    site.tell(&proxy.cache, &[file("/tmp/new", &content(19, 1000), 2), file("/new", &bytes, 3)]);
    proxy.expect_objects(1);
    eventually("it is known", || {
        let before = site.questions().len();
        get(proxy.address(), "/new").expect(&bytes);
        site.questions().len() == before
    });
    assert!(!site.questions().iter().any(|asked| asked.contains("/tmp/")));
}
