//! Coalescing of names: a flight is one conversation with an upstream about one name, and everybody who asks meanwhile waits for what it
//! comes to. Whether to begin one is decided under the same lock as the look at the name's record.
//!
//! | state | how it begins | what newcomers get |
//! | --- | --- | --- |
//! | asking | [`Flights::join`] answers [`Entry::Begun`] | they wait |
//! | announced | [`FlightOwner::announce`] | the outcome at once: often a content that is still filling. Not one that failed, or is not fresh any more |
//! | over | [`FlightOwner`] dropped, after the name's record was written | they are not newcomers of this flight |
//!
//! A flight belongs to its task, not to a request. A task that ends without an outcome has failed, so nobody waits for ever.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    outcome::Outcome,
    urgency::{Class, Urgency},
    waiters::Waiters,
};
use crate::{failure::Failure, requesters::Places};

const SHARDS: usize = 32;

/// Conversations in progress.
pub(crate) struct Flights {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

/// By key. Outermost of all locks: see [`Flights::join`].
type Shard = Mutex<HashMap<Arc<[u8]>, Arc<Flight>>>;

/// One conversation.
pub(crate) struct Flight {
    pub(crate) key: Arc<[u8]>,
    /// The key of the name, whose variant it may be about.
    name: Arc<[u8]>,
    /// The upstream's name.
    pub(crate) upstream: Box<str>,
    /// For people.
    pub(crate) path: Box<str>,
    pub(crate) began: Instant,
    /// For whom its bytes go over the line.
    pub(crate) urgency: Arc<Urgency>,
    /// The bytes, from when they begin to arrive.
    pub(crate) reader: OnceLock<store::Reader>,
    /// Who may have them, from then on.
    pub(crate) places: OnceLock<Arc<Places>>,
    /// The digest, from when it is known.
    pub(crate) md5: OnceLock<Md5>,
    /// Who waits for it, or has.
    pub(crate) waiters: Waiters,
    /// It waits to try again until then.
    pub(crate) pausing_until: Mutex<Option<Instant>>,
    /// Bytes that came over the line for it.
    pub(crate) crossed: AtomicU64,
    /// Cancelled when it is to stop at its byte: at the end of the program, and of a window.
    pub(crate) stop: CancellationToken,
    /// Waits of those that are no clients.
    unseen: AtomicUsize,
    is_body_wanted: AtomicBool,
    /// What it brings is not to be believed of the name any more.
    is_forgotten: AtomicBool,
    outcome: watch::Sender<Option<Outcome>>,
    over: CancellationToken,
}

/// What a flight is about.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The key of the name.
    pub(crate) name: &'a Arc<[u8]>,
    /// That of the flight.
    pub(crate) key: &'a Arc<[u8]>,
    /// The upstream's name.
    pub(crate) upstream: &'a str,
    /// For people.
    pub(crate) path: &'a str,
    /// For whom: a flight that is begun has it, one that is on rises to it.
    pub(crate) urgency: &'a Arc<Urgency>,
    /// Cancelled when all flights are to stop.
    pub(crate) closing: &'a CancellationToken,
}

/// What came of joining.
pub(crate) enum Entry {
    /// The second look found it: no flight is needed.
    Found(Outcome),
    /// There is one already.
    Joined(Arc<Flight>),
    /// This is a new one, and who gets this is to run it.
    Begun(FlightOwner),
}

/// The right to announce a flight's outcome and to end it; dropping it does.
pub(crate) struct FlightOwner {
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

    /// Joins the flight for a key, or begins one unless `look` finds that none is needed. It is called with the shard's lock held: locks inside of
    /// it are those of the book, of the store and of the requesters, and nothing of theirs waits for a flight.
    pub(crate) fn join(
        self: &Arc<Self>,
        question: &Asking<'_>,
        wants_body: bool,
        look: impl FnOnce() -> Option<Outcome>,
    ) -> Entry {
        let Asking { name, key, upstream, path, urgency, closing } = *question;
        let mut shard = self.shard(key).lock();
        if let Some(flight) = shard.get(key) {
            if wants_body {
                flight.is_body_wanted.store(true, Ordering::Relaxed);
            }
            flight.urgency.raise(urgency.class());
            return Entry::Joined(flight.clone());
        }
        if let Some(found) = look() {
            return Entry::Found(found);
        }
        let flight = Arc::new(Flight {
            key: key.clone(),
            name: name.clone(),
            upstream: upstream.into(),
            path: path.into(),
            began: Instant::now(),
            urgency: urgency.clone(),
            reader: OnceLock::new(),
            places: OnceLock::new(),
            md5: OnceLock::new(),
            waiters: Waiters::default(),
            pausing_until: Mutex::new(None),
            crossed: AtomicU64::new(0),
            stop: closing.child_token(),
            unseen: AtomicUsize::new(0),
            is_body_wanted: AtomicBool::new(wants_body),
            is_forgotten: AtomicBool::new(false),
            outcome: watch::Sender::new(None),
            over: CancellationToken::new(),
        });
        shard.insert(key.clone(), flight.clone());
        Entry::Begun(FlightOwner { flights: self.clone(), flight })
    }

