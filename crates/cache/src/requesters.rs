//! Who may have an object's body at once. A transfer holds one of the object's places; who finds none learns its position.
//!
//! A place is held by somebody (`Requester`), not by a transfer: all transfers of one machine can share one place, and it is given back with
//! the last of them. Positions are those of the recently refused that are expected to come back; they expire.

pub mod queue;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use serve::handler::Client;

use self::queue::Queue;
pub(crate) use self::queue::Refused;
use crate::options::RequestersBy;

/// Bytes of a self-given name that count.
const AGENT_NAME_MAX: usize = 64;
/// Below this many objects the table is not swept.
const SWEEP_MIN: usize = 256;

/// What counts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    Connection(u64),
    Address(IpAddr),
    /// An agent that names itself, with its address: a name alone could be shared by a whole building.
    Agent(IpAddr, Box<[u8]>),
}

impl Requester {
    pub(crate) fn of(client: &Client, agent: Option<&[u8]>, by: RequestersBy) -> Self {
        let address = client.address.ip().to_canonical();
        match (agent, by) {
            (Some(name), _) if !name.is_empty() => Self::Agent(address, name[..name.len().min(AGENT_NAME_MAX)].into()),
            (_, RequestersBy::Connection) => Self::Connection(client.connection),
            (_, RequestersBy::Address) => Self::Address(address),
        }
    }
}

/// The places of one object, known beforehand by a fill or by its digest.
#[derive(Debug)]
pub(crate) struct Places {
    queue: Mutex<Queue<Requester>>,
    /// Of which object, from when that is known.
    md5: OnceLock<Md5>,
    held: Arc<AtomicUsize>,
}

/// A transfer that has a place; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    who: Requester,
}

impl Places {
    /// Takes a place for a transfer. Who is refused is expected back within twice the `retry_delay`.
    pub(crate) fn take(
        self: &Arc<Self>,
        who: Requester,
        places_max: usize,
        now: Instant,
        retry_delay: Duration,
    ) -> Result<Place, Refused> {
        self.queue.lock().take(&who, places_max, now, now + retry_delay * 2)?;
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(Place { places: self.clone(), who })
    }

    /// The object's name, if it has one already.
    pub(crate) fn md5(&self) -> Option<&Md5> {
        self.md5.get()
    }

    /// Transfers now.
    pub(crate) fn transfers(&self) -> usize {
        self.queue.lock().transfers()
    }

