//! Problem details (RFC 9457): every error that a client sees, with a sentence that a person can act on.

use serde::{Deserialize, Serialize};

/// The problems there are. The type's URI is `urn:outpost:problem:NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 503: the object has no requester place left.
    MaxRequesters,
    /// 503: preload mode, and the file is not here.
    NotPreloaded,
    /// 503: a connection, fill or queue limit.
    Overloaded,
    /// 503: the origin has not finished reading the file, so its digest is not known yet.
    DigestPending,
    /// 502: the upstream cannot be reached and there is nothing to serve.
    UpstreamUnreachable,
    /// 504: the upstream did not answer in time.
    UpstreamTimeout,
    /// 502: what came does not have the digest it should have.
    DigestMismatch,
    /// 502: the upstream's answer makes no sense.
    UpstreamInvalid,
    /// 507: does not fit even in an empty cache, and passing through is off.
    NoRoom,
    /// 403: outside the allowed ranges.
    NotAllowed,
    /// 401: a token is missing or wrong.
    Unauthorized,
    /// 409: the name is somebody else's.
    Taken,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 412
    PreconditionFailed,
    /// 413
    ContentTooLarge,
    /// 414
    TargetTooLong,
    /// 416
    RangeNotSatisfiable,
    /// 417
    ExpectationFailed,
    /// 431
    FieldsTooLarge,
    /// 500
    Internal,
    /// 501
    NotImplemented,
    /// 505
    VersionNotSupported,
    /// 508
    Loop,
}

impl Kind {
    /// `max-requesters`, `not-found`, ...
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The status code that goes with it.
    pub const fn status(self) -> http::StatusCode {
        self.row().1
    }

    /// A short title, the same for every occurrence.
    pub(crate) const fn title(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, http::StatusCode, &'static str) {
        use http::StatusCode as S;
        match self {
            Self::MaxRequesters => ("max-requesters", S::SERVICE_UNAVAILABLE, "All places for this file are taken"),
            Self::NotPreloaded => ("not-preloaded", S::SERVICE_UNAVAILABLE, "This file has not been preloaded yet"),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "The server is at one of its limits"),
            Self::DigestPending => {
                ("digest-pending", S::SERVICE_UNAVAILABLE, "The digest of this file is not known yet")
            }
            Self::UpstreamUnreachable => ("upstream-unreachable", S::BAD_GATEWAY, "The upstream cannot be reached"),
            Self::UpstreamTimeout => ("upstream-timeout", S::GATEWAY_TIMEOUT, "The upstream did not answer in time"),
            Self::DigestMismatch => ("digest-mismatch", S::BAD_GATEWAY, "The upstream sent bytes with a wrong digest"),
            Self::UpstreamInvalid => ("upstream-invalid", S::BAD_GATEWAY, "The upstream's answer is not valid"),
            Self::NoRoom => ("no-room", S::INSUFFICIENT_STORAGE, "The file does not fit in the cache"),
            Self::NotAllowed => ("not-allowed", S::FORBIDDEN, "This client is not allowed here"),
            Self::Taken => ("taken", S::CONFLICT, "This name is taken"),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "A token is needed here"),
            Self::BadRequest => ("bad-request", S::BAD_REQUEST, "The request is not valid"),
            Self::NotFound => ("not-found", S::NOT_FOUND, "There is no such file"),
            Self::MethodNotAllowed => ("method-not-allowed", S::METHOD_NOT_ALLOWED, "This method is not allowed here"),
            Self::RequestTimeout => ("request-timeout", S::REQUEST_TIMEOUT, "The request did not arrive in time"),
            Self::PreconditionFailed => {
                ("precondition-failed", S::PRECONDITION_FAILED, "A condition of the request does not hold")
            }
            Self::ContentTooLarge => {
                ("content-too-large", S::PAYLOAD_TOO_LARGE, "The body of the request is too large")
            }
            Self::TargetTooLong => ("target-too-long", S::URI_TOO_LONG, "The request target is too long"),
            Self::RangeNotSatisfiable => {
                ("range-not-satisfiable", S::RANGE_NOT_SATISFIABLE, "The range lies outside the file")
            }
            Self::ExpectationFailed => {
                ("expectation-failed", S::EXPECTATION_FAILED, "The server does not do what the request expects")
            }
            Self::FieldsTooLarge => {
                ("fields-too-large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, "The header fields are too large")
            }
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed"),
            Self::NotImplemented => ("not-implemented", S::NOT_IMPLEMENTED, "The server cannot do this"),
            Self::VersionNotSupported => {
                ("version-not-supported", S::HTTP_VERSION_NOT_SUPPORTED, "This HTTP version is not supported")
            }
            Self::Loop => ("loop", S::LOOP_DETECTED, "The request has been here before"),
        }
    }
}

/// The body of an error answer. `None` members are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:outpost:problem:NAME`
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind's title.
    pub title: String,
    /// The status code once more.
    pub status: u16,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// Seconds; the same as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Place in the queue, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The limit that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requesters: Option<u64>,
    /// Bytes of the object that are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<u64>,
    /// Bytes of the object in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// URLs of others that are getting the file, and share what they have; at most [`HAVE_PEERS_MAX`](crate::pieces::HAVE_PEERS_MAX) are read.
    #[serde(default, deserialize_with = "crate::pieces::have::few", skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
}

impl Problem {
    /// A problem of a kind with its detail.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:outpost:problem:{}", kind.name()),
            title: kind.title().into(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            ..Self::default()
        }
    }

    /// With `Retry-After`.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_members_of_rfc_9457_and_ours() {
        let problem = Problem {
            position: Some(3),
            max_requesters: Some(5),
            ..Problem::new(Kind::MaxRequesters, "come back").retry_after(90)
        };
        assert_eq!(
            serde_json::to_string(&problem).expect("serialises"),
            concat!(
                r#"{"type":"urn:outpost:problem:max-requesters","title":"All places for this file are taken","#,
                r#""status":503,"detail":"come back","retry_after":90,"position":3,"max_requesters":5}"#
            )
        );
    }
}
