//! Options in force: the upstreams by their mounts. Replaced as a whole when the configuration is read again.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    io,
    sync::{Arc, OnceLock},
};

use protocol::target::Target;

use crate::{
    delivery::Delivery,
    line::shared::Line,
    options::{Options, UpstreamOptions},
    status::Counters,
    upstream::{Key, Upstream},
};

/// Made once per configuration.
pub(crate) struct Settings {
    pub(crate) options: Options,
    /// The longest mount first.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// This machine's name in the field `Via` of what it asks upstream, by which a loop is recognised.
    pub(crate) pseudonym: Box<str>,
    /// If any server may be named by clients.
    pub(crate) delivery: Option<Delivery>,
}

/// A name that everybody has tells nobody apart: then a number of this process stands behind it.
fn pseudonym(via: &str) -> Box<str> {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    if via != Options::VIA {
        return via.into();
    }
    let number = PROCESS.get_or_init(|| RandomState::new().hash_one(via));
    format!("{via}-{:08x}", *number as u32).into()
}

/// The line of an upstream of that name that was there before, or a new one: fetches that began over it go on over it.
fn line(wanted: &UpstreamOptions, old: Option<&Settings>) -> Arc<Line> {
    let mut upstreams = old.into_iter().flat_map(|old| &old.upstreams);
    let known = upstreams.find(|upstream| upstream.options.name == wanted.name);
    known.map_or_else(|| Arc::new(Line::new(wanted.line.clone())), |known| known.line.clone())
}

impl Settings {
    /// Prepares the upstreams; those that did not change are taken over from `old` with their connections and their health.
    pub(crate) fn new(options: Options, old: Option<&Self>, counters: &Arc<Counters>) -> io::Result<Self> {
        let known = |wanted: &UpstreamOptions| {
            let same_via = old.is_some_and(|old| old.options.via == options.via);
            let upstreams = old.into_iter().flat_map(|old| &old.upstreams);
            upstreams.filter(|_| same_via).find(|upstream| upstream.is(wanted)).cloned()
        };
        let pseudonym = pseudonym(&options.via);
        let mut upstreams = Vec::new();
        for wanted in &options.upstreams {
            upstreams.push(match known(wanted) {
                Some(upstream) => upstream,
                None => {
                    let line = line(wanted, old);
                    Arc::new(Upstream::over(wanted.clone(), &pseudonym, counters, line).map_err(|error| {
                        io::Error::new(error.kind(), format!("upstream '{}': {error}", wanted.name))
                    })?)
                }
            });
        }
        upstreams.sort_by_key(|upstream| std::cmp::Reverse(upstream.options.mount.trim_end_matches('/').len()));
        let delivery = Delivery::new(&options.delivery, &pseudonym, counters)
            .map_err(|error| io::Error::new(error.kind(), format!("delivery.hosts: {error}")))?;
        Ok(Self { options, upstreams, pseudonym, delivery })
    }

    /// Tells the lines what holds from now on. Not before these settings are in force: what is on its way goes over the same lines.
    pub(crate) fn tell_lines(&self) {
        for wanted in &self.options.upstreams {
            let named = self.upstreams.iter().filter(|upstream| upstream.options.name == wanted.name);
            named.for_each(|upstream| upstream.line.set_options(wanted.line.clone()));
        }
    }

    /// The key under which a name is kept, if it is one of an upstream's.
    pub(crate) fn key_of(&self, target: &Target) -> Option<Key> {
        match self.delivery.as_ref().and_then(|delivery| delivery.find(target)) {
            Some(delivered) => Some(delivered.ok()?.key),
            None => self.upstream_of(target).map(|(upstream, below)| upstream.key(&below)),
        }
    }

    /// The upstream of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.options.name == name)
    }

    /// The upstream of a name, and the name below its mount.
    pub(crate) fn upstream_of<'t>(&self, target: &'t Target) -> Option<(&Arc<Upstream>, Cow<'t, Target>)> {
        self.upstreams.iter().find_map(|upstream| Some((upstream, target.below(&upstream.options.mount)?)))
    }
}

#[cfg(test)]
mod tests {
    use protocol::rate::Rates;

    use super::*;
    use crate::options::Location;

    fn options(rate: u64) -> Options {
        let mut upstream = UpstreamOptions::new("a", "/", Location::Http("http://a.example/".into()));
        upstream.line.rates = Rates { otherwise: rate, rules: Vec::new() };
        Options::new(vec![upstream])
    }

    #[test]
    fn a_new_rate_holds_for_the_connections_that_are_there() {
        let counters = Arc::default();
        let first = Settings::new(options(0), None, &counters).unwrap();
        let second = Settings::new(options(5000), Some(&first), &counters).unwrap();
        assert!(Arc::ptr_eq(&first.upstreams[0], &second.upstreams[0]));
        assert_eq!(second.upstreams[0].status().line.rate, None, "not in force yet");
        second.tell_lines();
        assert_eq!(first.upstreams[0].status().line.rate, Some(5000));
        let mut others = options(7000);
        others.upstreams[0].retries_max = 1;
        let third = Settings::new(others, Some(&second), &counters).unwrap();
        assert!(!Arc::ptr_eq(&second.upstreams[0], &third.upstreams[0]));
        third.tell_lines();
        assert_eq!(second.upstreams[0].status().line.rate, Some(7000), "what is on its way goes over the same line");
        let mut another = options(0);
        another.upstreams[0].name = "b".into();
        let fourth = Settings::new(another, Some(&third), &counters).unwrap();
        fourth.tell_lines();
        assert_eq!(third.upstreams[0].status().line.rate, Some(7000), "a line of its own");
    }
}
