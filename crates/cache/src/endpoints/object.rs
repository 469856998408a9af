//! An object by its digest: from here, or from an upstream that knows digests, or by the name that has it.

use std::{sync::Arc, time::Instant};

use http::HeaderMap;
use protocol::{
    cache_status::CacheStatus,
    digest::Md5,
    pieces::{PIECE_FIELD, piece_digest},
    target::Target,
};
use serve::{handler::Answer, request::Fields, response::Response, source::Source};
use store::Reader;

use super::sealed::sealed;
use crate::{
    asked::Owned,
    context::RequestContext,
    failure::Failure,
    fetch::{join::join, outcome::Outcome},
    follow::from_outcome,
    forwarded::{is_via, only_via},
    names::representation::{Proof, Representation},
    pass::pass,
    settings::Settings,
    shared::Shared,
    upstream::{Question, Upstream},
};

pub(super) fn answer(context: &mut RequestContext<'_>, target: Target, md5: Md5, fields: Fields<'_>) -> Answer {
    context.asked.range_unless(|| context.shared.memos.is_tainted(&md5.0, Instant::now()));
    let path = target.query_value("path").map(|path| Target::from_file_path(&path));
    if let Some(reader) = context.shared.store.hit(&md5) {
        return Answer::Now(sealed_object(context, md5, reader, path.as_ref()));
    }
    context.asked.expects = fields.first(PIECE_FIELD).and_then(piece_digest);
    let (shared, owned) = (context.shared.clone(), context.asked.into_owned());
    match candidates(context.shared, &context.settings, &md5, path.as_ref()) {
        Candidates::None => Answer::Now(Failure::no_object(&md5).to_response()),
        Candidates::Outposts(candidates) if is_via(fields.all("via"), &context.settings.pseudonym) => {
            let upstream = candidates.first().map_or("", |(upstream, _)| &upstream.options.name);
            Answer::Now(Failure::came_back(target.path(), &context.settings.pseudonym, upstream).to_response())
        }
        Candidates::Outposts(candidates) => {
            let question = |(upstream, below)| {
                let question = Question::of_object(upstream, target.clone(), below, md5);
                Question { sent: only_via(fields), ..question }
            };
            let questions = candidates.into_iter().map(question).map(Arc::new).collect();
            Answer::later(from_outposts(shared, questions, md5, owned))
        }
        Candidates::Name(question) => Answer::later(from_name(shared, question, md5, owned)),
    }
}

/// Who may have an object that is not here.
enum Candidates {
    None,
    /// They are asked by the digest, one after the other.
    Outposts(Vec<(Arc<Upstream>, Target)>),
    /// A name whose record has that digest is fetched again.
    Name(Arc<Question>),
}

fn candidates(shared: &Shared, settings: &Settings, md5: &Md5, path: Option<&Target>) -> Candidates {
    let root = Target::from_file_path(b"");
    let Some(path) = path else {
        let outposts = settings.upstreams.iter().filter(|upstream| upstream.knows_digests());
        let outposts: Vec<_> = outposts.map(|upstream| (upstream.clone(), root.clone())).collect();
        return if outposts.is_empty() { Candidates::None } else { Candidates::Outposts(outposts) };
    };
    let Some((upstream, below)) = settings.upstream_of(path) else { return Candidates::None };
    if upstream.knows_digests() {
        return Candidates::Outposts(vec![(upstream.clone(), below.into_owned())]);
    }
    let key = upstream.key(&below);
    if shared.book.known(&key).is_none_or(|known| known.md5 != *md5) {
        return Candidates::None;
    }
    let question = Question::of_name(upstream.clone(), path.clone(), below.into_owned(), &key, HeaderMap::new());
    Candidates::Name(Arc::new(question))
}

async fn from_outposts(shared: Arc<Shared>, questions: Vec<Arc<Question>>, md5: Md5, owned: Owned) -> Response {
    let mut last = None;
    for question in questions {
        let joined = join(&shared, &question, true);
        let (outcome, role) = joined.wait(&shared, &question).await;
        match outcome {
            Outcome::Failed(failure) => last = Some(failure),
            outcome => {
                match from_outcome(&RequestContext::after_wait(&shared, &owned, &question), &question, outcome, role) {
                    Ok(response) => return response,
                    Err(_) => return pass(shared, question, Arc::new(owned)).await,
                }
            }
        }
    }
    last.unwrap_or_else(|| Failure::no_object(&md5)).to_response()
}

/// The name is fetched; what comes is the object only if it has the digest, which is known at its end.
async fn from_name(shared: Arc<Shared>, question: Arc<Question>, md5: Md5, owned: Owned) -> Response {
    let path = question.full.clone();
    match sealed(&shared, question).await {
        Ok((reader, _)) if reader.digests().is_some_and(|digests| digests.md5 == md5) => {
            sealed_object(&RequestContext::new(&shared, owned.asked()), md5, reader, Some(&path))
        }
        Ok(_) => Failure::no_object(&md5).to_response(),
        Err(failure) => failure.to_response(),
    }
}

fn sealed_object(context: &RequestContext<'_>, md5: Md5, reader: Reader, path: Option<&Target>) -> Response {
    let proof = Proof::of(md5, &reader);
    let representation = Representation::of_object(proof, reader.len(), path.map(Target::path), context.via());
    let places = || context.shared.requesters.of(&md5);
    context.content(&representation, Source::Object(reader), &places, CacheStatus::Hit)
}
