//! The digests of a content's pieces.

use bytes::Bytes;
use http::StatusCode;
use protocol::{digest::Md5, target::Target};
use serve::{handler::Answer, response::Response};

use crate::{context::RequestContext, failure::Failure, swarm};

pub(super) fn answer(context: &RequestContext<'_>, target: Target, md5: Md5) -> Answer {
    if let Some(found) = swarm::find(context.shared, &md5) {
        return Answer::Now(response(found));
    }
    let shared = context.shared.clone();
    Answer::later(async move {
        let getting = {
            let shared = shared.clone();
            async move { swarm::get(&shared, target, md5).await }
        };
        response(shared.on_fetches(getting).await.flatten())
    })
}

fn response(found: Result<Bytes, Failure>) -> Response {
    match found {
        Ok(list) => {
            let mut response = Response::json(StatusCode::OK, list);
            response.fields.push("Cache-Control", "public, max-age=31536000, immutable");
            response
        }
        Err(failure) => failure.to_response(),
    }
}
