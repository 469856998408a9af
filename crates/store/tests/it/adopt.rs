//! Taking in what this machine has already: by each way, refused, stopped, and with a disk that fails at any step. A file is always
//! in the cache or where it was.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
};

use os::share::{Found, Identity, Share};
use protocol::digest::Md5;
use store::{AdoptError, Adopted, Incoming, Limit, OldName, Options, Room, Store};
use tempfile::TempDir;

use crate::{
    helpers::*,
    sim_disk::{EIO, Fault, SimDisk},
};

const NAME: &[u8] = b"d/file";

/// A directory with one file that is to come in.
struct Outside {
    _dir: TempDir,
    path: PathBuf,
    old: OldName,
}

impl Outside {
    fn new(content: &[u8]) -> Self {
        // In memory, like the cache of the tests that simulate a disk: a file can be moved between the two.
        Self::beside(tempfile::tempdir_in("/dev/shm").unwrap(), content)
    }

    fn beside(dir: TempDir, content: &[u8]) -> Self {
        fs::create_dir_all(dir.path().join("share/d")).unwrap();
        let path = dir.path().join("share/d/file");
        fs::write(&path, content).unwrap();
        let share = Arc::new(Share::open(&dir.path().join("share")).unwrap());
        Self { _dir: dir, path, old: OldName { share, path: NAME.to_vec() } }
    }

    fn open(&self) -> (Arc<File>, Identity) {
        match self.old.share.find(NAME).unwrap() {
            Found::File(file, identity) => (Arc::new(file), identity),
            Found::Directory => panic!("a file"),
        }
    }

    fn store_beside(&self) -> Store {
        Store::open(options(self._dir.path())).unwrap()
    }
}

/// Goes on to the end.
fn all(_: u64) -> bool {
    true
}

async fn incoming_move(store: &Store, outside: &Outside) -> Result<Option<Incoming>, AdoptError> {
    let (file, identity) = outside.open();
    store.incoming_move(&file, &identity, &outside.old).await
}

/// Moves, or says why not.
async fn move_in(store: &Store, outside: &Outside) -> Result<Adopted, AdoptError> {
    let mut incoming = incoming_move(store, outside).await?.expect("it can be moved");
    incoming.read(&mut all)?;
    let naming = store.names().clone();
    let name = move |digests: &protocol::digest::Digests| {
        naming.put(b"name", &digests.md5, b"meta");
        true
    };
    incoming.commit(name, None).await
}

async fn copy_in(store: &Store, outside: &Outside, leaves: bool) -> Result<Adopted, AdoptError> {
    let (file, identity) = outside.open();
    let mut incoming = store.incoming(identity.size, Room::New).await?;
    incoming.copy(&file, &mut all)?;
    incoming.commit(|_| true, leaves.then(|| (outside.old.clone(), identity))).await
}

fn nothing_is_left(store: &Store) {
    let report = store.report();
    assert_eq!((report.objects, report.reserved, report.used, report.parts), (0, 0, report.used, 0), "{report:?}");
}

async fn settled(store: &Store) {
    until(store, |report| report.reserved == 0 && report.unlinked == 0).await;
    nothing_is_left(store);
}

#[tokio::test]
async fn a_copy_is_an_object_of_its_own() {
    for len in [0, 1, 1 << 20, (3 << 20) + 7] {
        let (content, (_dir, store)) = (bytes(1, len), open());
        let outside = Outside::beside(tempfile::tempdir().unwrap(), &content);
        let adopted = copy_in(&store, &outside, false).await.unwrap();
        assert_eq!(adopted, Adopted { digests: digests(&content), was_here: false });
        fs::write(&outside.path, "changed at its old place").unwrap();
        assert_eq!(read(&hit(&store, &adopted.digests.md5)), content);
        // Once more: the content is here.
        fs::write(&outside.path, &content).unwrap();
        assert!(copy_in(&store, &outside, true).await.unwrap().was_here);
        assert!(!outside.path.exists(), "its old name was to go");
        let report = close(&store).await;
        assert_eq!((report.objects, report.reserved, report.duplicates), (1, 0, 1));
    }
}

#[tokio::test]
async fn blocks_are_shared_where_that_can_be_done_and_only_there() {
    let content = bytes(1, 2 << 20);
    for shares in [true, false] {
        let outside = Outside::new(&content);
        let root = outside._dir.path().join("cache");
        let disk = if shares { SimDisk::sharing(&root, Fault::None) } else { SimDisk::new(&root, Fault::None) };
        let store = Store::open_on(options(outside._dir.path()), disk).unwrap();
        let (file, identity) = outside.open();
        let mut incoming = store.incoming(identity.size, Room::InPlace).await.unwrap();
        assert_eq!(incoming.share_blocks(&file, &mut all).unwrap(), shares);
        if shares {
            let adopted = incoming.commit(|_| true, None).await.unwrap();
            assert_eq!(read(&hit(&store, &adopted.digests.md5)), content);
            assert_eq!(close(&store).await.reserved, 0);
        } else {
            drop(incoming);
            settled(&store).await;
        }
    }
}

