//! What a service consists of, and who is made of it: who belongs to an origin, who finds others, who answers programs of this machine.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use serve::server::Server;
use tokio::{runtime::Handle, sync::watch};

use super::{
    downloads::Downloads, local::Local, member::Member, membership::Membership, multicast::Multicast,
    neighbours::Neighbours, renewal::Renewal, settled::Settled, sharing::Sharing,
};
use crate::{jobs::keeper::Jobs, seed};

/// All that is shared among them.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) settled: Arc<Settled>,
    pub(super) downloads: Arc<Downloads>,
    pub(super) sharing: Arc<Sharing>,
    pub(super) neighbours: Arc<Neighbours>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) renewal: Arc<Renewal>,
    pub(super) membership: Arc<Membership>,
    /// Who answers neighbours.
    pub(super) peers: Option<Arc<Server>>,
}

impl Parts {
    /// Where neighbours are served.
    fn listens(&self) -> Option<SocketAddr> {
        self.peers.as_deref().and_then(|server| server.addresses().first().copied())
    }

    /// Who belongs to an origin, if one is named. `machines` are the network cards by which it is known where this machine stands.
    pub(super) fn member(&self, machines: Vec<String>) -> Option<Member> {
        let (settings, finder) = (self.settled.now(), self.downloads.ways().finder);
        let member = || Member {
            origins: settings.origins.clone(),
            name: self.name.clone(),
            client: finder.client.clone(),
            health: finder.health.clone(),
            downloads: self.downloads.clone(),
            shares: self.listens().map(|listens| (self.sharing.clone(), listens)),
            machines,
            local_address: settings.servers.local_address,
            backoff: settings.servers.backoff,
            renewal: self.renewal.clone(),
            membership: self.membership.clone(),
            jobs: self.jobs.clone(),
            interest: watch::Sender::new(None),
        };
        (!settings.origins.urls.is_empty()).then(member)
    }

    /// Who finds others and is found, where others reach this machine.
    pub(super) fn multicast(&self) -> Option<Multicast> {
        let listens = self.listens().filter(|listens| !listens.ip().is_loopback())?;
        Some(Multicast {
            neighbours: self.neighbours.clone(),
            sharing: self.sharing.clone(),
            settled: self.settled.clone(),
            name: self.name.clone(),
            listens,
            id: seed(),
        })
    }

    /// Who answers programs of this machine.
    pub(super) fn local(self, handle: &Handle) -> Local {
        Local {
            began: Instant::now(),
            handle: handle.clone(),
            peers: self.listens().map(|listens| format!("http://{listens}/")),
            downloads: self.downloads,
            name: self.name,
            sharing: self.sharing,
            renewal: self.renewal,
            membership: self.membership,
            neighbours: self.neighbours,
            jobs: self.jobs,
        }
    }
}
