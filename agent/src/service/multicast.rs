//! Finds other agents by multicast, and is found: DNS-SD over mDNS (RFC 6763, RFC 6762), as `_outpost._tcp`. Only in networks where neighbours may be, and
//! found only while it shares something.
//!
//! Where many are, all of them asking after each other would be a storm of its own: as soon as as many are known as may be, it is not listened any more until
//! the next round.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use mdns_sd::{IfKind, IfPredicate, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{neighbours::Neighbours, settled::Settled, sharing::Sharing, subnets};
use crate::decide::neighbours::{Known, url_of};

/// What we are.
const SERVICE: &str = "_outpost._tcp.local.";
/// Under which one of our own is known.
const ID: &str = "id";
/// Bytes of a label of DNS.
const LABEL_MAX: usize = 48;
/// Seconds after which it is looked whether the machine has come to other networks.
const NETWORKS_EVERY: u32 = 60;
/// After a fault, or when more is heard than can be taken.
const AGAIN: Duration = Duration::from_secs(300);
/// Who is known is looked for anew after this, where as many are known as may be.
const ROUND_EVERY: Duration = Duration::from_secs(900);
/// How long it is looked in such a round before who was not found counts as gone.
const ROUND: Duration = Duration::from_secs(20);
/// How long the others may take to be told that we go.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Finds and is found.
pub(super) struct Multicast {
    pub(super) neighbours: Arc<Neighbours>,
    pub(super) sharing: Arc<Sharing>,
    pub(super) settled: Arc<Settled>,
    pub(super) name: String,
    /// Where neighbours are served.
    pub(super) listens: SocketAddr,
    /// By which we know our own announcement, for somebody else may have our name.
    pub(super) id: u64,
}

/// While it is on.
struct On {
    daemon: ServiceDaemon,
    stage: Stage,
    /// None while nobody is looked for.
    events: Option<Receiver<ServiceEvent>>,
    /// The name under which we are announced.
    announced: Option<String>,
}

/// Whether others are looked for.
#[derive(Clone, Copy)]
enum Stage {
    /// A round has begun: who was known before may have gone.
    Looking(Instant),
    /// Whoever comes and goes is heard of.
    Listening,
    /// As many are known as may be.
    Resting(Instant),
}

impl Multicast {
    /// Goes on until the service ends; then the others are told.
    pub(super) async fn keep(self, mut ending: watch::Receiver<bool>) {
        let (mut renewed, mut shares) = (self.settled.renewed(), self.sharing.changes());
        let (mut on, mut again_at): (Option<On>, _) = (None, Instant::now());
        while !*ending.borrow() {
            self.switch(&mut on, &mut again_at).await;
            let wake_at = match on.as_ref().map(|on| on.stage) {
                Some(Stage::Looking(until) | Stage::Resting(until)) => Some(until),
                Some(Stage::Listening) => None,
                None => Some(again_at).filter(|_| self.settled.now().peers.find),
            };
            tokio::select! {
                event = next(&on) => self.heard(on.as_mut(), event),
                () = sleep_until(wake_at.unwrap_or(again_at)), if wake_at.is_some() => {}
                Ok(()) = renewed.changed() => {}
                Ok(()) = shares.changed() => {}
                _ = ending.changed() => break,
            }
        }
        if let Some(on) = on {
            on.leave().await;
        }
    }

    /// As the owner wants it now.
    async fn switch(&self, on: &mut Option<On>, again_at: &mut Instant) {
        let (wants, now) = (self.settled.now().peers.find, Instant::now());
        if !wants && let Some(on) = on.take() {
            on.leave().await;
            self.neighbours.change(Known::clear);
        }
        if wants && on.is_none() && *again_at <= now {
            match On::begin(now) {
                Ok(begun) => *on = Some(begun),
                Err(error) => tracing::warn!(%error, "neighbours cannot be looked for; it is tried again later"),
            }
            *again_at = now + AGAIN;
        }
        if let Some(on) = on {
            self.announce(on);
            self.look(on, now);
        }
    }

