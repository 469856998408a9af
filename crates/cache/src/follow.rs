//! Answers from a flight: at once from what it came to, or after waiting for that.

use std::sync::Arc;

use http::header;
use protocol::{cache_status::CacheStatus, problem::Kind};
use serve::{response::Response, source::Source};

use crate::{
    asked::Owned,
    context::RequestContext,
    fetch::{
        join::{JOINS_MAX, Joined, join, unsteady},
        outcome::{Content, Outcome, Role},
    },
    names::variant,
    pass::{from_file, hand_on, pass},
    shared::Shared,
    status::add,
    upstream::Question,
};

/// Waits for what a flight comes to and answers from that; joins another where that was not for this request.
pub(crate) async fn wait(
    shared: Arc<Shared>,
    mut question: Arc<Question>,
    owned: Owned,
    mut joined: Joined,
) -> Response {
    for _ in 0..JOINS_MAX {
        let (outcome, role) = joined.wait(&shared, &question).await;
        match from_outcome(&RequestContext::after_wait(&shared, &owned, &question), &question, outcome, role) {
            Ok(response) => return response,
            Err(Next::Pass) => return pass(shared, question, Arc::new(owned)).await,
            Err(Next::AskForBytes) => joined = join(&shared, &question, true),
            Err(Next::OtherVariant(key)) => {
                question = Arc::new(Question::clone(&question).at(&key));
                joined = join(&shared, &question, !owned.asked().may_need_no_body());
            }
        }
    }
    unsteady().to_response()
}

/// What an outcome leaves to do.
pub(crate) enum Next {
    Pass,
    AskForBytes,
    /// It depends on the request, and this one gets another: what is kept at this key.
    OtherVariant(Vec<u8>),
}

/// Answers from what a flight came to.
pub(crate) fn from_outcome(
    context: &RequestContext<'_>,
    question: &Question,
    outcome: Outcome,
    role: Role,
) -> Result<Response, Next> {
    let counters = &context.shared.counters;
    match outcome {
        Outcome::Content(content) => from_content(context, question, &content, role),
        Outcome::Described(representation) => context.description(&representation).ok_or(Next::AskForBytes),
        Outcome::Index(pages) => Ok(context.pages(&pages, CacheStatus::Passed)),
        Outcome::NeedsSlash => Ok(context.to_slash(&question.full)),
        // What one says who has not logged in is not what the other hears who has.
        Outcome::Said(_) if role == Role::Follower && is_for_one(question) => Err(Next::Pass),
        Outcome::Said(said) => {
            let response = said.respond(&context.asked, context.now).ok_or(Next::AskForBytes)?;
            add(&counters.passed, 1);
            Ok(response)
        }
        Outcome::Pass(opened) => {
            match opened.lock().take_if(|_| role == Role::First && !context.asked.may_need_no_body()) {
                Some(opened) => {
                    add(&counters.passed, 1);
                    Ok(hand_on(context, question, opened))
                }
                None => Err(Next::Pass),
            }
        }
        Outcome::Failed(failure) => {
            match failure.kind {
                Kind::Overloaded => add(&counters.refused_overloaded, 1),
                Kind::NotPreloaded => add(&counters.refused_not_preloaded, 1),
                _ => {}
            }
            Ok(failure.to_response())
        }
    }
}

fn is_for_one(question: &Question) -> bool {
    [header::AUTHORIZATION, header::COOKIE].iter().any(|name| question.sent.contains_key(name))
}

fn from_content(
    context: &RequestContext<'_>,
    question: &Question,
    content: &Content,
    role: Role,
) -> Result<Response, Next> {
    if matches!(content.source, Source::Shared(_)) {
        add(&context.shared.counters.passed, 1);
        return Ok(from_file(context, content));
    }
    let selecting = content.record.selecting();
    if !variant::is_same(selecting, &question.sent) {
        return Err(Next::OtherVariant(variant::place_of(&question.name, selecting, &question.sent)));
    }
    let places = || content.places.clone();
    let mut response = context.content(&content.representation, content.source.clone(), &places, content.status(role));
    if role == Role::First && response.status == content.representation.status {
        response.fields.own.extend_from_slice(content.withheld.as_bytes());
    }
    Ok(response)
}
