//! Power loss and failing disks: what is served is right, and what was committed is there.
//!
//! Every run is made from a seed: which operations, where the disk stops, and what of the unsynced survives. A run that fails names its seed;
//! threads may still interleave differently, so run it a few times.

use std::collections::HashMap;

use protocol::digest::Md5;
use store::{FillError, FillSpec, Limit, Lookup, Options, Store};

use crate::{
    helpers::*,
    sim_disk::{EIO, Fault, Random, SimDisk},
};

/// What a run has been promised.
#[derive(Default)]
struct Promised {
    /// Commits that were answered with success and not taken back.
    committed: HashMap<Md5, u64>,
    /// Objects that were asked to be removed, or may have been evicted: they may be there or not.
    loose: Vec<Md5>,
}

fn content(seed: u64) -> bytes::Bytes {
    bytes(seed, 1 + (seed as usize * 7919) % 150_000)
}

/// A directory on no disk: what a disk keeps and forgets is simulated, and the thousands of files are quicker made.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a directory")
}

/// A few dozen random operations, until the end or until the disk says no.
async fn run(store: &Store, random: &mut Random, promised: &mut Promised) {
    for _ in 0..40 {
        let seed = random.next() % 60;
        let content = content(seed);
        let md5 = digests(&content).md5;
        match random.next() % 10 {
            0 => {
                promised.loose.push(md5);
                store.remove(&md5);
            }
            1 => {
                let spec = FillSpec { source: format!("{seed}").into(), ..spec(content.len()) };
                if let Ok(mut fill) = store.fill(spec).await {
                    let _ = fill.push_at(content.len() as u64 * 2 / 3, content.slice(content.len() * 2 / 3..)).await;
                    let _ = fill.push(content.slice(..content.len() / 2)).await;
                    fill.suspend("for later");
                }
            }
            2 => store.names().put(format!("name {seed}").as_bytes(), &md5, &seed.to_le_bytes()),
            _ => {
                let Lookup::Miss(vacancy) = store.lookup(&md5) else { continue };
                let spec = FillSpec {
                    source: format!("{seed}").into(),
                    resume: seed.is_multiple_of(2),
                    ..spec(content.len())
                };
                let Ok(fill) = vacancy.begin(spec).await else { continue };
                let from = fill.position() as usize;
                // Every third with its end first, over which the front jumps.
                let middle = if seed.is_multiple_of(3) { from.midpoint(content.len()) } else { content.len() };
                let ahead = fill.push_at(middle as u64, content.slice(middle..)).await;
                if ahead.is_err() || fill.push_at(from as u64, content.slice(from..)).await.is_err() {
                    continue;
                }
                let Ok(verified) = fill.verify(true).await else { continue };
                if verified.commit().await.is_ok() {
                    promised.committed.insert(md5, seed);
                    promised.loose.retain(|loose| *loose != md5);
                    store.names().put(format!("name {seed}").as_bytes(), &md5, &seed.to_le_bytes());
                }
            }
        }
    }
}

/// Everything that is served is what its name says; every name that is there is whole.
async fn check_served(store: &Store, promised: &Promised, what: &str) {
    until(store, |report| report.loaded).await;
    for seed in 0..60 {
        let content = content(seed);
        let md5 = digests(&content).md5;
        if let Lookup::Hit(reader) = store.lookup(&md5) {
            assert_eq!(read(&reader), content, "{what}: wrong bytes of {seed}");
        }
        if let Some(name) = name(store, format!("name {seed}").as_bytes()) {
            assert_eq!(name, (md5, seed.to_le_bytes().to_vec()), "{what}: a wrong name");
        }
    }
    let known: Vec<_> = (0..60).map(|seed| digests(&content(seed)).md5).collect();
    let told = store.history_where(|_| true).await;
    assert!(told.iter().all(|entry| known.contains(&entry.md5)), "{what}: a history of what never was");
    for (md5, seed) in &promised.committed {
        assert!(promised.loose.contains(md5) || is_hit(store, md5), "{what}: {seed} was committed and is gone");
    }
}

