//! The handler of the proxy, and what its parts share.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use protocol::{cache_status::CacheStatus, digest::Md5, target::Target};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    source::{SharedFile, Source},
};
use store::{Reader, Store};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    book::{self, Book},
    bounded::Bounded,
    flights::Flights,
    health::probe_wait,
    index::Pages,
    landing::{Content, Failure, Landing},
    options::Options,
    representation::{Proof, Representation},
    requesters::Requesters,
    resolve,
    settings::Settings,
    status::{Counters, FillStatus, UpstreamStatus, add},
    upstream::{AskError, Grip, Head, Question, Upstream, variant},
};

/// Names that are remembered as passing, or as having sent wrong bytes.
const REMEMBERED_MAX: usize = 4096;
/// Directory pages in memory.
const PAGES_MAX: usize = 16;
/// What is committing when the program stops gets so long.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The read-through cache; clones share it.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

/// What the parts of a cache share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) book: Book,
    pub(crate) flights: Arc<Flights>,
    pub(crate) requesters: Requesters,
    pub(crate) counters: Arc<Counters>,
    pub(crate) closing: CancellationToken,
    settings: RwLock<Arc<Settings>>,
    remembered: Bounded<(Remembered, Instant)>,
    pages: Bounded<(Arc<Pages>, Instant)>,
    fetches: Handle,
    flying: TaskTracker,
    fills: AtomicUsize,
}

/// What is remembered of a name for a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// It is not for the cache: nobody waits to find that out again.
    Passes,
    /// It sent wrong bytes so many times in a row.
    Wrong(u32),
}

/// One of the fills that may go on at once.
pub(crate) struct Slot(Arc<Shared>);

impl Cache {
    /// Over a store, with fill tasks on `fetches` (a multi-thread runtime that serves no clients). Opens directories; an http upstream that cannot
    /// be reached is no error here.
    pub fn new(options: Options, store: Store, fetches: Handle) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let settings = Settings::new(options, None, &counters)?;
        let shared = Shared {
            book: Book::new(store.names().clone()),
            store,
            flights: Arc::default(),
            requesters: Requesters::default(),
            counters,
            closing: CancellationToken::new(),
            settings: RwLock::new(Arc::new(settings)),
            remembered: Bounded::new(REMEMBERED_MAX),
            pages: Bounded::new(PAGES_MAX),
            fetches,
            flying: TaskTracker::new(),
            fills: AtomicUsize::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes new options (after SIGHUP): limits at once, upstreams by name. What is running goes on.
    pub fn reconfigure(&self, options: Options) -> io::Result<()> {
        let old = self.shared.settings();
        let settings = Settings::new(options, Some(&old), &self.shared.counters)?;
        *self.shared.settings.write() = Arc::new(settings);
        self.shared.book.cool();
        self.shared.pages.clear();
        Ok(())
    }

    /// Live counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Fills in progress.
    pub fn fills(&self) -> Vec<FillStatus> {
        let status = |flight: Arc<crate::flights::Flight>| {
            let reader = flight.reader.get()?;
            Some(FillStatus {
                upstream: flight.upstream.to_string(),
                path: flight.path.to_string(),
                md5: flight.md5.get().copied(),
                fetched: reader.watermark(),
                total: reader.len(),
                seconds: flight.began.elapsed().as_secs_f64(),
                followers: flight.followers(),
            })
        };
        self.shared.flights.all().into_iter().filter_map(status).collect()
    }

    /// The upstreams.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let settings = self.shared.settings();
        settings.upstreams.iter().map(|upstream| upstream.status()).collect()
    }

    /// Transfers that hold a requester place now.
    pub fn requesters(&self) -> usize {
        self.shared.requesters.held()
    }

    /// Forgets a path and removes its object; `false` if nothing was known of it.
    pub fn purge_path(&self, path: &str) -> bool {
        let settings = self.shared.settings();
        let Ok(target) = Target::parse(path.as_bytes()) else { return false };
        let Some((upstream, below)) = settings.upstream_of(&target) else { return false };
        let key = upstream.key(&below);
        self.shared.remembered.remove(&key);
        match self.shared.book.forget(&key) {
            Some(md5) => {
                self.shared.store.remove(&md5);
                true
            }
            None => false,
        }
    }

    /// Stops fills in progress at their byte, so that the next start continues them.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.flying.close();
        if tokio::time::timeout(CLOSE_WAIT_MAX, self.shared.flying.wait()).await.is_err() {
            tracing::warn!(flights = self.shared.flying.len(), "some fetches did not stop in time");
        }
    }
}

