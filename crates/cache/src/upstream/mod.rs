//! Where the bytes come from: the closed set of upstream kinds. Outbound connections open here and nowhere else.
//!
//! [`directory`], [`http`] and [`outpost`] are the kinds: each says what stands at a name ([`reply`]) and gives its bytes ([`body`]), or says what
//! went wrong ([`error`]). [`listed`] is what a folder holds, [`page`] and [`autoindex`] read the page that a web server makes of one. [`framing`] and [`heads`] check what an HTTP answer's head says, [`connector`] connects, over TLS as [`trust`] says, [`metered`] counts what comes, [`health`] is the breaker. [`origins`] are the servers of one upstream, [`failover`] asks the next when one fails, [`call`] is what the program says to them, [`route`] from where, [`stream`] what they tell. A new kind is a
//! variant of [`Kind`], a file beside these, and an arm in each `match` below.

pub(crate) mod autoindex;
pub(crate) mod body;
mod call;
mod connector;
mod directory;
pub(crate) mod error;
mod failover;
pub(crate) mod framing;
pub(crate) mod heads;
pub(crate) mod health;
mod http;
pub(crate) mod listed;
mod metered;
pub(crate) mod origins;
mod outpost;
mod page;
pub(crate) mod reply;
pub(crate) mod route;
mod sent;
pub(crate) mod stream;
pub(crate) mod trust;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use ::http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION};
use bytes::Bytes;
use protocol::{
    digest::{Digests, Md5},
    info::Info,
    pieces::Pieces,
    problem::Kind as ProblemKind,
    target::Target,
};
use serve::{interim::InterimSender, upload::Upload};
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use self::{
    body::Body,
    directory::Directory,
    error::{AskError, CallError},
    health::Health,
    http::Http,
    listed::Folder,
    origins::Origins,
    outpost::Outpost,
    reply::{Access, Head, Reply, Wanted},
    stream::Offer,
};
use crate::{
    failure::Failure,
    fetch::urgency::{Class, Urgency},
    line::{shared::Line, turn::Turns},
    names::{book::Known, control::Control, told::Told, vouched::Vouched},
    options::{Location, UpstreamOptions},
    status::{Counters, UpstreamStatus},
};

/// The key of a name; on the stack for names of common lengths, so that a hit does not allocate for it.
pub(crate) type Key = SmallVec<[u8; 192]>;

/// One configured upstream.
pub(crate) struct Upstream {
    pub(crate) options: UpstreamOptions,
    kind: Kind,
    pub(crate) health: Health,
    pub(crate) line: Arc<Line>,
    /// What it tells by itself is to be believed of.
    pub(crate) vouched: Arc<Vouched>,
    /// Cancelled when the options in force have another one in its place.
    pub(crate) left: CancellationToken,
    is_followed: AtomicBool,
    /// What the keys of its names begin with.
    scope: Box<[u8]>,
    /// Of the files that its options name.
    contents: Md5,
}

/// The kinds there are.
enum Kind {
    Directory(Directory),
    Http(Http),
    Outpost(Outpost),
}

/// What is asked: one name of one upstream.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) upstream: Arc<Upstream>,
    /// As the client wrote it, in canonical spelling.
    pub(crate) full: Target,
    /// Below the mount.
    pub(crate) target: Target,
    /// The key of the name.
    pub(crate) name: Arc<[u8]>,
    /// The key at which what answers this is kept and coalesced: that of the name, or of one of its variants.
    pub(crate) key: Arc<[u8]>,
    /// The client's fields that may go upstream.
    pub(crate) sent: HeaderMap,
    /// What the client says of caching.
    pub(crate) control: Control,
    /// For whom it is asked, which is also that of the flight that it begins.
    pub(crate) urgency: Arc<Urgency>,
    /// No client asks it, whoever may join.
    pub(crate) is_preload: bool,
    /// Where interim answers go that come before the answer, if the client waits for them.
    pub(crate) interims: Option<InterimSender>,
    /// The digest, where an object is asked for and not a name.
    pub(crate) object: Option<Md5>,
}

