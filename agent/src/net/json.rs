//! A body that is read at once: JSON of ours.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use protocol::problem::Problem;
use serde::de::DeserializeOwned;

use super::error::NetError;

/// Bytes of such a body; more is no answer.
const JSON_BYTES_MAX: usize = 16 << 20;
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
    if !answer.status().is_success() {
        return Ok(Err(refusal(answer).await));
    }
    let bytes = whole(answer.into_body()).await?;
    serde_json::from_slice(&bytes).map(Ok).map_err(|error| NetError::Senseless(error.to_string()))
}

/// Why it is none.
pub(crate) async fn refusal(answer: Response<Incoming>) -> Refusal {
    let (head, body) = answer.into_parts();
    let problem = whole(body).await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Refusal { status: head.status, fields: head.headers, problem }
}

async fn whole(body: Incoming) -> Result<bytes::Bytes, NetError> {
    let reading = Limited::new(body, JSON_BYTES_MAX).collect();
    match tokio::time::timeout(JSON_TIMEOUT, reading).await {
        Ok(body) => Ok(body.map_err(|error| NetError::Broken(error.to_string()))?.to_bytes()),
        Err(_) => Err(NetError::Silent(JSON_TIMEOUT)),
    }
}
