//! Who asked lately for which content, so that they find each other. Pure: the time and the seed are arguments.
//!
//! | | |
//! | --- | --- |
//! | somebody asks | it is remembered for three times as long as it was told to wait, and is told of a few others, at random |
//! | it gave the port at which it shares | others are told of it: at the address from which it came, never at one that it says |
//! | there are too many for one content, from one address, or in all | who comes now is told of others, and not remembered |
//! | there are too many contents | the one that nobody has asked for the longest is forgotten |

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use protocol::{digest::Md5, patience::Spread, pieces::HAVE_PEERS_MAX};

/// Contents for which somebody asks.
const CONTENTS_MAX: usize = 1_024;
/// Of one content.
const ASKERS_MAX: usize = 8_192;
/// Of all contents together.
const ASKERS_TOTAL_MAX: usize = 32_768;
/// Of one content, from one address: many machines may be behind it, but none stands for a thousand.
const PORTS_MAX: usize = 64;

/// All together ask once in this time, whoever they are and however many.
const ASK_EACH: Duration = Duration::from_millis(5);
/// One alone asks no more often than this.
const NEXT_MIN: Duration = Duration::from_millis(500);
/// And however many there are, each at least this often.
const NEXT_MAX: Duration = Duration::from_secs(60);
/// Who does not ask again is remembered for as many waits, and for so long at least.
const WAITS: u32 = 3;
const REMEMBERED_MIN: Duration = Duration::from_secs(15);
/// Those who are gone are looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// For each peer that is told of so many are drawn at most: some of them do not suit.
const DRAWS: usize = 4;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asker {
    /// Of its connection.
    pub address: IpAddr,
    /// At which it shares what it has, if it does.
    pub port: Option<u16>,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// URLs of others.
    pub peers: Vec<String>,
    /// Who asks now for the same, itself among them.
    pub askers: u64,
    /// When it may ask again.
    pub next_in: Duration,
}

/// See above.
#[derive(Debug, Default)]
pub struct Tracker {
    contents: HashMap<Md5, Content>,
    total: usize,
}

#[derive(Debug)]
struct Content {
    askers: Vec<(Asker, Instant)>,
    /// Where each is among them.
    places: HashMap<Asker, usize>,
    /// How many there are from each address.
    addresses: HashMap<IpAddr, usize>,
    asked: Instant,
    swept: Instant,
}

impl Tracker {
    /// Somebody asks for a content.
    pub fn ask(&mut self, md5: &Md5, asker: Asker, now: Instant, seed: u64) -> Told {
        let mut spread = Spread::new(seed);
        if !self.contents.contains_key(md5) {
            self.make_room(now);
        }
        let room = self.total < ASKERS_TOTAL_MAX;
        let content = self.contents.entry(*md5).or_insert_with(|| Content::new(now));
        content.asked = now;
        self.total -= content.sweep(now);
        let is_new = !content.places.contains_key(&asker);
        let total = self.total + usize::from(is_new);
        let next_in = next_in(total, &mut spread);
        let until = now + (next_in * WAITS).max(REMEMBERED_MIN);
        let is_remembered = content.remember(asker, until, room);
        if is_new && is_remembered {
            self.total += 1;
        }
        let askers = content.askers.len() + usize::from(!is_remembered);
        Told { peers: content.some(asker, now, &mut spread), askers: askers as u64, next_in }
    }

    /// Others that ask for a content, for somebody who does not.
    pub fn peers(&self, md5: &Md5, asker: Asker, now: Instant, seed: u64) -> Vec<String> {
        self.contents.get(md5).map_or_else(Vec::new, |content| content.some(asker, now, &mut Spread::new(seed)))
    }

    /// Those that are remembered, of all contents.
    #[expect(clippy::len_without_is_empty, reason = "a number for people")]
    pub fn len(&self) -> usize {
        self.total
    }

