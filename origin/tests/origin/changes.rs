//! Changes of the share are noticed: announced, or found by looking.

use std::{fs, os::unix::fs::symlink, time::Duration};

use protocol::digest::Digests;

use crate::harness::Fixture;

#[test]
fn a_rescan_finds_what_was_not_announced() {
    let mut fixture = Fixture::new();
    fixture.write("keep", "keep");
    fixture.write("change", "old");
    fixture.write("d/e/gone", "gone");
    fixture.write("d/gone too", "gone");
    fixture.start();
    fixture.wait_until_known(4);

    fixture.write("change", "new bytes");
    fixture.write("new/deep/file", "new");
    fs::remove_dir_all(fixture.path("d")).expect("removed");
    fixture.rescan();
    fixture.wait_until_known(3);
    crate::harness::until("both are hashed", || fixture.hashed() == 6);
    for (path, bytes) in [("/keep", "keep"), ("/change", "new bytes"), ("/new/deep/file", "new")] {
        crate::harness::until("the digest is told", || {
            fixture.get(path).field("Repr-Digest") == Some(Digests::of(bytes.as_bytes()).repr_digest().as_str())
        });
    }
    fixture.rescan();
    assert_eq!(fixture.hashed(), 6, "a scan without news hashes nothing");
}

#[test]
fn links_that_lead_in_circles_are_scanned_once() {
    let mut fixture = Fixture::new();
    fixture.write("a/b/file", "x");
    symlink("..", fixture.path("a/b/up")).expect("linked");
    symlink(".", fixture.path("a/here")).expect("linked");
    fixture.start();
    fixture.wait_until_known(1);
    fixture.rescan();
    fixture.expect_hashed(1);
    assert_eq!(fixture.origin().known(), 1);
}

#[test]
fn digests_of_a_share_that_is_not_mounted_are_kept() {
    let mut fixture = Fixture::new();
    fixture.write("d/f", "x");
    fixture.write("g", "y");
    fixture.start();
    fixture.wait_until_known(2);
    fs::rename(fixture.path("d"), fixture.share.path().with_extension("away")).expect("moved");
    fs::rename(fixture.path("g"), fixture.share.path().with_extension("g")).expect("moved");
    fixture.rescan();
    assert_eq!(fixture.origin().known(), 2);
    fs::remove_dir_all(fixture.share.path().with_extension("away")).expect("removed");
    fs::remove_file(fixture.share.path().with_extension("g")).expect("removed");
}

#[test]
fn announced_changes_are_noticed_without_a_rescan() {
    let mut fixture = Fixture::new();
    fixture.options.watch = true;
    fixture.options.settle = Duration::from_millis(10);
    fixture.write("d/old", "old");
    fixture.start();
    fixture.wait_until_known(1);
    fixture.write("d/new", "new");
    fixture.write("made/just/now", "deep");
    fixture.wait_until_known(3);
    fs::remove_dir_all(fixture.path("made")).expect("removed");
    fs::remove_file(fixture.path("d/old")).expect("removed");
    fixture.wait_until_known(1);
    assert_eq!(fixture.origin().counters().scans.load(std::sync::atomic::Ordering::Relaxed), 1);
}
