//! Answers programs of this machine, on an address that no other machine reaches.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/fetch?what=URL, PATH or MD5` | brings it, and follows that: [`events`](super::events) |
//! | `GET /.outpost/v1/objects/MD5` | a content that is here |
//! | `GET /v1/status` | the cache, what is being brought, servers that are waited for |
//! | `GET /v1/jobs` | packages that are kept for the origin |
//! | `POST /v1/jobs/run` | looks after all of them now |
//! | `GET /v1/why?what=` | what is known of one thing |
//! | `GET /v1/cache?cursor=` | a page of what is here |
//! | `POST /v1/cache/verify`, `POST /v1/cache/clear` | reads everything and compares; removes everything |
//! | `POST /v1/retry-now` | all waits are over |
//!
//! Pages of web sites cannot ask it, though they run on this machine: browsers say whose a request is.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{Method, StatusCode};
use protocol::{digest::Md5, info::OBJECTS, problem::Kind, target::Target};
use serde_json::{Value, json};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    response::Response,
};
use store::{Lookup, Reader, Store};
use tokio::runtime::Handle;

use super::{
    content::{self, problem},
    downloads::{Download, Downloads},
    events,
    membership::Membership,
    names,
    neighbours::Neighbours,
    renewal::Renewal,
    sharing::Sharing,
};
use crate::{bring::wanted::Wanted, decide::sharing::Why, jobs::keeper::Jobs};

/// Contents of one page.
const PAGE_MAX: usize = 1_000;
/// Seconds after which who was refused may come again.
const RETRY_AFTER: u64 = 10;

/// What it answers from.
pub(crate) struct Local {
    pub(crate) downloads: Arc<Downloads>,
    pub(crate) began: Instant,
    pub(crate) handle: Handle,
    /// Where neighbours are served, for people.
    pub(crate) peers: Option<String>,
    pub(crate) name: String,
    pub(crate) sharing: Arc<Sharing>,
    pub(crate) renewal: Arc<Renewal>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) neighbours: Arc<Neighbours>,
    pub(crate) jobs: Arc<Jobs>,
}

impl Handler for Local {
    fn answer(&self, request: &Request<'_>, _client: &Client) -> Answer {
        if request.fields.first("Origin").is_some() || request.fields.first("Sec-Fetch-Site").is_some() {
            let detail = "a page in a browser may not ask this service; use outpost-agent";
            return Answer::Now(problem(Kind::NotAllowed, detail));
        }
        let Ok(target) = Target::parse(request.target) else {
            return Answer::Now(problem(Kind::BadRequest, "the path cannot be read; ask for /v1/status"));
        };
        let is_post = request.method == Method::POST;
        match (is_post, target.path()) {
            (true, "/v1/retry-now") => {
                let waiting = self.downloads.retry_now();
                self.jobs.nudge();
                Answer::Now(json_of(&json!({ "waiting": waiting })))
            }
            (true, "/v1/jobs/run") => {
                self.jobs.nudge();
                Answer::Now(json_of(&json!({ "jobs": self.jobs.board().states().len() })))
            }
            (true, "/v1/cache/verify") => self.blocking(verify),
            (true, "/v1/cache/clear") => self.blocking(clear),
            (true, path) => Answer::Now(problem(Kind::NotFound, format!("there is nothing to post to at {path}"))),
            (false, _) if request.method != Method::GET && request.method != Method::HEAD => {
                Answer::Now(Response::method_not_allowed("GET, HEAD, POST"))
            }
            (false, _) => Answer::Now(self.get(request, &target)),
        }
    }
}

impl Local {
    fn get(&self, request: &Request<'_>, target: &Target) -> Response {
        let path = target.path();
        if let Some(md5) = path.strip_prefix(OBJECTS).and_then(|text| text.parse::<Md5>().ok()) {
            return match whole(self.downloads.store(), &md5) {
                Some(reader) => content::answer(request, &md5, reader),
                None => content::not_here(&md5),
            };
        }
        let value = |name: &str| target.query_value(name).map(|value| String::from_utf8_lossy(&value).into_owned());
        match path {
            "/healthz" => json_of(&json!({ "ok": true })),
            "/v1/status" => json_of(&self.status()),
            "/v1/jobs" => json_of(&json!({ "jobs": self.jobs.shown() })),
            "/v1/cache" => json_of(&self.page(value("cursor").and_then(|text| text.parse().ok()))),
            "/v1/fetch" | "/v1/why" => match Wanted::parse(&value("what").unwrap_or_default()) {
                Err(error) => problem(Kind::BadRequest, error.to_string()),
                Ok(wanted) if path == "/v1/why" => json_of(&self.why(&wanted)),
                Ok(wanted) => match self.downloads.fetch(wanted) {
                    Ok(download) => events::answer(download, &self.handle),
                    Err(_) => {
                        let detail = format!("too many files are on their way already; ask again in {RETRY_AFTER} s");
                        let problem =
                            protocol::problem::Problem::new(Kind::Overloaded, detail).retry_after(RETRY_AFTER);
                        Response::problem(&problem, Kind::Overloaded)
                    }
                },
            },
            path => problem(Kind::NotFound, format!("there is nothing at {path}; ask for /v1/status")),
        }
    }

