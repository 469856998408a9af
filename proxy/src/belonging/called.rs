//! What came of something that was said to the origin.

use std::time::Duration;

use cache::link::LinkError;
use http::StatusCode;
use protocol::{membership::Meaning, problem::Problem};
use serde::de::DeserializeOwned;

/// An answer, or none.
pub(super) enum Called {
    /// An answer, with what its body says.
    Answered(Meaning, bytes::Bytes, String),
    /// None, and when to try again where that was said.
    Silent(String, Option<Duration>),
}

impl Called {
    pub(super) fn of(called: Result<(StatusCode, bytes::Bytes), LinkError>) -> Self {
        match called {
            Ok((status, body)) => {
                let told = serde_json::from_slice::<Problem>(&body).ok().map(|problem| problem.detail);
                let told = told.unwrap_or_else(|| format!("it answered {status}"));
                Self::Answered(Meaning::of(status), body, told)
            }
            Err(error) => Self::Silent(error.to_string(), error.retry_after()),
        }
    }
}

/// What an answer says.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("its answer cannot be read: {error}"))
}
