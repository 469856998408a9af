//! What comes and goes is told to who watches, as it is when it is told.

use std::time::Duration;

use protocol::digest::Md5;
use store::{Changed, Store, Watch};

use crate::helpers::*;

fn sorted(mut changed: Changed) -> Changed {
    changed.came.sort_unstable();
    changed.gone.sort_unstable();
    changed
}

fn taken(watch: &Watch) -> Changed {
    sorted(watch.take(1000).expect("not too much"))
}

async fn came(watch: &Watch) {
    tokio::time::timeout(Duration::from_secs(20), watch.came()).await.expect("it is told");
}

#[tokio::test]
async fn what_comes_and_goes_is_told_once() {
    let (_dir, store) = open();
    let before = put(&store, &bytes(1, 100)).await;
    let watch = store.watch();
    assert_eq!(taken(&watch), Changed::default(), "what was here is listed, not told");
    let one = put(&store, &bytes(2, 100)).await;
    came(&watch).await;
    let other = put(&store, &bytes(3, 100_000)).await;
    assert!(store.remove(&before));
    let mut expected = vec![one, other];
    expected.sort_unstable();
    let changed = taken(&watch);
    assert_eq!(changed, Changed { came: expected, gone: vec![before], more: false });
    assert_eq!(taken(&watch), Changed::default());
    // It could not be told; meanwhile one of them went.
    assert!(store.remove(&one));
    watch.put_back(&changed);
    let mut gone = vec![one, before];
    gone.sort_unstable();
    assert_eq!(taken(&watch), Changed { came: vec![other], gone, more: false });
    store.close().await;
}

#[tokio::test]
async fn many_come_in_parts_and_too_many_mean_that_all_is_listed() {
    let (_dir, store) = open();
    let watch = store.watch();
    let mut put_in = Vec::new();
    for seed in 0..20 {
        put_in.push(put(&store, &bytes(100 + seed, 10)).await);
    }
    let mut told = Vec::new();
    loop {
        let changed = watch.take(7).expect("not too much");
        assert!(changed.came.len() <= 7 && changed.gone.is_empty());
        told.extend(changed.came);
        if !changed.more {
            break;
        }
    }
    told.sort_unstable();
    put_in.sort_unstable();
    assert_eq!(told, put_in);
    let numbers = (0..70_000_u128).map(|number| Md5(number.to_be_bytes())).collect();
    watch.put_back(&Changed { gone: numbers, ..Changed::default() });
    assert_eq!(watch.take(1000), None);
    watch.begin_anew();
    assert_eq!(taken(&watch), Changed::default());
    store.close().await;
}

#[tokio::test]
async fn a_damaged_one_that_a_scrub_finds_goes() {
    let (dir, store) = open();
    let md5 = put(&store, &bytes(5, 5_000)).await;
    let watch = store.watch();
    damage(dir.path(), &store, md5);
    store.scrub(|_| {}).await;
    assert_eq!(taken(&watch), Changed { gone: vec![md5], ..Changed::default() });
    store.close().await;
}

fn damage(dir: &std::path::Path, store: &Store, md5: Md5) {
    assert!(store.peek(&md5).is_some());
    let name = md5.to_string();
    let path = dir.join("cache/objects").join(&name[..2]).join(&name[2..4]).join(&name);
    std::fs::write(path, bytes(6, 5_000)).expect("it is there");
}
