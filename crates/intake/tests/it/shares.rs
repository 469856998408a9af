//! A directory's files come in, by each way, and again.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
};

use intake::{
    job::{PROBLEMS_MAX, State},
    order::{Refused, Way},
};

use crate::helpers::*;

/// A few files in all sizes; one content twice.
fn fill(site: &Site) -> Vec<(&'static str, Vec<u8>)> {
    let files = vec![
        ("a.txt", content(1, 1000)),
        ("d/large.bin", content(2, (3 << 20) + 5)),
        ("d/e/empty", Vec::new()),
        ("d/again.txt", content(1, 1000)),
    ];
    files.iter().for_each(|(name, content)| site.put(name, content));
    files
}

fn expect_all(site: &Site, files: &[(&str, Vec<u8>)]) {
    for (name, content) in files {
        site.expect(&format!("/{name}"), content);
    }
}

#[test]
fn every_way_brings_all_files_and_the_next_one_finds_them() {
    for way in [Way::Best, Way::Copy] {
        let site = Site::new();
        let files = fill(&site);
        let status = site.import(way);
        expect_done(&status);
        assert_eq!((status.linked + status.copied, status.names, status.known), (4, 4, 0), "{status:?}");
        expect_all(&site, &files);
        // What changes at its old place changes nothing here.
        site.put("a.txt", &content(9, 1000));
        expect_all(&site, &files);
        assert_eq!(site.store.report().objects, 3);
        let status = site.import(way);
        assert_eq!((status.known, status.copied + status.linked, status.names), (3, 1, 1), "{status:?}");
        site.expect("/a.txt", &content(9, 1000));
    }
}

#[test]
fn moved_files_leave_and_links_stay() {
    let site = Site::new();
    let files = fill(&site);
    symlink("d/large.bin", site.from("link")).unwrap();
    let status = site.import(Way::Move);
    expect_done(&status);
    assert_eq!((status.moved, status.copied + status.linked), (4, 1), "{status:?}");
    expect_all(&site, &files);
    site.expect("/link", &files[1].1);
    let left: Vec<_> = files.iter().filter(|(name, _)| site.from(name).exists()).collect();
    assert!(left.is_empty() && site.from("link").symlink_metadata().is_ok(), "{left:?}");
}

#[test]
fn a_file_with_a_second_name_is_copied_and_leaves_under_the_one() {
    let site = Site::new();
    site.put("a", &content(1, 5000));
    fs::hard_link(site.from("a"), site.dir.path().join("elsewhere")).unwrap();
    let status = site.import(Way::Move);
    expect_done(&status);
    assert_eq!(status.moved, 1);
    fs::write(site.dir.path().join("elsewhere"), content(2, 5000)).unwrap();
    site.expect("/a", &content(1, 5000));
    assert!(!site.from("a").exists());
}

#[test]
fn from_another_file_system_files_are_copied_and_then_leave() {
    let site = Site::new();
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(elsewhere.path().join("a"), content(1, 2 << 20)).unwrap();
    let order = site.order(elsewhere.path(), Way::Link);
    let status = site.end_of(&intake::import(order, site.context()).unwrap());
    assert_eq!((status.failed, status.problems[0].reason.contains("--copy or --move")), (1, true), "{status:?}");
    let order = site.order(elsewhere.path(), Way::Move);
    let status = site.end_of(&intake::import(order, site.context()).unwrap());
    expect_done(&status);
    site.expect("/a", &content(1, 2 << 20));
    assert_eq!((status.moved, elsewhere.path().join("a").exists()), (1, false));
}

