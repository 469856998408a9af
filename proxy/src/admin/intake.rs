//! `/v1/import` and `/v1/export`: one import and one export at a time, begun, looked at and stopped. They run in the proxy, which alone may write in its
//! cache; who asked need not wait for them.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use cache::options::Location;
use intake::{
    job::{Job, Slot, Status, Taken},
    order::{Context, Order, Refused, Way},
};
use protocol::{glob::Globs, problem::Kind, target::Target, timestamp::rfc3339};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{aside, json, problem, starting};
use crate::app::{App, Parts};

/// What is to come in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    /// Of the proxy's machine.
    path: PathBuf,
    mount: Option<String>,
    #[serde(default)]
    way: Named,
}

/// A way by its name.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    #[default]
    Best,
    Link,
    Copy,
    Move,
}

/// What is to go out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    path: PathBuf,
    #[serde(default)]
    include: Vec<String>,
}

/// A job as it is told.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    status: Status,
    began: String,
}

const HOW_TO_IMPORT: &str = "send {\"path\": \"/DIRECTORY or /BUNDLE\", \"mount\": \"/PREFIX\", \"way\": \"best\"} with Content-Type: \
                             application/json; mount and way (best, link, copy, move) can be left out";

const HOW_TO_EXPORT: &str = "send {\"path\": \"/BUNDLE\", \"include\": [\"/PATTERN\"]} with Content-Type: application/json; without \
                             include everything is exported";

impl From<Named> for Way {
    fn from(named: Named) -> Self {
        match named {
            Named::Best => Self::Best,
            Named::Link => Self::Link,
            Named::Copy => Self::Copy,
            Named::Move => Self::Move,
        }
    }
}

/// `POST /v1/import`
pub(super) async fn import(State(app): State<Arc<App>>, body: Result<Json<Import>, JsonRejection>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let Ok(Json(Import { path, mount, way })) = body else { return problem(Kind::BadRequest, HOW_TO_IMPORT) };
    let mount = mount.unwrap_or_else(|| "/".into());
    let mount = match Target::parse(mount.as_bytes()) {
        Ok(mount) => mount,
        Err(error) => {
            return problem(Kind::BadRequest, format!("'{mount}' is not a path as it stands in a URL: {error}"));
        }
    };
    let settings = app.config.lock().settings.clone();
    let shares = settings.cache.upstreams.iter().filter_map(|upstream| match &upstream.location {
        Location::Directory(path) => Some((upstream.name.clone(), path.clone())),
        Location::Http(_) | Location::Outpost(_) => None,
    });
    let cache_dir = app.at_start.settings.store.dir.clone();
    let order = Order { source: path, mount, way: way.into(), cache_dir, shares: shares.collect() };
    let context = context(parts);
    let begun = aside(&app, move |app| app.import.begin(|| intake::import(order, context))).await;
    begun_as(begun, "import")
}

/// `GET /v1/import`
pub(super) async fn how_import(State(app): State<Arc<App>>) -> Response {
    how(&app.import, "import")
}

/// `DELETE /v1/import`
pub(super) async fn stop_import(State(app): State<Arc<App>>) -> Response {
    stop(&app.import, "import")
}

/// `POST /v1/export`
pub(super) async fn export(State(app): State<Arc<App>>, body: Result<Json<Export>, JsonRejection>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let Ok(Json(Export { path, include })) = body else { return problem(Kind::BadRequest, HOW_TO_EXPORT) };
    let wanted = match Globs::parse(&include) {
        Ok(wanted) => wanted,
        Err(error) => return problem(Kind::BadRequest, error.to_string()),
    };
    let cache_dir = app.at_start.settings.store.dir.clone();
    let context = context(parts);
    let begun = aside(&app, move |app| app.export.begin(|| intake::export(&path, wanted, &cache_dir, context))).await;
    begun_as(begun, "export")
}

/// `GET /v1/export`
pub(super) async fn how_export(State(app): State<Arc<App>>) -> Response {
    how(&app.export, "export")
}

/// `DELETE /v1/export`
pub(super) async fn stop_export(State(app): State<Arc<App>>) -> Response {
    stop(&app.export, "export")
}

fn context(parts: &Parts) -> Context {
    Context { store: parts.store.clone(), cache: parts.cache.clone(), runtime: Handle::current() }
}

fn begun_as(begun: Result<Result<Arc<Job>, Refused>, Taken>, what: &str) -> Response {
    match begun {
        Ok(Ok(job)) => json(StatusCode::ACCEPTED, &told(&job)),
        Ok(Err(refused)) => problem(Kind::BadRequest, refused.to_string()),
        Err(Taken) => problem(
            Kind::Overloaded,
            format!("another {what} runs, or the proxy is ending; GET /v1/{what} says how far it is, DELETE stops it"),
        ),
    }
}

fn how(slot: &Slot, what: &str) -> Response {
    match slot.last() {
        Some(job) => json(StatusCode::OK, &told(&job)),
        None => problem(Kind::NotFound, format!("there was no {what} since the proxy was started")),
    }
}

fn stop(slot: &Slot, what: &str) -> Response {
    match slot.last().filter(|job| job.is_running()) {
        Some(job) => {
            job.stop();
            tracing::info!("an {what} was told to stop through the admin interface");
            json(StatusCode::ACCEPTED, &told(&job))
        }
        None => problem(Kind::NotFound, format!("no {what} runs")),
    }
}

fn told(job: &Job) -> Told {
    let status = job.status();
    Told { began: rfc3339(status.began), status }
}
