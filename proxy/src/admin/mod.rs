//! The admin interface: its own listener, loopback by default, for people, monitoring and scripts.
//!
//! | request | answer | file |
//! | --- | --- | --- |
//! | `GET /healthz` | 200 while the process lives | here |
//! | `GET /readyz` | 200 while it serves, else 503; the body lists the checks | `status` |
//! | `GET /metrics` | Prometheus | `metrics` |
//! | `GET /v1/status` | everything, as JSON | `status` |
//! | `GET /v1/objects`, `GET` and `DELETE /v1/objects/MD5` | what is in the cache | `objects`, `selection` |
//! | `GET /v1/why?path=`, `?md5=` | why something is here, or is not | `why` |
//! | `GET`, `POST /v1/catalogue?upstream=NAME` | what is known of an upstream's names; learn of them | `catalogue` |
//! | `POST`, `GET`, `DELETE` `/v1/import`, `/v1/export` | begin it, how it stands, stop it | `intake` |
//! | `POST /v1/purge`, `/v1/scrub`, `/v1/drain` | do it | `actions` |
//! | `GET`, `POST /v1/preload` | how preloading stands; preload now | `preload` |
//!
//! Errors are problem details like everywhere. Who may ask is said by `guard`, where it listens by `listener`.

mod actions;
pub(crate) mod catalogue;
pub(crate) mod guard;
mod intake;
pub(crate) mod listener;
pub(crate) mod metrics;
mod objects;
pub(crate) mod preload;
mod selection;
mod status;
mod why;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use config::AdminAddress;
use hyper_util::{rt::TokioTimer, service::TowerToHyperService};
use protocol::problem::{Kind, Problem};
use tokio::sync::Semaphore;

use self::listener::{Listener, Serving};
use crate::app::App;

/// Connections at once; one more waits in the listen queue.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// For a request's head to arrive; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection is not kept longer than this, whoever does not read or write on it.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Calls what may wait for the disk on a thread of its own: a disk that hangs must not keep this one from its signals. Dropping the future
/// does not stop the call.
async fn aside<T: Send + 'static>(app: &Arc<App>, call: impl FnOnce(&App) -> T + Send + 'static) -> T {
    let app = app.clone();
    match tokio::task::spawn_blocking(move || call(&app)).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending, and with it who asked.
        Err(_) => std::future::pending().await,
    }
}

/// Serves on a bound listener until the runtime ends; answers where.
pub(crate) fn start(listener: Listener, app: Arc<App>) -> anyhow::Result<AdminAddress> {
    let address = listener.address()?;
    let serving = listener.serving()?;
    let over_tcp = serving.is_tcp();
    tokio::spawn(accept(serving, router(app, over_tcp)));
    Ok(address)
}

fn router(app: Arc<App>, over_tcp: bool) -> Router {
    let door =
        move |State(app): State<Arc<App>>, request: Request, next: Next| guard::admit(app, over_tcp, request, next);
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(metrics::answer))
        .route("/v1/status", get(status::answer))
        .route("/v1/objects", get(objects::list))
        .route("/v1/objects/{md5}", get(objects::one).delete(objects::remove))
        .route("/v1/why", get(why::answer))
        .route(
            "/v1/catalogue",
            get(catalogue::show).post(catalogue::learn).layer(DefaultBodyLimit::max(catalogue::LIST_BYTES_MAX)),
        )
        .route("/v1/purge", post(actions::purge))
        .route("/v1/scrub", post(actions::scrub))
        .route("/v1/drain", post(actions::drain))
        .route("/v1/import", get(intake::how_import).post(intake::import).delete(intake::stop_import))
        .route("/v1/export", get(intake::how_export).post(intake::export).delete(intake::stop_export))
        .route(
            "/v1/preload",
            get(preload::show).post(preload::begin).layer(DefaultBodyLimit::max(preload::LIST_BYTES_MAX)),
        )
        .fallback(async |request: Request| problem(Kind::NotFound, no_such_path(request.uri().path())))
        .method_not_allowed_fallback(async |request: Request| {
            problem(
                Kind::MethodNotAllowed,
                format!(
                    "{} does not take {}; the field Allow says what it takes",
                    request.uri().path(),
                    request.method()
                ),
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), door))
        .layer(middleware::from_fn(guard::sign))
        .with_state(app)
}

/// `axum::serve` would set no header timeout, so connections are driven here.
async fn accept(listener: Serving, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("the admin interface cannot take a connection, and tries again: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(BODY_BYTES_MAX)
                .serve_connection(stream, service);
            // How a client's connection ends is the client's affair.
            drop(tokio::time::timeout(CONNECTION_AGE_MAX, connection).await);
            drop(place);
        });
    }
}

fn no_such_path(path: &str) -> String {
    format!(
        "there is no {path}; there are /healthz, /readyz, /metrics, /v1/status, /v1/objects, /v1/why, /v1/purge, /v1/scrub, \
         /v1/drain, /v1/import, /v1/export, /v1/catalogue and /v1/preload"
    )
}

/// An error as problem details.
fn problem(kind: Kind, detail: impl Into<String>) -> Response {
    let mut response = (kind.status(), Json(Problem::new(kind, detail))).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// 503 while the store is being opened.
fn starting() -> Response {
    let mut response = problem(Kind::Overloaded, "the proxy is starting; ask again in 1 s");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// JSON with a status code, spread over lines: people read it with curl.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_string_pretty(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => {
            problem(Kind::Internal, format!("the answer cannot be written, which is a fault of the program: {error}"))
        }
    }
}
