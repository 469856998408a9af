//! The end of a file that is still on its way: given to who says what it must be, as soon as it is that, and to nobody else before all is verified.
//! A hole near the beginning is held at a gate meanwhile.

use base64::{Engine, prelude::BASE64_STANDARD};
use harness::{
    KIB, MIB,
    client::{Answer, Ask, Connection, Ending, Transfer},
    content::Content,
    proxy::Proxy,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::Gate,
};
use protocol::pieces::Have;
use sha2::{Digest, Sha256};

use crate::proxy;

const LEN: u64 = 40 * MIB;
const LAST: u64 = LEN - MIB;
/// What everybody gets of the last piece.
const SEEN: u64 = MIB - 64 * KIB;
const HELD_AT: u64 = MIB;
const HOLE: u64 = 3 * MIB + 5;

/// An origin that sends these bytes for a content, but for those of one segment, and a proxy that has just begun to fetch it.
struct Held {
    content: Content,
    upstream: ScriptedUpstream,
    proxy: Proxy,
    first: Transfer,
    /// Until it is open, who follows the proxy's first stream gets no more.
    stream: Gate,
    hole: Gate,
}

impl Held {
    fn new(content: Content, sent: &Content, dress: impl FnOnce(Page) -> Page) -> Self {
        let (upstream, stream, hole) = (ScriptedUpstream::start(), Gate::new(), Gate::new());
        let page = Page::new(&content).etag(content.etag()).repr_digest();
        let page = page.next(Reply::right().bytes_of(sent).hold(HELD_AT, &stream));
        upstream.publish(&object(&content), dress(page.then(Reply::right().bytes_of(sent).hold(HOLE, &hole))));
        let url = format!("outpost+{}", upstream.url());
        let proxy = proxy().upstream("/", &url).serve("max_requesters = 0").start();
        let mut first = proxy.open(object(&content));
        first.take(HELD_AT);
        Self { content, upstream, proxy, first, stream, hole }
    }

    /// Asks for the last piece, and says that it must have this digest.
    fn open(&self, expected: Option<&[u8]>) -> Transfer {
        Connection::open(self.proxy.files()).ask(&ask(&self.content, expected))
    }

    fn last(&self) -> &[u8] {
        &self.content.bytes()[LAST as usize..]
    }

    fn expect_last(&self) {
        self.open(Some(self.last())).rest().expect_part(&self.content, LAST, LEN);
    }

    /// Somebody who is given what everybody is given, and waits for the rest.
    fn waiting(&self, expected: Option<&[u8]>) -> Transfer {
        let mut transfer = self.open(expected);
        assert_eq!(transfer.take(SEEN), self.last()[..SEEN as usize]);
        transfer
    }

    fn open_gates(&self) {
        self.stream.open();
        self.hole.open();
    }
}

fn object(content: &Content) -> String {
    format!("/.outpost/v1/objects/{}", content.md5_hex())
}

fn ask(content: &Content, expected: Option<&[u8]>) -> Ask {
    let ask = Ask::get(object(content)).range(&format!("bytes={LAST}-{}", LEN - 1));
    match expected {
        Some(bytes) => {
            ask.field("Outpost-Piece", format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes))))
        }
        None => ask,
    }
}

/// Nothing more came, and the connection was closed.
fn expect_cut(answer: &Answer) {
    assert_eq!((answer.body.len(), answer.ending), (0, Ending::Short));
}

#[test]
fn who_says_what_it_must_be_has_the_end_while_the_beginning_is_missing() {
    let content = Content::random(1, LEN);
    let held = Held::new(content.clone(), &content, |page| page);
    held.expect_last();
    let aside = &held.upstream.asked(&object(&content))[1];
    let whole = format!("bytes={LAST}-{}", LEN - 1);
    assert_eq!(aside.range(), Some(whole.as_str()), "it was fetched first, to the end");
    let have = Ask::get(format!("/.outpost/v1/have/{}?piece={MIB}", content.md5_hex())).fetch(held.proxy.files());
    let have: Have = serde_json::from_slice(&have.body).expect("as the interface has it");
    let here = have.have.of_len(40).expect("of as many pieces");
    assert!(here.get(39) && !here.get(3) && have.filling, "{here:?}");

    let waiting = [held.waiting(None), held.waiting(Some(b"something else"))];
    held.hole.wait_for_arrival();
    held.expect_last();
    held.open_gates();
    for waiting in waiting {
        let rest = waiting.rest();
        assert_eq!((rest.ending, rest.body.as_slice()), (Ending::Whole, &held.last()[SEEN as usize..]));
    }
    assert_eq!(held.first.compare(&content, HELD_AT).ending, Ending::Whole);
    held.proxy.wait_until_idle();
    Connection::open(held.proxy.files())
        .ask(&ask(&content, Some(b"something else")))
        .rest()
        .expect_part(&content, LAST, LEN);
    assert_eq!(held.proxy.upstream_bytes(), LEN, "each byte crossed the line once");
}

/// The end is right and something else is not: it was given to who named it, and to nobody else ever.
#[test]
fn nobody_else_gets_the_end_of_what_turns_out_to_be_wrong() {
    let content = Content::random(2, LEN);
    let held = Held::new(content.clone(), &content.with_flipped_bit(20 * MIB), |page| page);
    held.expect_last();
    let waiting = [held.waiting(None), held.waiting(Some(b"something else")), held.waiting(Some(&held.last()[1..]))];
    // What was compared once is not given to the others either.
    held.expect_last();
    held.open_gates();
    waiting.into_iter().for_each(|waiting| expect_cut(&waiting.rest()));
    assert_ne!(held.first.rest().ending, Ending::Whole);
}

#[test]
fn a_wrong_end_is_not_given_to_who_says_what_the_right_one_is() {
    let content = Content::random(3, LEN);
    let held = Held::new(content.clone(), &content.with_flipped_bit(LEN - 1), |page| page);
    let waiting = [held.waiting(Some(held.last())), held.waiting(None)];
    held.open_gates();
    waiting.into_iter().for_each(|waiting| expect_cut(&waiting.rest()));
    assert_ne!(held.first.rest().ending, Ending::Whole);
}

/// A parent proxy withholds the end itself, and a line that waits for it there would bring nothing else.
#[test]
fn a_parent_is_not_asked_for_the_end_before_its_turn() {
    let content = Content::random(4, LEN);
    let held = Held::new(content.clone(), &content, |page| page.field("Via", "1.1 parent"));
    let waiting = held.waiting(Some(held.last()));
    let seen = format!("bytes={LAST}-{}", LAST + SEEN - 1);
    assert_eq!(held.upstream.asked(&object(&content))[1].range(), Some(seen.as_str()));
    held.open_gates();
    assert_eq!(waiting.rest().body, held.last()[SEEN as usize..]);
    assert_eq!(held.first.compare(&content, HELD_AT).ending, Ending::Whole);
}
