//! Starts the service, and ends it in good order.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use config::{Refused, Sources, agent::Settings};
use serve::{
    clients::access::{Access, Rules},
    options::{Clients, Options},
    server::Server,
};
use store::Store;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use super::{
    begin::Begun,
    cards,
    downloads::Downloads,
    local::Local,
    member::Member,
    membership::Membership,
    multicast::Multicast,
    neighbours::Neighbours,
    peers::Peers,
    renewal::{Renewal, shares},
    settled::Settled,
    sharing::Sharing,
    subnets,
    ways::{self, Ways},
};
use crate::{bring::swarm::arrivals::Arrivals, jobs::keeper::Jobs, seed};

/// Programs of this machine that ask at once, and neighbours.
const LOCAL_CONNECTIONS_MAX: usize = 256;
const PEER_CONNECTIONS_MAX: usize = 128;
/// How long transfers may go on after the service was told to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A laptop comes to other networks: how often it is looked which they are.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A service that runs.
pub(crate) struct Service {
    store: Store,
    local: Option<Server>,
    peers: Option<Arc<Server>>,
    renewal: Arc<Renewal>,
    /// Ends soon after `ending` says so.
    multicast: Option<JoinHandle<()>>,
    ending: watch::Sender<bool>,
    jobs: Arc<Jobs>,
}

impl Service {
    /// Starts it. `handle` is where downloads run.
    pub(crate) fn start(begun: Begun, handle: &Handle) -> Result<Self, String> {
        let (settings, name) = (begun.loaded.settings.clone(), begun.name.clone());
        let settled = Arc::new(Settled::new(settings.clone()));
        let settings = &settings;
        let store = Store::open(settings.store.clone()).map_err(|error| format!("{error} with --cache-dir DIR"))?;
        let machines = cards::own();
        let mut ways = Ways::of(settings, &name, machines.clone());
        let (origins, servers) = (&settings.origins.urls, &settings.servers.urls);
        let neighbours = Arc::new(Neighbours::new(settled.clone(), seed()));
        ways.change(|finder| {
            ways::renew(finder, origins, servers, begun.configuration.as_ref());
            finder.neighbours = Some(neighbours.clone());
        });
        let (client, health) = (ways.finder.client.clone(), ways.finder.health.clone());
        let sharing = Arc::new(Sharing::new(settings));
        let arrivals = arrivals(&sharing);
        let downloads = Downloads::new(store.clone(), ways, settings.downloads_max, arrivals.clone(), handle.clone());
        let peers =
            settings.peers.listen.map(|address| peer_server(settings, address, &downloads, &sharing)).transpose();
        let peers = peers.map_err(|error| format!("{error} (--peer-listen)"))?.map(Arc::new);
        if let Some(listens) = peers.as_deref().and_then(|server| server.addresses().first()) {
            arrivals.share_at(listens.port());
        }
        let jobs = Jobs::new(&settings.jobs, downloads.clone(), handle.clone());
        if let Some(configuration) = &begun.configuration {
            jobs.assign(&configuration.jobs);
        }
        if let Some(complaint) = &begun.complaint {
            tracing::warn!("the options that the origin delivered last are not used: {complaint}");
        }
        let renewal = Renewal::new(begun, settled.clone(), downloads.clone(), sharing.clone(), peers.clone());
        let (renewal, membership) = (Arc::new(renewal), Arc::new(Membership::default()));
        if !settings.origins.urls.is_empty() {
            let listens = peers.as_deref().and_then(|server| server.addresses().first().copied());
            let member = Member {
                origins: settings.origins.clone(),
                name: name.clone(),
                client,
                health,
                downloads: downloads.clone(),
                shares: listens.map(|listens| (sharing.clone(), listens)),
                machines,
                local_address: settings.servers.local_address,
                backoff: settings.servers.backoff,
                renewal: renewal.clone(),
                membership: membership.clone(),
                jobs: jobs.clone(),
                interest: watch::Sender::new(None),
            };
            handle.spawn(member.belong());
        }
        let ending = watch::Sender::new(false);
        let multicast =
            peers.as_deref().and_then(|server| server.addresses().first()).filter(|at| !at.ip().is_loopback());
        let multicast = multicast.map(|listens| {
            let (neighbours, sharing, settled) = (neighbours.clone(), sharing.clone(), settled.clone());
            let multicast =
                Multicast { neighbours, sharing, settled, name: name.clone(), listens: *listens, id: seed() };
            handle.spawn(multicast.keep(ending.subscribe()))
        });
        if let Some(peers) = &peers {
            handle.spawn(keep_to_own_networks(peers.clone(), settled.clone()));
            handle.spawn(sharing.clone().keep_watch(settled));
        }
        let at = |server: &Server| server.addresses().first().map(|address| format!("http://{address}/"));
        let answers = Local {
            downloads,
            began: Instant::now(),
            handle: handle.clone(),
            peers: peers.as_deref().and_then(at),
            name,
            sharing,
            renewal: renewal.clone(),
            membership,
            neighbours,
            jobs: jobs.clone(),
        };
        let local = settings.local.map(|address| local_server(address, answers)).transpose();
        let local = local.map_err(|error| format!("{error} (--local)"))?;
        Ok(Self { store, local, peers, renewal, multicast, ending, jobs })
    }

