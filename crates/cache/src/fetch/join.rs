//! Taking part in a flight: joining it or beginning it, and waiting for what it comes to.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use protocol::{cache_status::CacheStatus, problem::Kind};
use serve::source::Source;

use super::{
    ask,
    flights::{Asking, Entry, Flight},
    outcome::{Content, Outcome, Role},
    refused,
};
use crate::{
    failure::Failure,
    names::freshness::{self, Suits},
    shared::Shared,
    upstream::Question,
};

/// A request joins at most so many flights: a description that was not enough, then the bytes, with one more for a race.
pub(crate) const JOINS_MAX: usize = 4;

/// A place in a flight, or what made it unnecessary.
pub(crate) enum Joined {
    /// As what this request takes part.
    Flight(Arc<Flight>, Role),
    /// Another flight ended between the first look and the second.
    Outcome(Outcome),
    /// Too late for this one: it is about to end, and then another may begin. And whether bytes are wanted.
    Missed(Arc<Flight>, bool),
}

impl Joined {
    pub(crate) fn follow(flight: Arc<Flight>, question: &Question, wants_body: bool) -> Self {
        flight.urgency.raise(question.urgency.class());
        if is_missed(&flight, question) {
            Self::Missed(flight, wants_body)
        } else {
            Self::Flight(flight, Role::Follower)
        }
    }

    /// What it has come to, if it has.
    pub(crate) fn outcome(&self) -> Option<(Outcome, Role)> {
        match self {
            Self::Flight(flight, role) => Some((flight.outcome()?, *role)),
            Self::Outcome(outcome) => Some((outcome.clone(), Role::Follower)),
            Self::Missed(..) => None,
        }
    }

    /// What it comes to. Dropping the future leaves the flight as it is.
    pub(crate) async fn wait(mut self, shared: &Arc<Shared>, question: &Arc<Question>) -> (Outcome, Role) {
        for _ in 0..JOINS_MAX {
            match self {
                Self::Flight(flight, role) => return (flight.wait().await, role),
                Self::Outcome(outcome) => return (outcome, Role::Follower),
                Self::Missed(flight, wants_body) => {
                    flight.over().await;
                    self = join(shared, question, wants_body);
                }
            }
        }
        (Outcome::Failed(unsteady()), Role::Follower)
    }
}

/// Whether a flight has come to something that was right for those who were there, and is not for who comes now: an answer without bytes,
/// bytes that failed, or bytes that are whole and only not durable yet, of which the upstream would have to be asked whether they still hold.
fn is_missed(flight: &Flight, question: &Question) -> bool {
    let content = match flight.outcome() {
        None => return false,
        Some(Outcome::Content(content)) => content,
        Some(_) => return true,
    };
    let Source::Object(reader) = &content.source else { return true };
    let is_recent = || flight.began.elapsed() < question.upstream.options.recheck;
    let is_fresh = || {
        // What is asked for by its digest never changes.
        let suits = || freshness::suits(&content.record, &question.control, SystemTime::now(), is_recent);
        question.object.is_some() || suits() == Suits::Fresh
    };
    reader.failure().is_some() || (reader.is_sealed() && !is_fresh())
}

/// After so many.
pub(crate) fn unsteady() -> Failure {
    Failure::new(Kind::Overloaded, "fetches of this file fail or its content changes again and again; ask again")
        .with_retry_after(1)
}

/// Joins the flight for a name, or begins one; looks at the record once more under the lock that decides it. Where nothing that a client asks may
/// cross the line, a client begins none.
pub(crate) fn join(shared: &Arc<Shared>, question: &Arc<Question>, wants_body: bool) -> Joined {
    join_for(shared, question, wants_body, None)
}

/// Likewise, for a client whose request is one of those that wait. It counts before a new flight takes off, which may be over at once.
pub(crate) fn join_for(
    shared: &Arc<Shared>,
    question: &Arc<Question>,
    wants_body: bool,
    client: Option<IpAddr>,
) -> Joined {
    let note = |flight: &Flight| {
        if let Some(client) = client {
            flight.waiters.note(client, shared.settings().options.history_clients);
        }
    };
    if !question.may_ask() {
        return match (shared.flights.find(&question.key), fresh(shared, question)) {
            (_, Some(outcome)) => Joined::Outcome(outcome),
            (Some(flight), None) => {
                note(&flight);
                Joined::follow(flight, question, wants_body)
            }
            (None, None) => Joined::Outcome(Outcome::Failed(refused::not_preloaded(
                question,
                &shared.clock,
                shared.settings().options.retry_delay,
            ))),
        };
    }
    let asking = Asking {
        name: &question.name,
        key: &question.key,
        upstream: &question.upstream.options.name,
        path: question.full.path(),
        urgency: &question.urgency,
        closing: &shared.closing,
    };
    match shared.flights.join(&asking, wants_body, || fresh(shared, question)) {
        Entry::Found(outcome) => Joined::Outcome(outcome),
        Entry::Joined(flight) => {
            note(&flight);
            Joined::follow(flight, question, wants_body)
        }
        Entry::Begun(owner) => {
            let flight = owner.flight.clone();
            note(&flight);
            shared.spawn_flight(ask::run(shared.clone(), question.clone(), owner));
            Joined::Flight(flight, Role::First)
        }
    }
}

/// The content of a name if it may be given out without asking.
pub(crate) fn fresh(shared: &Shared, question: &Question) -> Option<Outcome> {
    let known = shared.book.known(&question.key)?;
    if !question.may_ask() {
        let reader = shared.store.hit(&known.md5).filter(|_| !known.record.is_error())?;
        return Some(Content::of_name(shared, &known, reader, question, CacheStatus::Hit).into());
    }
    let is_recent = || shared.book.is_recent(&known, question.upstream.options.recheck, &question.upstream.vouched);
    let suits = freshness::suits(&known.record, &question.control, SystemTime::now(), is_recent);
    let reader = shared.store.hit(&known.md5).filter(|_| suits == Suits::Fresh)?;
    Some(Content::of_name(shared, &known, reader, question, CacheStatus::Hit).into())
}
