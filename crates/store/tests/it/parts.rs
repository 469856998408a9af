//! Interrupted fills that are continued.

use bytes::Bytes;
use store::{FillSpec, Options, ReadError, Store};

use crate::helpers::*;

fn source(name: &'static str, len: usize, resume: bool) -> FillSpec {
    FillSpec { source: Bytes::from_static(name.as_bytes()), resume, ..spec(len) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_fill_continues_at_its_byte() {
    let (_dir, store) = open();
    let content = bytes(1, 1_000_000);
    let md5 = digests(&content).md5;
    let mut fill = vacancy(&store, &md5).begin(source("a", content.len(), false)).await.expect("it begins");
    let reader = fill.reader();
    push(&mut fill, &content.slice(..370_000)).await;
    fill.suspend("the upstream is gone");
    assert_eq!(reader.sealed().await, Err(ReadError::Abandoned { reason: "the upstream is gone".into() }));
    assert_eq!(store.resumable(b"a").map(|part| part.position), Some(370_000), "known at once");
    assert_eq!(store.resumable(b"b"), None);

    let mut fill = vacancy(&store, &md5).begin(source("a", content.len(), true)).await.expect("it begins");
    assert_eq!(fill.position(), 370_000);
    assert_eq!(fill.reader().watermark(), 370_000, "what is there can be read at once");
    assert_eq!(store.resumable(b"a"), None, "taken");
    push(&mut fill, &content.slice(370_000..)).await;
    fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    assert_eq!(read(&hit(&store, &md5)), content);
    drop(reader);
    let report = close(&store).await;
    assert_eq!((report.parts, report.reserved, report.unlinked), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_survives_the_end_of_the_process() {
    let (dir, store) = open();
    let content = bytes(2, 3_000_000);
    let mut fill = store.fill(source("a", content.len(), false)).await.expect("it begins");
    push(&mut fill, &content.slice(..1_500_000)).await;
    store.close().await;
    assert!(fill.push(Bytes::from_static(b"more")).await.is_err(), "closed is closed");
    drop((fill, store));

    let store = Store::open(options(dir.path())).expect("it opens again");
    assert_eq!(store.report().parts, 1);
    assert_eq!(store.resumable(b"a").map(|part| part.position), Some(1_500_000));
    let mut fill = store.fill(source("a", content.len(), true)).await.expect("it begins");
    assert_eq!(fill.position(), 1_500_000);
    push(&mut fill, &content.slice(1_500_000..)).await;
    let verified = fill.verify(true).await.expect("old and new bytes are hashed");
    assert_eq!(verified.digests(), digests(&content));
    verified.commit().await.expect("it is durable");
    store.close().await;
    let left = std::fs::read_dir(dir.path().join("cache/parts")).expect("a directory").count();
    assert_eq!((left, store.report().parts), (0, 0));
}

#[tokio::test]
async fn a_part_whose_bytes_rotted_is_begun_anew() {
    let (dir, store) = open();
    let content = bytes(3, 500_000);
    let mut fill = store.fill(source("a", content.len(), false)).await.expect("it begins");
    push(&mut fill, &content.slice(..200_000)).await;
    store.close().await;
    drop((fill, store));
    for part in std::fs::read_dir(dir.path().join("cache/parts")).expect("a directory") {
        let path = part.expect("an entry").path();
        if path.extension().is_none() {
            let mut rotten = std::fs::read(&path).expect("readable");
            rotten[100_000] ^= 1;
            std::fs::write(&path, rotten).expect("writable");
        }
    }
    let store = Store::open(options(dir.path())).expect("it opens again");
    let mut fill = store.fill(source("a", content.len(), true)).await.expect("it begins");
    assert_eq!(fill.position(), 0);
    push(&mut fill, &content).await;
    fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    store.close().await;
}

#[tokio::test]
async fn a_part_of_another_length_or_digest_is_not_continued() {
    let (_dir, store) = open();
    let content = bytes(4, 500_000);
    let begun = |spec| async {
        let mut fill = store.fill(spec).await.expect("it begins");
        let position = fill.position();
        push(&mut fill, &content.slice(..200_000)).await;
        fill.suspend("enough");
        position
    };
    assert_eq!(begun(source("a", 500_000, true)).await, 0);
    assert_eq!(begun(source("a", 600_000, true)).await, 0, "another length");
    let claimed = FillSpec { claims: claims(digests(b"a")), ..source("b", 500_000, true) };
    assert_eq!(begun(claimed.clone()).await, 0);
    assert_eq!(begun(FillSpec { claims: claims(digests(b"b")), ..claimed }).await, 0, "another digest");
    assert_eq!(begun(source("b", 500_000, false)).await, 0, "not asked to");
    store.close().await;
    assert_eq!(store.report().parts, 2);
}

#[tokio::test]
async fn discarded_small_or_nameless_ones_leave_nothing() {
    let (dir, store) = open();
    let content = bytes(5, 500_000);
    let mut fill = store.fill(source("a", content.len(), false)).await.expect("it begins");
    push(&mut fill, &content.slice(..200_000)).await;
    fill.discard("the source changed");
    let mut fill = store.fill(source("b", content.len(), false)).await.expect("it begins");
    push(&mut fill, &content.slice(..1000)).await;
    fill.suspend("too small to be worth it");
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    push(&mut fill, &content.slice(..200_000)).await;
    drop(fill);
    let report = close(&store).await;
    assert_eq!(std::fs::read_dir(dir.path().join("cache/parts")).expect("a directory").count(), 0);
    assert_eq!((report.parts, report.reserved, report.unlinked), (0, 0, 0));
}

/// Waits for the first checkpoint, which is made in the background, and copies the part, longer than the checkpoint, and the checkpoint's state.
async fn as_a_crash_leaves_it(dir: &tempfile::TempDir) -> tempfile::TempDir {
    let parts = dir.path().join("cache/parts");
    let state = || {
        std::fs::read_dir(&parts)
            .expect("a directory")
            .filter_map(Result::ok)
            .find(|entry| entry.path().extension().is_some_and(|extension| extension == "state"))
    };
    until_true(|| "a checkpoint".into(), || state().is_some()).await;
    let crashed = tempfile::tempdir().expect("a directory");
    let copy = crashed.path().join("cache");
    std::fs::create_dir_all(copy.join("parts")).expect("made");
    std::fs::copy(dir.path().join("cache/outpost-cache"), copy.join("outpost-cache")).expect("copied");
    for entry in std::fs::read_dir(&parts).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), copy.join("parts").join(entry.file_name())).expect("copied");
    }
    crashed
}

#[tokio::test]
async fn a_checkpoint_survives_what_a_crash_does_to_the_rest() {
    let (dir, store) = open();
    let content = bytes(6, 80 << 20);
    let mut fill = store.fill(source("a", content.len(), false)).await.expect("it begins");
    for piece in content.chunks(1 << 20).take(70) {
        fill.push(content.slice_ref(piece)).await.expect("it takes the bytes");
    }
    let crashed = as_a_crash_leaves_it(&dir).await;
    let again = Store::open(Options { open_files_max: 4, ..options(crashed.path()) }).expect("it opens");
    let resumed = again.fill(source("a", content.len(), true)).await.expect("it begins");
    assert_eq!(resumed.position(), 64 << 20);
    drop(resumed);
    again.close().await;
    drop(fill);
    store.close().await;
}

#[tokio::test]
async fn a_crash_takes_nothing_of_what_a_checkpoint_tells_of_before_the_first_byte_has_come() {
    let (dir, store) = open();
    let content = bytes(7, 80 << 20);
    let fill = store.fill(source("a", content.len(), false)).await.expect("it begins");
    // From the second MiB on, with a gap in the middle.
    for (number, piece) in content.chunks(1 << 20).enumerate().skip(1).filter(|(number, _)| *number != 40) {
        fill.push_at((number as u64) << 20, content.slice_ref(piece)).await.expect("it takes the bytes");
    }
    let crashed = as_a_crash_leaves_it(&dir).await;
    let again = Store::open(Options { open_files_max: 4, ..options(crashed.path()) }).expect("it opens");
    let known = again.resumable(b"a").expect("it is known");
    assert!(known.position == 0 && known.taken >= 60 << 20, "{known:?}");
    let resumed = again.fill(source("a", content.len(), true)).await.expect("it begins");
    assert_eq!((resumed.position(), resumed.taken()), (0, known.taken));
    for (number, piece) in content.chunks(1 << 20).enumerate() {
        resumed.push_at((number as u64) << 20, content.slice_ref(piece)).await.expect("it takes the bytes");
    }
    resumed.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    again.close().await;
    drop(fill);
    store.close().await;
}
