//! What is not for the cache goes through: everybody asks for themselves, and nothing is kept. The upstream's answer keeps its status and its
//! end-to-end fields.
//!
//! The asking and the bytes run on the runtime of the fetches; the connection's reactor only takes pieces from a short queue. When the
//! client leaves, the queue closes, and with it the upstream's connection.

use std::{io, sync::Arc};

use http::{HeaderName, Method, StatusCode, header};
use protocol::cache_status::CacheStatus;
use serve::response::{Body as Downstream, BodyStream, Response};
use tokio::sync::mpsc;

use crate::{
    answer::pieces::{NoPieces, Queue},
    asked::Owned,
    context::RequestContext,
    fetch::{outcome::Content, refused::not_preloaded},
    forwarded::speak_for,
    names::lines,
    shared::Shared,
    status::add,
    upstream::{
        Question,
        body::Body,
        error::AskError,
        reply::{OpenAnswer, Reply},
    },
};

/// Pieces between the upstream and a client: as much as is lost when the client leaves.
const PIECES_MAX: usize = 4;

/// Written anew here.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Asks for one client alone.
pub(crate) async fn pass(shared: Arc<Shared>, question: Arc<Question>, owned: Arc<Owned>) -> Response {
    if !question.may_ask() {
        return not_preloaded(&question, &shared.clock, shared.settings().options.retry_delay).to_response();
    }
    let asking = {
        let (shared, question, owned) = (shared.clone(), question.clone(), owned.clone());
        async move { ask(&shared, &question, &owned).await }
    };
    let reply = match shared.on_fetches(asking).await {
        Ok(reply) => reply,
        Err(failure) => return failure.to_response(),
    };
    let answered = reply.and_then(|reply| respond(&RequestContext::new(&shared, owned.asked()), &question, reply));
    answered.unwrap_or_else(|error| question.failure(&error).to_response())
}

async fn ask(shared: &Arc<Shared>, question: &Arc<Question>, owned: &Owned) -> Result<Reply, AskError> {
    let mut fields = question.sent.clone();
    fields.extend(owned.condition_fields());
    speak_for(&mut fields, &owned.asked().client);
    let method = if owned.asked().is_head { Method::HEAD } else { Method::GET };
    let reply = question.upstream.forward(question, method, fields, None).await;
    shared.report(&question.upstream, &reply);
    reply
}

pub(crate) fn respond(context: &RequestContext<'_>, question: &Question, reply: Reply) -> Result<Response, AskError> {
    add(&context.shared.counters.passed, 1);
    let is_no_file = || AskError::Changed("it is no file any more".into());
    match reply {
        Reply::Answer(opened) => Ok(hand_on(context, question, *opened)),
        Reply::File(head, _) => {
            let content = Content::of_shared_file(context.shared, question, &head).ok_or_else(is_no_file)?;
            Ok(from_file(context, &content))
        }
        Reply::No(failure) => Ok(failure.to_response()),
        Reply::Unchanged { .. } | Reply::Listing(_) | Reply::NeedsSlash | Reply::ForAll(..) => Err(is_no_file()),
    }
}

/// A file of a share takes no requester place: it is no object.
pub(crate) fn from_file(context: &RequestContext<'_>, content: &Content) -> Response {
    context.reply(&content.representation, CacheStatus::Passed).unlimited(content.source.clone())
}

/// The upstream's answer as ours.
pub(crate) fn hand_on(context: &RequestContext<'_>, question: &Question, opened: OpenAnswer) -> Response {
    let mut response = Response::new(opened.status);
    // Who made it, and when, is told as it was (RFC 9110 section 6.6.1); an answer without a date gets ours.
    response.fields.dated = opened.fields.contains_key(header::DATE);
    for (name, value) in lines::end_to_end(&opened.fields) {
        if *name == CACHE_STATUS || (*name == header::SERVER && !response.fields.dated) {
            continue;
        }
        if *name == header::LOCATION
            && let Some(location) = question.upstream.relocate(value.to_str().unwrap_or_default())
        {
            response.fields.push(name.as_str(), location);
            continue;
        }
        response.fields.push(name.as_str(), value.as_bytes());
    }
    response.fields.push("Via", format!("1.1 {}", context.via()));
    response.cache_status = Some(CacheStatus::Passed);
    let has_no_body = matches!(opened.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    response.body = match (has_no_body, context.asked.is_head) {
        (true, _) => Downstream::Empty,
        (false, true) => Downstream::Stream { stream: Box::pin(NoPieces), len: opened.len },
        (false, false) => Downstream::Stream { stream: pump(context.shared, opened.body), len: opened.len },
    };
    response
}

/// Reads the body on the runtime of the fetches and hands it over in pieces.
fn pump(shared: &Arc<Shared>, mut body: Body) -> BodyStream {
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
