//! All that is known of one content that may come in pieces, while it comes: whom to ask, what is on its way, who gave something.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::{
    digest::{Digests, Sha256},
    pieces::{Have, Layout, Pieces},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{AbortHandle, JoinSet},
};

use super::{
    arrivals::Arriving,
    asker::{Asker, Missed},
    piece::Gave,
};
use crate::{
    bring::finder::now,
    decide::{
        health::Health,
        outcome::Outcome,
        source::{Rank, Source},
        swarm::{Said, Swarm, terms::Terms},
    },
    seed,
};

/// Bytes that are held at once for one content, on their way and until the disk has taken them.
const IN_FLIGHT_BYTES_MAX: u64 = 32 << 20;
/// Who gave a piece within this counts among those it comes from.
const GIVING: Duration = Duration::from_secs(10);
/// Different senders of pieces that did not fit a list that nobody vouches for: then the list is what is wrong.
const LIARS_MAX: u32 = 2;

/// One content that may come in pieces.
pub(crate) struct Party {
    pub(super) asker: Asker,
    pub(super) swarm: Swarm,
    /// What the origin says that the list is known by.
    pub(super) root: Option<Sha256>,
    pub(super) list: Option<Pieces>,
    /// What is here was compared since the last plain download.
    pub(super) is_compared: bool,
    pub(super) arriving: Option<Arriving>,
    pub(super) flights: JoinSet<Landed>,
    handles: BTreeMap<(usize, u32), AbortHandle>,
    /// Our place among those who receive.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// Who gave a piece last when.
    gave: BTreeMap<String, (Source, Instant)>,
    liars: u32,
}

/// What is to be done next.
pub(crate) enum Turn {
    /// It is here.
    Here(Digests),
    /// One download of all that is missing, from this source.
    Plain(Source),
    /// As the chain says.
    Chain,
}

/// What came of something that was on its way.
pub(super) enum Landed {
    Piece(usize, u32, Gave),
    Had(usize, Result<Have, Missed>),
}

impl Party {
    /// `None`: one download is all there is to it.
    pub(crate) fn new(asker: Asker, root: Option<Sha256>) -> Option<Self> {
        let layout = asker.layout;
        let terms = terms(layout)?;
        Some(Self {
            swarm: Swarm::new(layout.count(), terms, seed()),
            asker,
            root,
            list: None,
            is_compared: false,
            arriving: None,
            flights: JoinSet::new(),
            handles: BTreeMap::new(),
            slot: None,
            gave: BTreeMap::new(),
            liars: 0,
        })
    }

    /// Begins to ask somebody what he has.
    pub(super) fn ask(&mut self, place: usize) {
        let (asker, source) = (self.asker.clone(), self.swarm.source(place).clone());
        self.flights.spawn(async move { Landed::Had(place, asker.question(&source).await) });
    }

    /// Begins to bring a piece.
    pub(super) fn fetch(&mut self, place: usize, piece: u32, list: &Pieces) {
        let (asker, source, list) = (self.asker.clone(), self.swarm.source(place).clone(), list.clone());
        if let Some(arriving) = self.arriving.as_ref().filter(|_| source.rank > Rank::Proxy) {
            arriving.arrival.is_coming(piece, true);
        }
        let flying =
            self.flights.spawn(async move { Landed::Piece(place, piece, asker.piece(&source, &list, piece).await) });
        self.handles.insert((place, piece), flying);
    }

    /// Nobody waits any more for what is here by another way.
    pub(super) fn stop_needless(&mut self) {
        let needless: Vec<_> = self.swarm.needless().collect();
        for (place, piece) in needless {
            self.handles.remove(&(place, piece)).inspect(AbortHandle::abort);
            self.is_not_coming(piece);
            self.swarm.cancelled(place, piece);
        }
    }

    /// Whether a piece that came is still waited for.
    pub(super) fn landed(&mut self, place: usize, piece: u32) -> bool {
        self.is_not_coming(piece);
        self.handles.remove(&(place, piece)).is_some()
    }

    fn is_not_coming(&self, piece: u32) {
        if let Some(arriving) = &self.arriving {
            arriving.arrival.is_coming(piece, false);
        }
    }

    pub(super) fn gave(&mut self, place: usize, now: Instant) {
        let source = self.swarm.source(place).clone();
        self.gave.retain(|_, (_, at)| now.saturating_duration_since(*at) < GIVING);
        self.gave.insert(source.url.clone(), (source, now));
    }