    /// What it does, in a few lines for a person.
    pub(crate) fn describe(&self) -> String {
        let settings = self.renewal.settled.now();
        let at = |server: Option<&Server>| {
            server
                .and_then(|server| server.addresses().first())
                .map_or("nobody".into(), |address| format!("http://{address}/"))
        };
        let list = |urls: &[String]| if urls.is_empty() { "none".into() } else { urls.join(" ") };
        [
            format!("outpost-agent {}", env!("CARGO_PKG_VERSION")),
            format!("  local     {}", at(self.local.as_ref())),
            format!("  peers     {}", at(self.peers.as_deref())),
            format!("  origins   {}", list(&settings.origins.urls)),
            format!("  servers   {}", list(&settings.servers.urls)),
            format!("  cache     {}", settings.store.dir.display()),
        ]
        .join("\n")
    }

    /// Waits for a signal, lets what is being sent finish, and closes the store. A second signal cuts. SIGHUP reads file and environment again.
    pub(crate) async fn until_ended(self, read: impl Fn() -> Result<Sources, Refused>) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => self.reload(read()).await,
            }
        }
        tracing::info!("told to end: what is being sent may go on for a moment; a second signal ends at once");
        self.ending.send_replace(true);
        let drained = async {
            self.jobs.end().await;
            for server in self.local.iter().chain(self.peers.as_deref()) {
                server.drain().await;
            }
        };
        tokio::select! {
            () = drained => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if let Some(multicast) = self.multicast {
            // It takes seconds at most; a panic has been told by its thread.
            drop(multicast.await);
        }
        self.store.close().await;
        Ok(())
    }

    async fn reload(&self, read: Result<Sources, Refused>) {
        let renewal = self.renewal.clone();
        // The limits of a cache may take a look at much of it. A panic has been told by its thread.
        drop(tokio::task::spawn_blocking(move || renewal.reload(read)).await);
    }
}

fn options(address: SocketAddr, connections_max: usize) -> Options {
    Options {
        listen: vec![address],
        workers: 1,
        connections_max,
        drain_timeout: DRAIN_TIMEOUT,
        server_name: format!("outpost-agent/{}", env!("CARGO_PKG_VERSION")),
        ..Options::default()
    }
}

/// What is on its way may be had as what is here may.
fn arrivals(sharing: &Arc<Sharing>) -> Arc<Arrivals> {
    let sharing = sharing.clone();
    Arrivals::new(move |name, size| sharing.is_on() && sharing.terms().shared.has(name, size))
}

fn local_server(address: SocketAddr, answers: Local) -> io::Result<Server> {
    Server::start(options(address, LOCAL_CONNECTIONS_MAX), Arc::new(answers), None)
}

fn peer_server(
    settings: &Settings,
    address: SocketAddr,
    downloads: &Downloads,
    sharing: &Arc<Sharing>,
) -> io::Result<Server> {
    let clients = Clients { access: access(settings), ..Clients::default() };
    let (store, arrivals) = (downloads.store().clone(), downloads.arrivals().clone());
    let answers = Peers { store, arrivals, sharing: sharing.clone() };
    let options = Options { clients, shares: shares(settings), ..options(address, PEER_CONNECTIONS_MAX) };
    Server::start(options, Arc::new(answers), None)
}

/// Who is served: whom the owner says, else machines of the same networks.
fn access(settings: &Settings) -> Access {
    let allowed = if settings.peers.allow.is_empty() { subnets::own() } else { settings.peers.allow.clone() };
    Access { allow: Rules::of_ranges(allowed), deny: Rules::default() }
}

async fn keep_to_own_networks(peers: Arc<Server>, settled: Arc<Settled>) {
    let mut renewed = settled.renewed();
    let mut known = access(&settled.now());
    loop {
        // The settings last as long as the service.
        drop(tokio::time::timeout(LOOK_EVERY, renewed.changed()).await);
        let now = access(&settled.now());
        if now != known {
            known = now.clone();
            peers.replace_access(now);
        }
    }
}
