//! A directory as the upstream.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use cache::options::{NoRoom, Options};

use crate::{
    client::{get, get_with, head},
    proxy::{Proxy, content, eventually, put, upstream},
};

fn share() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn proxy_of(share: &tempfile::TempDir) -> Proxy {
    Proxy::of(share.path().to_str().unwrap())
}

#[test]
fn the_first_asker_fills_and_the_next_hits() {
    let share = share();
    let (large, small) = (content(1, 300_000), content(2, 1000));
    put(share.path(), "a/large.bin", &large);
    put(share.path(), "small.txt", &small);
    let proxy = proxy_of(&share);
    for (target, bytes, kind) in
        [("/a/large.bin", &large, "application/octet-stream"), ("/small.txt", &small, "text/plain")]
    {
        let first = get(proxy.address(), target).expect(bytes);
        assert_eq!(first.cache_status(), "outpost; fwd=uri-miss; stored");
        assert_eq!(first.field("Content-Type"), Some(kind));
        assert_eq!(first.field("Via"), Some("1.1 outpost"));
        proxy.expect_no_fills();
        let second = get(proxy.address(), target).expect(bytes);
        assert_eq!(second.cache_status(), "outpost; hit");
        assert!(second.field("Repr-Digest").unwrap().contains("sha-256=:"));
        assert!(second.field("Last-Modified").is_some());
        let etag = second.field("ETag").unwrap();
        assert_eq!(get_with(proxy.address(), target, &[("If-None-Match", etag)]).status, 304);
        // The tag that the first answer had still counts.
        let before = first.field("ETag").unwrap();
        assert_eq!(get_with(proxy.address(), target, &[("If-None-Match", before)]).status, 304);
        let part = get_with(proxy.address(), target, &[("Range", "bytes=10-19"), ("If-Range", before)]);
        assert_eq!((part.status, &part.body[..]), (206, &bytes[10..20]));
    }
    proxy.expect_objects(2);
}

#[test]
fn a_cold_head_or_an_unchanged_condition_fetches_nothing() {
    let share = share();
    put(share.path(), "a.bin", &content(1, 500_000));
    let proxy = proxy_of(&share);
    let answer = head(proxy.address(), "/a.bin");
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("500000")));
    let etag = answer.field("ETag").unwrap();
    assert_eq!(get_with(proxy.address(), "/a.bin", &[("If-None-Match", etag)]).status, 304);
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), 0);
    // The tag stays right when the bytes come.
    get_with(proxy.address(), "/a.bin", &[("If-None-Match", "\"other\"")]).expect(&content(1, 500_000));
    assert_eq!(get_with(proxy.address(), "/a.bin", &[("If-None-Match", etag)]).status, 304);
}

