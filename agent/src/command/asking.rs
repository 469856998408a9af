//! The options of everybody who asks servers: who they are, who we are, and how patient.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use config::value::parse_duration;
use parking_lot::Mutex;
use protocol::patience::Backoff;

use crate::{
    bring::finder::Finder,
    decide::{
        health::Health,
        source::{Rank, Source},
    },
    host_name,
    net::client::{Client, Manners},
    seed, short,
};

/// Whom to ask, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Asking {
    /// An origin, which knows who has what; several in the order in which they are asked
    #[arg(long = "origin", value_name = "URL", env = "OUTPOST_AGENT_ORIGIN", value_delimiter = ',')]
    pub(crate) origins: Vec<String>,

    /// A proxy of the branch; several in the order in which they are asked. Where an origin answers, it says who is asked
    #[arg(long = "server", value_name = "URL", env = "OUTPOST_AGENT_SERVER", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,

    /// This machine's name, by which it counts once at each server [default: the host's]
    #[arg(long, value_name = "NAME", env = "OUTPOST_AGENT_NAME")]
    pub(crate) name: Option<String>,

    /// Certificates of authorities to believe in place of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "OUTPOST_AGENT_CA")]
    pub(crate) ca: Option<PathBuf>,

    /// The address of this machine from which servers are asked, where it has several; by it an origin knows the domain [default: the system's choice]
    #[arg(long, value_name = "IP", env = "OUTPOST_AGENT_LOCAL_ADDRESS")]
    pub(crate) local_address: Option<IpAddr>,

    /// How long a server may take to accept a connection
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub(crate) connect_timeout: Duration,

    /// A server that sends nothing for so long is left for the next
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) silence_max: Duration,

    /// The longest wait after a server's first failure; it doubles with each further one, and all of it is spread
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = parse_duration)]
    pub(crate) backoff_first: Duration,

    /// The longest wait of all
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = parse_duration)]
    pub(crate) backoff_max: Duration,
}

impl Asking {
    /// Who asks servers by these options.
    pub(crate) fn finder(&self) -> Finder {
        let manners = Manners {
            connect_timeout: self.connect_timeout,
            silence_max: self.silence_max,
            requester: self.name(),
            authorities: self.ca.clone(),
            local_address: self.local_address,
        };
        Finder {
            client: Arc::new(Client::new(manners)),
            health: Arc::new(Mutex::new(Health::new(self.backoff(), seed()))),
            origins: self.origins.clone(),
            fallback: self.proxies(),
            node: None,
            machines: Vec::new(),
            neighbours: None,
        }
    }

    /// Whether it says who is asked.
    pub(crate) fn is_told(&self) -> bool {
        !self.origins.is_empty() || !self.servers.is_empty()
    }

    /// The servers as sources.
    pub(crate) fn proxies(&self) -> Vec<Source> {
        let source = |url: &String| Source { rank: Rank::Proxy, name: short(url), url: url.clone(), partial: false };
        self.servers.iter().map(source).collect()
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { first: self.backoff_first, max: self.backoff_max.max(self.backoff_first) }
    }

    /// This machine's name.
    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(host_name)
    }
}
