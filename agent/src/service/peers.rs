//! Answers neighbours: with contents that are here, whole, with pieces of those on their way that were compared with their own digest, and with
//! nothing else, so that nobody waits for somebody who waits himself.
//!
//! | the content | `objects/MD5` |
//! | --- | --- |
//! | is here, and may be shared | its bytes, while a place is free; else 503 `max-requesters` with a short time |
//! | is on its way, and may be shared | a range that lies within pieces that are here likewise; anything else 404 |
//! | is not here, is too small, has another name than those that are shared | 404 |
//! | any, while this machine does not share | 503 `overloaded` with a time, and why |
//!
//! `have/MD5?piece=BYTES` tells which pieces those are, `pieces/MD5` gives their digests where they are known; neither takes a place.

use std::{sync::Arc, time::SystemTime};

use http::Method;
use protocol::{
    digest::Md5,
    info::OBJECTS,
    pieces::{HAVE, PIECES},
    problem::{Kind, Problem},
    target::Target,
};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    response::{Body, Hold, Response},
};
use store::{ObjectInfo, Store};

use super::{
    arriving,
    content::{self, problem},
    names,
    sharing::Sharing,
};
use crate::{bring::swarm::arrivals::Arrivals, decide::sharing::Why};

/// Seconds after which a neighbour that found no place may come again; it has others to ask.
const RETRY_AFTER: u64 = 5;

/// What it answers from.
pub(crate) struct Peers {
    pub(crate) store: Store,
    pub(crate) arrivals: Arc<Arrivals>,
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
        let Some(asked) = Target::parse(request.target).ok().and_then(|target| Asked::of(&target)) else {
            return problem(Kind::NotFound, "this machine has only contents by their digest; ask a proxy for a path");
        };
        if let Some(why) = self.sharing.why_not() {
            return not_now(why);
        }
        if self.sharing.terms().uploads == 0 {
            return content::not_here(asked.md5());
        }
        match &asked {
            Asked::Object(md5) => self.object(request, md5),
            Asked::Have(md5, piece_size) => self.have(md5, *piece_size),
            Asked::Pieces(md5) => self.pieces(md5),
        }
    }

    /// A content that is here, whole, if it may be shared.
    fn whole(&self, md5: &Md5) -> Option<ObjectInfo> {
        let (info, terms) = (self.store.peek(md5)?, self.sharing.terms());
        terms.shared.has(names::name_of(&self.store, md5).as_deref(), info.size).then_some(info)
    }

    fn object(&self, request: &Request<'_>, md5: &Md5) -> Response {
        let reader = self.whole(md5).and_then(|_| self.store.hit(md5));
        let mut response = match (reader, self.arrivals.find(md5)) {
            (Some(reader), _) => content::answer(request, md5, reader),
            (None, Some(arrival)) => arriving::answer(request, &arrival),
            (None, None) => return content::not_here(md5),
        };
        let sends = matches!(response.body, Body::File { .. });
        let uploads = self.sharing.terms().uploads;
        match self.sharing.place(uploads) {
            Some(place) if sends => response.hold = Some(Hold::new(place)),
            None if sends => return no_place(uploads),
            _ => {}
        }
        response
    }

    fn have(&self, md5: &Md5, piece_size: u64) -> Response {
        let have = match (self.whole(md5), self.arrivals.find(md5)) {
            (Some(info), _) => arriving::have_all(info.size, piece_size),
            (None, Some(arrival)) => Some(arriving::have(&arrival, piece_size)),
            (None, None) => return content::not_here(md5),
        };
        match have {
            Some(have) => arriving::json(&have),
            None => problem(Kind::BadRequest, "there are no pieces of that size; leave ?piece=BYTES out"),
        }
    }

    fn pieces(&self, md5: &Md5) -> Response {
        let arrival = self.arrivals.find(md5);
        match arrival.as_ref().and_then(|arrival| arrival.list()) {
            Some(list) => arriving::json(list),
            None => content::not_here(md5),
        }
    }
}

/// What is asked for.
enum Asked {
    Object(Md5),
    /// With the size of the asker's pieces; 0: as they are here.
    Have(Md5, u64),
    Pieces(Md5),
}

impl Asked {
    fn of(target: &Target) -> Option<Self> {
        let md5 = |place: &str| target.path().strip_prefix(place)?.parse::<Md5>().ok();
        let size = || {
            let value = target.query_value("piece")?;
            std::str::from_utf8(&value).ok()?.parse().ok()
        };
        let have = || md5(HAVE).map(|md5| Self::Have(md5, size().unwrap_or_default()));
        md5(OBJECTS).map(Self::Object).or_else(have).or_else(|| md5(PIECES).map(Self::Pieces))
    }

    fn md5(&self) -> &Md5 {
        let (Self::Object(md5) | Self::Have(md5, _) | Self::Pieces(md5)) = self;
        md5
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