    /// The flight for a key, if there is one.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Arc<Flight>> {
        self.shard(key).lock().get(key).cloned()
    }

    /// The name may stand for something else: who asks from now on for it, or a variant of it, begins another flight, and those that are on go on
    /// for those who follow them.
    pub(crate) fn detach(&self, name: &[u8]) {
        self.detach_where(|known| *known == *name);
    }

    /// Likewise, of several.
    pub(crate) fn detach_where(&self, is_meant: impl Fn(&[u8]) -> bool) {
        for shard in &self.shards {
            for (_, flight) in shard.lock().extract_if(|_, flight| is_meant(&flight.name)) {
                flight.is_forgotten.store(true, Ordering::Release);
                flight.over.cancel();
            }
        }
    }

    /// Stops a flight at its byte, unless a client waits for it: decided under the lock under which one would join. Who asks from now on begins
    /// another. `for_all`: whoever waits.
    pub(crate) fn stop(&self, key: &[u8], for_all: bool) {
        let mut shard = self.shard(key).lock();
        let may_stop = |flight: &Arc<Flight>| for_all || flight.urgency.class() == Class::Preload;
        if shard.get(key).is_some_and(may_stop)
            && let Some(flight) = shard.remove(key)
        {
            flight.stop.cancel();
        }
    }

    /// Somebody waits for a content that others may be fetching, under whatever name: they are as urgent as that from now on.
    pub(crate) fn raise(&self, md5: &Md5, class: Class) {
        for flight in self.all() {
            if flight.md5.get() == Some(md5) {
                flight.urgency.raise(class);
            }
        }
    }

    /// One that is known to bring a content; rather one whose bytes arrive.
    pub(crate) fn of_content(&self, md5: &Md5) -> Option<Arc<Flight>> {
        let mut found = None;
        for shard in &self.shards {
            for flight in shard.lock().values().filter(|flight| flight.md5.get() == Some(md5)) {
                if flight.reader.get().is_some() {
                    return Some(flight.clone());
                }
                found = Some(flight.clone());
            }
        }
        found
    }

    /// All flights.
    pub(crate) fn all(&self) -> Vec<Arc<Flight>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }
}

impl Flight {
    /// What it came to, if it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }

    /// Waits for that. Bounded, for the task is: every step of it has a limit, and its end is an outcome.
    pub(crate) async fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        outcome.unwrap_or_else(|| Outcome::Failed(Failure::interrupted()))
    }

    /// Likewise, for who is no client and is not counted as one.
    pub(crate) async fn wait_unseen(&self) -> Outcome {
        let _unseen = Unseen::of(self);
        self.wait().await
    }

    /// Waits until it has left the table, so that the next one to ask begins another.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Those who wait for the outcome.
    pub(crate) fn waiting(&self) -> usize {
        self.outcome.receiver_count().saturating_sub(self.unseen.load(Ordering::Relaxed))
    }

    /// Those who wait for the outcome, and those who are being sent the bytes (small bodies apart).
    pub(crate) fn followers(&self) -> usize {
        self.waiting() + self.places.get().map_or(0, |places| places.transfers())
    }

    /// Whether somebody wants bytes, not a description only.
    pub(crate) fn is_body_wanted(&self) -> bool {
        self.is_body_wanted.load(Ordering::Relaxed)
    }
}

/// A wait that is not counted. It begins before the wait and ends after it, so that it is never counted for a client either.
struct Unseen<'a>(&'a Flight);

