//! A running origin: opens what it needs in order, starts its threads, and ends them in the opposite order.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use config::{origin::Settings as Options, value::show_duration};
use os::{
    engine::{Choice, Engine},
    share::Share as Directory,
};
use protocol::glob::GlobError;
use serve::{
    access_log::AccessLog,
    server::Server,
    tls::{Credentials, IdentityError},
};
use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    admin::Admin,
    admission::{Admission, Limits},
    catalogue::{Catalogue, CatalogueError, sqlite::SqliteCatalogue},
    control::{Control, Parts, announce},
    counters::Counters,
    feed::Feed,
    files::OpenFiles,
    handler::OriginHandler,
    hasher::Hasher,
    members::{self, DatabaseError as MembersDatabaseError, Members},
    orders::{LOOK_EVERY, Orders, Tell},
    publish::Publication,
    published::Published,
    queue::Queue,
    registry::{RegistryError, SqliteRegistry},
    scan::Scanner,
    shares::Share,
    site::{Site, SiteError},
    watch::{Changes, Watch},
};

/// How long threads may take to end. One that hangs on a mount that is gone is left behind.
const THREADS_END_MAX: Duration = Duration::from_secs(5);
/// How often files that were opened for requests are closed again.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// An order of which nothing is heard for so many times the expiry of a report has failed.
const SILENT_EXPIRIES: u32 = 3;

