//! Coalescing of names: a flight is one conversation with an upstream about one name, and everybody who asks meanwhile waits for what it
//! comes to. Whether to begin one is decided under the same lock as the look at the name's record.
//!
//! | state | how it begins | what newcomers get |
//! | --- | --- | --- |
//! | asking | [`Flights::join`] answers [`Joined::Lead`] | they wait |
//! | landed | [`Departure::land`] | the landing at once: often a content that is still filling. Not one that failed, or is not fresh any more |
//! | over | [`Departure`] dropped, after the name's record was written | they are not newcomers of this flight |
//!
//! A flight belongs to its task, not to a request. A task that ends without landing lands as failed, so nobody waits for ever.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::landing::Landing;
use crate::{failure::Failure, requesters::Places};

const SHARDS: usize = 32;

/// Conversations in progress.
pub(crate) struct Flights {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

type Shard = Mutex<HashMap<Arc<[u8]>, Arc<Flight>>>;

/// One conversation.
pub(crate) struct Flight {
    pub(crate) key: Arc<[u8]>,
    /// The upstream's name.
    pub(crate) upstream: Box<str>,
    /// For people.
    pub(crate) path: Box<str>,
    pub(crate) began: Instant,
    /// The bytes, from when they begin to arrive.
    pub(crate) reader: OnceLock<store::Reader>,
    /// Who may have them, from then on.
    pub(crate) places: OnceLock<Arc<Places>>,
    /// The digest, from when it is known.
    pub(crate) md5: OnceLock<Md5>,
    /// It waits to try again until then.
    pub(crate) pausing_until: Mutex<Option<Instant>>,
    is_body_wanted: AtomicBool,
    landing: watch::Sender<Option<Landing>>,
    over: CancellationToken,
}

/// What came of joining.
pub(crate) enum Joined<T> {
    /// The second look found it: no flight is needed.
    Found(T),
    /// There is one already.
    Follow(Arc<Flight>),
    /// This is a new one; who holds the departure flies it.
    Lead(Departure),
}

/// The right to land one flight and to end it; dropping it does.
pub(crate) struct Departure {
    flights: Arc<Flights>,
    pub(crate) flight: Arc<Flight>,
}

impl Default for Flights {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::new() }
    }
}

impl Flights {
    fn shard(&self, key: &[u8]) -> &Shard {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// Joins the flight for a key, or begins one unless `look` (asked under the lock) finds that none is needed.
    pub(crate) fn join<T>(
        self: &Arc<Self>,
        key: &Arc<[u8]>,
        upstream: &str,
        path: &str,
        wants_body: bool,
        look: impl FnOnce() -> Option<T>,
    ) -> Joined<T> {
        let mut shard = self.shard(key).lock();
        if let Some(flight) = shard.get(key) {
            if wants_body {
                flight.is_body_wanted.store(true, Ordering::Relaxed);
            }
            return Joined::Follow(flight.clone());
        }
        if let Some(found) = look() {
            return Joined::Found(found);
        }
        let flight = Arc::new(Flight {
            key: key.clone(),
            upstream: upstream.into(),
            path: path.into(),
            began: Instant::now(),
            reader: OnceLock::new(),
            places: OnceLock::new(),
            md5: OnceLock::new(),
            pausing_until: Mutex::new(None),
            is_body_wanted: AtomicBool::new(wants_body),
            landing: watch::Sender::new(None),
            over: CancellationToken::new(),
        });
        shard.insert(key.clone(), flight.clone());
        Joined::Lead(Departure { flights: self.clone(), flight })
    }

    /// The flight for a key, if there is one.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Arc<Flight>> {
        self.shard(key).lock().get(key).cloned()
    }

    /// All flights.
    pub(crate) fn all(&self) -> Vec<Arc<Flight>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }
}

impl Flight {
    /// What it came to, if it has.
    pub(crate) fn landed(&self) -> Option<Landing> {
        self.landing.borrow().clone()
    }

