//! Bytes that come before their turn: readable where they are, jumped over by the front, hashed in order all the same.

use std::os::unix::fs::FileExt;

use bytes::Bytes;
use protocol::{
    digest::{Digests, Sha256},
    span::Span,
};
use store::{EXTENTS_MAX, Fill, FillError, FillSpec, Reader, Store};

use crate::{
    helpers::*,
    sim_disk::{Fault, SimDisk},
};

const MIB: usize = 1 << 20;
const TAIL: usize = 64 << 10;

fn source(len: usize, resume: bool) -> FillSpec {
    FillSpec { source: Bytes::from_static(b"a"), resume, ..spec(len) }
}

/// Pushes `content[start..end]` where it belongs, in pieces.
async fn push_at(fill: &Fill, content: &Bytes, start: usize, end: usize) {
    for at in (start..end).step_by(100_000) {
        let piece = content.slice(at..end.min(at + 100_000));
        fill.push_at(at as u64, piece).await.expect("it takes the bytes");
    }
}

/// Reads `start..end` as a follower does: waiting for each byte.
async fn follow(reader: &Reader, start: usize, end: usize) -> Vec<u8> {
    let mut bytes = vec![0; end - start];
    let mut position = start;
    while position < end {
        let until = reader.readable(position as u64).await.expect("it comes").min(end as u64) as usize;
        assert!(until > position, "ended at {position}");
        reader.file().read_exact_at(&mut bytes[position - start..until - start], position as u64).expect("readable");
        position = until;
    }
    bytes
}

