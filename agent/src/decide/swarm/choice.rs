//! Which piece is asked of whom: neighbours first, and the rarest; of a server what it is our turn for.

use std::time::{Duration, Instant};

use protocol::pieces::Bitmap;

use super::{
    AHEAD, Swarm,
    flight::Flight,
    place::{Has, Place},
    turns,
};
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
        let others: Vec<_> = server.into_iter().flat_map(|server| self.also_bring(server, health, now)).collect();
        let server = server.filter(|server| self.places[*server].in_flight < self.terms.per_server);
        let mut turn = match server.map_or(Err(None), |server| self.of_server(server, now)) {
            Ok(found) => return Ok(found),
            Err(turn) => turn,
        };
        for other in others {
            match self.of_those_it_has(other, now) {
                Ok(found) => return Ok(found),
                Err(later) => turn = turn.into_iter().chain(later).min(),
            }
        }
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
        let may = place.is_peer() && !place.is_gone() && place.in_flight < self.terms.per_peer;
        may && place.waits(health, now).is_none()
    }

    /// The missing pieces that are looked at.
    fn window(&self) -> impl Iterator<Item = u32> {
        self.missing_of(&self.all)
    }

    /// Those of them that are among these.
    fn missing_of<'a>(&'a self, these: &'a Bitmap) -> impl Iterator<Item = u32> + 'a {
        these.without(&self.here, self.first_missing..self.first_missing.saturating_add(self.terms.window))
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
        for piece in self.missing_of(if has_one_all { &self.all } else { &self.around }) {
            let rarity = self.rarity[piece as usize];
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

    /// When it is our turn to ask a server for a piece that it has, or is to fetch first.
    pub(super) fn turn(&self, server: usize, piece: u32, now: Instant) -> Option<Instant> {
        let (place, began) = (&self.places[server], self.began.unwrap_or(now));
        if place.is_far() {
            return Some(self.turn_beyond(piece, now)).filter(|_| place.has_piece(piece));
        }
        let looked_at = self.looked_at.get(piece as usize).copied().unwrap_or(0);
        let ahead = || place.behind_since.filter(|_| piece < self.first_missing.saturating_add(AHEAD));
        let since =
            place.has_since(piece, began).or_else(ahead)?.max(began + Duration::from_millis(u64::from(looked_at)));
        let since = place.server_since.map_or(since, |server_since| server_since.max(since));
        since.checked_add(turns::wait(self.seed, piece, self.askers(), self.terms.near))
    }

    /// When it is our turn to ask for a piece beyond the line: when others have brought nothing for so long that it is ours; and if a neighbour has it, not before
    /// nothing has come for a whole turn.
    fn turn_beyond(&self, piece: u32, now: Instant) -> Instant {
        let (since, has_begun) = self.far.unwrap_or((now, false));
        let quiet_since = self.news.map_or(since, |news| news.max(since));
        let wait = turns::apart(self.seed, turns::CONTENT, self.askers(), self.terms.far);
        let ours = if has_begun { since } else { quiet_since + wait };
        let has_all = |peer: &Place| peer.is_peer() && !peer.is_gone() && peer.has == Has::All;
        let is_around = self.rarity[piece as usize] > 0 || self.places.iter().any(has_all);
        if is_around { ours.max(quiet_since + self.terms.far.every) } else { ours }
    }

    /// The rarest piece of a server whose turn it is, else what makes it begin; else when the first turn comes.
    fn of_server(&self, server: usize, now: Instant) -> Result<(usize, u32), Option<Instant>> {
        let turn = match self.of_those_it_has(server, now) {
            Ok(found) => return Ok(found),
            Err(turn) => turn,
        };
        match self.to_begin(server, now) {
            Some((piece, at)) if at <= now => Ok((server, piece)),
            begin => Err(turn.into_iter().chain(begin.map(|(_, at)| at)).min()),
        }
    }

    /// The rarest piece of a server that has it, or is to fetch it first, whose turn it is; else when the first turn comes.
    fn of_those_it_has(&self, server: usize, now: Instant) -> Result<(usize, u32), Option<Instant>> {
        let place = &self.places[server];
        let mut due = None;
        let mut turn = None;
        let has = match &place.has {
            Has::These(these) if place.behind_since.is_none() => these,
            Has::These(_) | Has::All | Has::Unknown => &self.all,
        };
        let coming = self.coming(server, now);
        let is_coming = |piece: u32| coming.as_ref().is_some_and(|coming| coming.get(piece));
        for piece in self.missing_of(has).filter(|piece| !self.is_flying(*piece) && !is_coming(*piece)) {
            match self.turn(server, piece, now) {
                Some(at) if at <= now => {
                    let key = (self.rarity[piece as usize], turns::number(self.seed, piece));
                    due = due.into_iter().chain([(key, piece)]).min();
                }
                at => turn = turn.into_iter().chain(at).min(),
            }
        }
        match due {
            Some((_, piece)) => Ok((server, piece)),
            None => Err(turn),
        }
    }

    /// What neighbours bring over the line just now, where that is where it would come from.
    fn coming(&self, server: usize, now: Instant) -> Option<Bitmap> {
        let peers = self.places.iter().filter(|place| place.is_peer() && !place.is_gone());
        let mut pieces = peers.flat_map(|place| place.coming.pieces(now)).peekable();
        pieces.peek().filter(|_| self.places[server].is_far())?;
        let mut coming = Bitmap::new(self.here.len());
        pieces.for_each(|piece| coming.set(piece));
        Some(coming)
    }

    /// The first missing piece, and when it is our turn to ask a server for it that neither has it nor fetches.
    fn to_begin(&self, server: usize, now: Instant) -> Option<(u32, Instant)> {
        let place = Some(&self.places[server]).filter(|place| place.is_idle() && place.in_flight == 0)?;
        let piece = self.window().find(|piece| !self.is_flying(*piece) && !place.has_piece(*piece))?;
        let near = || place.turn_to_begin(piece, self.seed, self.askers(), self.terms.near);
        let at = if place.is_far() { Some(self.turn_beyond(piece, now)) } else { near() };
        Some((piece, at?))
    }

    /// A piece that is on its way from a neighbour, once more from a server that has it.
    fn double_of(&self, server: usize, now: Instant) -> Option<(usize, u32)> {
        let is_due = |piece: u32| self.turn(server, piece, now).is_some_and(|at| at <= now);
        self.window()
            .find(|piece| self.is_late(*piece, now) && self.may_double(server, *piece) && is_due(*piece))
            .map(|piece| (server, piece))
    }
}
