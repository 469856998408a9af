//! Names, links, indexes, ranges and conditions.

use std::{fs, os::unix::fs::symlink};

use protocol::digest::Digests;

use crate::harness::{Fixture, Transfer, target};

const ODD_NAMES: &[&[u8]] = &[
    b"plain.txt",
    b"a b",
    b"50%",
    b"50%25",
    b"#x",
    b"?y=z",
    b"<script>",
    b"quo\"te'",
    b"x:y",
    b"javascript:alert(1)",
    b"a+b&c;d=e,f",
    b"back\\slash",
    b"new\nline",
    b"\xff\xfe",
    "\u{fc}ber".as_bytes(),
    b".hidden",
    b"-",
    b"~",
];

#[test]
fn every_name_that_a_disk_can_hold_is_served() {
    let mut fixture = Fixture::new();
    for directory in [&b""[..], b"d \xff%/"] {
        for name in ODD_NAMES {
            let path = [directory, name].concat();
            fixture.write(&path, &path);
        }
    }
    fixture.start();
    for directory in [&b""[..], b"d \xff%/"] {
        for name in ODD_NAMES {
            let path = [directory, name].concat();
            let answer = fixture.get(&target(&path));
            assert_eq!((answer.status, answer.body), (200, path.clone()), "{}", path.escape_ascii());
            let info = fixture.get(&format!("/.outpost/v1/info{}", target(&path)));
            assert_eq!(info.json()["path"], target(&path));
        }
    }
}

#[test]
fn every_link_of_an_index_leads_to_its_file() {
    let mut fixture = Fixture::new();
    for name in ODD_NAMES {
        fixture.write([b"d \xff/", *name].concat(), name);
    }
    fixture.start();
    let index = fixture.get_with(&target(b"d \xff/"), &[("Accept", "application/json")]).json();
    let entries = index["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), ODD_NAMES.len());
    let mut sorted = ODD_NAMES.to_vec();
    sorted.sort();
    for (entry, name) in entries.iter().zip(sorted) {
        let href = entry["href"].as_str().expect("a link");
        let path = format!("{}{}", index["path"].as_str().expect("a path"), href.trim_start_matches("./"));
        assert_eq!(fixture.get(&path).body, name, "{path}");
        assert_eq!(entry["size"], name.len());
    }
}

#[test]
fn an_index_is_a_page_or_json_and_a_directory_has_its_slash() {
    let mut fixture = Fixture::new();
    fixture.write("d/b.txt", "12345");
    fixture.write("d/a b/c", "");
    fixture.start();

    let moved = fixture.get("/d?x");
    assert_eq!((moved.status, moved.field("Location")), (301, Some("/d/?x")));
    let page = fixture.get("/d/");
    assert_eq!((page.status, page.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<a href=\"a%20b/\">a b/</a>") && page.text().contains("5 B"), "{page:?}");
    assert_eq!(page.field("Vary"), Some("Accept"));
    let json = fixture.get_with("/d/", &[("Accept", "application/json")]);
    assert_eq!(json.field("Content-Type"), Some("application/json"));
    let names: Vec<_> = json.json()["entries"].as_array().expect("entries").iter().map(|e| e["name"].clone()).collect();
    assert_eq!(names, ["a b", "b.txt"]);
    assert_eq!(fixture.ask("HEAD", "/d/", &[]).field("Content-Length"), page.field("Content-Length"));
    assert_eq!(fixture.get("/d/b.txt/").status, 404);
    assert_eq!(fixture.get("/").status, 200);
}

#[test]
fn nothing_outside_of_the_share_is_served() {
    let mut fixture = Fixture::new();
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("secret"), "secret").expect("written");
    fixture.write("d/inside", "inside");
    symlink(outside.path().join("secret"), fixture.path("file-link")).expect("linked");
    symlink(outside.path(), fixture.path("dir-link")).expect("linked");
    symlink("../../../../../../../../etc/passwd", fixture.path("d/up-link")).expect("linked");
    symlink("inside", fixture.path("d/good-link")).expect("linked");
    symlink(".", fixture.path("d/loop")).expect("linked");
    fixture.start();

    assert_eq!(fixture.get("/d/good-link").body, b"inside");
    assert_eq!(fixture.get("/d/loop/loop/inside").body, b"inside");
    for target in ["/file-link", "/dir-link/secret", "/dir-link/", "/d/up-link"] {
        assert_eq!(fixture.get(target).status, 404, "{target}");
        assert_eq!(fixture.get(&format!("/.outpost/v1/info{}", target.trim_end_matches('/'))).status, 404, "{target}");
    }
    for target in
        ["/../etc/passwd", "/%2e%2e/etc/passwd", "/d/..%2f..%2fetc/passwd", "/d%2finside", "/d/inside%00", "/%"]
    {
        assert_eq!(fixture.get(target).status, 400, "{target}");
    }
    let empty = "d41d8cd98f00b204e9800998ecf8427e";
    let object = fixture.get(&format!("/.outpost/v1/objects/{empty}?path=/../../../../etc/passwd"));
    assert_eq!(object.status, 404);
    assert!(!fixture.get("/").text().contains("file-link"));
}

