//! One file, fetched before anybody asks for it: takes part in its flight like a client, but for nobody, and says what became of it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use protocol::{cache_status::CacheStatus, digest::Md5, problem::Kind, target::Target};
use serve::source::Source;

use super::plan::Became;
use crate::{
    failure::Failure,
    fetch::{
        flights::Flight,
        join::{JOINS_MAX, Joined, join},
        outcome::{Content, Outcome},
        urgency::Class,
    },
    shared::Shared,
    upstream::{Question, Upstream},
};

/// The question about a file of an upstream, as no client asks it. `below` is its name below the mount.
pub(crate) fn question(upstream: &Arc<Upstream>, below: &Target, class: Class) -> Question {
    let full = full(upstream, below);
    let key = upstream.key(below);
    Question::of_name(upstream.clone(), full, below.clone(), &key, HeaderMap::new()).for_preload(class)
}

/// As clients ask for it.
pub(crate) fn full(upstream: &Upstream, below: &Target) -> Target {
    let text = format!("{}{}", upstream.options.mount.trim_end_matches('/'), below.as_str());
    // Two canonical spellings one behind the other are one.
    Target::parse(text.as_bytes()).unwrap_or_else(|_| below.clone())
}

/// Fetches it, unless it is here. Dropping the future leaves the flight as it is.
pub(crate) async fn fetch(shared: &Arc<Shared>, upstream: &Arc<Upstream>, below: &Target, class: Class) -> Became {
    bring(shared, Arc::new(question(upstream, below, class))).await
}

/// Likewise an object by its digest, from an upstream that knows digests.
pub(crate) async fn fetch_object(
    shared: &Arc<Shared>,
    upstream: &Arc<Upstream>,
    below: &Target,
    md5: Md5,
    class: Class,
) -> Became {
    let question = Question::of_object(upstream.clone(), full(upstream, below), below.clone(), md5);
    bring(shared, Arc::new(question.for_preload(class))).await
}

async fn bring(shared: &Arc<Shared>, question: Arc<Question>) -> Became {
    let upstream = &question.upstream;
    for _ in 0..JOINS_MAX {
        let (flight, outcome) = match join(shared, &question, true) {
            Joined::Outcome(outcome) => (None, outcome),
            Joined::Flight(flight, _) => {
                let outcome = flight.wait_unseen().await;
                (Some(flight), outcome)
            }
            Joined::Missed(flight, _) => {
                flight.over().await;
                continue;
            }
        };
        match outcome {
            // One that was described to others; the next has the bytes.
            Outcome::Described(_) => {}
            Outcome::Content(content) => return of_content(shared, &question, flight, &content).await,
            other => return of_other(shared, upstream, &other, flight.as_deref()),
        }
    }
    Became::Later { after: None, reason: "its content changes again and again".into(), counts: true }
}

async fn of_content(
    shared: &Arc<Shared>,
    question: &Question,
    flight: Option<Arc<Flight>>,
    content: &Content,
) -> Became {
    let Source::Object(reader) = &content.source else {
        return Became::Refused("there is no room for it in the cache".into());
    };
    let status = content.representation.status;
    if !status.is_success() {
        return of_status(status);
    }
    let crossed = || flight.as_deref().map_or(0, crossed);
    if let Err(error) = reader.sealed().await {
        if flight.as_deref().is_some_and(|flight| flight.stop.is_cancelled()) {
            return Became::Stopped;
        }
        return Became::Later { after: None, reason: error.to_string(), counts: !question.upstream.health.is_down() };
    }
    // Until it is durable and its name is written.
    if let Some(flight) = &flight {
        flight.over().await;
    }
    let is_here = matches!(content.first_status, CacheStatus::Hit | CacheStatus::Revalidated) || crossed() == 0;
    if content.first_status == CacheStatus::Stale {
        let why = "the upstream cannot be asked whether it is still the same".to_owned();
        return Became::Later { after: None, reason: why, counts: !question.upstream.health.is_down() };
    }
    // Wrong bytes, or no room: then the name says nothing of it.
    let is_kept = match &question.object {
        Some(md5) => shared.store.peek(md5).is_some(),
        None => shared.book.known(&question.key).is_some() || shared.book.entry(&question.name).is_some(),
    };
    if !is_kept {
        return Became::Later { after: None, reason: "it came, but could not be kept".into(), counts: true };
    }
    let len = reader.len().unwrap_or(0);
    if is_here { Became::Here { len } } else { Became::Fetched { len, crossed: crossed() } }
}