#[test]
fn directories_have_an_index_and_their_slash() {
    let share = share();
    put(share.path(), "dir/a file.txt", b"x");
    let options = Options::new(vec![upstream("/prod", share.path().to_str().unwrap())]);
    let proxy = Proxy::with(options);
    let moved = get(proxy.address(), "/prod/dir?x=1");
    assert_eq!((moved.status, moved.field("Location")), (301, Some("/prod/dir/?x=1")));
    assert_eq!(get(proxy.address(), "/prod").field("Location"), Some("/prod/"));
    let html = get(proxy.address(), "/prod/dir/");
    assert!(html.status == 200 && html.text().contains("a%20file.txt"), "{}", html.text());
    assert!(html.field("Content-Security-Policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    let tag = html.field("ETag").unwrap();
    for known in ["*", &format!("\"a,b\", {tag}")] {
        let again = get_with(proxy.address(), "/prod/dir/", &[("If-None-Match", known)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
    }
    let json = get_with(proxy.address(), "/prod/dir/", &[("Accept", "application/json")]);
    assert!(json.text().contains(r#""path":"/prod/dir/""#), "{}", json.text());
    assert!(get(proxy.address(), "/").text().contains("prod/"), "the index of mounts");
    get(proxy.address(), "/production/x").expect_problem(404, "not-found");
}

#[test]
fn what_is_not_there_or_outside_is_not_found() {
    let share = share();
    put(share.path(), "a.txt", b"x");
    std::os::unix::fs::symlink("/etc/passwd", share.path().join("out")).unwrap();
    let proxy = proxy_of(&share);
    for target in ["/b.txt", "/a.txt/", "/a.txt/b", "/out", "/dir/"] {
        get(proxy.address(), target).expect_problem(404, "not-found");
    }
    for target in ["/../a.txt", "/%2e%2e/a.txt", "/a%2Fb", "/a%00"] {
        get(proxy.address(), target).expect_problem(400, "bad-request");
    }
    get(proxy.address(), "/.outpost/nothing").expect_problem(404, "not-found");
}

#[test]
fn a_changed_file_is_a_new_object_and_a_removed_one_is_gone() {
    let share = share();
    put(share.path(), "a.bin", &content(1, 100_000));
    let proxy = proxy_of(&share);
    get(proxy.address(), "/a.bin").expect(&content(1, 100_000));
    proxy.expect_no_fills();
    put(share.path(), "new", &content(2, 100_000));
    std::fs::rename(share.path().join("new"), share.path().join("a.bin")).unwrap();
    get(proxy.address(), "/a.bin").expect(&content(2, 100_000));
    proxy.expect_objects(2);
    proxy.expect_no_fills();
    std::fs::remove_file(share.path().join("a.bin")).unwrap();
    get(proxy.address(), "/a.bin").expect_problem(404, "not-found");
}

#[test]
fn a_name_is_looked_at_again_only_after_its_recheck_time() {
    let share = share();
    put(share.path(), "a.bin", b"first");
    let mut of_share = upstream("/", share.path().to_str().unwrap());
    of_share.recheck = Duration::from_secs(3600);
    let proxy = Proxy::with(Options::new(vec![of_share]));
    get(proxy.address(), "/a.bin").expect(b"first");
    proxy.expect_no_fills();
    put(share.path(), "a.bin", b"second");
    get(proxy.address(), "/a.bin").expect(b"first");
    assert!(proxy.cache.purge_path("/a.bin"));
    get(proxy.address(), "/a.bin").expect(b"second");
}

#[test]
fn two_names_with_equal_bytes_are_one_object() {
    let (one, two) = (share(), share());
    let bytes = content(3, 200_000);
    put(one.path(), "a.bin", &bytes);
    put(two.path(), "b.bin", &bytes);
    let path = |share: &tempfile::TempDir| share.path().to_str().unwrap().to_owned();
    let proxy = Proxy::with(Options::new(vec![upstream("/one", &path(&one)), upstream("/two", &path(&two))]));
    get(proxy.address(), "/one/a.bin").expect(&bytes);
    proxy.expect_objects(1);
    get(proxy.address(), "/two/b.bin").expect(&bytes);
    proxy.expect_no_fills();
    assert_eq!(proxy.store.report().objects, 1);
    assert_eq!(get(proxy.address(), "/two/b.bin").expect(&bytes).cache_status(), "outpost; hit");
}

#[test]
fn a_file_that_changes_while_it_is_fetched_reaches_nobody_whole() {
    let share = share();
    let bytes = content(4, 48 << 20);
    put(share.path(), "a.bin", &bytes);
    let stop = Arc::new(AtomicBool::new(false));
    let toucher = {
        let (stop, path) = (stop.clone(), share.path().join("a.bin"));
        std::thread::spawn(move || {
            let file = File::options().write(true).open(path).unwrap();
            for second in (1..).take_while(|_| !stop.load(Ordering::Acquire)) {
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            }
        })
    };
    let proxy = proxy_of(&share);
    let answer = get(proxy.address(), "/a.bin");
    assert!(!answer.is_whole, "a whole answer of {} bytes", answer.body.len());
    assert!(bytes.starts_with(&answer.body));
    proxy.expect_no_fills();
    assert_eq!(proxy.store.report().objects, 0);
    stop.store(true, Ordering::Release);
    toucher.join().unwrap();
    get(proxy.address(), "/a.bin").expect(&bytes);
}

#[test]
fn what_does_not_fit_goes_through_or_is_refused() {
    let share = share();
    let bytes = content(5, 8 << 20);
    put(share.path(), "a.bin", &bytes);
    let options = |no_room| {
        let upstream = upstream("/", share.path().to_str().unwrap());
        Options { no_room, ..Options::new(vec![upstream]) }
    };
    let proxy = Proxy::with_room(options(NoRoom::Pass), 4 << 20);
    let answer = get(proxy.address(), "/a.bin").expect(&bytes);
    assert_eq!(answer.cache_status(), "outpost; fwd=uri-miss");
    assert_eq!(proxy.store.report().objects, 0);
    let proxy = Proxy::with_room(options(NoRoom::Refuse), 4 << 20);
    get(proxy.address(), "/a.bin").expect_problem(507, "no-room");
}

#[test]
fn an_unmounted_share_is_unreachable_and_not_empty() {
    // A link that leads to another file system stands for a mount.
    let (base, mounted) = (share(), tempfile::tempdir_in("/dev/shm").unwrap());
    let path = base.path().join("mount");
    let mount = |target: &std::path::Path| {
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, &path).unwrap();
    };
    put(mounted.path(), "a.bin", b"kept");
    mount(mounted.path());
    let proxy = Proxy::of(path.to_str().unwrap());
    get(proxy.address(), "/a.bin").expect(b"kept");
    proxy.expect_no_fills();
    let empty = share();
    mount(empty.path());
    assert_eq!(get(proxy.address(), "/a.bin").expect(b"kept").cache_status(), "outpost; fwd=stale");
    put(mounted.path(), "a.bin", b"back");
    mount(mounted.path());
    eventually("the file is back", || get(proxy.address(), "/a.bin").body == b"back");
    // The last file of a share that is there may well vanish.
    std::fs::remove_file(mounted.path().join("a.bin")).unwrap();
    eventually("the file is gone", || get(proxy.address(), "/a.bin").status == 404);
}

#[test]
fn a_reopened_cache_still_knows_its_names() {
    let share = share();
    let bytes = content(6, 100_000);
    put(share.path(), "a.bin", &bytes);
    let options = || Options::new(vec![upstream("/", share.path().to_str().unwrap())]);
    let proxy = Proxy::with(options());
    get(proxy.address(), "/a.bin").expect(&bytes);
    proxy.expect_objects(1);
    proxy.expect_no_fills();
    let proxy = proxy.restart(options());
    assert_eq!(get(proxy.address(), "/a.bin").expect(&bytes).cache_status(), "outpost; hit");
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn empty_files_and_strange_names_are_files() {
    use std::os::unix::ffi::OsStrExt;
    let share = share();
    put(share.path(), "empty", b"");
    let strange = b"a b%#?&+\xc3\xbc\xff";
    std::fs::write(share.path().join(std::ffi::OsStr::from_bytes(strange)), b"strange").unwrap();
    let proxy = proxy_of(&share);
    for _ in 0..2 {
        let empty = get(proxy.address(), "/empty").expect(b"");
        assert_eq!(empty.field("Content-Length"), Some("0"));
        get(proxy.address(), "/a%20b%25%23%3F&+%C3%BC%FF").expect(b"strange");
        proxy.expect_no_fills();
    }
    // A directory knows no queries, and an escape that is not needed is the same name.
    assert_eq!(
        get(proxy.address(), "//%61%20b%25%23%3f&+%c3%bc%ff?x").expect(b"strange").cache_status(),
        "outpost; hit"
    );
}

#[test]
fn fills_beyond_the_limit_are_refused_and_hits_are_not() {
    let share = share();
    put(share.path(), "here", b"here");
    put(share.path(), "cold", b"cold");
    let options =
        |fills_max| Options { fills_max, ..Options::new(vec![upstream("/", share.path().to_str().unwrap())]) };
    let proxy = Proxy::with(options(1));
    get(proxy.address(), "/here").expect(b"here");
    proxy.expect_no_fills();
    proxy.cache.reconfigure(options(0)).unwrap();
    get(proxy.address(), "/here").expect(b"here");
    get(proxy.address(), "/cold").expect_problem(503, "overloaded");
    proxy.cache.reconfigure(options(1)).unwrap();
    get(proxy.address(), "/cold").expect(b"cold");
}

#[test]
fn an_upstream_that_is_mounted_later_is_served_after_a_reload() {
    let (one, two) = (share(), share());
    put(one.path(), "a", b"one");
    put(two.path(), "a", b"two");
    let path = |share: &tempfile::TempDir| share.path().to_str().unwrap().to_owned();
    let proxy = Proxy::with(Options::new(vec![upstream("/", &path(&one))]));
    get(proxy.address(), "/two/a").expect_problem(404, "not-found");
    proxy.cache.reconfigure(Options::new(vec![upstream("/", &path(&one)), upstream("/two", &path(&two))])).unwrap();
    get(proxy.address(), "/two/a").expect(b"two");
    get(proxy.address(), "/a").expect(b"one");
}
