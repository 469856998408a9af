//! An origin's stream of changes, asked for and taken as it comes. What it says is for others to read.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::info::CHANGES;

use super::{body::HttpPieces, error::AskError, heads::retry_after, http::Http, origins::Server};

/// What came of asking for it.
pub(crate) enum Offer {
    Stream(Stream),
    /// It has none, as it is an earlier release or a proxy; and what it said.
    None(String),
    /// Not now.
    Busy(Duration),
}

/// Open. Dropping it ends it.
pub(crate) struct Stream {
    pieces: HttpPieces,
    /// Whose it is.
    pub(crate) server: usize,
}

impl Stream {
    /// The next bytes, if any come within this time; `None` at its end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, within: Duration) -> Result<Option<Bytes>, AskError> {
        self.pieces.set_timeout(within);
        self.pieces.next().await
    }
}

impl Http {
    /// Asks for it.
    pub(super) async fn changes(&self, query: &str, mut fields: HeaderMap) -> Result<Offer, AskError> {
        fields.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let answer = self.send(Method::GET, &format!("{CHANGES}{query}"), fields).await?;
        let content_type = answer.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        match answer.status() {
            StatusCode::OK if content_type.starts_with(b"text/event-stream") => {}
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Offer::Busy(Duration::from_secs(retry_after(answer.headers()))));
            }
            status if status.is_server_error() => return Err(AskError::Failing(format!("it answered {status}"))),
            status => return Ok(Offer::None(format!("it answered {status}"))),
        }
        let server = answer.extensions().get::<Server>().map_or(0, |server| server.0);
        Ok(Offer::Stream(Stream { pieces: self.demanded(answer).unjudged(), server }))
    }
}
