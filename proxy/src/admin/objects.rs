//! What is in the cache: pages of objects in the order of their digests, one object, and its removal.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use protocol::{digest::Md5, problem::Kind};
use serde::{Deserialize, Serialize};
use store::ObjectInfo;

use super::{aside, json, problem, starting};
use crate::app::App;

/// Objects per page, unless asked for fewer or more.
const PAGE: usize = 100;

/// Who removes objects by their digests, in the history.
pub(super) const BY: &str = "the admin interface";

/// Most of them.
const PAGE_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Listed {
    objects: Vec<Object>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    md5: String,
    sha256: Option<String>,
    size: u64,
    uses: u32,
}

impl From<ObjectInfo> for Object {
    fn from(info: ObjectInfo) -> Self {
        let ObjectInfo { md5, sha256, size, uses } = info;
        Self { md5: md5.to_string(), sha256: sha256.map(|sha256| sha256.to_string()), size, uses }
    }
}

/// `GET /v1/objects?cursor=MD5&limit=N`
pub(super) async fn list(State(app): State<Arc<App>>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let Ok(Query(wanted)) = wanted else {
        return problem(Kind::BadRequest, "ask for /v1/objects?cursor=MD5&limit=N; both can be left out");
    };
    let limit = wanted.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return problem(Kind::BadRequest, format!("limit={limit} is out of range: 1 to {PAGE_MAX} is possible"));
    }
    let cursor = match wanted.cursor.as_deref().map(str::parse::<Md5>).transpose() {
        Ok(cursor) => cursor,
        Err(error) => return problem(Kind::BadRequest, format!("the cursor is {error}; take it from \"next\"")),
    };
    let store = parts.store.clone();
    let page = aside(&app, move |_| store.objects(cursor, limit)).await;
    let objects = page.objects.into_iter().map(Object::from).collect();
    json(StatusCode::OK, &Listed { objects, next: page.next.map(|md5| md5.to_string()) })
}

/// `GET /v1/objects/MD5`
pub(super) async fn one(State(app): State<Arc<App>>, Path(md5): Path<String>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let md5 = match parse(&md5) {
        Ok(md5) => md5,
        Err(refusal) => return *refusal,
    };
    match parts.store.peek(&md5) {
        Some(info) => json(StatusCode::OK, &Object::from(info)),
        None => problem(Kind::NotFound, format!("the object {md5} is not in the cache")),
    }
}

/// `DELETE /v1/objects/MD5`: who is being sent it gets the rest.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(md5): Path<String>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let md5 = match parse(&md5) {
        Ok(md5) => md5,
        Err(refusal) => return *refusal,
    };
    let store = parts.store.clone();
    if !aside(&app, move |_| store.remove_by(&md5, BY)).await {
        return problem(Kind::NotFound, format!("the object {md5} is not in the cache"));
    }
    tracing::info!("the object {md5} was removed through the admin interface");
    StatusCode::NO_CONTENT.into_response()
}

fn parse(md5: &str) -> Result<Md5, Box<Response>> {
    md5.parse().map_err(|error| Box::new(problem(Kind::BadRequest, format!("'{md5}' is {error}"))))
}
