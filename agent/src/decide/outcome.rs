//! What came of asking a server for a content.
//!
//! | answer | outcome |
//! | --- | --- |
//! | no connection, silence, broken off, 5xx, nonsense | [`Outcome::Failed`] |
//! | 503 `max-requesters` | [`Busy::Places`]: follow the fill, then look around anew |
//! | 503 `not-preloaded`, `overloaded`, `digest-pending` or any other; 429 | [`Busy`], for as long as it says |
//! | 404, 409, 410, 412 | [`Outcome::Absent`] |
//! | any other 4xx | [`Outcome::Refused`] |
//! | everything came, and has another digest | [`Outcome::Wrong`] |

use std::time::{Duration, SystemTime};

use http::StatusCode;
use protocol::{
    problem::{Kind, Problem},
    timestamp,
};

/// Where a server that is busy names no time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(90);
/// A longer one is a mistake, or an attack.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What came of asking one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not answer, broke off, or sent what makes no sense; `got` bytes came first.
    Failed {
        /// Bytes.
        got: u64,
    },
    /// Not now.
    Busy(Busy, Duration),
    /// It does not have it.
    Absent,
    /// Not for us.
    Refused,
    /// What it sent is another content.
    Wrong,
}

/// Why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Others have all places for this content.
    Places(Queue),
    /// It fetches only beforehand, and has not fetched this yet.
    Preload,
    /// It is at one of its limits.
    Overloaded,
    /// It does not know yet what it has.
    NotReady,
}

/// Where one stands in the queue for a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// From 1; 0: not told, or a place is free.
    pub position: u64,
    /// Places there are.
    pub places: u64,
    /// Bytes that the server has.
    pub fetched: u64,
    /// Bytes in all; 0: not known.
    pub total: u64,
}

impl Busy {
    /// For people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Places(_) => "queue",
            Self::Preload => "not-preloaded",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not-ready",
        }
    }
}

impl Outcome {
    /// Of an answer that brings no content. `retry_after` is the field's value.
    pub fn of(status: StatusCode, problem: Option<&Problem>, retry_after: Option<&[u8]>, now: SystemTime) -> Self {
        match status {
            // An origin says with 409 or 412 that at this path is another content.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                Self::Absent
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let in_body = || problem?.retry_after.map(Duration::from_secs);
                let said = retry_after.and_then(|field| wait(field, now)).or_else(in_body);
                Self::Busy(busy(problem), said.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MAX))
            }
            StatusCode::REQUEST_TIMEOUT => Self::Failed { got: 0 },
            status if status.is_client_error() => Self::Refused,
            _ => Self::Failed { got: 0 },
        }
    }
}

fn busy(problem: Option<&Problem>) -> Busy {
    let is = |kind: Kind| {
        problem.is_some_and(|problem| problem.kind.strip_prefix("urn:outpost:problem:") == Some(kind.name()))
    };
    match problem {
        Some(problem) if is(Kind::MaxRequesters) => Busy::Places(Queue {
            position: problem.position.unwrap_or(0),
            places: problem.max_requesters.unwrap_or(0),
            fetched: problem.fetched.unwrap_or(0),
            total: problem.total.unwrap_or(0),
        }),
        _ if is(Kind::NotPreloaded) => Busy::Preload,
        _ if is(Kind::DigestPending) => Busy::NotReady,
        _ => Busy::Overloaded,
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn wait(field: &[u8], now: SystemTime) -> Option<Duration> {
    let seconds = std::str::from_utf8(field).ok().and_then(|text| text.trim().parse().ok());
    let date =
        || timestamp::parse_http_date(field.trim_ascii()).map(|date| date.duration_since(now).unwrap_or_default());
    seconds.map(Duration::from_secs).or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_outcome() {
        let places = Problem {
            position: Some(3),
            max_requesters: Some(5),
            fetched: Some(10),
            total: Some(20),
            ..Problem::new(Kind::MaxRequesters, "").retry_after(90)
        };
        let queue = Queue { position: 3, places: 5, fetched: 10, total: 20 };
        let preload = Problem::new(Kind::NotPreloaded, "").retry_after(7);
        let pending = Problem::new(Kind::DigestPending, "").retry_after(2);
        let overloaded = Problem::new(Kind::Overloaded, "");
        let secs = Duration::from_secs;
        for (status, problem, field, expected) in [
            (404, None, None, Outcome::Absent),
            (410, None, None, Outcome::Absent),
            (409, None, None, Outcome::Absent),
            (401, None, None, Outcome::Refused),
            (403, None, None, Outcome::Refused),
            (416, None, None, Outcome::Refused),
            (408, None, None, Outcome::Failed { got: 0 }),
            (500, None, None, Outcome::Failed { got: 0 }),
            (502, None, Some("9"), Outcome::Failed { got: 0 }),
            (504, None, None, Outcome::Failed { got: 0 }),
            (204, None, None, Outcome::Failed { got: 0 }),
            (302, None, None, Outcome::Failed { got: 0 }),
            (503, Some(&places), None, Outcome::Busy(Busy::Places(queue), secs(90))),
            (503, Some(&places), Some("30"), Outcome::Busy(Busy::Places(queue), secs(30))),
            (503, Some(&preload), None, Outcome::Busy(Busy::Preload, secs(7))),
            (503, Some(&pending), None, Outcome::Busy(Busy::NotReady, secs(2))),
            (503, Some(&overloaded), Some("0"), Outcome::Busy(Busy::Overloaded, secs(0))),
            (503, None, Some("later"), Outcome::Busy(Busy::Overloaded, RETRY_AFTER_DEFAULT)),
            (503, None, Some("99999999999"), Outcome::Busy(Busy::Overloaded, RETRY_AFTER_MAX)),
            (429, None, Some(" 5 "), Outcome::Busy(Busy::Overloaded, secs(5))),
            (503, None, Some("Thu, 01 Jan 1970 00:01:40 GMT"), Outcome::Busy(Busy::Overloaded, secs(60))),
            (503, None, Some("Thu, 01 Jan 1970 00:00:00 GMT"), Outcome::Busy(Busy::Overloaded, secs(0))),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let now = SystemTime::UNIX_EPOCH + secs(40);
            let found = Outcome::of(status, problem, field.map(str::as_bytes), now);
            assert_eq!(found, expected, "{status} {field:?}");
        }
    }
}
