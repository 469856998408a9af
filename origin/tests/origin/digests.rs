//! Digests: told, asked for, kept over a restart, and never of other bytes than those that are sent.

use std::{fs, time::Duration};

use outpost_origin::{Options, Origin, StartError};
use protocol::{
    digest::{Digests, Md5},
    pieces::Pieces,
};

use crate::harness::Fixture;

#[test]
fn info_hashes_what_is_not_hashed_yet() {
    let mut fixture = Fixture::new();
    fixture.start();
    // After the only scan: nobody has looked at it.
    fixture.write("d/new file", "abc");
    let answer = fixture.get("/.outpost/v1/info/d/new%20file");
    let digests = Digests::of(b"abc");
    let info = answer.json();
    assert_eq!((info["path"].as_str(), info["size"].as_u64()), (Some("/d/new%20file"), Some(3)));
    assert_eq!(info["md5"], digests.md5.to_string());
    assert_eq!(info["sha256"], digests.sha256.to_string());
    assert!(info["modified"].as_str().is_some_and(|time| time.len() == 20 && time.ends_with('Z')), "{info}");
    assert_eq!(fixture.get("/.outpost/v1/info/none").status, 404);
    assert_eq!(fixture.get("/.outpost/v1/info/d").status, 404);
    assert_eq!(fixture.get("/.outpost/v1/info/").status, 404);
}

#[test]
fn a_file_that_is_still_being_written_has_no_digest_but_a_tag() {
    let mut fixture = Fixture::new();
    fixture.options.settle = Duration::from_secs(3_600);
    fixture.write("f", "abc");
    fixture.start();
    let info = fixture.get("/.outpost/v1/info/f");
    assert_eq!((info.status, &info.json()["type"]), (503, &"urn:outpost:problem:digest-pending".into()));
    assert!(info.field("Retry-After").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0)));
    let answer = fixture.get("/f");
    assert_eq!((answer.status, answer.text(), answer.field("Repr-Digest")), (200, "abc", None));
    assert!(answer.field("ETag").is_some_and(|etag| etag.starts_with("\"f-")), "{answer:?}");
}

#[test]
fn a_tag_from_before_the_digest_was_known_still_continues_the_same_bytes() {
    let mut fixture = Fixture::new();
    fixture.options.settle = Duration::from_secs(3_600);
    fixture.write("f", "0123456789");
    fixture.start();
    let early = fixture.get("/f").field("ETag").expect("a tag").to_owned();
    fixture.options.settle = Duration::ZERO;
    fixture.start();
    fixture.wait_until_known(1);
    let late = fixture.get_with("/f", &[("Range", "bytes=5-"), ("If-Range", &early)]);
    assert_eq!((late.status, late.text()), (206, "56789"));
    assert_eq!(late.field("ETag"), Some(format!("\"{}\"", Md5::of(b"0123456789")).as_str()));
    assert_eq!(fixture.get_with("/f", &[("If-None-Match", &early)]).status, 304);
}

#[test]
fn objects_by_digest() {
    let mut fixture = Fixture::new();
    fixture.write("a b/one", "same");
    fixture.write("two", "same");
    fixture.write("other", "other");
    fixture.start();
    fixture.wait_until_known(3);
    let md5 = Md5::of(b"same");
    let object = format!("/.outpost/v1/objects/{md5}");
    for query in ["", "?path=/a%20b/one", "?path=/two"] {
        let answer = fixture.get(&format!("{object}{query}"));
        assert_eq!((answer.status, answer.text()), (200, "same"), "{query}");
        assert_eq!(answer.field("ETag"), Some(format!("\"{md5}\"").as_str()));
    }
    let part = fixture.get_with(&object, &[("Range", "bytes=1-2")]);
    assert_eq!((part.status, part.text()), (206, "am"));
    assert_eq!(fixture.get(&format!("{object}?path=/other")).status, 404);
    assert_eq!(fixture.get(&format!("{object}?path=/none")).status, 404);
    assert_eq!(fixture.get(&format!("/.outpost/v1/objects/{}", Md5::of(b"unknown"))).status, 404);
    assert_eq!(fixture.get("/.outpost/v1/objects/xyz").status, 404);
    assert_eq!(fixture.get(&format!("/.outpost/v1/progress/{md5}")).text(), "event: ready\ndata: {}\n\n");

    // One of the two is gone: the other is found. Both have other bytes: nothing is.
    fs::remove_file(fixture.path("two")).expect("removed");
    assert_eq!(fixture.get(&object).text(), "same");
    fixture.write("a b/one", "different");
    crate::harness::until("the changed file is noticed", || fixture.get(&object).status == 404);
    assert_eq!(fixture.get(&format!("{object}?path=/a%20b/one")).status, 404);
}

#[test]
fn an_object_is_found_at_its_path_before_the_scan_has_come_there() {
    let mut fixture = Fixture::new();
    fixture.start();
    fixture.write("new", "abc");
    let answer = fixture.get(&format!("/.outpost/v1/objects/{}?path=/new", Md5::of(b"abc")));
    assert_eq!((answer.status, answer.text()), (200, "abc"));
}

