//! `GET /v1/why?path=/PATH` or `?md5=MD5`: where something came from, who waited for it, and why it is kept or went.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use cache::why::Subject;
use protocol::{problem::Kind, target::Target};
use serde::Deserialize;

use super::{json, problem, starting};
use crate::app::App;

/// Exactly one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    path: Option<String>,
    md5: Option<String>,
}

pub(super) async fn answer(State(app): State<Arc<App>>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let subject = match wanted {
        Ok(Query(Wanted { path: Some(path), md5: None })) => match target(&path) {
            Ok(target) => Subject::Path(target),
            Err(detail) => return problem(Kind::BadRequest, detail),
        },
        Ok(Query(Wanted { path: None, md5: Some(md5) })) => match md5.parse() {
            Ok(md5) => Subject::Md5(md5),
            Err(error) => return problem(Kind::BadRequest, format!("'{md5}' is {error}")),
        },
        _ => return problem(Kind::BadRequest, "ask for /v1/why?path=/PATH or /v1/why?md5=MD5, one of the two"),
    };
    json(StatusCode::OK, &parts.cache.why(subject).await)
}

/// As it stands in a URL, or as people write it.
fn target(path: &str) -> Result<Target, String> {
    let parsed = Target::parse(path.as_bytes());
    let or_else = parsed.or_else(|error| match path.strip_prefix('/') {
        Some(rest) => Ok(Target::from_file_path(rest.as_bytes())),
        None => Err(error),
    });
    or_else.map_err(|error| format!("'{path}' is not a path as it stands in a URL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_written_as_in_a_url_or_plainly() {
        for (written, meant) in [("/a%20b?x=1", "/a%20b?x=1"), ("/a b", "/a%20b"), ("/\u{fc}", "/%C3%BC")] {
            assert_eq!(target(written).unwrap().as_str(), meant);
        }
        assert!(target("a/b").is_err());
    }
}
