//! Filling and following.

use std::sync::Arc;

use bytes::Bytes;
use protocol::digest::{Claims, Md5};
use store::{FillError, FillSpec, Lookup, ReadError};
use tokio::sync::Barrier;

use crate::helpers::*;

const TAIL: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miss_is_filled_and_then_hit() {
    let (_dir, store) = open();
    for len in [0, 1, 1000, 16 << 10, 65_536, 65_537, 1 << 20, 5_000_001] {
        let content = bytes(len as u64, len);
        let md5 = put(&store, &content).await;
        let reader = hit(&store, &md5);
        assert_eq!((reader.len(), reader.is_sealed()), (Some(len as u64), true));
        assert_eq!(reader.digests(), Some(digests(&content)));
        assert_eq!(read(&reader), content, "{len} bytes");
    }
    // A fill ends behind its commit, when its description is gone.
    until(&store, |report| report.fills == 0).await;
    let report = store.report();
    assert_eq!((report.objects, report.commits, report.reserved), (8, 8, 0));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_gives_out_no_vacancy() {
    let (_dir, store) = open();
    let content = bytes(1, 1000);
    let md5 = digests(&content).md5;
    assert!(store.hit(&md5).is_none());
    let held = vacancy(&store, &md5);
    assert!(store.hit(&md5).is_none(), "what is being filled is no hit");
    drop(held);
    put(&store, &content).await;
    assert_eq!(store.hit(&md5).map(|reader| read(&reader)), Some(content.to_vec()));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_in_the_page_cache_is_believed_for_a_second() {
    let (_dir, store) = open();
    let md5 = put(&store, &bytes(1, 100_000)).await;
    let millis = std::time::Duration::from_millis;
    let reader = hit(&store, &md5);
    assert!(!reader.was_in_page_cache(millis(0)), "nobody has looked");
    reader.seen_in_page_cache(millis(5000));
    let other = hit(&store, &md5);
    assert!(other.was_in_page_cache(millis(5999)) && !other.was_in_page_cache(millis(6000)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_follow_one_fill() {
    let (_dir, store) = open();
    let content = bytes(1, 3 << 20);
    let md5 = digests(&content).md5;
    let vacancy = vacancy(&store, &md5);
    let barrier = Arc::new(Barrier::new(51));
    let followers: Vec<_> = (0..50)
        .map(|_| {
            let (store, barrier, content) = (store.clone(), barrier.clone(), content.clone());
            tokio::spawn(async move {
                let Lookup::Filling(reader) = store.lookup(&md5) else { panic!("only one may fill") };
                barrier.wait().await;
                let mut position = 0;
                loop {
                    let readable = reader.readable(position).await.expect("the fill succeeds");
                    assert_eq!(read(&reader)[..readable as usize], content[..readable as usize]);
                    if readable == position {
                        return position;
                    }
                    position = readable;
                }
            })
        })
        .collect();
    barrier.wait().await;
    let mut fill = vacancy.begin(spec(content.len())).await.expect("it begins");
    push(&mut fill, &content).await;
    let verified = fill.verify(true).await.expect("it is right");
    for follower in followers {
        assert_eq!(follower.await.expect("it ends"), content.len() as u64);
    }
    // Verified, but not durable yet: still one slot, and nobody gets a vacancy.
    let Lookup::Filling(reader) = store.lookup(&md5) else { panic!("it is filled already") };
    assert!(reader.is_sealed());
    verified.commit().await.expect("it is durable");
    assert!(is_hit(&store, &md5));
    store.close().await;
}

#[tokio::test]
async fn the_tail_is_withheld_until_verified() {
    let (_dir, store) = open();
    for (len, known) in [(200_000, true), (200_000, false), (1000, true), (1000, false)] {
        let content = bytes(len as u64 + u64::from(known), len);
        let md5 = digests(&content).md5;
        let len_told = known.then_some(len as u64);
        let spec = FillSpec { len: len_told, ..FillSpec::default() };
        let mut fill = vacancy(&store, &md5).begin(spec).await.expect("it begins");
        let reader = fill.reader();
        assert_eq!(reader.len(), len_told);
        push(&mut fill, &content).await;
        let visible = len.saturating_sub(TAIL) as u64;
        if visible > 0 {
            let mut readable = 0;
            while readable < visible {
                readable = reader.readable(readable).await.expect("it grows");
            }
        }
        assert_eq!(reader.watermark(), visible);
        let verified = fill.verify(true).await.expect("it is right");
        assert_eq!((reader.watermark(), reader.len()), (len as u64, Some(len as u64)));
        verified.commit().await.expect("it is durable");
    }
    store.close().await;
}

#[tokio::test]
async fn wrong_bytes_are_quarantined_and_never_complete() {
    let (dir, store) = open();
    let content = bytes(5, 300_000);
    let wrong = Md5([7; 16]);
    let mut fill = vacancy(&store, &wrong).begin(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push(&mut fill, &content).await;
    let error = fill.verify(true).await.err().expect("it is wrong");
    assert!(matches!(error, FillError::Digest { .. }) && error.is_mismatch());
    assert_eq!(reader.sealed().await, Err(ReadError::Rejected));
    assert!(reader.watermark() <= (content.len() - TAIL) as u64);
    assert!(matches!(store.lookup(&wrong), Lookup::Miss(_)));
    store.close().await;
    let report = store.report();
    assert_eq!((report.rejections, report.quarantined, report.objects), (1, 1, 0));
    let kept = std::fs::read_dir(dir.path().join("cache/quarantine")).expect("a directory").count();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_wrong_length_is_refused_either_way() {
    let (_dir, store) = open();
    let content = bytes(6, 1000);
    let mut fill = store.fill(spec(2000)).await.expect("it begins");
    push(&mut fill, &content).await;
    assert!(matches!(fill.verify(true).await, Err(FillError::Length { expected: 2000, found: 1000 })));
    let mut fill = store.fill(spec(500)).await.expect("it begins");
    assert!(matches!(fill.push(content).await, Err(FillError::Length { expected: 500, found: 1000 })));
    let sha256 = Claims { md5: None, sha256: Some(digests(b"other").sha256) };
    let mut fill = store.fill(FillSpec { claims: sha256, ..spec(4) }).await.expect("it begins");
    fill.push(Bytes::from_static(b"this")).await.expect("it fits");
    assert!(matches!(fill.verify(true).await, Err(FillError::Digest { .. })));
    store.close().await;
    assert_eq!(store.report().rejections, 3);
}

#[tokio::test]
async fn a_changed_source_is_refused_without_quarantine() {
    let (_dir, store) = open();
    let content = bytes(8, 100_000);
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push(&mut fill, &content).await;
    assert!(matches!(fill.verify(false).await, Err(FillError::Changed)));
    assert_eq!(reader.sealed().await, Err(ReadError::Rejected));
    drop(reader);
    let report = close(&store).await;
    assert_eq!((report.quarantined, report.used, report.rejections), (0, 4096, 1));
}

#[tokio::test]
async fn dropping_is_giving_up_at_every_stage() {
    let (_dir, store) = open();
    let content = bytes(9, 200_000);
    let md5 = digests(&content).md5;

    let reader = vacancy(&store, &md5).reader();
    assert!(matches!(reader.sealed().await, Err(ReadError::Abandoned { .. })), "a dropped vacancy");

    let dropped = vacancy(&store, &md5);
    let reader = dropped.reader();
    dropped.abandon("upstream says no");
    assert_eq!(reader.sealed().await, Err(ReadError::Abandoned { reason: "upstream says no".into() }));

    let mut fill = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push(&mut fill, &content.slice(..100_000)).await;
    drop(fill);
    assert!(matches!(reader.sealed().await, Err(ReadError::Abandoned { .. })), "a dropped fill");
    drop(reader);

    let mut fill = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    push(&mut fill, &content).await;
    let verified = fill.verify(true).await.expect("it is right");
    let reader = verified.reader();
    drop(verified);
    assert_eq!(read(&reader), content, "who has it keeps it");
    assert!(matches!(store.lookup(&md5), Lookup::Miss(_)), "but it is not here");
    drop(reader);

    put(&store, &content).await;
    let report = close(&store).await;
    assert_eq!((report.objects, report.fills, report.parts, report.reserved, report.unlinked), (1, 0, 0, 0, 0));
}

#[tokio::test]
async fn equal_content_is_kept_once() {
    let (dir, store) = open();
    let content = bytes(10, 100_000);
    let first = put(&store, &content).await;
    let mut fill = store.fill(FillSpec::default()).await.expect("it begins");
    push(&mut fill, &content).await;
    let verified = fill.verify(true).await.expect("it is right");
    let reader = verified.commit().await.expect("it is here already");
    assert_eq!(read(&reader), content);

    // Two at the same time, neither of them knowing the digest.
    let content = bytes(11, 100_000);
    let (mut a, mut b) = (
        store.fill(FillSpec::default()).await.expect("it begins"),
        store.fill(FillSpec::default()).await.expect("it begins"),
    );
    push(&mut a, &content).await;
    push(&mut b, &content).await;
    let a = a.verify(true).await.expect("it is right");
    let b = b.verify(true).await.expect("it is right");
    let (a, b) = tokio::join!(a.commit(), b.commit());
    assert_eq!(read(&a.expect("durable")), read(&b.expect("durable")));
    let report = close(&store).await;
    assert_eq!((report.objects, report.duplicates, report.unlinked), (2, 2, 0));
    assert!(dir.path().join(format!("cache/objects/{:02x}/{:02x}/{first}", first.0[0], first.0[1])).is_file());
}

#[tokio::test]
async fn a_fill_that_finds_its_digest_takes_the_slot_from_one_that_still_runs() {
    let (_dir, store) = open();
    let content = bytes(12, 100_000);
    let md5 = digests(&content).md5;
    let mut slow = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    let mut fast = store.fill(spec(content.len())).await.expect("it begins");
    push(&mut fast, &content).await;
    let fast = fast.verify(true).await.expect("it is right");
    assert!(matches!(store.lookup(&md5), Lookup::Filling(reader) if reader.is_sealed()));
    fast.commit().await.expect("it is durable");
    push(&mut slow, &content).await;
    let slow = slow.verify(true).await.expect("it is right too");
    slow.commit().await.expect("it is here already");
    assert_eq!((store.report().commits, store.report().duplicates), (1, 1));
    store.close().await;
}

#[tokio::test]
async fn back_pressure_holds_a_fast_upstream() {
    let (_dir, store) = open();
    let content = bytes(13, 32 << 20);
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    for piece in content.chunks(1 << 20) {
        fill.push(content.slice_ref(piece)).await.expect("it takes the bytes");
        // What was taken and is not yet in the file is at most the buffer and the piece that was let in.
        assert!(fill.position() - reader.watermark() <= (4 << 20) + (1 << 20) + TAIL as u64);
    }
    fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    store.close().await;
}

#[tokio::test]
async fn what_never_fits_is_told_apart_from_what_does_not_fit_now() {
    let (_dir, store) = open();
    let error = store.fill(spec(1 << 30)).await.err().expect("larger than the cache");
    assert!(matches!(error, FillError::TooLarge { .. }) && error.is_room());
    let held = store.fill(spec(200 << 20)).await.expect("it begins");
    assert!(matches!(store.fill(spec(100 << 20)).await, Err(FillError::NoRoom { .. })));
    held.discard("no longer wanted");
    store.close().await;
}

#[tokio::test]
async fn a_second_content_with_the_same_md5_is_refused() {
    // The classic pair: 128 bytes each, one MD5.
    let hex = |text: &str| -> Bytes {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    };
    let a = hex(concat!(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a",
        "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0",
        "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
    ));
    let b = hex(concat!(
        "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a",
        "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0",
        "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
    ));
    assert_eq!(digests(&a).md5, digests(&b).md5);
    let (_dir, store) = open();
    let md5 = put(&store, &a).await;
    let mut fill = store.fill(spec(b.len())).await.expect("it begins");
    fill.push(b).await.expect("it fits");
    let refused = fill.verify(true).await.expect("no claim is broken").commit().await;
    assert!(matches!(refused, Err(FillError::Digest { .. })));
    assert_eq!(read(&hit(&store, &md5)), a, "what was here first stays");
    store.close().await;
}
