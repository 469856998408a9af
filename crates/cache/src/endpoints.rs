//! Below `/.outpost/v1/`: objects by their digest, what is known of a path, and the progress of a fill.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use protocol::{
    cache_status::CacheStatus,
    digest::{Digests, DigestsHasher, Md5},
    info::{INFO, Info, OBJECTS, PROGRESS},
    problem::Kind,
    progress::{Event, Progress},
    target::Target,
};
use serve::{
    handler::Answer,
    request::Fields,
    response::{Body, Response},
    source::Source,
};
use store::Reader;
use tokio::sync::mpsc;

use crate::{
    asked::{Owned, forwarded},
    boarding,
    cache::Shared,
    flights::Flight,
    landing::{Failure, Landing},
    pass::Queue,
    representation::{Proof, Representation},
    requesters::Who,
    resolve::problem,
    settings::Settings,
    upstream::{Kind as UpstreamKind, Question, Upstream},
    visit::Visit,
};

/// `info` waits so long for a file that is being fetched, then says when to come back.
const INFO_WAIT_MAX: Duration = Duration::from_secs(30);
/// At most four progress events in a second.
const EVENT_EVERY: Duration = Duration::from_millis(250);
/// A stream of progress without progress ends with `pause` after this.
const EVENT_WAIT_MAX: Duration = Duration::from_secs(30);
/// Events that a slow client has not taken yet.
const EVENTS_MAX: usize = 4;
/// One read of an object whose SHA-256 is not known.
const READ_BYTES: usize = 1 << 20;

pub(crate) fn answer(visit: &Visit<'_>, target: Target, fields: Fields<'_>) -> Answer {
    let path = target.path().to_owned();
    if let Some(md5) = path.strip_prefix(OBJECTS) {
        return object(visit, target, md5);
    }
    if let Some(md5) = path.strip_prefix(PROGRESS) {
        return progress(visit, md5);
    }
    // The name keeps its leading slash.
    if let Some(name) = path.strip_prefix(INFO.trim_end_matches('/')).filter(|name| name.starts_with('/')) {
        return info(visit, name, fields);
    }
    Answer::Now(problem(Kind::NotFound, format!("there is nothing at {path}; see the documentation of the interface")))
}

fn no_digest(text: &str) -> Answer {
    let detail = format!("'{text}' is not an MD5: it has 32 hexadecimal digits");
    Answer::Now(problem(Kind::BadRequest, detail))
}

/// An object by its digest: from here, or from an upstream that knows digests.
fn object(visit: &Visit<'_>, target: Target, md5: &str) -> Answer {
    let Ok(md5) = md5.parse::<Md5>() else { return no_digest(md5) };
    let path = target.query_value("path").map(|path| Target::from_file_path(&path));
    if let Some(reader) = visit.shared.sealed(&md5) {
        return Answer::Now(sealed_object(visit, md5, reader, path.as_ref()));
    }
    let (shared, owned) = (visit.shared.clone(), visit.asked.into_owned());
    match candidates(visit.shared, &visit.settings, &md5, path.as_ref()) {
        Candidates::None => Answer::Now(no_object(&md5)),
        Candidates::Outposts(candidates) => {
            let question = |(upstream, below): (Arc<Upstream>, Target)| Question {
                key: [b"\0object\0", upstream.options.name.as_bytes(), b"\0", &md5.0[..]].concat().into(),
                upstream,
                full: target.clone(),
                target: below,
                sent: HeaderMap::new(),
                object: Some(md5),
            };
            let questions = candidates.into_iter().map(question).map(Arc::new).collect();
            Answer::later(from_outposts(shared, questions, md5, owned))
        }
        Candidates::Name(question) => Answer::later(from_name(shared, Arc::new(question), md5, owned)),
    }
}

/// Who may have an object that is not here.
enum Candidates {
    None,
    /// They are asked by the digest, one after the other.
    Outposts(Vec<(Arc<Upstream>, Target)>),
    /// A name whose record has that digest is fetched again.
    Name(Question),
}

fn candidates(shared: &Shared, settings: &Settings, md5: &Md5, path: Option<&Target>) -> Candidates {
    let is_outpost = |upstream: &Arc<Upstream>| matches!(upstream.kind, UpstreamKind::Outpost(_));
    let root = Target::from_file_path(b"");
    let Some(path) = path else {
        let outposts = settings.upstreams.iter().filter(|upstream| is_outpost(upstream));
        let outposts: Vec<_> = outposts.map(|upstream| (upstream.clone(), root.clone())).collect();
        return if outposts.is_empty() { Candidates::None } else { Candidates::Outposts(outposts) };
    };
    let Some((upstream, below)) = settings.upstream_of(path) else { return Candidates::None };
    if is_outpost(upstream) {
        return Candidates::Outposts(vec![(upstream.clone(), below.into_owned())]);
    }
    let key = upstream.key(&below);
    if shared.book.known(&key).is_none_or(|known| known.md5 != *md5) {
        return Candidates::None;
    }
    Candidates::Name(question(upstream, path.clone(), below.into_owned(), &key, HeaderMap::new()))
}

