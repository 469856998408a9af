//! What can be asked of a running proxy: purge, scrub, drain.

use std::{error::Error, sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use protocol::{digest::Md5, problem::Kind, target::Target};
use serde::Deserialize;
use serde_json::json as value;
use store::ScrubReport;

use super::{aside, json, problem, starting};
use crate::app::{App, Scrub, ScrubNow};

/// Exactly one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    path: Option<String>,
    md5: Option<String>,
}

/// `POST /v1/purge` with `{"path": "/..."}` or `{"md5": "..."}`. Purging what is not there is no error.
pub(super) async fn purge(State(app): State<Arc<App>>, body: Result<Json<Purge>, JsonRejection>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let purged = match body {
        Ok(Json(Purge { path: Some(path), md5: None })) => match Target::parse(path.as_bytes()) {
            Ok(_) => {
                let cache = parts.cache.clone();
                aside(&app, move |_| cache.purge_path(&path).then_some(path)).await
            }
            Err(error) => {
                let detail = format!("'{path}' is not a path as it stands in a URL: {error}");
                return problem(Kind::BadRequest, detail);
            }
        },
        Ok(Json(Purge { path: None, md5: Some(md5) })) => match md5.parse::<Md5>() {
            Ok(md5) => {
                let store = parts.store.clone();
                aside(&app, move |_| store.remove_by(&md5, super::objects::BY).then(|| md5.to_string())).await
            }
            Err(error) => return problem(Kind::BadRequest, format!("'{md5}' is {error}")),
        },
        Ok(_) => return problem(Kind::BadRequest, HOW_TO_PURGE),
        Err(rejection) => return problem(Kind::BadRequest, how_to_purge(&rejection)),
    };
    if let Some(what) = &purged {
        tracing::info!("{what} was purged through the admin interface");
    }
    json(StatusCode::OK, &value!({ "purged": purged.is_some() }))
}

const HOW_TO_PURGE: &str = "send {\"path\": \"/PATH\"} or {\"md5\": \"...\"} with Content-Type: application/json";

/// With what the parser met, where there is more to say than that it was not JSON.
fn how_to_purge(rejection: &JsonRejection) -> String {
    let causes = std::iter::successors(rejection.source(), |&error| error.source());
    causes.last().map_or_else(|| HOW_TO_PURGE.to_owned(), |cause| format!("{HOW_TO_PURGE}; in what came: {cause}"))
}

/// `POST /v1/scrub`: begins to read every object again. What it finds is in `/v1/status`. One at a time.
pub(super) async fn scrub(State(app): State<Arc<App>>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let began = Instant::now();
    // Looks at every shard of the index, so not under the lock.
    let objects = aside(&app, |app| app.parts().map_or(0, |parts| parts.store.report().objects)).await;
    if !begin(&mut app.scrub.lock(), ScrubNow { began, objects, found: ScrubReport::default() }) {
        return json(StatusCode::ACCEPTED, &value!({ "scrub": "already running" }));
    }
    let store = parts.store.clone();
    let app = app.clone();
    tokio::spawn(async move {
        let told = |found| {
            if let Some(now) = &mut app.scrub.lock().now {
                now.found = found;
            }
        };
        let report = store.scrub(told).await;
        let mut scrub = app.scrub.lock();
        scrub.now = None;
        scrub.last = Some((report, began.elapsed()));
        drop(scrub);
        if report.bad + report.missing == 0 {
            tracing::info!("the scrub is done: {} objects are good", report.good);
        } else {
            tracing::warn!(
                "the scrub is done: {} objects are good, {} were bad (now in quarantine) and {} missing; they are fetched again when they \
                 are asked for. Look at the disk",
                report.good,
                report.bad,
                report.missing
            );
        }
    });
    json(StatusCode::ACCEPTED, &value!({ "scrub": "started" }))
}

/// One at a time.
fn begin(scrub: &mut Scrub, now: ScrubNow) -> bool {
    let free = scrub.now.is_none();
    if free {
        scrub.now = Some(now);
    }
    free
}

/// `POST /v1/drain`: as SIGTERM does.
pub(super) async fn drain(State(app): State<Arc<App>>) -> Response {
    app.drain_wanted.notify_one();
    json(StatusCode::ACCEPTED, &value!({ "drain": "started" }))
}