/// Bytes that crossed the line for it.
pub(crate) fn crossed(flight: &Flight) -> u64 {
    flight.crossed.load(std::sync::atomic::Ordering::Relaxed)
}

fn of_other(shared: &Shared, upstream: &Upstream, outcome: &Outcome, flight: Option<&Flight>) -> Became {
    let is_stopped = flight.is_some_and(|flight| flight.stop.is_cancelled()) && !shared.closing.is_cancelled();
    match outcome {
        _ if is_stopped => Became::Stopped,
        Outcome::Index(_) | Outcome::NeedsSlash => Became::Folder,
        Outcome::Said(said) => of_status(said.representation.status),
        Outcome::Pass(opened) => match opened.lock().as_ref().map(|opened| opened.status) {
            Some(status) if !status.is_success() => of_status(status),
            _ => Became::Refused("what the upstream says of it is that it may not be kept".into()),
        },
        Outcome::Failed(failure) => of_failure(failure, upstream.health.is_down()),
        Outcome::Content(_) | Outcome::Described(_) => Became::Stopped,
    }
}

fn of_status(status: StatusCode) -> Became {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Became::Gone,
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Became::Later { after: None, reason: format!("the upstream answers {status}"), counts: true }
        }
        status => Became::Refused(format!("the upstream answers {status}")),
    }
}

fn of_failure(failure: &Failure, is_down: bool) -> Became {
    match failure.kind {
        Kind::NotFound => Became::Gone,
        Kind::Overloaded
        | Kind::MaxRequesters
        | Kind::NotPreloaded
        | Kind::UpstreamUnreachable
        | Kind::UpstreamTimeout
        | Kind::UpstreamInvalid
        | Kind::DigestMismatch
        | Kind::Internal => Became::Later {
            after: failure.retry_after().map(Duration::from_secs),
            reason: failure.detail().to_owned(),
            // That we are busy, or that nobody can be reached, says nothing of the file.
            counts: failure.kind != Kind::Overloaded && !is_down,
        },
        _ => Became::Refused(failure.detail().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_failure() {
        let later = |became: Became| match became {
            Became::Later { after, counts, .. } => Some((after.map(|after| after.as_secs()), counts)),
            _ => None,
        };
        for (kind, is_down, expected) in [
            (Kind::Overloaded, false, Some((Some(7), false))),
            (Kind::UpstreamUnreachable, true, Some((Some(7), false))),
            (Kind::UpstreamUnreachable, false, Some((Some(7), true))),
            (Kind::MaxRequesters, false, Some((Some(7), true))),
            (Kind::NoRoom, false, None),
            (Kind::NotAllowed, false, None),
        ] {
            let failure = Failure::new(kind, "why").with_retry_after(7);
            assert_eq!(later(of_failure(&failure, is_down)), expected, "{kind:?}");
        }
        assert_eq!(of_failure(&Failure::new(Kind::NotFound, ""), false), Became::Gone);
    }

    #[test]
    fn what_follows_from_a_status() {
        assert_eq!(of_status(StatusCode::GONE), Became::Gone);
        assert!(matches!(of_status(StatusCode::FORBIDDEN), Became::Refused(_)));
        assert!(matches!(of_status(StatusCode::SERVICE_UNAVAILABLE), Became::Later { counts: true, .. }));
    }
}