#[test]
fn a_mount_stands_before_every_path_and_names_are_bytes() {
    let site = Site::new();
    for name in [&b"with space"[..], b"line\nbreak", b"\xff\xfe", "smörgås".as_bytes(), b"%41", b"a#b?c", b"-rf"] {
        fs::write(site.dir.path().join("from").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let mount = protocol::target::Target::parse(b"/soft/").unwrap();
    let order = intake::order::Order { mount, ..site.order(&site.dir.path().join("from"), Way::Best) };
    expect_done(&site.end_of(&intake::import(order, site.context()).unwrap()));
    let names: Vec<_> = site.names().into_iter().map(|(name, _)| name).collect();
    let expected = ["%2541", "%FF%FE", "-rf", "a%23b%3Fc", "line%0Abreak", "sm%C3%B6rg%C3%A5s", "with%20space"];
    assert_eq!(names, expected.map(|name| format!("/soft/{name}")));
}

#[test]
fn what_is_no_file_or_may_not_be_read_is_told_and_the_rest_comes() {
    let site = Site::new();
    site.put("good", b"x");
    site.put("secret", b"y");
    site.put("closed/below", b"z");
    symlink("/etc/passwd", site.from("out")).unwrap();
    let _socket = UnixListener::bind(site.from("socket")).unwrap();
    fs::set_permissions(site.from("secret"), Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(site.from("closed"), Permissions::from_mode(0o0)).unwrap();
    // Root may read everything.
    let may_read = File::open(site.from("secret")).is_ok();
    let status = site.import(Way::Best);
    fs::set_permissions(site.from("closed"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!((status.skipped, status.state), (2, State::Done));
    assert_eq!(status.failed, if may_read { 0 } else { 2 }, "{status:?}");
    site.expect("/good", b"x");
    let told: Vec<_> = status.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(told.contains(&"out") && told.contains(&"socket"), "{told:?}");
}

#[test]
fn a_file_that_is_open_for_writing_is_not_moved_and_one_that_changes_is_not_taken() {
    let site = Site::new();
    site.put("written", &content(1, 1000));
    let writer = File::options().append(true).open(site.from("written")).unwrap();
    let status = site.import(Way::Move);
    assert_eq!((status.moved, status.failed), (0, 1), "{status:?}");
    assert!(status.problems[0].reason.contains("open for writing") && site.from("written").exists());
    drop(writer);
    expect_done(&site.import(Way::Move));
}

#[test]
fn without_room_nothing_is_evicted_and_small_ones_still_come() {
    let site = Site::with_room(3 << 20);
    site.put("1-large", &content(1, 2 << 20));
    site.put("2-large", &content(2, 2 << 20));
    site.put("3-small", &content(3, 1000));
    let status = site.import(Way::Copy);
    assert_eq!((status.copied, status.no_room, status.failed), (2, 1, 0), "{status:?}");
    assert_eq!((site.store.report().objects, site.store.report().reserved), (2, 0));
}

#[test]
fn told_to_stop_it_stops_and_goes_on_there_the_next_time() {
    let site = Site::new();
    for number in 0..400 {
        site.put(&format!("{number}"), &content(number, 200_000));
    }
    let job = site.begin(Way::Copy).unwrap();
    while job.status().files_done < 20 {
        std::thread::yield_now();
    }
    job.stop();
    let stopped = site.end_of(&job);
    assert!(stopped.state == State::Stopped && stopped.files_done < 400, "{stopped:?}");
    assert_eq!((stopped.copied, site.store.report().reserved), (stopped.files_done, 0));
    let status = site.import(Way::Copy);
    expect_done(&status);
    assert_eq!((status.known, status.copied), (stopped.copied, 400 - stopped.copied));
}

#[test]
fn after_a_restart_it_goes_on_with_what_is_missing() {
    for way in [Way::Copy, Way::Move] {
        let site = Site::new();
        (0..40).for_each(|number| site.put(&format!("{number}"), &content(number, 50_000)));
        let job = site.begin(way).unwrap();
        while job.status().files_done < 10 {
            std::thread::yield_now();
        }
        job.stop();
        site.end_of(&job);
        // As a crash leaves it between the two steps of a removal.
        if way == Way::Move {
            let left = (0..40).find(|number| site.from(&number.to_string()).exists()).unwrap();
            fs::rename(site.from(&left.to_string()), site.from(".outpost-import-1-2")).unwrap();
            let md5 = protocol::digest::Md5::of(&content(left, 50_000));
            let modified = Some(modified(&site.from(".outpost-import-1-2")));
            let named = cache::NamedContent { md5, len: 50_000, modified, etag: None };
            site.cache.bind(&protocol::target::Target::parse(format!("/{left}").as_bytes()).unwrap(), &named);
        }
        let site = site.restart();
        let status = site.import(way);
        assert_eq!((status.failed, &status.state), (0, &State::Done), "{status:?}");
        for number in 0..40 {
            site.expect(&format!("/{number}"), &content(number, 50_000));
        }
        assert_eq!(fs::read_dir(site.from("")).unwrap().count(), if way == Way::Move { 0 } else { 40 });
    }
}

#[test]
fn what_cannot_be_right_is_refused_before_anything_is_done() {
    let site = Site::new();
    let (dir, context) = (site.dir.path().to_owned(), || site.context());
    let import = |path: &str, way| intake::import(site.order(&dir.join(path), way), context()).map(drop);
    assert!(matches!(import("cache", Way::Best), Err(Refused::InCache(_))));
    assert!(matches!(import("cache/objects", Way::Best), Err(Refused::InCache(_))));
    assert!(matches!(import("none", Way::Best), Err(Refused::Unreadable { .. })));
    assert!(matches!(import("share", Way::Move), Err(Refused::IsUpstream { .. })));
    assert!(matches!(import("", Way::Move), Err(Refused::IsUpstream { .. })));
    let relative = intake::import(site.order(std::path::Path::new("from"), Way::Best), context());
    assert!(matches!(relative, Err(Refused::NotAbsolute(_))));
    let mount = protocol::target::Target::parse(b"/.outpost/x").unwrap();
    let order = intake::order::Order { mount, ..site.order(&dir.join("from"), Way::Best) };
    assert!(matches!(intake::import(order, context()), Err(Refused::NoUpstream(_))));
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();
    assert!(matches!(import("socket", Way::Best), Err(Refused::NeitherKind(_))));
    // The cache is passed over where it is met.
    site.put("x", b"x");
    let order = site.order(&dir, Way::Best);
    let status = site.end_of(&intake::import(order, context()).unwrap());
    assert!(status.problems.iter().any(|problem| problem.path == "cache"), "{status:?}");
    assert!(PROBLEMS_MAX > status.problems.len());
}
