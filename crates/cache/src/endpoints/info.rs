//! What is known of a path: its length, digests and date.

use std::sync::Arc;

use http::StatusCode;
use protocol::{info::Info, problem::Kind, target::Target};
use serve::{handler::Answer, request::Fields, response::Response};

use super::sealed::sealed;
use crate::{
    context::RequestContext, failure::Failure, fetch::join::fresh, forwarded::of_fill, shared::Shared,
    upstream::Question,
};

pub(super) fn answer(context: &RequestContext<'_>, name: &str, fields: Fields<'_>) -> Result<Answer, Failure> {
    let path = Target::parse(name.as_bytes()).map_err(|bad| Failure::new(Kind::BadRequest, bad.to_string()))?;
    let upstream = context.settings.upstream_of(&path).filter(|_| !path.is_directory());
    let (upstream, below) = upstream.ok_or_else(|| no_file(&path))?;
    let (key, below) = (upstream.key(&below), below.into_owned());
    let question = Arc::new(Question::of_name(upstream.clone(), path, below, &key, of_fill(fields)));
    let shared = context.shared.clone();
    Ok(Answer::later(async move {
        let finding = {
            let shared = shared.clone();
            async move { find(&shared, question).await }
        };
        match shared.on_fetches(finding).await.flatten() {
            Ok(info) => Response::json(StatusCode::OK, serde_json::to_vec(&info).unwrap_or_default()),
            Err(failure) => failure.to_response(),
        }
    }))
}

fn no_file(path: &Target) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("there is no file {}: it is a directory, or no upstream is mounted there", path.path()),
    )
}

async fn find(shared: &Arc<Shared>, question: Arc<Question>) -> Result<Info, Failure> {
    let upstream = &question.upstream;
    if upstream.knows_digests()
        && question.may_ask()
        && fresh(shared, &question).is_none()
        && !upstream.health.is_down()
    {
        let asked = upstream.info(&question.target).await;
        shared.report(upstream, &asked);
        match asked {
            Ok(Some(info)) => return Ok(Info { path: question.full.path().into(), ..info }),
            Ok(None) => return Err(question.not_found()),
            // What is here may still answer.
            Err(error) => tracing::debug!(%error, "an upstream cannot be asked for information"),
        }
    }
    let path = question.full.clone();
    let (reader, modified) = sealed(shared, question).await?;
    let digests = reader.digests().ok_or_else(Failure::interrupted)?;
    Ok(Info::new(&path, reader.len().unwrap_or_default(), &digests, modified))
}
