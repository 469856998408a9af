//! One request in one screen: what is asked, what is known of it, and what follows from that.

use std::sync::Arc;

use protocol::{
    cache_status::CacheStatus,
    problem::{Kind, Problem},
    target::Target,
};
use serve::{
    handler::{Answer, Client},
    request::{Fields, Request},
    response::Response,
    source::Source,
};
use store::Reader;

use crate::{
    asked::{Asked, forwarded},
    boarding::{self, Boarded},
    book::Known,
    cache::{Remembered, Shared},
    endpoints, fill,
    freshness::{self, Facts, Suits, Verdict},
    index,
    landing::Failure,
    pass,
    record::Origin,
    representation::{self, Representation},
    upstream::{AskError, Question, Upstream},
    visit::Visit,
};

pub(crate) fn answer(shared: &Arc<Shared>, request: &Request<'_>, client: &Client) -> Answer {
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(bad) => return now(problem(Kind::BadRequest, format!("{bad}; see RFC 3986 for how names are encoded"))),
    };
    let visit = Visit::new(shared, Asked::read(request, client));
    if target.path().starts_with("/.outpost/") {
        return endpoints::answer(&visit, target, request.fields);
    }
    let Some((upstream, below)) = visit.settings.upstream_of(&target) else {
        return now(mounts(&visit, &target));
    };
    if target.path() == upstream.options.mount.trim_end_matches('/') {
        return now(visit.to_slash(&target));
    }
    let key = upstream.key(&below);
    let question = |sent| {
        let (upstream, key) = (upstream.clone(), key.as_slice().into());
        let (full, target) = (target.clone(), below.clone().into_owned());
        Arc::new(Question { upstream, full, target, key, sent, object: None })
    };
    match look(&visit, upstream, &key, request.fields) {
        Look::Serve(known, reader, status) => now(serve(&visit, &known, reader, &target, status)),
        Look::Pages(pages) => now(visit.pages(&pages, CacheStatus::Hit)),
        Look::Ask => ask(&visit, question(forwarded(request.fields))),
        Look::Pass => pass(&visit, question(forwarded(request.fields))),
        Look::Down => down(&visit, question(forwarded(request.fields))),
        Look::Wrong => now(fill::wrong(&question(forwarded(request.fields))).to_response()),
    }
}

/// What is known without asking anybody.
enum Look {
    /// The content, with the word for how it came.
    Serve(Arc<Known>, Reader, CacheStatus),
    /// A directory's pages.
    Pages(Arc<index::Pages>),
    /// The upstream must be asked.
    Ask,
    /// It is known not to be for the cache.
    Pass,
    /// Nobody can be asked, and there is no copy that may stand in.
    Down,
    /// Its bytes were wrong a moment ago, more than once.
    Wrong,
}

fn look(visit: &Visit<'_>, upstream: &Upstream, key: &[u8], fields: Fields<'_>) -> Look {
    let shared = visit.shared;
    let is_down = upstream.health.is_open();
    let Some(known) = shared.book.known(key) else {
        return match (shared.kept_pages(key), shared.recall(key)) {
            (Some(pages), _) => Look::Pages(pages),
            (None, Some(Remembered::Passes)) => Look::Pass,
            (None, Some(Remembered::Wrong(times))) if times >= fill::WRONG_MAX => Look::Wrong,
            (None, _) if is_down => Look::Down,
            (None, _) => Look::Ask,
        };
    };
    let suits = suits(visit, upstream, &known, fields);
    let verdict = freshness::decide(suits == Suits::Fresh, || {
        let (checked, at_most) = (shared.book.checked(&known, visit.now), visit.settings.options.stale_if_error);
        let may_stand_in = freshness::may_stand_in(&known.record, checked, visit.now, at_most);
        Facts {
            is_unreachable: is_down || shared.book.is_held(&known),
            may_stand_in: may_stand_in && suits != Suits::OtherVariant,
        }
    });
    let status = match verdict {
        Verdict::Fresh => Some(CacheStatus::Hit),
        Verdict::Stale => Some(CacheStatus::Stale),
        Verdict::Recheck | Verdict::Gone => None,
    };
    match status.and_then(|status| Some((status, shared.sealed(&known.md5)?))) {
        Some((status, reader)) => Look::Serve(known, reader, status),
        None if is_down => Look::Down,
        None => Look::Ask,
    }
}

