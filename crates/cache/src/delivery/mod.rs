//! A cache host of Windows Delivery Optimization: clients ask it for what is elsewhere and say where. Only servers that the operator allows are asked,
//! each as an upstream like any web server's, that is mounted nowhere.

mod form;

use std::{io, sync::Arc};

use protocol::{problem::Kind, target::Target};

use self::form::{BadForm, Form};
use crate::{
    bounded::Bounded,
    failure::Failure,
    hosts::Host,
    options::{DeliveryOptions, Location, UpstreamOptions},
    status::Counters,
    upstream::{Key, Upstream},
};

/// Servers that are remembered with their health: so many of the recent past, and as many older ones. Their connections are shared by all.
const SERVERS_MAX: usize = 64;

/// The servers that are allowed, and those that were asked.
pub(crate) struct Delivery {
    options: DeliveryOptions,
    /// Has the connections.
    pattern: Upstream,
    servers: Bounded<Arc<Upstream>>,
}

/// A name of another server.
pub(crate) struct Delivered {
    pub(crate) upstream: Arc<Upstream>,
    /// There.
    pub(crate) target: Target,
    pub(crate) key: Key,
}

impl Delivery {
    /// `None` if no server is allowed.
    pub(crate) fn new(options: &DeliveryOptions, via: &str, counters: &Arc<Counters>) -> io::Result<Option<Self>> {
        if options.hosts.is_empty() {
            return Ok(None);
        }
        // Nobody asks this one.
        let pattern = Upstream::new(unmounted(options, "delivery.invalid"), via, counters)?;
        Ok(Some(Self { options: options.clone(), pattern, servers: Bounded::new(SERVERS_MAX) }))
    }

    /// What a target in that form stands for; `None` if it is not in it.
    pub(crate) fn find(&self, target: &Target) -> Option<Result<Delivered, Failure>> {
        Some(match form::read(target, &self.options.tokens)? {
            Ok(form) => self.locate(form),
            Err(BadForm) => {
                let detail = "the parameter cacheHostOrigin names no server, or stands in the query more than once";
                Err(Failure::new(Kind::BadRequest, detail))
            }
        })
    }

    fn locate(&self, form: Form) -> Result<Delivered, Failure> {
        let Form { host, asked, named } = form;
        if !self.options.hosts.iter().any(|pattern| pattern.means(&host)) {
            let detail = format!(
                "files of the server '{}' are not handed out here (delivery.hosts); ask it itself, or the administrator to allow it",
                host.as_str()
            );
            return Err(Failure::new(Kind::NotAllowed, detail));
        }
        let upstream = self.server(&host).map_err(|error| {
            Failure::new(Kind::Internal, format!("the server '{}' cannot be asked: {error}", host.as_str()))
        })?;
        Ok(Delivered { key: upstream.key(&named), upstream, target: asked })
    }

    fn server(&self, host: &Host) -> io::Result<Arc<Upstream>> {
        let mut servers = self.servers.shard(host.as_str().as_bytes());
        if let Some(server) = servers.find(host.as_str().as_bytes()) {
            return Ok(server);
        }
        let server = Arc::new(self.pattern.at(unmounted(&self.options, host.as_str()))?);
        servers.put(host.as_str().as_bytes(), server.clone());
        Ok(server)
    }
}

pub(crate) fn unmounted(options: &DeliveryOptions, host: &str) -> UpstreamOptions {
    let scheme = if options.is_https { "https" } else { "http" };
    let location = Location::Http(format!("{scheme}://{host}/"));
    UpstreamOptions { mode: options.mode, ..UpstreamOptions::new(host, "", location) }
}