    /// What somebody said that he has.
    pub(super) fn had(&mut self, place: usize, had: Result<Have, Missed>, health: &mut Health, now: Instant) {
        match had {
            Ok(have) => {
                let next_in = Duration::from_millis(have.next_in);
                let Have { have: pieces, coming, filling, askers, .. } = &have;
                let said = Said { have: pieces, coming, filling: *filling, askers: *askers, next_in };
                self.swarm.told(place, &said, now);
                self.swarm.peers(have.peers, now);
            }
            Err(missed) => {
                tracing::debug!(source = self.swarm.source(place).name, said = missed.said, "a source tells nothing");
                self.swarm.untold(place, &missed.outcome, health, now);
                self.swarm.peers(missed.peers, now);
            }
        }
        // Others are around: they will ask.
        if let (Some(arriving), true) = (&self.arriving, self.swarm.askers() > 1) {
            arriving.arrival.want();
        }
    }

    /// A source was asked for the whole, and it did not come.
    pub(crate) fn plain_ended(&mut self, source: &Source, outcome: &Outcome, now: Instant) {
        self.is_compared = false;
        match self.swarm.place_of(&source.url) {
            Some(place) if *outcome == Outcome::Wrong => self.swarm.wrong(place, u32::MAX, now),
            Some(place) => self.swarm.plain_ended(place, outcome, now),
            None => {}
        }
    }

    /// What was here is thrown away: nothing of what is known of it holds.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.arriving.as_ref().is_some_and(|arriving| arriving.arrival.reader().failure().is_some())
    }

    /// A piece does not fit. `true`: nor did those of others, and nobody vouches for the list.
    pub(super) fn is_list_wrong(&mut self) -> bool {
        self.liars += 1;
        self.root.is_none() && self.liars >= LIARS_MAX
    }

    /// All waits are over.
    pub(crate) fn forgive(&mut self) {
        self.swarm.forgive(now());
    }

    /// When the swarm is to be asked again, though nothing is on its way.
    pub(crate) fn looks_again_at(&self, now: Instant) -> Option<Instant> {
        self.swarm.asks_at(now)
    }

    /// From whom it comes, in a few words, and how near that is if it is one place.
    pub(super) fn giving(&self) -> Option<(String, Option<Rank>)> {
        giving(self.gave.values().map(|(source, _)| source))
    }
}

/// How much at once: less where pieces are large, and none where a single one is too much to hold.
fn terms(layout: Layout) -> Option<Terms> {
    let terms = Terms::default();
    let at_once = usize::try_from(IN_FLIGHT_BYTES_MAX / layout.piece_size()).unwrap_or(usize::MAX);
    let is_worth_it = layout.count() >= 2 && at_once >= 1;
    is_worth_it.then(|| Terms { in_flight: terms.in_flight.min(at_once), ..terms })
}

/// `branch-7 and 6 neighbours`
fn giving<'s>(sources: impl Iterator<Item = &'s Source>) -> Option<(String, Option<Rank>)> {
    let (peers, servers): (Vec<_>, Vec<_>) = sources.partition(|source| source.rank == Rank::Peer);
    let server = servers.iter().min_by_key(|source| source.rank);
    Some(match (server, peers.as_slice()) {
        (None, []) => return None,
        (Some(server), []) => (server.name.clone(), Some(server.rank)),
        (None, [peer]) => (peer.name.clone(), Some(Rank::Peer)),
        (None, peers) => (format!("{} neighbours", peers.len()), None),
        (Some(server), [_]) => (format!("{} and 1 neighbour", server.name), None),
        (Some(server), peers) => (format!("{} and {} neighbours", server.name, peers.len()), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_from_whom_it_comes() {
        let source = |rank, name: &str| Source { rank, name: name.into(), url: name.into(), partial: false };
        let (proxy, origin) = (source(Rank::Proxy, "branch-7"), source(Rank::Origin, "hq"));
        let (one, two) = (source(Rank::Peer, "pc1"), source(Rank::Peer, "pc2"));
        for (sources, expected) in [
            (&[][..], None),
            (&[&proxy][..], Some(("branch-7", Some(Rank::Proxy)))),
            (&[&one], Some(("pc1", Some(Rank::Peer)))),
            (&[&one, &two], Some(("2 neighbours", None))),
            (&[&one, &proxy], Some(("branch-7 and 1 neighbour", None))),
            (&[&one, &two, &origin, &proxy], Some(("branch-7 and 2 neighbours", None))),
        ] {
            let found = giving(sources.iter().copied());
            assert_eq!(found.as_ref().map(|(text, rank)| (text.as_str(), *rank)), expected);
        }
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        const G: u64 = 1 << 30;
        for (size, in_flight) in [
            (1, None),
            (1 << 20, None),
            ((1 << 20) + 1, Some(4)),
            (4 * G, Some(4)),
            (64 * G, Some(2)),
            (128 * G, Some(1)),
            (129 * G, None),
        ] {
            let layout = Layout::of(size);
            let found = terms(layout).map(|terms| terms.in_flight);
            assert_eq!(found, in_flight, "{size} in pieces of {}", layout.piece_size());
            assert!(found.unwrap_or(0) as u64 * layout.piece_size() <= IN_FLIGHT_BYTES_MAX);
        }
    }
}
