//! An Outpost origin or proxy as an upstream. It tells digests before bytes: a name is asked for by HEAD, its content by the digest, so that
//! what is here under another name is never fetched again and a file that changes in between cannot be mixed up.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use protocol::{
    digest::Md5,
    info::{INFO, Info, OBJECTS},
    listing::Listing,
    pieces::{PIECES, PIECES_BYTES_MAX, Pieces},
    problem::{Kind as ProblemKind, Problem},
    target::Target,
};

use super::{
    Question,
    body::{Body, HttpPieces},
    error::{AskError, CallError},
    heads::{Validators, claims, retry_after},
    http::Http,
    origins::Origins,
    reply::{Access, Head, Reply, Wanted},
    stream::Offer,
};
use crate::{
    names::{
        book::Known,
        imported::is_confirmed,
        record::{Provenance, Record, seconds},
    },
    status::OriginStatus,
};

/// Bytes of an index, an `info` or a problem; more is an invalid answer.
const JSON_BYTES_MAX: usize = 64 << 20;

/// An origin, or a parent proxy.
pub(crate) struct Outpost {
    http: Http,
    /// The last that gave bytes was a proxy.
    is_relay: AtomicBool,
}

impl Outpost {
    pub(crate) fn new(http: Http) -> Self {
        Self { http, is_relay: AtomicBool::new(false) }
    }

    /// Whether bytes came through a proxy, the last time that some came.
    pub(crate) fn is_relay(&self) -> bool {
        self.is_relay.load(Ordering::Relaxed)
    }

    /// An answer with bytes came. A proxy says that it stands between (RFC 9110 section 7.6.3), an origin has nobody behind it.
    fn note_relay(&self, answer: &Response<Incoming>) {
        self.is_relay.store(answer.headers().contains_key(header::VIA), Ordering::Relaxed);
    }

