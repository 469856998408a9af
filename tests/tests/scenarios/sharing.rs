//! Equal content is one object, whatever it is called and wherever it comes from.

use std::fs;

use harness::{MIB, client::Ask, content::Content, script::Page, share::Share, upstream::ScriptedUpstream};

use crate::{origin_over, proxy};

#[test]
fn two_names_under_two_upstreams_are_one_object() {
    let content = Content::random(1, MIB);
    let (one, two) = (ScriptedUpstream::start(), ScriptedUpstream::start());
    one.publish("/a.iso", Page::tagged(&content));
    two.publish("/dir/b.iso", Page::tagged(&content));
    let proxy = proxy().upstream("/one", &one.url()).upstream("/two", &two.url()).start();
    for _ in ["cold", "warm"] {
        proxy.get("/one/a.iso").expect(&content);
        proxy.get("/two/dir/b.iso").expect(&content);
    }
    proxy.wait_until_idle();
    assert_eq!(proxy.objects_on_disk().len(), 1);
    assert_eq!(proxy.number("/cache/objects"), 1);
    proxy.get("/elsewhere").expect_status(404);
}

#[test]
fn the_longest_mount_wins() {
    let (outer, inner) = (Content::from("outer"), Content::from("inner"));
    let (everything, prod) = (Share::new(), Share::new());
    everything.write("prod/file", &outer);
    everything.write("production/file", &outer);
    prod.write("file", &inner);
    let proxy = proxy().upstream("/", &everything.url()).upstream("/prod", &prod.url()).start();
    proxy.get("/prod/file").expect(&inner);
    proxy.get("/production/file").expect(&outer);
}

#[test]
fn a_file_renamed_at_the_origin_moves_no_bytes() {
    let content = Content::random(2, 4 * MIB);
    let share = Share::new();
    let path = share.write("old name.iso", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/old%20name.iso");
    let proxy = proxy().upstream_with("/", &origin.url(), "recheck = \"0s\"").start();
    proxy.get("/old%20name.iso").expect(&content);
    assert_eq!(proxy.upstream_bytes(), content.len());
    fs::rename(path, share.path().join("new.iso")).expect("a rename in the share");
    origin.wait_until_hashed("/new.iso");
    proxy.get("/new.iso").expect(&content);
    assert_eq!(proxy.upstream_bytes(), content.len(), "a renamed file crossed the line again");
    proxy.get("/old%20name.iso").expect_status(404);
}

#[test]
fn an_object_is_had_by_its_digest() {
    let content = Content::random(3, 2 * MIB);
    let share = Share::new();
    share.write("a/b.iso", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/a/b.iso");
    let proxy = proxy().upstream("/", &origin.url()).start();
    let by_digest = format!("/.outpost/v1/objects/{}", content.md5_hex());
    for server in [origin.files(), proxy.files()] {
        let info = Ask::get("/.outpost/v1/info/a/b.iso").fetch(server).expect_status(200).json();
        assert_eq!(info["md5"], content.md5_hex(), "{info}");
        assert_eq!(info["sha256"], content.sha256_hex());
        assert_eq!(info["size"], content.len());
        assert_eq!(info["path"], "/a/b.iso");
        Ask::get("/.outpost/v1/info/nothing").fetch(server).expect_status(404);
        Ask::get(format!("{by_digest}?path=/a/b.iso")).fetch(server).expect(&content);
        Ask::get(&by_digest).fetch(server).expect(&content);
        Ask::get(&by_digest).range("bytes=7-9").fetch(server).expect_part(&content, 7, 10);
        Ask::get("/.outpost/v1/objects/00000000000000000000000000000000").fetch(server).expect_status(404);
        let bad = Ask::get("/.outpost/v1/objects/no-digest").fetch(server);
        assert!(bad.status == 400 || bad.status == 404, "{bad:?}");
    }
}

#[test]
fn a_proxy_in_front_of_a_proxy_serves_and_keeps_too() {
    let content = Content::random(4, 4 * MIB);
    let share = Share::new();
    share.write("file", &content);
    let parent = proxy().upstream("/", &share.url()).serve("name = \"parent\"").start();
    let child = proxy().upstream("/", &format!("outpost+http://{}/", parent.files())).serve("name = \"child\"").start();
    for _ in ["cold", "warm"] {
        child.get("/file").expect(&content);
    }
    assert_eq!(child.upstream_bytes(), content.len());
    child.wait_until_idle();
    assert_eq!(child.objects_on_disk().len(), 1);
}
