//! `GET` and `POST /v1/preload`: how preloading stands, and what is to be preloaded now.
//!
//! | body of `POST` | what is preloaded |
//! | --- | --- |
//! | nothing, `{}` | all that the options of the upstreams say |
//! | `{"path": "/a/b"}` | a file, or with `/` at its end a folder with everything below |
//! | `{"package": "/packages/office-*/"}` | folders with everything below, by a pattern |
//! | `{"paths": ["/a", "/b"]}` | a list, for an upstream that has no index of its own |
//!
//! Each may have `"upstream": "NAME"` and `"priority": 5`. It begins at once, whatever the clock says; the answer waits for nothing.

use std::{sync::Arc, time::SystemTime};

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use cache::{
    preload::{Demand, DemandError, Wanted},
    status::{Files, PreloadRound, PreloadStatus, PreloadedFailed, Preloading},
};
use protocol::{problem::Kind, timestamp::rfc3339};
use serde::Deserialize;
use serde_json::{Value, json as value};

use super::{aside, json, problem, starting};
use crate::app::App;

/// Bytes of a list of paths.
pub(super) const LIST_BYTES_MAX: usize = 16 << 20;

const HOW_TO_PRELOAD: &str = "send nothing or {} for everything, else one of {\"path\": \"/PATH\"}, {\"package\": \"/FOLDER/\"} and {\"paths\": [\"/PATH\", ...]}, \
     with \"upstream\": \"NAME\" and \"priority\": NUMBER if you like";

/// At most one of the first three.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    path: Option<String>,
    package: Option<String>,
    paths: Option<Vec<String>>,
    upstream: Option<String>,
    #[serde(default)]
    priority: i64,
}

/// `GET /v1/preload`
pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let cache = parts.cache.clone();
    let preloads = aside(&app, move |_| cache.preloads()).await;
    json(StatusCode::OK, &value!({ "upstreams": preloads.iter().map(upstream).collect::<Vec<_>>() }))
}

/// `POST /v1/preload`
pub(super) async fn begin(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let Some(parts) = app.parts() else { return starting() };
    let demand = match read(&body) {
        Ok(demand) => demand,
        Err(detail) => return problem(Kind::BadRequest, detail),
    };
    let cache = parts.cache.clone();
    match aside(&app, move |_| cache.preload_on_demand(&demand)).await {
        Ok(upstreams) => {
            tracing::info!("preload of {} was asked for through the admin interface", upstreams.join(", "));
            json(StatusCode::ACCEPTED, &value!({ "preload": "started", "upstreams": upstreams }))
        }
        Err(refused) => problem(kind(&refused), refused.to_string()),
    }
}

fn kind(refused: &DemandError) -> Kind {
    match refused {
        _ if refused.is_full() => Kind::Overloaded,
        _ if refused.is_not_here() => Kind::NotFound,
        _ => Kind::BadRequest,
    }
}

fn read(body: &[u8]) -> Result<Demand, String> {
    let asked: Asked = match body.trim_ascii() {
        b"" => Asked::default(),
        body => serde_json::from_slice(body).map_err(|error| format!("{HOW_TO_PRELOAD}; in what came: {error}"))?,
    };
    let wanted = match (asked.path, asked.package, asked.paths) {
        (None, None, None) => Wanted::Everything,
        (Some(path), None, None) => Wanted::Paths(vec![path]),
        (None, Some(package), None) => Wanted::Package(package),
        (None, None, Some(paths)) if paths.is_empty() => return Err("the list of paths is empty".into()),
        (None, None, Some(paths)) => Wanted::Paths(paths),
        _ => return Err(HOW_TO_PRELOAD.into()),
    };
    Ok(Demand { wanted, upstream: asked.upstream, priority: asked.priority })
}

