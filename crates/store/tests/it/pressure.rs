//! Limits that are exceeded because others write on the disk, or were lowered, are reached while requests go on.

use store::{Limit, Options, Pinning, Purpose, Store};

use crate::{
    helpers::*,
    sim_disk::{Fault, SimDisk, Volume},
};

const MIB: u64 = 1 << 20;
const VOLUME: Volume = Volume { total: 100 * MIB, others: 0 };

#[tokio::test]
async fn others_on_the_disk_are_given_way_to_and_what_is_pinned_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = SimDisk::new(dir.path(), Fault::None);
    disk.resize(VOLUME);
    let pinning = Pinning::new(vec!["all".into()], std::sync::Arc::new(|key| (key == b"pinned").then_some(0)));
    let limits = Options { max_size: Limit::Bytes(80 * MIB), min_free: Limit::Bytes(20 * MIB), ..options(dir.path()) };
    let store = Store::open_on(Options { pinning, ..limits }, disk.clone()).expect("it opens");
    let kept = put(&store, &bytes(1, 8 << 20)).await;
    store.names().put(b"pinned", &kept, b"");
    for seed in 10..40 {
        put(&store, &bytes(seed, 1 << 20)).await;
    }
    assert_eq!(store.report().evictions, 0);
    disk.resize(Volume { others: 60 * MIB, ..VOLUME });
    until(&store, |report| report.disk_available >= 20 * MIB).await;
    let report = store.report();
    assert!(report.evictions >= 18 && report.objects >= 10, "as many as must, and not many more: {report:?}");
    // Every eviction says why.
    let gone = store.history_where(|entry| matches!(entry.event, store::Event::Evicted(_))).await;
    assert_eq!(gone.len() as u64, report.evictions);
    for entry in gone {
        let store::Event::Evicted(eviction) = entry.event else { panic!("not asked for") };
        assert_eq!((eviction.need.purpose, eviction.size), (Purpose::MinFree, 1 << 20));
        assert!(eviction.need.bytes > 0);
    }
    // More than could be given way to: what is pinned stays, and nothing new comes in.
    disk.resize(Volume { others: 90 * MIB, ..VOLUME });
    until(&store, |report| report.objects == 1).await;
    assert!(is_hit(&store, &kept));
    assert!(store.fill(spec(1 << 20)).await.is_err_and(|error| error.is_room()));
    // And when they have gone, it does again.
    disk.resize(VOLUME);
    put(&store, &bytes(50, 1 << 20)).await;
    store.close().await;
}

#[tokio::test]
async fn a_lowered_limit_is_reached_and_says_so_in_the_history() {
    let (_dir, store) = open();
    for seed in 0..40 {
        put(&store, &bytes(seed, 100_000)).await;
    }
    store.set_limits(Limit::Bytes(2 << 20), Limit::Bytes(0)).expect("limits that make sense");
    until(&store, |report| report.used <= 2 << 20).await;
    let gone = store.history_where(|entry| matches!(entry.event, store::Event::Evicted(_))).await;
    assert!(gone.iter().all(|entry| match &entry.event {
        store::Event::Evicted(eviction) => eviction.need.purpose == Purpose::MaxSize,
        _ => false,
    }));
    assert_eq!(gone.len() as u64, store.report().evictions);
    store.close().await;
}
