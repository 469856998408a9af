//! What the program says to an origin, beside files, and the answer in full.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    error::{AskError, CallError},
    heads::retry_after,
    http::Http,
    origins::Server,
    sent::SentBody,
};

/// Bytes of an answer to what the program says; a catalogue's page of 10,000 files has some three million.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// From the head of such an answer to its end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

impl Http {
    /// Says something to the server itself, and reads the answer to its end.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        mut fields: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CallError> {
        if !body.is_empty() {
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let answer = self.send_with(method, path, fields, SentBody::of_bytes(body), None).await?;
        let status = answer.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(CallError::Busy { retry_after: Duration::from_secs(retry_after(answer.headers())) });
        }
        let server = answer.extensions().get::<Server>().copied();
        let reading = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        let error = match tokio::time::timeout(ANSWER_TIMEOUT, reading).await {
            Ok(Ok(body)) => return Ok((status, body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                AskError::Invalid(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"))
            }
            Ok(Err(_)) => AskError::cut(),
            Err(_) => {
                AskError::TimedOut(format!("the upstream's answer did not end within {} s", ANSWER_TIMEOUT.as_secs()))
            }
        };
        if let Some(Server(server)) = server {
            self.origins.failed(server, &error.to_string(), Instant::now());
        }
        Err(error.into())
    }
}
