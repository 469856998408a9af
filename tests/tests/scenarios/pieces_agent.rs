//! A content that comes in pieces from many: whoever lies, stalls or vanishes among them, it comes whole and right, and nobody is asked for more than is needed.

use base64::{Engine, prelude::BASE64_STANDARD};
use harness::{
    MIB,
    agent::{AgentService, AgentSetup, Got},
    client::Ask,
    content::Content,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::agent;

const PATH: &str = "/dir/file.zip";
/// Several pieces, the last of them a short one.
const SIZE: u64 = 7 * MIB + 7;
const PIECES: u64 = 8;

/// A content, and an origin that says where it is to be had.
struct Site {
    content: Content,
    origin: ScriptedUpstream,
}

impl Site {
    fn new(seed: u64) -> Self {
        let site = Self { content: Content::random(seed, SIZE), origin: ScriptedUpstream::start() };
        let (content, origin) = (&site.content, &site.origin);
        let info = json!({ "path": PATH, "size": SIZE, "md5": content.md5_hex(), "sha256": content.sha256_hex() });
        origin.publish(&format!("/.outpost/v1/info{PATH}"), page(&info));
        site.list_at(origin, &site.list());
        site
    }

    /// Each a kind, a name and whether it is partial; the origin itself is none of them unless it is named.
    fn sources(&self, sources: &[(&str, &str, bool)]) {
        let source = |(kind, url, partial): &(&str, &str, bool)| json!({ "kind": kind, "name": kind, "url": url, "holds": !partial, "partial": partial });
        let content = json!({
            "md5": self.content.md5_hex(), "ready": true, "path": PATH, "size": SIZE, "pieces": self.root(),
            "sources": sources.iter().map(source).collect::<Vec<_>>(),
        });
        self.origin.publish("/.outpost/v1/sources", page(&json!({ "expires_in": 600, "contents": [content] })));
    }

    fn digests(&self) -> Vec<u8> {
        self.content.bytes().chunks(MIB as usize).flat_map(Sha256::digest).collect()
    }

    fn list(&self) -> Value {
        let digests = BASE64_STANDARD.encode(self.digests());
        json!({ "md5": self.content.md5_hex(), "size": SIZE, "piece_size": MIB, "sha256": digests })
    }

    fn root(&self) -> String {
        let all = [&SIZE.to_be_bytes()[..], &MIB.to_be_bytes(), &self.digests()].concat();
        Sha256::digest(all).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn list_at(&self, server: &ScriptedUpstream, list: &Value) {
        let target = format!("/.outpost/v1/pieces/{}", self.content.md5_hex());
        server.publish(&format!("{target}?path={PATH}"), page(list));
        server.publish(&target, page(list));
    }

    /// Where a peer has it; a server is told the path too.
    fn object(&self) -> String {
        format!("/.outpost/v1/objects/{}", self.content.md5_hex())
    }

    fn object_at_server(&self) -> String {
        format!("{}?path={PATH}", self.object())
    }

    /// What somebody says that it has, of `askers` who want it.
    fn have_at(&self, server: &ScriptedUpstream, have: u8, askers: u64) {
        let bitmap = BASE64_STANDARD.encode([have]);
        let have = json!({ "size": SIZE, "have": bitmap, "filling": true, "askers": askers, "next_in": 300 });
        server.publish(&self.have(), page(&have));
    }

    fn have(&self) -> String {
        format!("/.outpost/v1/have/{}?piece={MIB}", self.content.md5_hex())
    }

    /// A proxy that has all of it, and `askers` who want it.
    fn proxy(&self, askers: u64) -> ScriptedUpstream {
        let proxy = ScriptedUpstream::start();
        self.have_at(&proxy, 0xff, askers);
        proxy.publish(&self.object_at_server(), Page::new(&self.content));
        proxy
    }

    /// A neighbour that answers like this.
    fn peer(&self, page: Page) -> ScriptedUpstream {
        let peer = ScriptedUpstream::start();
        peer.publish(&self.object(), page);
        peer
    }

    fn serve(&self, setup: &AgentSetup) -> AgentService {
        setup.serve(&["--origin", &self.origin.url(), "--name", "pc1"])
    }

    /// Brings it to a service, and from there to a file.
    fn get(&self, setup: &AgentSetup, service: &AgentService) -> Got {
        setup.clone().by(service).get(PATH, "file").expect(&self.content)
    }
}

fn page(value: &Value) -> Page {
    Page::new(&Content::from(value.to_string().as_str()))
}

fn brought(got: &Got, rank: &str) -> u64 {
    let sources = got.said["sources"].as_array().expect("a list").iter();
    sources.filter(|source| source["rank"] == rank).filter_map(|source| source["bytes"].as_u64()).sum()
}

fn download(service: &AgentService) -> Value {
    let status: Value = serde_json::from_str(&service.ask(&["status", "--json"])).expect("JSON");
    status["downloads"][0].clone()
}

#[test]
fn with_nobody_around_it_is_one_plain_download() {
    let site = Site::new(1);
    let proxy = site.proxy(1);
    site.sources(&[("proxy", &proxy.url(), false), ("origin", &site.origin.url(), false)]);
    let setup = agent();
    let got = site.get(&setup, &site.serve(&setup));
    assert_eq!(brought(&got, "proxy"), SIZE, "{got:?}");
    let asked = proxy.asked(&site.object_at_server());
    assert_eq!((asked.len(), asked[0].range()), (1, None), "exactly one, and all of it");
    // It was asked who else is around, and heard where this machine shares.
    let question = &proxy.asked(&site.have())[0];
    assert!(question.fields.first("Outpost-Peer").is_some_and(|port| port.parse::<u16>().is_ok()), "{question:?}");
    let lists = |server: &ScriptedUpstream| {
        server.asked_at_all().iter().filter(|asked| asked.target.contains("/pieces/")).count()
    };
    assert_eq!((lists(&proxy), lists(&site.origin)), (0, 0), "nobody needs the digests of pieces");
}

#[test]
fn a_neighbour_that_sends_a_wrong_piece_is_left_and_the_file_is_right() {
    let site = Site::new(2);
    // Whichever piece it is asked for first.
    let wrong = (0..PIECES).fold(site.content.clone(), |wrong, piece| wrong.with_flipped_bit(piece * MIB + 5));
    let (liar, proxy) = (site.peer(Page::new(&wrong)), site.proxy(3));
    site.sources(&[
        ("peer", &liar.url(), false),
        ("proxy", &proxy.url(), false),
        ("origin", &site.origin.url(), false),
    ]);
    let setup = agent();
    let service = site.serve(&setup);
    let got = site.get(&setup, &service);
    assert_eq!(brought(&got, "proxy"), SIZE, "{got:?}");
    service.program.find_line("the warning", |line| line.contains("a source sent a wrong piece").then_some(()));
    // It is banned for this content: what was asked of it then is all that ever is.
    let before = liar.asked_at_all().len();
    service.ask(&["cache", "clear"]);
    site.get(&setup, &service);
    assert!(liar.asked_at_all().len() > before, "another download begins without a grudge");
}

#[test]
fn a_neighbour_that_stalls_and_one_that_vanishes_cost_no_more_than_time() {
    for (seed, reply) in [(3, Reply::right().stall(2 * MIB + MIB / 2)), (4, Reply::right().reset(2 * MIB + MIB / 2))] {
        let site = Site::new(seed);
        let (bad, proxy) = (site.peer(Page::new(&site.content).then(reply)), site.proxy(3));
        site.sources(&[("peer", &bad.url(), false), ("proxy", &proxy.url(), false)]);
        let setup = agent();
        let got = site.get(&setup, &site.serve(&setup));
        assert!(brought(&got, "peer") > 0 && brought(&got, "proxy") > 0, "{got:?}");
        assert_eq!(brought(&got, "peer") + brought(&got, "proxy"), SIZE, "each piece counts once: {got:?}");
    }
    // One that is not there at all.
    let site = Site::new(5);
    let (gone, proxy) = (ScriptedUpstream::start(), site.proxy(3));
    let url = gone.url();
    drop(gone);
    site.sources(&[("peer", &url, false), ("proxy", &proxy.url(), false)]);
    let setup = agent();
    site.get(&setup, &site.serve(&setup));
}

#[test]
fn a_neighbour_that_lies_about_what_it_has_is_left() {
    let site = Site::new(6);
    let (liar, proxy) = (ScriptedUpstream::start(), site.proxy(3));
    site.have_at(&liar, 0x7f, 0);
    site.sources(&[("peer", &liar.url(), true), ("proxy", &proxy.url(), false)]);
    let setup = agent();
    let got = site.get(&setup, &site.serve(&setup));
    assert_eq!(brought(&got, "proxy"), SIZE, "{got:?}");
    assert!(liar.gets(&site.object()) <= 4, "{} questions for what it has not", liar.gets(&site.object()));
    // More pieces than there are is no answer at all.
    let site = Site::new(7);
    let (liar, proxy) = (ScriptedUpstream::start(), site.proxy(3));
    liar.publish(&site.have(), page(&json!({ "size": SIZE, "have": BASE64_STANDARD.encode([255; 9]) })));
    site.sources(&[("peer", &liar.url(), true), ("proxy", &proxy.url(), false)]);
    site.get(&setup, &site.serve(&setup));
    assert_eq!(liar.gets(&site.object()), 0);
}

#[test]
fn a_wrong_list_is_not_believed() {
    let site = Site::new(8);
    let proxy = site.proxy(3);
    let mut wrong = site.list();
    wrong["sha256"] = BASE64_STANDARD.encode([7; 32 * PIECES as usize]).into();
    site.list_at(&proxy, &wrong);
    site.sources(&[("proxy", &proxy.url(), false), ("origin", &site.origin.url(), false)]);
    let setup = agent();
    let service = site.serve(&setup);
    let got = site.get(&setup, &service);
    assert_eq!(brought(&got, "proxy"), SIZE, "{got:?}");
    service
        .program
        .find_line("the warning", |line| line.contains("a list of pieces is not that of the file").then_some(()));
    // Where nobody gives one, it comes in one piece.
    let site = Site::new(9);
    let proxy = site.proxy(3);
    let target = format!("/.outpost/v1/pieces/{}?path={PATH}", site.content.md5_hex());
    site.origin.publish(&target, Page::new(&Content::from("")).then(Reply::status(404)));
    site.sources(&[("proxy", &proxy.url(), false)]);
    let setup = agent();
    site.get(&setup, &site.serve(&setup));
    let asked = proxy.asked(&site.object_at_server());
    assert!(asked.iter().any(|asked| asked.range().is_none()), "{asked:?}");
}

#[test]
fn two_agents_share_a_file_while_it_arrives() {
    let site = Site::new(10);
    let (gate, half) = (Gate::new(), 5 * MIB + MIB / 2);
    // Held however often the first loses patience: under load that is longer than it waits.
    site.origin.publish(&site.object_at_server(), Page::new(&site.content).then(Reply::right().hold(half, &gate)));
    site.sources(&[("origin", &site.origin.url(), false)]);
    let (one, other) = (agent(), agent());
    let first = site.serve(&one);
    let getting = one.clone().by(&first).start(PATH, "file");
    gate.wait_for_arrival();
    // The second knows nobody else who has it.
    let second_site = Site { content: site.content.clone(), origin: ScriptedUpstream::start() };
    let info =
        json!({ "path": PATH, "size": SIZE, "md5": site.content.md5_hex(), "sha256": site.content.sha256_hex() });
    second_site.origin.publish(&format!("/.outpost/v1/info{PATH}"), page(&info));
    second_site.list_at(&second_site.origin, &site.list());
    let at = format!("http://{}/", first.peers);
    second_site.sources(&[("peer", &at, true), ("origin", &second_site.origin.url(), false)]);
    let second = second_site.serve(&other);
    let following = other.clone().by(&second).start(PATH, "file");
    wait::until_true("five pieces went on while the first waits for more", || {
        download(&second)["pieces_here"].as_u64() == Some(5)
    });
    let source = download(&second)["source"].as_str().expect("a source").to_owned();
    assert_eq!(source, "peer", "{source}");
    // What is not here, nobody waits for: half a piece, the whole, and a piece of the rest.
    for range in ["bytes=5242880-", "bytes=0-", "bytes=6291456-7340031"] {
        Ask::get(site.object()).range(range).fetch(first.peers).expect_status(404);
    }
    Ask::get(site.object()).fetch(first.peers).expect_status(404);
    Ask::get(site.object()).range("bytes=1048576-2097151").fetch(first.peers).expect_part(&site.content, MIB, 2 * MIB);
    gate.open();
    getting.wait().expect(&site.content);
    let got = following.wait().expect(&site.content);
    assert_eq!(brought(&got, "peer"), SIZE, "{got:?}");
    // What was on its way when the first lost patience with the gate left it twice.
    let left = site.origin.body_bytes(&site.object_at_server());
    assert!(left < SIZE + MIB, "{left} bytes left the origin");
}

#[test]
fn a_service_that_ends_in_the_middle_goes_on_with_what_it_kept() {
    for (is_killed, missing) in [(false, 7), (true, 7), (false, 0)] {
        let site = Site::new(11);
        let gate = Gate::new();
        // One has everything but the last piece, or the first, and that one is held by the other until the service has gone.
        let near = site.peer(Page::new(&site.content));
        site.have_at(&near, !(1 << missing), 0);
        let holding = site.peer(Page::new(&site.content).then(Reply::right().hold(missing * MIB + 1, &gate)));
        site.have_at(&holding, 1 << missing, 0);
        site.sources(&[("peer", &near.url(), true), ("peer", &holding.url(), true)]);
        let setup = agent();
        let mut service = site.serve(&setup);
        let getting = setup.clone().by(&service).start(PATH, "file");
        gate.wait_for_arrival();
        wait::until_true("all but one are here", || download(&service)["pieces_here"].as_u64() == Some(PIECES - 1));
        let local = service.local.to_string();
        if is_killed {
            service.program.kill();
        } else {
            service.terminate();
        }
        gate.open();
        let _again = setup.serve(&["--origin", &site.origin.url(), "--name", "pc1", "--local", &local]);
        getting.wait().expect(&site.content);
        // A crash may take what was not yet known to be on the disk, a stop nothing.
        let most = if is_killed { 2 * SIZE } else { SIZE + 2 * MIB };
        let brought = near.body_bytes(&site.object()) + holding.body_bytes(&site.object());
        assert!(brought <= most, "{brought} bytes");
    }
}

/// Everything but one piece: the end is of no less use than the rest, to a neighbour and to who asks a proxy.
#[test]
fn the_last_piece_is_had_and_given_while_another_is_missing() {
    let site = Site::new(12);
    let gate = Gate::new();
    let near = site.peer(Page::new(&site.content));
    site.have_at(&near, 0xfb, 0);
    let holding = site.peer(Page::new(&site.content).then(Reply::right().hold(2 * MIB + 1, &gate)));
    site.have_at(&holding, 0x04, 0);
    site.sources(&[("peer", &near.url(), true), ("peer", &holding.url(), true)]);
    let setup = agent();
    let service = site.serve(&setup);
    let getting = setup.clone().by(&service).start(PATH, "file");
    gate.wait_for_arrival();
    wait::until_true("all but one are here", || download(&service)["pieces_here"].as_u64() == Some(PIECES - 1));
    // The end that a store withholds reaches over two pieces here.
    let range = |start: u64, end: u64| format!("bytes={start}-{}", end - 1);
    for (start, end) in [(6 * MIB, 7 * MIB), (7 * MIB, SIZE), (7 * MIB - 5, 7 * MIB), (SIZE - 1, SIZE)] {
        let ask = Ask::get(site.object()).range(&range(start, end));
        ask.fetch(service.peers).expect_part(&site.content, start, end);
    }
    // What could be given only in part is not begun.
    Ask::get(site.object()).range(&range(6 * MIB, SIZE)).fetch(service.peers).expect_status(404);
    Ask::get(site.object()).range(&range(5 * MIB, 6 * MIB + 1)).fetch(service.peers).expect_part(
        &site.content,
        5 * MIB,
        6 * MIB + 1,
    );
    let asked = near.asked(&site.object());
    for asked in &asked {
        let start: u64 = asked.range().and_then(|range| range[6..].split('-').next()?.parse().ok()).expect("a range");
        let digest = &site.digests()[(start / MIB) as usize * 32..][..32];
        let expected = format!("sha-256=:{}:", BASE64_STANDARD.encode(digest));
        assert_eq!(asked.fields.first("Outpost-Piece"), Some(expected.as_str()), "{asked:?}");
    }
    assert!(asked.len() as u64 >= PIECES - 1, "{asked:?}");
    gate.open();
    getting.wait().expect(&site.content);
}
