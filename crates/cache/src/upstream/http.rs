//! A web server as an upstream: asking, revalidating, and getting the bytes from a position on, with every answer checked against what was
//! asked. RFC 9110 for ranges and conditions; what may be kept is for `freshness` to say.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use protocol::{digest::Claims, etag::ETag, problem::Kind as ProblemKind, range::parse_content_range, timestamp};

use super::{AskError, Body, Grip, Head, Question, Told, connector::Connector};
use crate::{
    book::Known,
    freshness,
    options::UpstreamOptions,
    pass::Opened,
    record::{HttpMeta, Origin, Record, provisional, seconds},
    status::{Counters, add},
};

/// Fields of an answer's head; more is an invalid answer.
const FIELDS_MAX: usize = 128;
/// Bytes of an answer's head, which is also how much of a body is read at once.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Idle connections that are kept, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Seconds, where an upstream asks for patience without saying how much.
const RETRY_AFTER_DEFAULT: u64 = 10;
/// A `Last-Modified` younger than this by the server's own clock does not tell versions apart (RFC 9110 section 8.8.2.2).
const STRONG_DATE_AGE: u64 = 60;

/// A web server.
pub(crate) struct Http {
    base: Base,
    client: Client<Connector, Empty<Bytes>>,
    via: HeaderValue,
    connect_timeout: Duration,
    read_timeout: Duration,
    counters: Arc<Counters>,
}

/// The configured URL in its parts; the path has no `/` at its end.
#[derive(Clone, Debug)]
struct Base {
    scheme: http::uri::Scheme,
    authority: http::uri::Authority,
    path: Box<str>,
}

impl Base {
    fn parse(url: &str) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let uri: Uri = url.parse().map_err(|error| invalid(format!("the upstream URL {url} is not valid: {error}")))?;
        let parts = uri.into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) => {
                let path = parts.path_and_query.as_ref().map_or("", |path| path.path());
                Ok(Self { scheme, authority, path: path.trim_end_matches('/').into() })
            }
            _ => Err(invalid(format!("the upstream URL {url} names no host"))),
        }
    }

    /// A path and query of the server itself.
    fn absolute(&self, path: &str) -> Result<Uri, AskError> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| AskError::Invalid(format!("the name cannot be asked for: {error}")))
    }
}

