//! What one cache writes another takes in, and what is damaged is refused.

use std::{fs, os::unix::fs::FileExt, path::PathBuf};

use intake::{
    job::State,
    order::{Refused, Way},
};
use protocol::digest::Md5;

use crate::helpers::*;

/// A site with some files, and its bundle.
fn exported() -> (Site, PathBuf) {
    let site = Site::new();
    site.put("a.txt", &content(1, 1000));
    site.put("d/large.bin", &content(2, (2 << 20) + 5));
    site.put("d/again.txt", &content(1, 1000));
    site.put("empty", b"");
    expect_done(&site.import(Way::Best));
    let bundle = site.dir.path().join("x.bundle");
    let status = site.export(&bundle, &[]).unwrap();
    expect_done(&status);
    assert_eq!((status.copied, status.names, status.bytes_total), (3, 4, 2_098_157));
    assert!(status.detail.is_some_and(|detail| detail.starts_with("sha256:")));
    (site, bundle)
}

#[test]
fn a_bundle_brings_objects_and_names_to_another_cache() {
    let (first, bundle) = exported();
    let second = Site::new();
    let status = second.unpack(&bundle);
    expect_done(&status);
    assert_eq!((status.copied, status.names, status.known), (3, 4, 0));
    assert_eq!(second.names(), first.names());
    second.expect("/d/large.bin", &content(2, (2 << 20) + 5));
    // The same again: nothing is read.
    let again = second.unpack(&bundle);
    assert_eq!((again.known, again.copied), (3, 0));
    // Both bundles are the same, but for the order of the names.
    let other = second.dir.path().join("y.bundle");
    second.export(&other, &[]).unwrap();
    assert_eq!(fs::metadata(other).unwrap().len(), fs::metadata(bundle).unwrap().len());
}

#[test]
fn only_what_is_wanted_is_in_it() {
    let (site, _) = exported();
    let bundle = site.dir.path().join("part.bundle");
    let status = site.export(&bundle, &["/d/"]).unwrap();
    assert_eq!((status.copied, status.names), (2, 2));
    let second = Site::new();
    second.unpack(&bundle);
    let names: Vec<_> = second.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["/d/again.txt", "/d/large.bin"]);
}

#[test]
fn a_cut_bundle_is_refused_before_anything_of_it_is_taken() {
    let (_first, bundle) = exported();
    let second = Site::new();
    let whole = fs::read(&bundle).unwrap();
    for len in [0, 10, 40, 5000, whole.len() - 1] {
        fs::write(&bundle, &whole[..len]).unwrap();
        let status = second.unpack(&bundle);
        assert_eq!((status.state, second.store.report().objects), (State::Failed, 0), "{len}");
        let detail = status.detail.unwrap();
        assert!(detail.contains("no Outpost bundle") || detail.contains("end is missing"), "{detail}");
    }
}

#[test]
fn a_damaged_object_is_not_taken_and_the_others_are() {
    let (first, bundle) = exported();
    let second = Site::new();
    let large = Md5::of(&content(2, (2 << 20) + 5));
    // Somewhere in the large one, wherever it stands.
    let file = fs::OpenOptions::new().write(true).open(&bundle).unwrap();
    file.write_all_at(b"damage", 1_000_000).unwrap();
    let status = second.unpack(&bundle);
    assert_eq!((status.state, status.failed, status.copied, status.names), (State::Done, 1, 2, 3), "{status:?}");
    assert!(status.problems[0].path.contains(&large.to_string()) && status.problems[0].reason.contains("damaged"));
    assert!(second.store.peek(&large).is_none() && second.store.report().reserved == 0);
    // The good ones need not come again.
    let good = first.dir.path().join("good.bundle");
    first.export(&good, &[]).unwrap();
    let status = second.unpack(&good);
    assert_eq!((status.known, status.copied, status.failed), (2, 1, 0));
}

#[test]
fn what_is_damaged_here_is_not_written() {
    let (site, _) = exported();
    let md5 = Md5::of(&content(2, (2 << 20) + 5));
    let object = site.dir.path().join(format!("cache/objects/{:02x}/{:02x}/{md5}", md5.0[0], md5.0[1]));
    fs::OpenOptions::new().write(true).open(object).unwrap().write_all_at(b"rot", 1_500_000).unwrap();
    let bundle = site.dir.path().join("y.bundle");
    let status = site.export(&bundle, &[]).unwrap();
    assert_eq!((status.failed, status.copied, status.names), (1, 2, 3), "{status:?}");
    let second = Site::new();
    expect_done(&second.unpack(&bundle));
    assert_eq!(second.store.report().objects, 2);
}

#[test]
fn a_bundle_is_written_aside_and_replaces_nothing() {
    let (site, bundle) = exported();
    let before = fs::read(&bundle).unwrap();
    assert!(matches!(site.export(&bundle, &[]), Err(Refused::Exists(_))));
    let other = site.dir.path().join("y.bundle");
    let part = site.dir.path().join("y.bundle.part");
    fs::write(&part, "of the operator").unwrap();
    assert!(site.export(&other, &[]).is_err(), "something of somebody's stands in the way");
    // What an export left that was cut off does not.
    fs::write(&part, &before[..100]).unwrap();
    expect_done(&site.export(&other, &[]).unwrap());
    assert!(!part.exists() && fs::read(&bundle).unwrap() == before);
    let below = site.dir.path().join("cache/objects/z.bundle");
    assert!(matches!(site.export(&below, &[]), Err(Refused::InCache(_))));
    assert!(matches!(site.export(std::path::Path::new("z"), &[]), Err(Refused::NotAbsolute(_))));
    assert!(matches!(site.export(&site.dir.path().join("none/z"), &[]), Err(Refused::Unwritable { .. })));
}
