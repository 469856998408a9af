//! Finds sources of a swarm: for who talks to them.

use std::time::Instant;

use super::Swarm;
use crate::decide::source::Rank;

impl Swarm {
    /// The place of a source that is known by its URL.
    pub fn place_of(&self, url: &str) -> Option<usize> {
        self.places.iter().position(|place| place.source.url == url)
    }

    /// No server is asked for a piece before then: our own line is closed.
    pub fn hold_servers(&mut self, until: Instant) {
        for place in self.places.iter_mut().filter(|place| !place.is_peer()) {
            place.hold(until);
        }
    }

    /// Whether no piece is on its way.
    pub fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Who of a rank knows who else wants it: the server, else the first in its order, of those that may be asked now or later.
    pub fn first_of(&self, rank: Rank) -> Option<usize> {
        let of_rank = |at: &usize| self.places[*at].source.rank == rank && !self.places[*at].is_gone();
        let order = |at: &usize| (self.places[*at].server_since.is_none(), self.places[*at].order);
        (0..self.places.len()).filter(of_rank).min_by_key(order)
    }
}
