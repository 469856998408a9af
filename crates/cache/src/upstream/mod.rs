//! Where the bytes come from: the closed set of upstream kinds. Outbound connections open here and nowhere else.

pub(crate) mod connector;
pub(crate) mod directory;
pub(crate) mod heads;
pub(crate) mod http;
pub(crate) mod outpost;

use std::{fs::File, io, sync::Arc};

use ::http::HeaderMap;
use bytes::Bytes;
use os::share::Identity;
use protocol::{
    digest::{Claims, Md5},
    listing::Listing,
    problem::Kind as ProblemKind,
    target::Target,
};
use smallvec::SmallVec;

use self::{directory::Directory, http::Http, outpost::Outpost};
use crate::{
    book::Known,
    health::{Health, Trouble},
    landing::Failure,
    options::{Location, UpstreamOptions},
    pass::Opened,
    record::{HttpMeta, Origin, Record},
    status::{Counters, UpstreamStatus},
};

/// The key of a name; on the stack for names of common lengths, so that a hit does not allocate for it.
pub(crate) type Key = SmallVec<[u8; 192]>;

/// One configured upstream.
pub(crate) struct Upstream {
    pub(crate) options: UpstreamOptions,
    pub(crate) kind: Kind,
    pub(crate) health: Health,
    /// What the keys of its names begin with.
    scope: Box<[u8]>,
}

/// The kinds there are.
pub(crate) enum Kind {
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
    pub(crate) key: Arc<[u8]>,
    /// The client's fields that may go upstream.
    pub(crate) sent: HeaderMap,
    /// The digest, where an object is asked for and not a name.
    pub(crate) object: Option<Md5>,
}

/// What an upstream says of a name.
pub(crate) enum Told {
    /// The record still holds; perhaps with new freshness.
    Unchanged(Record),
    /// A file, perhaps with its bytes already on the way from the first on.
    File(Box<Head>, Option<Body>),
    /// A directory.
    Listing(Listing),
    /// A directory whose name lacks its slash.
    NeedsSlash,
    /// An answer that is not for the cache.
    Answer(Box<Opened>),
    /// Nothing to serve, and why.
    No(Failure),
}

/// A file before its bytes.
pub(crate) struct Head {
    /// As it will be kept, once the digest is known.
    pub(crate) record: Record,
    pub(crate) claims: Claims,
    /// What a part must come from to be continued with these bytes; empty if nothing can be continued.
    pub(crate) source: Bytes,
    pub(crate) grip: Grip,
    /// The answer's own fields, in case it has to be passed through.
    pub(crate) fields: Option<HeaderMap>,
}

/// How to get at the bytes of exactly this content.
pub(crate) enum Grip {
    /// The file is open.
    File { file: Arc<File>, identity: Identity, path: Arc<[u8]> },
    /// By the name, under its validators.
    Name,
    /// By the digest.
    Object(Md5),
}

/// Bytes on the way.
pub(crate) enum Body {
    File(directory::Pieces),
    Http(http::Pieces),
}

/// Why an upstream could not be asked, or what is wrong with its answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    TimedOut(String),
    /// It is there, but failed at this: a 5xx where bytes were to come, a connection that broke, a file that cannot be read.
    #[error("{0}")]
    Failing(String),
    /// Not HTTP, or not what was asked for.
    #[error("{0}")]
    Invalid(String),
    /// Other bytes than those that were begun.
    #[error("{0}")]
    Changed(String),
    /// It asks to come back later.
    #[error("{detail}")]
    Busy {
        /// Seconds.
        retry_after: u64,
        detail: String,
        kind: ProblemKind,
    },
}

impl AskError {
    /// As clients see it when there is nothing else to serve.
    pub(crate) fn to_failure(&self, question: &Question) -> Failure {
        let name = &question.upstream.options.name;
        let path = question.full.path();
        let failure = |kind, advice: &str| {
            Failure::new(
                kind,
                format!("{path} is not here, and the upstream '{name}' cannot be asked: {self}. {advice}"),
            )
        };
        match self {
            Self::Unreachable(_) | Self::Failing(_) => failure(
                ProblemKind::UpstreamUnreachable,
                "Try again later; if it lasts, check the upstream and the line to it",
            ),
            Self::TimedOut(_) => failure(
                ProblemKind::UpstreamTimeout,
                "Try again later; if it lasts, check the upstream and the line to it",
            ),
            Self::Invalid(_) => failure(ProblemKind::UpstreamInvalid, "Check what the upstream sends"),
            Self::Changed(_) => failure(ProblemKind::UpstreamInvalid, "Ask again: the file is changing upstream"),
            Self::Busy { retry_after, detail, kind } => {
                Failure::new(*kind, detail.clone()).with_retry_after(*retry_after)
            }
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Unreachable(_) => Some(Trouble::Refused),
            Self::TimedOut(_) => Some(Trouble::TimedOut),
            Self::Failing(_) | Self::Invalid(_) | Self::Changed(_) | Self::Busy { .. } => None,
        }
    }
}