#[tokio::test]
async fn a_moved_file_is_the_object_and_nobody_elses() {
    let content = bytes(1, 3 << 20);
    let outside = Outside::new(&content);
    let store = outside.store_beside();
    let inode = fs::metadata(&outside.path).unwrap().ino();
    fs::set_permissions(&outside.path, fs::Permissions::from_mode(0o666)).unwrap();
    let adopted = move_in(&store, &outside).await.unwrap();
    assert!(!adopted.was_here && !outside.path.exists());
    let reader = hit(&store, &adopted.digests.md5);
    assert_eq!(read(&reader), content);
    let found = reader.file().metadata().unwrap();
    assert_eq!((found.ino(), found.nlink(), found.mode() & 0o777), (inode, 1, 0o600), "the very file");
    assert_eq!(name(&store, b"name").unwrap().0, adopted.digests.md5);
    // The same content again: only the old name goes.
    fs::write(&outside.path, &content).unwrap();
    assert!(move_in(&store, &outside).await.unwrap().was_here && !outside.path.exists());
    drop(reader);
    let report = close(&store).await;
    assert_eq!((report.objects, report.reserved), (1, 0));
    let again = Store::open(options(outside._dir.path())).unwrap();
    assert_eq!(read(&hit(&again, &adopted.digests.md5)), content);
}

#[tokio::test]
async fn a_file_that_others_can_reach_is_not_moved() {
    let content = bytes(1, 3 << 20);
    let outside = Outside::new(&content);
    let store = outside.store_beside();
    let other = outside.path.with_file_name("other");

    fs::hard_link(&outside.path, &other).unwrap();
    assert!(incoming_move(&store, &outside).await.unwrap().is_none(), "a second name");
    fs::remove_file(&other).unwrap();

    let writer = File::options().append(true).open(&outside.path).unwrap();
    assert!(matches!(incoming_move(&store, &outside).await, Err(AdoptError::IsWritten)));
    drop(writer);

    let (file, identity) = outside.open();
    let stale = Identity { modified: identity.modified - 1, ..identity };
    let moved = store.incoming_move(&file, &stale, &outside.old).await;
    assert!(matches!(moved, Err(AdoptError::Changed)), "not what it was");
    settled(&store).await;
    assert_eq!(fs::read(&outside.path).unwrap(), content);
}

#[tokio::test]
async fn what_happens_to_a_file_while_it_is_moved_is_noticed() {
    let content = bytes(1, 3 << 20);
    let outside = Outside::new(&content);
    let store = outside.store_beside();
    let other = outside.path.with_file_name("other");

    // Somebody wants to write in the middle.
    let mut incoming = incoming_move(&store, &outside).await.unwrap().unwrap();
    let path = outside.path.clone();
    let mut windows = 0;
    let moved = incoming.read(&mut |_| {
        windows += 1;
        if windows == 2 {
            let nonblocking = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::WRONLY;
            assert!(rustix::fs::open(&path, nonblocking, rustix::fs::Mode::empty()).is_err());
        }
        true
    });
    assert!(matches!(moved, Err(AdoptError::IsWritten)));
    drop(incoming);

    // It gets another name behind its hashing, and a new file gets its name.
    let mut incoming = incoming_move(&store, &outside).await.unwrap().unwrap();
    incoming.read(&mut all).unwrap();
    fs::hard_link(&outside.path, &other).unwrap();
    assert!(matches!(incoming.commit(|_| true, None).await, Err(AdoptError::HasOtherNames)));
    assert_eq!(fs::read(&outside.path).unwrap(), content);
    fs::remove_file(&outside.path).unwrap();
    fs::rename(&other, &outside.path).unwrap();
    let mut incoming = incoming_move(&store, &outside).await.unwrap().unwrap();
    incoming.read(&mut all).unwrap();
    fs::rename(&outside.path, &other).unwrap();
    fs::write(&outside.path, "another").unwrap();
    assert!(matches!(incoming.commit(|_| true, None).await, Err(AdoptError::Changed)));
    assert_eq!((fs::read(&outside.path).unwrap(), fs::read(&other).unwrap()), (b"another".to_vec(), content.to_vec()));
    settled(&store).await;
}

