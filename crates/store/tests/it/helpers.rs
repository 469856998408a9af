//! What every test needs: a store in a directory of its own, bytes to put in, and ways to do it in one line.

use std::{os::unix::fs::FileExt, path::Path};

use bytes::Bytes;
use protocol::digest::{Claims, Digests, Md5};
use store::{Fill, FillSpec, Limit, Lookup, Options, Reader, Report, Store, Vacancy};
use tempfile::TempDir;

pub(crate) fn options(dir: &Path) -> Options {
    Options { max_size: Limit::Bytes(256 << 20), min_free: Limit::Bytes(0), ..Options::new(dir.join("cache")) }
}

pub(crate) fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(options(dir.path())).expect("it opens");
    (dir, store)
}

/// Bytes that differ for every seed and position.
pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = vec![0; len];
    for place in out.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        place.copy_from_slice(&state.to_le_bytes()[..place.len()]);
    }
    out.into()
}

pub(crate) fn digests(bytes: &[u8]) -> Digests {
    Digests::of(bytes)
}

pub(crate) fn spec(len: usize) -> FillSpec {
    FillSpec { len: Some(len as u64), ..FillSpec::default() }
}

pub(crate) fn vacancy(store: &Store, md5: &Md5) -> Vacancy {
    match store.lookup(md5) {
        Lookup::Miss(vacancy) => vacancy,
        Lookup::Hit(_) => panic!("a hit where a vacancy was expected"),
        Lookup::Filling(_) => panic!("filling where a vacancy was expected"),
    }
}

pub(crate) fn hit(store: &Store, md5: &Md5) -> Reader {
    match store.lookup(md5) {
        Lookup::Hit(reader) => reader,
        Lookup::Filling(_) => panic!("filling where a hit was expected"),
        Lookup::Miss(_) => panic!("a miss where a hit was expected"),
    }
}

pub(crate) fn is_hit(store: &Store, md5: &Md5) -> bool {
    matches!(store.lookup(md5), Lookup::Hit(_))
}

/// Pushes in pieces of 64 KiB.
pub(crate) async fn push(fill: &mut Fill, bytes: &Bytes) {
    for piece in bytes.chunks(64 << 10) {
        fill.push(bytes.slice_ref(piece)).await.expect("it takes the bytes");
    }
}

/// Puts an object in, from lookup to commit.
pub(crate) async fn put(store: &Store, bytes: &Bytes) -> Md5 {
    let md5 = digests(bytes).md5;
    let mut fill = vacancy(store, &md5).begin(spec(bytes.len())).await.expect("it begins");
    push(&mut fill, bytes).await;
    fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    md5
}

/// What a name stands for, if it is there.
pub(crate) fn name(store: &Store, key: &[u8]) -> Option<(Md5, Vec<u8>)> {
    store.names().read(key, |md5, meta| (*md5, meta.to_vec()))
}

/// All bytes that may be read now.
pub(crate) fn read(reader: &Reader) -> Vec<u8> {
    let mut bytes = vec![0; reader.watermark() as usize];
    reader.file().read_exact_at(&mut bytes, 0).expect("readable below the watermark");
    bytes
}

pub(crate) fn claims(digests: Digests) -> Claims {
    Claims { md5: Some(digests.md5), sha256: Some(digests.sha256) }
}

/// Closes, and waits for the files that have no name any more: the last to let go of one may be a thread that hashed it.
pub(crate) async fn close(store: &Store) -> Report {
    store.close().await;
    until(store, |report| report.unlinked == 0).await;
    store.report()
}

/// Waits until the store reports it.
pub(crate) async fn until(store: &Store, reached: impl Fn(&Report) -> bool) {
    until_true(|| format!("{:?}", store.report()), || reached(&store.report())).await;
}

/// Looks again until it holds, and fails with `what` if it never does: what is done in the background has no other sign.
pub(crate) async fn until_true(what: impl Fn() -> String, holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed().as_secs() < 20, "never reached: {}", what());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}
