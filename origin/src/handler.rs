//! Answers requests: at once what was looked at a moment ago, later what needs the disk, the database or a digest that is not made yet.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use os::{engine::Engine, share::Identity};
use protocol::{
    condition::KeptConditions,
    digest::{Digests, Md5},
    info::Info,
    listing::prefers_json,
    pieces::{Pieces, has_several},
    problem::Kind,
    progress::Event,
    target::Target,
    webdav::multistatus::Multistatus,
};
use serve::{
    handler::{Answer, Client, Handler},
    request::Request,
    response::{Body, Response},
    webdav::{Propfind, multistatus},
};
use tokio::runtime::Handle;

use crate::{
    answer,
    catalogue::FileOf,
    control::Control,
    files::OpenFile,
    publish::{Opened, Publication},
    queue::Queue,
    route::{Route, route},
};

/// How long the share may take to open a file or list a directory. A network mount that is gone takes for ever.
const SHARE_WAIT_MAX: Duration = Duration::from_secs(30);
/// What a thread reads and hashes in a second, at least, to tell when a digest will be there.
const HASH_BYTES_PER_SECOND: u64 = 100 << 20;
/// The longest that a client is told to wait before it asks again, in seconds.
const RETRY_AFTER_MAX: u64 = 600;

/// What can be done with what is no file: see [`OriginHandler`].
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The origin behind its listener; clones share it.
#[derive(Clone)]
pub(crate) struct OriginHandler {
    pub(crate) publication: Arc<Publication>,
    pub(crate) control: Control,
    pub(crate) queue: Arc<Queue>,
    pub(crate) engine: Engine,
    /// Whose threads may block.
    pub(crate) runtime: Handle,
}

/// What a wait for a digest came to.
enum Hashed {
    Known(Arc<OpenFile>, Digests),
    /// Not there, or not readable.
    Failed(io::Error),
    /// Still being made, for a file of that identity.
    Pending(Identity),
    /// Too many clients wait.
    Refused,
    Directory,
}

/// What is known of the pieces of a content.
enum Listed {
    Known(Pieces),
    /// A file that was read before digests of pieces were made.
    Unread(FileOf),
    /// It has but one.
    Single,
    NoFile,
}

impl Handler for OriginHandler {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        let routed = Target::parse(request.target).and_then(|target| Ok((route(&target)?, target)));
        let (route, target) = match routed {
            Ok(routed) => routed,
            Err(error) => return Answer::Now(answer::problem(Kind::BadRequest, error.to_string())),
        };
        if let Route::Control(resource) = route {
            return self.control.answer(resource, &target, request, client);
        }
        let this = self.clone();
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return this.by_method(route, target, request);
        }
        match route {
            Route::File(path) => {
                if let Some(open) = self.publication.files.find(&path, Instant::now()) {
                    let conditions = answer::conditions(request);
                    return Answer::Now(answer::file(&open, &conditions, &self.engine, SystemTime::now()));
                }
                let asked = answer::conditions(request).keep();
                Answer::later(async move { this.file(path, target, asked).await })
            }
            Route::Directory(path) => {
                let json = request.fields.first("Accept").is_some_and(prefers_json);
                Answer::later(async move { this.directory(path, target, json).await })
            }
            Route::Info(path) => Answer::later(async move { this.info(path, target).await }),
            Route::Object(md5, path) => {
                let asked = answer::conditions(request).keep();
                Answer::later(async move { this.object(md5, path, target, asked).await })
            }
            Route::Progress(md5) => Answer::later(async move { this.progress(md5, target).await }),
            Route::Pieces(md5) => Answer::later(async move { this.pieces(md5).await }),
            Route::Control(_) | Route::Unknown => Answer::Now(answer::not_found(&target)),
        }
    }
}