#[test]
fn ranges_and_conditions() {
    let mut fixture = Fixture::new();
    fixture.write("f.deb", "0123456789");
    fixture.write("empty", "");
    fixture.write("large", "0123456789".repeat(100));
    fixture.start();
    fixture.wait_until_known(3);
    let whole = fixture.get("/f.deb");
    let etag = whole.field("ETag").expect("a tag").to_owned();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    assert_eq!(whole.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(whole.field("Content-Type"), Some("application/vnd.debian.binary-package"));
    let digests = Digests::of(b"0123456789");
    assert_eq!(whole.field("Repr-Digest"), Some(digests.repr_digest().as_str()));

    let part = fixture.get_with("/f.deb", &[("Range", "bytes=2-4")]);
    assert_eq!((part.status, part.text()), (206, "234"));
    assert_eq!(part.field("Content-Range"), Some("bytes 2-4/10"));
    let parts = fixture.get_with("/large", &[("Range", "bytes=0-0,-1")]);
    assert_eq!(parts.status, 206);
    assert!(parts.field("Content-Type").is_some_and(|value| value.starts_with("multipart/byteranges")));
    assert!(parts.text().contains("bytes 999-999/1000"));
    let small = fixture.get_with("/f.deb", &[("Range", "bytes=0-0,-1")]);
    assert_eq!((small.status, small.text()), (200, "0123456789"), "the parts with their framing would be more");
    let twice = fixture.get_with("/large", &[("Range", "bytes=0-0"), ("Range", "bytes=5-5")]);
    assert_eq!(twice.status, 200, "two fields are no valid one");
    let outside = fixture.get_with("/f.deb", &[("Range", "bytes=10-")]);
    assert_eq!((outside.status, outside.field("Content-Range")), (416, Some("bytes */10")));
    let other = fixture.get_with("/f.deb", &[("Range", "bytes=2-4"), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.text()), (200, "0123456789"));

    let same = fixture.get_with("/f.deb", &[("If-None-Match", &etag)]);
    assert_eq!((same.status, same.body.len(), same.field("ETag")), (304, 0, Some(etag.as_str())));
    assert_eq!(fixture.get_with("/f.deb", &[("If-Match", "\"other\"")]).status, 412);
    let modified = whole.field("Last-Modified").expect("a date");
    assert_eq!(fixture.get_with("/f.deb", &[("If-Modified-Since", modified)]).status, 304);

    let head = fixture.ask("HEAD", "/f.deb", &[("Range", "bytes=2-4")]);
    assert_eq!((head.status, head.field("Content-Length"), head.body.len()), (200, Some("10"), 0));
    let empty = fixture.get("/empty");
    assert_eq!((empty.status, empty.field("Content-Length"), empty.body.len()), (200, Some("0"), 0));
    assert_eq!(fixture.get("/none").json()["type"], "urn:outpost:problem:not-found");
    assert_eq!(fixture.ask("POST", "/f.deb", &[("Content-Length", "0")]).status, 405);
}

#[test]
fn a_file_that_is_overwritten_while_it_is_sent_reaches_nobody_as_complete() {
    // Far more than all socket buffers hold, so that most of it is unsent when it is overwritten.
    const LEN: usize = 64 << 20;
    let mut fixture = Fixture::new();
    let path = fixture.write("image.iso", vec![b'a'; LEN]);
    fixture.start();
    let mut transfer = Transfer::start(fixture.origin().addresses()[0], "GET", "/image.iso", &[]);
    assert_eq!((transfer.status(), transfer.content_length()), (200, LEN));
    let mut received = transfer.read(1 << 20).len();
    // In place: the same inode, the same length.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &vec![b'b'; LEN]))
        .expect("written");
    received += transfer.rest().len();
    assert!(received < LEN, "all {LEN} bytes arrived, some of them old and some new");
    // And the next who asks gets the new bytes.
    crate::harness::until("the new file is served", || {
        let answer = fixture.get("/image.iso");
        answer.body.len() == LEN && answer.body.iter().all(|&byte| byte == b'b')
    });
}

#[test]
fn a_file_that_is_replaced_while_it_is_sent_arrives_as_it_was() {
    const LEN: usize = 64 << 20;
    let mut fixture = Fixture::new();
    let path = fixture.write("image.iso", vec![b'a'; LEN]);
    fixture.start();
    let mut transfer = Transfer::start(fixture.origin().addresses()[0], "GET", "/image.iso", &[]);
    let mut received = transfer.read(1 << 20);
    let other = fixture.write("other", "new");
    fs::rename(other, path).expect("renamed");
    received.extend(transfer.rest());
    // Replacing changes the old inode's count of links, and with it its time of change: such a transfer may be cut, never mixed.
    assert!(received.iter().all(|&byte| byte == b'a'));
}

#[test]
fn the_share_is_one_of_webdav_too() {
    let mut share = Fixture::new();
    share.write("dir/a b.txt", "hello");
    share.start();
    let propfind = |target: &str, depth: &str| share.ask("PROPFIND", target, &[("Depth", depth)]);
    let listed = propfind("/dir", "1");
    assert_eq!(listed.status, 207, "{}", listed.text());
    assert!(
        listed.text().contains("<D:href>/dir/</D:href>") && listed.text().contains("<D:href>/dir/a%20b.txt</D:href>")
    );
    let file = propfind("/dir/a%20b.txt", "0");
    let etag = share.ask("HEAD", "/dir/a%20b.txt", &[]).field("ETag").unwrap().replace('"', "&quot;");
    assert!(file.text().contains(&etag) && file.text().contains(">5</D:getcontentlength>"), "{}", file.text());
    assert_eq!(propfind("/none", "0").status, 404);
    assert_eq!(propfind("/dir/a%20b.txt/", "0").status, 404);
    assert_eq!(propfind("/", "infinity").status, 403);
    assert_eq!(share.ask("OPTIONS", "/", &[]).field("DAV"), Some("1"));
    assert_eq!(share.ask("OPTIONS", "/.outpost/v1/info/x", &[]).field("DAV"), None);
    let locked = share.ask("LOCK", "/dir/a%20b.txt", &[]);
    assert_eq!((locked.status, locked.field("Allow")), (405, Some("GET, HEAD, OPTIONS, PROPFIND")));
}
