//! What is in the cache: pages of objects, one object, and its removal. Which are on a page is said by `selection`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cache::Cache;
use protocol::{digest::Md5, problem::Kind, target::Target};
use serde::Serialize;
use store::ObjectInfo;

use super::{
    aside, json, problem,
    selection::{Choosing, Selection, Wanted},
    starting,
};
use crate::app::{App, Parts};

const HOW_TO_LIST: &str = "ask for /v1/objects?cursor=CURSOR&limit=N&sort=md5|size|uses&order=ascending|descending&min_size=BYTES&max_size=BYTES&\
     min_uses=N&max_uses=N&path=GLOB&paths=true; each can be left out";

/// Who removes objects by their digests, in the history.
pub(super) const BY: &str = "the admin interface";

/// Objects that are looked at under one lock each.
const LOOKED_AT: usize = 4096;

/// Paths that are told of an object; it may have any number.
const PATHS_MAX: usize = 16;

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
    /// As clients ask for them, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
}

/// The paths that stand for each content.
type Paths = HashMap<Md5, Vec<String>>;

impl From<ObjectInfo> for Object {
    fn from(info: ObjectInfo) -> Self {
        let ObjectInfo { md5, sha256, size, uses } = info;
        Self { md5: md5.to_string(), sha256: sha256.map(|sha256| sha256.to_string()), size, uses, paths: None }
    }
}

/// `GET /v1/objects?cursor=CURSOR&limit=N` and what else [`Wanted`] takes.
pub(super) async fn list(State(app): State<Arc<App>>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    if app.parts().is_none() {
        return starting();
    }
    let selection = match wanted {
        Ok(Query(wanted)) => Selection::new(wanted),
        Err(_) => Err(HOW_TO_LIST.into()),
    };
    match selection {
        Ok(selection) => json(StatusCode::OK, &aside(&app, move |app| listed(app, &selection)).await),
        Err(why) => problem(Kind::BadRequest, why),
    }
}

/// Looks at all objects, if need be, and at all names.
fn listed(app: &App, selection: &Selection) -> Listed {
    let Some(Parts { store, cache, .. }) = app.parts() else { return Listed { objects: Vec::new(), next: None } };
    let of_path = selection.path.as_ref().map(|globs| paths(cache, |target, _| globs.matches_target(target)));
    let mut choosing = Choosing::new(selection);
    let (mut cursor, is_in_order) = selection.begin();
    loop {
        let page = store.objects(cursor, LOOKED_AT);
        let is_meant = |object: &ObjectInfo| of_path.as_ref().is_none_or(|paths| paths.contains_key(&object.md5));
        page.objects.into_iter().filter(is_meant).for_each(|object| choosing.see(object));
        cursor = page.next;
        if cursor.is_none() || (is_in_order && choosing.is_full()) {
            break;
        }
    }
    let (chosen, next) = choosing.page();
    let mut paths = selection.wants_paths.then(|| {
        let on_page: HashSet<Md5> = chosen.iter().map(|object| object.md5).collect();
        of_path.unwrap_or_else(|| paths(cache, |_, md5| on_page.contains(md5)))
    });
    let object = |info: ObjectInfo| {
        let paths = paths.as_mut().map(|paths| paths.remove(&info.md5).unwrap_or_default());
        Object { paths, ..Object::from(info) }
    };
    Listed { objects: chosen.into_iter().map(object).collect(), next }
}

fn paths(cache: &Cache, is_wanted: impl Fn(&Target, &Md5) -> bool) -> Paths {
    let mut found = Paths::new();
    for part in 0..Cache::NAME_PARTS {
        for (target, content) in cache.names(part) {
            if is_wanted(&target, &content.md5) {
                let paths = found.entry(content.md5).or_default();
                if paths.len() < PATHS_MAX {
                    paths.push(target.as_str().to_owned());
                }
            }
        }
    }
    found.values_mut().for_each(|paths| paths.sort_unstable());
    found
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
