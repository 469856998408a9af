//! Below `/.outpost/v1/`: an [`object`] by its digest, [`info`] on a path, and the [`progress`] of a fill; the digests of an object's [`pieces`], and which of
//! them one can [`have`].

mod have;
mod info;
mod object;
mod pieces;
mod progress;
mod sealed;

use protocol::{
    digest::Md5,
    info::{INFO, OBJECTS, PROGRESS},
    pieces::{HAVE, PIECES},
    problem::Kind,
    target::Target,
};
use serve::{handler::Answer, request::Fields};

use crate::{context::RequestContext, failure::Failure};

pub(crate) fn answer(context: &mut RequestContext<'_>, target: Target, fields: Fields<'_>) -> Answer {
    answer_known(context, target, fields).unwrap_or_else(|failure| Answer::Now(failure.to_response()))
}

fn answer_known(context: &mut RequestContext<'_>, target: Target, fields: Fields<'_>) -> Result<Answer, Failure> {
    let path = target.path().to_owned();
    if let Some(text) = path.strip_prefix(OBJECTS) {
        return Ok(object::answer(context, target, digest(text)?, fields));
    }
    if let Some(text) = path.strip_prefix(PROGRESS) {
        return progress::answer(context, digest(text)?);
    }
    if let Some(text) = path.strip_prefix(PIECES) {
        return Ok(pieces::answer(context, target, digest(text)?));
    }
    if let Some(text) = path.strip_prefix(HAVE) {
        return have::answer(context, &target, digest(text)?, fields);
    }
    // The name keeps its leading slash.
    if let Some(name) = path.strip_prefix(INFO.trim_end_matches('/')).filter(|name| name.starts_with('/')) {
        return info::answer(context, name, fields);
    }
    Err(Failure::new(
        Kind::NotFound,
        format!(
            "there is nothing at {path}; ask for objects/MD5, pieces/MD5, have/MD5, progress/MD5 or info/PATH below /.outpost/v1/"
        ),
    ))
}

fn digest(text: &str) -> Result<Md5, Failure> {
    let not_one =
        |_| Failure::new(Kind::BadRequest, format!("'{text}' is not an MD5, which has 32 hexadecimal digits"));
    text.parse().map_err(not_one)
}
