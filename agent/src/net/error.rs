//! Why a server gave no answer, or none that can be used.

use std::time::{Duration, Instant};

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// Silence.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// Something that is no answer.
    #[error("the answer makes no sense: {0}")]
    Senseless(String),
    /// Our own line is closed until then.
    #[error("it is a time of day at which nothing is brought over this machine's line")]
    Closed(Instant),
    /// It cannot be asked at all.
    #[error("{0} cannot be asked for")]
    Url(String),
}

impl NetError {
    /// With what lies behind an error: a library's own text says only where it came up.
    pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let all = std::iter::successors(Some(error), |error| error.source());
        let texts: Vec<_> = all.map(ToString::to_string).collect();
        // The last one says it; those before only that it was in connecting, or in sending.
        Self::Broken(texts.last().cloned().unwrap_or_default())
    }
}
