//! What the index weighs and how a start goes with a million objects. The figures are printed, not asserted, for they depend on the machine:
//! `cargo test --release -p outpost-store a_million -- --nocapture`.

use std::{ops::Range, time::Instant};

use protocol::digest::{Digests, Md5, Md5Hasher, Sha256};

use crate::{
    index::row::{Object, md5_hash},
    options::{Limit, Options},
    space::evict::Usage,
    store::{Lookup, Store},
};

fn options(dir: &std::path::Path) -> Options {
    Options { max_size: Limit::Bytes(1 << 50), min_free: Limit::Bytes(0), ..Options::new(dir.join("cache")) }
}

fn md5_of(at: u64) -> Md5 {
    let mut hasher = Md5Hasher::default();
    hasher.update(&at.to_le_bytes());
    hasher.finish()
}

/// Puts rows into the index as commits do, without files behind them: a file is looked for when it is asked for.
fn put_rows(store: &Store, numbers: Range<u64>) {
    let shared = &store.shared;
    for at in numbers {
        let md5 = md5_of(at);
        let object = Object::new(Digests { md5, sha256: Sha256([at as u8; 32]) }, 1024, Usage::default());
        shared.objects.shard(md5_hash(&md5), shared.clock.now()).push(object);
        // 40 bytes of name and as many of validators, as a directory upstream keeps them.
        store.names().put(format!("{at:040}").as_bytes(), &md5, &[at as u8; 40]);
    }
}

async fn measure(count: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(options(dir.path())).expect("it opens");
    let before = os::process::usage().resident;
    std::thread::scope(|scope| {
        let half = count / 2;
        for numbers in [0..half, half..count] {
            scope.spawn(|| put_rows(&store, numbers));
        }
    });
    let per_object = os::process::usage().resident.saturating_sub(before) / count;
    store.shared.compact().await;
    store.close().await;
    drop(store);

    let begun = Instant::now();
    let store = Store::open(options(dir.path())).expect("it opens again");
    let opened = begun.elapsed();
    // Before all is in memory: each of these reads at most its bucket.
    assert_eq!(store.report().objects, count);
    assert!(store.peek(&md5_of(count / 3)).is_some());
    assert!(store.peek(&md5_of(count)).is_none());
    let name = store.names().read(format!("{:040}", count / 7).as_bytes(), |md5, _| *md5);
    assert_eq!(name, Some(md5_of(count / 7)));
    let first = begun.elapsed();
    store.shared.until_loaded().await;
    let loaded = begun.elapsed();
    assert_eq!((store.report().objects, store.report().names), (count, count));
    for at in (0..count).step_by(997) {
        assert_eq!(store.peek(&md5_of(at)).map(|object| object.size), Some(1024));
    }
    println!("{count} objects: {per_object} bytes each with a name of 40 and meta data of 40 (queues included), ");
    println!("opened after {opened:?}, first answers after {first:?}, all in memory after {loaded:?}");
    // A row without a file is a miss, and then no row any more.
    assert!(matches!(store.lookup(&md5_of(1)), Lookup::Miss(_)));
    assert!(store.peek(&md5_of(1)).is_none());
    store.close().await;
}

#[tokio::test]
async fn a_million_objects_are_there_again_after_a_start() {
    measure(1_000_000).await;
}

#[test]
fn a_row_and_its_place_stay_below_the_budget() {
    // Rows are 72 bytes; their places 4 bytes and a control byte, at worst at 7/16 load just after growing.
    let object = size_of::<Object>() as f64 + 5.0 * 16.0 / 7.0;
    assert!(object <= 110.0, "{object} bytes per object");
    // A name is one allocation (rounded up, with the allocator's 8 bytes), the pointer and length to it, and its place.
    let name = (((2 + 16 + 40 + 40 + 8_usize).next_multiple_of(16)) + 16) as f64 + 5.0 * 16.0 / 7.0;
    assert!(object + name <= 250.0, "{} bytes per object with its name", object + name);
}
