//! MD5 is a name and no proof: two contents with one MD5 (the pair that Wang and others published in 2004). What is promised is
//! that nobody ever gets a mix of them, and that what is kept under a digest never changes.

use harness::{client::Ask, content::Content, script::Page, share::Share, upstream::ScriptedUpstream};

use crate::proxy;

/// 128 bytes; the other one differs in the highest bit at [`DIFFERENT`], and in nothing that MD5 sees.
const FIRST: &str = "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a\
                     085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
                     e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70";
const DIFFERENT: [usize; 6] = [19, 45, 59, 83, 109, 123];

/// Both contents, with the same bytes after them, which keeps the collision.
fn colliding(tail: &[u8]) -> (Content, Content) {
    let byte = |at: usize| u8::from_str_radix(&FIRST[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
    let first: Vec<u8> = (0..128).map(byte).collect();
    let mut second = first.clone();
    DIFFERENT.iter().for_each(|at| second[*at] ^= 0x80);
    (Content::from([&first[..], tail].concat()), Content::from([&second[..], tail].concat()))
}

#[test]
fn contents_with_one_md5_are_never_mixed() {
    for tail in [0, 300_000] {
        let (first, second) = colliding(Content::random(1, tail).bytes());
        assert_ne!(first.bytes(), second.bytes());
        assert_eq!(first.md5_hex(), second.md5_hex(), "the pair collides");
        let upstream = ScriptedUpstream::start();
        upstream.publish("/first", Page::new(&first).etag("\"first\"").field("Cache-Control", "max-age=3600"));
        upstream.publish("/second", Page::new(&second).etag("\"second\"").field("Cache-Control", "max-age=3600"));
        let proxy = proxy().upstream("/", &upstream.url()).start();
        for _ in 0..3 {
            proxy.get("/first").expect(&first);
            proxy.get("/second").expect_none_but(&[&first, &second]).expect_status(200);
        }
        let whole = proxy.get("/second");
        let part = proxy.ask(&Ask::get("/second").range("bytes=0-99")).expect_status(206);
        assert_eq!(part.body, whole.body[..100], "a part of one and a part of the other");
    }
}

#[test]
fn a_file_replaced_by_one_with_its_md5_is_never_mixed() {
    let (first, second) = colliding(Content::random(2, 300_000).bytes());
    let share = Share::new();
    share.write("file", &first);
    let proxy = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").start();
    proxy.get("/file").expect(&first);
    share.replace("file", &second);
    for _ in 0..3 {
        proxy.get("/file").expect_none_but(&[&first, &second]).expect_status(200);
    }
}