#[tokio::test]
async fn a_copy_of_a_file_that_changes_or_ends_early_is_none() {
    let outside = Outside::new(&bytes(1, 3 << 20));
    let store = outside.store_beside();
    let (file, identity) = outside.open();
    let mut incoming = store.incoming(identity.size + 1, Room::New).await.unwrap();
    assert!(matches!(incoming.copy(&file, &mut all), Err(AdoptError::Changed)), "shorter than it was");
    drop(incoming);
    let mut incoming = store.incoming(identity.size, Room::New).await.unwrap();
    assert!(matches!(incoming.push(&bytes(2, (3 << 20) + 1)), Err(AdoptError::Changed)), "longer than announced");
    drop(incoming);
    let mut incoming = store.incoming(10, Room::New).await.unwrap();
    incoming.push(&bytes(2, 9)).unwrap();
    assert!(matches!(incoming.commit(|_| true, None).await, Err(AdoptError::Changed)), "shorter than announced");
    // What changed behind the copy is not removed.
    let mut incoming = store.incoming(identity.size, Room::New).await.unwrap();
    incoming.copy(&file, &mut all).unwrap();
    File::options().append(true).open(&outside.path).unwrap().write_all(b"more").unwrap();
    let left = incoming.commit(|_| true, Some((outside.old.clone(), identity))).await;
    assert!(matches!(left, Err(AdoptError::Changed)) && outside.path.exists());
}

#[tokio::test]
async fn who_asks_meanwhile_gets_it_and_who_stops_leaves_nothing() {
    let content = bytes(1, 3 << 20);
    let outside = Outside::new(&content);
    let store = outside.store_beside();
    let (file, identity) = outside.open();
    let mut incoming = store.incoming(identity.size, Room::New).await.unwrap();
    let mut windows = 0;
    let stopped = incoming.copy(&file, &mut |_| {
        windows += 1;
        windows < 2
    });
    assert!(matches!(stopped, Err(AdoptError::Stopped)) && incoming.digests().is_none());
    drop(incoming);
    settled(&store).await;
    // A fill of the same content that is on does not stand in the way, and is answered.
    let vacancy = vacancy(&store, &digests(&content).md5);
    copy_in(&store, &outside, false).await.unwrap();
    drop(vacancy);
    assert_eq!(read(&hit(&store, &digests(&content).md5)), content);
}

#[tokio::test]
async fn nothing_is_evicted_for_what_comes_in() {
    let outside = Outside::new(&bytes(1, 3 << 20));
    let limited = Options { max_size: Limit::Bytes(6 << 20), ..options(outside._dir.path()) };
    let store = Store::open(limited).unwrap();
    let first = put(&store, &bytes(2, 3 << 20)).await;
    let Err(refused) = copy_in(&store, &outside, false).await else { panic!("there is no room") };
    assert!(refused.is_room(), "{refused}");
    let Err(refused) = move_in(&store, &outside).await else { panic!("there is no room") };
    assert!(refused.is_room() && outside.path.exists(), "{refused}");
    assert!(is_hit(&store, &first));
    assert_eq!(store.report().reserved, 0);
}

#[tokio::test]
async fn what_nobody_could_ask_for_stays_where_it_is() {
    let content = bytes(1, 1000);
    let outside = Outside::new(&content);
    let store = outside.store_beside();
    let mut incoming = incoming_move(&store, &outside).await.unwrap().unwrap();
    incoming.read(&mut all).unwrap();
    assert!(matches!(incoming.commit(|_| false, None).await, Err(AdoptError::NotNamed)));
    settled(&store).await;
    let (file, identity) = outside.open();
    let mut incoming = store.incoming(identity.size, Room::New).await.unwrap();
    incoming.copy(&file, &mut all).unwrap();
    let leaves = Some((outside.old.clone(), identity));
    assert!(matches!(incoming.commit(|_| false, leaves).await, Err(AdoptError::NotNamed)));
    assert_eq!(fs::read(&outside.path).unwrap(), content);
    assert!(is_hit(&store, &digests(&content).md5), "it is here, and there");
}

#[tokio::test]
async fn after_the_end_of_the_store_nothing_comes_in() {
    let outside = Outside::new(&bytes(1, 1000));
    let store = outside.store_beside();
    let (file, identity) = outside.open();
    let mut incoming = store.incoming(identity.size, Room::New).await.unwrap();
    incoming.copy(&file, &mut all).unwrap();
    store.close().await;
    assert!(incoming.commit(|_| true, None).await.is_err());
    assert!(store.incoming(1, Room::New).await.is_err() && move_in(&store, &outside).await.is_err());
    assert!(outside.path.exists());
}

