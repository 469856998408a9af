//! What of a read-only share of WebDAV can be answered without knowing the share: OPTIONS, the methods that would write, and the head and body of
//! a PROPFIND. What stands at a name is for the handler to find.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Method, StatusCode};
use protocol::{
    problem::{Kind, Problem},
    webdav::{
        CONTENT_TYPE, Depth, FINITE_DEPTH, METHODS,
        ask::{self, BODY_BYTES_MAX, Wanted},
        multistatus::Multistatus,
    },
};

use crate::{
    handler::Answer,
    request::{Announced, Request},
    response::{Body, Response},
    upload::Upload,
};

/// What a PROPFIND asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propfind {
    /// Whether of the entries of a directory too.
    pub with_entries: bool,
    /// Which properties.
    pub wanted: Wanted,
}

/// Answers any method but GET and HEAD; `find` answers a PROPFIND that is to be answered.
pub fn answer<F>(request: &Request<'_>, find: impl FnOnce(Propfind) -> F + Send + 'static) -> Answer
where
    F: Future<Output = Response> + Send + 'static,
{
    match request.method.as_str() {
        "PROPFIND" => propfind(request, find),
        _ if request.method == Method::OPTIONS => Answer::Now(options()),
        _ => Answer::Now(Response::method_not_allowed(METHODS)),
    }
}

/// Class 1: no locks. Windows looks for the field of its own before it takes a server for a share (MS-WDV).
fn options() -> Response {
    let mut response = Response::methods(METHODS);
    response.fields.push("DAV", "1").push("MS-Author-Via", "DAV");
    response
}

fn propfind<F>(request: &Request<'_>, find: impl FnOnce(Propfind) -> F + Send + 'static) -> Answer
where
    F: Future<Output = Response> + Send + 'static,
{
    let with_entries = match Depth::parse(request.fields.first("Depth")) {
        Some(depth @ (Depth::Zero | Depth::One)) => depth == Depth::One,
        Some(Depth::Infinity) => return Answer::Now(infinite()),
        None => return Answer::Now(problem(Kind::BadRequest, "the field Depth is none of 0, 1 and infinity")),
    };
    match request.body {
        Announced::Length(len) if len > BODY_BYTES_MAX as u64 => Answer::Now(too_large()),
        Announced::None | Announced::Length(0) => {
            Answer::later(find(Propfind { with_entries, wanted: Wanted::All(Vec::new()) }))
        }
        Announced::Length(_) | Announced::Unknown => Answer::reads(move |upload| async move {
            match read(upload).await {
                Ok(wanted) => find(Propfind { with_entries, wanted }).await,
                Err(refused) => refused,
            }
        }),
    }
}

/// Reads what is asked for; dropped, it has read nothing.
async fn read(mut upload: Upload) -> Result<Wanted, Response> {
    let mut body = Vec::new();
    while let Some(piece) = upload.next().await {
        let piece = piece.map_err(|cut| problem(Kind::BadRequest, cut.to_string()))?;
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    ask::parse(&body).map_err(|bad| problem(Kind::BadRequest, bad.to_string()))
}

fn infinite() -> Response {
    let mut response = Response::new(StatusCode::FORBIDDEN);
    response.fields.push("Content-Type", CONTENT_TYPE);
    response.body = Body::Memory(Bytes::from_static(FINITE_DEPTH.as_bytes()));
    response
}

fn too_large() -> Response {
    problem(Kind::ContentTooLarge, format!("the body of a PROPFIND has at most {BODY_BYTES_MAX} bytes here"))
}

fn problem(kind: Kind, detail: impl Into<String>) -> Response {
    Response::problem(&Problem::new(kind, detail), kind)
}

/// 207 with what was found. A large one is made while it is sent.
pub fn multistatus(mut found: Multistatus) -> Response {
    let mut response = Response::new(StatusCode::MULTI_STATUS);
    response.fields.push("Content-Type", CONTENT_TYPE).push("Cache-Control", "no-store");
    let first = found.next().unwrap_or_default();
    response.body = match found.next() {
        None => Body::Memory(first.into()),
        Some(second) => {
            let stream = Pieces { ready: vec![second, first], rest: found, is_rested: true };
            Body::Stream { stream: Box::pin(stream), len: None }
        }
    };
    response
}

/// Makes one piece at a time, and lets the other connections of its thread go on before the next.
struct Pieces {
    /// The next one last.
    ready: Vec<String>,
    rest: Multistatus,
    is_rested: bool,
}

impl Stream for Pieces {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.is_rested = !self.is_rested;
        if self.is_rested {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match self.ready.pop() {
            Some(piece) => Some(piece),
            None => self.rest.next(),
        };
        Poll::Ready(piece.map(|piece| Ok(Bytes::from(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{request::Fields, upload};

    fn request<'a>(method: &str, body: Announced, fields: &'a [httparse::Header<'a>]) -> Request<'a> {
        Request { method: method.parse().unwrap(), target: b"/", http11: true, fields: Fields::new(fields), body }
    }

    async fn status(method: &str, depth: &str, announced: Announced, body: &'static [u8]) -> u16 {
        let fields = [httparse::Header { name: "depth", value: depth.as_bytes() }];
        let fields = if depth.is_empty() { &fields[..0] } else { &fields[..] };
        // Tells what was understood in its status.
        let find = |asked: Propfind| async move {
            let status = match (asked.with_entries, asked.wanted) {
                (_, Wanted::Names) => 203,
                (true, _) => 201,
                (false, _) => 200,
            };
            Response::new(StatusCode::from_u16(status).unwrap())
        };
        let response = match answer(&request(method, announced, fields), find) {
            Answer::Now(response) => response,
            Answer::Later(waiting) | Answer::Preceded(_, waiting) => waiting.await,
            Answer::Reads(read) => {
                let (sender, upload) = upload::channel(None);
                sender.send(Bytes::from_static(body)).await.unwrap();
                // A handler that has enough does not wait for the end.
                let _ = sender.end().await;
                drop(sender);
                read(upload).await
            }
        };
        response.status.as_u16()
    }

    #[tokio::test]
    async fn asks_are_understood_or_refused() {
        let names = b"<propfind xmlns='DAV:'><propname/></propfind>";
        for (method, depth, announced, body, expected) in [
            ("OPTIONS", "", Announced::None, &b""[..], 200),
            ("PUT", "", Announced::None, b"", 405),
            ("LOCK", "", Announced::None, b"", 405),
            ("UNLOCK", "", Announced::None, b"", 405),
            ("PROPPATCH", "", Announced::None, b"", 405),
            ("PROPFIND", "0", Announced::None, b"", 200),
            ("PROPFIND", "1", Announced::Length(0), b"", 201),
            ("PROPFIND", "1", Announced::Length(45), names, 203),
            ("PROPFIND", "0", Announced::Unknown, names, 203),
            ("PROPFIND", "0", Announced::Unknown, b"nonsense", 400),
            ("PROPFIND", "0", Announced::Unknown, &[b' '; BODY_BYTES_MAX + 1], 413),
            ("PROPFIND", "0", Announced::Length(1 << 40), b"", 413),
            ("PROPFIND", "", Announced::None, b"", 403),
            ("PROPFIND", "infinity", Announced::Unknown, b"", 403),
            ("PROPFIND", "2", Announced::None, b"", 400),
        ] {
            assert_eq!(status(method, depth, announced, body).await, expected, "{method} {depth} {announced:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_is_not_answered() {
        let (sender, upload) = upload::channel(None);
        drop(sender);
        assert_eq!(read(upload).await.err().map(|refused| refused.status.as_u16()), Some(400));
    }
}
