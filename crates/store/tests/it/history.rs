//! What is told of objects' lives, and that nothing depends on it.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use protocol::digest::Md5;
use store::{Arrival, Asked, Entry, Event, FillSpec, Limit, Options, Purpose, Store};

use crate::{
    helpers::*,
    sim_disk::{EIO, Fault, SimDisk},
};

fn file(dir: &Path) -> PathBuf {
    dir.join("cache/history")
}

async fn events(store: &Store, md5: Md5) -> Vec<Event> {
    store.history(md5).await.into_iter().map(|entry| entry.event).collect()
}

async fn everything(store: &Store) -> Vec<Entry> {
    store.history_where(|_| true).await
}

/// From lookup to commit, with what it is called and what is told of it.
async fn put_told(store: &Store, content: &bytes::Bytes, label: &str, about: &'static [u8]) -> Md5 {
    let md5 = digests(content).md5;
    let spec = FillSpec { label: label.into(), ..spec(content.len()) };
    let mut fill = vacancy(store, &md5).begin(spec).await.expect("it begins");
    push(&mut fill, content).await;
    let verified = fill.verify(true).await.expect("it is right").told(bytes::Bytes::from_static(about));
    verified.commit().await.expect("it is durable");
    md5
}

#[tokio::test]
async fn a_life_is_told_from_arrival_to_eviction_and_after_a_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = || Options { max_size: Limit::Bytes(1 << 20), ..options(dir.path()) };
    let store = Store::open(small()).expect("it opens");
    let md5 = put_told(&store, &bytes(1, 300_000), "/first", b"from afar").await;
    (0..2).for_each(|_| drop(hit(&store, &md5)));
    let standing = store.standing(&md5).expect("it is here");
    assert_eq!((standing.asked.times, standing.asked.last.is_some()), (2, true));
    for seed in 2..20 {
        put_told(&store, &bytes(seed, 300_000), "/flood", b"").await;
        (0..4).for_each(|_| drop(hit(&store, &digests(&bytes(seed, 300_000)).md5)));
    }
    assert!(store.peek(&md5).is_none() && store.standing(&md5).is_none());
    let told = events(&store, md5).await;
    let [Event::Came { by: Arrival::Filled, size: 300_000, about }, Event::Evicted(eviction)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(&about[..], b"from afar");
    assert_eq!((eviction.size, eviction.asked.times, &*eviction.need.label), (300_000, 2, "/flood"));
    assert_eq!(eviction.need.purpose, Purpose::Fill);
    assert!(eviction.others.count > 0 && eviction.others.least >= eviction.merit.worth, "{eviction:?}");
    assert_eq!(eviction.merit.uses, 3, "the fetch counts");
    store.close().await;
    let store = Store::open(small()).expect("it opens");
    assert_eq!(events(&store, md5).await, told);
    store.close().await;
}

#[tokio::test]
async fn how_often_is_told_after_a_start_to_the_last() {
    let (dir, store) = open();
    let md5 = put(&store, &bytes(1, 100)).await;
    (0..100).for_each(|_| assert!(is_hit(&store, &md5)));
    store.close().await;
    let store = Store::open(options(dir.path())).expect("it opens");
    assert_eq!(store.standing(&md5).map(|standing| standing.asked.times), Some(0), "it counts anew");
    let asked = |event: &Event| match event {
        Event::Asked(Asked { times, last, .. }) => Some((*times, last.is_some())),
        _ => None,
    };
    assert_eq!(events(&store, md5).await.iter().filter_map(asked).next_back(), Some((100, true)));
    store.close().await;
}

