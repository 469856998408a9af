//! What the patterns of pins match is never evicted, as far as it fits.

use std::{path::Path, sync::Arc};

use protocol::digest::Md5;
use store::{FillError, Limit, Options, Pinning, Store};

use crate::helpers::*;

/// Names that begin with one of these letters.
fn pinning(letters: &'static str) -> Pinning {
    let patterns = letters.chars().map(|letter| letter.to_string().into()).collect();
    Pinning::new(patterns, Arc::new(|key| letters.bytes().position(|letter| key.first() == Some(&letter))))
}

fn pinned(dir: &Path, max_size: u64, letters: &'static str) -> Options {
    Options { max_size: Limit::Bytes(max_size), pinning: pinning(letters), ..options(dir) }
}

/// An object under a name.
async fn put_as(store: &Store, name: &str, seed: u64, len: usize) -> Md5 {
    let md5 = put(store, &bytes(seed, len)).await;
    store.names().put(name.as_bytes(), &md5, b"");
    md5
}

/// Many that nobody asks for again, so that everything goes that may.
async fn flood(store: &Store, from: u64, count: u64, len: usize) {
    for seed in from..from + count {
        put(store, &bytes(seed, len)).await;
    }
}

#[tokio::test]
async fn what_is_pinned_is_not_evicted_and_is_again_not_after_a_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 4 << 20, "p")).expect("it opens");
    let kept = put_as(&store, "p1", 1, 1 << 20).await;
    assert_eq!((store.report().pinned_objects, store.report().pinned_bytes), (1, 1 << 20));
    flood(&store, 100, 60, 100_000).await;
    assert!(store.peek(&kept).is_some());
    assert!(store.report().evictions > 20);
    assert!(store.standing(&kept).is_some_and(|standing| standing.is_pinned));
    assert_eq!(store.pattern_of(b"p7").as_deref(), Some("p"));
    store.close().await;

    let store = Store::open(pinned(dir.path(), 4 << 20, "p")).expect("it opens");
    // Nothing is evicted before it is known what is pinned, so that this cannot be too early.
    flood(&store, 200, 60, 100_000).await;
    assert!(store.peek(&kept).is_some());
    assert_eq!(store.pinned()[0].pattern.as_ref(), "p");
    assert_eq!(store.pinned().iter().map(|pinned| (pinned.objects, pinned.bytes)).collect::<Vec<_>>(), [(1, 1 << 20)]);
    // What comes later is counted too.
    put_as(&store, "p2", 3, 100).await;
    until_true(|| format!("{:?}", store.pinned()), || store.pinned()[0].objects == 2).await;
    store.close().await;
}

#[tokio::test]
async fn other_patterns_pin_and_let_go_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 4 << 20, "a")).expect("it opens");
    let (first, second) = (put_as(&store, "a1", 1, 200_000).await, put_as(&store, "b1", 2, 200_000).await);
    store.set_pinning(pinning("b"));
    let stands = |md5| store.standing(&md5).map(|standing| standing.is_pinned);
    assert_eq!((stands(first), stands(second)), (Some(false), Some(true)));
    flood(&store, 100, 60, 100_000).await;
    assert_eq!((stands(first), stands(second)), (None, Some(true)));
    store.set_pinning(Pinning::default());
    assert_eq!((stands(second), store.report().pinned_objects), (Some(false), 0));
    store.close().await;
}

#[tokio::test]
async fn a_name_takes_its_pin_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 4 << 20, "p")).expect("it opens");
    let old = put_as(&store, "p1", 1, 100_000).await;
    let new = put_as(&store, "p1", 2, 200_000).await;
    let stands = |md5| store.standing(&md5).map(|standing| standing.is_pinned);
    assert_eq!((stands(old), stands(new)), (Some(false), Some(true)));
    assert_eq!((store.report().pinned_objects, store.report().pinned_bytes), (1, 200_704));
    assert!(store.names().remove(b"p1"));
    assert_eq!((stands(new), store.report().pinned_bytes), (Some(false), 0));
    // The name first: the object is pinned as it comes.
    let digest = digests(&bytes(3, 5000)).md5;
    store.names().put(b"p3", &digest, b"");
    put(&store, &bytes(3, 5000)).await;
    assert_eq!(stands(digest), Some(true));
    assert!(store.remove(&digest), "who wants it gone gets it gone");
    assert_eq!((store.report().pinned_objects, store.report().pinned_bytes), (0, 0));
    store.close().await;
}

#[tokio::test]
async fn what_does_not_fit_beside_the_pinned_is_refused_and_nothing_goes_for_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 4 << 20, "p")).expect("it opens");
    put_as(&store, "p1", 1, 2 << 20).await;
    let other = put(&store, &bytes(2, 1 << 20)).await;
    let refused = store.fill(spec(5 << 19)).await;
    let Err(error @ FillError::Pinned { needed, pinned, .. }) = refused else { panic!("there is no room for it") };
    assert!(needed >= 5 << 19 && pinned == 2 << 20 && error.is_room(), "{error}");
    assert!(store.peek(&other).is_some(), "evicted in vain");
    put(&store, &bytes(3, 3 << 19)).await;
    assert!(store.peek(&other).is_none());
    store.close().await;
}

#[tokio::test]
async fn pins_leave_room_for_others_and_are_refused_beyond() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 16 << 20, "p")).expect("it opens");
    // 15 of 16 MiB may be pinned.
    for seed in 0..15 {
        put_as(&store, &format!("p{seed}"), seed, (1 << 20) - 4096).await;
    }
    let last = put_as(&store, "p-last", 50, 200_000).await;
    let report = store.report();
    assert_eq!((report.pinned_objects, report.unpinned_objects, report.unpinned_bytes), (15, 1, 200_704));
    assert!(store.standing(&last).is_some_and(|standing| standing.is_pin_refused && !standing.is_pinned));
    flood(&store, 100, 40, 100_000).await;
    assert!(store.peek(&last).is_none(), "what is not pinned makes room");
    assert_eq!((store.report().pinned_objects, store.report().unpinned_objects), (15, 0));
    // One that was refused is pinned when there is room.
    let last = put_as(&store, "p-last", 51, 200_000).await;
    assert_eq!(store.report().unpinned_objects, 1);
    assert!(store.remove(&digests(&bytes(3, (1 << 20) - 4096)).md5));
    until(&store, |report| report.unpinned_objects == 0).await;
    assert!(store.standing(&last).is_some_and(|standing| standing.is_pinned));
    // A smaller cache: what does not fit any more is let go, and the rest stays.
    store.set_limits(Limit::Bytes(8 << 20), Limit::Bytes(0)).expect("limits that make sense");
    until(&store, |report| report.used <= 8 << 20).await;
    let report = store.report();
    assert!(report.pinned_bytes <= 15 << 19 && report.pinned_bytes > 6 << 20, "{report:?}");
    store.close().await;
}

#[tokio::test]
async fn the_few_that_may_go_are_found_among_many_that_may_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(pinned(dir.path(), 32 << 20, "p")).expect("it opens");
    for seed in 0..1500 {
        put_as(&store, &format!("p{seed}"), seed, 100).await;
    }
    flood(&store, 5000, 16, 100).await;
    let room = (32 << 20) - store.report().used;
    // Some 16 KiB more than there is room for: 256 KiB are left alone.
    put(&store, &bytes(6000, room as usize - (256 << 10))).await;
    let report = store.report();
    assert!((2..=16).contains(&report.evictions), "{report:?}");
    assert_eq!(report.pinned_objects, 1500);
    store.close().await;
}
