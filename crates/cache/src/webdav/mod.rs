//! The read-only view of WebDAV of what has a listing: a directory, an Outpost, the mounts. What stands at a name is found as GET finds it: by what is
//! known of it, else by a flight that everybody joins who asks meanwhile, and never by bytes of a file. A web server has its own WebDAV, or none:
//! there a PROPFIND passes like any method.

mod siblings;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::HeaderMap;
use protocol::{
    cache_status::CacheStatus,
    listing::Listing,
    problem::Kind,
    target::Target,
    webdav::{multistatus::Multistatus, resource::Resource},
};
use serve::{
    handler::Answer,
    request::Request,
    response::Response,
    webdav::{Propfind, multistatus},
};

use self::siblings::Sibling;
use crate::{
    context::RequestContext,
    failure::Failure,
    fetch::{
        join::{JOINS_MAX, Joined, fresh, join, unsteady},
        outcome::{Content, Outcome},
    },
    names::{freshness, representation::Representation},
    shared::Shared,
    upstream::{Question, Upstream},
};

/// Of a name whose upstream is read only, by any method but GET and HEAD.
pub(crate) fn answer(context: &RequestContext<'_>, question: Question, request: &Request<'_>) -> Answer {
    let Question { upstream, full, target, sent, .. } = question;
    let search = Search { shared: context.shared.clone(), upstream, full, target, sent };
    let via = context.via().to_owned();
    serve::webdav::answer(request, |asked| async move {
        match search.find(asked.with_entries).await {
            Ok(found) => found.respond(asked, &via),
            Err(failure) => failure.to_response(),
        }
    })
}

/// Of a path where nothing is mounted, but perhaps below it.
pub(crate) fn of_mounts(
    context: &RequestContext<'_>,
    target: &Target,
    listing: Option<Listing>,
    request: &Request<'_>,
) -> Answer {
    let (target, via) = (target.to_directory(), context.via().to_owned());
    serve::webdav::answer(request, |asked| async move {
        match listing {
            Some(listing) => Found::directory(&target, Some(Arc::new(listing))).respond(asked, &via),
            None => {
                let detail = format!("nothing is mounted at {} or below; the page / shows the mounts", target.path());
                Failure::new(Kind::NotFound, detail).to_response()
            }
        }
    })
}

/// What stands at a name.
struct Found {
    resource: Resource<'static>,
    /// Of a directory, where that was asked for.
    entries: Option<Arc<Listing>>,
}

impl Found {
    fn directory(target: &Target, entries: Option<Arc<Listing>>) -> Self {
        Self { resource: Resource::directory(target), entries }
    }

    fn file(target: &Target, representation: &Representation) -> Self {
        let resource = Resource {
            len: representation.len,
            modified: representation.last_modified,
            etag: representation.etag.as_ref().map(|etag| etag.as_str().to_owned().into()),
            content_type: Some(representation.content_type.to_string().into()),
            ..Resource::file(target)
        };
        Self { resource, entries: None }
    }

    fn respond(self, asked: Propfind, via: &str) -> Response {
        let found = match self.entries.filter(|_| asked.with_entries) {
            Some(listing) => Multistatus::of_listing(asked.wanted, self.resource, listing),
            None => Multistatus::of(asked.wanted, self.resource),
        };
        let mut response = multistatus(found);
        response.fields.push("Via", format!("1.1 {via}"));
        response
    }
}

/// One name that is looked for.
struct Search {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    full: Target,
    target: Target,
    sent: HeaderMap,
}