impl Http {
    pub(crate) fn new(url: &str, options: &UpstreamOptions, via: &str, counters: &Arc<Counters>) -> io::Result<Self> {
        let base = Base::parse(url)?;
        let connector = Connector::new(base.scheme == http::uri::Scheme::HTTPS, options.connect_timeout)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_headers(FIELDS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        let via = HeaderValue::from_str(&format!("1.1 {via}")).unwrap_or(HeaderValue::from_static("1.1 outpost"));
        Ok(Self {
            base,
            client,
            via,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            counters: counters.clone(),
        })
    }

    /// The path of a name below the server's root.
    pub(crate) fn path_of(&self, target: &str) -> String {
        format!("{}{target}", self.base.path)
    }

    /// One request up to the head of its answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        mut fields: HeaderMap,
    ) -> Result<Response<Incoming>, AskError> {
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.insert(header::VIA, self.via.clone());
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = self.base.absolute(path)?;
        *request.headers_mut() = fields;
        add(&self.counters.upstream_requests, 1);
        let limit = self.connect_timeout + self.read_timeout;
        let answer = match tokio::time::timeout(limit, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| explain(&self.base, &error)),
            Err(_) => Err(AskError::TimedOut(format!(
                "{} did not answer within {} s",
                self.base.authority,
                limit.as_secs_f32()
            ))),
        };
        if answer.is_err() {
            add(&self.counters.upstream_errors, 1);
        }
        answer
    }

    /// Asks for a name, under the validators of what is known of it.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        known: Option<&Known>,
        wants_bytes: bool,
    ) -> Result<Told, AskError> {
        let path = self.path_of(question.target.as_str());
        let method = if wants_bytes || known.is_some() { Method::GET } else { Method::HEAD };
        if let Some(Known { record, .. }) = known {
            let fields = conditional(&question.sent, record);
            let answer = self.send(method.clone(), &path, fields).await?;
            if answer.status() != StatusCode::NOT_MODIFIED {
                return self.judge(question, answer, &method);
            }
            if let Some(renewed) =
                freshness::renew(record, &question.sent, answer.headers(), std::time::SystemTime::now())
            {
                return Ok(Told::Unchanged(renewed));
            }
            // It speaks of another content than ours: ask without a condition.
        }
        let answer = self.send(method.clone(), &path, question.sent.clone()).await?;
        self.judge(question, answer, &method)
    }

    fn judge(&self, question: &Question, answer: Response<Incoming>, method: &Method) -> Result<Told, AskError> {
        match answer.status() {
            StatusCode::NOT_MODIFIED => {
                Err(AskError::Invalid("it answered 304 to a request without a condition".into()))
            }
            StatusCode::PARTIAL_CONTENT => {
                Err(AskError::Invalid("it answered 206 to a request without a range".into()))
            }
            StatusCode::OK => self.file(question, answer, method),
            _ => Ok(Told::Answer(Box::new(self.open(answer)))),
        }
    }

    fn file(&self, question: &Question, answer: Response<Incoming>, method: &Method) -> Result<Told, AskError> {
        let fields = answer.headers();
        let len = announced_len(&answer)?;
        // Without a length and without chunks the end of the bytes is the end of the connection, and a cut looks the same.
        let is_delimited = len.is_some() || is_chunked(&answer) || *method == Method::HEAD;
        let claims = claims(fields);
        let now = std::time::SystemTime::now();
        let meta = freshness::judge(&question.sent, fields, now);
        let Some(meta) = meta.filter(|_| is_delimited || !claims.is_empty()) else {
            return Ok(Told::Answer(Box::new(self.open(answer))));
        };
        let head = self.head(&question.key, fields, len, claims, meta);
        let fields = fields.clone();
        let body = (*method == Method::GET).then(|| Body::Http(self.pieces(answer.into_body(), 0)));
        Ok(Told::File(Box::new(Head { fields: Some(fields), ..head }), body))
    }

    fn head(&self, key: &[u8], fields: &HeaderMap, len: Option<u64>, claims: Claims, meta: HttpMeta) -> Head {
        let validators = Validators::of(fields);
        let modified_text = fields.get(header::LAST_MODIFIED).map_or(&b""[..], HeaderValue::as_bytes);
        let date = validators.modified.map(seconds);
        let is_date_strong = date.is_some_and(|date| date + STRONG_DATE_AGE <= meta.date);
        // Where the date cannot tell two versions apart, each arrival has a tag of its own.
        let arrival = if is_date_strong { String::new() } else { format!("{:?}", std::time::SystemTime::now()) };
        let version = [modified_text, format!(" {len:?} {arrival}").as_bytes()].concat();
        let source = match (validators.strong(), len) {
            (Some(etag), _) => [key, b"\0e", etag.as_str().as_bytes()].concat().into(),
            (None, Some(_)) if is_date_strong => [key, b"\0m", &version].concat().into(),
            _ => Bytes::new(),
        };
        let provisional = validators.strong().is_none().then(|| provisional(key, &version));
        Head {
            record: Record {
                checked: meta.arrived,
                len,
                modified: validators.modified,
                etag: validators.etag,
                provisional,
                origin: Origin::Http(meta),
            },
            claims,
            source,
            grip: Grip::Name,
            fields: None,
        }
    }

    /// The bytes of a head from a position on, and of no other version.
    pub(crate) async fn bytes(&self, question: &Question, head: &Head, position: u64) -> Result<Pieces, AskError> {
        let path = self.path_of(question.target.as_str());
        self.bytes_at(&path, question.sent.clone(), head, position).await
    }

    pub(crate) async fn bytes_at(
        &self,
        path: &str,
        mut fields: HeaderMap,
        head: &Head,
        position: u64,
    ) -> Result<Pieces, AskError> {
        if position > 0 {
            fields.insert(header::RANGE, header_value(&format!("bytes={position}-")));
            if let Some(validator) = if_range(&head.record) {
                fields.insert(header::IF_RANGE, validator);
            }
        }
        let answer = self.send(Method::GET, path, fields).await?;
        let skip = check_continuation(&answer, head, position)?;
        Ok(self.pieces(answer.into_body(), skip))
    }

    pub(crate) fn pieces(&self, body: Incoming, skip: u64) -> Pieces {
        Pieces { body, skip, timeout: self.read_timeout, counters: self.counters.clone() }
    }

    /// An answer as it is, to be handed through.
    pub(crate) fn open(&self, answer: Response<Incoming>) -> Opened {
        let len = announced_len(&answer).ok().flatten();
        let (parts, body) = answer.into_parts();
        Opened { status: parts.status, fields: parts.headers, len, body: Body::Http(self.pieces(body, 0)) }
    }

    /// Whether it answers at all, whatever it says.
    pub(crate) async fn probe(&self) -> Result<(), AskError> {
        self.send(Method::HEAD, &self.path_of("/"), HeaderMap::new()).await.map(|_| ())
    }

    /// A `Location` of the server's as seen through our mount; others stay as they are.
    pub(crate) fn relocate(&self, location: &str, mount: &str) -> Option<String> {
        let server = format!("{}://{}", self.base.scheme, self.base.authority);
        let path = location.strip_prefix(&server).unwrap_or(location);
        let is_ours = path.starts_with('/') && !path.starts_with("//");
        let rest = path.strip_prefix(&*self.base.path).filter(|rest| is_ours && rest.starts_with('/'))?;
        Some(format!("{}{rest}", mount.trim_end_matches('/')))
    }
}