    /// Is found while there is something to be had.
    fn announce(&self, on: &mut On) {
        let done = match (&on.announced, self.sharing.is_on()) {
            (None, true) => self.service().and_then(|service| {
                let name = service.get_fullname().to_owned();
                on.daemon.register(service).map(|()| on.announced = Some(name))
            }),
            (Some(name), false) => on.daemon.unregister(name).map(|_| on.announced = None),
            _ => Ok(()),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "what neighbours are told cannot be changed now");
        }
    }

    fn service(&self) -> mdns_sd::Result<ServiceInfo> {
        let name: String = self.name.chars().take(LABEL_MAX).collect();
        // Not the host's own name, of which another program may be the keeper.
        let host = format!("outpost-{}.local.", name.replace(['.', '_'], "-"));
        let id = self.id.to_string();
        let (ip, port, properties) = (self.listens.ip(), self.listens.port(), [(ID, id.as_str())]);
        if ip.is_unspecified() {
            return Ok(ServiceInfo::new(SERVICE, &name, &host, "", port, &properties[..])?.enable_addr_auto());
        }
        ServiceInfo::new(SERVICE, &name, &host, ip, port, &properties[..])
    }

    /// Begins and ends rounds.
    fn look(&self, on: &mut On, now: Instant) {
        on.stage = match on.stage {
            Stage::Resting(until) if until <= now => match on.daemon.browse(SERVICE) {
                Ok(events) => {
                    on.events = Some(events);
                    self.neighbours.change(Known::begin_round);
                    Stage::Looking(now + ROUND)
                }
                Err(_) => Stage::Resting(now + AGAIN),
            },
            Stage::Looking(until) if until <= now => {
                self.neighbours.change(Known::end_round);
                Stage::Listening
            }
            stage => stage,
        };
        if matches!(on.stage, Stage::Listening) && self.neighbours.change(|known| known.is_full()) {
            // It may be full, and then nobody comes any more: that is what is wanted.
            drop(on.daemon.stop_browse(SERVICE));
            (on.events, on.stage) = (None, Stage::Resting(now + ROUND_EVERY));
        }
    }

    fn heard(&self, on: Option<&mut On>, event: Option<ServiceEvent>) {
        match event {
            Some(ServiceEvent::ServiceResolved(service)) => self.found(&service),
            Some(ServiceEvent::ServiceRemoved(_, name)) => self.neighbours.change(|known| known.gone(&name)),
            Some(_) => {}
            // More came than could be taken: from the beginning, a little later.
            None => on.into_iter().for_each(|on| {
                (on.events, on.stage) = (None, Stage::Resting(Instant::now() + AGAIN));
            }),
        }
    }

    fn found(&self, service: &ResolvedService) {
        if service.get_property_val_str(ID) == Some(self.id.to_string().as_str()) {
            return;
        }
        let own = subnets::own();
        let addresses: Vec<IpAddr> = service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
        let name = service.get_fullname();
        match url_of(&addresses, service.get_port(), |address| own.contains(address)) {
            Some(url) => {
                tracing::debug!(name, url, "a neighbour was found");
                self.neighbours.change(|known| known.found(name, url));
            }
            None => self.neighbours.change(|known| known.gone(name)),
        }
    }
}

impl On {
    fn begin(now: Instant) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        daemon.set_ip_check_interval(NETWORKS_EVERY)?;
        daemon.disable_interface(IfKind::All)?;
        let are_near =
            IfPredicate::new(|interface| !interface.is_loopback() && subnets::is_neighbours(&interface.name));
        daemon.enable_interface(IfKind::Predicate(are_near))?;
        Ok(Self { daemon, stage: Stage::Resting(now), events: None, announced: None })
    }

    /// The others are told, as far as that can be done quickly.
    async fn leave(self) {
        if let Some(Ok(told)) = self.announced.map(|name| self.daemon.unregister(&name)) {
            drop(timeout(GOODBYE_MAX, told.recv_async()).await);
        }
        if let Ok(ended) = self.daemon.shutdown() {
            drop(timeout(GOODBYE_MAX, ended.recv_async()).await);
        }
    }
}

/// The next event; `None`: there are none any more. Never, while nobody is looked for.
async fn next(on: &Option<On>) -> Option<ServiceEvent> {
    match on.as_ref().and_then(|on| on.events.as_ref()) {
        Some(events) => events.recv_async().await.ok(),
        None => std::future::pending().await,
    }
}
