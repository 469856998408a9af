//! A web server as an upstream: asking, revalidating, and getting the bytes from a position on, with every answer checked against what was
//! asked. RFC 9110 for ranges and conditions; what may be kept is for `names::storing` to say.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, ext::on_informational};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use protocol::{digest::Claims, timestamp};
use serve::{interim::InterimSender, upload::Upload};

use super::{
    Question,
    body::{Body, HttpPieces},
    connector::Connector,
    error::AskError,
    framing,
    heads::{
        Validators, announced_len, check_continuation, check_span, claims, header_value, if_range, is_chunked,
        is_strong_date,
    },
    metered::Meter,
    origins::{Base, Origins, Server},
    reply::{Access, Head, OpenAnswer, Reply, Wanted},
    sent::SentBody,
};
use crate::{
    fetch::urgency::Urgency,
    line::shared::Line,
    names::{
        book::Known,
        imported::is_confirmed,
        lifetime::Times,
        lines::Lines,
        record::{HttpMeta, Provenance, Record, provisional},
        renewal,
        storing::{self, Arrival, Judgement},
        vouched::Vouched,
    },
    options::UpstreamOptions,
    status::{Counters, OriginStatus, add},
};

/// Fields of an answer's head; more is an invalid answer.
const FIELDS_MAX: usize = 128;
/// Bytes of an answer's head, which is also how much of a body is read at once.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Idle connections that are kept, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_FOR: Duration = Duration::from_secs(20);

/// A web server, or several that have the same.
#[derive(Clone)]
pub(crate) struct Http {
    pub(super) origins: Arc<Origins>,
    client: Client<Connector, SentBody>,
    via: HeaderValue,
    connect_timeout: Duration,
    read_timeout: Duration,
    counters: Arc<Counters>,
    line: Arc<Line>,
}

