//! What this server does for machines that get one content at the same time and give each other its pieces. It sends no piece itself: that are ranges of
//! objects, like any other.
//!
//! [`tracker`] remembers who asked lately and names them to each other, `lists` keeps the digests of pieces that were told or made, and `listing`
//! gets them: once, however many ask.

mod listing;
mod lists;
pub mod tracker;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use parking_lot::Mutex;
use protocol::digest::Md5;

pub(crate) use self::listing::{find, get};
use self::{
    listing::Listings,
    tracker::{Asker, Told, Tracker},
};

/// Shared by all who answer.
pub(crate) struct Swarm {
    /// Held for microseconds; where thousands ask for one content, once a second for some more.
    tracker: Mutex<Tracker>,
    listings: Listings,
    salt: u64,
    /// So that each answer has a seed of its own.
    answers: AtomicU64,
}

impl Default for Swarm {
    fn default() -> Self {
        Self {
            tracker: Mutex::default(),
            listings: Listings::default(),
            salt: RandomState::new().hash_one(()),
            answers: AtomicU64::new(0),
        }
    }
}

impl Swarm {
    /// Somebody asks what is here of a content: who else does, and when to ask again.
    pub(crate) fn ask(&self, md5: &Md5, asker: Asker) -> Told {
        let seed = self.seed();
        self.tracker.lock().ask(md5, asker, Instant::now(), seed)
    }

    /// Where others have some of a content, for somebody at an address.
    pub(crate) fn peers(&self, md5: &Md5, address: IpAddr) -> Vec<String> {
        let seed = self.seed();
        self.tracker.lock().peers(md5, Asker { address, port: None }, Instant::now(), seed)
    }

    /// Machines that asked lately, of all contents.
    pub(crate) fn askers(&self) -> usize {
        self.tracker.lock().len()
    }

    fn seed(&self) -> u64 {
        self.salt ^ self.answers.fetch_add(1, Ordering::Relaxed)
    }
}