#[tokio::test]
async fn each_way_of_going_is_told() {
    let (dir, store) = open();
    let contents: Vec<_> = (0..4).map(|seed| bytes(seed, 5000)).collect();
    let mut all = Vec::new();
    for content in &contents {
        all.push(put(&store, content).await);
    }
    let path = |md5: &Md5| dir.path().join(format!("cache/objects/{:02x}/{:02x}/{md5}", md5.0[0], md5.0[1]));
    assert!(store.remove_by(&all[0], "somebody"));
    std::fs::write(path(&all[1]), bytes(9, 5000)).expect("writable");
    std::fs::remove_file(path(&all[2])).expect("it is there");
    store.names().put(b"key", &all[3], b"");
    store.names().put(b"key", &all[0], b"");
    let report = store.scrub(|_| {}).await;
    assert_eq!((report.good, report.bad, report.missing), (1, 1, 1));
    let mut last = Vec::new();
    for md5 in &all {
        last.push(events(&store, *md5).await.pop());
    }
    assert!(matches!(&last[0], Some(Event::Removed { by, .. }) if &**by == "somebody"), "{last:?}");
    assert!(matches!(&last[1..3], [Some(Event::Damaged), Some(Event::Missing)]), "{last:?}");
    assert!(matches!(&last[3], Some(Event::Replaced { key, by }) if key == "key" && *by == all[0]), "{last:?}");
    store.close().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_written_over() {
    let (dir, store) = open();
    for seed in 0..20 {
        put(&store, &bytes(seed, 100)).await;
    }
    let before = everything(&store).await;
    assert_eq!(before.len(), 20);
    store.close().await;
    let whole = std::fs::read(file(dir.path())).expect("readable");
    for cut in [whole.len() - 1, whole.len() - 30, whole.len() / 2, 9, 8, 3, 0] {
        std::fs::write(file(dir.path()), &whole[..cut]).expect("writable");
        let store = Store::open(options(dir.path())).expect("it opens");
        let left = everything(&store).await;
        assert!(left.len() < 20 && left == before[..left.len()], "cut at {cut}: {left:?}");
        put(&store, &bytes(100 + cut as u64, 100)).await;
        assert_eq!(everything(&store).await.len(), left.len() + 1, "cut at {cut}");
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_no_history_is_begun_anew_and_what_is_no_file_is_lived_without() {
    let (dir, store) = open();
    store.close().await;
    std::fs::write(file(dir.path()), b"something else entirely").expect("writable");
    let store = Store::open(options(dir.path())).expect("it opens");
    let md5 = put(&store, &bytes(1, 100)).await;
    assert_eq!(events(&store, md5).await.len(), 1);
    store.close().await;
    std::fs::remove_file(file(dir.path())).expect("it is there");
    std::fs::create_dir(file(dir.path())).expect("a directory in its place");
    let store = Store::open(options(dir.path())).expect("it opens");
    let other = put(&store, &bytes(2, 100)).await;
    assert!(is_hit(&store, &md5) && is_hit(&store, &other));
    assert_eq!(events(&store, other).await, []);
    assert!(store.report().history_lost > 0);
    store.close().await;
}

#[tokio::test]
async fn a_disk_that_fails_keeps_nobody_from_being_served() {
    for fault in [Fault::Full { at: 40, for_so_many: 60 }, Fault::Fail { at: 45, number: EIO }] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = SimDisk::new(dir.path(), fault);
        let store = Store::open_on(options(dir.path()), disk.clone()).expect("it opens");
        let mut here = Vec::new();
        for seed in 0.. {
            let content = bytes(seed, 100);
            let Ok(mut fill) = store.fill(spec(content.len())).await else { continue };
            if fill.push(content.clone()).await.is_err() {
                continue;
            }
            let Ok(verified) = fill.verify(true).await else { continue };
            if verified.commit().await.is_ok() {
                here.push(digests(&content).md5);
            }
            if disk.operations() > 200 {
                break;
            }
        }
        let told = everything(&store).await;
        let last = here.last().expect("some were kept");
        assert!(is_hit(&store, last), "a full disk evicts those before it, if any");
        assert!(told.iter().any(|entry| entry.md5 == *last), "it goes on when the disk does: {fault:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn it_stays_within_its_room_and_remembers_what_is_here_longest() {
    let dir = tempfile::tempdir().expect("a directory");
    let max = 16 << 10;
    let store = Store::open(Options { history_max: max, ..options(dir.path()) }).expect("it opens");
    let md5 = put_told(&store, &bytes(1, 100), "/kept", b"the first of all").await;
    for seed in 10..400 {
        let gone = put(&store, &bytes(seed, 100)).await;
        store.remove(&gone);
        if seed % 50 == 0 {
            until(&store, |report| report.history_bytes <= max).await;
        }
    }
    until(&store, |report| report.history_bytes <= max).await;
    assert!(std::fs::metadata(file(dir.path())).expect("it is there").len() <= max);
    assert_eq!(events(&store, md5).await.len(), 1, "forgotten although it is here");
    let all = everything(&store).await;
    assert!(all.len() > 50 && all.is_sorted_by_key(|entry| entry.at), "{} entries", all.len());
    assert_eq!(store.report().history_lost, 0);
    close(&store).await;
    let found = OpenOptions::new().read(true).open(file(dir.path())).expect("it is there");
    assert!(found.metadata().expect("an open file").len() <= max + 4096);
}

#[tokio::test]
async fn none_is_written_where_none_is_wanted() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Options { history_max: 0, ..options(dir.path()) }).expect("it opens");
    let md5 = put(&store, &bytes(1, 100)).await;
    assert_eq!(events(&store, md5).await, []);
    store.close().await;
    assert!(!file(dir.path()).exists());
}