/// One line of `/v1/status` for each upstream.
pub(super) fn summary(preloads: &[PreloadStatus]) -> Vec<Value> {
    let line = |status: &PreloadStatus| {
        let left = left(status);
        value!({
            "upstream": status.upstream,
            "mode": status.mode.name(),
            "state": status.state.name(),
            "left_files": left.files,
            "left_bytes": left.bytes,
            "bytes_per_second": status.bytes_per_second,
            "next": status.next.map(rfc3339),
            "ready_by": status.ready_by.as_ref().map(|ready_by| rfc3339(ready_by.deadline)),
            "late": status.ready_by.as_ref().is_some_and(|ready_by| ready_by.is_late),
        })
    };
    preloads.iter().map(line).collect()
}

/// What is still to come of both rounds.
pub(crate) fn left(status: &PreloadStatus) -> Files {
    let rounds = [&status.scheduled, &status.on_demand].into_iter().flatten();
    rounds.filter(|round| round.ended.is_none()).fold(Files::default(), |sum, round| Files {
        files: sum.files + round.left.files,
        bytes: sum.bytes + round.left.bytes,
    })
}

fn upstream(status: &PreloadStatus) -> Value {
    let time = |moment: Option<SystemTime>| moment.map(rfc3339);
    value!({
        "upstream": status.upstream,
        "mount": status.mount,
        "mode": status.mode.name(),
        "state": status.state.name(),
        "schedule": status.schedule,
        "next": time(status.next),
        "closes": time(status.closes),
        "ready_by": status.ready_by.as_ref().map(|ready_by| value!({
            "text": ready_by.text,
            "deadline": rfc3339(ready_by.deadline),
            "outlook": ready_by.outlook,
            "late": ready_by.is_late,
        })),
        "bytes_per_second": status.bytes_per_second,
        "scheduled": status.scheduled.as_ref().map(round),
        "on_demand": status.on_demand.as_ref().map(round),
        "running": status.running.iter().map(running).collect::<Vec<_>>(),
        "failures": status.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn round(round: &PreloadRound) -> Value {
    let files = |Files { files, bytes }: Files| value!({ "files": files, "bytes": bytes });
    value!({
        "began": rfc3339(round.began),
        "ended": round.ended.map(rfc3339),
        "listing": round.is_listing,
        "percent": round.percent(),
        "total": files(round.total),
        "here": files(round.here),
        "fetched": files(round.fetched),
        "left": files(round.left),
        "no_room": files(round.beyond),
        "failed_files": round.failed,
        "gone_files": round.gone,
        "line_bytes": round.line_bytes,
        "seconds_left": round.seconds_left,
        "listed": {
            "folders": round.folders,
            "entries": round.entries,
            "circles": round.circles,
            "unreadable_folders": round.unreadable,
            "cut": round.is_cut,
        },
    })
}

fn running(file: &Preloading) -> Value {
    value!({
        "path": file.path,
        "fetched": file.fetched,
        "total": file.total,
        "began": rfc3339(file.began),
        "on_demand": file.is_on_demand,
    })
}

fn failure(file: &PreloadedFailed) -> Value {
    value!({ "path": file.path, "reason": file.reason, "at": rfc3339(file.at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_for() {
        let asked = |body: &str| read(body.as_bytes());
        let paths = |paths: &[&str]| Wanted::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
        for (body, wanted) in [
            ("", Wanted::Everything),
            ("{}", Wanted::Everything),
            ("{\"path\":\"/a\"}", paths(&["/a"])),
            ("{\"paths\":[\"/a\",\"/b\"]}", paths(&["/a", "/b"])),
            ("{\"package\":\"/p/\"}", Wanted::Package("/p/".into())),
        ] {
            assert_eq!(asked(body), Ok(Demand { wanted, upstream: None, priority: 0 }), "{body}");
        }
        let demand = asked("{\"upstream\":\"prod\",\"priority\":-3}").unwrap();
        assert_eq!((demand.upstream.as_deref(), demand.priority), (Some("prod"), -3));
        for body in ["{\"path\":\"/a\",\"package\":\"/b/\"}", "{\"pathes\":[]}", "{\"paths\":[]}", "/a", "[]", "{"] {
            assert!(asked(body).is_err(), "{body}");
        }
    }
}
