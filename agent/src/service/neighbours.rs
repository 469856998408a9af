//! Other agents of one's own networks, whoever knows them: those that multicast found, and those that the owner names.

use std::sync::Arc;

use parking_lot::Mutex;

use super::settled::Settled;
use crate::decide::neighbours::{KNOWN_MAX, Known};

/// Who is there.
pub(crate) struct Neighbours {
    settled: Arc<Settled>,
    known: Mutex<Known>,
}

impl Neighbours {
    pub(super) fn new(settled: Arc<Settled>, seed: u64) -> Self {
        Self { settled, known: Mutex::new(Known::new(seed)) }
    }

    /// Where they are reached.
    pub(crate) fn urls(&self) -> Vec<String> {
        let mut urls = self.settled.now().peers.known.clone();
        let known = self.known.lock();
        for url in known.urls() {
            if !urls.iter().any(|named| named == url) {
                urls.push(url.to_owned());
            }
        }
        urls.truncate(KNOWN_MAX);
        urls
    }

    /// Whether there may be some that nobody else knows.
    pub(crate) fn may_be(&self) -> bool {
        let settings = self.settled.now();
        settings.peers.find || !settings.peers.known.is_empty()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.lock())
    }
}
