//! How much at once, how many copies a server is asked for, and how long others are left to spread them. Pure numbers.

use std::time::Duration;

use crate::decide::source::Rank;

/// What one agent does of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Pieces on their way at once.
    pub in_flight: usize,
    /// Of these, from one neighbour, which has few places for others.
    pub per_peer: usize,
    /// Of these, from one server: while one comes the other one is asked for.
    pub per_server: usize,
    /// Sources that are asked at once what they have.
    pub questions: usize,
    /// Pieces from the first missing one on that are looked at: the store keeps few runs of bytes ahead of their turn, and every second piece of
    /// these makes no more than it keeps.
    pub window: u32,
    /// Of proxies of one's own domain.
    pub near: Turns,
    /// Of parents and origins, beyond the line.
    pub far: Turns,
}

/// How agents that do not know each other share out what they ask of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Agents that ask at once.
    pub copies: u32,
    /// After this twice as many have asked, if it has not spread meanwhile; and so on.
    pub every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            in_flight: 4,
            per_peer: 1,
            per_server: 2,
            questions: 4,
            window: 512,
            near: Turns { copies: 1, every: Duration::from_secs(5) },
            far: Turns { copies: 1, every: Duration::from_secs(10) },
        }
    }
}

impl Terms {
    /// Those of a server.
    pub fn turns(&self, rank: Rank) -> Turns {
        if rank > Rank::Proxy { self.far } else { self.near }
    }
}
