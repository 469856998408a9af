//! The table of names.

use protocol::digest::Md5;
use store::{Options, Store};

use crate::helpers::*;

#[tokio::test]
async fn names_are_set_replaced_removed_and_survive() {
    let (dir, store) = open();
    let names = store.names();
    let md5 = |seed: u8| Md5([seed; 16]);
    for at in 0..1000u32 {
        names.put(format!("name {at}").as_bytes(), &md5(at as u8), &at.to_le_bytes());
    }
    names.put(b"name 7", &md5(200), b"changed");
    assert!(names.remove(b"name 8"));
    assert!(!names.remove(b"name 8"));
    store.close().await;
    drop(store);
    let store = Store::open(options(dir.path())).expect("it opens again");
    assert_eq!(store.report().names, 999);
    assert_eq!(name(&store, b"name 7"), Some((md5(200), b"changed".to_vec())));
    assert_eq!(name(&store, b"name 999"), Some((md5(231), 999u32.to_le_bytes().to_vec())));
    assert_eq!(name(&store, b"name 8"), None);
    store.close().await;
}

#[tokio::test]
async fn too_long_is_not_kept_and_too_many_forget_the_useless_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(Options { names_max: 2000, ..options(dir.path()) }).expect("it opens");
    let names = store.names();
    names.put(b"n", &Md5([1; 16]), b"short");
    names.put(b"n", &Md5([1; 16]), &vec![0; (64 << 10) + 1]);
    assert_eq!(name(&store, b"n"), None);
    let here = put(&store, &bytes(1, 100)).await;
    for at in 0..1000u32 {
        names.put(&at.to_le_bytes(), &here, b"");
    }
    for at in 1000..9000u32 {
        names.put(&at.to_le_bytes(), &Md5([9; 16]), b"");
    }
    assert_eq!(store.report().names, 2000);
    let kept = (0..1000u32).filter(|at| name(&store, &at.to_le_bytes()).is_some()).count();
    assert!(kept >= 900, "only {kept} of the names whose content is here were kept");
    store.close().await;
}
