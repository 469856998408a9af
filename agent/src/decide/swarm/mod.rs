//! One content on its way in pieces: which piece is asked of whom next, who is asked what he has, and when a plain download is all that is needed.
//!
//! | what is known | what follows |
//! | --- | --- |
//! | nothing yet | the nearest server that may be asked is asked what it has, and who else wants the content |
//! | no more want it than a server is asked for copies, and nobody near has all of it | [`Step::Plain`]: exactly one download, from its first missing byte |
//! | a neighbour has pieces that are missing | the rarest of these first; ties are broken by the seed, so that agents differ |
//! | only a server has a piece | it is asked for when it is our turn (`turns`): so about as many agents as [`Terms`] has copies bring it to the others |
//! | a server neither has a piece nor fetches it | whose turn it is for the first of these asks for it, which makes it begin |
//! | a server fetches what is here already, far before what is missing | the next of what is missing is asked for by whose turn it is: it fetches that first |
//! | a neighbour brings a piece over the line | nobody else does, for a while (`coming`) |
//! | all that is missing is on its way | what another source has too is asked for once more, so that nobody waits for one who stalls |
//! | 503 of a neighbour | another one; it is asked again in a moment |
//! | 503 of a server | nobody farther away; neighbours go on |
//! | of several servers of one rank one brings it | that one is asked, and no other is made to begin (`server`) |
//! | a server fails, or tells no more what it has | the next of its rank, then those that are farther; a 503 of before does not count any more |
//! | a neighbour has not begun yet | it is asked again in a moment, a few times |
//! | a neighbour lacks what it said to have | it is asked anew what it has; the third time in a row it is left |
//! | a wrong piece | never again anything from whoever sent it |
//! | nobody is left who may be asked | [`Step::Leave`]: the [chain](super::chain) knows until when |
//!
//! In reading order: [`terms`] are the numbers, `turns` shares out what is asked of a server, `place` is one source, `server` which server is asked, `choice` which piece is asked of whom. What [`Swarm::next`] hands out counts as begun:
//! for each [`Step::Take`] one of [`Swarm::took`], [`Swarm::failed`] and [`Swarm::wrong`] is told, for each [`Step::Have`] one of [`Swarm::told`] and [`Swarm::untold`].

mod choice;
mod coming;
mod flight;
mod lookup;
mod place;
mod server;
pub mod terms;
mod turns;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use protocol::{patience::Spread, pieces::Bitmap};

use self::{
    flight::Flight,
    place::{Has, Place},
    terms::Terms,
};
use super::{
    health::{Health, Request},
    outcome::Outcome,
    source::{Rank, Source},
};

/// Neighbours that are known at once.
pub const PEERS_MAX: usize = 30;
/// Servers that are known at once: as many as one list has.
const SERVERS_MAX: usize = protocol::sources::SOURCES_MAX;
/// Senders of wrong pieces that are remembered.
const BANNED_MAX: usize = 1_024;
/// A server whose own fill is more pieces than this behind what is missing here is asked for what is missing: it fetches that first.
const BEHIND: u32 = 4;
/// So many pieces of it at once, all agents together.
const AHEAD: u32 = 8;
/// Where nothing is known of when something happens, one looks again then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this source, by its place, for this piece.
    Take {
        /// Whom.
        source: usize,
        /// For what.
        piece: u32,
    },
    /// Ask this source what it has.
    Have(usize),
    /// Nothing before then, unless something that is on its way ends.
    Wait(Instant),
    /// Nobody else is around: one plain download from this source. Its end is told by [`Swarm::plain_ended`].
    Plain(usize),
    /// Pieces lead nowhere now; nothing is on its way but questions.
    Leave(Why),
    /// All pieces are here.
    Done,
}

/// Why pieces lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No neighbour is known, and no server may be asked now.
    Nobody,
    /// No neighbour is known, and a server has said to come back later.
    Busy,
}

/// What somebody has.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Of this content; as many as there are.
    pub have: &'a Bitmap,
    /// What it brings over the line just now; as many as there are, or none at all.
    pub coming: &'a Bitmap,
    /// More are on their way to it.
    pub filling: bool,
    /// Machines that want it, this one included; 0: not told.
    pub askers: u64,
    /// Until it may be asked again.
    pub next_in: Duration,
}