/// Whether the byte at `position` is not to be had yet.
async fn waits(reader: &Reader, position: u64) -> bool {
    tokio::time::timeout(std::time::Duration::ZERO, reader.readable(position)).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_ahead_is_read_at_once_and_hashed_in_its_turn() {
    let (_dir, store) = open();
    let content = bytes(1, 5 * MIB);
    let md5 = digests(&content).md5;
    let mut fill = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push_at(&fill, &content, 3 * MIB, 4 * MIB).await;
    assert_eq!(follow(&reader, 3 * MIB + 5, 4 * MIB).await, content[3 * MIB + 5..4 * MIB]);
    assert_eq!((fill.position(), reader.watermark()), (0, 0));
    assert_eq!((fill.taken(), reader.fetched()), (MIB as u64, MIB as u64));
    assert!(waits(&reader, 4 * MIB as u64).await, "what is behind the run is not here");
    assert_eq!(reader.here(), [Span::new(3 * MIB as u64, 4 * MIB as u64)]);

    push(&mut fill, &content.slice(..2 * MIB)).await;
    push_at(&fill, &content, 2 * MIB + 100_000, 2 * MIB + 300_000).await;
    assert_eq!(fill.position(), 2 * MIB as u64);
    push_at(&fill, &content, 2 * MIB, 3 * MIB).await;
    assert_eq!(fill.position(), 4 * MIB as u64, "the front jumps over what is here");
    assert_eq!(follow(&reader, 0, 4 * MIB).await, content[..4 * MIB]);
    assert_eq!(reader.here(), [Span::new(0, 4 * MIB as u64)]);
    let whole = Span::new(0, content.len() as u64);
    push(&mut fill, &content.slice(4 * MIB..)).await;
    let verified = fill.verify(true).await.expect("all is hashed, in order");
    assert_eq!(verified.digests(), digests(&content));
    verified.commit().await.expect("it is durable");
    assert_eq!(read(&hit(&store, &md5)), content);
    assert_eq!((reader.here(), hit(&store, &md5).here()), (vec![whole], vec![whole]));
    drop(reader);
    let report = close(&store).await;
    assert_eq!((report.parts, report.reserved, report.unlinked), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_comes_to_the_same() {
    let (_dir, store) = open();
    for seed in 0..24u64 {
        let content = bytes(100 + seed, 200_000 + 12_345 * seed as usize);
        let fill = store.fill(spec(content.len())).await.expect("it begins");
        // Pieces of odd sizes in an order that follows from the seed, some of them twice and overlapping.
        let size = 7_001 + 1_000 * seed as usize;
        let mut pieces: Vec<_> = (0..content.len()).step_by(size).collect();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for at in (1..pieces.len()).rev() {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            pieces.swap(at, (state >> 33) as usize % (at + 1));
        }
        for at in pieces {
            let end = (at + size + (at % 3) * 500).min(content.len());
            fill.push_at(at as u64, content.slice(at..end)).await.expect("it takes the bytes");
        }
        assert_eq!(fill.taken(), content.len() as u64);
        let verified = fill.verify(true).await.expect("it is right");
        assert_eq!(verified.digests(), digests(&content), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_stays_withheld_also_when_it_came_first() {
    let (_dir, store) = open();
    let content = bytes(2, 2 * MIB);
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push_at(&fill, &content, MIB, 2 * MIB).await;
    let visible = 2 * MIB - TAIL;
    assert_eq!(follow(&reader, MIB, visible).await, content[MIB..visible]);
    assert!(waits(&reader, visible as u64).await);
    assert_eq!(reader.here(), [Span::new(MIB as u64, visible as u64)]);
    push(&mut fill, &content.slice(..MIB)).await;
    assert!(waits(&reader, visible as u64).await, "all is here and nothing verified");
    let verified = fill.verify(true).await.expect("it is right");
    assert_eq!(follow(&reader, visible, 2 * MIB).await, content[visible..]);
    drop(verified);
}

fn piece(content: &[u8], start: usize, end: usize) -> (Span, Sha256) {
    (Span::new(start as u64, end as u64), Digests::of(&content[start..end]).sha256)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_is_given_to_who_knows_what_it_must_be_and_to_nobody_else() {
    let (_dir, store) = open();
    let (content, visible) = (bytes(12, 4 * MIB), 4 * MIB - TAIL);
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    let plain = fill.reader();
    let (span, right) = piece(&content, 3 * MIB, 4 * MIB);
    let knowing = plain.expecting(span, right);
    let other = plain.expecting(span, digests(&content).sha256);
    // Half of it is not enough, and is given as ever.
    push_at(&fill, &content, 3 * MIB, 3 * MIB + MIB / 2).await;
    assert_eq!(follow(&knowing, 3 * MIB, 3 * MIB + MIB / 2).await, content[3 * MIB..3 * MIB + MIB / 2]);
    assert_eq!(plain.written(), [Span::new(3 * MIB as u64, (3 * MIB + MIB / 2) as u64)]);
    assert!(waits(&knowing, 3 * MIB as u64 + MIB as u64 / 2).await);
    push_at(&fill, &content, 3 * MIB + MIB / 2, 4 * MIB).await;
    assert_eq!(follow(&knowing, 3 * MIB, 4 * MIB).await, content[3 * MIB..]);
    assert_eq!(follow(&knowing, 4 * MIB - 1, 4 * MIB).await, content[4 * MIB - 1..], "and again");
    for reader in [&plain, &other, &plain.expecting(span, right).expecting(span, digests(b"").sha256)] {
        assert_eq!(follow(reader, 3 * MIB, visible).await, content[3 * MIB..visible]);
        assert!(waits(reader, visible as u64).await);
    }
    // What is told of it.
    assert_eq!(plain.here(), [Span::new(3 * MIB as u64, visible as u64)]);
    assert_eq!(plain.written(), [span]);
    assert_eq!(plain.fetched(), MIB as u64);
    // At the front as well, where all is written and nothing verified.
    push(&mut fill, &content.slice(..3 * MIB)).await;
    assert_eq!(follow(&plain.expecting(span, right), 3 * MIB, 4 * MIB).await, content[3 * MIB..]);
    assert!(waits(&plain, visible as u64).await && waits(&other, visible as u64).await);
    until_true(|| format!("{:?}", plain.written()), || plain.written() == [Span::new(0, 4 * MIB as u64)]).await;
    let verified = fill.verify(true).await.expect("it is right");
    for reader in [&plain, &other, &knowing] {
        assert_eq!(follow(reader, 3 * MIB, 4 * MIB).await, content[3 * MIB..]);
    }
    drop(verified);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_tail_is_not_given_to_who_knows_the_right_one() {
    let (_dir, store) = open();
    let content = bytes(13, 2 * MIB);
    let mut wrong = content.to_vec();
    wrong[2 * MIB - 1] ^= 1;
    let md5 = digests(&content).md5;
    let mut fill = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    let (span, right) = piece(&content, MIB, 2 * MIB);
    let reader = fill.reader().expecting(span, right);
    let wrong = Bytes::from(wrong);
    push_at(&fill, &wrong, MIB, 2 * MIB).await;
    let visible = (2 * MIB - TAIL) as u64;
    assert_eq!(follow(&reader, MIB, visible as usize).await, content[MIB..visible as usize]);
    let (_, named) = piece(&wrong, MIB, 2 * MIB);
    assert_eq!(fill.reader().expecting(span, named).readable(visible).await, Ok(2 * MIB as u64), "it is compared");
    assert!(waits(&reader, visible).await);
    let tail = tokio::spawn(async move { reader.readable(visible).await });
    push(&mut fill, &content.slice(..MIB)).await;
    assert!(fill.verify(true).await.is_err_and(|error| error.is_mismatch()));
    assert!(tail.await.expect("it follows").is_err(), "not one byte of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_to_be_compared_waits_for_all() {
    let (_dir, store) = open();
    let content = bytes(14, 33 * MIB);
    let fill = store.fill(spec(content.len())).await.expect("it begins");
    push_at(&fill, &content, 0, 33 * MIB).await;
    let visible = (33 * MIB - TAIL) as u64;
    let last = piece(&content, 32 * MIB, 33 * MIB);
    assert_eq!(fill.reader().expecting(last.0, last.1).readable(visible).await, Ok(33 * MIB as u64));
    let (all, longest) = (piece(&content, 0, 33 * MIB), piece(&content, MIB, 33 * MIB));
    assert!(waits(&fill.reader().expecting(all.0, all.1), visible).await);
    assert_eq!(fill.reader().expecting(longest.0, longest.1).readable(visible).await, Ok(33 * MIB as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_ahead_are_found_as_all_others() {
    let (_dir, store) = open();
    let content = bytes(3, 2 * MIB);
    let mut wrong = content.to_vec();
    wrong[MIB + 77] ^= 1;
    let md5 = digests(&content).md5;
    let mut fill = vacancy(&store, &md5).begin(spec(content.len())).await.expect("it begins");
    push_at(&fill, &wrong.into(), MIB, 2 * MIB).await;
    push(&mut fill, &content.slice(..MIB)).await;
    assert!(fill.verify(true).await.is_err_and(|error| error.is_mismatch()));
    assert!(!is_hit(&store, &md5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_was_announced_is_refused_ahead_as_well() {
    let (_dir, store) = open();
    let fill = store.fill(spec(MIB)).await.expect("it begins");
    let reader = fill.reader();
    let beyond = fill.push_at(MIB as u64 - 10, bytes(4, 11)).await;
    assert!(matches!(beyond, Err(FillError::Length { expected: 1_048_576, found: 1_048_577 })), "{beyond:?}");
    assert!(fill.push_at(u64::MAX, bytes(4, 11)).await.is_err());
    assert!(reader.failure().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_length_is_not_known_nothing_is_taken_ahead() {
    let (_dir, store) = open();
    let content = bytes(5, MIB);
    let mut fill = store.fill(FillSpec::default()).await.expect("it begins");
    push_at(&fill, &content, 500_000, MIB).await;
    assert_eq!(fill.taken(), 0);
    push(&mut fill, &content).await;
    assert_eq!(fill.verify(true).await.expect("it is right").digests(), digests(&content));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_have_a_limit_and_nothing_is_lost_by_it() {
    let (_dir, store) = open();
    let content = bytes(6, 2 * MIB);
    let fill = store.fill(spec(content.len())).await.expect("it begins");
    for at in 1..=2 * EXTENTS_MAX {
        push_at(&fill, &content, at * 2000, at * 2000 + 1000).await;
    }
    assert_eq!(fill.demand().ahead.count(), EXTENTS_MAX);
    push_at(&fill, &content, 0, 2 * MIB).await;
    assert_eq!(fill.verify(true).await.expect("it is right").digests(), digests(&content));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_part_keeps_its_runs_also_over_a_restart() {
    let (dir, store) = open();
    let content = bytes(7, 5 * MIB);
    let mut fill = store.fill(source(content.len(), false)).await.expect("it begins");
    push(&mut fill, &content.slice(..MIB)).await;
    push_at(&fill, &content, 2 * MIB, 3 * MIB).await;
    fill.suspend("for later");

    let mut fill = store.fill(source(content.len(), true)).await.expect("it begins");
    let demand = fill.demand();
    assert_eq!((demand.front, demand.ahead.count(), demand.ahead.bytes()), (MIB as u64, 1, MIB as u64));
    let reader = fill.reader();
    assert_eq!(follow(&reader, 2 * MIB, 3 * MIB).await, content[2 * MIB..3 * MIB]);
    push(&mut fill, &content.slice(MIB..2 * MIB)).await;
    assert_eq!(fill.position(), 3 * MIB as u64);
    push_at(&fill, &content, 4 * MIB, 5 * MIB).await;
    store.close().await;
    drop((fill, reader, store));

    let store = Store::open(options(dir.path())).expect("it opens again");
    let fill = store.fill(source(content.len(), true)).await.expect("it begins");
    let demand = fill.demand();
    assert_eq!((demand.front, demand.ahead.count(), demand.ahead.bytes()), (3 * MIB as u64, 1, MIB as u64));
    assert_eq!(follow(&fill.reader(), 4 * MIB, 5 * MIB - TAIL).await, content[4 * MIB..5 * MIB - TAIL]);
    push_at(&fill, &content, 3 * MIB, 4 * MIB).await;
    let verified = fill.verify(true).await.expect("it is right");
    assert_eq!(verified.digests(), digests(&content));
    verified.commit().await.expect("it is durable");
    let report = close(&store).await;
    assert_eq!((report.parts, report.reserved, report.unlinked), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_far_ahead_is_seen_and_forgotten_when_served() {
    let (_dir, store) = open();
    let len = 40 * MIB;
    let content = bytes(8, len);
    let fill = store.fill(spec(len)).await.expect("it begins");
    let reader = fill.reader();
    let far = tokio::spawn(async move { follow(&reader, 30 * MIB, 30 * MIB + 1).await });
    fill.wished().await;
    assert_eq!(fill.demand().wishes, [Span::new(30 * MIB as u64, 30 * MIB as u64 + 1)]);
    assert!(!fill.demand().is_front_followed);
    push_at(&fill, &content, 30 * MIB, 31 * MIB).await;
    assert_eq!(far.await.expect("it follows"), content[30 * MIB..30 * MIB + 1]);
    assert!(!fill.has_wishes());

    let (near, tail) = (fill.reader(), fill.reader());
    let near = tokio::spawn(async move { near.readable(MIB as u64).await });
    let tail = tokio::spawn(async move { tail.readable(len as u64 - 1).await });
    until_true(|| "nobody is seen at the front".into(), || fill.demand().is_front_followed).await;
    assert!(!fill.has_wishes(), "the tail comes last however it is wished for");
    let (span, sha256) = piece(&content, 39 * MIB, 40 * MIB);
    let knowing = fill.reader().expecting(span, sha256);
    let knowing = tokio::spawn(async move { knowing.readable_of(span).await });
    fill.wished().await;
    assert_eq!(fill.demand().wishes, [span], "unless by somebody who can be given it");
    push_at(&fill, &content, 39 * MIB, 40 * MIB).await;
    assert!(knowing.await.expect("it follows").is_ok());
    fill.discard("enough");
    assert!(near.await.expect("it follows").is_err() && tail.await.expect("it follows").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_fill_leaves_nobody_reading_back() {
    let (_dir, store) = open();
    let content = bytes(9, 8 * MIB);
    for _ in 0..8 {
        let mut fill = store.fill(source(content.len(), false)).await.expect("it begins");
        push_at(&fill, &content, MIB, 7 * MIB).await;
        push(&mut fill, &content.slice(..MIB)).await;
        assert_eq!(fill.position(), 7 * MIB as u64);
        fill.discard("of no use");
    }
    until(&store, |report| report.unlinked == 0 && report.reserved == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_back_is_not_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = SimDisk::new(&dir.path().join("cache"), Fault::Blind);
    let store = Store::open_on(options(dir.path()), disk).expect("it opens");
    let content = bytes(10, 2 * MIB);
    let mut fill = store.fill(spec(content.len())).await.expect("it begins");
    let reader = fill.reader();
    push_at(&fill, &content, MIB, 2 * MIB).await;
    let pushed = fill.push(content.slice(..MIB)).await;
    let ended = match pushed {
        Ok(()) => fill.verify(true).await.map(drop),
        Err(error) => Err(error),
    };
    let FillError::Io { action, .. } = ended.expect_err("half of it was never hashed") else { panic!("another error") };
    assert_eq!(action, "read back what has come");
    assert!(reader.sealed().await.is_err());
    drop(reader);
    until(&store, |report| report.fills == 0 && report.unlinked == 0 && report.reserved == 0).await;
    assert_eq!((store.report().objects, store.report().disk_errors), (0, 1));
}
