//! A file that changes: everybody gets the old one or the new one, never a mix, and validators that belong to the bytes.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    time::{Duration, SystemTime},
};

use harness::{
    MIB,
    client::{Ask, Ending},
    content::Content,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};

use crate::{origin_over, proxy};

fn two_versions(seed: u64, len: u64) -> (Content, Content) {
    (Content::random(seed, len), Content::random(seed + 1000, len))
}

/// The upstream breaks off in the old file and has the new one when it is asked to continue.
fn expect_no_mix(new_page: impl Fn(&Content) -> Page) {
    let (old, new) = two_versions(1, 4 * MIB);
    let half = old.at_percent(50);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&old).next(Reply::right().hold(half, &gate).cut(half)));
    let proxy = proxy().upstream_with("/", &upstream.url(), "retries_max = 2").start();
    let transfer = proxy.open("/file");
    let tag = transfer.fields.first("ETag").map(str::to_owned);
    gate.wait_for_arrival();
    upstream.publish("/file", new_page(&new));
    gate.open();
    let answer = transfer.rest().expect_none_but(&[]);
    assert_eq!(answer.body[..], old.bytes()[..answer.body.len()], "bytes of another file under the tag {tag:?}");
    let next = proxy.get("/file").expect(&new);
    assert_ne!(next.field("ETag").map(str::to_owned), tag);
}

#[test]
fn a_file_of_a_web_server_that_changes_in_mid_fill_is_never_mixed() {
    expect_no_mix(Page::tagged);
}

#[test]
fn a_web_server_that_ignores_if_range_cannot_make_it_mix() {
    expect_no_mix(|new| Page::tagged(new).then(Reply::right().ignoring_if_range()));
}

#[test]
fn a_web_server_that_changes_its_mind_about_the_length_cannot_make_it_mix() {
    expect_no_mix(|new| {
        let longer = Content::from([new.bytes().as_ref(), b"more"].concat());
        // The next request is to see what `expect_no_mix` knows as the new file.
        Page::tagged(new).next(Reply::right().bytes_of(&longer).ignoring_if_range())
    });
}

/// Freezes the proxy in the middle of a large fill, changes the file, and lets it go on.
fn change_under_a_fill(change: impl Fn(&Share, &Content), upstream_is_origin: bool) {
    let (old, new) = two_versions(2, 64 * MIB);
    let share = Share::new();
    share.write("file", &old);
    let origin = upstream_is_origin.then(|| origin_over(&share).start());
    let url = origin.as_ref().map_or_else(|| share.url(), |origin| origin.url());
    let mut proxy = proxy().upstream_with("/", &url, "recheck = \"0s\"").start();
    let mut transfer = proxy.open("/file");
    assert_eq!(transfer.take(1), old.bytes()[..1]);
    proxy.program().freeze();
    change(&share, &new);
    proxy.program().resume();
    // What was withheld decides: a whole file is the old one, and one byte of the new one makes it a short one.
    let result = transfer.compare(&old, 1);
    assert!(matches!(result.ending, Ending::Whole | Ending::Short), "{result:?}");
    wait::until_true("the new file is served", || {
        let transfer = proxy.open("/file");
        let result = if transfer.status == 200 { transfer.compare(&new, 0).ending } else { Ending::Short };
        result == Ending::Whole
    });
}

/// A server sends the file itself, not an object of a cache; it is overwritten while a client that reads slowly is in the middle of it.
fn expect_never_complete(server: SocketAddr, share: &Share, old: &Content, new: &Content) {
    let mut transfer = Ask::get("/file").open(server);
    assert_eq!(transfer.status, 200);
    assert_eq!(transfer.take(1000), old.bytes()[..1000]);
    share.overwrite("file", new);
    let answer = transfer.rest();
    assert_eq!(answer.ending, Ending::Short, "{answer:?}");
    assert!((answer.body.len() as u64) < old.len() - 1000);
    Ask::get("/file").fetch(server).expect(new);
}

#[test]
fn a_file_that_is_overwritten_while_an_origin_sends_it_is_never_complete() {
    let (old, new) = two_versions(7, 64 * MIB);
    let share = Share::new();
    share.write("file", &old);
    let origin = origin_over(&share).start();
    expect_never_complete(origin.files(), &share, &old, &new);
}

#[test]
fn a_file_that_is_overwritten_while_it_passes_through_is_never_complete() {
    let (old, new) = two_versions(8, 64 * MIB);
    let share = Share::new();
    share.write("file", &old);
    let setup = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").cache("max_size = \"32MiB\"");
    let proxy = setup.start();
    expect_never_complete(proxy.files(), &share, &old, &new);
}