/// The bytes of an answer.
pub(crate) struct Pieces {
    body: Incoming,
    skip: u64,
    timeout: Duration,
    counters: Arc<Counters>,
}

impl Pieces {
    /// The next piece; `None` at the end that the framing tells. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        loop {
            let frame = match tokio::time::timeout(self.timeout, self.body.frame()).await {
                Ok(None) if self.skip > 0 => {
                    return Err(AskError::Changed("the file became shorter while it was fetched".into()));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(explain_body(&error)),
                Err(_) => {
                    let waited = self.timeout.as_secs_f32();
                    return Err(AskError::TimedOut(format!("no byte came for {waited} s")));
                }
            };
            // Trailers are nothing that we hand on.
            let Ok(mut piece) = frame.into_data() else { continue };
            add(&self.counters.upstream_bytes, piece.len() as u64);
            let skipped = self.skip.min(piece.len() as u64);
            self.skip -= skipped;
            let piece = piece.split_off(skipped as usize);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}

/// The validators of an answer.
pub(crate) struct Validators {
    pub(crate) etag: Option<ETag>,
    pub(crate) modified: Option<std::time::SystemTime>,
}

impl Validators {
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        Self {
            etag: fields.get(header::ETAG).and_then(|etag| ETag::parse(etag.as_bytes())),
            modified: fields
                .get(header::LAST_MODIFIED)
                .and_then(|modified| timestamp::parse_http_date(modified.as_bytes())),
        }
    }

    fn strong(&self) -> Option<&ETag> {
        self.etag.as_ref().filter(|etag| !etag.is_weak())
    }
}

/// What an answer claims of its bytes.
pub(crate) fn claims(fields: &HeaderMap) -> Claims {
    let field = |name: &str| fields.get(name).map(HeaderValue::as_bytes);
    Claims::from_fields(field("repr-digest"), field("digest"), field("content-md5"))
}

/// `Retry-After` in seconds; a default where it is missing or a date.
pub(crate) fn retry_after(fields: &HeaderMap) -> u64 {
    let field = fields.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    field.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(RETRY_AFTER_DEFAULT)
}

fn conditional(sent: &HeaderMap, record: &Record) -> HeaderMap {
    let mut fields = sent.clone();
    if let Some(etag) = &record.etag {
        fields.insert(header::IF_NONE_MATCH, header_value(etag.as_str()));
    }
    if let Some(modified) = record.modified {
        fields.insert(header::IF_MODIFIED_SINCE, header_value(&timestamp::http_date(modified)));
    }
    fields
}

/// RFC 9110 section 13.1.5: a weak tag is no validator for a range.
fn if_range(record: &Record) -> Option<HeaderValue> {
    match (record.strong_etag(), record.modified) {
        (Some(etag), _) => Some(header_value(etag.as_str())),
        (None, Some(modified)) => Some(header_value(&timestamp::http_date(modified))),
        (None, None) => None,
    }
}

