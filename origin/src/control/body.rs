//! The body of a question: JSON, whole, and not more than it may be.

use std::future::Future;

use protocol::problem::Kind;
use serde::de::DeserializeOwned;
use serve::{
    handler::Answer,
    request::{Announced, Request},
    response::Response,
    upload::Upload,
};

use crate::answer;

/// Answers when the body has come. One that is too large, or that is not what it should be, is refused before `then` is asked.
pub(crate) fn with_json<T, F>(
    request: &Request<'_>,
    bytes_max: usize,
    then: impl FnOnce(T) -> F + Send + 'static,
) -> Answer
where
    T: DeserializeOwned + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    if matches!(request.body, Announced::Length(len) if len > bytes_max as u64) {
        return Answer::Now(too_large(bytes_max));
    }
    Answer::reads(move |upload| async move {
        match read(upload, bytes_max).await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(question) => then(question).await,
                Err(error) => not_valid(&error),
            },
            Err(refused) => refused,
        }
    })
}

/// Dropped, it has read nothing.
pub(super) async fn read(mut upload: Upload, bytes_max: usize) -> Result<Vec<u8>, Response> {
    let mut body = Vec::new();
    while let Some(piece) = upload.next().await {
        let piece = piece.map_err(|cut| answer::problem(Kind::BadRequest, cut.to_string()))?;
        if body.len() + piece.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

pub(super) fn too_large(bytes_max: usize) -> Response {
    answer::problem(Kind::ContentTooLarge, format!("the body of this question has at most {bytes_max} bytes here"))
}

pub(super) fn not_valid(error: &serde_json::Error) -> Response {
    answer::problem(Kind::BadRequest, format!("the body is not the JSON that is expected here: {error}"))
}
