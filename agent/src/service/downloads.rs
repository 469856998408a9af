//! What is being brought to the service's cache: each content once, whoever asks for it, and whether or not they wait for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::digest::{Digests, Md5};
use store::Store;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
};

use super::{names, ways::Ways};
use crate::{
    bring::{
        finder::Finder,
        object::ObjectPart,
        sink::Sink,
        swarm::arrivals::Arrivals,
        task::{Brought, Task},
        told::Told,
        wanted::Wanted,
    },
    decide::{
        chain::Chain,
        source::{Rank, Source},
    },
    seed, short,
};

/// Contents on their way, those included that wait for somebody to ask; one more is refused.
const DOWNLOADS_MAX: usize = 1_024;
/// Contents that got a name since it was last asked which; those that are more are told with the next full report only.
pub(crate) const NAMED_MAX: usize = 1_024;
/// What has not come by then is given up.
const DOWNLOAD_AGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// All that are being brought.
pub(crate) struct Downloads {
    store: Store,
    ways: Mutex<Ways>,
    running: Mutex<BTreeMap<String, Arc<Download>>>,
    named: Mutex<BTreeSet<Md5>>,
    slots: Arc<Semaphore>,
    retry_now: Arc<Notify>,
    arrivals: Arc<Arrivals>,
    handle: Handle,
}

/// One that is being brought.
pub(crate) struct Download {
    pub(crate) what: String,
    pub(crate) told: Told,
    pub(crate) since: Instant,
    ended: watch::Sender<Option<Ended>>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// It is here.
    Here { digests: Digests, size: u64, verified: bool, sources: Vec<Brought> },
    /// It is not, with the exit code that says why.
    Not(u8, String),
}

/// There are too many.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Download {
    /// Programs and jobs that wait for its end now.
    pub(crate) fn followers(&self) -> usize {
        self.ended.receiver_count()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let found = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        found.unwrap_or_else(|| Ended::Not(1, "the service is stopping".into()))
    }
}

impl Downloads {
    pub(crate) fn new(store: Store, ways: Ways, at_once: usize, arrivals: Arc<Arrivals>, handle: Handle) -> Arc<Self> {
        Arc::new(Self {
            store,
            ways: Mutex::new(ways),
            running: Mutex::default(),
            named: Mutex::default(),
            slots: Arc::new(Semaphore::new(at_once)),
            retry_now: Arc::default(),
            arrivals,
            handle,
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What is on its way, as neighbours may have it.
    pub(crate) fn arrivals(&self) -> &Arc<Arrivals> {
        &self.arrivals
    }

    pub(crate) fn ways(&self) -> Ways {
        self.ways.lock().clone()
    }

    /// From now on others are asked.
    pub(crate) fn change_ways(&self, change: impl FnOnce(&mut Finder)) {
        self.ways.lock().change(change);
    }

    /// Begins to bring something, or joins what is on.
    pub(crate) fn fetch(self: &Arc<Self>, wanted: Wanted) -> Result<Arc<Download>, TooMany> {
        let mut running = self.running.lock();
        if let Some(download) = running.get(&wanted.text) {
            return Ok(download.clone());
        }
        if running.len() >= DOWNLOADS_MAX {
            return Err(TooMany);
        }
        let download = Arc::new(Download {
            what: wanted.text.clone(),
            told: Told::default(),
            since: Instant::now(),
            ended: watch::Sender::default(),
        });
        running.insert(wanted.text.clone(), download.clone());
        let (this, of_task) = (self.clone(), download.clone());
        self.handle.spawn(async move {
            let ended = this.bring(wanted, &of_task).await;
            // First out of the table: who hears of the end and asks again begins anew.
            this.running.lock().remove(&of_task.what);
            of_task.ended.send_replace(Some(ended));
        });
        Ok(download)
    }

    async fn bring(&self, wanted: Wanted, download: &Download) -> Ended {
        let near = self.near(&wanted).await;
        let mut task = self.task(wanted, download.told.clone(), near);
        match task.bring().await {
            Ok(digests) => {
                let identity = task.sink.identity();
                let verified = identity.md5.is_some() || identity.sha256.is_some();
                // What was asked for by a digest may have learned its path on the way; a digest is no name.
                if let Some(name) = task.wanted.path() {
                    names::remember(&self.store, name, &digests.md5);
                    self.was_named([digests.md5]);
                }
                let sources = std::mem::take(&mut task.sources);
                Ended::Here { digests, size: task.sink.position(), verified, sources }
            }
            Err(error) => {
                tracing::info!(what = download.what, %error, "a file did not come");
                Ended::Not(error.code(), error.to_string())
            }
        }
    }

    /// Neighbours that have it, where nobody else will be asked who has.
    async fn near(&self, wanted: &Wanted) -> Vec<Source> {
        let finder = self.ways().finder;
        match &wanted.identity.md5 {
            Some(md5) if finder.origins.is_empty() => finder.near(md5).await,
            _ => Vec::new(),
        }
    }

    fn task(&self, wanted: Wanted, told: Told, near: Vec<Source>) -> Task {
        let Ways { finder, backoff } = self.ways();
        let given = near.into_iter().chain(given(&finder.fallback, &wanted)).collect::<Vec<_>>();
        // Where there is nobody to ask, a neighbour may come that has it.
        let waits = wanted.identity.md5.is_some() && given.is_empty() && finder.may_have_neighbours();
        let (by_digest, chain) = if finder.origins.is_empty() && !waits {
            (false, Chain::given(given, backoff, seed()))
        } else {
            (true, Chain::new(backoff, seed()))
        };
        let sink = Sink::from(ObjectPart::new(self.store.clone(), &wanted.text));
        Task {
            health: finder.health.clone(),
            finder,
            chain,
            by_digest,
            wanted,
            sink,
            told,
            deadline: Some(Instant::now() + DOWNLOAD_AGE_MAX),
            retry_now: self.retry_now.clone(),
            slots: Some(self.slots.clone()),
            sources: Vec::new(),
            arrivals: Some(self.arrivals.clone()),
            party: None,
            knows_proxies_word: false,
        }
    }

    /// By its name it may be one that neighbours may have.
    pub(crate) fn was_named(&self, contents: impl IntoIterator<Item = Md5>) {
        let mut named = self.named.lock();
        let room = NAMED_MAX.saturating_sub(named.len());
        named.extend(contents.into_iter().take(room));
    }

    /// Contents that got a name since this was asked last.
    pub(crate) fn take_named(&self) -> BTreeSet<Md5> {
        std::mem::take(&mut *self.named.lock())
    }

    /// What is being brought now, in the order of its names.
    pub(crate) fn running(&self) -> Vec<Arc<Download>> {
        self.running.lock().values().cloned().collect()
    }

    /// Whoever waits for something else than a content hears here that all waits are over.
    pub(crate) fn retried(&self) -> Arc<Notify> {
        self.retry_now.clone()
    }

    /// All waits are over; answers how many waited.
    pub(crate) fn retry_now(&self) -> usize {
        self.ways.lock().finder.health.lock().forgive();
        self.retry_now.notify_waiters();
        self.running.lock().len()
    }
}

/// Sources that are given, where no origin tells others: the servers, then that of the URL.
pub(crate) fn given(servers: &[Source], wanted: &Wanted) -> Vec<Source> {
    let url = wanted.server.iter().map(|url| Source {
        rank: Rank::Origin,
        name: short(url),
        url: url.clone(),
        partial: false,
    });
    servers.iter().cloned().chain(url).collect()
}