    fn status(&self) -> Value {
        let report = self.downloads.store().report();
        let ways = self.downloads.ways();
        let downloads: Vec<Value> = self.downloads.running().iter().map(|download| shown(download)).collect();
        json!({
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.began.elapsed().as_secs(),
            "peers": self.peers,
            "sharing": self.shares(),
            "membership": self.member(),
            "neighbours": self.neighbours.urls(),
            "cache": {
                "objects": report.objects,
                "used": report.used,
                "max_size": report.max_size,
                "free": report.disk_available,
            },
            "origins": ways.finder.origins,
            "servers": ways.finder.fallback.iter().map(|source| source.url.clone()).collect::<Vec<_>>(),
            "jobs": self.jobs.shown(),
            "downloads": downloads,
            "waiting": self.waits(),
        })
    }

    /// Whether neighbours are served, and if not, why and until when.
    fn shares(&self) -> Value {
        let why = self.sharing.why_not();
        json!({
            "on": self.peers.is_some() && self.sharing.is_on(),
            "why": why.map(Why::name),
            "text": why.map(Why::text),
            "again_in": why.map(|why| why.retry_after(SystemTime::now())),
        })
    }

    /// How it stands with its origin; nothing where it has none.
    fn member(&self) -> Value {
        if self.downloads.ways().finder.origins.is_empty() {
            return Value::Null;
        }
        let (stands, (generation, taken)) = (self.membership.now(), self.renewal.taken());
        json!({
            "member": stands.is_member,
            "origin": stands.origin,
            "domain": stands.domain,
            "generation": generation,
            "refused": taken.refused,
            "needs_restart": taken.needs_restart,
        })
    }

    /// Servers that are not asked now.
    fn waits(&self) -> Vec<Value> {
        let (ways, now) = (self.downloads.ways(), Instant::now());
        let health = ways.finder.health.lock();
        let waits = health.waiting(now).map(|(server, request, failures, due)| {
            json!({
                "server": server,
                "for": request.name(),
                "failures": failures,
                "again_in": due.saturating_duration_since(now).as_secs() + 1,
            })
        });
        waits.collect()
    }

    fn why(&self, wanted: &Wanted) -> Value {
        let store = self.downloads.store();
        let name = wanted.path().unwrap_or(&wanted.text);
        let md5 = wanted.identity.md5.or_else(|| names::content_of(store, name));
        let here = md5.and_then(|md5| store.peek(&md5));
        let download = self.downloads.running().into_iter().find(|download| download.what == wanted.text);
        json!({
            "what": wanted.text,
            "md5": md5,
            "name": md5.and_then(|md5| names::name_of(store, &md5)),
            "here": here.is_some(),
            "size": here.map(|info| info.size),
            "download": download.map(|download| shown(&download)),
            "waiting": self.waits(),
        })
    }

    fn page(&self, cursor: Option<Md5>) -> Value {
        let store = self.downloads.store();
        let page = store.objects(cursor, PAGE_MAX);
        let objects: Vec<Value> = page
            .objects
            .iter()
            .map(|info| json!({ "md5": info.md5, "size": info.size, "name": names::name_of(store, &info.md5) }))
            .collect();
        json!({ "objects": objects, "cursor": page.next })
    }

    fn blocking<F: Future<Output = Value> + Send + 'static>(&self, act: fn(Store) -> F) -> Answer {
        let acting = self.handle.spawn(act(self.downloads.store().clone()));
        Answer::later(async move {
            match acting.await {
                Ok(value) => json_of(&value),
                Err(_) => problem(Kind::Internal, "the service is stopping"),
            }
        })
    }
}

/// Also one that is verified and about to be sealed: who followed its download hears of the end before the disk has it.
fn whole(store: &Store, md5: &Md5) -> Option<Reader> {
    store.hit(md5).or_else(|| match store.lookup(md5) {
        Lookup::Hit(reader) => Some(reader),
        Lookup::Filling(reader) if reader.digests().is_some() => Some(reader),
        Lookup::Filling(_) | Lookup::Miss(_) => None,
    })
}

async fn verify(store: Store) -> Value {
    let report = store.scrub(|_| ()).await;
    json!({ "good": report.good, "bad": report.bad, "missing": report.missing, "bytes": report.bytes })
}

async fn clear(store: Store) -> Value {
    let clearing = tokio::task::spawn_blocking(move || {
        let mut removed = 0u64;
        loop {
            let page = store.objects(None, PAGE_MAX);
            let gone = page.objects.iter().filter(|info| store.remove_by(&info.md5, "cache clear")).count();
            removed += gone as u64;
            if gone == 0 {
                return removed;
            }
        }
    });
    json!({ "removed": clearing.await.unwrap_or(0) })
}

fn shown(download: &Download) -> Value {
    let mut value = serde_json::to_value(download.told.now()).unwrap_or_default();
    value["what"] = download.what.clone().into();
    value["at"] = download.told.position().into();
    value["seconds"] = download.since.elapsed().as_secs().into();
    value["followers"] = download.followers().into();
    value
}

fn json_of(value: &Value) -> Response {
    let mut response = Response::json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default());
    response.fields.push("Cache-Control", "no-store");
    response
}
