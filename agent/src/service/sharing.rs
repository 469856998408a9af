//! What neighbours may have here, how many at once, and whether now. Who asks is answered by `peers`, the origin is told by `telling`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use config::agent::Settings;
use parking_lot::Mutex;
use protocol::schedule::Windows;
use tokio::sync::watch;

use super::{conditions::Sampler, settled::Settled};
use crate::{
    bring::finder::now,
    decide::sharing::{Policy, Watch, Why},
};

/// How often it is looked how the machine is.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What neighbours may have, and whether now.
pub(crate) struct Sharing {
    busy: Arc<AtomicUsize>,
    terms: Mutex<Arc<Terms>>,
    why_not: watch::Sender<Option<Why>>,
}

/// What may be had, and by how many at once.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) shared: Shared,
    pub(crate) uploads: usize,
}

/// Which files.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) extensions: Vec<String>,
    pub(crate) min_size: u64,
}

/// The place of one transfer; given back by being dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Sharing {
    pub(crate) fn new(settings: &Settings) -> Self {
        let terms = Mutex::new(Arc::new(Terms::of(settings)));
        Self { busy: Arc::default(), terms, why_not: watch::Sender::default() }
    }

    /// From now on these hold; what is being sent may end.
    pub(super) fn replace(&self, settings: &Settings) {
        *self.terms.lock() = Arc::new(Terms::of(settings));
    }

    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.terms.lock().clone()
    }

    /// Why nothing is shared now; `None`: it is.
    pub(crate) fn why_not(&self) -> Option<Why> {
        *self.why_not.borrow()
    }

    /// Whether anything is.
    pub(crate) fn is_on(&self) -> bool {
        self.why_not().is_none() && self.terms().uploads > 0
    }

    /// Tells when that changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Why>> {
        self.why_not.subscribe()
    }

    /// A place, if one of so many is free.
    pub(crate) fn place(&self, uploads: usize) -> Option<Place> {
        let one_more = |busy: usize| (busy < uploads).then_some(busy + 1);
        let taken = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Place(self.busy.clone()))
    }

    /// Of its places, in percent.
    pub(crate) fn load(&self) -> u8 {
        let uploads = self.terms().uploads.max(1);
        (self.busy.load(Ordering::Relaxed).min(uploads) * 100 / uploads) as u8
    }

    /// Looks how the machine is, until it is dropped.
    pub(super) async fn keep_watch(self: Arc<Self>, settled: Arc<Settled>) {
        let mut sampler = Sampler::new(&settled.now().store.dir);
        let (mut watch, mut renewed) = (Watch::default(), settled.renewed());
        loop {
            let settings = settled.now();
            // A battery may take its time to answer.
            let looked = tokio::task::spawn_blocking(move || {
                let conditions = sampler.look(&settings.sharing);
                (sampler, settings, conditions)
            });
            let Ok((back, settings, conditions)) = looked.await else { return };
            sampler = back;
            let policy = policy(&settings);
            let why = watch.look(&conditions, &policy, std::time::SystemTime::now(), now());
            self.say(why);
            // Whoever drops the settings ends this task too.
            drop(tokio::time::timeout(LOOK_EVERY, renewed.changed()).await);
        }
    }

    fn say(&self, why: Option<Why>) {
        let name = |why: Option<Why>| why.map(Why::name);
        let before = self.why_not.send_replace(why);
        match why {
            _ if name(before) == name(why) => {}
            None => tracing::info!("neighbours are served again"),
            Some(why) => {
                tracing::info!(why = why.text(), "neighbours are not served for now; what is being sent may end")
            }
        }
    }
}

impl Terms {
    fn of(settings: &Settings) -> Self {
        let peers = &settings.peers;
        let shared = Shared { extensions: peers.extensions.clone(), min_size: peers.min_size };
        Self { shared, uploads: peers.uploads }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Whether a file of that name and size is one of them. Pure.
    pub(super) fn has(&self, name: Option<&str>, size: u64) -> bool {
        let ends_right = || {
            let name = name.unwrap_or_default();
            let file = name.split('?').next().unwrap_or(name).rsplit('/').next().unwrap_or(name);
            let end = file.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
            self.extensions.contains(&end)
        };
        size >= self.min_size && (self.extensions.is_empty() || ends_right())
    }
}

fn policy(settings: &Settings) -> Policy {
    let sharing = &settings.sharing;
    let not_during: Windows = sharing.not_during.windows().clone();
    Policy {
        on_battery: sharing.on_battery,
        processors_max: sharing.cpu_max as u8,
        disk_max: sharing.disk_max as u8,
        not_during,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_files_are_shared() {
        let shared = Shared { extensions: vec!["zip".into(), "msi".into()], min_size: 100 };
        for (name, size, expected) in [
            (Some("/prod/a.zip"), 100, true),
            (Some("/prod/a.ZIP?v=1.2"), 100, true),
            (Some("/prod/a.zip"), 99, false),
            (Some("/prod.zip/a"), 100, false),
            (Some("/prod/a.txt"), 100, false),
            (None, 100, false),
        ] {
            assert_eq!(shared.has(name, size), expected, "{name:?} {size}");
        }
        let all = Shared { extensions: Vec::new(), min_size: 0 };
        assert!(all.has(None, 0));
    }

    #[test]
    fn places_are_given_back_and_their_number_may_change() {
        let sharing = Sharing::new(&Settings::default());
        let (one, two) = (sharing.place(2), sharing.place(2));
        assert!(one.is_some() && two.is_some() && sharing.place(2).is_none());
        assert_eq!(sharing.load(), 100);
        let three = sharing.place(3);
        assert!(three.is_some());
        drop((one, two));
        assert!(sharing.place(1).is_none(), "one is still on");
        drop(three);
        assert_eq!(sharing.load(), 0);
        assert!(sharing.place(1).is_some());
    }
}
