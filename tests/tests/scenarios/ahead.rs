//! Ranges of a file that is not here, far ahead of what has come: they are fetched first, the rest follows, and each byte crosses the line once.
//! In most of these the first stream is held at a byte for good, so that whatever comes beyond has come aside.

use std::thread;

use harness::{
    KIB, MIB,
    client::{Answer, Ask, Ending, Transfer},
    content::Content,
    crowd::all_at_once,
    proxy::Proxy,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use crate::{origin_over, proxy};

const LEN: u64 = 40 * MIB;
const HELD_AT: u64 = MIB;
/// What may stand in the sockets of streams that are ended: sent, counted, and given to nobody. How much it is the kernel decides.
const IN_SOCKETS_MAX: u64 = 4 * MIB;

/// A file whose first stream is held, a client that follows it and has what has come, and the proxy between them.
struct Held {
    content: Content,
    upstream: ScriptedUpstream,
    proxy: Proxy,
    first: Transfer,
    gate: Gate,
}

impl Held {
    /// `then` says how the requests aside are answered.
    fn new(seed: u64, then: impl FnOnce(Page) -> Page) -> Self {
        let content = Content::random(seed, LEN);
        let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
        upstream.publish("/file", then(Page::tagged(&content).next(Reply::right().hold(HELD_AT, &gate))));
        let keys = "read_timeout = \"20s\"\nretry_backoff = \"20ms\"";
        let proxy = proxy().upstream_with("/", &upstream.url(), keys).serve("max_requesters = 0").start();
        let mut first = proxy.open("/file");
        assert_eq!(first.take(HELD_AT), content.bytes()[..HELD_AT as usize]);
        Self { content, upstream, proxy, first, gate }
    }

    fn range(&self, start: u64, end: u64) -> Answer {
        range(&self.proxy, start, end)
    }

    fn expect(&self, start: u64, end: u64) {
        self.range(start, end).expect_part(&self.content, start, end);
    }

    /// The client that came first gets all, and each byte has crossed the line once.
    fn expect_all_once(self) {
        assert_eq!(self.first.compare(&self.content, HELD_AT).ending, Ending::Whole);
        self.proxy.wait_until_idle();
        assert_eq!(self.upstream.body_bytes("/file"), LEN, "{:#?}", self.upstream.asked("/file"));
        self.proxy.get("/file").expect(&self.content);
        assert_eq!(self.proxy.upstream_bytes(), LEN);
        let tag = format!("\"tag-{}\"", self.content.md5_hex());
        for aside in &self.upstream.asked("/file")[1..] {
            assert_eq!((aside.status(), aside.fields.first("If-Range")), (206, Some(tag.as_str())), "{aside:?}");
        }
        self.gate.open();
    }
}

fn range(proxy: &Proxy, start: u64, end: u64) -> Answer {
    proxy.ask(&Ask::get("/file").range(&format!("bytes={start}-{}", end - 1)))
}

#[test]
fn a_byte_far_ahead_comes_while_the_stream_is_held() {
    let held = Held::new(1, |page| page);
    let at = held.content.at_percent(90);
    held.expect(at, at + 1);
    assert!(held.proxy.number("/bytes/from_upstream_ahead") > 0);
    held.expect_all_once();
}

#[test]
fn sixteen_ranges_at_once_cost_each_byte_once() {
    let held = Held::new(2, |page| page);
    let part = LEN / 16;
    all_at_once(16, |n| {
        let start = n as u64 * part;
        // The last of them ends where nothing is given out before all is verified.
        held.expect(start, start + part);
    });
    held.expect_all_once();
}

#[test]
fn several_parts_are_fetched_in_the_order_they_are_sent() {
    let held = Held::new(3, |page| page);
    let answer =
        held.proxy.ask(&Ask::get("/file").range("bytes=35000000-35000009,20000000-20000009")).expect_status(206);
    for start in [35_000_000, 20_000_000] {
        let bytes = &held.content.bytes()[start..start + 10];
        assert!(answer.body.windows(10).any(|window| window == bytes), "{start} is missing");
    }
    held.expect_all_once();
}

#[test]
fn a_client_that_leaves_a_range_changes_nothing() {
    let gate = Gate::new();
    let held = Held::new(4, |page| page.next(Reply::right().hold(30 * MIB + 100 * KIB, &gate)));
    let mut leaving = held.proxy.open_range("/file", 30 * MIB, 39 * MIB);
    let begun = leaving.take(100 * KIB);
    assert_eq!(begun, held.content.bytes()[30 * MIB as usize..][..100 * KIB as usize]);
    leaving.leave();
    gate.open();
    held.expect_all_once();
}

#[test]
fn who_wants_what_is_being_fetched_waits_for_that() {
    let gate = Gate::new();
    let held = Held::new(5, |page| page.next(Reply::right().hold(30 * MIB + 100 * KIB, &gate)));
    let mut first = held.proxy.open_range("/file", 30 * MIB, 31 * MIB);
    first.take(100 * KIB);
    gate.wait_for_arrival();
    thread::scope(|scope| {
        let within = scope.spawn(|| held.expect(30 * MIB + 500 * KIB, 30 * MIB + 600 * KIB));
        let across = scope.spawn(|| held.expect(30 * MIB + 900 * KIB, 33 * MIB));
        let before = scope.spawn(|| held.expect(29 * MIB, 30 * MIB + 200 * KIB));
        // Another line brings what nobody has claimed, and goes on with the rest of the file.
        wait::until_true("all but the held segment has come", || held.proxy.fetched_of_fills() > LEN - 2 * MIB);
        gate.open();
        [within, across, before].into_iter().for_each(|waiting| waiting.join().expect("the client"));
    });
    drop(first);
    held.expect_all_once();
}

#[test]
fn a_segment_that_breaks_off_is_continued_at_its_byte() {
    let cut = 30 * MIB + 300 * KIB;
    let held = Held::new(6, |page| page.next(Reply::right().cut(cut)).next(Reply::right().cut(HELD_AT + 5000)));
    held.expect(30 * MIB, 32 * MIB);
    held.expect_all_once();
}

#[test]
fn an_upstream_that_resets_in_a_segment_and_fails_for_a_while_is_survived() {
    let at = 30 * MIB + 300 * KIB;
    let held = Held::new(7, |page| {
        let page = page.next(Reply::right().reset(at)).next(Reply::status(500)).next(Reply::status(503));
        page.next(Reply::status(500))
    });
    held.expect(30 * MIB, 32 * MIB);
    assert_eq!(held.first.compare(&held.content, HELD_AT).ending, Ending::Whole);
    held.proxy.wait_until_idle();
    let crossed = held.upstream.body_bytes("/file");
    assert!(crossed <= LEN + IN_SOCKETS_MAX, "{crossed} bytes crossed the line");
    held.gate.open();
}

/// The request aside is answered as it should not be: the range comes in its turn, and is right.
fn expect_it_comes_in_its_turn(name: &str, reply: Reply) {
    let held = Held::new(8, |page| page.next(reply));
    thread::scope(|scope| {
        let far = scope.spawn(|| held.expect(30 * MIB, 30 * MIB + 1000));
        wait::until_true("it was asked for aside", || held.upstream.asked("/file").len() == 2);
        held.gate.open();
        far.join().expect("the client");
    });
    assert_eq!(held.first.compare(&held.content, HELD_AT).ending, Ending::Whole, "{name}");
    held.proxy.wait_until_idle();
    held.proxy.get("/file").expect(&held.content);
    let asked = held.upstream.asked("/file");
    assert_eq!(asked.len(), 2, "{name}: it was asked again: {asked:#?}");
    assert_eq!(asked[0].sent(), LEN, "{name}: the stream was given up for that");
}

#[test]
fn an_answer_that_is_not_that_range_is_not_taken() {
    for (name, reply) in [
        ("another range", Reply::right().content_range_off_by(1000)),
        ("another range", Reply::right().content_range_off_by(-1)),
        ("too much for its range", Reply::right().length_off_by(1000)),
        ("too little for its range", Reply::right().length_off_by(-1000)),
        ("all of it", Reply::right().ignoring_range()),
        ("another version", Reply::right().claiming_etag("\"other\"")),
        ("an error", Reply::status(500)),
        ("not there", Reply::status(404)),
        ("nothing of it", Reply::status(416)),
    ] {
        expect_it_comes_in_its_turn(name, reply);
    }
}

#[test]
fn a_byte_far_ahead_comes_through_a_chain_of_proxies() {
    let held = Held::new(15, |page| page);
    let url = format!("outpost+http://{}/", held.proxy.files());
    let child = proxy().upstream("/", &url).serve("max_requesters = 0").serve("name = \"child\"").start();
    let mut first = child.open("/file");
    first.take(HELD_AT);
    let at = held.content.at_percent(90);
    range(&child, at, at + 1).expect_part(&held.content, at, at + 1);
    assert_eq!(first.compare(&held.content, HELD_AT).ending, Ending::Whole);
    child.wait_until_idle();
    assert_eq!(child.upstream_bytes(), LEN);
    held.expect_all_once();
}

#[test]
fn an_upstream_that_forgets_how_to_give_ranges_is_read_in_one_stream() {
    let whole = Reply::right().ignoring_range();
    let held = Held::new(9, |page| page.next(Reply::right()).then(whole));
    held.expect(30 * MIB, 30 * MIB + 1000);
    assert_eq!(held.first.compare(&held.content, HELD_AT).ending, Ending::Whole);
    held.proxy.wait_until_idle();
    held.proxy.get("/file").expect(&held.content);
    held.gate.open();
}

#[test]
fn what_cannot_be_known_to_be_the_same_waits_its_turn() {
    let content = Content::random(10, LEN);
    let pages = [
        ("no validator", Page::new(&content), Reply::right()),
        ("a weak one", Page::new(&content).etag("W/\"one\""), Reply::right()),
        ("no length", Page::tagged(&content), Reply::right().chunked()),
    ];
    for (name, page, reply) in pages {
        let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
        upstream.publish("/file", page.next(reply.hold(HELD_AT, &gate)));
        let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0").start();
        let mut first = proxy.open("/file");
        first.take(HELD_AT - 64 * KIB);
        thread::scope(|scope| {
            let far = scope.spawn(|| range(&proxy, 30 * MIB, 30 * MIB + 1000));
            proxy.wait_until_read(2);
            gate.open();
            let far = far.join().expect("the client");
            // Where the length is not known a range cannot be answered: all of it comes.
            assert!(far.is(&content) || far.status == 206, "{name}: {far:?}");
        });
        assert_eq!(first.compare(&content, HELD_AT - 64 * KIB).ending, Ending::Whole, "{name}");
        assert_eq!(upstream.gets("/file"), 1, "{name}");
        assert_eq!(upstream.body_bytes("/file"), LEN, "{name}");
    }
}

#[test]
fn the_end_of_a_file_waits_for_all_of_it() {
    let held = Held::new(11, |page| page);
    thread::scope(|scope| {
        let tail = scope.spawn(|| held.proxy.ask(&Ask::get("/file").range("bytes=-1000")));
        held.proxy.wait_until_read(2);
        held.gate.open();
        tail.join().expect("the client").expect_part(&held.content, LEN - 1000, LEN);
    });
    assert_eq!(held.upstream.gets("/file"), 1, "nothing was fetched before its turn for what is withheld anyway");
}

#[test]
fn after_a_crash_what_came_ahead_is_fetched_once_more_and_nothing_is_wrong() {
    let gate = Gate::new();
    let held = Held::new(12, |page| {
        let page = page.next(Reply::right()).next(Reply::right().hold(3 * MIB, &gate));
        page.then(Reply::right())
    });
    held.expect(30 * MIB, 31 * MIB);
    let setup = held.proxy.kill();
    gate.open();
    held.gate.open();
    let before = held.upstream.body_bytes("/file");
    let proxy = setup.start();
    range(&proxy, 30 * MIB, 31 * MIB).expect_part(&held.content, 30 * MIB, 31 * MIB);
    proxy.get("/file").expect(&held.content);
    proxy.wait_until_idle();
    let crossed = held.upstream.body_bytes("/file");
    // Of the streams that were ended, by the crash and by the first segment, what stood in the sockets is counted and came to nobody.
    assert!(before < LEN && crossed <= before + LEN + IN_SOCKETS_MAX, "{before} and then {crossed} bytes");
}

#[test]
fn ranges_far_ahead_are_right_through_every_kind_of_upstream() {
    let content = Content::random(13, LEN);
    let share = Share::new();
    share.write("file", &content);
    let origin = origin_over(&share).start();
    for url in [share.url(), origin.url()] {
        let proxy = proxy().upstream("/", &url).serve("max_requesters = 0").start();
        all_at_once(8, |n| {
            let start = (7 - n as u64) * LEN / 8;
            range(&proxy, start, start + LEN / 8).expect_part(&content, start, start + LEN / 8);
        });
        proxy.get("/file").expect(&content);
        proxy.wait_until_idle();
        assert_eq!(proxy.upstream_bytes(), LEN, "{url}");
    }
}