impl Question {
    /// Of a name, by its key.
    pub(crate) fn of_name(upstream: Arc<Upstream>, full: Target, target: Target, name: &[u8], sent: HeaderMap) -> Self {
        let name: Arc<[u8]> = name.into();
        Self {
            upstream,
            full,
            target,
            key: name.clone(),
            name,
            sent,
            control: Control::default(),
            urgency: Arc::new(Urgency::new(Class::Demand)),
            is_preload: false,
            interims: None,
            object: None,
        }
    }

    /// As the client wants it.
    pub(crate) fn controlled(self, control: Control) -> Self {
        Self { control, ..self }
    }

    /// For nobody yet; as urgent as preloading is now.
    pub(crate) fn for_preload(self, class: Class) -> Self {
        Self { urgency: Arc::new(Urgency::new(class)), is_preload: true, ..self }
    }

    /// Of the variant that is kept at a key.
    pub(crate) fn at(self, key: &[u8]) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Whether an answer to this may be for this client alone, whatever others get: it says who it is, or that nothing is to be kept.
    pub(crate) fn is_personal(&self) -> bool {
        self.sent.contains_key(AUTHORIZATION) || self.control.no_store
    }

    /// With a client that waits for interim answers too.
    pub(crate) fn preceded(self, interims: InterimSender) -> Self {
        Self { interims: Some(interims), ..self }
    }

    /// A `Location` as seen from here, where it is another.
    pub(crate) fn relocate(&self, location: &str) -> Option<String> {
        self.upstream.relocate(location)
    }

    /// Of an object by its digest. No name has such a key.
    pub(crate) fn of_object(upstream: Arc<Upstream>, full: Target, target: Target, md5: Md5) -> Self {
        let key = [b"\0object\0", upstream.options.name.as_bytes(), b"\0", &md5.0[..]].concat();
        Self { object: Some(md5), ..Self::of_name(upstream, full, target, &key, HeaderMap::new()) }
    }

    /// Whether it may cross the line: where files come only beforehand, nothing does that a client asks.
    pub(crate) fn may_ask(&self) -> bool {
        self.upstream.options.mode.asks_for_clients() || self.is_preload
    }

    /// What clients see of a file that the upstream does not have.
    pub(crate) fn not_found(&self) -> Failure {
        let (path, name) = (self.full.path(), &self.upstream.options.name);
        let detail = format!(
            "there is no file {path} at the upstream '{name}'; check its spelling, upper and lower case included"
        );
        Failure::new(ProblemKind::NotFound, detail)
    }

    /// What clients see while the upstream is not asked, for it did not answer.
    pub(crate) fn unreachable(&self) -> Failure {
        let error = self.upstream.health.last_error().unwrap_or_else(|| "it does not answer".into());
        self.failure(&AskError::Unreachable(error))
    }

    /// What clients see of an error when there is nothing else to serve.
    pub(crate) fn failure(&self, error: &AskError) -> Failure {
        error.to_failure(self.full.path(), &self.upstream.options.name)
    }
}

/// The upstream's name, and eight bytes that stand for where it is: an operator who points a name at another server must not be given what
/// the old one said, however fresh it was.
pub(crate) fn scope(options: &UpstreamOptions) -> Box<[u8]> {
    let Md5(place) = Md5::of(options.location.to_string().as_bytes());
    [options.name.as_bytes(), b"\0", &place[..8]].concat().into()
}

/// Of all its servers.
fn urls<'a>(first: &'a str, options: &'a UpstreamOptions) -> Vec<&'a str> {
    let url = |location: &'a Location| match location {
        Location::Directory(_) => None,
        Location::Http(url) | Location::Outpost(url) => Some(url.as_str()),
    };
    std::iter::once(first).chain(options.origins.iter().filter_map(url)).collect()
}

impl Upstream {
    /// Prepares it, with a line of its own. A directory is opened; a web server is not asked yet.
    pub(crate) fn new(options: UpstreamOptions, via: &str, counters: &Arc<Counters>) -> io::Result<Self> {
        let line = Arc::new(Line::new(options.line.clone()));
        Self::over(options, via, counters, line)
    }

