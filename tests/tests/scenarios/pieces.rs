//! Contents in pieces, over an origin and proxies: each piece can be believed by itself, wherever it comes from, and the line carries no more than one
//! content and one list.

use harness::{
    KIB, MIB,
    client::{Ask, Connection, fetch},
    content::Content,
    proxy::Proxy,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use protocol::pieces::{Have, Pieces};

use crate::{origin_over, proxy};

fn read<T: serde::de::DeserializeOwned>(address: std::net::SocketAddr, target: &str) -> T {
    let answer = fetch(address, target).expect_status(200);
    serde_json::from_slice(&answer.body).expect("as the interface has it")
}

fn have(proxy: &Proxy, content: &Content, port: u16) -> Have {
    let ask = Ask::get(format!("/.outpost/v1/have/{}?piece={MIB}", content.md5_hex()));
    let answer = proxy.ask(&ask.field("Outpost-Peer", port.to_string())).expect_status(200);
    serde_json::from_slice(&answer.body).expect("as the interface has it")
}

/// All pieces of a content, one after the other, as an agent gets them.
fn get_in_pieces(address: std::net::SocketAddr, content: &Content, pieces: &Pieces) {
    for piece in 0..pieces.count() {
        let span = pieces.span(piece);
        let range = format!("bytes={}-{}", span.start, span.end - 1);
        let answer = Ask::get(format!("/.outpost/v1/objects/{}", content.md5_hex())).range(&range).fetch(address);
        assert!(pieces.fits(piece, &answer.body), "piece {piece}");
        answer.expect_part(content, span.start, span.end);
    }
}

#[test]
fn the_list_comes_down_a_chain_of_proxies_once_and_fits_what_each_of_them_gives() {
    let (share, content) = (Share::new(), Content::random(1, 5 * MIB + 7));
    share.write("a.bin", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/a.bin");
    let parent = proxy().upstream("/", &origin.url()).start();
    let child = proxy().upstream("/", &format!("outpost+http://{}/", parent.files())).start();

    let mut asking = Connection::open(origin.files());
    let question = format!(r#"{{"digests":["{}"]}}"#, content.md5_hex());
    let head = "POST /.outpost/v1/sources HTTP/1.1\r\nHost: o\r\nContent-Type: application/json\r\nContent-Length";
    asking.send(format!("{head}: {}\r\n\r\n{question}", question.len()).as_bytes());
    let sources = asking.answer("POST").rest().json();
    let target = format!("/.outpost/v1/pieces/{}", content.md5_hex());
    let lists = [child.files(), parent.files(), origin.files()].map(|address| read::<Pieces>(address, &target));
    for list in &lists {
        assert_eq!(sources["contents"][0]["pieces"], list.root().to_string());
    }
    assert_eq!(parent.upstream_bytes() + child.upstream_bytes(), 0, "no content was fetched for its list");

    for address in [child.files(), parent.files(), origin.files()] {
        get_in_pieces(address, &content, &lists[0]);
    }
    child.wait_until_idle();
    assert!(child.upstream_bytes() <= content.len() + 512 * KIB, "{}", child.upstream_bytes());
    assert!(parent.upstream_bytes() <= content.len() + 512 * KIB, "{}", parent.upstream_bytes());

    // What the origin does not have any more is told by who holds it, also after a restart.
    drop(origin);
    let (parent, child) = (parent.terminate().start(), child.kill().start());
    for address in [parent.files(), child.files()] {
        wait::until_true("the list is made of what is here", || {
            let answer = fetch(address, &target);
            answer.status == 200 && answer.json()["size"].as_u64() == Some(content.len())
        });
    }
    assert_eq!(read::<Pieces>(child.files(), &target), lists[0]);
}

#[test]
fn pieces_that_came_before_their_turn_are_told_of_and_given() {
    let content = Content::random(2, 40 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).repr_digest().next(Reply::right().hold(2 * MIB, &gate)));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let nothing = have(&proxy, &content, 9_001);
    assert_eq!((nothing.size, nothing.filling, upstream.gets("/file")), (None, false, 0), "asking fetches nothing");

    let mut follower = proxy.open("/file");
    follower.take(MIB);
    // Far ahead of what has come.
    let asked = Ask::get("/file").range(&format!("bytes={}-{}", 30 * MIB, 31 * MIB - 1));
    asked.fetch(proxy.files()).expect_part(&content, 30 * MIB, 31 * MIB);
    let told = have(&proxy, &content, 9_002);
    assert_eq!((told.size, told.filling), (Some(content.len()), true));
    assert_eq!((told.peers, told.askers), (vec!["http://127.0.0.1:9001/".to_owned()], 2));
    let here = told.have.of_len(40).expect("of as many pieces");
    assert!(here.get(0) && here.get(30) && !here.get(20), "{here:?}");
    for piece in here.ones() {
        let start = u64::from(piece) * MIB;
        let asked = Ask::get("/file").range(&format!("bytes={start}-{}", start + MIB - 1));
        asked.fetch(proxy.files()).expect_part(&content, start, start + MIB);
    }
    gate.open();
    follower.compare(&content, MIB);
    proxy.wait_until_idle();
    let all = have(&proxy, &content, 9_001);
    assert!(all.have.of_len(40).is_some_and(|here| here.is_full()) && !all.filling);
    assert!(proxy.metrics().contains("outpost_have_total 3\n"), "{}", proxy.metrics());
}

/// An upstream whose list has the right shape and wrong digests: the proxy cannot know; who knows the root, or gets a piece, does.
#[test]
fn a_list_of_wrong_digests_fits_neither_the_root_nor_any_piece() {
    let (share, content) = (Share::new(), Content::random(3, 3 * MIB));
    share.write("a.bin", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/a.bin");
    let target = format!("/.outpost/v1/pieces/{}", content.md5_hex());
    let right = read::<Pieces>(origin.files(), &target);
    let mut bytes = right.to_bytes();
    bytes[40] ^= 1;
    let wrong = Pieces::from_bytes(right.md5(), right.size(), right.piece_size(), &bytes).expect("of the same shape");

    let liar = ScriptedUpstream::start();
    let text = serde_json::to_string(&wrong).expect("serialises");
    liar.publish(&target, Page::new(&Content::from(text.as_str())));
    let proxy = proxy().upstream("/", &format!("outpost+{}", liar.url())).start();
    let told = read::<Pieces>(proxy.files(), &target);
    assert_ne!(told.root(), right.root());
    assert!(
        !told.fits(1, &content.bytes()[MIB as usize..2 * MIB as usize])
            && told.fits(0, &content.bytes()[..MIB as usize])
    );
}