    /// For one more content.
    fn make_room(&mut self, now: Instant) {
        if self.contents.len() < CONTENTS_MAX && self.total < ASKERS_TOTAL_MAX {
            return;
        }
        let mut gone = 0;
        self.contents.retain(|_, content| {
            gone += content.sweep(now);
            !content.askers.is_empty()
        });
        self.total -= gone;
        if self.contents.len() >= CONTENTS_MAX
            && let Some(oldest) = self.contents.iter().min_by_key(|(_, content)| content.asked).map(|(md5, _)| *md5)
        {
            self.total -= self.contents.remove(&oldest).map_or(0, |content| content.askers.len());
        }
    }
}

impl Content {
    fn new(now: Instant) -> Self {
        Self { askers: Vec::new(), places: HashMap::new(), addresses: HashMap::new(), asked: now, swept: now }
    }

    /// Forgets who has not asked again; answers how many.
    fn sweep(&mut self, now: Instant) -> usize {
        if now.saturating_duration_since(self.swept) < SWEEP_EVERY {
            return 0;
        }
        self.swept = now;
        let before = self.askers.len();
        self.askers.retain(|(_, until)| *until > now);
        if self.askers.len() < before {
            self.places = self.askers.iter().zip(0..).map(|((asker, _), place)| (*asker, place)).collect();
            self.addresses.clear();
            self.askers.iter().for_each(|(asker, _)| *self.addresses.entry(asker.address).or_default() += 1);
        }
        before - self.askers.len()
    }

    /// Whether there is room for one who asks, or it is known already.
    fn remember(&mut self, asker: Asker, until: Instant, room: bool) -> bool {
        if let Some(place) = self.places.get(&asker) {
            self.askers[*place].1 = until;
            return true;
        }
        let from_there = self.addresses.get(&asker.address).copied().unwrap_or(0);
        if !room || self.askers.len() >= ASKERS_MAX || from_there >= PORTS_MAX {
            return false;
        }
        self.places.insert(asker, self.askers.len());
        *self.addresses.entry(asker.address).or_default() += 1;
        self.askers.push((asker, until));
        true
    }

    /// A few of those that share, but not the one that asks.
    fn some(&self, asker: Asker, now: Instant, spread: &mut Spread) -> Vec<String> {
        let url = |place: usize| {
            let (other, until) = self.askers.get(place)?;
            let port = other.port.filter(|_| *other != asker && *until > now && suits(other.address, asker.address))?;
            Some(format!("http://{}/", SocketAddr::new(other.address, port)))
        };
        if self.askers.len() <= DRAWS * HAVE_PEERS_MAX {
            let mut urls: Vec<_> = (0..self.askers.len()).filter_map(url).collect();
            for at in 0..urls.len().min(HAVE_PEERS_MAX) {
                let other = at + below(spread, urls.len() - at);
                urls.swap(at, other);
            }
            urls.truncate(HAVE_PEERS_MAX);
            return urls;
        }
        let (mut drawn, mut urls) = (HashSet::new(), Vec::new());
        for _ in 0..DRAWS * HAVE_PEERS_MAX {
            let place = below(spread, self.askers.len());
            urls.extend(drawn.insert(place).then(|| url(place)).flatten());
            if urls.len() == HAVE_PEERS_MAX {
                break;
            }
        }
        urls
    }
}

/// Whether one is to be told of the other: who came to this server over its loopback would be told as that to others, who would find themselves; and who
/// came over the one family of addresses may lack the other.
fn suits(other: IpAddr, asker: IpAddr) -> bool {
    let is_link_local = |address: IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    other.is_loopback() == asker.is_loopback() && other.is_ipv4() == asker.is_ipv4() && !is_link_local(other)
}

fn below(spread: &mut Spread, end: usize) -> usize {
    (spread.number() % (end as u64).max(1)) as usize
}

/// As many as there are ask together once in [`ASK_EACH`]; each at a moment of its own.
fn next_in(askers: usize, spread: &mut Spread) -> Duration {
    let even = ASK_EACH.saturating_mul(u32::try_from(askers).unwrap_or(u32::MAX)).clamp(NEXT_MIN, NEXT_MAX);
    spread.between(even * 3 / 4, even * 5 / 4)
}

#[cfg(test)]
mod tests;
