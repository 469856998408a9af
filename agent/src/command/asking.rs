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
    /// An origin, which knows who has what; several in the order in which they are asked [OUTPOST__ORIGIN__URLS, where there is no service]
    #[arg(long = "origin", value_name = "URL", value_delimiter = ',')]
    pub(crate) origins: Vec<String>,

    /// A proxy of the branch; several in the order in which they are asked. Where an origin answers, it says who is asked [OUTPOST__SERVERS__URLS, likewise]
    #[arg(long = "server", value_name = "URL", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,

    /// This machine's name, by which it counts once at each server [default: the host's] [OUTPOST__ORIGIN__NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Certificates of authorities to believe in place of the system's (PEM) [OUTPOST__SERVERS__CA]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// The address of this machine from which servers are asked, where it has several; by it an origin knows the domain [default: the system's choice] [OUTPOST__SERVERS__LOCAL_ADDRESS]
    #[arg(long, value_name = "IP")]
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

    /// Whether it is said here who is asked; else the service of this machine knows better than its environment.
    #[arg(skip)]
    is_told: bool,
}

/// What flags do not say, as the service of this machine is told it, and as it was written before.
const NAME: [&str; 2] = ["OUTPOST__ORIGIN__NAME", "OUTPOST_AGENT_NAME"];
const CA: [&str; 2] = ["OUTPOST__SERVERS__CA", "OUTPOST_AGENT_CA"];
const LOCAL_ADDRESS: [&str; 2] = ["OUTPOST__SERVERS__LOCAL_ADDRESS", "OUTPOST_AGENT_LOCAL_ADDRESS"];
const ORIGINS: [&str; 2] = ["OUTPOST__ORIGIN__URLS", "OUTPOST_AGENT_ORIGIN"];
const SERVERS: [&str; 2] = ["OUTPOST__SERVERS__URLS", "OUTPOST_AGENT_SERVER"];

impl Asking {
    /// With what the environment says and flags do not. The older names of origins and servers count as flags do.
    pub(crate) fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let said = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
        let list = |name: &str| {
            let text = said(name).unwrap_or_default();
            let parts = text.split(',').map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect::<Vec<_>>()
        };
        let either = |names: [&str; 2]| said(names[0]).or_else(|| said(names[1]));
        for place in [1, 0] {
            if self.origins.is_empty() && self.servers.is_empty() {
                (self.origins, self.servers) = (list(ORIGINS[place]), list(SERVERS[place]));
            }
            self.is_told |= place == 1 && self.names_somebody();
        }
        self.name = self.name.or_else(|| either(NAME));
        self.ca = self.ca.or_else(|| either(CA).map(PathBuf::from));
        if let (None, Some(text)) = (self.local_address, either(LOCAL_ADDRESS)) {
            let address = text.trim().parse();
            self.local_address = Some(address.map_err(|_| format!("{}: '{text}' is no IP address", LOCAL_ADDRESS[0]))?);
        }
        Ok(self)
    }

    /// Whether anybody is known who could be asked.
    pub(crate) fn names_somebody(&self) -> bool {
        !self.origins.is_empty() || !self.servers.is_empty()
    }

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
        self.is_told
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        asking: Asking,
    }

    #[test]
    fn flags_before_the_environment_and_its_names_before_the_older_ones() {
        for (flags, environment, origins, servers, is_told) in [
            ("", "", "", "", false),
            (
                "--origin http://a/",
                "OUTPOST__ORIGIN__URLS=http://b/ OUTPOST__SERVERS__URLS=http://c/",
                "http://a/",
                "",
                true,
            ),
            ("--server http://a/", "OUTPOST_AGENT_ORIGIN=http://b/", "", "http://a/", true),
            // As the service is told it: that one is asked first.
            (
                "",
                "OUTPOST__ORIGIN__URLS=http://b/,http://d/ OUTPOST__SERVERS__URLS=http://c/",
                "http://b/ http://d/",
                "http://c/",
                false,
            ),
            ("", "OUTPOST_AGENT_SERVER=http://e/ OUTPOST__SERVERS__URLS=http://c/", "", "http://e/", true),
            ("", "OUTPOST__ORIGIN__URLS=", "", "", false),
        ] {
            let asking = Only::parse_from(["it"].into_iter().chain(flags.split_whitespace())).asking;
            let pairs: Vec<_> = environment.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
            let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let asking = asking.with_environment(find).unwrap();
            let found = (asking.origins.join(" "), asking.servers.join(" "), asking.is_told());
            assert_eq!(found, (origins.into(), servers.into(), is_told), "{flags} {environment}");
        }
    }

    #[test]
    fn who_we_are_may_be_said_in_the_environment() {
        let of = |name: &str| match name {
            "OUTPOST__ORIGIN__NAME" => Some("pc1".to_owned()),
            "OUTPOST_AGENT_NAME" => Some("old".into()),
            "OUTPOST_AGENT_CA" => Some("/ca.pem".into()),
            "OUTPOST__SERVERS__LOCAL_ADDRESS" => Some("10.1.0.9".into()),
            _ => None,
        };
        let asking = Only::parse_from(["it"]).asking.with_environment(of).unwrap();
        assert_eq!((asking.name().as_str(), asking.ca), ("pc1", Some("/ca.pem".into())));
        assert_eq!(asking.local_address, "10.1.0.9".parse().ok());
        let bad = Only::parse_from(["it"]).asking.with_environment(|_| Some("no-address".into()));
        assert!(bad.is_err());
    }
}
