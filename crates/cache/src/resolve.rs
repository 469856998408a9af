//! One request in one screen: what is asked, what is known of it, and what follows from that.

use std::{sync::Arc, time::SystemTime};

use http::StatusCode;
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
    answer::{self, Requester},
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
    settings::Settings,
    status::add,
    upstream::{AskError, Question, Upstream},
};

pub(crate) fn answer(shared: &Arc<Shared>, request: &Request<'_>, client: &Client) -> Answer {
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(bad) => return now(problem(Kind::BadRequest, format!("{bad}; see RFC 3986 for how names are encoded"))),
    };
    let asked = Asked::read(request, client);
    let settings = shared.settings();
    if target.path().starts_with("/.outpost/") {
        return endpoints::answer(shared, &settings, target, &asked, request.fields);
    }
    let Some((upstream, below)) = settings.upstream_of(&target) else {
        return now(mounts(&settings, &target, &asked));
    };
    if target.path() == upstream.options.mount.trim_end_matches('/') {
        return now(to_slash(&target, &settings));
    }
    let key = upstream.key(&below);
    match look(shared, &settings, upstream, &key, &asked, request.fields) {
        Look::Serve(known, reader, status) => now(serve(shared, &settings, &known, reader, &target, &asked, status)),
        Look::Pages(pages) => now(pages.respond(&asked, &settings.options.via, CacheStatus::Hit)),
        look => {
            let sent = forwarded(request.fields);
            let (upstream, key) = (upstream.clone(), key.into());
            let question = Question { upstream, full: target, target: below, key, sent, object: None };
            not_here(shared, &settings, Arc::new(question), &asked, look)
        }
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

fn look(
    shared: &Shared,
    settings: &Settings,
    upstream: &Upstream,
    key: &[u8],
    asked: &Asked<'_>,
    fields: Fields<'_>,
) -> Look {
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
    let now = SystemTime::now();
    let suits = suits(shared, upstream, &known, asked, fields, now);
    if suits == Suits::OtherVariant {
        return if is_down { Look::Down } else { Look::Ask };
    }
    let checked = shared.book.checked(&known, now);
    let verdict = freshness::decide(Facts {
        is_fresh: suits == Suits::Fresh,
        is_unreachable: is_down || shared.book.is_held(&known),
        may_stand_in: freshness::may_stand_in(&known.record, checked, now, settings.options.stale_if_error),
    });
    let status = match verdict {
        Verdict::Fresh => CacheStatus::Hit,
        Verdict::Stale => CacheStatus::Stale,
        Verdict::Recheck => return Look::Ask,
        Verdict::Gone => return if is_down { Look::Down } else { Look::Ask },
    };
    match shared.sealed(&known.md5) {
        Some(reader) => Look::Serve(known, reader, status),
        None if is_down => Look::Down,
        None => Look::Ask,
    }
}

fn suits(
    shared: &Shared,
    upstream: &Upstream,
    known: &Known,
    asked: &Asked<'_>,
    fields: Fields<'_>,
    now: SystemTime,
) -> Suits {
    let by = |is_fresh: bool| if is_fresh { Suits::Fresh } else { Suits::Stale };
    match &known.record.origin {
        Origin::Http(meta) if asked.is_controlled || !meta.selecting.is_empty() => {
            freshness::suits(&known.record, meta, &forwarded(fields), now)
        }
        Origin::Http(meta) => by(freshness::is_fresh(meta, now)),
        Origin::Directory(_) | Origin::Outpost { .. } => by(shared.book.is_recent(known, upstream.options.recheck)),
    }
}

/// What is not to be had at once: join the flight that is on, or begin one, or say why not.
fn not_here(
    shared: &Arc<Shared>,
    settings: &Arc<Settings>,
    question: Arc<Question>,
    asked: &Asked<'_>,
    look: Look,
) -> Answer {
    if freshness::wants_only_cached(&question.sent) {
        let detail = "the request wants only what is here (Cache-Control: only-if-cached), and a fresh copy is not";
        return now(problem(Kind::UpstreamTimeout, detail.into()));
    }
    let boarded = match look {
        Look::Pass => return Answer::later(pass::pass(shared.clone(), question, Arc::new(asked.into_owned()))),
        Look::Wrong => return now(fill::wrong(&question).to_response()),
        // A fill that is on goes on, and can be followed.
        Look::Down => match shared.flights.find(&question.key) {
            Some(flight) => Boarded::follow(flight, &question, !asked.may_need_no_body()),
            None => return now(down(&question).to_response()),
        },
        _ => boarding::join(shared, &question, !asked.may_need_no_body()),
    };
    if let Some((landing, leads)) = boarded.landed()
        && let Ok(response) = boarding::from_landing(shared, settings, &question, asked, landing, leads)
    {
        return now(response);
    }
    Answer::later(boarding::wait(shared.clone(), question, asked.into_owned(), boarded))
}

/// A hit: no wait, nothing to look up but the places.
fn serve(
    shared: &Shared,
    settings: &Settings,
    known: &Known,
    reader: Reader,
    target: &Target,
    asked: &Asked<'_>,
    status: CacheStatus,
) -> Response {
    count(shared, status);
    let described = described(known, &reader, target.path(), &settings.options.via);
    let requester = Requester {
        places: &|| shared.requesters.of(&known.md5),
        options: &settings.options,
        counters: &shared.counters,
    };
    answer::with_bytes(described, Source::Object(reader), asked, SystemTime::now(), status, &requester)
}

/// The representation of a sealed content under its name.
pub(crate) fn described<'a>(known: &'a Known, reader: &Reader, path: &str, via: &str) -> &'a Arc<Representation> {
    let digests = reader.digests().map_or(representation::Known::Md5(known.md5), representation::Known::Both);
    known.representation(|record| Representation::of_name(record, digests, path, via))
}

pub(crate) fn count(shared: &Shared, status: CacheStatus) {
    let counters = &shared.counters;
    let counter = match status {
        CacheStatus::Hit => &counters.hits,
        CacheStatus::Stored => &counters.misses,
        CacheStatus::Collapsed => &counters.collapsed,
        CacheStatus::Revalidated => &counters.revalidated,
        CacheStatus::Stale => &counters.stale,
        CacheStatus::Passed | CacheStatus::Bypass => &counters.passed,
    };
    add(counter, 1);
}

fn mounts(settings: &Settings, target: &Target, asked: &Asked<'_>) -> Response {
    let mounts = settings.upstreams.iter().map(|upstream| upstream.options.mount.as_str());
    match index::of_mounts(target, mounts) {
        Some(listing) => index::Pages::of(&listing).respond(asked, &settings.options.via, CacheStatus::Hit),
        None => problem(Kind::NotFound, format!("no upstream is mounted where {} would be", target.path())),
    }
}

pub(crate) fn to_slash(target: &Target, settings: &Settings) -> Response {
    let mut response = Response::new(StatusCode::MOVED_PERMANENTLY);
    response.fields.push("Location", target.directory_location());
    response.fields.push("Via", format!("1.1 {}", settings.options.via));
    response
}

fn down(question: &Question) -> Failure {
    let error = question.upstream.health.last_error().unwrap_or_else(|| "it does not answer".into());
    AskError::Unreachable(error).to_failure(question)
}

fn now(response: Response) -> Answer {
    Answer::Now(response)
}

pub(crate) fn problem(kind: Kind, detail: String) -> Response {
    Response::problem(&Problem::new(kind, detail), kind)
}
