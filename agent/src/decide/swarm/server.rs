//! Which server is asked, and who is asked what he has. Of several that are equally near one brings a content to the branch, and the others are left alone:
//! what two of them fetch crosses the line twice.
//!
//! | what servers of one rank say | who is asked |
//! | --- | --- |
//! | one has all of it | that one |
//! | one fetches it, or has what is missing here | that one, whoever comes before it in the list; of several the one that was asked before, and another for what only that one has |
//! | none does | the one that was asked before and has a part of it, else the first; it is made to begin when each of the others has said so, or nothing for a moment |
//! | all places are taken where it is fetched | nobody else |
//! | the one that fetches it broke off | it is asked at once whether it goes on; until it says so, or nothing for a moment, nobody else is made to begin |
//! | it fails, is silent or refuses | the next of these, at once |
//!
//! For the next content all of this begins anew, and with it the order of the list.

use std::time::{Duration, Instant};

use super::{Swarm, Why, place::Place};
use crate::decide::health::Health;

/// Before a server is made to begin, others of its rank have so long to say that they bring it already.
const OTHERS_MAX: Duration = Duration::from_secs(1);

impl Swarm {
    /// The server that is asked for pieces now.
    pub(super) fn server(&mut self, health: &Health, now: Instant) -> Option<usize> {
        let found = self.best_server(health, now)?;
        if self.places[found].server_since.is_none() {
            let rank = self.places[found].source.rank;
            for place in self.places.iter_mut().filter(|place| place.source.rank == rank) {
                place.server_since = None;
            }
            self.places[found].server_since = Some(now);
        }
        Some(found)
    }

    /// The best of the nearest that may be asked. One that is busy keeps us from those that are farther than it.
    fn best_server(&self, health: &Health, now: Instant) -> Option<usize> {
        let may = |at: &usize| {
            let place = &self.places[*at];
            let is_before_walls = || self.servers().all(|wall| self.places[wall].lets_past(place, now));
            !place.is_silent && place.waits(health, now).is_none() && is_before_walls()
        };
        let nearest = self.servers().filter(may).min_by_key(|at| self.places[*at].source.rank)?;
        if self.beside(nearest).next().is_none() {
            return Some(nearest);
        }
        let of_rank = || self.servers().filter(|at| *at == nearest || self.is_beside(nearest, *at));
        let is_brought = of_rank().any(|at| self.brings(at, health, now));
        let order = |at: &usize| {
            let place = &self.places[*at];
            let worth = match self.brings(*at, health, now) {
                true if place.holds_all() => 0,
                true if place.server_since.is_some() => 1,
                true => 2,
                false if place.has_a_part() && place.may_bring(health, now) => 3,
                false if place.may_bring(health, now) => 4,
                false => 5,
            };
            (worth, place.order)
        };
        of_rank().filter(may).filter(|at| !is_brought || self.brings(*at, health, now)).min_by_key(order)
    }