impl<'a> Unseen<'a> {
    fn of(flight: &'a Flight) -> Self {
        flight.unseen.fetch_add(1, Ordering::Relaxed);
        Self(flight)
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        self.0.unseen.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FlightOwner {
    /// Tells everybody; the first outcome counts.
    pub(crate) fn announce(&self, outcome: Outcome) {
        self.flight.outcome.send_modify(|known| {
            if known.is_none() {
                *known = Some(outcome);
            }
        });
    }

    /// Ends the flight with what it came to: who asks from now on begins another.
    pub(crate) fn conclude(&self, outcome: Outcome) {
        self.close();
        self.announce(outcome);
    }

    /// Does what the name is to be known by, unless it was [detached](Flights::detach) from this flight: under the lock that decides that, for what
    /// comes after it is to be forgotten would otherwise be found.
    pub(crate) fn unless_forgotten<T>(&self, keep: impl FnOnce() -> T) -> Option<T> {
        let _shard = self.flights.shard(&self.flight.key).lock();
        (!self.flight.is_forgotten.load(Ordering::Acquire)).then(keep)
    }

    pub(crate) fn has_announced(&self) -> bool {
        self.flight.outcome.borrow().is_some()
    }

    /// Ends the flight with a description unless somebody wants bytes, which is decided under the lock.
    pub(crate) fn conclude_unless_body_wanted(&self, outcome: impl FnOnce() -> Outcome) -> bool {
        let mut shard = self.flights.shard(&self.flight.key).lock();
        if self.flight.is_body_wanted() {
            return false;
        }
        shard.remove(&self.flight.key);
        drop(shard);
        self.announce(outcome());
        true
    }

    /// Ends the flight for newcomers: the next one to ask begins another.
    pub(crate) fn close(&self) {
        let mut shard = self.flights.shard(&self.flight.key).lock();
        // It may have left before, and another may have taken its place.
        if shard.get(&self.flight.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            shard.remove(&self.flight.key);
        }
        drop(shard);
        self.flight.over.cancel();
    }
}

impl Drop for FlightOwner {
    fn drop(&mut self) {
        self.close();
        self.announce(Outcome::Failed(Failure::interrupted()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join_as(
        flights: &Arc<Flights>,
        class: Class,
        wants_body: bool,
        look: impl FnOnce() -> Option<Outcome>,
    ) -> Entry {
        let (name, urgency) = (b"name"[..].into(), Arc::new(Urgency::new(class)));
        let closing = CancellationToken::new();
        let asking =
            Asking { name: &name, key: &name, upstream: "up", path: "/name", urgency: &urgency, closing: &closing };
        flights.join(&asking, wants_body, look)
    }

    fn join_unless(flights: &Arc<Flights>, wants_body: bool, look: impl FnOnce() -> Option<Outcome>) -> Entry {
        join_as(flights, Class::Demand, wants_body, look)
    }

    fn join(flights: &Arc<Flights>, wants_body: bool) -> Entry {
        join_unless(flights, wants_body, || None)
    }

    fn begin(flights: &Arc<Flights>, wants_body: bool) -> FlightOwner {
        match join(flights, wants_body) {
            Entry::Begun(owner) => owner,
            _ => panic!("no new flight"),
        }
    }

    #[test]
    fn the_second_follows_and_a_look_comes_before_a_new_one() {
        let flights = Arc::new(Flights::default());
        let owner = begin(&flights, true);
        assert!(matches!(join(&flights, true), Entry::Joined(_)));
        drop(owner);
        let found = join_unless(&flights, true, || Some(Outcome::NeedsSlash));
        assert!(matches!(found, Entry::Found(Outcome::NeedsSlash)));
        assert!(flights.all().is_empty());
    }

    #[test]
    fn a_client_that_joins_makes_a_preload_urgent_and_a_preload_makes_nothing_less_so() {
        let flights = Arc::new(Flights::default());
        let Entry::Begun(owner) = join_as(&flights, Class::Preload, true, || None) else { panic!("no new flight") };
        assert!(matches!(join_as(&flights, Class::Preload, true, || None), Entry::Joined(_)));
        assert_eq!(owner.flight.urgency.class(), Class::Preload);
        let Entry::Joined(flight) = join(&flights, false) else { panic!("no flight") };
        assert_eq!(flight.urgency.class(), Class::Demand);
        assert!(matches!(join_as(&flights, Class::Preload, true, || None), Entry::Joined(_)));
        assert_eq!(owner.flight.urgency.class(), Class::Demand);
    }

    #[test]
    fn who_waits_for_a_content_makes_every_fetch_of_it_urgent_and_no_other() {
        let flights = Arc::new(Flights::default());
        let Entry::Begun(owner) = join_as(&flights, Class::Preload, true, || None) else { panic!("no new flight") };
        let md5 = Md5::of(b"content");
        flights.raise(&md5, Class::Demand);
        assert_eq!(owner.flight.urgency.class(), Class::Preload, "its digest is not known yet");
        let _ = owner.flight.md5.set(md5);
        flights.raise(&Md5::of(b"another"), Class::Demand);
        assert_eq!(owner.flight.urgency.class(), Class::Preload);
        flights.raise(&md5, Class::Demand);
        assert_eq!(owner.flight.urgency.class(), Class::Demand);
    }

    #[test]
    fn a_task_that_dies_keeps_nobody_waiting() {
        let flights = Arc::new(Flights::default());
        let owner = begin(&flights, true);
        let Entry::Joined(flight) = join(&flights, true) else { panic!("no flight") };
        assert!(flight.outcome().is_none());
        drop(owner);
        assert!(matches!(flight.outcome(), Some(Outcome::Failed(_))));
    }

    #[test]
    fn a_description_is_not_enough_once_somebody_wants_bytes() {
        let flights = Arc::new(Flights::default());
        let owner = begin(&flights, false);
        let Entry::Joined(_) = join(&flights, true) else { panic!("no flight") };
        assert!(!owner.conclude_unless_body_wanted(|| panic!("described")));
        drop(owner);
        let owner = begin(&flights, false);
        assert!(owner.conclude_unless_body_wanted(|| Outcome::Failed(Failure::interrupted())));
        let second = begin(&flights, true);
        drop(owner);
        assert!(flights.find(b"name").is_some(), "the end of one flight removed the next");
        drop(second);
    }
}