impl Http {
    /// The first URL is the one that the upstream is known by; the paths of all are the same.
    pub(crate) fn new(
        urls: &[&str],
        options: &UpstreamOptions,
        via: &str,
        counters: &Arc<Counters>,
        line: &Arc<Line>,
        vouched: &Arc<Vouched>,
    ) -> io::Result<Self> {
        let bases = urls.iter().map(|url| Base::parse(url)).collect::<io::Result<Vec<_>>>()?;
        let origins = Arc::new(Origins::new(&options.name, bases, RandomState::new().hash_one(&options.name), vouched));
        let connector = Connector::new(options, line)?;
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
            origins,
            client,
            via,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            counters: counters.clone(),
            line: line.clone(),
        })
    }

    /// Another server, over the same connections' pool.
    pub(crate) fn at(&self, url: &str) -> io::Result<Self> {
        let (client, via) = (self.client.clone(), self.via.clone());
        let (counters, line) = (self.counters.clone(), self.line.clone());
        let origins = Arc::new(Origins::new(url, vec![Base::parse(url)?], 0, &Arc::default()));
        Ok(Self { origins, client, via, counters, line, ..*self })
    }

    /// The path of a name below the server's root.
    pub(crate) fn path_of(&self, target: &str) -> String {
        format!("{}{target}", self.origins.first().path)
    }

    /// One request up to the head of its answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        fields: HeaderMap,
    ) -> Result<Response<Incoming>, AskError> {
        self.send_with(method, path, fields, SentBody::none(), None).await
    }

    /// Likewise, for a client that waits for interim answers too.
    async fn send_for(
        &self,
        question: &Question,
        method: &Method,
        path: &str,
        fields: HeaderMap,
    ) -> Result<Response<Incoming>, AskError> {
        self.send_with(method.clone(), path, fields, SentBody::none(), question.interims.as_ref()).await
    }

    /// One request to one of the servers. While its body goes on, the time for the answer has not begun.
    pub(super) async fn send_to(
        &self,
        server: usize,
        method: &Method,
        path: &str,
        mut fields: HeaderMap,
        body: SentBody,
        interims: Option<&InterimSender>,
    ) -> Result<Response<Incoming>, AskError> {
        let base = self.origins.base(server);
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.append(header::VIA, self.via.clone());
        // The client's word for this server: the upstream has a name of its own.
        fields.remove(header::HOST);
        let progress = body.progress();
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = base.absolute(path)?;
        *request.headers_mut() = fields;
        if let Some(interims) = interims.cloned() {
            on_informational(&mut request, move |interim| {
                interims.send(interim.status(), Lines::of_interim(interim.headers()).as_bytes());
            });
        }
        add(&self.counters.upstream_requests, 1);
        // Bytes that are here and wait for their turn on the line are no silence.
        let connection = self.line.is_limited().then(|| capture_connection(&mut request));
        let is_held = || connection.as_ref().is_some_and(is_held);
        let limit = self.connect_timeout + self.read_timeout;
        let mut asking = pin!(self.client.request(request));
        loop {
            let before = progress.taken();
            match tokio::time::timeout(limit, &mut asking).await {
                Ok(answer) => {
                    let mut answer = answer.map_err(|error| AskError::of_request(base.authority.as_str(), &error))?;
                    framing::check(&answer)?;
                    answer.extensions_mut().insert(Server(server));
                    return Ok(answer);
                }
                Err(_) if progress.taken() > before || is_held() => {}
                Err(_) => {
                    return Err(AskError::TimedOut(format!(
                        "{} did not answer within {} s",
                        base.authority,
                        limit.as_secs_f32()
                    )));
                }
            }
        }
    }

    /// Which servers there are, and which is in use.
    pub(crate) fn status(&self) -> Vec<OriginStatus> {
        self.origins.status()
    }

    /// Asks for a name, under the validators of what is known of it.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        known: Option<&Known>,
        wants_bytes: bool,
    ) -> Result<Reply, AskError> {
        let path = self.path_of(question.target.as_str());
        let method = if wants_bytes { Method::GET } else { Method::HEAD };
        if let Some(known) = known.filter(|known| known.record.provenance == Provenance::Imported)
            && let Some(record) = self.confirm(question, &path, known).await?
        {
            return Ok(Reply::unchanged(record));
        }
        let asked = SystemTime::now();
        if let Some(record) = known.map(|known| &known.record).filter(|record| is_asked_after(record)) {
            let answer = self.send_for(question, &method, &path, conditional(&question.sent, record)).await?;
            let times = Times { asked, arrived: SystemTime::now() };
            let (sent, told, believed) = (&question.sent, answer.headers(), believed(question));
            let renewed = match answer.status() {
                StatusCode::NOT_MODIFIED => renewal::by_304(record, sent, told, times, believed),
                StatusCode::OK if method == Method::HEAD => {
                    renewal::by_head(record, sent, told, announced_len(&answer)?, times, believed)
                }
                _ => None,
            };
            match renewed {
                Some(renewed) => return Ok(Reply::unchanged(renewed)),
                None if answer.status() != StatusCode::NOT_MODIFIED => {
                    return self.judge(question, answer, &method, times);
                }
                // It speaks of another content than ours: ask without a condition.
                None => {}
            }
        }
        let asked = SystemTime::now();
        let answer = self.send_for(question, &method, &path, question.sent.clone()).await?;
        self.judge(question, answer, &method, Times { asked, arrived: SystemTime::now() })
    }

    /// Asks whether what came by another way is what is there: by a HEAD, for a 304 to a date alone would say nothing of the length, nor of the
    /// fields that are to be kept with it.
    async fn confirm(&self, question: &Question, path: &str, known: &Known) -> Result<Option<Record>, AskError> {
        let asked = SystemTime::now();
        let answer = self.send_for(question, &Method::HEAD, path, question.sent.clone()).await?;
        if answer.status() != StatusCode::OK {
            return Ok(None);
        }
        let times = Times { asked, arrived: SystemTime::now() };
        let Reply::File(head, _) = self.judge(question, answer, &Method::HEAD, times)? else { return Ok(None) };
        let is_plain = !head.fields.as_ref().is_some_and(|fields| fields.contains_key(header::CONTENT_ENCODING));
        let is_same = is_plain && is_confirmed(&known.md5, &known.record, &head.record, &head.claims);
        Ok(is_same.then_some(Record { len: known.record.len, provisional: None, ..head.record }))
    }

    /// An answer to a request that has no condition any more.
    fn judge(
        &self,
        question: &Question,
        answer: Response<Incoming>,
        method: &Method,
        times: Times,
    ) -> Result<Reply, AskError> {
        match answer.status() {
            StatusCode::NOT_MODIFIED => {
                Err(AskError::Invalid("the upstream answered 304 to a request without a condition".into()))
            }
            StatusCode::PARTIAL_CONTENT => {
                Err(AskError::Invalid("the upstream answered 206 to a request without a range".into()))
            }
            _ => self.arrived(question, answer, method, times),
        }
    }

    fn arrived(
        &self,
        question: &Question,
        answer: Response<Incoming>,
        method: &Method,
        times: Times,
    ) -> Result<Reply, AskError> {
        let (status, fields) = (answer.status(), answer.headers());
        // RFC 9110 section 15.3.5: there are no bytes, whatever is said of them.
        let len = if status == StatusCode::NO_CONTENT { Some(0) } else { announced_len(&answer)? };
        // Without a length and without chunks the end of the bytes is the end of the connection, and a cut looks the same.
        let is_delimited = len.is_some() || is_chunked(&answer) || *method == Method::HEAD;
        let claims = claims(fields);
        let (believed, modified) = (believed(question), Validators::of(fields).modified);
        let judgement = storing::judge(&Arrival { sent: &question.sent, status, fields, times, believed, modified });
        let (meta, is_kept) = match judgement {
            Judgement::Keep(meta) if is_delimited || !claims.is_empty() => (meta, true),
            Judgement::Share(meta) if is_delimited => (meta, false),
            Judgement::Keep(_) | Judgement::Share(_) | Judgement::Pass => {
                return Ok(Reply::Answer(Box::new(self.open(answer))));
            }
        };
        let head = self.head(&question.key, fields, len, claims, meta);
        let head = Box::new(Head { fields: Some(fields.clone()), ..head });
        let body = (*method == Method::GET).then(|| Body::Http(self.pieces(answer, 0, &question.urgency)));
        Ok(if is_kept { Reply::File(head, body) } else { Reply::ForAll(head, body) })
    }

    fn head(&self, key: &[u8], fields: &HeaderMap, len: Option<u64>, claims: Claims, meta: HttpMeta) -> Head {
        let validators = Validators::of(fields);
        let modified_text = fields.get(header::LAST_MODIFIED).map_or(&b""[..], HeaderValue::as_bytes);
        let is_date_strong = validators.modified.is_some_and(|modified| is_strong_date(modified, meta.date));
        // Where the date cannot tell two versions apart, each arrival has a tag of its own.
        let arrival = if is_date_strong { String::new() } else { format!("{:?}", SystemTime::now()) };
        let version = [modified_text, format!(" {len:?} {arrival}").as_bytes()].concat();
        let source = match (validators.strong(), len) {
            // Of another status than 200 no part can be asked for.
            _ if !meta.is_whole_content() => Bytes::new(),
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
                provenance: Provenance::Http(meta),
            },
            claims,
            source,
            access: Access::Name,
            fields: None,
        }
    }

    /// Bytes of a head, and of no other version.
    pub(crate) async fn bytes(&self, question: &Question, head: &Head, wanted: Wanted) -> Result<HttpPieces, AskError> {
        let path = self.path_of(question.target.as_str());
        let answer = self.ask_for_bytes(&path, question.sent.clone(), head, wanted).await?;
        self.continuation(answer, head, wanted, &question.urgency)
    }

    /// Asks for bytes, if they are still those of the head.
    pub(crate) async fn ask_for_bytes(
        &self,
        path: &str,
        mut fields: HeaderMap,
        head: &Head,
        wanted: Wanted,
    ) -> Result<Response<Incoming>, AskError> {
        let range = match wanted {
            Wanted::From(0) => None,
            Wanted::From(position) => Some(format!("bytes={position}-")),
            Wanted::Span(span) => Some(format!("bytes={}-{}", span.start, span.end.saturating_sub(1))),
        };
        if let Some(range) = range {
            fields.insert(header::RANGE, header_value(&range));
            if let Some(validator) = if_range(head) {
                fields.insert(header::IF_RANGE, validator);
            }
        }
        self.send(Method::GET, path, fields).await
    }

    /// The bytes of such an answer, once it is checked.
    pub(crate) fn continuation(
        &self,
        answer: Response<Incoming>,
        head: &Head,
        wanted: Wanted,
        urgency: &Arc<Urgency>,
    ) -> Result<HttpPieces, AskError> {
        let skip = match wanted {
            Wanted::From(position) => check_continuation(&answer, head, position)?,
            Wanted::Span(span) => check_span(&answer, head, span).map(|()| 0)?,
        };
        Ok(self.pieces(answer, skip, urgency))
    }

    /// The body of an answer, all but the first `skip` bytes. For whom it comes, `urgency` says.
    pub(crate) fn pieces(&self, answer: Response<Incoming>, skip: u64, urgency: &Arc<Urgency>) -> HttpPieces {
        let (parts, body) = answer.into_parts();
        self.carried(&parts.extensions, body, skip, urgency)
    }

    fn carried(&self, known: &Extensions, body: Incoming, skip: u64, urgency: &Arc<Urgency>) -> HttpPieces {
        let carried = known.get::<Meter>().map(|meter| meter.carry(urgency));
        let server = known.get::<Server>().map(|server| (self.origins.clone(), *server));
        HttpPieces::new(body, skip, self.read_timeout, self.counters.clone(), carried, server)
    }

    /// The body of an answer that a client waits for.
    pub(crate) fn demanded(&self, answer: Response<Incoming>) -> HttpPieces {
        self.pieces(answer, 0, self.line.demand())
    }

    /// A request whose answer is handed through.
    pub(crate) async fn forward(
        &self,
        path: &str,
        method: Method,
        fields: HeaderMap,
        upload: Option<Upload>,
        interims: Option<&InterimSender>,
    ) -> Result<Reply, AskError> {
        let answer = self.send_with(method, path, fields, SentBody::of(upload), interims).await?;
        Ok(Reply::Answer(Box::new(self.open(answer))))
    }

    /// An answer as it is, to be handed through.
    pub(crate) fn open(&self, answer: Response<Incoming>) -> OpenAnswer {
        let len = announced_len(&answer).ok().flatten();
        let (parts, body) = answer.into_parts();
        let body = Body::Http(self.carried(&parts.extensions, body, 0, self.line.demand()));
        OpenAnswer { status: parts.status, fields: parts.headers, len, body }
    }

    /// Whether it answers at all, whatever it says.
    pub(crate) async fn probe(&self) -> Result<(), AskError> {
        self.send(Method::HEAD, &self.path_of("/"), HeaderMap::new()).await.map(|_| ())
    }

    /// A `Location` of the server's as seen through our mount; others stay as they are. Of a server that is mounted nowhere nothing is seen here, and a
    /// path is one of its own.
    pub(crate) fn relocate(&self, location: &str, mount: &str) -> Option<String> {
        if mount.is_empty() {
            let is_path = location.starts_with('/') && !location.starts_with("//");
            return is_path.then(|| format!("{}{location}", self.origins.first().server()));
        }
        let path = self.origins.all().iter().find_map(|base| location.strip_prefix(&base.server())).unwrap_or(location);
        let is_ours = path.starts_with('/') && !path.starts_with("//");
        let base = &*self.origins.first().path;
        let rest = path.strip_prefix(base).filter(|rest| is_ours && rest.starts_with('/'))?;
        Some(format!("{}{rest}", mount.trim_end_matches('/')))
    }
}

/// Whether bytes of an answer may be here that wait for their turn.
fn is_held(connection: &CaptureConnection) -> bool {
    let mut known = Extensions::new();
    if let Some(connected) = connection.connection_metadata().as_ref() {
        connected.get_extras(&mut known);
    }
    known.get::<Meter>().is_some_and(Meter::is_held)
}

/// For how long an answer is fresh that says nothing of it. A query is taken for a question whose answer may differ every time.
fn believed(question: &Question) -> Duration {
    match question.target.query() {
        None => question.upstream.options.recheck,
        Some(_) => Duration::ZERO,
    }
}

/// Conditions are for answers that tell of success (RFC 9110 section 13.2.1).
fn is_asked_after(record: &Record) -> bool {
    record.http().is_some_and(|meta| (200..300).contains(&meta.status))
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
