//! The handler of the proxy: the cache as its program sees it.

use std::{io, sync::Arc, time::Duration};

use protocol::{enrolment::Update, target::Target};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    tls::IdentityError,
};
use store::Store;
use tokio::runtime::Handle;

use crate::{
    clock::Clock,
    fetch::flights::Flight,
    link::{OriginLink, desk::Heard, follower},
    options::{Options, UpstreamOptions},
    preload::{self, Demand, DemandError, Errand, Preloaded, Preloader},
    resolve,
    settings::Settings,
    shared::Shared,
    status::{Counters, FillStatus, PreloadStatus, StreamStatus, UpstreamStatus},
    upstream::{Upstream, trust::Trust},
    why::{self, Subject, Why},
};

/// What is committing when the program stops gets so long.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The read-through cache; clones share it.
#[derive(Clone)]
pub struct Cache {
    pub(crate) shared: Arc<Shared>,
    preloader: Arc<Preloader>,
}

impl Cache {
    /// Over a store, with fill tasks on `fetches` (a multi-thread runtime that serves no clients). Opens directories; an http upstream that cannot
    /// be reached is no error here.
    pub fn new(options: Options, store: Store, fetches: Handle) -> io::Result<Self> {
        Self::with_clock(options, store, fetches, Clock::System)
    }

    /// The same by another clock.
    pub fn with_clock(options: Options, store: Store, fetches: Handle, clock: Clock) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let settings = Settings::new(options, None, &counters)?;
        let shared = Arc::new(Shared::new(settings, counters, store, fetches, clock));
        let preloader = Arc::new(Preloader::start(&shared));
        follower::follow_all(&shared, &preloader);
        Ok(Self { shared, preloader })
    }

    /// Whether the files that an upstream's options name for TLS can be used. Nobody is connected to.
    pub fn check_files(upstream: &UpstreamOptions) -> Result<(), IdentityError> {
        Trust::read(upstream).map(drop)
    }

    /// Takes new options (after SIGHUP): limits at once, upstreams by name. What is running goes on. Blocks for a look at every
    /// name if others are to be pinned.
    pub fn reconfigure(&self, options: Options) -> io::Result<()> {
        let old = self.shared.settings();
        let settings = Settings::new(options, Some(&old), &self.shared.counters)?;
        let pinning = (!settings.options.pins_like(&old.options)).then(|| settings.options.pinning());
        self.shared.replace_settings(settings);
        if let Some(pinning) = pinning {
            self.shared.store.set_pinning(pinning);
        }
        self.preloader.reconfigured(&self.shared);
        follower::follow_all(&self.shared, &self.preloader);
        Ok(())
    }

    /// Brings one file here before anybody asks for it, whatever the clock says, and tells what became of it. Counts as no client. Dropping the
    /// future leaves what has begun as it is.
    pub async fn preload(&self, path: &str) -> Result<Preloaded, DemandError> {
        preload::one_file(&self.shared, path).await
    }

    /// Preloads what somebody asks for, as soon as may be, and waits for nothing. Answers the names of the upstreams that it is of.
    pub fn preload_on_demand(&self, demand: &Demand) -> Result<Vec<String>, DemandError> {
        self.preloader.ask_for(&self.shared, demand)
    }

    /// Brings here what the origin of an upstream orders, and tells how far that is. Paths are as that origin has them.
    pub fn errand(&self, upstream: &str, update: &Update) -> Result<Errand, DemandError> {
        Errand::begin(&self.shared, upstream, update)
    }

    /// How preloading stands, for each upstream.
    pub fn preloads(&self) -> Vec<PreloadStatus> {
        self.preloader.status(&self.shared)
    }

    /// Live counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Fills in progress.
    pub fn fills(&self) -> Vec<FillStatus> {
        let status = |flight: Arc<Flight>| {
            let reader = flight.reader.get()?;
            Some(FillStatus {
                upstream: flight.upstream.to_string(),
                path: flight.path.to_string(),
                md5: flight.md5.get().copied(),
                fetched: reader.fetched(),
                total: reader.len(),
                seconds: flight.began.elapsed().as_secs_f64(),
                followers: flight.followers(),
            })
        };
        self.shared.flights.all().into_iter().filter_map(status).collect()
    }

    /// Requests that wait for what an upstream says.
    pub fn waiting(&self) -> usize {
        self.shared.flights.all().iter().map(|flight| flight.waiting()).sum()
    }

    /// The upstreams.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let settings = self.shared.settings();
        let stream = |upstream: &Upstream| {
            let desk = self.shared.desks.of(&upstream.options.name);
            let Heard { generation, trouble } = desk.heard();
            StreamStatus { is_live: desk.is_live(), generation, trouble }
        };
        let status = |upstream: &Arc<Upstream>| UpstreamStatus {
            stream: upstream.is_to_be_followed().then(|| stream(upstream)),
            ..upstream.status()
        };
        settings.upstreams.iter().map(status).collect()
    }

    /// The conversations with the origins of those upstreams that are Outposts.
    pub fn origin_links(&self) -> Vec<OriginLink> {
        let settings = self.shared.settings();
        let outposts = settings.upstreams.iter().filter(|upstream| upstream.knows_digests());
        outposts.map(|upstream| OriginLink::new(&self.shared, &upstream.options.name)).collect()
    }

    /// Transfers that hold a requester place now.
    pub fn requesters(&self) -> usize {
        self.shared.requesters.held()
    }

    /// Machines that asked lately what is here in pieces, of all contents.
    pub fn askers(&self) -> usize {
        self.shared.swarm.askers()
    }

    /// Why something is here, or is not. Looks at all that is known of all names, beside the requests.
    pub async fn why(&self, subject: Subject) -> Why {
        why::why(&self.shared, subject).await
    }

    /// Forgets a path with all its variants and removes their objects; `false` if nothing was known of it.
    pub fn purge_path(&self, path: &str) -> bool {
        let settings = self.shared.settings();
        let Ok(target) = Target::parse(path.as_bytes()) else { return false };
        let Some(key) = settings.key_of(&target) else { return false };
        let forgotten = self.shared.forget_name(&key);
        for md5 in &forgotten {
            self.shared.store.remove_by(md5, &format!("a purge of {}", target.path()));
        }
        !forgotten.is_empty()
    }

    /// Stops fills in progress at their byte, so that the next start continues them.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.flying.close();
        if tokio::time::timeout(CLOSE_WAIT_MAX, self.shared.flying.wait()).await.is_err() {
            let fetches = self.shared.flying.len();
            tracing::warn!(
                fetches,
                "some fetches did not stop within {} s; the end does not wait for them",
                CLOSE_WAIT_MAX.as_secs()
            );
        }
    }
}

impl Handler for Cache {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        resolve::answer(&self.shared, request, client)
    }
}
