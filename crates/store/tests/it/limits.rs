//! Limits hold at every moment.

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering};

use store::{FillError, Limit, Options, Store};

use crate::helpers::*;

/// Bytes that the directory occupies, as `du` counts them.
fn du(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        // What is removed while one looks does not count.
        let Ok(found) = entry.path().symlink_metadata() else { continue };
        sum += found.blocks() * 512;
        if found.is_dir() {
            sum += du(&entry.path());
        }
    }
    sum
}

fn small(dir: &Path, max_size: u64) -> Options {
    Options { max_size: Limit::Bytes(max_size), ..options(dir) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_never_exceeds_max_size_while_fills_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let max = 8 << 20;
    let store = Store::open(small(dir.path(), max)).expect("it opens");
    let done = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (store, done) = (store.clone(), done.clone());
        std::thread::spawn(move || {
            let mut samples = 0u32;
            while !done.load(Ordering::Relaxed) {
                let used = store.report().used;
                assert!(used <= max, "{used} bytes used");
                samples += 1;
            }
            samples
        })
    };
    let fillers: Vec<_> = (0..8u64)
        .map(|filler| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut filled = 0;
                for at in 0..40 {
                    let len = 1 + (filler * 7919 + at * 104_729) as usize % 600_000;
                    let content = bytes(filler * 1000 + at, len);
                    let mut spec = spec(len);
                    if at % 3 == 0 {
                        spec.len = None;
                    }
                    let fill = store.fill(spec).await;
                    let Ok(mut fill) = fill else { continue };
                    let mut fits = true;
                    for piece in content.chunks(50_000) {
                        match fill.push(content.slice_ref(piece)).await {
                            Ok(()) => {}
                            Err(FillError::NoRoom { .. }) => {
                                fits = false;
                                break;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    if fits && at % 5 != 0 {
                        fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
                        filled += 1;
                    }
                }
                filled
            })
        })
        .collect();
    let mut filled = 0;
    for filler in fillers {
        filled += filler.await.expect("it ends");
    }
    done.store(true, Ordering::Relaxed);
    let samples = sampler.join().expect("the limit was never exceeded");
    assert!(filled > 100 && samples > 20, "{filled} filled, {samples} samples");
    assert!(store.report().evictions > 0);
    let report = close(&store).await;
    assert_eq!((report.reserved, report.unlinked, report.fills), (0, 0, 0));
    let occupied = du(&dir.path().join("cache"));
    assert!(report.used.abs_diff(occupied) <= 64 << 10, "{} counted, {occupied} on disk", report.used);
}

#[tokio::test]
async fn popular_objects_outlive_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(small(dir.path(), 4 << 20)).expect("it opens");
    let popular = put(&store, &bytes(1, 100_000)).await;
    for seed in 100..200 {
        (0..2).for_each(|_| assert!(is_hit(&store, &popular)));
        put(&store, &bytes(seed, 100_000)).await;
    }
    assert!(store.report().evictions > 50);
    assert!(is_hit(&store, &popular));
    store.close().await;
}

#[tokio::test]
async fn what_is_read_stays_readable_and_is_not_evicted_in_vain() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(small(dir.path(), 4 << 20)).expect("it opens");
    let contents: Vec<_> = (0..3).map(|seed| bytes(seed, 1 << 20)).collect();
    let mut readers = Vec::new();
    for content in &contents {
        let md5 = put(&store, content).await;
        readers.push(hit(&store, &md5));
    }
    // Everything is being read: nothing can give room now, so nothing is thrown away for it.
    assert!(matches!(store.fill(spec(2 << 20)).await, Err(FillError::NoRoom { .. })));
    assert_eq!(store.report().objects, 3);
    // Limits that are lowered evict what is read as well; it stays readable and counted.
    store.set_limits(Limit::Bytes(1 << 20), Limit::Bytes(0)).expect("limits that make sense");
    until(&store, |report| report.objects == 0).await;
    assert_eq!(store.report().unlinked, 3 << 20);
    for (reader, content) in readers.iter().zip(&contents) {
        assert_eq!(read(reader), *content);
    }
    drop(readers);
    until(&store, |report| report.unlinked == 0).await;
    assert!(store.report().used < 1 << 20);
    store.close().await;
}

#[tokio::test]
async fn removing_gives_room_and_keeps_readers() {
    let (dir, store) = open();
    let content = bytes(1, 300_000);
    let md5 = put(&store, &content).await;
    let reader = hit(&store, &md5);
    assert!(store.remove(&md5));
    assert!(!store.remove(&md5));
    assert!(store.peek(&md5).is_none());
    assert_eq!(store.report().unlinked, 303_104);
    assert_eq!(read(&reader), content);
    drop(reader);
    until(&store, |report| report.unlinked == 0).await;
    let leaf = dir.path().join(format!("cache/objects/{:02x}/{:02x}", md5.0[0], md5.0[1]));
    assert!(!leaf.exists(), "an empty directory is removed");
    put(&store, &content).await;
    assert_eq!(read(&hit(&store, &md5)), content);
    store.close().await;
}

#[tokio::test]
async fn parts_and_quarantine_go_before_objects() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(small(dir.path(), 4 << 20)).expect("it opens");
    let kept = put(&store, &bytes(1, 1 << 20)).await;
    let mut fill = store.fill(store::FillSpec { source: "a".into(), ..spec(1 << 20) }).await.expect("it begins");
    push(&mut fill, &bytes(2, 1 << 19)).await;
    fill.suspend("enough");
    let mut fill = store.fill(spec(1 << 20)).await.expect("it begins");
    push(&mut fill, &bytes(3, 1 << 19)).await;
    assert!(fill.verify(true).await.is_err());
    // Both are put away in the background.
    until(&store, |report| report.fills == 0 && report.quarantined == 1).await;
    assert_eq!(store.report().parts, 1);
    let big = bytes(4, 5 << 19);
    put(&store, &big).await;
    let report = store.report();
    assert_eq!((report.parts, report.quarantined, report.evictions), (0, 0, 0));
    assert!(is_hit(&store, &kept));
    store.close().await;
}

#[tokio::test]
async fn min_free_counts_what_is_promised() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(options(dir.path())).expect("it opens");
    // Others write on this disk too, and remove what they wrote: until they do not for a moment.
    let is_limited = || {
        let min_free = store.report().disk_available.saturating_sub(16 << 20);
        store.set_limits(Limit::Bytes(1 << 40), Limit::Bytes(min_free)).expect("limits that make sense");
        store.capacity() <= 16 << 20
    };
    until_true(|| format!("a capacity of 16 MiB, not {}", store.capacity()), is_limited).await;
    let whole = store.report().disk_available as usize;
    assert!(matches!(store.fill(spec(whole)).await, Err(FillError::TooLarge { .. })));
    store.close().await;
}
