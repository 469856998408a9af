//! How much at once, how many copies a server is asked for, and how long others are left to spread them. Pure numbers.

use std::time::Duration;

use crate::decide::source::Rank;

/// What one agent does of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Pieces on their way at once.
    pub in_flight: usize,
    /// Of these, from one source.
    pub per_source: usize,
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
    /// Agents that ask for one piece in one turn.
    pub copies: u32,
    /// Then as many more, if the piece has not spread meanwhile.
    pub every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            in_flight: 4,
            per_source: 2,
            questions: 4,
            window: 512,
            near: Turns { copies: 2, every: Duration::from_secs(2) },
            far: Turns { copies: 1, every: Duration::from_secs(20) },
        }
    }
}

impl Terms {
    /// Those of a server.
    pub fn turns(&self, rank: Rank) -> Turns {
        if rank > Rank::Proxy { self.far } else { self.near }
    }
}