fn question(upstream: &Arc<Upstream>, full: Target, target: Target, key: &[u8], sent: HeaderMap) -> Question {
    Question { upstream: upstream.clone(), full, target, key: key.into(), sent, object: None }
}

async fn from_outposts(shared: Arc<Shared>, questions: Vec<Arc<Question>>, md5: Md5, owned: Owned) -> Response {
    let mut last = None;
    for question in questions {
        let boarded = boarding::join(&shared, &question, true);
        let (landing, leads) = boarded.landing(&shared, &question).await;
        match landing {
            Landing::Failed(failure) => last = Some(failure),
            landing => match boarding::from_landing(&Visit::new(&shared, owned.asked()), &question, landing, leads) {
                Ok(response) => return response,
                Err(_) => return crate::pass::pass(shared, question, Arc::new(owned)).await,
            },
        }
    }
    last.map_or_else(|| no_object(&md5), |failure| failure.to_response())
}

/// The name is fetched; what comes is the object only if it has the digest, which is known at its end.
async fn from_name(shared: Arc<Shared>, question: Arc<Question>, md5: Md5, owned: Owned) -> Response {
    let path = question.full.clone();
    match sealed_name(&shared, question).await {
        Ok((reader, _)) if reader.digests().is_some_and(|digests| digests.md5 == md5) => {
            sealed_object(&Visit::new(&shared, owned.asked()), md5, reader, Some(&path))
        }
        Ok(_) => no_object(&md5),
        Err(failure) => failure.to_response(),
    }
}

fn sealed_object(visit: &Visit<'_>, md5: Md5, reader: Reader, path: Option<&Target>) -> Response {
    let proof = reader.digests().map_or(Proof::Md5(md5), Proof::Both);
    let representation = Representation::of_object(proof, reader.len(), path.map(Target::path), visit.via());
    let places = || visit.shared.requesters.of(&md5);
    visit.content(&representation, Source::Object(reader), &places, CacheStatus::Hit)
}

fn no_object(md5: &Md5) -> Response {
    let detail = format!("there is no object {md5} here, and no upstream that knows digests is said to have it");
    problem(Kind::NotFound, detail)
}

/// What is known of a path.
fn info(visit: &Visit<'_>, name: &str, fields: Fields<'_>) -> Answer {
    let path = match Target::parse(name.as_bytes()) {
        Ok(path) => path,
        Err(bad) => return Answer::Now(problem(Kind::BadRequest, bad.to_string())),
    };
    let Some((upstream, below)) = visit.settings.upstream_of(&path).filter(|_| !path.is_directory()) else {
        return Answer::Now(problem(Kind::NotFound, format!("there is no file {}", path.path())));
    };
    let key = upstream.key(&below);
    let below = below.into_owned();
    let question = Arc::new(question(upstream, path, below, &key, forwarded(fields)));
    let shared = visit.shared.clone();
    Answer::later(async move {
        let task = {
            let shared = shared.clone();
            async move { find_info(&shared, question).await }
        };
        match shared.on_fetches(task).await.flatten() {
            Ok(info) => Response::json(StatusCode::OK, serde_json::to_vec(&info).unwrap_or_default()),
            Err(failure) => failure.to_response(),
        }
    })
}

async fn find_info(shared: &Arc<Shared>, question: Arc<Question>) -> Result<Info, Failure> {
    if let UpstreamKind::Outpost(outpost) = &question.upstream.kind
        && boarding::fresh(shared, &question).is_none()
        && !question.upstream.health.is_open()
    {
        let asked = outpost.info(&question.target).await;
        shared.report(&question.upstream, &asked);
        match asked {
            Ok(Some(info)) => return Ok(Info { path: question.full.path().into(), ..info }),
            Ok(None) => {
                return Err(Failure::new(Kind::NotFound, format!("there is no file {}", question.full.path())));
            }
            // What is here may still answer.
            Err(error) => tracing::debug!(%error, "an upstream cannot be asked for information"),
        }
    }
    let path = question.full.clone();
    let (reader, modified) = sealed_name(shared, question).await?;
    let digests = match reader.digests() {
        Some(digests) => digests,
        None => hash(&reader).await.ok_or_else(Failure::interrupted)?,
    };
    Ok(Info::new(&path, reader.len().unwrap_or_default(), &digests, modified))
}