/// One content on its way in pieces.
#[derive(Clone, Debug)]
pub struct Swarm {
    terms: Terms,
    seed: u64,
    spread: Spread,
    /// The moments of [`Place`] count from here.
    began: Option<Instant>,
    here: Bitmap,
    /// No piece before this one is missing.
    first_missing: u32,
    flying: Vec<Flight>,
    places: Vec<Place>,
    /// Neighbours that have a piece and not all of them, for each.
    rarity: Vec<u16>,
    /// Those of which there is one.
    around: Bitmap,
    /// All there are.
    all: Bitmap,
    banned: BTreeSet<String>,
    /// As the nearest server says.
    askers: u64,
    /// When each piece, from the first on, was first looked at, in milliseconds from the beginning.
    looked_at: Vec<u32>,
    /// Since when the nearest server that may be asked is one beyond the line, and whether we have begun to ask it.
    far: Option<(Instant, bool)>,
    /// When something came within reach that was not before.
    news: Option<Instant>,
}

impl Swarm {
    /// Of so many pieces, none of them here. The seed is another one for each machine and content.
    pub fn new(count: u32, terms: Terms, seed: u64) -> Self {
        Self {
            terms,
            seed,
            spread: Spread::new(seed),
            began: None,
            here: Bitmap::new(count),
            first_missing: 0,
            flying: Vec::new(),
            places: Vec::new(),
            rarity: vec![0; count as usize],
            around: Bitmap::new(count),
            all: Bitmap::full(count),
            banned: BTreeSet::new(),
            askers: 0,
            looked_at: Vec::new(),
            far: None,
            news: None,
        }
    }

    /// The sources of a list, the nearest first. Neighbours that were known before stay; servers that it lacks are asked no more.
    pub fn put(&mut self, sources: Vec<Source>, now: Instant) {
        for place in self.places.iter_mut().filter(|place| !place.is_peer()) {
            if !sources.iter().any(|source| source.url == place.source.url) {
                place.leave(now);
            }
        }
        for (order, source) in sources.into_iter().enumerate() {
            self.add(source, order, now);
        }
    }

    /// Neighbours that somebody named, by their URLs: who fetches it too.
    pub fn peers(&mut self, urls: impl IntoIterator<Item = String>, now: Instant) {
        for url in urls {
            let known = self.places.iter().find(|place| place.source.url == url);
            if known.is_none_or(|place| place.may_return(now)) {
                let name = crate::short(&url);
                self.add(Source { rank: Rank::Peer, name, url, partial: true }, usize::MAX, now);
            }
        }
    }

    fn add(&mut self, source: Source, order: usize, now: Instant) {
        self.began.get_or_insert(now);
        if self.banned.contains(&source.url) {
            return;
        }
        if let Some(at) = self.places.iter().position(|place| place.source.url == source.url) {
            self.forget_what_it_has(at, source.partial);
            return self.places[at].listed_again(source, order, now);
        }
        let is_peer = source.rank == Rank::Peer;
        let most = if is_peer { PEERS_MAX } else { SERVERS_MAX };
        let known = self.places.iter().filter(|place| place.is_peer() == is_peer).count();
        let place = Place::new(source, order, now);
        if known < most {
            return self.places.push(place);
        }
        // Who is of no use any more makes room for another.
        let is_free =
            |old: &Place| old.is_peer() == is_peer && old.is_gone() && old.in_flight == 0 && old.asked_at.is_none();
        if let Some(old) = self.places.iter_mut().find(|old| is_free(old)) {
            *old = place;
        }
    }

    /// Before a neighbour that had pieces counts as one that has all, or comes back.
    fn forget_what_it_has(&mut self, at: usize, is_partial: bool) {
        if self.places[at].is_peer() && (self.places[at].is_gone() || !is_partial) {
            self.has_now(at, Has::Unknown);
        }
    }

    /// A piece is here, and was compared with its digest.
    pub fn here(&mut self, piece: u32) {
        self.here.set(piece);
        while self.first_missing < self.here.len() && self.here.get(self.first_missing) {
            self.first_missing += 1;
        }
    }

    /// No piece before this one is missing.
    pub fn first_missing(&self) -> u32 {
        self.first_missing
    }

    /// The pieces that are here.
    pub fn all_here(&self) -> &Bitmap {
        &self.here
    }

    /// A source by its place.
    ///
    /// # Panics
    /// If there is none: places come from [`Step`]s, and hold while what they were handed out for is on its way.
    pub fn source(&self, place: usize) -> &Source {
        &self.places[place].source
    }

