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
    asked::{Asked, Owned, forwarded},
    book::Known,
    cache::{Remembered, Shared},
    endpoints, fill,
    flights::{Flight, Joined},
    freshness::{self, Facts, Suits, Verdict},
    index,
    landing::{Content, Failure, Landing},
    pass,
    record::Origin,
    representation::{self, Representation},
    settings::Settings,
    status::add,
    upstream::{AskError, Question, Upstream},
};

/// A request joins at most so many flights: a description that was not enough, then the bytes, with one more for a race.
const JOINS_MAX: usize = 4;

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
    let boarded = match look {
        Look::Pass => return Answer::later(pass::pass(shared.clone(), question, Arc::new(asked.into_owned()))),
        Look::Wrong => return now(fill::wrong(&question).to_response()),
        // A fill that is on goes on, and can be followed.
        Look::Down => match shared.flights.find(&question.key) {
            Some(flight) => Boarded::follow(flight),
            None => return now(down(&question).to_response()),
        },
        _ => join(shared, &question, !asked.may_need_no_body()),
    };
    if let Some((landing, leads)) = boarded.landed()
        && let Ok(response) = from_landing(shared, settings, &question, asked, landing, leads)
    {
        return now(response);
    }
    Answer::later(wait(shared.clone(), question, asked.into_owned(), boarded))
}

/// A place in a flight, or what made it unnecessary.
pub(crate) enum Boarded {
    /// And whether this request began it.
    Flight(Arc<Flight>, bool),
    /// Another flight ended between the first look and the second.
    Landed(Landing),
    /// Its fill has failed, and it is about to end: then another may begin.
    Dying(Arc<Flight>),
}

impl Boarded {
    fn follow(flight: Arc<Flight>) -> Self {
        match flight.landed() {
            Some(landing) if landing.is_dead() => Self::Dying(flight),
            _ => Self::Flight(flight, false),
        }
    }

    fn landed(&self) -> Option<(Landing, bool)> {
        match self {
            Self::Flight(flight, leads) => Some((flight.landed()?, *leads)),
            Self::Landed(landing) => Some((landing.clone(), false)),
            Self::Dying(_) => None,
        }
    }

    /// What it comes to, and whether this request began it.
    pub(crate) async fn landing(mut self, shared: &Arc<Shared>, question: &Arc<Question>) -> (Landing, bool) {
        for _ in 0..JOINS_MAX {
            match self {
                Self::Flight(flight, leads) => return (flight.landing().await, leads),
                Self::Landed(landing) => return (landing, false),
                Self::Dying(flight) => {
                    flight.over().await;
                    self = join(shared, question, true);
                }
            }
        }
        (Landing::Failed(unsteady()), false)
    }
}

fn unsteady() -> Failure {
    Failure::new(Kind::Overloaded, "fetches of this file fail or its content changes again and again; ask again")
        .with_retry_after(1)
}

/// Joins the flight for a name, or begins one; looks at the record once more under the lock that decides it.
pub(crate) fn join(shared: &Arc<Shared>, question: &Arc<Question>, wants_body: bool) -> Boarded {
    let (name, path) = (&question.upstream.options.name, question.full.path());
    match shared.flights.join(&question.key, name, path, wants_body, || fresh(shared, question)) {
        Joined::Found(landing) => Boarded::Landed(landing),
        Joined::Follow(flight) => Boarded::follow(flight),
        Joined::Lead(departure) => {
            let flight = departure.flight.clone();
            shared.spawn_flight(fill::fly(shared.clone(), question.clone(), departure));
            Boarded::Flight(flight, true)
        }
    }
}

/// The content of a name if it may be given out without asking.
pub(crate) fn fresh(shared: &Shared, question: &Question) -> Option<Landing> {
    let known = shared.book.known(&question.key)?;
    let is_fresh = match &known.record.origin {
        Origin::Http(meta) => freshness::suits(&known.record, meta, &question.sent, SystemTime::now()) == Suits::Fresh,
        Origin::Directory(_) | Origin::Outpost { .. } => {
            shared.book.is_recent(&known, question.upstream.options.recheck)
        }
    };
    let reader = shared.sealed(&known.md5).filter(|_| is_fresh)?;
    Some(shared.land_sealed(&known, reader, question.full.path(), CacheStatus::Hit))
}

async fn wait(shared: Arc<Shared>, question: Arc<Question>, owned: Owned, mut boarded: Boarded) -> Response {
    let settings = shared.settings();
    for _ in 0..JOINS_MAX {
        let (landing, leads) = boarded.landing(&shared, &question).await;
        match from_landing(&shared, &settings, &question, &owned.asked(), landing, leads) {
            Ok(response) => return response,
            Err(Next::Pass) => return pass::pass(shared, question, Arc::new(owned)).await,
            Err(Next::AskForBytes) => boarded = join(&shared, &question, true),
        }
    }
    unsteady().to_response()
}

/// What a landing leaves to do.
enum Next {
    Pass,
    AskForBytes,
}

fn from_landing(
    shared: &Arc<Shared>,
    settings: &Arc<Settings>,
    question: &Question,
    asked: &Asked<'_>,
    landing: Landing,
    leads: bool,
) -> Result<Response, Next> {
    let now = SystemTime::now();
    match landing {
        Landing::Content(content) => from_content(shared, settings, question, asked, &content, leads, now),
        Landing::Described(representation) => {
            answer::without_bytes(&representation, asked, now, CacheStatus::Passed).ok_or(Next::AskForBytes)
        }
        Landing::Index(pages) => Ok(pages.respond(asked, &settings.options.via, CacheStatus::Passed)),
        Landing::NeedsSlash => Ok(to_slash(&question.full, settings)),
        Landing::Pass(opened) => match opened.lock().take_if(|_| leads && !asked.may_need_no_body()) {
            Some(opened) => {
                add(&shared.counters.passed, 1);
                Ok(pass::hand_on(shared, question, asked, opened))
            }
            None => Err(Next::Pass),
        },
        Landing::Failed(failure) => {
            if failure.kind == Kind::Overloaded {
                add(&shared.counters.refused_overloaded, 1);
            }
            Ok(failure.to_response())
        }
    }
}

fn from_content(
    shared: &Arc<Shared>,
    settings: &Arc<Settings>,
    question: &Question,
    asked: &Asked<'_>,
    content: &Content,
    leads: bool,
    now: SystemTime,
) -> Result<Response, Next> {
    if matches!(content.source, Source::Shared(_)) {
        add(&shared.counters.passed, 1);
        return Ok(pass::from_file(content, asked));
    }
    if content.variant.as_ref().is_some_and(|meta| !freshness::is_same_variant(meta, &question.sent)) {
        return Err(Next::Pass);
    }
    let status = if leads { content.leader_status } else { content.follower_status };
    count(shared, status);
    let requester =
        Requester { places: &|| content.places.clone(), options: &settings.options, counters: &shared.counters };
    let source = content.source.clone();
    Ok(answer::with_bytes(&content.representation, source, asked, now, status, &requester))
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

fn count(shared: &Shared, status: CacheStatus) {
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

fn to_slash(target: &Target, settings: &Settings) -> Response {
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