    pub(crate) async fn ask(
        &self,
        question: &Question,
        known: Option<&Known>,
        wants_bytes: bool,
    ) -> Result<Reply, AskError> {
        let path = self.http.path_of(question.target.as_str());
        if question.target.is_directory() {
            return self.list(&path, question).await;
        }
        let answer = self.http.send(Method::HEAD, &path, question.sent.clone()).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Reply::No(question.not_found())),
            StatusCode::MOVED_PERMANENTLY if leads_to_slash(&answer) => return Ok(Reply::NeedsSlash),
            // Why it cannot serve (now, or at all) stands in a body, which a HEAD does not have.
            StatusCode::SERVICE_UNAVAILABLE => return self.by_name(&path, question).await,
            _ if wants_bytes => return self.by_name(&path, question).await,
            _ => return Ok(Reply::Answer(Box::new(self.http.open(answer)))),
        }
        let head = self.head(question, answer.headers());
        if let Some(known) = known.filter(|known| is_unchanged(known, &head)) {
            let is_told = head.claims.md5.is_some();
            if known.record.provenance == Provenance::Imported {
                return Ok(Reply::Unchanged { record: Record { len: known.record.len, ..head.record }, is_told });
            }
            let Record { checked, modified, .. } = head.record;
            return Ok(Reply::Unchanged { record: Record { checked, modified, ..known.record.clone() }, is_told });
        }
        if wants_bytes && matches!(head.access, Access::Name) {
            // It does not know the digest yet: like a plain web server.
            return self.by_name(&path, question).await;
        }
        Ok(Reply::File(Box::new(head), None))
    }

    async fn by_name(&self, path: &str, question: &Question) -> Result<Reply, AskError> {
        let answer = self.http.send(Method::GET, path, question.sent.clone()).await?;
        match answer.status() {
            StatusCode::OK => {
                self.note_relay(&answer);
                let head = self.head(question, answer.headers());
                let body = Body::Http(self.http.pieces(answer, 0, &question.urgency));
                Ok(Reply::File(Box::new(head), Some(body)))
            }
            StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer).await),
            _ => Ok(Reply::Answer(Box::new(self.http.open(answer)))),
        }
    }

    fn head(&self, question: &Question, fields: &HeaderMap) -> Head {
        let claims = claims(fields);
        let Validators { etag, modified } = Validators::of(fields);
        let len = fields.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()).and_then(|len| len.parse().ok());
        let source = match (&claims.md5, &etag) {
            (Some(md5), _) => source_of(md5),
            (None, Some(etag)) => [&question.key, &b"\0e"[..], etag.as_str().as_bytes()].concat().into(),
            (None, None) => Bytes::new(),
        };
        // A tag that is the digest is no tag of its own.
        let is_digest = |md5: &Md5| etag.as_ref().is_some_and(|etag| *etag == protocol::etag::ETag::of(md5));
        let own_etag = if claims.md5.as_ref().is_some_and(is_digest) { None } else { etag.clone() };
        Head {
            record: Record {
                checked: seconds(std::time::SystemTime::now()),
                len,
                modified,
                etag: own_etag,
                provisional: None,
                provenance: Provenance::Outpost {
                    content_type: fields.get(header::CONTENT_TYPE).map(|value| value.as_bytes().into()),
                },
            },
            claims,
            source,
            access: claims.md5.map_or(Access::Name, Access::Object),
            fields: None,
        }
    }

    /// Bytes of a head.
    pub(crate) async fn bytes(&self, question: &Question, head: &Head, wanted: Wanted) -> Result<HttpPieces, AskError> {
        let Access::Object(md5) = head.access else { return self.http.bytes(question, head, wanted).await };
        let path = self.path_of_object(&md5, &question.target);
        let answer = self.http.ask_for_bytes(&path, HeaderMap::new(), head, wanted).await?;
        self.note_relay(&answer);
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer).await),
            _ => self.http.continuation(answer, head, wanted, &question.urgency),
        }
    }

    /// An object by its digest; `None` if it is not there.
    pub(crate) async fn object(&self, md5: Md5, question: &Question) -> Result<Option<(Head, Body)>, AskError> {
        let path = self.path_of_object(&md5, &question.target);
        let answer = self.http.send(Method::GET, &path, question.sent.clone()).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => return Err(busy(answer).await),
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => return Ok(None),
            status => {
                return Err(AskError::Invalid(format!(
                    "the upstream answered {status} when it was asked for an object"
                )));
            }
        }
        self.note_relay(&answer);
        let fields = answer.headers();
        let mut claims = claims(fields);
        claims.md5 = Some(md5);
        let len = fields.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()).and_then(|len| len.parse().ok());
        let record = Record {
            checked: seconds(std::time::SystemTime::now()),
            len,
            modified: None,
            etag: None,
            provisional: None,
            provenance: Provenance::Outpost { content_type: None },
        };
        let source = source_of(&md5);
        let head = Head { record, claims, source, access: Access::Object(md5), fields: None };
        Ok(Some((head, Body::Http(self.http.demanded(answer)))))
    }

    /// Its answer to one client, for a name or for an object.
    pub(crate) async fn forward(
        &self,
        question: &Question,
        method: Method,
        fields: HeaderMap,
    ) -> Result<Reply, AskError> {
        let path = match question.object {
            Some(md5) => self.path_of_object(&md5, &question.target),
            None => self.http.path_of(question.target.as_str()),
        };
        self.http.forward(&path, method, fields, None, None).await
    }

    /// See [`Http::relocate`].
    pub(crate) fn relocate(&self, location: &str, mount: &str) -> Option<String> {
        self.http.relocate(location, mount)
    }

    /// Where an object is asked for. The query says under which name it was seen; `/` is no file and stands for an unknown one.
    fn path_of_object(&self, md5: &Md5, target: &Target) -> String {
        match target.path() {
            "/" => format!("{OBJECTS}{md5}"),
            // What separates parameters must not stand in one.
            path => format!("{OBJECTS}{md5}?path={}", self.http.path_of(path).replace('&', "%26")),
        }
    }

    /// What it knows of a path; `None` if there is none.
    pub(crate) async fn info(&self, target: &Target) -> Result<Option<Info>, AskError> {
        let path = format!("{}{}", INFO.trim_end_matches('/'), self.http.path_of(target.path()));
        let answer = self.http.send(Method::GET, &path, HeaderMap::new()).await?;
        match answer.status() {
            StatusCode::OK => json(answer).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer).await),
            status => {
                Err(AskError::Invalid(format!("the upstream answered {status} when it was asked for information")))
            }
        }
    }

    /// The digests of an object's pieces; `None` if it does not know them, or has never heard of such.
    pub(crate) async fn pieces(&self, md5: &Md5) -> Result<Option<Pieces>, AskError> {
        let answer = self.http.send(Method::GET, &format!("{PIECES}{md5}"), HeaderMap::new()).await?;
        match answer.status() {
            StatusCode::OK => json_within(answer, PIECES_BYTES_MAX).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer).await),
            status => Err(AskError::Invalid(format!(
                "the upstream answered {status} when it was asked for the digests of pieces"
            ))),
        }
    }

    /// See [`Http::call`].
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        fields: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CallError> {
        self.http.call(method, path, fields, body).await
    }

    /// See [`Http::changes`].
    pub(crate) async fn changes(&self, query: &str, fields: HeaderMap) -> Result<Offer, AskError> {
        self.http.changes(query, fields).await
    }

    pub(crate) fn origins(&self) -> &Arc<Origins> {
        &self.http.origins
    }

    /// See [`Http::path_of`].
    pub(crate) fn path_of(&self, target: &str) -> String {
        self.http.path_of(target)
    }

    /// See [`Http::status`].
    pub(crate) fn status(&self) -> Vec<OriginStatus> {
        self.http.status()
    }

    async fn list(&self, path: &str, question: &Question) -> Result<Reply, AskError> {
        let mut fields = question.sent.clone();
        fields.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.http.send(Method::GET, path, fields).await?;
        match answer.status() {
            StatusCode::OK => {
                let listing: Listing = json(answer).await?;
                Ok(Reply::Listing(Listing { path: question.full.path().into(), ..listing }))
            }
            StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer).await),
            _ => Ok(Reply::Answer(Box::new(self.http.open(answer)))),
        }
    }

    pub(crate) async fn probe(&self) -> Result<(), AskError> {
        self.http.probe().await
    }
}