impl Search {
    /// Clients ask for a directory with its slash or without, and follow no redirection.
    async fn find(&self, with_entries: bool) -> Result<Found, Failure> {
        let (Some(file), Some(full)) = (self.target.to_file(), self.full.to_file()) else {
            return self.directory(with_entries).await;
        };
        let question = self.question(full, file);
        let is_file_wanted = !self.target.is_directory();
        if let Some(Outcome::Content(content)) = fresh(&self.shared, &question).filter(|_| is_file_wanted) {
            return Ok(Found::file(&question.full, &content.representation));
        }
        match self.sibling(&question) {
            Sibling::Directory => return self.directory(with_entries).await,
            Sibling::File(found) if is_file_wanted => return Ok(Found { resource: found, entries: None }),
            Sibling::File(_) | Sibling::None => return Err(question.not_found()),
            // It is about to be asked for all of its entries: that shows whether it is there.
            Sibling::Unknown if with_entries && !is_file_wanted => return self.directory(true).await,
            Sibling::Unknown => {}
        }
        match self.ask(&question).await? {
            Outcome::Content(content) if is_file_wanted => Ok(Found::file(&question.full, &content.representation)),
            Outcome::Described(representation) if is_file_wanted => Ok(Found::file(&question.full, &representation)),
            Outcome::NeedsSlash | Outcome::Index(_) => self.directory(with_entries).await,
            _ => Err(question.not_found()),
        }
    }

    /// What the listing of its directory says of it, if that was read a moment ago. File managers ask again and again for files that may be
    /// in a directory, and are not.
    fn sibling(&self, question: &Question) -> Sibling {
        let pages = || {
            let parent = self.upstream.key(&question.target.parent()?);
            self.shared.pages.of(&parent, Instant::now())
        };
        pages().map_or(Sibling::Unknown, |pages| siblings::find(&pages.listing, &question.full))
    }

    async fn directory(&self, with_entries: bool) -> Result<Found, Failure> {
        let full = self.full.to_directory();
        if !with_entries {
            return Ok(Found::directory(&full, None));
        }
        let question = self.question(full, self.target.to_directory());
        if let Some(pages) = self.shared.pages.of(&question.key, Instant::now()) {
            return Ok(Found::directory(&question.full, Some(pages.listing.clone())));
        }
        match self.ask(&question).await? {
            Outcome::Index(pages) => Ok(Found::directory(&question.full, Some(pages.listing.clone()))),
            _ => Err(question.not_found()),
        }
    }

    /// What the upstream says, or said; never [`Outcome::Failed`] or [`Outcome::Pass`]. Dropping it leaves the flight as it is.
    async fn ask(&self, question: &Arc<Question>) -> Result<Outcome, Failure> {
        for _ in 0..JOINS_MAX {
            let is_down = self.upstream.health.is_down() && question.may_ask();
            let joined = match is_down.then(|| self.shared.flights.find(&question.key)) {
                None => join(&self.shared, question, false),
                Some(Some(flight)) => Joined::follow(flight, question, false),
                Some(None) => return self.stand_in(question).ok_or_else(|| question.unreachable()),
            };
            match joined.wait(&self.shared, question).await.0 {
                Outcome::Failed(failure) => return Err(failure),
                Outcome::Pass(opened) => {
                    if let Some(opened) = opened.lock().take() {
                        let (path, name, status) = (question.full.path(), &self.upstream.options.name, opened.status);
                        let detail = format!("the upstream '{name}' answered {status} when it was asked for {path}");
                        return Err(Failure::new(Kind::UpstreamInvalid, detail));
                    }
                    // Its bytes go past the cache; what it is can be asked for all the same.
                }
                outcome => return Ok(outcome),
            }
        }
        Err(unsteady())
    }

    /// The last good copy, while the upstream cannot be asked.
    fn stand_in(&self, question: &Question) -> Option<Outcome> {
        let (known, now) = (self.shared.book.known(&question.key)?, SystemTime::now());
        let (checked, at_most) = (self.shared.book.checked(&known, now), self.shared.settings().options.stale_if_error);
        if !freshness::may_stand_in(&known.record, checked, now, at_most) {
            return None;
        }
        let reader = self.shared.store.hit(&known.md5)?;
        Some(Content::of_name(&self.shared, &known, reader, question, CacheStatus::Stale).into())
    }

    fn question(&self, full: Target, target: Target) -> Arc<Question> {
        let key = self.upstream.key(&target);
        Arc::new(Question::of_name(self.upstream.clone(), full, target, &key, self.sent.clone()))
    }
}