    /// Waits for that. Bounded, for the task is: every step of it has a limit, and its end lands it.
    pub(crate) async fn landing(&self) -> Landing {
        let mut landing = self.landing.subscribe();
        let landed = match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone(),
            Err(_) => None,
        };
        landed.unwrap_or_else(|| Landing::Failed(Failure::interrupted()))
    }

    /// Waits until it has left the table, so that the next one to ask begins another.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Those who wait for the landing, and those who are being sent the bytes (small bodies apart).
    pub(crate) fn followers(&self) -> usize {
        self.landing.receiver_count() + self.places.get().map_or(0, |places| places.transfers())
    }

    /// Whether somebody wants bytes, not a description only.
    pub(crate) fn is_body_wanted(&self) -> bool {
        self.is_body_wanted.load(Ordering::Relaxed)
    }
}

impl Departure {
    /// Tells everybody; the first landing counts.
    pub(crate) fn land(&self, landing: Landing) {
        self.flight.landing.send_modify(|known| {
            if known.is_none() {
                *known = Some(landing);
            }
        });
    }

    /// Ends the flight with what it came to: who asks from now on begins another.
    pub(crate) fn conclude(&self, landing: Landing) {
        self.leave();
        self.land(landing);
    }

    pub(crate) fn has_landed(&self) -> bool {
        self.flight.landing.borrow().is_some()
    }

    /// Ends the flight with a description unless somebody wants bytes, which is decided under the lock.
    pub(crate) fn land_unless_body_wanted(&self, landing: impl FnOnce() -> Landing) -> bool {
        let mut shard = self.flights.shard(&self.flight.key).lock();
        if self.flight.is_body_wanted() {
            return false;
        }
        shard.remove(&self.flight.key);
        drop(shard);
        self.land(landing());
        true
    }
}

impl Departure {
    /// Ends the flight for newcomers: the next one to ask begins another.
    pub(crate) fn leave(&self) {
        let mut shard = self.flights.shard(&self.flight.key).lock();
        // It may have left before, and another may have taken its place.
        if shard.get(&self.flight.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            shard.remove(&self.flight.key);
        }
        drop(shard);
        self.flight.over.cancel();
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.leave();
        self.land(Landing::Failed(Failure::interrupted()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(flights: &Arc<Flights>, wants_body: bool) -> Joined<()> {
        flights.join(&b"name"[..].into(), "up", "/name", wants_body, || None)
    }

    fn lead(flights: &Arc<Flights>, wants_body: bool) -> Departure {
        match join(flights, wants_body) {
            Joined::Lead(departure) => departure,
            _ => panic!("no new flight"),
        }
    }

    #[test]
    fn the_second_follows_and_a_look_comes_before_a_new_one() {
        let flights = Arc::new(Flights::default());
        let departure = lead(&flights, true);
        assert!(matches!(join(&flights, true), Joined::Follow(_)));
        drop(departure);
        let found = flights.join(&b"name"[..].into(), "up", "/name", true, || Some(7));
        assert!(matches!(found, Joined::Found(7)));
        assert!(flights.all().is_empty());
    }

    #[test]
    fn a_task_that_dies_lands_its_followers() {
        let flights = Arc::new(Flights::default());
        let departure = lead(&flights, true);
        let Joined::Follow(flight) = join(&flights, true) else { panic!("no flight") };
        assert!(flight.landed().is_none());
        drop(departure);
        assert!(matches!(flight.landed(), Some(Landing::Failed(_))));
    }

    #[test]
    fn a_description_is_not_enough_once_somebody_wants_bytes() {
        let flights = Arc::new(Flights::default());
        let departure = lead(&flights, false);
        let Joined::Follow(_) = join(&flights, true) else { panic!("no flight") };
        assert!(!departure.land_unless_body_wanted(|| panic!("landed")));
        drop(departure);
        let departure = lead(&flights, false);
        assert!(departure.land_unless_body_wanted(|| Landing::Failed(Failure::interrupted())));
        let second = lead(&flights, true);
        drop(departure);
        assert!(flights.find(b"name").is_some(), "the end of one flight removed the next");
        drop(second);
    }
}