impl Handler for Cache {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        resolve::answer(&self.shared, request, client)
    }
}

impl Shared {
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// Runs something on the runtime of the fetches for as long as somebody takes from it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.fetches.spawn(task);
    }

    /// Runs a flight, which [`Cache::close`] waits for.
    pub(crate) fn spawn_flight(&self, flight: impl Future<Output = ()> + Send + 'static) {
        self.flying.spawn_on(flight, &self.fetches);
    }

    /// Runs something on the runtime of the fetches and waits for it; an early end of the program is a failure.
    pub(crate) async fn on_fetches<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (send, receive) = oneshot::channel();
        self.spawn(async move {
            // Who waited may have left.
            let _ = send.send(task.await);
        });
        receive.await.map_err(|_| Failure::interrupted())
    }

    /// The object if it is here, whole. Counts as a use.
    pub(crate) fn sealed(&self, md5: &Md5) -> Option<Reader> {
        self.store.hit(md5)
    }

    /// Takes an outcome to the upstream's breaker; begins to probe when it opens.
    pub(crate) fn report<T>(self: &Arc<Self>, upstream: &Arc<Upstream>, outcome: &Result<T, AskError>) {
        if outcome.is_err() {
            add(&self.counters.upstream_errors, 1);
        }
        if !upstream.report(outcome) {
            return;
        }
        let (shared, upstream) = (self.clone(), Arc::downgrade(upstream));
        self.spawn(async move {
            for number in 0.. {
                tokio::select! {
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(probe_wait(number)) => {}
                }
                let Some(upstream) = upstream.upgrade().filter(|upstream| upstream.health.is_open()) else { return };
                let outcome = upstream.probe().await;
                upstream.report(&outcome);
            }
        });
    }

    /// One more fill, unless there are as many as may be.
    pub(crate) fn fill_slot(self: &Arc<Self>) -> Option<Slot> {
        let fills_max = self.settings().options.fills_max;
        let take = |fills: usize| (fills < fills_max).then_some(fills + 1);
        self.fills.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Slot(self.clone()))
    }

    pub(crate) fn remember(&self, key: &[u8], what: Remembered, time: Duration) {
        self.remembered.put(key, (what, Instant::now() + time));
    }

    pub(crate) fn recall(&self, key: &[u8]) -> Option<Remembered> {
        let (what, until) = self.remembered.find(key)?;
        (until > Instant::now()).then_some(what)
    }

    pub(crate) fn unremember(&self, key: &[u8]) {
        self.remembered.remove(key);
    }

    pub(crate) fn keep_pages(&self, key: &[u8], pages: &Arc<Pages>, time: Duration) {
        if pages.len() <= crate::index::KEPT_BYTES_MAX {
            self.pages.put(key, (pages.clone(), Instant::now() + time));
        }
    }

    pub(crate) fn kept_pages(&self, key: &[u8]) -> Option<Arc<Pages>> {
        let (pages, until) = self.pages.find(key)?;
        (until > Instant::now()).then_some(pages)
    }

    /// A sealed content under its name.
    pub(crate) fn land_sealed(&self, known: &book::Known, reader: Reader, path: &str, status: CacheStatus) -> Landing {
        Landing::Content(Arc::new(Content {
            representation: resolve::described(known, &reader, path, &self.settings().options.via).clone(),
            source: Source::Object(reader),
            record: known.record.clone(),
            places: self.requesters.of(&known.md5),
            leader_status: status,
            follower_status: status,
            variant: variant(&known.record),
        }))
    }

    /// A file of a directory as a content that goes through uncached.
    pub(crate) fn land_shared_file(&self, question: &Question, head: &Head) -> Landing {
        let Grip::File { file, identity, .. } = &head.grip else { return Landing::pass(None) };
        let via = &self.settings().options.via;
        let representation = Representation::of_name(&head.record, Proof::Nothing, question.full.path(), via);
        let engine = self.store.engine().clone();
        Landing::Content(Arc::new(Content {
            representation: Arc::new(representation),
            source: Source::Shared(SharedFile { file: file.clone(), identity: *identity, engine }),
            record: head.record.clone(),
            places: self.requesters.unnamed(),
            leader_status: CacheStatus::Passed,
            follower_status: CacheStatus::Passed,
            variant: None,
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fills.fetch_sub(1, Ordering::AcqRel);
    }
}
