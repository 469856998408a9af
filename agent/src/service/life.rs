//! Starts the service, and ends it in good order.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use config::agent::Settings;
use serve::{
    clients::access::{Access, Rules},
    options::{Clients, Options},
    server::Server,
};
use store::Store;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use super::{
    cards,
    downloads::Downloads,
    kept,
    local::Local,
    member::{Member, Sharing},
    peers::{Peers, Shared},
    subnets,
    ways::{self, Ways},
};

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
}

impl Service {
    /// Starts it. `handle` is where downloads run.
    pub(crate) fn start(settings: &Settings, name: &str, handle: &Handle) -> Result<Self, String> {
        let store = Store::open(settings.store.clone()).map_err(|error| format!("{error} with --cache-dir DIR"))?;
        let machines = cards::own();
        let mut ways = Ways::of(settings, name, machines.clone());
        let started_with = kept::configuration(&settings.origins, name);
        if let Some(configuration) = &started_with {
            ways.change(|finder| ways::deliver(finder, settings, configuration));
        }
        let (client, health) = (ways.finder.client.clone(), ways.finder.health.clone());
        let places = Arc::new(Semaphore::new(settings.peers.uploads));
        let downloads = Downloads::new(store.clone(), ways, settings.downloads_max, handle.clone());
        let peers = settings.peers.listen.filter(|_| settings.peers.uploads > 0);
        let peers = peers.map(|address| peer_server(settings, address, &store, &places)).transpose();
        let peers = peers.map_err(|error| format!("{error} (--peer-listen)"))?.map(Arc::new);
        if !settings.origins.urls.is_empty() {
            let shares = peers.as_deref().and_then(|server| sharing(settings, server, &places));
            let (backoff, downloads) = (settings.servers.backoff, downloads.clone());
            let (settings, name) = (settings.clone(), name.to_owned());
            let member = Member { settings, name, client, health, downloads, shares, machines, backoff, started_with };
            handle.spawn(member.belong());
        }
        let at = |server: &Server| server.addresses().first().map(|address| format!("http://{address}/"));
        let answers = Local {
            downloads,
            began: Instant::now(),
            handle: handle.clone(),
            peers: peers.as_deref().and_then(at),
            name: name.into(),
        };
        let local = settings.local.map(|address| local_server(address, answers)).transpose();
        let local = local.map_err(|error| format!("{error} (--local)"))?;
        if let (Some(peers), true) = (&peers, settings.peers.allow.is_empty()) {
            handle.spawn(keep_to_own_networks(peers.clone()));
        }
        Ok(Self { store, local, peers })
    }

    /// What it does, in a few lines for a person.
    pub(crate) fn describe(&self, settings: &Settings) -> String {
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

    /// Waits for a signal, lets what is being sent finish, and closes the store. A second signal cuts.
    pub(crate) async fn until_ended(self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end: what is being sent may go on for a moment; a second signal ends at once");
        let drained = async {
            for server in self.local.iter().chain(self.peers.as_deref()) {
                server.drain().await;
            }
        };
        tokio::select! {
            () = drained => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.store.close().await;
        Ok(())
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

fn local_server(address: SocketAddr, answers: Local) -> io::Result<Server> {
    Server::start(options(address, LOCAL_CONNECTIONS_MAX), Arc::new(answers), None)
}

fn peer_server(settings: &Settings, address: SocketAddr, store: &Store, places: &Arc<Semaphore>) -> io::Result<Server> {
    let peers = &settings.peers;
    let allowed = if peers.allow.is_empty() { subnets::own() } else { peers.allow.clone() };
    let clients = Clients { access: access(allowed), ..Clients::default() };
    let answers =
        Peers { store: store.clone(), places: places.clone(), uploads: peers.uploads, shared: shared(settings) };
    Server::start(Options { clients, ..options(address, PEER_CONNECTIONS_MAX) }, Arc::new(answers), None)
}

fn shared(settings: &Settings) -> Shared {
    Shared { extensions: settings.peers.extensions.clone(), min_size: settings.peers.min_size }
}

/// What the origin is told of what neighbours may have here.
fn sharing(settings: &Settings, server: &Server, places: &Arc<Semaphore>) -> Option<Sharing> {
    let listens = *server.addresses().first()?;
    Some(Sharing { shared: shared(settings), places: places.clone(), uploads: settings.peers.uploads, listens })
}

fn access(allowed: serve::clients::ranges::Ranges) -> Access {
    Access { allow: Rules::of_ranges(allowed), deny: Rules::default() }
}

async fn keep_to_own_networks(peers: Arc<Server>) {
    let mut known = subnets::own();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = subnets::own();
        if now != known {
            known = now.clone();
            peers.replace_access(access(now));
        }
    }
}