/// Checks that an answer continues what was begun. Answers how many bytes come first that are here already.
fn check_continuation(answer: &Response<Incoming>, head: &Head, position: u64) -> Result<u64, AskError> {
    let changed = |what: &str| Err(has_changed(what));
    let fields = answer.headers();
    match answer.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let detail = format!("the upstream answered {}", answer.status());
            let kind = ProblemKind::Overloaded;
            return Err(AskError::Busy { retry_after: retry_after(fields), detail, kind });
        }
        status if status.is_server_error() => {
            return Err(AskError::Unreachable(format!("the upstream answered {status} when it was asked to continue")));
        }
        status => return changed(&format!("it answered {status} when it was asked to continue")),
    }
    check_validators(fields, head, position).map_err(|what| has_changed(&what))?;
    if answer.status() == StatusCode::OK {
        let len = announced_len(answer)?;
        if len.is_some() && head.record.len.is_some() && len != head.record.len {
            return changed("it has another length");
        }
        return Ok(position);
    }
    let field = fields.get(header::CONTENT_RANGE).map_or(&b""[..], HeaderValue::as_bytes);
    match parse_content_range(field) {
        Some((span, total)) if span.start == position => match (total, head.record.len) {
            (Some(total), Some(len)) if total != len => changed("it has another length"),
            _ if position == 0 => Err(AskError::Invalid("it answered 206 to a request without a range".into())),
            _ => Ok(0),
        },
        _ => Err(AskError::Invalid("its Content-Range is not what was asked for".into())),
    }
}

fn has_changed(what: &str) -> AskError {
    AskError::Changed(format!("the file changed upstream while it was fetched: {what}"))
}

/// Equal strong tags, or where there is none equal dates that are strong (RFC 9110 section 8.8.2.2). What has neither can be begun again, but
/// not continued.
fn check_validators(fields: &HeaderMap, head: &Head, position: u64) -> Result<(), String> {
    if let Grip::Object(md5) = head.grip {
        let is_other = claims(fields).md5.is_some_and(|claimed| claimed != md5);
        return if is_other { Err("it has another digest".into()) } else { Ok(()) };
    }
    let record = &head.record;
    let found = Validators::of(fields);
    if found.etag != record.etag {
        return Err("it has another ETag".into());
    }
    if record.strong_etag().is_some() {
        return Ok(());
    }
    if found.modified != record.modified {
        return Err("it has another Last-Modified".into());
    }
    if position > 0 && !is_date_strong(record) {
        return Err("it has no strong ETag and no old Last-Modified, so it cannot be continued".into());
    }
    Ok(())
}

fn is_date_strong(record: &Record) -> bool {
    let Origin::Http(meta) = &record.origin else { return false };
    record.modified.is_some_and(|modified| seconds(modified) + STRONG_DATE_AGE <= meta.date)
}

fn header_value(text: &str) -> HeaderValue {
    // Tags and dates are visible ASCII by construction.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// `Content-Length`, with several that disagree refused. hyper has checked those of messages with a body.
fn announced_len(answer: &Response<Incoming>) -> Result<Option<u64>, AskError> {
    if is_chunked(answer) {
        return Ok(None);
    }
    let mut values = answer.headers().get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(answer.body().size_hint().exact().filter(|len| *len > 0)) };
    let text = first.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(len) if is_number && values.all(|value| value == first) => Ok(Some(len)),
        _ => Err(AskError::Invalid(format!("its Content-Length '{text}' is not a length"))),
    }
}

fn is_chunked(answer: &Response<Incoming>) -> bool {
    answer.version() != Version::HTTP_10 && answer.headers().contains_key(header::TRANSFER_ENCODING)
}

fn explain(base: &Base, error: &hyper_util::client::legacy::Error) -> AskError {
    let text = with_causes(error);
    let timed_out = causes(error)
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut));
    let of_hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    match of_hyper {
        Some(error) if error.is_parse() => {
            AskError::Invalid(format!("{} sent something that is not HTTP: {text}", base.authority))
        }
        _ if timed_out => AskError::TimedOut(format!("{} does not answer: {text}", base.authority)),
        _ if error.is_connect() => AskError::Unreachable(format!("cannot connect to {}: {text}", base.authority)),
        _ => AskError::Unreachable(format!("the connection to {} broke: {text}", base.authority)),
    }
}

fn explain_body(error: &hyper::Error) -> AskError {
    let text = with_causes(error);
    let is_framing = causes(error).any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    });
    if error.is_parse() || is_framing {
        return AskError::Invalid(format!("its body is framed wrongly: {text}"));
    }
    AskError::Unreachable(format!("the connection broke: {text}"))
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