impl OriginHandler {
    /// Another method than GET or HEAD: the share is one of WebDAV too, to be read.
    fn by_method(self, route: Route, target: Target, request: &Request<'_>) -> Answer {
        match (route, &request.method) {
            (Route::File(path) | Route::Directory(path), _) => {
                serve::webdav::answer(request, move |asked| async move { self.propfind(path, target, asked).await })
            }
            (_, &Method::OPTIONS) => Answer::Now(Response::methods(METHODS)),
            _ => Answer::Now(Response::method_not_allowed(METHODS)),
        }
    }

    async fn propfind(self, path: Vec<u8>, target: Target, asked: Propfind) -> Response {
        let look = move |publication: &Publication| {
            let found = publication.look(&path, &target, asked.with_entries);
            Ok(match found {
                Ok((resource, Some(listing))) => {
                    multistatus(Multistatus::of_listing(asked.wanted, resource, Arc::new(listing)))
                }
                Ok((resource, None)) => multistatus(Multistatus::of(asked.wanted, resource)),
                Err(error) => answer::unreadable(&target, &error),
            })
        };
        self.blocking(look).await.unwrap_or_else(|error| failed(&error))
    }

    async fn file(&self, path: Vec<u8>, target: Target, asked: KeptConditions) -> Response {
        let queue = self.queue.clone();
        let open = move |publication: &Publication| {
            let opened = publication.open(&path)?;
            if matches!(&opened, Opened::File(open) if open.digests.is_none()) {
                queue.want(&path);
            }
            Ok(opened)
        };
        match self.blocking(open).await {
            Ok(Opened::File(open)) => self.send(&open, &asked),
            Ok(Opened::Directory) => answer::needs_slash(&target),
            Err(error) => answer::unreadable(&target, &error),
        }
    }

    fn send(&self, open: &OpenFile, asked: &KeptConditions) -> Response {
        answer::file(open, &asked.conditions(), &self.engine, SystemTime::now())
    }

    async fn directory(&self, path: Vec<u8>, target: Target, json: bool) -> Response {
        let list = move |publication: &Publication| {
            let listed = publication.list(&path, &target).map(|listing| answer::listing(&listing, json));
            Ok(listed.unwrap_or_else(|error| answer::unreadable(&target, &error)))
        };
        self.blocking(list).await.unwrap_or_else(|error| failed(&error))
    }

    async fn info(&self, path: Vec<u8>, target: Target) -> Response {
        let below = Target::from_file_path(&path);
        match self.hashed(path).await {
            Hashed::Known(open, digests) => {
                let modified = Some(open.identity.modified_time());
                let info = Info::new(&below, open.identity.size, &digests, modified);
                let mut response = Response::json(StatusCode::OK, serde_json::to_vec(&info).unwrap_or_default());
                response.fields.push("Cache-Control", "no-cache");
                response
            }
            other => other.refusal(&target),
        }
    }

    /// With a path, the file there if it has these bytes; without, any file that is known to have them.
    async fn object(&self, md5: Md5, path: Option<Vec<u8>>, target: Target, asked: KeptConditions) -> Response {
        let open = match path {
            Some(path) => match self.hashed(path).await {
                Hashed::Known(open, digests) if digests.md5 == md5 => Some(open),
                Hashed::Known(..) => None,
                other => return other.refusal(&target),
            },
            None => match self.blocking(move |publication| Ok(publication.find_object(&md5))).await {
                Ok(found) => found,
                Err(error) => return failed(&error),
            },
        };
        match open {
            Some(open) => {
                let mut response = self.send(&open, &asked);
                if response.status.is_success() || response.status == StatusCode::NOT_MODIFIED {
                    response.fields.push("Cache-Control", answer::IMMUTABLE);
                }
                response
            }
            None => no_object(&md5),
        }
    }

    /// An origin fetches nothing: what it knows is ready.
    async fn progress(&self, md5: Md5, target: Target) -> Response {
        match self.blocking(move |publication| Ok(publication.find_object(&md5))).await {
            Ok(Some(_)) => {
                let mut response = Response::new(StatusCode::OK);
                response.fields.push("Content-Type", "text/event-stream").push("Cache-Control", "no-store");
                response.body = Body::Memory(Bytes::from(Event::Ready.to_text()));
                response
            }
            Ok(None) => answer::not_found(&target),
            Err(error) => failed(&error),
        }
    }