/// What stands for the bytes of a content, whichever server they come from.
pub(super) fn source_of(md5: &Md5) -> Bytes {
    [&b"md5\0"[..], &md5.0].concat().into()
}

/// By the digest where it is told, else by the upstream's tag.
fn is_unchanged(known: &Known, head: &Head) -> bool {
    if known.record.provenance == Provenance::Imported {
        return is_confirmed(&known.md5, &known.record, &head.record, &head.claims);
    }
    match head.claims.md5 {
        Some(md5) => md5 == known.md5,
        None => known.record.strong_etag().is_some() && known.record.strong_etag() == head.record.strong_etag(),
    }
}

fn leads_to_slash(answer: &Response<Incoming>) -> bool {
    answer.headers().get(header::LOCATION).is_some_and(|location| {
        let location = location.as_bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
        location.ends_with(b"/")
    })
}

/// A 503 with what it says.
async fn busy(answer: Response<Incoming>) -> AskError {
    let retry_after = retry_after(answer.headers());
    let problem = json::<Problem>(answer).await.unwrap_or_default();
    let known = [ProblemKind::MaxRequesters, ProblemKind::NotPreloaded];
    let kind = known.into_iter().find(|kind| problem.kind.ends_with(kind.name())).unwrap_or(ProblemKind::Overloaded);
    let detail = if problem.detail.is_empty() {
        format!("the upstream has no place left; ask again in {retry_after} s")
    } else {
        format!("the upstream says: {}", problem.detail)
    };
    AskError::Busy { retry_after, detail, kind }
}

async fn json<T: serde::de::DeserializeOwned>(answer: Response<Incoming>) -> Result<T, AskError> {
    json_within(answer, JSON_BYTES_MAX).await
}

async fn json_within<T: serde::de::DeserializeOwned>(
    answer: Response<Incoming>,
    bytes_max: usize,
) -> Result<T, AskError> {
    let invalid = |what: String| AskError::Invalid(format!("the upstream sent JSON that cannot be read: {what}"));
    let reading = Limited::new(answer.into_body(), bytes_max).collect();
    let body = match tokio::time::timeout(JSON_TIMEOUT, reading).await {
        Ok(body) => body.map_err(|error| invalid(error.to_string()))?.to_bytes(),
        Err(_) => {
            return Err(AskError::TimedOut(format!(
                "the upstream's answer did not end within {} s",
                JSON_TIMEOUT.as_secs()
            )));
        }
    };
    serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))
}

/// From the head of a JSON answer to its end.
const JSON_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