/// A running origin. Dropping it cuts what is being sent and waits for its threads.
pub struct Origin {
    server: Server,
    admin: Option<Server>,
    counters: Arc<Counters>,
    control: Control,
    catalogue: Arc<dyn Catalogue>,
    feed: Arc<Feed>,
    queue: Arc<Queue>,
    changes: Arc<Changes>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Nothing is sent: it is cut off when the last thread has ended.
    ended: Receiver<()>,
    tasks: Vec<AbortHandle>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not there, not a directory, no permission.
    #[error("cannot publish {0}: {1}; give a directory that this user may read with --share DIR")]
    Share(PathBuf, #[source] io::Error),
    /// Clients could fetch it, and every write to it would be announced as a change.
    #[error("the database {0} lies in the share, where clients could fetch it; give a file outside of it with {1}")]
    DatabaseInShare(PathBuf, &'static str),
    /// The database cannot be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The database of the registry cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The database of members cannot be used.
    #[error(transparent)]
    Members(#[from] MembersDatabaseError),
    /// A pattern of a share's packages is none.
    #[error(transparent)]
    Shares(#[from] GlobError),
    /// The configuration is no site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A certificate or a key cannot be used.
    #[error("{0}; {advice}", advice = .0.advice())]
    Tls(#[from] IdentityError),
    /// The file cannot be written.
    #[error("{0}; choose another file with --access-log PATH")]
    AccessLog(#[source] io::Error),
    /// An address is in use or not ours.
    #[error("{0} ({1})")]
    Listen(#[source] io::Error, &'static str),
    /// The system gives no more threads.
    #[error("cannot start threads: {0}; raise the limit of processes")]
    Threads(#[source] io::Error),
}

/// What a new configuration changes while the origin runs, read and found good.
pub(crate) struct Change {
    site: Site,
    credentials: Option<Credentials>,
    limits: Limits,
}

impl Change {
    /// Reads the files that the configuration names.
    pub(crate) fn prepare(options: &Options) -> Result<Self, StartError> {
        let tls = &options.serve.tls;
        let credentials = tls.is_on().then(|| tls.read()).transpose()?;
        Ok(Self { site: Site::of(options)?, credentials, limits: Limits::of(options.max_concurrent_info_requests) })
    }
}

impl Origin {
    /// Starts to serve, then to scan. `runtime` gives the threads that may block; it must outlive the origin.
    pub fn start(options: &Options, runtime: &Handle) -> Result<Self, StartError> {
        let (share, database) = places(options)?;
        let site = Arc::new(ArcSwap::from_pointee(Site::of(options)?));
        let feed = Arc::new(Feed::new(options.heartbeat));
        let catalogue: Arc<dyn Catalogue> = Arc::new(SqliteCatalogue::open(&database, share.path(), feed.clone())?);
        let registry = Arc::new(SqliteRegistry::open(&options.registry.database)?);
        let engine = Engine::start(Choice::Auto).map_err(StartError::Threads)?;
        let (queue, counters, files) = (Arc::new(Queue::new()), Arc::new(Counters::default()), Arc::default());

        let admission =
            Admission::new(Limits::of(options.max_concurrent_info_requests), RandomState::new().hash_one(()));
        let members_database = Arc::new(members::Database::open(&options.enrolment.database)?);
        let members = Arc::new(Members::open(&members_database)?);
        let tells = feed.clone();
        // Who does not listen is told when its stream begins.
        let tell: Tell = Box::new(move |node, change| _ = tells.tell(node, change));
        let salt = RandomState::new().hash_one(());
        let orders = Arc::new(Orders::open(&members_database, salt, tell, SystemTime::now())?);
        let publication = Publication { share: share.clone(), catalogue: catalogue.clone(), files: Arc::clone(&files) };
        let control = Control::new(Parts {
            runtime: runtime.clone(),
            admission: admission.clone(),
            registry: registry.clone(),
            site,
            catalogue: catalogue.clone(),
            feed: feed.clone(),
            queue: queue.clone(),
            shares: Share::all(&options.shares)?,
            members,
            orders,
        });
        let handler = OriginHandler {
            publication: Arc::new(publication),
            control: control.clone(),
            queue: queue.clone(),
            engine: engine.clone(),
            runtime: runtime.clone(),
        };
        let server = listen(options, handler)?;
        let admin =
            options.admin.map(|address| Admin::start(address, &counters, server.counters(), &registry, &control));
        let admin = admin.transpose().map_err(|error| StartError::Listen(error, "--admin"))?;

        let (changes, stop) = (Arc::new(Changes::new()), Arc::new(AtomicBool::new(false)));
        let (alive, ended) = mpsc::channel();
        // From here on everything that was started ends with `origin`, whatever fails.
        let mut origin = Self {
            server,
            admin,
            counters: counters.clone(),
            control: control.clone(),
            catalogue: catalogue.clone(),
            feed: feed.clone(),
            queue: queue.clone(),
            changes: changes.clone(),
            stop: stop.clone(),
            threads: Vec::new(),
            ended,
            tasks: vec![
                runtime.spawn(tidy(Arc::clone(&files))).abort_handle(),
                runtime.spawn(feed.clone().run()).abort_handle(),
                runtime.spawn(look_after_orders(control)).abort_handle(),
            ],
        };
        check_later(&origin.catalogue, runtime);
        let hasher = Hasher {
            share: share.clone(),
            catalogue: catalogue.clone(),
            feed: feed.clone(),
            queue: queue.clone(),
            counters: counters.clone(),
            engine,
            runtime: runtime.clone(),
            settle: options.settle,
        };
        origin.threads.extend(hasher.start(&alive).map_err(StartError::Threads)?);
        let scanner = Scanner { share, catalogue, feed, queue, counters, stop };
        let watch = Watch { scanner, changes, files, rescan: options.rescan, announced: options.watch };
        origin.threads.push(watch.start(alive).map_err(StartError::Threads)?);
        Ok(origin)
    }

    /// Where it serves files.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Where its admin listener is.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|admin| admin.addresses().first().copied())
    }

    /// What it has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many files are known with their digests.
    pub fn known(&self) -> u64 {
        self.catalogue.len()
    }

    /// Looks through the whole share now; ends when that is done. Dropping the future does not stop it.
    pub async fn rescan(&self) {
        let number = self.changes.rescan();
        // Fails only when there are no more scans, that is, never while this is borrowed.
        let _ = self.changes.scans().wait_for(|ended| *ended >= number).await;
    }

    /// Ends when the first scan is done.
    pub async fn first_scan(&self) {
        let _ = self.changes.scans().wait_for(|count| *count > 0).await;
    }

    /// Takes what a new configuration changes.
    pub(crate) fn take(&self, change: Change) -> Result<(), StartError> {
        if let Some(credentials) = change.credentials {
            self.server.replace_credentials(credentials).map_err(|error| StartError::Listen(error, "tls.listen"))?;
        }
        self.control.admission.set_limits(change.limits);
        let old = self.control.site.swap(Arc::new(change.site));
        let control = self.control.clone();
        // It looks at everybody who is known: nobody waits for it.
        self.control.runtime.spawn_blocking(move || announce(&control, &old));
        Ok(())
    }

    /// Lets what is being sent finish; answers how many transfers were cut.
    pub(crate) async fn drain(&self) -> usize {
        // Streams of changes have no end of their own.
        self.feed.close();
        self.server.drain().await
    }

    /// Cuts everything now.
    pub(crate) fn stop(&self) {
        self.server.stop();
    }

    /// What it does, in a few lines for a person.
    pub(crate) fn describe(&self, options: &Options) -> String {
        let known = self.known();
        let plain = self.server.addresses().iter().map(|address| format!("http://{address}/"));
        let secure = self.server.tls_addresses().iter().map(|address| format!("https://{address}/"));
        let addresses: Vec<_> = plain.chain(secure).collect();
        let announced = if options.watch { "as the kernel announces them, and " } else { "" };
        let mut lines = vec![
            format!("outpost-origin {}", env!("CARGO_PKG_VERSION")),
            format!("  serves    {}", addresses.join(" ")),
            format!("  share     {}", options.directory.display()),
            format!("  digests   {known} files known, in {}", options.database.display()),
            format!("  changes   {announced}every {}", show_duration(options.rescan)),
        ];
        let (members, tokens) = (self.control.members.len(), self.control.site.load().tokens.len());
        if members + tokens > 0 {
            lines.push(format!("  members   {members} enrolled, {tokens} tokens to enrol with"));
        }
        lines.extend(self.admin_address().map(|address| format!("  admin     http://{address}/")));
        lines.join("\n")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.stop();
        self.stop.store(true, Ordering::Relaxed);
        self.feed.close();
        self.tasks.iter().for_each(AbortHandle::abort);
        self.changes.close();
        self.queue.close();
        if matches!(self.ended.recv_timeout(THREADS_END_MAX), Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("the share does not answer; the program ends without waiting for it");
            return;
        }
        for thread in self.threads.drain(..) {
            // A panic has been reported by its thread.
            let _ = thread.join();
        }
    }
}

/// The share, and where its database is.
fn places(options: &Options) -> Result<(Arc<dyn Published>, PathBuf), StartError> {
    let refuse = |error| StartError::Share(options.directory.clone(), error);
    let top = options.directory.canonicalize().map_err(refuse)?;
    let share = Directory::open(&top).map_err(refuse)?;
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    for (file, option) in [
        (&options.database, "--database FILE"),
        (&options.registry.database, "registry.database"),
        (&options.enrolment.database, "enrolment.database"),
    ] {
        let database = absolute(file);
        let directory = database.parent().unwrap_or(Path::new("/"));
        // A directory that is not there is told by the database, with the path.
        if directory.canonicalize().is_ok_and(|directory| directory.starts_with(&top)) {
            return Err(StartError::DatabaseInShare(file.clone(), option));
        }
    }
    Ok((Arc::new(share), absolute(&options.database)))
}

fn listen(options: &Options, handler: OriginHandler) -> Result<Server, StartError> {
    let format = options.access_log_format;
    let open = |path: &PathBuf| AccessLog::open(path, format).map_err(StartError::AccessLog);
    let log = options.access_log.as_ref().map(open).transpose()?;
    if options.serve.tls.is_on() {
        options.serve.tls.read()?;
    }
    let options = serve::options::Options {
        server_name: format!("outpost-origin/{}", env!("CARGO_PKG_VERSION")),
        ..options.serve.clone()
    };
    Server::start(options, Arc::new(handler), log).map_err(|error| StartError::Listen(error, "--listen"))
}

/// Reads all of the database beside what else goes on. What is damaged is told; what can still be read of it is used meanwhile.
fn check_later(catalogue: &Arc<dyn Catalogue>, runtime: &Handle) {
    let catalogue = catalogue.clone();
    runtime.spawn_blocking(move || {
        if let Err(error) = catalogue.check() {
            tracing::error!(%error, "the database cannot be read to its end; stop this server before you remove it");
        }
    });
}

/// Ends orders of which nothing is heard for as long as three nodes would be away. Never ends.
async fn look_after_orders(control: Control) {
    let mut interval = tokio::time::interval(LOOK_EVERY);
    loop {
        interval.tick().await;
        let (orders, silence) = (control.orders.clone(), control.site.load().intervals.expires_in * SILENT_EXPIRIES);
        // Fails only when the program ends, or by a panic, which has been reported.
        let _ = control.runtime.spawn_blocking(move || orders.tick(silence, SystemTime::now())).await;
    }
}

/// Files must not be held open for long after their last request: one that is deleted would keep its room on the disk.
async fn tidy(files: Arc<OpenFiles>) {
    let mut interval = tokio::time::interval(TIDY_EVERY);
    loop {
        interval.tick().await;
        files.tidy(Instant::now());
    }
}