    /// The digests of the pieces of a content. A file that was read before such were made is read before all others.
    async fn pieces(&self, md5: Md5) -> Response {
        let find = move |publication: &Publication| {
            Ok(match publication.catalogue.pieces(&md5).map_err(io::Error::other)? {
                Some(pieces) => Listed::Known(pieces),
                None => match publication.catalogue.file_of(&md5).map_err(io::Error::other)? {
                    Some(file) if has_several(file.size) => Listed::Unread(file),
                    Some(_) => Listed::Single,
                    None => Listed::NoFile,
                },
            })
        };
        let mut found = self.blocking(find).await;
        if let Ok(Listed::Unread(file)) = &found {
            let Ok(finished) = self.queue.ask(&file.path) else { return refused() };
            finished.wait().await;
            found = self.blocking(find).await;
        }
        match found {
            Ok(Listed::Known(pieces)) => answer::pieces(&pieces),
            Ok(Listed::Unread(file)) => pending(file.size),
            Ok(Listed::Single) => answer::problem(
                Kind::NotFound,
                format!("{md5} is of one piece, whose digest is its own; ask for all of it"),
            ),
            Ok(Listed::NoFile) => no_object(&md5),
            Err(error) => failed(&error),
        }
    }

    /// A file with its digests; they are made before all others if they are not known. Dropping the future stops no hashing.
    async fn hashed(&self, path: Vec<u8>) -> Hashed {
        let path: Arc<[u8]> = path.into();
        let mut waited = false;
        loop {
            let open = match self.look(path.clone()).await {
                Ok(Opened::File(open)) => open,
                Ok(Opened::Directory) => return Hashed::Directory,
                Err(error) => return Hashed::Failed(error),
            };
            if let Some(digests) = open.digests {
                return Hashed::Known(open, digests);
            }
            if waited {
                return Hashed::Pending(open.identity);
            }
            let Ok(finished) = self.queue.ask(&path) else { return Hashed::Refused };
            finished.wait().await;
            waited = true;
        }
    }

    async fn look(&self, path: Arc<[u8]>) -> io::Result<Opened> {
        let fresh = self.publication.files.find(&path, Instant::now()).filter(|open| open.digests.is_some());
        match fresh {
            Some(open) => Ok(Opened::File(open)),
            None => self.blocking(move |publication| publication.open(&path)).await,
        }
    }

    /// Runs on a thread that may block. Dropping the future does not stop what has begun.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Publication) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let publication = self.publication.clone();
        let running = self.runtime.spawn_blocking(move || run(&publication));
        let Ok(ended) = tokio::time::timeout(SHARE_WAIT_MAX, running).await else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        // Fails only when the program ends, or by a panic, which has been reported.
        ended.map_err(io::Error::other)?
    }
}

impl Hashed {
    fn refusal(self, target: &Target) -> Response {
        match self {
            Self::Known(..) | Self::Directory => answer::not_found(target),
            Self::Failed(error) => answer::unreadable(target, &error),
            Self::Refused => refused(),
            Self::Pending(identity) => pending(identity.size),
        }
    }
}

fn refused() -> Response {
    let detail = "too many clients wait for digests; ask again in 10 s, or for the file itself";
    answer::problem_for_now(Kind::Overloaded, detail, 10)
}

fn pending(size: u64) -> Response {
    let seconds = (size / HASH_BYTES_PER_SECOND).clamp(2, RETRY_AFTER_MAX);
    let detail =
        format!("the file is still being read for its digest, or still being written; ask again in {seconds} s");
    answer::problem_for_now(Kind::DigestPending, detail, seconds)
}

fn no_object(md5: &Md5) -> Response {
    let detail = format!("no file with the digest {md5} is known here; ask for it by its path");
    answer::problem(Kind::NotFound, detail)
}

fn failed(error: &io::Error) -> Response {
    answer::problem(Kind::Internal, format!("this server cannot look at its share: {error}; ask again later"))
}
