//! How much of the line an upstream may have, and who goes first on it.

use std::time::Duration;

use protocol::rate::Rates;

/// The line to one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct LineOptions {
    /// How fast bytes may come.
    pub rates: Rates,
    /// A preload that clients go before has a turn after this, however many they are.
    pub preload_wait_max: Duration,
}

impl Default for LineOptions {
    /// No limit.
    fn default() -> Self {
        Self { rates: Rates::default(), preload_wait_max: Duration::from_secs(10) }
    }
}

impl LineOptions {
    /// Whether anything is ever held back.
    pub(crate) fn is_limited(&self) -> bool {
        self.rates.is_limited()
    }
}