/// `max_size` below 4 MB means that objects are evicted all the while, so that none of them can be expected to be there.
async fn power_loss(seed: u64, max_size: u64) {
    let evicts = max_size < 4 << 20;
    let what = format!("seed {seed}");
    let dir = in_memory();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut promised = Promised::default();
    let mut from = dir.path().join("0");
    // Three lives, each cut off at a random operation.
    for life in 1..=3u64 {
        let disk = SimDisk::new(&from, Fault::Cut { at: 20 + random.next() % 400 });
        let max_size = Limit::Bytes(max_size);
        let options = Options { dir: from.clone(), max_size, ..options(dir.path()) };
        if let Ok(store) = Store::open_on(options.clone(), disk.clone()) {
            check_served(&store, &promised, &what).await;
            run(&store, &mut random, &mut promised).await;
            drop(store);
            if evicts {
                promised.committed.clear();
            }
        }
        let to = dir.path().join(life.to_string());
        disk.after_power_loss(&to, random.next());
        from = to;
    }
    let disk = SimDisk::new(&from, Fault::None);
    let options = Options { dir: from.clone(), ..options(dir.path()) };
    let store = Store::open_on(options, disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    check_served(&store, &promised, &what).await;
    // And it works: everything can be put in again.
    for seed in 0..60 {
        let content = content(seed);
        let md5 = digests(&content).md5;
        // A stray that is being looked at.
        if let Lookup::Filling(reader) = store.lookup(&md5) {
            let _ = reader.sealed().await;
        }
        if !is_hit(&store, &md5) {
            put(&store, &content).await;
        }
    }
    let scrub = store.scrub(|_| {}).await;
    assert_eq!((scrub.good, scrub.bad, scrub.missing), (60, 0, 0), "{what}");
    store.close().await;
    let left = std::fs::read_dir(from.join("index")).expect("a directory").count();
    assert!(left <= 12, "{what}: {left} files in the index");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_loss_at_random_operations() {
    for seed in 0..12 {
        power_loss(seed, 256 << 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_loss_while_evicting() {
    for seed in 100..112 {
        power_loss(seed, 2 << 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failing_operation_fails_one_fill_and_nothing_else() {
    for at in 0..60 {
        let dir = in_memory();
        let root = dir.path().join("cache");
        let disk = SimDisk::new(&root, Fault::Fail { at, number: EIO });
        let Ok(store) = Store::open_on(options(dir.path()), disk) else { continue };
        let mut failed = 0;
        for seed in 0..6 {
            let content = content(seed);
            let result: Result<_, FillError> = async {
                let fill = vacancy(&store, &digests(&content).md5).begin(spec(content.len())).await?;
                // Every second one with its end first, which is read back.
                let middle = content.len() / (1 + seed as usize % 2);
                fill.push_at(middle as u64, content.slice(middle..)).await?;
                fill.push_at(0, content.clone()).await?;
                fill.verify(true).await?.commit().await
            }
            .await;
            match result {
                Ok(reader) => assert_eq!(read(&reader), content),
                Err(error) => {
                    assert!(matches!(error, FillError::Io { .. }), "{error}");
                    assert!(store.peek(&digests(&content).md5).is_none(), "operation {at}: nothing is in the index");
                    failed += 1;
                }
            }
        }
        assert!(failed <= 1, "operation {at}: {failed} failed");
        until(&store, |report| report.fills == 0 && report.unlinked == 0).await;
        let report = store.report();
        assert_eq!((report.objects, report.reserved, report.unlinked), (6 - failed, 0, 0), "operation {at}");
        assert!(failed == 0 || report.disk_errors > 0);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_room_or_says_so() {
    for at in (10..80).step_by(7) {
        let dir = in_memory();
        let root = dir.path().join("cache");
        let disk = SimDisk::new(&root, Fault::Full { at, for_so_many: 6 });
        let options = Options { max_size: Limit::Bytes(64 << 20), ..options(dir.path()) };
        let Ok(store) = Store::open_on(options, disk.clone()) else { continue };
        let (mut committed, mut refused) = (0, 0);
        for seed in 0..20 {
            let content = content(seed);
            let result: Result<_, FillError> = async {
                let mut fill = store.fill(spec(content.len())).await?;
                fill.push(content.clone()).await?;
                fill.verify(true).await?.commit().await
            }
            .await;
            match result {
                Ok(_) => committed += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(committed >= 12, "operation {at}: {committed} committed, {refused} refused");
        until(&store, |report| report.fills == 0).await;
        for seed in 0..20 {
            let content = content(seed);
            if let Lookup::Hit(reader) = store.lookup(&digests(&content).md5) {
                assert_eq!(read(&reader), content);
            }
        }
        store.close().await;
        assert!(disk.operations() > at);
    }
}
