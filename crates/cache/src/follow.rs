//! Answers from a flight: at once from what it came to, or after waiting for that.

use std::sync::Arc;

use protocol::{cache_status::CacheStatus, problem::Kind};
use serve::{response::Response, source::Source};

use crate::{
    asked::Owned,
    fetch::{
        join::{Boarded, JOINS_MAX, join, unsteady},
        landing::{Content, Landing},
    },
    names::freshness,
    pass::{from_file, hand_on, pass},
    shared::Shared,
    status::add,
    upstream::Question,
    visit::Visit,
};

/// Waits for what a flight comes to and answers from that; joins another where that was not for this request.
pub(crate) async fn wait(shared: Arc<Shared>, question: Arc<Question>, owned: Owned, mut boarded: Boarded) -> Response {
    for _ in 0..JOINS_MAX {
        let (landing, leads) = boarded.landing(&shared, &question).await;
        match from_landing(&Visit::new(&shared, owned.asked()), &question, landing, leads) {
            Ok(response) => return response,
            Err(Next::Pass) => return pass(shared, question, Arc::new(owned)).await,
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
                Ok(hand_on(visit, question, opened))
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
        return Ok(from_file(visit, content));
    }
    if content.record.variant().is_some_and(|meta| !freshness::is_same_variant(meta, &question.sent)) {
        return Err(Next::Pass);
    }
    let status = if leads { content.leader_status } else { content.follower_status };
    Ok(visit.content(&content.representation, content.source.clone(), &|| content.places.clone(), status))
}
