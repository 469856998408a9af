//! `GET /v1/status` and `GET /readyz`: how the proxy is, for scripts and people. Made from a [`Snapshot`] by pure functions.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use config::Settings;
use intake::job::Status;
use serde_json::{Value, json as value};
use store::ScrubReport;

use super::{aside, json, preload};
use crate::{
    app::{App, Phase, Scrub},
    snapshot::Snapshot,
};

/// `GET /v1/status`
pub(super) async fn answer(State(app): State<Arc<App>>) -> Response {
    let settings = app.config.lock().settings.clone();
    json(StatusCode::OK, &body(&settings, &aside(&app, Snapshot::take).await))
}

/// `GET /readyz`: whether to send requests here. An upstream that is away does not count: what is in the cache is still served.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let (ready, body) = readiness(&aside(&app, Snapshot::take).await);
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

fn readiness(now: &Snapshot) -> (bool, Value) {
    let started = now.phase > Phase::Starting;
    let not_draining = now.phase < Phase::Draining;
    let ready = started && not_draining;
    let checks = value!({ "started": started, "not_draining": not_draining });
    (ready, value!({ "ready": ready, "state": state(now.phase), "checks": checks }))
}

fn body(settings: &Settings, now: &Snapshot) -> Value {
    value!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": settings.mode.name(),
        "state": state(now.phase),
        "uptime_seconds": now.uptime.as_secs_f64(),
        "listen": now.listen,
        "tls_listen": now.tls_listen,
        "redirect": now.redirect,
        "tls_certificates_expire": (now.certificates_expire > 0).then_some(now.certificates_expire),
        "process": {
            "cpu_user_seconds": now.usage.user,
            "cpu_system_seconds": now.usage.system,
            "resident_bytes": now.usage.resident,
            "open_files": now.usage.open_files,
            "open_files_max": now.open_files_max,
        },
        "cache": cache(settings, now),
        "requests": requests(now),
        "connections": now.serve.connections,
        "clients_line": { "rate": (now.shares.1 > 0).then_some(now.shares.1), "paced_connections": now.shares.0 },
        "transfers": now.serve.transfers,
        "requesters": { "active": now.requesters, "max_per_object": settings.cache.max_requesters },
        "bytes": {
            "from_upstream": now.cache.upstream_bytes,
            "from_upstream_ahead": now.cache.upstream_bytes_ahead,
            "to_clients": now.serve.bytes_sent,
        },
        "fills": fills(now),
        "upstreams": upstreams(now),
        "preload": preload::summary(&now.preloads),
        "scrub": scrub(&now.scrub),
        "import": intake(now.import.as_ref()),
        "export": intake(now.export.as_ref()),
        "origin": now.origin,
    })
}

fn cache(settings: &Settings, now: &Snapshot) -> Value {
    let store = &now.store;
    value!({
        "dir": settings.store.dir.display().to_string(),
        "disk_engine": now.engine,
        "objects": store.objects,
        "names": store.names,
        "used_bytes": store.used,
        "reserved_bytes": store.reserved,
        "unlinked_bytes": store.unlinked,
        "max_size_bytes": store.max_size,
        "min_free_bytes": store.min_free,
        "disk_available_bytes": store.disk_available,
        "fills": store.fills,
        "parts": store.parts,
        "hot_bytes": store.hot_bytes,
        "quarantined": store.quarantined,
        "evictions": store.evictions,
        "evicted_bytes": store.evicted_bytes,
        "commits": store.commits,
        "rejections": store.rejections,
        "duplicates": store.duplicates,
        "disk_errors": store.disk_errors,
        "pinned": {
            "objects": store.pinned_objects,
            "bytes": store.pinned_bytes,
            "refused_objects": store.unpinned_objects,
            "refused_bytes": store.unpinned_bytes,
            "patterns": pins(now),
        },
        "history_bytes": store.history_bytes,
        "history_lost": store.history_lost,
        "loaded": store.loaded,
    })
}

/// What each pattern had pinned when all names were last looked at.
fn pins(now: &Snapshot) -> Vec<Value> {
    let pinned = |pinned: &store::Pinned| value!({ "pattern": pinned.pattern, "objects": pinned.objects, "bytes": pinned.bytes });
    now.pins.iter().map(pinned).collect()
}

/// Without what was wrong, file by file: that is for who asks for it.
fn intake(status: Option<&Status>) -> Option<Status> {
    status.map(|status| Status { problems: Vec::new(), ..status.clone() })
}