/// The content of a name, whole: waits for its fetch, for some time.
async fn sealed_name(shared: &Arc<Shared>, question: Arc<Question>) -> Result<(Reader, Option<SystemTime>), Failure> {
    let task = {
        let shared = shared.clone();
        async move {
            let sealed = async {
                match boarding::join(&shared, &question, true).landing(&shared, &question).await.0 {
                    Landing::Content(content) => match &content.source {
                        Source::Object(reader) => {
                            let sealed = reader.sealed().await;
                            let failed = |error| Failure::new(Kind::UpstreamInvalid, format!("{error}"));
                            sealed.map_err(failed)?;
                            Ok((reader.clone(), content.representation.last_modified))
                        }
                        Source::Shared(_) => Err(not_kept(&question)),
                    },
                    Landing::Failed(failure) => Err(failure),
                    Landing::Pass(_) => Err(not_kept(&question)),
                    _ => Err(Failure::new(Kind::NotFound, format!("{} is no file", question.full.path()))),
                }
            };
            tokio::time::timeout(INFO_WAIT_MAX, sealed).await.unwrap_or_else(|_| {
                let detail = "the file is being fetched, and its digests are known at its end; ask again";
                Err(Failure::new(Kind::Overloaded, detail).with_retry_after(INFO_WAIT_MAX.as_secs()))
            })
        }
    };
    shared.on_fetches(task).await?
}

fn not_kept(question: &Question) -> Failure {
    let detail = format!("{} is not kept here, so its digests are not known", question.full.path());
    Failure::new(Kind::NotFound, detail)
}

/// Both digests of an object of which only the MD5 was known (a file that was adopted and not scrubbed yet).
async fn hash(reader: &Reader) -> Option<Digests> {
    let file = reader.file().clone();
    let hashing = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::FileExt;
        let mut hasher = DigestsHasher::default();
        let (mut buffer, mut position) = (vec![0; READ_BYTES], 0);
        loop {
            let count = file.read_at(&mut buffer, position).ok()?;
            if count == 0 {
                return Some(hasher.finish());
            }
            hasher.update(&buffer[..count]);
            position += count as u64;
        }
    });
    hashing.await.ok().flatten()
}

/// Follows a fill as server-sent events.
fn progress(visit: &Visit<'_>, md5: &str) -> Answer {
    let (shared, asked) = (visit.shared, &visit.asked);
    let Ok(md5) = md5.parse::<Md5>() else { return no_digest(md5) };
    if shared.store.peek(&md5).is_some() {
        return Answer::Now(events(Body::Memory(Event::Ready.to_text().into())));
    }
    let flights = shared.flights.all();
    let Some(flight) =
        flights.into_iter().find(|flight| flight.md5.get() == Some(&md5) && flight.reader.get().is_some())
    else {
        let detail = format!("nothing with the digest {md5} is here or being fetched");
        return Answer::Now(problem(Kind::NotFound, detail));
    };
    let who = Who::of(&asked.client, asked.agent, shared.settings().options.requesters_by);
    let (send, receive) = mpsc::channel(EVENTS_MAX);
    let follower = Follower { shared: shared.clone(), flight, who, send };
    shared.spawn(async move { follower.follow().await });
    Answer::Now(events(Body::Stream { stream: Box::pin(Queue(receive)), len: None }))
}

fn events(body: Body) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.fields.push("Content-Type", "text/event-stream").push("Cache-Control", "no-store");
    response.body = body;
    response
}

/// One client that follows the progress of one fill.
struct Follower {
    shared: Arc<Shared>,
    flight: Arc<Flight>,
    who: Who,
    send: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Follower {
    async fn follow(&self) {
        let Some(reader) = self.flight.reader.get() else { return };
        let mut last = Instant::now();
        let mut told = None;
        loop {
            if reader.is_sealed() {
                return self.tell(&Event::Ready).await;
            }
            let fetched = reader.watermark();
            if told != Some(fetched) {
                last = Instant::now();
                told = Some(fetched);
            }
            self.tell(&Event::Progress(self.progress(reader, fetched))).await;
            if self.send.is_closed() {
                return;
            }
            let pausing = self.flight.pausing_until.lock().map(|until| until.saturating_duration_since(Instant::now()));
            if last.elapsed() >= EVENT_WAIT_MAX {
                let retry_after = pausing.map_or(1, |wait| wait.as_secs() + 1);
                return self.tell(&Event::Pause { retry_after }).await;
            }
            tokio::time::sleep(EVENT_EVERY).await;
            tokio::select! {
                () = self.shared.closing.cancelled() => return self.tell(&Event::Pause { retry_after: 1 }).await,
                () = self.send.closed() => return,
                _ = tokio::time::sleep(EVENT_WAIT_MAX) => {}
                readable = reader.readable(fetched) => {
                    if let Err(error) = readable {
                        return self.tell(&Event::Failed { detail: error.to_string() }).await;
                    }
                }
            }
        }
    }

    fn progress(&self, reader: &Reader, fetched: u64) -> Progress {
        let places_max = self.shared.settings().options.max_requesters;
        let places = self.flight.places.get();
        let position = places.map_or(0, |places| places.position(&self.who, places_max, Instant::now()));
        Progress { fetched, total: reader.len(), position, max_requesters: places_max as u64 }
    }

    async fn tell(&self, event: &Event) {
        // An error means that the client has left, which the loop sees.
        let _ = self.send.send(Ok(event.to_text().into())).await;
    }
}