    fn servers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.places.len()).filter(|at| !self.places[*at].is_peer() && !self.places[*at].is_gone())
    }

    fn is_beside(&self, server: usize, other: usize) -> bool {
        other != server && self.places[other].source.rank == self.places[server].source.rank
    }

    /// Other servers of the same rank.
    fn beside(&self, server: usize) -> impl Iterator<Item = usize> + '_ {
        self.servers().filter(move |other| self.is_beside(server, *other))
    }

    fn brings(&self, server: usize, health: &Health, now: Instant) -> bool {
        self.places[server].brings(&self.here, health, now)
    }

    /// Until when a server that would have to begin is not made to: another one of its rank may bring it already, and has not said so yet.
    pub(super) fn waits_for_others(&self, server: usize, health: &Health, now: Instant) -> Option<Instant> {
        let until = |place: &Place| {
            let since = match place.asked_at {
                Some(asked_at) => asked_at,
                None if !place.is_told || place.is_doubted => self.places[server].server_since?,
                None => return None,
            };
            Some(since + OTHERS_MAX).filter(|until| *until > now)
        };
        let others = self.beside(server).map(|other| &self.places[other]);
        let others = others.filter(|other| other.ask_at.is_some() && other.may_bring(health, now));
        let until = others.filter_map(until).max()?;
        (!self.brings(server, health, now)).then_some(until)
    }

    /// Others of its rank that may be asked for what they have, and bring it too.
    pub(super) fn also_bring<'a>(
        &'a self,
        server: usize,
        health: &'a Health,
        now: Instant,
    ) -> impl Iterator<Item = usize> + 'a {
        let may = move |at: &usize| {
            let place = &self.places[*at];
            let is_free = place.in_flight < self.terms.per_server && place.waits(health, now).is_none();
            is_free && self.brings(*at, health, now)
        };
        self.beside(server).filter(may)
    }

    /// Who is to be asked what he has: a server that has failed, whether it is back; then the server, for it may say that nobody else is around. While it is busy it
    /// is asked too: it names others.
    pub(super) fn question(&self, server: Option<usize>, health: &Health, now: Instant) -> Option<usize> {
        let is_due =
            |place: &Place| !place.is_gone() && place.asked_at.is_none() && place.ask_at.is_some_and(|at| at <= now);
        if self.places.iter().filter(|place| place.asked_at.is_some()).count() >= self.terms.questions {
            return None;
        }
        let is_back = |place: &Place| place.is_silent && is_due(place) && place.waits(health, now).is_none();
        if let Some(silent) = self.places.iter().position(is_back) {
            return Some(silent);
        }
        let servers = self.asked_servers(server, health, now);
        if let Some(due) = servers.iter().find(|at| is_due(&self.places[**at])) {
            return Some(*due);
        }
        if servers.first().is_some_and(|first| !self.places[*first].is_told) {
            return None;
        }
        let peers = self.places.iter().enumerate().filter(|(_, place)| place.is_peer() && is_due(place));
        peers
            .filter(|(_, place)| place.waits(health, now).is_none())
            .min_by_key(|(_, place)| place.ask_at)
            .map(|(at, _)| at)
    }

    /// Servers that are asked what they have, again and again: the server, or who keeps us from it; others of its rank while it would have to begin, or where they
    /// bring it too; and who broke off.
    fn asked_servers(&self, server: Option<usize>, health: &Health, now: Instant) -> Vec<usize> {
        let near = || self.servers().filter(|at| !self.places[*at].is_far() && self.brings(*at, health, now));
        let bringer = || near().min_by_key(|at| self.places[*at].order);
        let Some(first) = server.or_else(bringer).or_else(|| self.nearest_wall(now)) else { return Vec::new() };
        let mut asked = vec![first];
        let is_alone = || self.places[first].is_told && !self.brings(first, health, now);
        let others = self.beside(first).filter(|other| self.places[*other].may_bring(health, now));
        asked.extend(others.filter(|other| self.brings(*other, health, now) || is_alone()));
        let is_doubted = |at: &usize| {
            let place = &self.places[*at];
            place.is_doubted && place.may_bring(health, now) && !asked.contains(at)
        };
        let doubted: Vec<_> = self.servers().filter(is_doubted).collect();
        asked.extend(doubted);
        asked
    }

    /// Who keeps us from those that are farther.
    pub(super) fn nearest_wall(&self, now: Instant) -> Option<usize> {
        self.servers().filter(|at| self.places[*at].is_wall(now)).min_by_key(|at| self.places[*at].order)
    }

    /// When somebody is to be asked next, or may be asked again.
    pub(super) fn next_word(&self, server: Option<usize>, health: &Health, now: Instant) -> Option<Instant> {
        let asked = self.asked_servers(server, health, now);
        let all = self.places.iter().enumerate().filter(|(_, place)| !place.is_gone());
        let words = all.flat_map(|(at, place)| {
            let is_to_be = place.is_peer() || place.is_silent || asked.contains(&at);
            let ask_at = place.ask_at.filter(|_| place.asked_at.is_none() && is_to_be);
            ask_at.into_iter().chain(place.waits(health, now))
        });
        words.filter(|at| *at > now).min()
    }

    /// Why nobody is left: no neighbour that has or may have something, and no server that may be asked.
    pub(super) fn is_left(&self, server: Option<usize>, health: &Health, now: Instant) -> Option<Why> {
        let is_peer = self.places.iter().any(|place| place.is_peer() && !place.is_gone());
        let goes_on = |at: usize| {
            let place = &self.places[at];
            !place.is_far() && !place.is_wall(now) && self.brings(at, health, now)
        };
        if is_peer || server.is_some() || self.servers().any(goes_on) {
            return None;
        }
        let is_busy = |place: &Place| !place.is_gone() && place.until.is_some_and(|(_, busy)| busy.is_some());
        Some(if self.places.iter().any(is_busy) { Why::Busy } else { Why::Nobody })
    }
}
