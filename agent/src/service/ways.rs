//! Whom to ask, and how: what the configuration says, and behind it what the origin has delivered.

use std::sync::Arc;

use config::agent::Settings;
use parking_lot::Mutex;
use protocol::{enrolment::Configuration, patience::Backoff};

use crate::{
    bring::finder::Finder,
    decide::{
        health::Health,
        line::Terms,
        source::{Rank, Source},
    },
    net::{
        client::{Client, Manners},
        line::SharedLine,
    },
    seed, short,
};

/// Origins and proxies of one machine.
const SERVERS_MAX: usize = 1_024;

/// Whom to ask, and how.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) finder: Arc<Finder>,
    pub(crate) backoff: Backoff,
}

impl Ways {
    /// As the configuration says.
    pub(crate) fn of(settings: &Settings, name: &str, machines: Vec<String>) -> Self {
        let servers = &settings.servers;
        let manners = Manners {
            connect_timeout: servers.connect_timeout,
            silence_max: servers.silence_max,
            requester: name.into(),
            authorities: servers.authorities.clone(),
            local_address: servers.local_address,
        };
        let finder = Finder {
            client: Arc::new(Client::over(manners, Arc::new(SharedLine::new(line(settings), seed())))),
            health: Arc::new(Mutex::new(Health::new(servers.backoff, seed()))),
            origins: settings.origins.urls.clone(),
            fallback: servers.urls.iter().map(|url| proxy(&short(url), url)).collect(),
            node: None,
            machines,
            neighbours: None,
        };
        Self { finder: Arc::new(finder), backoff: servers.backoff }
    }

    /// Changes whom to ask; who asks already goes on as he was.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Finder)) {
        let mut finder = (*self.finder).clone();
        change(&mut finder);
        self.finder = Arc::new(finder);
    }
}

/// One's own first, then those that were delivered and are others.
pub(super) fn renew(finder: &mut Finder, origins: &[String], servers: &[String], delivered: Option<&Configuration>) {
    let own = servers.iter().map(|url| proxy(&short(url), url));
    let proxies = delivered.into_iter().flat_map(|configuration| &configuration.proxies);
    let others = delivered.into_iter().flat_map(|configuration| &configuration.origins);
    finder.origins = each_once(origins.iter().chain(others).cloned(), |url| url);
    finder.fallback = each_once(own.chain(proxies.map(|given| proxy(&given.name, &given.url))), |source| &source.url);
}

/// What the line to servers allows.
pub(super) fn line(settings: &Settings) -> Terms {
    Terms { rates: settings.line.rates.clone(), blackout: settings.line.blackout.windows().clone() }
}

fn proxy(name: &str, url: &str) -> Source {
    Source { rank: Rank::Proxy, name: name.into(), url: url.into(), partial: false }
}

/// Each server once, however its URL is written at the end.
fn each_once<T>(all: impl Iterator<Item = T>, url: impl Fn(&T) -> &String) -> Vec<T> {
    let mut each: Vec<T> = Vec::new();
    for one in all.take(SERVERS_MAX) {
        let bare = |one: &T| url(one).trim_end_matches('/').to_owned();
        if !each.iter().any(|known| bare(known) == bare(&one)) {
            each.push(one);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use protocol::topology::{Proxy, Tier};

    use super::*;

    #[test]
    fn what_is_delivered_comes_behind_ones_own() {
        let mut settings = Settings::default();
        settings.origins.urls = vec!["http://one/".into()];
        settings.servers.urls = vec!["http://near/".into()];
        let mut ways = Ways::of(&settings, "pc1", Vec::new());
        let configuration = |proxies: &[&str]| Configuration {
            generation: 1,
            domain: None,
            tier: Tier::Client,
            options: Default::default(),
            proxies: proxies.iter().map(|name| Proxy { name: (*name).into(), url: format!("http://{name}") }).collect(),
            origins: vec!["http://one".into(), "http://two".into()],
            jobs: Vec::new(),
            source_expiry: 600,
        };
        for (proxies, expected) in [(&["near", "far"][..], "near far"), (&["other"], "near other")] {
            let (origins, servers) = (&settings.origins.urls, &settings.servers.urls);
            ways.change(|finder| renew(finder, origins, servers, Some(&configuration(proxies))));
            let names: Vec<_> = ways.finder.fallback.iter().map(|source| source.name.as_str()).collect();
            assert_eq!(names.join(" "), expected);
            assert_eq!(ways.finder.origins, ["http://one/", "http://two"]);
        }
    }
}
