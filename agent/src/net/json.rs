//! A body that is read at once: JSON of ours.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use protocol::{plain::shortened, problem::Problem};
use serde::de::DeserializeOwned;

use super::error::NetError;

/// Bytes of such a body from a server of ours, whatever it tells; more is no answer.
const JSON_BYTES_MAX: usize = 16 << 20;
/// Bytes of a body that says why there is no answer; of more nothing is read but the status.
const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// From the head to the end.
const JSON_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer that brings no success: its status, fields and problem, if it has one.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) problem: Option<Problem>,
}

/// What a success says, or the refusal.
pub(crate) async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<Result<T, Refusal>, NetError> {
    read_within(answer, JSON_BYTES_MAX).await
}

/// As [`read`], where it is known how much such an answer is at most: who is asked may be anybody.
pub(crate) async fn read_within<T: DeserializeOwned>(
    answer: Response<Incoming>,
    bytes_max: usize,
) -> Result<Result<T, Refusal>, NetError> {
    if !answer.status().is_success() {
        return Ok(Err(refusal(answer).await));
    }
    let bytes = whole(answer.into_body(), bytes_max).await?;
    serde_json::from_slice(&bytes).map(Ok).map_err(|error| NetError::Senseless(error.to_string()))
}

/// Why it is none. What it says is for people, on a terminal too: as much as they read, and nothing that a terminal obeys.
pub(crate) async fn refusal(answer: Response<Incoming>) -> Refusal {
    let (head, body) = answer.into_parts();
    let problem = whole(body, PROBLEM_BYTES_MAX).await.ok().and_then(|text| problem(&text));
    Refusal { status: head.status, fields: head.headers, problem }
}

fn problem(text: &[u8]) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(text).ok()?;
    Some(Problem { detail: shortened(&problem.detail), ..problem })
}

async fn whole<B>(body: B, bytes_max: usize) -> Result<Bytes, NetError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let reading = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(JSON_TIMEOUT, reading).await {
        Ok(body) => Ok(body.map_err(|error| NetError::Broken(error.to_string()))?.to_bytes()),
        Err(_) => Err(NetError::Silent(JSON_TIMEOUT)),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use protocol::{
        pieces::{HAVE_PEERS_MAX, Have},
        plain::DETAIL_MAX,
    };

    use super::*;

    #[tokio::test]
    async fn more_than_an_answer_can_be_is_none() {
        for (len, is_taken) in [(0, true), (PROBLEM_BYTES_MAX, true), (PROBLEM_BYTES_MAX + 1, false)] {
            let body = Full::new(Bytes::from(vec![b' '; len]));
            assert_eq!(whole(body, PROBLEM_BYTES_MAX).await.is_ok(), is_taken, "{len}");
        }
    }

    #[test]
    fn what_a_stranger_says_steers_no_terminal() {
        let said = Problem { detail: "\u{1b}[2J\r\n".repeat(DETAIL_MAX), ..Problem::default() };
        let said = Problem { peers: vec!["http://10.7.0.2:7778/".into(); 100], ..said };
        let read = problem(&serde_json::to_vec(&said).unwrap()).unwrap();
        assert_eq!((read.detail.chars().count(), read.peers.len()), (DETAIL_MAX, HAVE_PEERS_MAX));
        assert!(!read.detail.contains(char::is_control));
        assert!(problem(b"<html>").is_none() && serde_json::from_slice::<Have>(b"<html>").is_err());
    }
}
