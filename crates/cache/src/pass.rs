//! What is not for the cache goes through: everybody asks for themselves, and nothing is kept. The upstream's answer keeps its status and its
//! end-to-end fields.
//!
//! The asking and the bytes run on the runtime of the fetches; the connection's reactor only takes pieces from a short queue. When the
//! client leaves, the queue closes, and with it the upstream's connection.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use protocol::cache_status::CacheStatus;
use serve::response::{Body as Downstream, Response};
use tokio::sync::{mpsc, oneshot};

use crate::{
    answer,
    asked::Owned,
    cache::Shared,
    landing::{Content, Failure, Landing},
    status::add,
    upstream::{AskError, Body, Kind, Question, Told},
    visit::Visit,
};

/// Pieces between the upstream and a client: as much as is lost when the client leaves.
const PIECES_MAX: usize = 4;

/// An upstream's answer, open, with its body still to come.
pub(crate) struct Opened {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) len: Option<u64>,
    pub(crate) body: Body,
}

/// Fields that end at each hop (RFC 9110 section 7.6.1) or that the downstream side writes itself.
const NOT_HANDED_ON: [HeaderName; 14] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::SERVER,
    // It speaks of the upstream's address.
    header::ALT_SVC,
    HeaderName::from_static("cache-status"),
];

/// Asks for one client alone.
pub(crate) async fn pass(shared: Arc<Shared>, question: Arc<Question>, owned: Arc<Owned>) -> Response {
    let (send, receive) = oneshot::channel();
    let task = {
        let (shared, question, owned) = (shared.clone(), question.clone(), owned.clone());
        async move {
            let landing = ask(&shared, &question, &owned).await;
            // The client may have left: then the answer is dropped.
            let _ = send.send(landing);
        }
    };
    shared.spawn(task);
    match receive.await {
        Ok(Ok(landing)) => respond(&Visit::new(&shared, owned.asked()), &question, landing),
        Ok(Err(error)) => error.to_failure(&question).to_response(),
        Err(_) => Failure::interrupted().to_response(),
    }
}

async fn ask(shared: &Arc<Shared>, question: &Arc<Question>, owned: &Owned) -> Result<Landing, AskError> {
    let http = match &question.upstream.kind {
        Kind::Directory(_) => return pass_file(shared, question).await,
        Kind::Http(http) => http,
        Kind::Outpost(outpost) => outpost.http(),
    };
    let mut fields = question.sent.clone();
    fields.extend(owned.condition_fields());
    let method = if owned.asked().is_head { Method::HEAD } else { Method::GET };
    let path = match (question.object, &question.upstream.kind) {
        (Some(md5), Kind::Outpost(outpost)) => outpost.path_of_object(&md5, &question.target),
        _ => http.path_of(question.target.as_str()),
    };
    let answer = http.send(method, &path, fields).await;
    shared.report(&question.upstream, &answer);
    Ok(Landing::pass(Some(http.open(answer?))))
}

/// A file of a directory goes through by `sendfile` from where it is.
async fn pass_file(shared: &Arc<Shared>, question: &Arc<Question>) -> Result<Landing, AskError> {
    let told = question.upstream.ask(question, None, true).await;
    shared.report(&question.upstream, &told);
    match told? {
        Told::File(head, _) => Ok(shared.land_shared_file(question, &head)),
        Told::No(failure) => Ok(Landing::Failed(failure)),
        _ => Err(AskError::Changed("it is no file any more".into())),
    }
}

fn respond(visit: &Visit<'_>, question: &Question, landing: Landing) -> Response {
    add(&visit.shared.counters.passed, 1);
    match landing {
        Landing::Pass(opened) => match opened.lock().take() {
            Some(opened) => hand_on(visit, question, opened),
            None => Failure::interrupted().to_response(),
        },
        Landing::Content(content) => from_file(visit, &content),
        Landing::Failed(failure) => failure.to_response(),
        _ => Failure::interrupted().to_response(),
    }
}

/// A file of a share takes no requester place: it is no object.
pub(crate) fn from_file(visit: &Visit<'_>, content: &Content) -> Response {
    let (representation, source) = (&content.representation, content.source.clone());
    answer::unlimited(representation, source, &visit.asked, visit.now, CacheStatus::Passed)
}

/// The upstream's answer as ours.
pub(crate) fn hand_on(visit: &Visit<'_>, question: &Question, opened: Opened) -> Response {
    let mut response = Response::new(opened.status);
    let dropped = nominated(&opened.fields);
    for (name, value) in &opened.fields {
        if NOT_HANDED_ON.contains(name) || dropped.contains(name) {
            continue;
        }
        if *name == header::LOCATION
            && let Some(location) = relocated(question, value.to_str().unwrap_or_default())
        {
            response.fields.push(name.as_str(), location);
            continue;
        }
        response.fields.push(name.as_str(), value.as_bytes());
    }
    response.fields.push("Via", format!("1.1 {}", visit.via()));
    response.cache_status = Some(CacheStatus::Passed);
    let has_no_body = matches!(opened.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    response.body = match (has_no_body, visit.asked.is_head) {
        (true, _) => Downstream::Empty,
        (false, true) => Downstream::Stream { stream: Box::pin(NoPieces), len: opened.len },
        (false, false) => Downstream::Stream { stream: pump(visit.shared, opened.body), len: opened.len },
    };
    response
}

/// What `Connection` names, but never what an answer cannot be understood without.
fn nominated(fields: &HeaderMap) -> Vec<HeaderName> {
    const ESSENTIAL: [HeaderName; 4] =
        [header::CONTENT_TYPE, header::CONTENT_RANGE, header::CONTENT_ENCODING, header::CACHE_CONTROL];
    let values = fields.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    names.filter(|name| !ESSENTIAL.contains(name)).collect()
}

fn relocated(question: &Question, location: &str) -> Option<String> {
    match &question.upstream.kind {
        Kind::Directory(_) => None,
        Kind::Http(http) => http.relocate(location, &question.upstream.options.mount),
        Kind::Outpost(outpost) => outpost.http().relocate(location, &question.upstream.options.mount),
    }
}

/// Reads the body on the runtime of the fetches and hands it over in pieces.
fn pump(shared: &Arc<Shared>, mut body: Body) -> serve::response::BodyStream {
    let (send, receive) = mpsc::channel(PIECES_MAX);
    shared.spawn(async move {
        loop {
            let piece = match body.next().await {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(error) => Err(io::Error::other(error)),
            };
            let is_last = piece.is_err();
            // An error here means that the client has left.
            if send.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    Box::pin(Queue(receive))
}

/// The near end of a queue of pieces.
pub(crate) struct Queue(pub(crate) mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Queue {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// A body of which only the length is told.
pub(crate) struct NoPieces;

impl Stream for NoPieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nominated_fields_are_dropped_but_for_the_essential() {
        let mut fields = HeaderMap::new();
        fields.append(header::CONNECTION, "close, X-Secret".parse().unwrap());
        fields.append(header::CONNECTION, "Content-Type".parse().unwrap());
        assert_eq!(nominated(&fields), ["close", "x-secret"].map(|name| name.parse::<HeaderName>().unwrap()));
    }
}
