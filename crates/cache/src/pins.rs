//! What an operator pins, in the store's terms: names by their keys. A pattern is compared with the path as clients ask for it, mount
//! included and without its query.

use std::{collections::HashMap, sync::Arc};

use protocol::glob::Globs;
use store::Pinning;

use crate::{
    delivery::unmounted,
    names::key::Parts,
    options::{DeliveryOptions, Options},
    upstream::scope,
};

/// Where names are mounted.
struct Mounts {
    /// By the scope of their keys.
    mounted: HashMap<Box<[u8]>, String>,
    /// Servers that are mounted nowhere.
    delivery: Option<DeliveryOptions>,
}

impl Options {
    /// What of the names these options pin.
    pub fn pinning(&self) -> Pinning {
        let (globs, mounts) = (self.pin.clone(), Mounts::of(self));
        let patterns = globs.texts().map(Box::from).collect();
        Pinning::new(patterns, Arc::new(move |key| mounts.pattern_of(key, &globs)))
    }

    /// Whether other names are pinned by `other`.
    pub(crate) fn pins_like(&self, other: &Self) -> bool {
        let mounts = |options: &Self| Mounts::of(options).mounted;
        self.pin == other.pin
            && (self.pin.is_empty() || (mounts(self) == mounts(other) && self.delivery == other.delivery))
    }
}

impl Mounts {
    fn of(options: &Options) -> Self {
        let mounted = options.upstreams.iter().map(|upstream| (scope(upstream), upstream.mount.clone())).collect();
        Self { mounted, delivery: Some(options.delivery.clone()).filter(|delivery| !delivery.hosts.is_empty()) }
    }

    fn pattern_of(&self, key: &[u8], globs: &Globs) -> Option<usize> {
        let parts = Parts::of(key)?;
        let mount = match self.mounted.get(parts.scope) {
            Some(mount) => mount,
            None if self.is_delivered(&parts) => "",
            None => return None,
        };
        globs.first_match_at(&parts.target_at(mount)?.decode().ok()?)
    }

    fn is_delivered(&self, parts: &Parts<'_>) -> bool {
        let delivery = self.delivery.as_ref();
        delivery.is_some_and(|delivery| *scope(&unmounted(delivery, parts.upstream)) == *parts.scope)
    }
}

#[cfg(test)]
mod tests {
    use protocol::target::Target;

    use super::*;
    use crate::{options::UpstreamOptions, upstream::Upstream};

    fn key(options: &UpstreamOptions, target: &str) -> Vec<u8> {
        let upstream = Upstream::new(options.clone(), "outpost", &Arc::default()).unwrap();
        upstream.key(&Target::parse(target.as_bytes()).unwrap()).to_vec()
    }

    #[test]
    fn paths_are_compared_as_clients_ask_for_them() {
        let upstream = UpstreamOptions::new("hq", "/prod", "http://hq.example/".parse().unwrap());
        let other = UpstreamOptions::new("other", "/", "http://other.example/".parse().unwrap());
        let moved = UpstreamOptions::new("hq", "/prod", "http://elsewhere.example/".parse().unwrap());
        let mut options = Options::new(vec![upstream.clone(), other.clone()]);
        options.pin = Globs::parse(&["*.iso", "/prod/office 1.2/"]).unwrap();
        let (globs, mounts) = (options.pin.clone(), Mounts::of(&options));
        let delivered = unmounted(&DeliveryOptions::default(), "dl.example");
        for (key, pattern) in [
            (key(&upstream, "/office%201.2/setup.exe"), Some(1)),
            (key(&upstream, "/office%201.2/a/b.iso?x=1"), Some(0)),
            (key(&upstream, "/office%201.3/setup.exe"), None),
            (key(&other, "/office%201.2/setup.exe"), None),
            (key(&other, "/deep/down/a.iso"), Some(0)),
            // What the name said when it was of another place is asked for by nobody.
            (key(&moved, "/a.iso"), None),
            // No such server is allowed.
            (key(&delivered, "/a.iso"), None),
            (b"no key at all".to_vec(), None),
        ] {
            assert_eq!(mounts.pattern_of(&key, &globs), pattern, "{}", key.escape_ascii());
        }
        options.delivery.hosts = vec!["dl.example".parse().unwrap()];
        let mounts = Mounts::of(&options);
        assert_eq!(mounts.pattern_of(&key(&unmounted(&options.delivery, "dl.example"), "/a.iso"), &globs), Some(0));
    }

    #[test]
    fn what_changes_nothing_for_the_pins_is_known() {
        let upstream = |mount: &str| UpstreamOptions::new("hq", mount, "http://hq.example/".parse().unwrap());
        let with = |mount: &str, pin: &[&str]| {
            let mut options = Options::new(vec![upstream(mount)]);
            options.pin = Globs::parse(pin).unwrap();
            options
        };
        for (one, other, alike) in [
            (with("/", &["*.iso"]), with("/", &["*.iso"]), true),
            (with("/", &["*.iso"]), with("/a", &["*.iso"]), false),
            (with("/", &["*.iso"]), with("/", &["*.exe"]), false),
            (with("/", &[]), with("/a", &[]), true),
        ] {
            assert_eq!(one.pins_like(&other), alike);
        }
    }
}