    /// Sources that may be asked now or later.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.places.iter().filter(|place| !place.is_gone()).map(|place| &place.source)
    }

    /// Machines that want it, as far as is known: as the server says, else those that were met.
    pub fn askers(&self) -> u64 {
        let met = self.places.iter().filter(|place| place.is_peer() && !place.is_gone() && place.has != Has::All);
        if self.askers > 0 { self.askers } else { 1 + met.count() as u64 }
    }

    /// What to do now. Called again and again, until it says to wait.
    pub fn next(&mut self, health: &Health, now: Instant) -> Step {
        if self.first_missing == self.here.len() {
            return Step::Done;
        }
        let server = self.server(health, now);
        self.note_how_far(server, now);
        self.look_ahead(now);
        if let Some(place) = self.question(server, health, now) {
            self.places[place].asked_at = Some(now);
            return Step::Have(place);
        }
        let others_until = server.and_then(|server| self.waits_for_others(server, health, now));
        let asked = server.filter(|_| others_until.is_none());
        if self.flying.is_empty()
            && let Some(place) = asked.filter(|server| self.is_plain(*server, health, now))
        {
            return Step::Plain(place);
        }
        let mut until = self.next_word(server, health, now).into_iter().chain(others_until).min();
        if self.flying.len() < self.terms.in_flight {
            match self.choose(asked, health, now) {
                Ok((source, piece)) => {
                    if self.places[source].is_far() {
                        self.far = self.far.map(|(since, _)| (since, true));
                    }
                    self.places[source].in_flight += 1;
                    self.flying.push(Flight { source, piece, since: now });
                    return Step::Take { source, piece };
                }
                Err(turn) => until = until.into_iter().chain(turn).min(),
            }
        }
        match self.is_left(server, health, now) {
            Some(why) if self.flying.is_empty() => Step::Leave(why),
            _ => Step::Wait(until.unwrap_or(now + LOOK_AGAIN)),
        }
    }

    /// The turns of a piece begin when it is looked at: a server that has everything is not asked for everything by everybody at once.
    fn look_ahead(&mut self, now: Instant) {
        let end = self.first_missing.saturating_add(self.terms.window).min(self.here.len()) as usize;
        if self.looked_at.len() < end {
            let began = *self.began.get_or_insert(now);
            self.looked_at.resize(end, place::milliseconds(began, now));
        }
    }

    /// Since when nobody of our own branch can be asked. That one who has failed is due again is not yet a reason to leave it to others.
    fn note_how_far(&mut self, server: Option<usize>, now: Instant) {
        if server.is_some_and(|server| self.places[server].is_far()) {
            self.far = self.far.or(Some((now, false)));
        }
    }

    /// Whether one download of all that is missing is as good: it is everybody's turn, nobody near has it all, and what is missing is one run.
    fn is_plain(&self, server: usize, health: &Health, now: Instant) -> bool {
        let place = &self.places[server];
        let is_near = |peer: &&Place| {
            let may = peer.is_peer() && !peer.is_gone() && peer.waits(health, now).is_none();
            may && peer.has == Has::All
        };
        place.is_told
            && self.askers() <= u64::from(self.terms.turns(place.source.rank).copies)
            && !self.places.iter().any(|peer| is_near(&peer))
            && self.here.count() == self.first_missing
    }

    /// When somebody is to be asked what he has, though there is nothing else to do.
    pub fn asks_at(&self, now: Instant) -> Option<Instant> {
        let places = self.places.iter().filter(|place| !place.is_gone() && place.asked_at.is_none());
        let wall = self.nearest_wall(now).map(|at| &self.places[at]);
        places.filter(|place| place.is_peer()).chain(wall).filter_map(|place| place.ask_at).min()
    }

    /// What a source has.
    pub fn told(&mut self, at: usize, said: &Said<'_>, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let place = &mut self.places[at];
        let before = place.has.clone();
        place.told(said.have, said.filling, said.next_in, began, now);
        let front = self.all.without(said.have, 0..self.all.len()).next().unwrap_or(self.all.len());
        place.is_behind(said.filling && front.saturating_add(BEHIND) < self.first_missing, now);
        if place.is_peer() {
            // Somebody who brings what is missing here is news too.
            let is_brought = place.coming.said(said.coming, said.have, &self.here, now);
            let after = std::mem::replace(&mut place.has, before);
            if self.has_now(at, after) || is_brought {
                self.news = Some(now);
            }
        } else if said.askers > 0 && (self.places[at].server_since.is_some() || said.askers > self.askers) {
            self.askers = said.askers;
        }
        if !self.places[at].is_peer() && !self.places[at].is_far() {
            self.far = None;
        }
    }

    /// A source was asked and told nothing.
    pub fn untold(&mut self, at: usize, outcome: &Outcome, health: &mut Health, now: Instant) {
        if matches!(outcome, Outcome::Failed { .. }) {
            health.failed(&self.places[at].source.url, Request::Content, now);
        }
        self.places[at].untold(outcome, &mut self.spread, now);
        self.forget_if_gone(at);
    }

    /// Keeps the number of holders of each piece right; answers whether a piece that is missing here has come within reach.
    fn has_now(&mut self, at: usize, has: Has) -> bool {
        let before = std::mem::replace(&mut self.places[at].has, has);
        let none = Bitmap::new(self.here.len());
        let these = |has: &'_ Has| match has {
            Has::These(these) => these.clone(),
            Has::All | Has::Unknown => none.clone(),
        };
        let mut is_news = false;
        // Of thousands of pieces few are new since it was asked last.
        let (before, after) = (these(&before), these(&self.places[at].has));
        for piece in before.without(&after, 0..before.len()) {
            let rarity = &mut self.rarity[piece as usize];
            *rarity = rarity.saturating_sub(1);
            if *rarity == 0 {
                self.around.clear(piece);
            }
        }
        for piece in after.without(&before, 0..after.len()) {
            let rarity = &mut self.rarity[piece as usize];
            is_news |= *rarity == 0 && !self.here.get(piece);
            *rarity = rarity.saturating_add(1);
            self.around.set(piece);
        }
        is_news
    }

    /// What one had who is gone counts no more.
    fn forget_if_gone(&mut self, at: usize) {
        if self.places[at].is_gone() && self.places[at].is_peer() {
            self.has_now(at, Has::Unknown);
        }
    }

    fn landed(&mut self, at: usize, piece: u32) {
        if let Some(found) = self.flying.iter().position(|flight| (flight.source, flight.piece) == (at, piece)) {
            self.flying.swap_remove(found);
            self.places[at].in_flight -= 1;
        }
    }

    /// A piece came, and was compared with its digest.
    pub fn took(&mut self, at: usize, piece: u32, health: &mut Health) {
        self.landed(at, piece);
        self.places[at].gave();
        health.succeeded(&self.places[at].source.url, Request::Content);
        self.here(piece);
    }

    /// A piece did not come.
    pub fn failed(&mut self, at: usize, piece: u32, outcome: &Outcome, health: &mut Health, now: Instant) {
        self.landed(at, piece);
        if *outcome == (Outcome::Failed { got: 0 }) {
            health.failed(&self.places[at].source.url, Request::Content, now);
        }
        if let (Outcome::Absent, Has::These(these)) = (outcome, &self.places[at].has)
            && self.places[at].is_peer()
        {
            // Taken out of the count before it is taken out of what it has.
            let mut less = these.clone();
            less.clear(piece);
            self.has_now(at, Has::These(less));
        }
        self.places[at].failed(outcome, &mut self.spread, now);
        self.forget_if_gone(at);
    }

    /// A piece came that is not that piece: nothing is asked of whoever sent it, ever again.
    pub fn wrong(&mut self, at: usize, piece: u32, now: Instant) {
        self.landed(at, piece);
        self.places[at].leave(now);
        if self.banned.len() < BANNED_MAX {
            self.banned.insert(self.places[at].source.url.clone());
        }
        self.forget_if_gone(at);
    }

    /// Pieces that are here and still on their way from another source: nobody needs them.
    pub fn needless(&self) -> impl Iterator<Item = (usize, u32)> {
        let needless = self.flying.iter().filter(|flight| self.here.get(flight.piece));
        needless.map(|flight| (flight.source, flight.piece))
    }

    /// A piece is not waited for any more, and nobody is to blame.
    pub fn cancelled(&mut self, at: usize, piece: u32) {
        self.landed(at, piece);
    }

    /// Nothing is waited for any more, and nobody is to blame.
    pub fn dropped(&mut self) {
        self.flying.clear();
        for place in &mut self.places {
            (place.in_flight, place.asked_at) = (0, None);
        }
    }

    /// The plain download ended before all was here. Whether others are around is asked anew. Of failures the caller has told [`Health`].
    pub fn plain_ended(&mut self, at: usize, outcome: &Outcome, now: Instant) {
        self.places[at].failed(outcome, &mut self.spread, now);
        for place in self.places.iter_mut().filter(|place| place.ask_at.is_some() && !place.is_peer()) {
            (place.ask_at, place.is_told) = (Some(now), false);
        }
        self.forget_if_gone(at);
    }

    /// Forgets all waits, but nobody's wrong pieces.
    pub fn forgive(&mut self, now: Instant) {
        for place in &mut self.places {
            place.until = None;
            place.ask_at = place.ask_at.map(|at| at.min(now));
        }
    }
}

#[cfg(test)]
mod tests;