#[test]
fn a_restart_hashes_nothing_again() {
    let mut fixture = Fixture::new();
    for n in 0..50 {
        fixture.write(format!("d{}/f{n}", n % 5), format!("content {n}"));
    }
    fixture.start();
    fixture.wait_until_known(50);
    fixture.expect_hashed(50);

    fixture.write("d1/f1", "changed while the origin was away");
    fixture.start();
    fixture.rescan();
    let expected = Digests::of(b"changed while the origin was away").repr_digest();
    crate::harness::until("the changed file is hashed", || {
        fixture.get("/d1/f1").field("Repr-Digest") == Some(expected.as_str())
    });
    fixture.expect_hashed(1);
    assert_eq!(fixture.get("/d0/f0").field("Repr-Digest"), Some(Digests::of(b"content 0").repr_digest().as_str()));
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let fixture = Fixture::new();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let error = |options: &Options| match Origin::start(options, runtime.handle()) {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    };
    let missing = error(&Options { directory: "/nowhere/at/all".into(), ..fixture.options.clone() });
    assert!(matches!(missing, StartError::Share(..)) && missing.to_string().contains("/nowhere/at/all"), "{missing}");
    let inside = error(&Options { database: fixture.path("origin.db"), ..fixture.options.clone() });
    assert!(matches!(inside, StartError::DatabaseInShare(..)), "{inside}");
    assert!(!fixture.path("origin.db").exists());
    let mut options = fixture.options.clone();
    options.registry.database = fixture.path("registry.db");
    let inside = error(&options);
    assert!(inside.to_string().contains("outside of it with registry.database"), "{inside}");
    assert!(!fixture.path("registry.db").exists());
    let file = fixture.write("file", "");
    assert!(matches!(error(&Options { directory: file, ..fixture.options.clone() }), StartError::Share(..)));
}

/// Of several pieces.
fn large(seed: u64) -> Vec<u8> {
    let number = |at: u64| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..(5 << 20) / 16).flat_map(number).collect()
}

#[test]
fn digests_of_pieces_are_told_by_the_digest_of_the_content_and_by_their_root() {
    let mut fixture = Fixture::new();
    let content = large(1);
    fixture.write("d/large", &content);
    fixture.write("copy", &content);
    fixture.write("small", "abc");
    fixture.start();
    fixture.wait_until_known(3);
    let md5 = Md5::of(&content);
    let ask = |fixture: &Fixture, md5: &dyn std::fmt::Display| fixture.get(&format!("/.outpost/v1/pieces/{md5}"));
    let answer = ask(&fixture, &md5);
    assert_eq!((answer.status, answer.field("Cache-Control")), (200, Some("public, max-age=31536000, immutable")));
    let pieces: Pieces = serde_json::from_slice(&answer.body).expect("a list");
    assert_eq!((pieces.md5(), pieces.size(), pieces.count()), (md5, content.len() as u64, 3));
    assert!((0..).zip(content.chunks(1 << 20)).all(|(piece, bytes)| pieces.fits(piece, bytes)));

    let question = serde_json::json!({ "digests": [md5, Md5::of(b"abc")] });
    let sources = fixture.post("/.outpost/v1/sources", &[], question.to_string().as_bytes()).json();
    assert_eq!(sources["contents"][0]["pieces"], pieces.root().to_string());
    assert!(sources["contents"][1]["pieces"].is_null(), "{sources}");

    let one = ask(&fixture, &Md5::of(b"abc"));
    assert_eq!((one.status, one.json()["detail"].as_str().is_some_and(|text| text.contains("one piece"))), (404, true));
    for (unknown, status) in [(Md5::of(b"unknown").to_string(), 404), ("xyz".into(), 404), (format!("{md5}0"), 404)] {
        assert_eq!(ask(&fixture, &unknown).status, status, "{unknown}");
    }
    assert_eq!(fixture.ask("POST", &format!("/.outpost/v1/pieces/{md5}"), &[]).status, 405);
    let head = fixture.ask("HEAD", &format!("/.outpost/v1/pieces/{md5}"), &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// As after an update: the database is of a release that knew no pieces.
#[test]
fn files_that_were_read_before_get_their_pieces_when_they_are_asked_for() {
    let mut fixture = Fixture::new();
    let contents = [large(1), large(2)];
    for (name, content) in ["asked", "told"].iter().zip(&contents) {
        fixture.write(name, content);
    }
    fixture.start();
    fixture.wait_until_known(2);
    fixture.stop();
    let database = rusqlite::Connection::open(&fixture.options.database).expect("opens");
    database.execute_batch("DROP TABLE pieces; PRAGMA user_version = 2;").expect("as it was");
    drop(database);
    fixture.start();
    assert_eq!(fixture.origin().known(), 2, "nothing is forgotten by the step");
    let [asked, told] = contents.map(|content| Md5::of(&content));
    let generation = || fixture.get("/.outpost/v1/catalog").json()["generation"].as_u64();
    let before = generation();
    let answer = fixture.get(&format!("/.outpost/v1/pieces/{asked}"));
    assert_eq!((answer.status, answer.json()["size"].as_u64()), (200, Some(5 << 19)));
    // Who asks where it is to be had is not kept waiting: the next is told.
    let question = serde_json::json!({ "digests": [told] }).to_string();
    let root =
        || fixture.post("/.outpost/v1/sources", &[], question.as_bytes()).json()["contents"][0]["pieces"].clone();
    assert!(root().is_null());
    crate::harness::until("the other one was read for its pieces", || !root().is_null());
    assert_eq!(generation(), before, "nobody is told of a change");
}