fn suits(visit: &Visit<'_>, upstream: &Upstream, known: &Known, fields: Fields<'_>) -> Suits {
    let by = |is_fresh: bool| if is_fresh { Suits::Fresh } else { Suits::Stale };
    match &known.record.origin {
        Origin::Http(meta) if visit.asked.is_controlled || !meta.selecting.is_empty() => {
            freshness::suits(&known.record, meta, &forwarded(fields), visit.now)
        }
        Origin::Http(meta) => by(freshness::is_fresh(meta, visit.now)),
        Origin::Directory(_) | Origin::Outpost { .. } => {
            by(visit.shared.book.is_recent(known, upstream.options.recheck))
        }
    }
}

/// A hit: no wait, nothing to look up but the places.
fn serve(visit: &Visit<'_>, known: &Known, reader: Reader, target: &Target, status: CacheStatus) -> Response {
    let described = described(known, &reader, target.path(), visit.via());
    visit.content(described, Source::Object(reader), &|| visit.shared.requesters.of(&known.md5), status)
}

/// The upstream must be asked: joins the flight that is on, or begins one.
fn ask(visit: &Visit<'_>, question: Arc<Question>) -> Answer {
    if freshness::wants_only_cached(&question.sent) {
        let detail = "the request wants only what is here (Cache-Control: only-if-cached), and a fresh copy is not";
        return now(problem(Kind::UpstreamTimeout, detail.into()));
    }
    let boarded = boarding::join(visit.shared, &question, !visit.asked.may_need_no_body());
    board(visit, question, boarded)
}

/// The upstream cannot be asked. A fill that is on goes on, and can be followed.
fn down(visit: &Visit<'_>, question: Arc<Question>) -> Answer {
    match visit.shared.flights.find(&question.key) {
        Some(flight) => {
            let boarded = Boarded::follow(flight, &question, !visit.asked.may_need_no_body());
            board(visit, question, boarded)
        }
        None => now(unreachable(&question).to_response()),
    }
}

fn board(visit: &Visit<'_>, question: Arc<Question>, boarded: Boarded) -> Answer {
    if let Some((landing, leads)) = boarded.landed()
        && let Ok(response) = boarding::from_landing(visit, &question, landing, leads)
    {
        return now(response);
    }
    Answer::later(boarding::wait(visit.shared.clone(), question, visit.asked.into_owned(), boarded))
}

fn pass(visit: &Visit<'_>, question: Arc<Question>) -> Answer {
    Answer::later(pass::pass(visit.shared.clone(), question, Arc::new(visit.asked.into_owned())))
}

/// The representation of a sealed content under its name.
pub(crate) fn described<'a>(known: &'a Known, reader: &Reader, path: &str, via: &str) -> &'a Arc<Representation> {
    let proof = reader.digests().map_or(representation::Proof::Md5(known.md5), representation::Proof::Both);
    known.representation(|record| Representation::of_name(record, proof, path, via))
}

fn mounts(visit: &Visit<'_>, target: &Target) -> Response {
    let mounts = visit.settings.upstreams.iter().map(|upstream| upstream.options.mount.as_str());
    match index::of_mounts(target, mounts) {
        Some(listing) => visit.pages(&index::Pages::of(&listing), CacheStatus::Hit),
        None => problem(Kind::NotFound, format!("no upstream is mounted where {} would be", target.path())),
    }
}

fn unreachable(question: &Question) -> Failure {
    let error = question.upstream.health.last_error().unwrap_or_else(|| "it does not answer".into());
    AskError::Unreachable(error).to_failure(question)
}

fn now(response: Response) -> Answer {
    Answer::Now(response)
}

pub(crate) fn problem(kind: Kind, detail: String) -> Response {
    Response::problem(&Problem::new(kind, detail), kind)
}
