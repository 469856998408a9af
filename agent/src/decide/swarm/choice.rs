//! Which piece is asked of whom: neighbours first, and the rarest; of a server what it is our turn for.

use std::time::Instant;

use super::{Swarm, flight::Flight, place::Has, turns};
use crate::decide::health::Health;

/// Of one piece at once, where one of them stalls.
const DOUBLES_MAX: usize = 2;

impl Swarm {
    /// The next piece and whom it is asked of; else when that may change.
    pub(super) fn choose(
        &self,
        server: Option<usize>,
        health: &Health,
        now: Instant,
    ) -> Result<(usize, u32), Option<Instant>> {
        let free: Vec<usize> = (0..self.places.len()).filter(|at| self.is_free_peer(*at, health, now)).collect();
        if let Some(found) = self.of_peers(&free, |piece| !self.is_flying(piece)) {
            return Ok(found);
        }
        let server = server.filter(|server| self.places[*server].in_flight < self.terms.per_source);
        let turn = match server.map_or(Err(None), |server| self.of_server(server, now)) {
            Ok(found) => return Ok(found),
            Err(turn) => turn,
        };
        if !self.window().all(|piece| self.is_flying(piece)) {
            return Err(turn);
        }
        // Nothing is left but what is on its way already: from somebody who stalls, perhaps.
        let is_late = |piece: u32| self.is_late(piece, now);
        let late = self.flying.iter().map(Flight::is_late_at).filter(|at| *at > now);
        let double = self.of_peers(&free, is_late).or_else(|| self.double_of(server?, now));
        double.ok_or_else(|| turn.into_iter().chain(late).min())
    }

    fn is_free_peer(&self, at: usize, health: &Health, now: Instant) -> bool {
        let place = &self.places[at];
        let may = place.is_peer() && !place.is_gone() && place.in_flight < self.terms.per_source;
        may && place.waits(health, now).is_none()
    }

    /// The missing pieces that are looked at.
    fn window(&self) -> impl Iterator<Item = u32> {
        let end = self.first_missing.saturating_add(self.terms.window).min(self.here.len());
        (self.first_missing..end).filter(|piece| !self.here.get(*piece))
    }

    fn is_flying(&self, piece: u32) -> bool {
        self.flying.iter().any(|flight| flight.piece == piece)
    }

    fn is_late(&self, piece: u32, now: Instant) -> bool {
        self.flying.iter().any(|flight| flight.piece == piece && flight.is_late_at() <= now)
    }

    /// Whether a source may be asked for a piece, though it may be on its way from another.
    fn may_double(&self, at: usize, piece: u32) -> bool {
        let mut flying = self.flying.iter().filter(|flight| flight.piece == piece);
        flying.clone().count() < DOUBLES_MAX && flying.all(|flight| flight.source != at)
    }

    /// The rarest piece that one of these has, of the one that is the least busy for us.
    fn of_peers(&self, free: &[usize], is_wanted: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        if free.is_empty() {
            return None;
        }
        let has_one_all = free.iter().any(|at| self.places[*at].has == Has::All);
        let mut best: Option<((u16, u64), usize, u32)> = None;
        for piece in self.window() {
            let rarity = self.rarity[piece as usize];
            if rarity == 0 && !has_one_all {
                continue;
            }
            let key = (rarity, turns::number(self.seed, piece));
            if best.is_none_or(|(least, ..)| key < least)
                && is_wanted(piece)
                && let Some(at) = self.holder(free, piece, key.1)
            {
                best = Some((key, at, piece));
            }
        }
        best.map(|(_, at, piece)| (at, piece))
    }

    /// Who of these has a piece; of several the draw decides.
    fn holder(&self, free: &[usize], piece: u32, draw: u64) -> Option<usize> {
        let has = |at: &&usize| self.places[**at].has_piece(piece) && self.may_double(**at, piece);
        let order = |at: &&usize| (self.places[**at].in_flight, turns::number(draw, **at as u32));
        free.iter().filter(has).min_by_key(order).copied()
    }

    /// The rarest piece of a server whose turn it is; else when the first turn comes.
    fn of_server(&self, server: usize, now: Instant) -> Result<(usize, u32), Option<Instant>> {
        let (place, askers) = (&self.places[server], self.askers());
        let terms = self.terms.turns(place.source.rank);
        let began = self.began.unwrap_or(now);
        let turn = |piece: u32| place.turn(piece, self.seed, askers, terms, began);
        let missing = || self.window().filter(|piece| !self.is_flying(*piece));
        let due = missing().filter(|piece| turn(*piece).is_some_and(|at| at <= now));
        let key = |piece: &u32| (self.rarity[*piece as usize], turns::number(self.seed, *piece));
        if let Some(piece) = due.min_by_key(key) {
            return Ok((server, piece));
        }
        let first = missing().find(|piece| !place.has_piece(*piece)).filter(|_| place.in_flight == 0);
        let begin = first.and_then(|piece| Some((piece, place.turn_to_begin(piece, self.seed, askers, terms)?)));
        match begin {
            Some((piece, at)) if at <= now => Ok((server, piece)),
            begin => Err(missing().filter_map(turn).chain(begin.map(|(_, at)| at)).min()),
        }
    }

    /// A piece that is on its way from a neighbour, once more from a server that has it.
    fn double_of(&self, server: usize, now: Instant) -> Option<(usize, u32)> {
        let (place, askers, began) = (&self.places[server], self.askers(), self.began.unwrap_or(now));
        let terms = self.terms.turns(place.source.rank);
        let is_due = |piece: u32| place.turn(piece, self.seed, askers, terms, began).is_some_and(|at| at <= now);
        self.window()
            .find(|piece| self.is_late(*piece, now) && self.may_double(server, *piece) && is_due(*piece))
            .map(|piece| (server, piece))
    }
}