fn requests(now: &Snapshot) -> Value {
    let cache = &now.cache;
    value!({
        "total": now.serve.requests,
        "hits": cache.hits,
        "misses": cache.misses,
        "collapsed": cache.collapsed,
        "revalidated": cache.revalidated,
        "stale": cache.stale,
        "passed": cache.passed,
        "refused_requesters": cache.refused_requesters,
        "refused_overloaded": cache.refused_overloaded,
        "refused_not_preloaded": cache.refused_not_preloaded,
        "malformed": now.serve.malformed,
        "refused_access": now.serve.refused_access,
        "too_slow": now.serve.too_slow,
        "http2_connections": now.serve.http2_connections,
        "http2_faults": now.serve.http2_faults,
        "http2_stalled": now.serve.http2_stalled,
        "aborted": now.serve.aborted,
        "hit_percent": now.hit_percent(),
    })
}

fn fills(now: &Snapshot) -> Vec<Value> {
    let fill = |fill: &cache::status::FillStatus| {
        value!({
            "upstream": fill.upstream,
            "path": fill.path,
            "md5": fill.md5.map(|md5| md5.to_string()),
            "fetched": fill.fetched,
            "total": fill.total,
            "seconds": fill.seconds,
            "followers": fill.followers,
        })
    };
    now.fills.iter().map(fill).collect()
}

fn upstreams(now: &Snapshot) -> Vec<Value> {
    let origin = |origin: &cache::status::OriginStatus| value!({ "url": origin.url, "in_use": origin.in_use, "failures": origin.failures });
    let upstream = |upstream: &cache::status::UpstreamStatus| {
        value!({
            "name": upstream.name,
            "mount": upstream.mount,
            "location": upstream.location,
            "reachable": upstream.reachable,
            "last_error": upstream.last_error,
            "origins": upstream.origins.iter().map(origin).collect::<Vec<_>>(),
            "stream": upstream.stream.as_ref().map(|stream| value!({
                "live": stream.is_live,
                "generation": stream.generation,
                "trouble": stream.trouble,
            })),
            "line": {
                "rate": upstream.line.rate,
                "bytes": upstream.line.bytes,
                "waiting": upstream.line.demand_waiting,
                "preload_waiting": upstream.line.preload_waiting,
                "background_rate": upstream.line.background_rate,
                "queueing_seconds": upstream.line.queueing.map(|queueing| queueing.as_secs_f64()),
                "held_seconds": upstream.line.held.as_secs_f64(),
            },
        })
    };
    now.upstreams.iter().map(upstream).collect()
}

fn scrub(scrub: &Scrub) -> Value {
    let found = |report: ScrubReport, took: Duration, objects: Option<u64>| {
        value!({
            "good": report.good,
            "bad": report.bad,
            "missing": report.missing,
            "bytes": report.bytes,
            "seconds": took.as_secs_f64(),
            "of_objects": objects,
        })
    };
    let now = scrub.now.map(|now| found(now.found, now.began.elapsed(), Some(now.objects)));
    let last = scrub.last.map(|(report, took)| found(report, took, None));
    value!({ "running": now.is_some(), "now": now, "last": last })
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_while_serving() {
        for (phase, expected) in [(Phase::Starting, false), (Phase::Serving, true), (Phase::Draining, false)] {
            let (ready, body) = readiness(&Snapshot { phase, ..Snapshot::default() });
            assert_eq!(ready, expected, "{phase:?}");
            assert_eq!(body["ready"], expected);
            assert!(body["checks"].as_object().is_some_and(|checks| checks.len() == 2));
        }
    }

    #[test]
    fn the_status_has_what_scripts_rely_on() {
        let mut now = Snapshot::default();
        now.cache.hits = 3;
        now.cache.misses = 1;
        now.fills.push(cache::status::FillStatus {
            upstream: "a".into(),
            path: "/f".into(),
            md5: None,
            fetched: 5,
            total: Some(10),
            seconds: 0.5,
            followers: 2,
        });
        let body = body(&Settings::default(), &now);
        for pointer in [
            "/mode",
            "/state",
            "/uptime_seconds",
            "/process/cpu_user_seconds",
            "/process/resident_bytes",
            "/cache/used_bytes",
            "/cache/max_size_bytes",
            "/cache/min_free_bytes",
            "/cache/objects",
            "/cache/pinned/bytes",
            "/cache/history_bytes",
            "/requesters/active",
            "/bytes/from_upstream",
            "/bytes/to_clients",
            "/preload",
            "/fills/0/followers",
            "/origin/state",
        ] {
            assert!(body.pointer(pointer).is_some_and(|found| !found.is_null()), "{pointer}");
        }
        assert_eq!(body["requests"]["hit_percent"], 75.0);
    }
}