    /// Likewise, over a line that may be in use.
    pub(crate) fn over(
        options: UpstreamOptions,
        via: &str,
        counters: &Arc<Counters>,
        line: Arc<Line>,
    ) -> io::Result<Self> {
        let vouched = Arc::default();
        let kind = match &options.location {
            Location::Directory(path) => {
                let opened = Directory::open(path.clone(), options.read_timeout);
                Kind::Directory(opened.map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot open the directory {}: {error}", path.display()))
                })?)
            }
            Location::Http(url) => {
                Kind::Http(Http::new(&urls(url, &options), &options, via, counters, &line, &vouched)?)
            }
            Location::Outpost(url) => {
                let http = Http::new(&urls(url, &options), &options, via, counters, &line, &vouched)?;
                Kind::Outpost(Outpost::new(http))
            }
        };
        let (scope, contents) = (scope(&options), trust::contents(&options));
        Ok(Self::with(options, kind, line, vouched, scope, contents))
    }

    fn with(
        options: UpstreamOptions,
        kind: Kind,
        line: Arc<Line>,
        vouched: Arc<Vouched>,
        scope: Box<[u8]>,
        contents: Md5,
    ) -> Self {
        let (health, left, is_followed) = (Health::default(), CancellationToken::new(), AtomicBool::new(false));
        Self { options, kind, health, line, vouched, left, is_followed, scope, contents }
    }

    /// Whether it is what these options stand for, with the files that they name as they are now. Its line is told by itself what changes.
    pub(crate) fn is(&self, options: &UpstreamOptions) -> bool {
        let line = self.options.line.clone();
        self.options == UpstreamOptions { line, ..options.clone() } && self.contents == trust::contents(options)
    }

    /// Another web server, asked over the connections of this one; its location must be of the same scheme.
    pub(crate) fn at(&self, options: UpstreamOptions) -> io::Result<Self> {
        let kind = match (&self.kind, &options.location) {
            (Kind::Http(http), Location::Http(url)) => Kind::Http(http.at(url)?),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let (scope, contents, line) = (scope(&options), self.contents, self.line.clone());
        Ok(Self::with(options, kind, line, Arc::default(), scope, contents))
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// The key under which a name is kept. A directory knows no queries: its files have one name each.
    pub(crate) fn key(&self, target: &Target) -> Key {
        let key = |name: &str| {
            let mut key = Key::from_slice(&self.scope);
            key.extend_from_slice(name.as_bytes());
            key
        };
        match (self.is_directory(), target.path()) {
            (false, _) => key(target.as_str()),
            (true, path) if !path.contains("//") => key(path),
            (true, path) => {
                key(target.decode().map(|path| Target::from_file_path(&path)).as_ref().map_or(path, Target::path))
            }
        }
    }

    /// The name below the mount of such a key; `None` for keys of variants and of other upstreams.
    pub(crate) fn name_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let name = std::str::from_utf8(key.strip_prefix(&*self.scope)?).ok()?;
        (name.starts_with('/') && !name.contains('\0')).then_some(name)
    }

    /// Asks about a name: whether `known` still holds, else what is there. Without `wants_bytes` a description is enough.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        known: Option<&Known>,
        wants_bytes: bool,
    ) -> Result<Reply, AskError> {
        match &self.kind {
            Kind::Directory(directory) => directory.ask(question, known).await,
            Kind::Http(http) => http.ask(question, known, wants_bytes).await,
            Kind::Outpost(outpost) => outpost.ask(question, known, wants_bytes).await,
        }
    }

    /// What a folder holds: of a question about its name.
    pub(crate) async fn list(&self, question: &Question) -> Result<Folder, AskError> {
        let reply = match &self.kind {
            Kind::Http(http) => return http.list(question).await,
            Kind::Directory(directory) => directory.ask(question, None).await?,
            Kind::Outpost(outpost) => outpost.ask(question, None, false).await?,
        };
        Ok(match reply {
            Reply::Listing(listing) => Folder::Entries(listed::of_listing(&question.target, listing)),
            Reply::No(failure) => Folder::No(failure.detail().into()),
            Reply::Answer(opened) if opened.status == StatusCode::NOT_FOUND => Folder::No(page::NOT_THERE.into()),
            Reply::Answer(opened) => {
                Folder::No(format!("the upstream answers {} where its index should be", opened.status))
            }
            _ => Folder::No("what stands there is no folder".into()),
        })
    }

    /// Bytes of a head.
    pub(crate) async fn bytes(&self, question: &Question, head: &Head, wanted: Wanted) -> Result<Body, AskError> {
        match (&self.kind, &head.access) {
            (Kind::Directory(directory), Access::File { file, identity, .. }) => {
                let turns = Turns::new(self.line.clone());
                Ok(Body::File(directory.bytes(file, identity, wanted, turns, &question.urgency)))
            }
            (Kind::Http(http), _) => http.bytes(question, head, wanted).await.map(Body::Http),
            (Kind::Outpost(outpost), _) => outpost.bytes(question, head, wanted).await.map(Body::Http),
            (Kind::Directory(_), _) => Err(AskError::Invalid("a directory has only open files".into())),
        }
    }

    /// Whether spans of a head can be asked for and known to be of the same bytes.
    pub(crate) fn gives_spans(&self, head: &Head) -> bool {
        matches!(head.access, Access::File { .. }) || heads::gives_spans(head)
    }

    /// Whether it was seen to be a proxy, which gives the end of a file that it fetches itself when it has all of it.
    pub(crate) fn withholds(&self) -> bool {
        matches!(&self.kind, Kind::Outpost(outpost) if outpost.is_relay())
    }

    /// Whether it tells digests, and has objects to be asked for by them.
    pub(crate) fn knows_digests(&self) -> bool {
        matches!(self.kind, Kind::Outpost(_))
    }

    /// An object by its digest, for an upstream that [knows digests](Self::knows_digests); `None` if it is not there.
    pub(crate) async fn object(&self, md5: Md5, question: &Question) -> Result<Option<(Head, Body)>, AskError> {
        match &self.kind {
            Kind::Outpost(outpost) => outpost.object(md5, question).await,
            Kind::Directory(_) | Kind::Http(_) => Ok(None),
        }
    }

    /// The digests of an object's pieces, likewise.
    pub(crate) async fn pieces(&self, md5: &Md5) -> Result<Option<Pieces>, AskError> {
        match &self.kind {
            Kind::Outpost(outpost) => outpost.pieces(md5).await,
            Kind::Directory(_) | Kind::Http(_) => Ok(None),
        }
    }

    /// What it knows of a path, likewise.
    pub(crate) async fn info(&self, target: &Target) -> Result<Option<Info>, AskError> {
        match &self.kind {
            Kind::Outpost(outpost) => outpost.info(target).await,
            Kind::Directory(_) | Kind::Http(_) => Ok(None),
        }
    }

    /// What the program says to an origin, and its answer; for an upstream that [knows digests](Self::knows_digests).
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        fields: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CallError> {
        match &self.kind {
            Kind::Outpost(outpost) => outpost.call(method, path, fields, body).await,
            Kind::Directory(_) | Kind::Http(_) => Err(AskError::Invalid("it is no Outpost".into()).into()),
        }
    }

    /// Its stream of changes, likewise.
    pub(crate) async fn changes(&self, query: &str, fields: HeaderMap) -> Result<Offer, AskError> {
        match &self.kind {
            Kind::Outpost(outpost) => outpost.changes(query, fields).await,
            Kind::Directory(_) | Kind::Http(_) => Ok(Offer::None("it is no Outpost".into())),
        }
    }

    /// The servers of one, whose stream that is.
    pub(crate) fn origins(&self) -> Option<&Arc<Origins>> {
        match &self.kind {
            Kind::Outpost(outpost) => Some(outpost.origins()),
            Kind::Directory(_) | Kind::Http(_) => None,
        }
    }

    /// What it has told of a name by itself, as if it had been asked.
    pub(crate) fn told_head(&self, told: &Told) -> Head {
        let claims = told.claims();
        let Digests { md5, .. } = told.digests;
        Head {
            record: told.record(SystemTime::now()),
            claims,
            source: outpost::source_of(&md5),
            access: Access::Object(md5),
            fields: None,
        }
    }

    /// The path below the mount at which something is of which an origin tells by its own path, or with `None` all of it; nothing if that is
    /// elsewhere.
    pub(crate) fn below_origin(&self, path: &str) -> Option<Option<Target>> {
        let base = match &self.kind {
            Kind::Outpost(outpost) => outpost.path_of(""),
            Kind::Directory(_) | Kind::Http(_) => return None,
        };
        let path = Target::parse(path.as_bytes()).ok()?;
        let path = path.path();
        match path.strip_prefix(&*base) {
            Some("" | "/") => Some(None),
            Some(rest) if rest.starts_with('/') => Some(Some(Target::parse(rest.as_bytes()).ok()?)),
            Some(_) => None,
            None => {
                base.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/')).then_some(None)
            }
        }
    }

    pub(crate) fn is_to_be_followed(&self) -> bool {
        self.options.follow && self.knows_digests()
    }

    /// The right to follow what it tells, once.
    pub(crate) fn begin_to_follow(&self) -> bool {
        self.is_to_be_followed() && !self.is_followed.swap(true, Ordering::AcqRel)
    }

    /// Whether it has other methods than those that read.
    pub(crate) fn takes_methods(&self) -> bool {
        matches!(self.kind, Kind::Http(_))
    }

    /// Its answer to one client, uncached: an open answer, or an open file. With the body of the request, where there is one.
    pub(crate) async fn forward(
        &self,
        question: &Question,
        method: Method,
        fields: HeaderMap,
        upload: Option<Upload>,
    ) -> Result<Reply, AskError> {
        match &self.kind {
            Kind::Directory(directory) => directory.ask(question, None).await,
            Kind::Http(http) => {
                let (path, interims) = (http.path_of(question.target.as_str()), question.interims.as_ref());
                http.forward(&path, method, fields, upload, interims).await
            }
            Kind::Outpost(outpost) => outpost.forward(question, method, fields).await,
        }
    }

    /// A `Location` of its answers as seen through our mount; others stay as they are.
    pub(crate) fn relocate(&self, location: &str) -> Option<String> {
        match &self.kind {
            Kind::Directory(_) => None,
            Kind::Http(http) => http.relocate(location, &self.options.mount),
            Kind::Outpost(outpost) => outpost.relocate(location, &self.options.mount),
        }
    }

    /// To be asked when all bytes came: whether what was read is what is still there.
    pub(crate) async fn is_unchanged(&self, head: &Head) -> Result<bool, AskError> {
        match (&self.kind, &head.access) {
            (Kind::Directory(directory), Access::File { file, identity, path }) => {
                directory.is_unchanged(file, *identity, path).await
            }
            _ => Ok(true),
        }
    }

    /// Whether it answers at all.
    pub(crate) async fn probe(&self) -> Result<(), AskError> {
        match &self.kind {
            Kind::Directory(directory) => directory.probe().await,
            Kind::Http(http) => http.probe().await,
            Kind::Outpost(outpost) => outpost.probe().await,
        }
    }

    /// Takes an outcome to the breaker. `true` if it opened.
    pub(crate) fn report<T>(&self, outcome: &Result<T, AskError>) -> bool {
        match outcome.as_ref().map_err(|error| (error.trouble(), error)) {
            Ok(_) | Err((None, _)) => {
                if self.health.success() {
                    tracing::info!(upstream = self.options.name, "an upstream can be reached again");
                }
                false
            }
            Err((Some(trouble), error)) => {
                let opened = self.health.failure(trouble, &error.to_string());
                if opened {
                    tracing::warn!(
                        upstream = self.options.name,
                        %error,
                        "an upstream cannot be reached; what is in the cache is served meanwhile, and it is tried again every few seconds"
                    );
                }
                opened
            }
        }
    }

    pub(crate) fn status(&self) -> UpstreamStatus {
        UpstreamStatus {
            name: self.options.name.clone(),
            mount: self.options.mount.clone(),
            location: self.options.location.to_string(),
            reachable: !self.health.is_down() && self.health.last_error().is_none(),
            last_error: self.health.last_error(),
            line: self.line.status(),
            origins: match &self.kind {
                Kind::Directory(_) => Vec::new(),
                Kind::Http(http) => http.status(),
                Kind::Outpost(outpost) => outpost.status(),
            },
            stream: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_pointed_at_another_server_knows_nothing_of_the_old_one() {
        let key = |name: &str, location: &str| {
            let options = UpstreamOptions::new(name, "/", location.parse().unwrap());
            let upstream = Upstream::new(options, "outpost", &Arc::default()).unwrap();
            upstream.key(&Target::parse(b"/file").unwrap())
        };
        assert_eq!(key("a", "http://one.example/"), key("a", "http://one.example/"));
        assert_ne!(key("a", "http://one.example/"), key("a", "http://two.example/"));
        assert_ne!(key("a", "http://one.example/"), key("b", "http://one.example/"));
    }
}
