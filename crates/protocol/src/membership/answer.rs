//! What the status of an origin's answer means to who belongs to it, or wants to.

use http::StatusCode;

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It was heard.
    Taken,
    /// There is no such interface: an origin of an older release, or a proxy. Then one does not belong, and that is no fault.
    NoInterface,
    /// It does not know who asks: the credential (or the token) is not, or no more, one of its own.
    Unknown,
    /// It knows who asks, and does not want it.
    Forbidden,
    /// More than it takes at once.
    TooLarge,
    /// Later.
    Busy,
    /// It could not do it.
    Failed,
}

impl Meaning {
    /// By the status.
    pub fn of(status: StatusCode) -> Self {
        match status {
            status if status.is_success() => Self::Taken,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Self::NoInterface,
            StatusCode::UNAUTHORIZED => Self::Unknown,
            StatusCode::FORBIDDEN | StatusCode::CONFLICT => Self::Forbidden,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Self::Busy,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_means() {
        for (status, expected) in [
            (200, Meaning::Taken),
            (204, Meaning::Taken),
            (404, Meaning::NoInterface),
            (405, Meaning::NoInterface),
            (501, Meaning::NoInterface),
            (401, Meaning::Unknown),
            (403, Meaning::Forbidden),
            (409, Meaning::Forbidden),
            (413, Meaning::TooLarge),
            (429, Meaning::Busy),
            (503, Meaning::Busy),
            (301, Meaning::Failed),
            (400, Meaning::Failed),
            (500, Meaning::Failed),
            (502, Meaning::Failed),
        ] {
            assert_eq!(Meaning::of(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