    /// The position of somebody who has no transfer yet; 0: a place is free.
    pub(crate) fn position(&self, who: &Requester, places_max: usize, now: Instant) -> u64 {
        self.queue.lock().position(who, places_max, now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.queue.lock().give_back(&self.who);
        self.places.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places of all objects that are being transferred.
#[derive(Debug, Default)]
pub(crate) struct Requesters {
    // The map keeps no object's places alive: their holders do.
    objects: Mutex<HashMap<Md5, Weak<Places>>>,
    held: Arc<AtomicUsize>,
}

impl Requesters {
    /// Places of an object that has no digest yet.
    pub(crate) fn unnamed(&self) -> Arc<Places> {
        Arc::new(Places { queue: Mutex::default(), md5: OnceLock::new(), held: self.held.clone() })
    }

    /// Places of an object.
    pub(crate) fn of(&self, md5: &Md5) -> Arc<Places> {
        let mut objects = self.objects.lock();
        if let Some(places) = objects.get(md5).and_then(Weak::upgrade) {
            return places;
        }
        let places = self.unnamed();
        Self::insert(&mut objects, *md5, &places);
        places
    }

    /// A fill learned its digest: from now on its places are found under it, unless the object's own are in use.
    pub(crate) fn name(&self, md5: &Md5, places: &Arc<Places>) {
        let mut objects = self.objects.lock();
        if objects.get(md5).is_none_or(|known| known.strong_count() == 0) {
            Self::insert(&mut objects, *md5, places);
        }
    }

    /// Transfers that hold a place now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn insert(objects: &mut HashMap<Md5, Weak<Places>>, md5: Md5, places: &Arc<Places>) {
        // Swept when it would have to grow: the dead never outnumber the living for long.
        if objects.len() >= SWEEP_MIN && objects.len() == objects.capacity() {
            objects.retain(|_, places| places.strong_count() > 0);
        }
        let _ = places.md5.set(md5);
        objects.insert(md5, Arc::downgrade(places));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(90);

    fn client(address: &str, connection: u64) -> Client {
        Client { address: address.parse().unwrap(), connection, secure: false }
    }

    fn who(connection: u64) -> Requester {
        Requester::Connection(connection)
    }

    #[test]
    fn who_counts_once() {
        let (one, two) = (client("10.0.0.1:1000", 1), client("10.0.0.1:1001", 2));
        let by = |client, agent, by| Requester::of(client, agent, by);
        assert_ne!(by(&one, None, RequestersBy::Connection), by(&two, None, RequestersBy::Connection));
        assert_eq!(by(&one, None, RequestersBy::Address), by(&two, None, RequestersBy::Address));
        for mode in [RequestersBy::Connection, RequestersBy::Address] {
            assert_eq!(by(&one, Some(b"pc7"), mode), by(&two, Some(b"pc7"), mode));
            assert_ne!(by(&one, Some(b"pc7"), mode), by(&two, Some(b"pc8"), mode));
        }
        let mapped = client("[::ffff:10.0.0.1]:1", 3);
        assert_eq!(by(&one, None, RequestersBy::Address), by(&mapped, None, RequestersBy::Address));
    }

    #[test]
    fn places_are_given_back_by_dropping_them_and_positions_count_the_refused() {
        let (requesters, now) = (Requesters::default(), Instant::now());
        let places = requesters.unnamed();
        let first = places.take(who(1), 2, now, DELAY).unwrap();
        let _second = places.take(who(2), 2, now, DELAY).unwrap();
        assert_eq!(requesters.held(), 2);
        assert_eq!(places.take(who(3), 2, now, DELAY).unwrap_err().position, 1);
        assert_eq!(places.take(who(4), 2, now, DELAY).unwrap_err().position, 2);
        assert_eq!(places.take(who(3), 2, now, DELAY).unwrap_err().position, 1, "asking again keeps the rank");
        assert_eq!(places.position(&who(4), 2, now), 2);
        assert_eq!(places.position(&who(9), 2, now), 3);
        drop(first);
        assert_eq!(places.position(&who(4), 2, now), 0);
        let _third = places.take(who(3), 2, now, DELAY).unwrap();
        assert_eq!(places.take(who(4), 2, now, DELAY).unwrap_err().position, 1, "who was served left the queue");
    }

    #[test]
    fn transfers_of_one_holder_share_its_place_until_the_last_ends() {
        let (requesters, now) = (Requesters::default(), Instant::now());
        let places = requesters.unnamed();
        let one = places.take(who(1), 1, now, DELAY).unwrap();
        let two = places.take(who(1), 1, now, DELAY).unwrap();
        drop(one);
        assert!(places.take(who(2), 1, now, DELAY).is_err());
        drop(two);
        assert!(places.take(who(2), 1, now, DELAY).is_ok());
    }

    #[test]
    fn the_refused_expire() {
        let (requesters, now) = (Requesters::default(), Instant::now());
        let places = requesters.unnamed();
        let _held = places.take(who(1), 1, now, DELAY).unwrap();
        assert_eq!(places.take(who(2), 1, now, DELAY).unwrap_err().position, 1);
        assert_eq!(places.take(who(3), 1, now + DELAY * 3, DELAY).unwrap_err().position, 1);
    }

    #[test]
    fn no_limit_refuses_nobody_but_counts() {
        let (requesters, now) = (Requesters::default(), Instant::now());
        let places = requesters.unnamed();
        let held: Vec<Place> = (0..100).map(|id| places.take(who(id), 0, now, DELAY).unwrap()).collect();
        assert_eq!(requesters.held(), 100);
        drop(held);
        assert_eq!(requesters.held(), 0);
    }

    #[test]
    fn a_fill_keeps_its_places_when_it_gets_its_name() {
        let (requesters, now) = (Requesters::default(), Instant::now());
        let places = requesters.unnamed();
        let _held = places.take(who(1), 1, now, DELAY).unwrap();
        let md5 = Md5([7; 16]);
        requesters.name(&md5, &places);
        assert!(requesters.of(&md5).take(who(2), 1, now, DELAY).is_err());
    }

    #[test]
    fn the_table_forgets_objects_that_nobody_transfers() {
        let requesters = Requesters::default();
        for number in 0..100_000u32 {
            let mut md5 = [0; 16];
            md5[..4].copy_from_slice(&number.to_le_bytes());
            requesters.of(&Md5(md5));
        }
        assert!(requesters.objects.lock().len() < 4 * SWEEP_MIN);
    }
}