/// The upstream's name, and eight bytes that stand for where it is: an operator who points a name at another server must not be given what
/// the old one said, however fresh it was.
fn scope(options: &UpstreamOptions) -> Box<[u8]> {
    let Md5(place) = Md5::of(options.location.to_string().as_bytes());
    [options.name.as_bytes(), b"\0", &place[..8]].concat().into()
}

impl Upstream {
    /// Prepares it. A directory is opened; a web server is not asked yet.
    pub(crate) fn new(options: UpstreamOptions, via: &str, counters: &Arc<Counters>) -> io::Result<Self> {
        let kind = match &options.location {
            Location::Directory(path) => {
                let opened = Directory::open(path.clone(), options.read_timeout);
                Kind::Directory(opened.map_err(|error| {
                    let text = format!("cannot open the upstream directory {}: {error}", path.display());
                    io::Error::new(error.kind(), text)
                })?)
            }
            Location::Http(url) => Kind::Http(Http::new(url, &options, via, counters)?),
            Location::Outpost(url) => Kind::Outpost(Outpost::new(Http::new(url, &options, via, counters)?)),
        };
        let scope = scope(&options);
        Ok(Self { options, kind, health: Health::default(), scope })
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

    /// Asks about a name: whether `known` still holds, else what is there. Without `wants_bytes` a description is enough.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        known: Option<&Known>,
        wants_bytes: bool,
    ) -> Result<Told, AskError> {
        match &self.kind {
            Kind::Directory(directory) => directory.ask(question, known).await,
            Kind::Http(http) => http.ask(question, known, wants_bytes).await,
            Kind::Outpost(outpost) => outpost.ask(question, known, wants_bytes).await,
        }
    }

    /// The bytes of a head from a position on.
    pub(crate) async fn bytes(&self, question: &Question, head: &Head, position: u64) -> Result<Body, AskError> {
        match (&self.kind, &head.grip) {
            (Kind::Directory(directory), Grip::File { file, identity, .. }) => {
                Ok(Body::File(directory.bytes(file, identity, position)))
            }
            (Kind::Http(http), _) => http.bytes(question, head, position).await.map(Body::Http),
            (Kind::Outpost(outpost), _) => outpost.bytes(question, head, position).await.map(Body::Http),
            (Kind::Directory(_), _) => Err(AskError::Invalid("a directory has only open files".into())),
        }
    }

    /// To be asked last, off the reactors: whether what was read is what is still there.
    pub(crate) fn unchanged(&self, head: &Head) -> Box<dyn FnOnce() -> bool + Send + 'static> {
        match (&self.kind, &head.grip) {
            (Kind::Directory(directory), Grip::File { file, identity, path }) => {
                Box::new(directory.unchanged(file, *identity, path))
            }
            _ => Box::new(|| true),
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
                    tracing::info!(upstream = self.options.name, "the upstream can be reached again");
                }
                false
            }
            Err((Some(trouble), error)) => {
                let opened = self.health.failure(trouble, &error.to_string());
                if opened {
                    tracing::warn!(
                        upstream = self.options.name,
                        %error,
                        "the upstream cannot be reached: serving what is here until it can"
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
            reachable: !self.health.is_open() && self.health.last_error().is_none(),
            last_error: self.health.last_error(),
        }
    }
}

impl Body {
    /// The next piece; `None` at the end. Waits at most the upstream's `read_timeout`.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        match self {
            Self::File(pieces) => pieces.next().await,
            Self::Http(pieces) => pieces.next().await,
        }
    }
}

/// The meta data of an answer that is one of several variants.
pub(crate) fn variant(record: &Record) -> Option<HttpMeta> {
    match &record.origin {
        Origin::Http(meta) if !meta.selecting.is_empty() => Some(meta.clone()),
        _ => None,
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
