//! Starts the service, and ends it in good order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

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
    neighbours::Neighbours,
    parts::Parts,
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
        let settings = begun.loaded.settings.clone();
        let settled = Arc::new(Settled::new(settings.clone()));
        let store = Store::open(settings.store.clone()).map_err(|error| format!("{error} with --cache-dir DIR"))?;
        let machines = cards::own();
        let neighbours = Arc::new(Neighbours::new(settled.clone(), seed()));
        let ways = ways(&begun, machines.clone(), &neighbours);
        let sharing = Arc::new(Sharing::new(&settings));
        let (at_once, arrivals) = (settings.downloads_max, arrivals(&sharing));
        let downloads = Downloads::new(store.clone(), ways, at_once, arrivals, handle.clone());
        let peers = peers(&settings, &downloads, &sharing)?;
        let jobs = Jobs::new(&settings.jobs, downloads.clone(), handle.clone());
        if let Some(configuration) = &begun.configuration {
            jobs.assign(&configuration.jobs);
        }
        if let Some(complaint) = &begun.complaint {
            tracing::warn!("the options that the origin delivered last are not used: {complaint}");
        }
        let name = begun.name.clone();
        let renewal = Renewal::new(begun, settled.clone(), downloads.clone(), sharing.clone(), peers.clone());
        let (renewal, membership) = (Arc::new(renewal), Arc::default());
        let parts = Parts { name, settled, downloads, sharing, neighbours, jobs, renewal, membership, peers };
        Self::run(parts, store, machines, settings.local, handle)
    }

    /// From here on it does something by itself.
    fn run(
        parts: Parts,
        store: Store,
        machines: Vec<String>,
        local: Option<SocketAddr>,
        handle: &Handle,
    ) -> Result<Self, String> {
        let ending = watch::Sender::new(false);
        if let Some(member) = parts.member(machines) {
            handle.spawn(member.belong());
        }
        let multicast = parts.multicast().map(|multicast| handle.spawn(multicast.keep(ending.subscribe())));
        if let Some(peers) = &parts.peers {
            handle.spawn(keep_to_own_networks(peers.clone(), parts.settled.clone()));
            handle.spawn(parts.sharing.clone().keep_watch(parts.settled.clone()));
        }
        let (peers, renewal, jobs) = (parts.peers.clone(), parts.renewal.clone(), parts.jobs.clone());
        let local = local.map(|address| local_server(address, parts.local(handle))).transpose();
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

/// Whom to ask: as the configuration says, then as the origin has delivered last.
fn ways(begun: &Begun, machines: Vec<String>, neighbours: &Arc<Neighbours>) -> Ways {
    let settings = &begun.loaded.settings;
    let mut ways = Ways::of(settings, &begun.name, machines);
    let (origins, servers) = (&settings.origins.urls, &settings.servers.urls);
    ways.change(|finder| {
        ways::renew(finder, origins, servers, begun.configuration.as_ref());
        finder.neighbours = Some(neighbours.clone());
    });
    ways
}

/// What is on its way may be had as what is here may.
fn arrivals(sharing: &Arc<Sharing>) -> Arc<Arrivals> {
    let sharing = sharing.clone();
    Arrivals::new(move |name, size| sharing.is_on() && sharing.terms().shared.has(name, size))
}

fn local_server(address: SocketAddr, answers: Local) -> io::Result<Server> {
    Server::start(options(address, LOCAL_CONNECTIONS_MAX), Arc::new(answers), None)
}

/// Who answers neighbours, if they are to be; from now on it is told where.
fn peers(settings: &Settings, downloads: &Downloads, sharing: &Arc<Sharing>) -> Result<Option<Arc<Server>>, String> {
    let server = settings.peers.listen.map(|address| peer_server(settings, address, downloads, sharing)).transpose();
    let server = server.map_err(|error| format!("{error} (--peer-listen)"))?;
    if let Some(listens) = server.as_ref().and_then(|server| server.addresses().first()) {
        downloads.arrivals().share_at(listens.port());
    }
    Ok(server.map(Arc::new))
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
