//! What is asked of web servers by other methods than GET and HEAD: they pass with their bodies, each for its client alone, and what may have
//! changed there is forgotten here (RFC 9111 section 4.4). A directory and an Outpost are read only: see `webdav`.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use protocol::target::Target;
use serve::{
    handler::Answer,
    request::{Announced, Request},
    response::Response,
    upload::Upload,
};

use crate::{
    asked::Owned,
    context::RequestContext,
    failure::Failure,
    forwarded,
    pass::respond,
    shared::Shared,
    upstream::{Question, error::AskError, reply::Reply},
};

/// What an endpoint of this server can do.
const READ_ONLY: &str = "GET, HEAD, OPTIONS";
/// What a web server may have beyond what it says itself.
const OF_WEB_SERVER: &str = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";

const MAX_FORWARDS: &str = "max-forwards";

/// Of an endpoint of this server.
pub(crate) fn read_only(method: &Method) -> Response {
    match *method {
        Method::OPTIONS => Response::methods(READ_ONLY),
        _ => Response::method_not_allowed(READ_ONLY),
    }
}

/// Of a name of a web server, by any method but GET and HEAD.
pub(crate) fn answer(context: &RequestContext<'_>, question: Question, request: &Request<'_>) -> Answer {
    let method = request.method.clone();
    // It would answer with what was asked of it, credentials and cookies included.
    if method == Method::TRACE {
        return Answer::Now(Response::method_not_allowed(OF_WEB_SERVER));
    }
    let mut fields = forwarded::end_to_end(request.fields);
    if method == Method::OPTIONS && is_last_hop(&mut fields) {
        return Answer::Now(Response::methods(OF_WEB_SERVER));
    }
    forwarded::speak_for(&mut fields, &context.asked.client);
    let (shared, owned) = (context.shared.clone(), context.asked.into_owned());
    let passing = Passing { shared, question: Arc::new(question), owned, method, fields };
    match request.body {
        Announced::None => Answer::later(passing.run(None)),
        Announced::Length(_) | Announced::Unknown => Answer::reads(|upload| passing.run(Some(upload))),
    }
}

/// RFC 9110 section 7.6.2: who may not forward answers itself, and everybody else counts.
fn is_last_hop(fields: &mut HeaderMap) -> bool {
    let hops = fields.get(MAX_FORWARDS).and_then(|hops| hops.to_str().ok()?.trim().parse::<u64>().ok());
    match hops {
        None => false,
        Some(0) => true,
        Some(hops) => {
            fields.insert(MAX_FORWARDS, HeaderValue::from(hops - 1));
            false
        }
    }
}

/// One request on its way.
struct Passing {
    shared: Arc<Shared>,
    question: Arc<Question>,
    owned: Owned,
    method: Method,
    fields: HeaderMap,
}

impl Passing {
    /// Asks and hands the answer on. When the client leaves, its body ends, and with that the request.
    async fn run(self, upload: Option<Upload>) -> Response {
        let Self { shared, question, owned, method, fields } = self;
        let asking = {
            let (shared, question, method) = (shared.clone(), question.clone(), method.clone());
            async move {
                let reply = question.upstream.forward(&question, method.clone(), fields, upload).await;
                shared.report(&question.upstream, &reply);
                if !is_safe(&method) {
                    forget(&shared, &question, &reply);
                }
                reply
            }
        };
        let reply = match shared.on_fetches(asking).await {
            Ok(reply) => reply,
            Err(failure) => return failure.to_response(),
        };
        let answered = reply.and_then(|reply| respond(&RequestContext::new(&shared, owned.asked()), &question, reply));
        answered.unwrap_or_else(|error| failure(&question, &method, &error).to_response())
    }
}

/// RFC 9110 section 9.2.1, and the methods of WebDAV that only read (RFC 4918 section 9.1, RFC 3253 section 3.6, RFC 5323 section 2).
fn is_safe(method: &Method) -> bool {
    method.is_safe() || ["PROPFIND", "REPORT", "SEARCH"].contains(&method.as_str())
}

fn failure(question: &Question, method: &Method, error: &AskError) -> Failure {
    error.to_failure_of(method, question.full.path(), &question.upstream.options.name)
}

/// What an unsafe method may have changed: the name itself, and those that the answer names, unless it says that nothing was done. A request that
/// broke may have been carried out all the same.
fn forget(shared: &Shared, question: &Question, reply: &Result<Reply, AskError>) {
    let answer = match reply {
        Ok(Reply::Answer(answer)) if answer.status.is_client_error() || answer.status.is_server_error() => return,
        Ok(Reply::Answer(answer)) => Some(answer),
        _ => None,
    };
    shared.forget_name(&question.key);
    let Some(answer) = answer else { return };
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let named = answer.fields.get(name).and_then(|value| value.to_str().ok());
        if let Some(target) = named.and_then(|named| same_server(question, named)) {
            shared.forget_name(&question.upstream.key(&target));
        }
    }
}

/// A name of the same upstream that one of its fields speaks of; of other servers nothing is believed.
fn same_server(question: &Question, named: &str) -> Option<Target> {
    let seen = question.upstream.relocate(named).unwrap_or_else(|| named.to_owned());
    let uri: Uri = seen.parse().ok()?;
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return None;
    }
    let target = Target::parse(uri.path_and_query()?.as_str().as_bytes()).ok()?;
    Some(target.below(&question.upstream.options.mount)?.into_owned())
}