#[test]
fn a_file_that_is_overwritten_in_mid_fill_is_never_mixed() {
    change_under_a_fill(|share, new| share.overwrite("file", new), false);
}

#[test]
fn a_file_that_is_replaced_in_mid_fill_is_never_mixed() {
    change_under_a_fill(|share, new| share.replace("file", new), false);
}

#[test]
fn a_file_of_an_origin_that_is_overwritten_in_mid_fill_is_never_mixed() {
    change_under_a_fill(|share, new| share.overwrite("file", new), true);
}

#[test]
fn a_changed_file_is_seen_at_once_without_a_recheck_time() {
    let share = Share::new();
    let proxy = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").start();
    for (round, len) in [3 * MIB, 3 * MIB, 1000, 0, 1000, 5 * MIB].into_iter().enumerate() {
        let content = Content::random(round as u64, len);
        match round % 2 {
            0 => drop(share.write("file", &content)),
            _ => share.replace("file", &content),
        }
        proxy.get("/file").expect(&content);
        proxy.get("/file").expect(&content);
    }
}

#[test]
fn a_change_that_keeps_size_and_mtime_is_seen_all_the_same() {
    let (old, new) = two_versions(3, MIB);
    let share = Share::new();
    let path = share.write("file", &old);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let set_time = || {
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(long_ago))
            .expect("setting the time")
    };
    set_time();
    let proxy = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").start();
    proxy.get("/file").expect(&old);
    share.overwrite("file", &new);
    set_time();
    proxy.get("/file").expect(&new);
}

#[test]
fn a_changed_file_is_served_within_the_recheck_time_and_validators_belong_to_bytes() {
    let (old, new) = two_versions(4, MIB);
    let share = Share::new();
    share.write("file", &old);
    let proxy = proxy().upstream("/", &share.url()).start();
    let mut bytes_of_tag: HashMap<String, Content> = HashMap::new();
    let mut look = || {
        let answer = proxy.get("/file").expect_none_but(&[&old, &new]);
        let content = if answer.is(&new) { &new } else { &old };
        let tag = answer.field("ETag").expect("every file has a tag").to_owned();
        let known = bytes_of_tag.entry(tag).or_insert_with(|| content.clone());
        assert_eq!(known, content, "one tag for two contents: {answer:?}");
        answer.is(&new)
    };
    assert!(!look());
    assert!(!look());
    share.replace("file", &new);
    let changed = std::time::Instant::now();
    wait::until_true("the new file is served", look);
    assert!(
        changed.elapsed() < Duration::from_secs(5),
        "it took {:?}, the recheck time is one second",
        changed.elapsed()
    );
}

#[test]
fn a_file_that_vanishes_is_a_404_and_may_come_back() {
    let content = Content::random(5, MIB);
    let share = Share::new();
    let path = share.write("file", &content);
    let proxy = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").start();
    proxy.get("/file").expect(&content);
    fs::remove_file(path).expect("removing it");
    proxy.get("/file").expect_status(404);
    share.write("file", &content);
    proxy.get("/file").expect(&content);
}

#[test]
fn a_share_that_is_not_mounted_today_takes_nothing_away() {
    let content = Content::random(6, MIB);
    // What an administrator sees whose mount is gone: an empty directory, on the file system of the mount point. A link that leads to
    // another file system stands for the mount.
    let (mount_point, mounted) = (Share::new(), Share::within("/dev/shm"));
    mounted.write("file", &content);
    let link = mount_point.path().with_extension("link");
    symlink(mounted.path(), &link).expect("mounting");
    let proxy = proxy().upstream_with("/", &link.display().to_string(), "recheck = \"0s\"").start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    fs::remove_file(&link).expect("unmounting");
    symlink(mount_point.path(), &link).expect("the mount point, empty");
    let stale = proxy.get("/file").expect(&content);
    assert_eq!(stale.field("Cache-Status"), Some("outpost; fwd=stale"));
    fs::remove_file(link).expect("removing the link");
}

#[test]
fn a_share_that_is_away_takes_nothing_away() {
    let content = Content::random(6, MIB);
    let share = Share::new();
    share.write("file", &content);
    let proxy = proxy().upstream_with("/", &share.url(), "recheck = \"0s\"").start();
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let aside = share.path().with_extension("away");
    fs::rename(share.path(), &aside).expect("taking the directory away");
    let stale = proxy.get("/file").expect(&content);
    assert_eq!(stale.field("Cache-Status"), Some("outpost; fwd=stale"));
    fs::rename(&aside, share.path()).expect("putting it back");
    let changed = Content::random(9, MIB);
    share.write("file", &changed);
    wait::until_true("the new file is served", || {
        proxy.get("/file").expect_none_but(&[&content, &changed]).is(&changed)
    });
}