/// The file is in one of the two places, whole.
fn check_kept(outside: &Outside, store: &Store, content: &[u8], what: &str) {
    let md5 = digests(content).md5;
    match fs::read(&outside.path) {
        Ok(found) => assert_eq!(found, content, "{what}"),
        Err(_) => {
            assert!(is_hit(store, &md5), "{what}: it is nowhere");
            assert_eq!(read(&hit(store, &md5)), content, "{what}");
            assert_eq!(name(store, b"name").map(|(md5, _)| md5), Some(md5), "{what}: nobody can ask for it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_file_is_lost_by_no_failing_operation_and_no_power_loss() {
    let content = bytes(1, 70_000);
    let (mut moved, mut kept) = (0, 0);
    for at in 0..40 {
        for fault in [Fault::Fail { at, number: EIO }, Fault::Cut { at }] {
            let (outside, what) = (Outside::new(&content), format!("{fault:?}"));
            let root = outside._dir.path().join("cache");
            let disk = SimDisk::new(&root, fault);
            let Ok(store) = Store::open_on(options(outside._dir.path()), disk.clone()) else { continue };
            match move_in(&store, &outside).await {
                Ok(_) => moved += 1,
                Err(_) => kept += 1,
            }
            if matches!(fault, Fault::Fail { .. }) {
                check_kept(&outside, &store, &content, &what);
                store.close().await;
                continue;
            }
            drop(store);
            let after = outside._dir.path().join("after");
            disk.after_power_loss(&after, at);
            let options = Options { dir: after.clone(), ..options(outside._dir.path()) };
            let store = Store::open_on(options, SimDisk::new(&after, Fault::None)).unwrap();
            until(&store, |report| report.loaded).await;
            check_kept(&outside, &store, &content, &what);
        }
    }
    assert!(moved > 10 && kept > 10, "{moved} were moved, {kept} were not");
}

#[tokio::test]
async fn a_file_that_was_being_moved_when_the_power_went_stays_where_it_was() {
    let content = bytes(1, 5000);
    let outside = Outside::new(&content);
    let root = outside._dir.path();
    outside.store_beside().close().await;
    // As a crash between two steps leaves it: at its digest, and under its old name.
    let Md5(md5) = digests(&content).md5;
    let leaf = root.join(format!("cache/objects/{:02x}/{:02x}", md5[0], md5[1]));
    fs::create_dir_all(&leaf).unwrap();
    fs::hard_link(&outside.path, leaf.join(Md5(md5).to_string())).unwrap();
    for journal in fs::read_dir(root.join("cache/index")).unwrap() {
        fs::remove_file(journal.unwrap().path()).unwrap();
    }
    let store = outside.store_beside();
    until_true(|| "our name of it goes".into(), || fs::metadata(&outside.path).unwrap().nlink() == 1).await;
    assert!(!is_hit(&store, &Md5(md5)) && fs::read(&outside.path).unwrap() == content);
    assert!(!move_in(&store, &outside).await.unwrap().was_here, "and now it can be moved");
    assert_eq!(read(&hit(&store, &Md5(md5))), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_a_file_stays_where_it_was_and_nothing_is_left_here() {
    let content = bytes(1, 3 << 20);
    let mut refused = 0;
    for at in 0..30 {
        let outside = Outside::new(&content);
        let root = outside._dir.path().join("cache");
        let disk = SimDisk::new(&root, Fault::Full { at, for_so_many: 3 });
        let Ok(store) = Store::open_on(options(outside._dir.path()), disk) else { continue };
        for leaves in [false, true] {
            match copy_in(&store, &outside, leaves).await {
                Ok(adopted) => assert_eq!(read(&hit(&store, &adopted.digests.md5)), content, "operation {at}"),
                Err(error) => {
                    refused += 1;
                    assert!(error.is_room() || matches!(error, AdoptError::Store(_)), "operation {at}: {error}");
                    assert_eq!(fs::read(&outside.path).unwrap(), content, "operation {at}");
                }
            }
        }
        // The disk is full for three operations, and each try that fails has met one of them: the first may have met none, and three after it each one.
        for _ in 0..3 {
            if outside.path.exists() && copy_in(&store, &outside, true).await.is_err() {
                refused += 1;
            }
        }
        assert!(!outside.path.exists() && is_hit(&store, &digests(&content).md5));
        let report = close(&store).await;
        assert_eq!((report.objects, report.reserved, report.parts), (1, 0, 0), "operation {at}");
    }
    assert!(refused > 5, "{refused} were refused");
}
