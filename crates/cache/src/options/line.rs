//! How much of the line an upstream may have, and who goes first on it.

use std::time::Duration;

use protocol::rate::Rates;

use crate::fetch::urgency::Class;

/// The line to one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct LineOptions {
    /// How fast bytes may come.
    pub rates: Rates,
    /// A preload that clients go before has a turn after this, however many they are.
    pub preload_wait_max: Duration,
    /// Which fetches yield to all others on the line.
    pub background: Background,
    /// How long packets may wait in the queues of the line before those do.
    pub background_delay: Duration,
}

/// Which fetches yield to others on the line, whoever those are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// None: they share it as all connections do.
    #[default]
    Off,
    /// Those that nobody waits for.
    Preload,
    /// All.
    All,
}

impl Default for LineOptions {
    /// No limit.
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            preload_wait_max: Duration::from_secs(10),
            background: Background::Off,
            background_delay: Duration::from_millis(60),
        }
    }
}

impl LineOptions {
    /// Whether anything is ever held back.
    pub(crate) fn is_limited(&self) -> bool {
        self.rates.is_limited() || self.background != Background::Off
    }

    /// Whether fetches of a class yield.
    pub(crate) fn yields(&self, class: Class) -> bool {
        match self.background {
            Background::Off => false,
            Background::Preload => class == Class::Preload,
            Background::All => true,
        }
    }
}
