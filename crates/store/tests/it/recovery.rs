//! After an end that was not orderly, or damage by others.

use std::path::{Path, PathBuf};

use protocol::digest::Md5;
use store::{Lookup, ReadError, Store};

use crate::{
    helpers::*,
    sim_disk::{Fault, SimDisk},
};

fn object(dir: &Path, md5: &Md5) -> PathBuf {
    dir.join(format!("cache/objects/{:02x}/{:02x}/{md5}", md5.0[0], md5.0[1]))
}

fn index(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("cache/index")).expect("a directory").filter_map(Result::ok);
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// A closed store of `count` objects.
async fn filled(count: u64) -> (tempfile::TempDir, Vec<Md5>) {
    let (dir, store) = open();
    let mut all = Vec::new();
    for seed in 0..count {
        all.push(put(&store, &bytes(seed, 2000 + seed as usize)).await);
    }
    store.names().put(b"name", &all[0], b"meta");
    store.close().await;
    (dir, all)
}

#[tokio::test]
async fn a_torn_journal_loses_only_its_tail_and_the_files_are_found() {
    let (dir, all) = filled(20).await;
    let journal = index(dir.path(), "journal").pop().expect("a journal");
    let whole = std::fs::read(&journal).expect("readable");
    std::fs::write(&journal, &whole[..whole.len() / 2]).expect("writable");
    let store = Store::open(options(dir.path())).expect("it opens");
    assert!(store.report().objects >= 5, "what was before the tear is there at once");
    until(&store, |report| report.objects == 20).await;
    for (seed, md5) in all.iter().enumerate() {
        assert_eq!(read(&hit(&store, md5)), bytes(seed as u64, 2000 + seed));
    }
    store.close().await;
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_from_the_files() {
    let (dir, all) = filled(20).await;
    for file in index(dir.path(), "") {
        std::fs::remove_file(file).expect("removed");
    }
    std::fs::write(object(dir.path(), &all[3]), bytes(99, 2003)).expect("writable");
    let foreign = object(dir.path(), &all[4]).with_file_name("notes.txt");
    std::fs::write(&foreign, "of the operator").expect("writable");
    // An empty index looks like a new one; the objects tell.
    let store = Store::open(options(dir.path())).expect("it opens");
    until(&store, |report| report.objects == 19 && report.quarantined == 1).await;
    assert!(!is_hit(&store, &all[3]));
    assert_eq!(read(&hit(&store, &all[4])), bytes(4, 2004));
    assert!(foreign.exists(), "what is not ours stays");
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_opened_for_now_is_found_at_the_next_start() {
    let (dir, _) = filled(3).await;
    for file in index(dir.path(), "") {
        std::fs::remove_file(file).expect("removed");
    }
    let disk = SimDisk::new(&dir.path().join("cache"), Fault::Shut);
    let store = Store::open_on(options(dir.path()), disk.clone()).expect("it opens");
    until_true(|| "all were tried".into(), || disk.refused() >= 3).await;
    store.close().await;
    let store = Store::open(options(dir.path())).expect("it opens");
    until(&store, |report| report.objects == 3).await;
    store.close().await;
}

#[tokio::test]
async fn after_the_loss_of_the_index_who_asks_does_not_wait_for_the_others() {
    let (dir, all) = filled(20).await;
    for file in index(dir.path(), "") {
        std::fs::remove_file(file).expect("removed");
    }
    std::fs::write(object(dir.path(), &all[3]), bytes(99, 2003)).expect("writable");
    let store = Store::open(options(dir.path())).expect("it opens");
    for (seed, md5) in all.iter().enumerate() {
        let begun = std::time::Instant::now();
        loop {
            assert!(begun.elapsed().as_secs() < 20, "{seed} was never found");
            match store.lookup(md5) {
                Lookup::Hit(reader) => break assert_eq!(read(&reader), bytes(seed as u64, 2000 + seed)),
                Lookup::Filling(reader) => match reader.sealed().await {
                    Ok(found) => assert_eq!(found.md5, *md5),
                    Err(error) => assert_eq!((seed, matches!(error, ReadError::Abandoned { .. })), (3, true)),
                },
                Lookup::Miss(vacancy) if seed == 3 => break drop(vacancy),
                // The directory was not searched that far yet.
                Lookup::Miss(vacancy) => drop(vacancy),
            }
            tokio::task::yield_now().await;
        }
    }
    store.close().await;
}

#[tokio::test]
async fn a_rotten_snapshot_is_made_good() {
    for place in ["head", "bucket"] {
        let (dir, store) = open();
        let mut all = Vec::new();
        for seed in 0..20 {
            all.push(put(&store, &bytes(seed, 2000)).await);
        }
        // More than an orderly end leaves in the journal.
        for at in 0..5000u32 {
            store.names().put(&at.to_le_bytes(), &all[0], &[0; 100]);
        }
        store.close().await;
        drop(store);
        let snapshot = index(dir.path(), "snapshot").pop().expect("a snapshot");
        let mut rotten = std::fs::read(&snapshot).expect("readable");
        rotten[if place == "head" { 10 } else { 60 }] ^= 1;
        std::fs::write(&snapshot, rotten).expect("writable");
        let store = Store::open(options(dir.path())).expect("it opens");
        until(&store, |report| report.objects == 20 && report.loaded).await;
        for md5 in &all {
            assert_eq!(read(&hit(&store, md5)).len(), 2000, "{place}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_cut_is_a_miss() {
    let (dir, all) = filled(3).await;
    std::fs::remove_file(object(dir.path(), &all[0])).expect("removed");
    std::fs::write(object(dir.path(), &all[1]), b"short").expect("writable");
    let store = Store::open(options(dir.path())).expect("it opens");
    let content = bytes(0, 2000);
    assert_eq!(put(&store, &content).await, all[0], "a miss, and filled again");
    assert_eq!(put(&store, &bytes(1, 2001)).await, all[1]);
    assert_eq!(read(&hit(&store, &all[0])), content);
    assert_eq!(store.report().objects, 3);
    store.close().await;
}

#[tokio::test]
async fn a_scrub_finds_a_flipped_byte_and_a_missing_file() {
    let (dir, all) = filled(10).await;
    let path = object(dir.path(), &all[5]);
    let mut rotten = std::fs::read(&path).expect("readable");
    rotten[1000] ^= 0x10;
    std::fs::write(&path, rotten).expect("writable");
    std::fs::remove_file(object(dir.path(), &all[6])).expect("removed");
    let store = Store::open(options(dir.path())).expect("it opens");
    let report = store.scrub(|_| {}).await;
    assert_eq!((report.good, report.bad, report.missing), (8, 1, 1));
    assert!(!is_hit(&store, &all[5]) && !is_hit(&store, &all[6]) && is_hit(&store, &all[7]));
    assert_eq!((store.report().quarantined, store.report().objects), (1, 8));
    store.close().await;
}

#[tokio::test]
async fn pages_go_through_all_objects_in_order() {
    let (dir, mut all) = filled(50).await;
    all.sort_unstable();
    let store = Store::open(options(dir.path())).expect("it opens");
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.objects(cursor, 7);
        assert!(page.objects.len() <= 7);
        seen.extend(page.objects.iter().map(|object| object.md5));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
    store.close().await;
}
