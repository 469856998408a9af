//! A store and a cache in a directory of their own, and works on them to their ends.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use cache::{
    Cache,
    options::{Location, Options, UpstreamOptions},
};
use intake::{
    job::{Job, State, Status},
    order::{Context, Order, Refused, Way},
};
use protocol::{digest::Md5, glob::Globs, target::Target};
use store::{Limit, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) runtime: Runtime,
}

impl Site {
    /// With an empty directory as the upstream at `/`. In memory, so that files can be moved between its directories.
    pub(crate) fn new() -> Self {
        Self::with_room(u64::MAX / 4)
    }

    pub(crate) fn with_room(bytes: u64) -> Self {
        Self::open(tempfile::tempdir_in("/dev/shm").unwrap(), bytes)
    }

    fn open(dir: TempDir, bytes: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (share, at) = (dir.path().join("share"), dir.path().join("from"));
        fs::create_dir_all(&share).unwrap();
        fs::create_dir_all(at).unwrap();
        let options = store::Options {
            max_size: Limit::Bytes(bytes),
            min_free: Limit::Bytes(0),
            ..store::Options::new(dir.path().join("cache"))
        };
        let store = Store::open(options).unwrap();
        let upstream = UpstreamOptions::new("share", "/", Location::Directory(share));
        let cache = Cache::new(Options::new(vec![upstream]), store.clone(), runtime.handle().clone()).unwrap();
        drop(_inside);
        Self { dir, store, cache, runtime }
    }

    /// The program ends in good order and starts again.
    pub(crate) fn restart(self) -> Self {
        let Self { dir, store, cache, runtime } = self;
        runtime.block_on(async {
            cache.close().await;
            store.close().await;
        });
        Self::open(dir, u64::MAX / 4)
    }

    pub(crate) fn context(&self) -> Context {
        Context { store: self.store.clone(), cache: self.cache.clone(), runtime: self.runtime.handle().clone() }
    }

    pub(crate) fn order(&self, source: &Path, way: Way) -> Order {
        Order {
            source: source.to_owned(),
            mount: Target::parse(b"/").unwrap(),
            way,
            cache_dir: self.dir.path().join("cache"),
            shares: vec![("share".into(), self.dir.path().join("share"))],
        }
    }

    pub(crate) fn from(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("from").join(name)
    }

    /// Writes a file that is to be imported.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let path = self.from(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn begin(&self, way: Way) -> Result<Arc<Job>, Refused> {
        intake::import(self.order(&self.dir.path().join("from"), way), self.context())
    }

    /// To its end.
    pub(crate) fn import(&self, way: Way) -> Status {
        self.end_of(&self.begin(way).unwrap())
    }

    pub(crate) fn end_of(&self, job: &Job) -> Status {
        self.runtime.block_on(job.ended());
        job.status()
    }

    pub(crate) fn unpack(&self, bundle: &Path) -> Status {
        self.end_of(&intake::import(self.order(bundle, Way::Best), self.context()).unwrap())
    }

    pub(crate) fn export(&self, to: &Path, wanted: &[&str]) -> Result<Status, Refused> {
        let wanted = Globs::parse(wanted).unwrap();
        let job = intake::export(to, wanted, &self.dir.path().join("cache"), self.context())?;
        Ok(self.end_of(&job))
    }

    /// Whether a path stands for this content, as it is here now.
    #[track_caller]
    pub(crate) fn expect(&self, path: &str, content: &[u8]) {
        use std::os::unix::fs::FileExt;
        let names = self.names();
        let md5 = Md5::of(content);
        assert!(names.iter().any(|(name, found)| name == path && *found == md5), "{path} is not in {names:?}");
        let reader = self.store.read_aside(&md5).expect("it is here");
        let mut found = vec![0; content.len()];
        reader.file().read_exact_at(&mut found, 0).unwrap();
        assert_eq!(found, content);
    }

    pub(crate) fn names(&self) -> Vec<(String, Md5)> {
        let all = (0..Cache::NAME_PARTS).flat_map(|part| self.cache.names(part));
        let mut names: Vec<_> = all.map(|(target, content)| (target.to_string(), content.md5)).collect();
        names.sort();
        names
    }
}

/// Bytes that differ for every seed.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = vec![0; len];
    for place in out.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        place.copy_from_slice(&state.to_le_bytes()[..place.len()]);
    }
    out
}

/// Done, with nothing wrong.
#[track_caller]
pub(crate) fn expect_done(status: &Status) {
    assert_eq!((&status.state, status.failed, status.no_room), (&State::Done, 0, 0), "{status:?}");
    assert_eq!((status.files_done, status.bytes_done), (status.files_total, status.bytes_total), "{status:?}");
}

pub(crate) fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}
