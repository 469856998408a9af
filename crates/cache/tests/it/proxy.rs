//! A whole proxy in this process: store, cache and listener.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{
    Cache,
    clock::Clock,
    options::{Location, Options, UpstreamOptions},
};
use serve::server::Server;
use store::{Limit, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::DEADLINE;

pub(crate) struct Proxy {
    pub(crate) cache: Cache,
    pub(crate) store: Store,
    server: Server,
    fetches: Runtime,
    dir: Option<TempDir>,
}

/// Options for tests: impatient, and what is asked is what a test has asked for.
pub(crate) fn upstream(mount: &str, location: &str) -> UpstreamOptions {
    let location: Location = location.parse().unwrap();
    UpstreamOptions {
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(5),
        retries_max: 3,
        retry_backoff: Duration::from_millis(5),
        retry_backoff_max: Duration::from_millis(20),
        recheck: Duration::ZERO,
        follow: false,
        ..UpstreamOptions::new(format!("at {mount}"), mount, location)
    }
}

impl Proxy {
    /// One upstream at `/`.
    pub(crate) fn of(location: &str) -> Self {
        Self::with(Options::new(vec![upstream("/", location)]))
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::start(options, tempfile::tempdir().unwrap(), u64::MAX / 4)
    }

    pub(crate) fn with_room(options: Options, bytes: u64) -> Self {
        Self::start(options, tempfile::tempdir().unwrap(), bytes)
    }

    /// By a clock that the test moves.
    pub(crate) fn by_clock(options: Options, clock: Clock) -> Self {
        Self::start_by(options, tempfile::tempdir().unwrap(), u64::MAX / 4, clock)
    }

    fn start(options: Options, dir: TempDir, bytes: u64) -> Self {
        Self::start_by(options, dir, bytes, Clock::System)
    }

    fn start_by(options: Options, dir: TempDir, bytes: u64, clock: Clock) -> Self {
        let fetches = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _inside = fetches.enter();
        let store = Store::open(store::Options {
            max_size: Limit::Bytes(bytes),
            min_free: Limit::Bytes(0),
            ..store::Options::new(dir.path().join("cache"))
        })
        .unwrap();
        let cache = Cache::with_clock(options, store.clone(), fetches.handle().clone(), clock).unwrap();
        let listen = serve::options::Options {
            listen: vec![([127, 0, 0, 1], 0).into()],
            workers: 2,
            ..serve::options::Options::default()
        };
        let server = Server::start(listen, Arc::new(cache.clone()), None).unwrap();
        drop(_inside);
        Self { cache, store, server, fetches, dir: Some(dir) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// Waits for something that the test lets happen.
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.fetches.block_on(async { tokio::time::timeout(DEADLINE, what).await.expect("in time") })
    }

    /// Stops in good order and starts again on the same cache directory.
    pub(crate) fn restart(mut self, options: Options) -> Self {
        let dir = self.dir.take().unwrap();
        self.server.stop();
        self.fetches.block_on(async {
            self.cache.close().await;
            self.store.close().await;
        });
        drop(self);
        Self::start(options, dir, u64::MAX / 4)
    }

    /// Waits until the store has so many objects: commits follow the last byte to the clients.
    #[track_caller]
    pub(crate) fn expect_objects(&self, count: u64) {
        let report = || self.store.report();
        eventually(&format!("{count} objects, not {:?}", report()), || report().objects == count);
    }

    /// Those who wait for an upstream's word.
    pub(crate) fn followers(&self) -> usize {
        self.cache.waiting()
    }

    #[track_caller]
    pub(crate) fn expect_no_fills(&self) {
        eventually("no fills", || self.cache.fills().is_empty());
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (number, place) in bytes.chunks_mut(8).enumerate() {
        let mixed = (number as u64 + 1 + seed * 0x1234_5677).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        place.copy_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes()[..place.len()]);
    }
    bytes
}

/// Polls a condition at the border of what the test can see.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Writes a file of a share.
pub(crate) fn put(share: &Path, name: &str, bytes: &[u8]) {
    let path = share.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
