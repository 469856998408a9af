//! Digests: told, asked for, kept over a restart, and never of other bytes than those that are sent.

use std::{fs, time::Duration};

use outpost_origin::{Options, Origin, StartError};
use protocol::digest::{Digests, Md5};

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
