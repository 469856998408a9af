//! Taking part in a flight: joining or beginning it, waiting for what it comes to, and answering from that.

use std::{sync::Arc, time::SystemTime};

use protocol::{cache_status::CacheStatus, problem::Kind};
use serve::{response::Response, source::Source};

use crate::{
    asked::Owned,
    cache::Shared,
    flights::{Flight, Joined},
    fly,
    freshness::{self, Suits},
    landing::{Content, Failure, Landing},
    pass,
    record::Origin,
    status::add,
    upstream::Question,
    visit::Visit,
};

/// A request joins at most so many flights: a description that was not enough, then the bytes, with one more for a race.
const JOINS_MAX: usize = 4;

/// A place in a flight, or what made it unnecessary.
pub(crate) enum Boarded {
    /// And whether this request began it.
    Flight(Arc<Flight>, bool),
    /// Another flight ended between the first look and the second.
    Landed(Landing),
    /// Too late for this one: it is about to end, and then another may begin. And whether bytes are wanted.
    Missed(Arc<Flight>, bool),
}

impl Boarded {
    pub(crate) fn follow(flight: Arc<Flight>, question: &Question, wants_body: bool) -> Self {
        if is_missed(&flight, question) { Self::Missed(flight, wants_body) } else { Self::Flight(flight, false) }
    }

    pub(crate) fn landed(&self) -> Option<(Landing, bool)> {
        match self {
            Self::Flight(flight, leads) => Some((flight.landed()?, *leads)),
            Self::Landed(landing) => Some((landing.clone(), false)),
            Self::Missed(..) => None,
        }
    }

    /// What it comes to, and whether this request began it.
    pub(crate) async fn landing(mut self, shared: &Arc<Shared>, question: &Arc<Question>) -> (Landing, bool) {
        for _ in 0..JOINS_MAX {
            match self {
                Self::Flight(flight, leads) => return (flight.landing().await, leads),
                Self::Landed(landing) => return (landing, false),
                Self::Missed(flight, wants_body) => {
                    flight.over().await;
                    self = join(shared, question, wants_body);
                }
            }
        }
        (Landing::Failed(unsteady()), false)
    }
}

/// Whether a flight has come to something that was right for those who were there, and is not for who comes now: an answer without bytes,
/// bytes that failed, or bytes that are whole and only not durable yet, of which the upstream would have to be asked whether they still hold.
fn is_missed(flight: &Flight, question: &Question) -> bool {
    let content = match flight.landed() {
        None => return false,
        Some(Landing::Content(content)) => content,
        Some(_) => return true,
    };
    let Source::Object(reader) = &content.source else { return true };
    let is_fresh = || match &content.record.origin {
        // What is asked for by its digest never changes.
        _ if question.object.is_some() => true,
        Origin::Http(meta) => {
            freshness::suits(&content.record, meta, &question.sent, SystemTime::now()) == Suits::Fresh
        }
        Origin::Directory(_) | Origin::Outpost { .. } => flight.began.elapsed() < question.upstream.options.recheck,
    };
    reader.failure().is_some() || (reader.is_sealed() && !is_fresh())
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
        Joined::Follow(flight) => Boarded::follow(flight, question, wants_body),
        Joined::Lead(departure) => {
            let flight = departure.flight.clone();
            shared.spawn_flight(fly::fly(shared.clone(), question.clone(), departure));
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

pub(crate) async fn wait(shared: Arc<Shared>, question: Arc<Question>, owned: Owned, mut boarded: Boarded) -> Response {
    for _ in 0..JOINS_MAX {
        let (landing, leads) = boarded.landing(&shared, &question).await;
        match from_landing(&Visit::new(&shared, owned.asked()), &question, landing, leads) {
            Ok(response) => return response,
            Err(Next::Pass) => return pass::pass(shared, question, Arc::new(owned)).await,
            Err(Next::AskForBytes) => boarded = join(&shared, &question, true),
        }
    }
    unsteady().to_response()
}

/// What a landing leaves to do.
pub(crate) enum Next {
    Pass,
    AskForBytes,
}

/// Answers from what a flight came to.
pub(crate) fn from_landing(
    visit: &Visit<'_>,
    question: &Question,
    landing: Landing,
    leads: bool,
) -> Result<Response, Next> {
    let counters = &visit.shared.counters;
    match landing {
        Landing::Content(content) => from_content(visit, question, &content, leads),
        Landing::Described(representation) => visit.description(&representation).ok_or(Next::AskForBytes),
        Landing::Index(pages) => Ok(visit.pages(&pages, CacheStatus::Passed)),
        Landing::NeedsSlash => Ok(visit.to_slash(&question.full)),
        Landing::Pass(opened) => match opened.lock().take_if(|_| leads && !visit.asked.may_need_no_body()) {
            Some(opened) => {
                add(&counters.passed, 1);
                Ok(pass::hand_on(visit, question, opened))
            }
            None => Err(Next::Pass),
        },
        Landing::Failed(failure) => {
            if failure.kind == Kind::Overloaded {
                add(&counters.refused_overloaded, 1);
            }
            Ok(failure.to_response())
        }
    }
}

fn from_content(visit: &Visit<'_>, question: &Question, content: &Content, leads: bool) -> Result<Response, Next> {
    if matches!(content.source, Source::Shared(_)) {
        add(&visit.shared.counters.passed, 1);
        return Ok(pass::from_file(visit, content));
    }
    if content.variant.as_ref().is_some_and(|meta| !freshness::is_same_variant(meta, &question.sent)) {
        return Err(Next::Pass);
    }
    let status = if leads { content.leader_status } else { content.follower_status };
    Ok(visit.content(&content.representation, content.source.clone(), &|| content.places.clone(), status))
}
