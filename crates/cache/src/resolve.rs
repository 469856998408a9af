//! One request in one screen: what is asked, what is known of it, and what follows from that.

use std::{sync::Arc, time::Instant};

use protocol::{cache_status::CacheStatus, problem::Kind, target::Target};
use serve::{
    handler::{Answer, Client},
    request::{Fields, Request},
    response::Response,
    source::Source,
};
use store::Reader;

use crate::{
    answer::pages::{self, Pages},
    asked::{Asked, forwarded},
    endpoints,
    failure::Failure,
    fetch::{
        fill,
        join::{Boarded, join},
    },
    follow,
    names::{
        book::Known,
        freshness::{self, Facts, Suits, Verdict},
        memo::{Memo, WRONG_MAX},
        record::Origin,
    },
    pass,
    shared::Shared,
    upstream::{Question, Upstream, error::AskError},
    visit::Visit,
};

pub(crate) fn answer(shared: &Arc<Shared>, request: &Request<'_>, client: &Client) -> Answer {
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(bad) => return now(refusal(Kind::BadRequest, format!("{bad}; see RFC 3986 for how names are encoded"))),
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
    let question =
        |sent| Arc::new(Question::of_name(upstream.clone(), target.clone(), below.clone().into_owned(), &key, sent));
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
    Pages(Arc<Pages>),
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
        let now = Instant::now();
        return match (shared.pages.of(key, now), shared.memos.of(key, now)) {
            (Some(pages), _) => Look::Pages(pages),
            (None, Some(Memo::Passes)) => Look::Pass,
            (None, Some(Memo::Wrong(times))) if times >= WRONG_MAX => Look::Wrong,
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
    match status.and_then(|status| Some((status, shared.store.hit(&known.md5)?))) {
        Some((status, reader)) => Look::Serve(known, reader, status),
        None if is_down => Look::Down,
        None => Look::Ask,
    }
}

fn suits(visit: &Visit<'_>, upstream: &Upstream, known: &Known, fields: Fields<'_>) -> Suits {
    // Most requests say nothing of caching, and most answers do not vary: then the fields need not be looked at.
    let is_of_web_server = matches!(known.record.origin, Origin::Http(_));
    let is_told_apart = is_of_web_server && (visit.asked.is_controlled || known.record.variant().is_some());
    let sent = is_told_apart.then(|| forwarded(fields));
    let is_recent = || visit.shared.book.is_recent(known, upstream.options.recheck);
    freshness::suits(&known.record, sent.as_ref(), visit.now, is_recent)
}

/// A hit: no wait, nothing to look up but the places.
fn serve(visit: &Visit<'_>, known: &Known, reader: Reader, target: &Target, status: CacheStatus) -> Response {
    let described = known.representation(&reader, target.path(), visit.via());
    visit.content(described, Source::Object(reader), &|| visit.shared.requesters.of(&known.md5), status)
}

/// The upstream must be asked: joins the flight that is on, or begins one.
fn ask(visit: &Visit<'_>, question: Arc<Question>) -> Answer {
    if freshness::wants_only_cached(&question.sent) {
        let detail = "the request wants only what is here (Cache-Control: only-if-cached), and a fresh copy is not";
        return now(refusal(Kind::UpstreamTimeout, detail));
    }
    let boarded = join(visit.shared, &question, !visit.asked.may_need_no_body());
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
        && let Ok(response) = follow::from_landing(visit, &question, landing, leads)
    {
        return now(response);
    }
    Answer::later(follow::wait(visit.shared.clone(), question, visit.asked.into_owned(), boarded))
}

fn pass(visit: &Visit<'_>, question: Arc<Question>) -> Answer {
    Answer::later(pass::pass(visit.shared.clone(), question, Arc::new(visit.asked.into_owned())))
}

fn mounts(visit: &Visit<'_>, target: &Target) -> Response {
    let mounts = visit.settings.upstreams.iter().map(|upstream| upstream.options.mount.as_str());
    match pages::of_mounts(target, mounts) {
        Some(listing) => visit.pages(&Pages::of(&listing), CacheStatus::Hit),
        None => refusal(Kind::NotFound, format!("no upstream is mounted where {} would be", target.path())),
    }
}

fn unreachable(question: &Question) -> Failure {
    let error = question.upstream.health.last_error().unwrap_or_else(|| "it does not answer".into());
    question.failure(&AskError::Unreachable(error))
}

fn refusal(kind: Kind, detail: impl Into<String>) -> Response {
    Failure::new(kind, detail).to_response()
}

fn now(response: Response) -> Answer {
    Answer::Now(response)
}
