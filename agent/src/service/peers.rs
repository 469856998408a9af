//! Answers neighbours: with contents that are here, whole, and no others, so that nobody waits for somebody who waits himself.
//!
//! | the content | answer |
//! | --- | --- |
//! | is here, and may be shared | its bytes, while a place is free; else 503 `max-requesters` with a short time |
//! | is not here, is too small, has another name than those that are shared | 404 |
//! | any, while this machine does not share | 503 `overloaded` with a time, and why |

use std::{sync::Arc, time::SystemTime};

use http::Method;
use protocol::{
    digest::Md5,
    info::OBJECTS,
    problem::{Kind, Problem},
    target::Target,
};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    response::{Hold, Response},
};
use store::Store;

use super::{
    content::{self, problem},
    names,
    sharing::Sharing,
};
use crate::decide::sharing::Why;

/// Seconds after which a neighbour that found no place may come again; it has others to ask.
const RETRY_AFTER: u64 = 5;

/// What it answers from.
pub(crate) struct Peers {
    pub(crate) store: Store,
    pub(crate) sharing: Arc<Sharing>,
}

impl Handler for Peers {
    fn answer(&self, request: &Request<'_>, _client: &Client) -> Answer {
        Answer::Now(self.respond(request))
    }
}

impl Peers {
    fn respond(&self, request: &Request<'_>) -> Response {
        if request.method != Method::GET && request.method != Method::HEAD {
            return Response::method_not_allowed("GET, HEAD");
        }
        let asked = Target::parse(request.target).ok();
        let md5 = asked.as_ref().and_then(|target| target.path().strip_prefix(OBJECTS)?.parse::<Md5>().ok());
        let Some(md5) = md5 else {
            return problem(Kind::NotFound, "this machine has only contents by their digest; ask a proxy for a path");
        };
        if let Some(why) = self.sharing.why_not() {
            return not_now(why);
        }
        let terms = self.sharing.terms();
        let shared = self.store.peek(&md5).filter(|_| terms.uploads > 0);
        let is_shared =
            shared.is_some_and(|info| terms.shared.has(names::name_of(&self.store, &md5).as_deref(), info.size));
        let reader = if is_shared { self.store.hit(&md5) } else { None };
        let Some(reader) = reader else { return content::not_here(&md5) };
        let Some(place) = self.sharing.place(terms.uploads) else { return no_place(terms.uploads) };
        let mut response = content::answer(request, &md5, reader);
        response.hold = Some(Hold::new(place));
        response
    }
}

/// All places are taken.
fn no_place(uploads: usize) -> Response {
    let detail = format!("this machine serves {uploads} others already; ask again in {RETRY_AFTER} s, or another one");
    let mut problem = Problem::new(Kind::MaxRequesters, detail).retry_after(RETRY_AFTER);
    problem.max_requesters = Some(uploads as u64);
    Response::problem(&problem, Kind::MaxRequesters)
}

/// This machine serves nobody now.
fn not_now(why: Why) -> Response {
    let again_in = why.retry_after(SystemTime::now());
    let detail = format!("this machine serves nobody now: {}; ask another one, or again in {again_in} s", why.text());
    Response::problem(&Problem::new(Kind::Overloaded, detail).retry_after(again_in), Kind::Overloaded)
}
