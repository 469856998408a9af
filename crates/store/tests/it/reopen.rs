//! After a restart.

use store::{OpenError, Store};

use crate::helpers::*;

#[tokio::test]
async fn objects_and_uses_survive() {
    let (dir, store) = open();
    let contents: Vec<_> = (0..50).map(|seed| bytes(seed, 1000 + seed as usize)).collect();
    let mut all = Vec::new();
    for content in &contents {
        all.push(put(&store, content).await);
    }
    (0..20).for_each(|_| drop(store.lookup(&all[3])));
    let uses = store.peek(&all[3]).expect("it is here").uses;
    let used = store.report().used;
    store.close().await;
    drop(store);
    let store = Store::open(options(dir.path())).expect("it opens again");
    for (md5, content) in all.iter().zip(&contents) {
        assert_eq!(read(&hit(&store, md5)), *content);
    }
    assert!(store.peek(&all[3]).expect("it is here").uses >= uses);
    assert!(store.report().used.abs_diff(used) <= 64 << 10);
    store.close().await;
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused_and_untouched() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    std::fs::create_dir(&cache).expect("made");
    std::fs::write(cache.join("thesis.txt"), "years of work").expect("written");
    assert!(matches!(Store::open(options(dir.path())), Err(OpenError::NotOurs { .. })));
    let left: Vec<_> =
        std::fs::read_dir(&cache).expect("readable").map(|item| item.expect("an entry").file_name()).collect();
    assert_eq!(left, ["thesis.txt"]);
}

#[tokio::test]
async fn one_instance_per_directory() {
    let (dir, store) = open();
    assert!(matches!(Store::open(options(dir.path())), Err(OpenError::InUse { .. })));
    store.close().await;
    Store::open(options(dir.path())).expect("it is free again").close().await;
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (dir, store) = open();
    store.close().await;
    let marker = dir.path().join("cache/outpost-cache");
    let text = std::fs::read_to_string(&marker).expect("readable");
    std::fs::write(&marker, text.replace("outpost-cache 1", "outpost-cache 2")).expect("written");
    assert!(matches!(Store::open(options(dir.path())), Err(OpenError::Format { found: 2, known: 1, .. })));
}
