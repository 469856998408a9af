//! The answers to those who are refused. Each is made once, so that a refusal allocates nothing and computes nothing: it is the cheapest answer there is.

use bytes::Bytes;
use http::StatusCode;
use protocol::problem::Kind;
use serve::response::{Body, Response};

use super::returns::RETRY_AFTER_MAX;
use crate::answer;

/// One answer for each second that may be told.
pub(super) struct Refusals(Vec<Refusal>);

struct Refusal {
    status: StatusCode,
    fields: Bytes,
    body: Bytes,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self((1..=RETRY_AFTER_MAX).map(Refusal::of).collect())
    }

    /// To come again after so many seconds.
    pub(super) fn response(&self, seconds: u64) -> Response {
        let at = seconds.clamp(1, RETRY_AFTER_MAX) - 1;
        let refusal = &self.0[at as usize];
        let mut response = Response::new(refusal.status);
        response.fields.shared = Some(refusal.fields.clone());
        response.body = Body::Memory(refusal.body.clone());
        response
    }
}

impl Refusal {
    fn of(seconds: u64) -> Self {
        let detail = format!(
            "as many questions are answered as can be at once, and as many wait as may; ask again in {seconds} s"
        );
        let response = answer::problem_for_now(Kind::Overloaded, detail, seconds);
        let body = match response.body {
            Body::Memory(body) => body,
            _ => Bytes::new(),
        };
        Self { status: response.status, fields: response.fields.own.into(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_when_to_come_again() {
        let refusals = Refusals::new();
        for (asked, told) in [(0, 1), (1, 1), (7, 7), (RETRY_AFTER_MAX, RETRY_AFTER_MAX), (u64::MAX, RETRY_AFTER_MAX)] {
            let response = refusals.response(asked);
            let fields = String::from_utf8(response.fields.shared.unwrap().to_vec()).unwrap();
            assert!(fields.contains(&format!("Retry-After: {told}\r\n")), "{fields}");
            let Body::Memory(body) = response.body else { panic!("no body") };
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&problem["retry_after"], &problem["status"]), (&told.into(), &503.into()));
            assert_eq!(problem["type"], "urn:outpost:problem:overloaded");
        }
    }
}
