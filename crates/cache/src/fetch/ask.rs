//! The task behind a flight: asks the upstream about a name, and does what follows from what it says. It belongs to no request.
//!
//! | the upstream says | what followers get |
//! | --- | --- |
//! | what is known still holds | the object that is here |
//! | another file, whose digest is here or is being fetched | that one, and no byte moves |
//! | another file | what [`transfer`](super::transfer) fetches |
//! | a directory | its index, or the way to its slash |
//! | something that is not for the cache | everybody asks for themselves |
//! | there is none | 404, and the name is forgotten |
//! | nothing: it cannot be reached, or 5xx | the last good copy if it may stand in, else 502 or 504 |

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use parking_lot::Mutex;
use protocol::{cache_status::CacheStatus, digest::Md5, problem::Kind};
use store::{Lookup, Reader};

use super::{
    flights::FlightOwner,
    outcome::{Content, Outcome},
    task::{Fetch, Flow, PATIENCE_MAX},
    transfer::Begin,
    urgency::Class,
};
use crate::{
    answer::pages::Pages,
    failure::Failure,
    names::{book::Known, freshness, record::Record, representation::Proof},
    shared::Shared,
    status::add,
    upstream::{
        Question,
        body::Body,
        error::AskError,
        reply::{Access, Head, OpenAnswer, Reply},
    },
};

/// Tries for the head of an answer while nothing is here that could be served instead.
const ASKS_MAX: u32 = 3;
/// A name changes at most so often between asking and fetching.
const CHANGES_MAX: u32 = 3;

/// The task: always announces an outcome, and ends after the name's record was written. To be run to its end; dropped, it has failed.
pub(crate) async fn run(shared: Arc<Shared>, question: Arc<Question>, owner: FlightOwner) {
    let asked = shared.book.millis();
    let fetch = Fetch { shared, question, owner, asked, withheld: Mutex::default() };
    match fetch.question.object {
        None => fetch.name().await,
        Some(md5) => fetch.object(md5).await,
    }
}

impl Fetch {
    /// A name: asks whether what is known still holds, and does what follows.
    async fn name(&self) {
        let known = self.shared.book.known(&self.question.key);
        let mut copy = known.filter(|known| self.shared.store.peek(&known.md5).is_some());
        let mut wants_bytes = self.owner.flight.is_body_wanted();
        // What it has told by itself need not be asked for; whatever comes of that, the next look is at what it says now.
        let mut told = self.told();
        for _ in 0..CHANGES_MAX {
            let asked = match told.take() {
                Some(head) => Ok(Reply::File(Box::new(head), None)),
                None => self.ask(copy.as_ref(), wants_bytes).await,
            };
            let reply = match asked {
                Ok(reply) => reply,
                Err(error) => return self.unreachable(&error, copy.as_ref()),
            };
            match reply {
                Reply::Unchanged { record, is_told } => match copy.take() {
                    Some(known) if self.unchanged(&known, record, is_told) => return,
                    // Evicted just now: ask for the bytes.
                    _ => continue,
                },
                Reply::File(head, _) if head.is_server_error() && self.stood_in(copy.as_ref()) => return,
                Reply::File(head, body) => match self.file(*head, body, wants_bytes).await {
                    Flow::Done => return,
                    Flow::AskForBytes => wants_bytes = true,
                    Flow::AskAgain => copy = None,
                },
                Reply::Listing(listing) => return self.listing(&Pages::of(listing)),
                Reply::NeedsSlash => {
                    self.shared.book.forget(&self.question.name);
                    return self.owner.conclude(Outcome::NeedsSlash);
                }
                Reply::Answer(opened) => return self.other_answer(*opened, copy.as_ref()),
                Reply::ForAll(head, body) => {
                    self.shared.book.forget(&self.question.name);
                    let outcome = self.say(*head, body).await;
                    return self.owner.conclude(outcome);
                }
                Reply::No(failure) => {
                    self.shared.book.forget(&self.question.name);
                    return self.owner.conclude(Outcome::Failed(failure));
                }
            }
        }
        let changed = AskError::Changed("the file changed each time it was asked for".into());
        self.owner.conclude(Outcome::Failed(self.question.failure(&changed)));
    }

    /// What the upstream has told of the name, for as long as it vouches for that.
    fn told(&self) -> Option<Head> {
        let told = self.shared.told.find(&self.question.name)?;
        let is_of_name = self.question.key == self.question.name && !self.question.is_personal();
        let is_good = is_of_name && self.question.upstream.vouched.covers(told.at, self.asked);
        is_good.then(|| self.question.upstream.told_head(&told))
    }

    /// An object by its digest, from the upstream that is asked.
    async fn object(&self, md5: Md5) {
        let asked = self.unless_closing(self.question.upstream.object(md5, &self.question)).await;
        self.shared.report(&self.question.upstream, &asked);
        match asked {
            Ok(Some((head, body))) => _ = self.file(head, Some(body), true).await,
            Ok(None) => {}
            Err(error) => self.unreachable(&error, None),
        }
        self.owner.conclude(Outcome::Failed(Failure::no_object(&md5)));
    }

    /// Asks; while nothing is here to serve instead, a connection that broke or an upstream that is busy for a moment is asked again.
    async fn ask(&self, copy: Option<&Arc<Known>>, wants_bytes: bool) -> Result<Reply, AskError> {
        let options = &self.question.upstream.options;
        let mut tries = 1;
        loop {
            let asking = self.question.upstream.ask(&self.question, copy.map(Arc::as_ref), wants_bytes);
            let asked = self.unless_closing(asking).await;
            self.shared.report(&self.question.upstream, &asked);
            let wait = match &asked {
                Err(AskError::Unreachable(_) | AskError::Failing(_)) => options.retry_backoff,
                Err(AskError::Busy { retry_after, .. }) if *retry_after <= PATIENCE_MAX => {
                    Duration::from_secs(*retry_after)
                }
                _ => return asked,
            };
            if tries >= ASKS_MAX || copy.is_some() || self.question.upstream.health.is_down() || !self.pause(wait).await
            {
                return asked;
            }
            tries += 1;
        }
    }

    /// What is here is still right. `false` if it was evicted meanwhile.
    fn unchanged(&self, known: &Arc<Known>, record: Record, is_told: bool) -> bool {
        let asked = self.vouched_from(is_told);
        let confirm = || self.shared.book.confirm(&self.question.name, known, record, asked);
        let known = self.owner.unless_forgotten(confirm).unwrap_or_else(|| known.clone());
        let Some(reader) = self.shared.store.hit(&known.md5) else { return false };
        let status = if self.question.upstream.is_directory() { CacheStatus::Hit } else { CacheStatus::Revalidated };
        self.owner.conclude(Content::of_name(&self.shared, &known, reader, &self.question, status).into());
        true
    }

    /// The upstream cannot be asked: the last good copy, if it may stand in.
    fn unreachable(&self, error: &AskError, copy: Option<&Arc<Known>>) {
        let stand_in = copy.and_then(|known| self.stand_in(known));
        self.owner.conclude(stand_in.unwrap_or_else(|| Outcome::Failed(self.question.failure(error))));
    }

    /// Concludes with the last good copy, if it may stand in.
    fn stood_in(&self, copy: Option<&Arc<Known>>) -> bool {
        let Some(outcome) = copy.and_then(|known| self.stand_in(known)) else { return false };
        self.owner.conclude(outcome);
        true
    }

    fn stand_in(&self, known: &Arc<Known>) -> Option<Outcome> {
        let now = SystemTime::now();
        let stale_if_error = self.shared.settings().options.stale_if_error;
        let checked = self.shared.book.checked(known, now);
        if !freshness::may_stand_in(&known.record, checked, now, stale_if_error) {
            return None;
        }
        let reader = self.shared.store.hit(&known.md5)?;
        self.shared.book.hold(known);
        Some(Content::of_name(&self.shared, known, reader, &self.question, CacheStatus::Stale).into())
    }

    fn listing(&self, pages: &Arc<Pages>) {
        let until = Instant::now() + self.question.upstream.options.recheck;
        self.shared.pages.keep(&self.question.key, pages, until);
        self.owner.conclude(Outcome::Index(pages.clone()));
    }

    /// An answer that is not for the cache.
    fn other_answer(&self, opened: OpenAnswer, copy: Option<&Arc<Known>>) {
        let status = opened.status;
        if status.is_server_error() && self.stood_in(copy) {
            return;
        }
        // What one is told who says who he is says nothing of what others get.
        let is_of_name = !self.question.is_personal();
        if is_of_name && matches!(status, StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::GONE) {
            self.shared.book.forget(&self.question.name);
        }
        if is_of_name && status == StatusCode::OK {
            self.shared.memos.passes(&self.question.key, Instant::now());
        }
        self.owner.conclude(Outcome::pass(Some(opened)));
    }

    /// A file that is not here, or not as it is upstream now.
    async fn file(&self, head: Head, mut body: Option<Body>, asked_for_bytes: bool) -> Flow {
        *self.withheld.lock() = head.withheld();
        let described = || Outcome::Described(Arc::new(self.describe(&head.record, Proof::claimed(&head.claims))));
        if self.owner.conclude_unless_body_wanted(described) {
            return Flow::Done;
        }
        if !asked_for_bytes && body.is_none() && matches!(head.access, Access::Name) {
            return Flow::AskForBytes;
        }
        let begin = match head.claims.md5 {
            None => Begin::New,
            Some(md5) => match self.by_digest(md5, &head, &mut body).await {
                Some(begin) => begin,
                None => return Flow::Done,
            },
        };
        self.outdate(&head);
        self.fetch(head, body, begin).await
    }

    /// Where what is here is given out without asking, a file that is found to have changed counts as not here until it has come.
    fn outdate(&self, head: &Head) {
        let question = &self.question;
        if question.upstream.options.mode.asks_for_clients() || question.object.is_some() {
            return;
        }
        let known = self.shared.book.known(&question.key);
        if known.is_some_and(|known| known.record.is_another(&head.record)) {
            self.owner.unless_forgotten(|| self.shared.book.forget(&question.name));
        }
    }

    /// The digest is known beforehand: what is here is not fetched, what is being fetched is followed. Then the body that was asked for is let go at once:
    /// unread it would fill the kernel's buffers, which is some megabytes of the line.
    async fn by_digest(&self, md5: Md5, head: &Head, body: &mut Option<Body>) -> Option<Begin> {
        // Before anybody can find the content being fetched: who waits for it makes this flight urgent.
        let _ = self.owner.flight.md5.set(md5);
        for _ in 0..CHANGES_MAX {
            match self.shared.store.lookup(&md5) {
                Lookup::Hit(reader) if is_claimed(head, &reader) => {
                    add(&self.shared.counters.known_by_digest, 1);
                    self.adopt(md5, head, reader);
                    return None;
                }
                // Equal MD5 and another length or SHA-256: one of the two is a lie, which the fill will show.
                Lookup::Hit(_) => return Some(Begin::New),
                Lookup::Filling(reader) if reader.len().is_some() && !is_claimed(head, &reader) => {
                    return Some(Begin::New);
                }
                Lookup::Filling(reader) => {
                    *body = None;
                    // A fill that ends before its first byte leaves the place to us.
                    if self.unless_closing_bytes(&md5, &reader).await {
                        add(&self.shared.counters.known_by_digest, 1);
                        self.follow(md5, head, reader).await;
                        return None;
                    }
                }
                Lookup::Miss(vacancy) => return Some(Begin::Vacancy(vacancy)),
            }
        }
        let failure = Failure::new(Kind::Overloaded, "other fetches of the same content failed; ask again in 1 s");
        self.owner.conclude(Outcome::Failed(failure.with_retry_after(1)));
        None
    }

    /// The content is here, whole.
    fn adopt(&self, md5: Md5, head: &Head, reader: Reader) {
        let record = Record { len: reader.len(), ..head.record.clone() };
        let known = if self.question.object.is_some() { None } else { self.keep(md5, record.clone(), true) };
        let content = match known {
            Some(known) => Content::of_name(&self.shared, &known, reader, &self.question, CacheStatus::Hit).into(),
            None => {
                let proof = Proof::of(md5, &reader);
                self.content(&record, proof, reader, self.shared.requesters.of(&md5), CacheStatus::Hit)
            }
        };
        self.owner.conclude(content);
    }

    /// Another flight is fetching the same content.
    async fn follow(&self, md5: Md5, head: &Head, reader: Reader) {
        let places = self.shared.requesters.of(&md5);
        let content = self.content(&head.record, Proof::Md5(md5), reader.clone(), places, CacheStatus::Collapsed);
        self.owner.announce(content);
        let sealed = tokio::select! {
            () = self.owner.flight.stop.cancelled() => return,
            sealed = self.as_urgent(&md5, reader.sealed()) => sealed,
        };
        if sealed.is_ok() && is_claimed(head, &reader) && self.question.object.is_none() {
            let record = Record { len: reader.len(), ..head.record.clone() };
            self.keep(md5, record, true);
        }
    }

    /// Whether another fill of the same content got anywhere.
    async fn unless_closing_bytes(&self, md5: &Md5, reader: &Reader) -> bool {
        tokio::select! {
            () = self.owner.flight.stop.cancelled() => false,
            readable = self.as_urgent(md5, reader.readable(0)) => readable.is_ok(),
        }
    }

    /// Waits for what another flight brings: as soon as a client waits for this one, it waits for that one too.
    async fn as_urgent<T>(&self, md5: &Md5, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        tokio::select! {
            ended = &mut waiting => return ended,
            () = self.owner.flight.urgency.demanded() => self.shared.flights.raise(md5, Class::Demand),
        }
        waiting.await
    }
}

/// Whether what is known of an object with the claimed MD5 is all that the upstream claims. An MD5 is a name and no proof: two contents can be
/// made to have the same, but not the same SHA-256.
fn is_claimed(head: &Head, reader: &Reader) -> bool {
    let is =
        |claimed: Option<u64>, found: Option<u64>| claimed.zip(found).is_none_or(|(claimed, found)| claimed == found);
    let found = reader.digests();
    is(head.record.len, reader.len())
        && head.claims.sha256.zip(found).is_none_or(|(claimed, found)| claimed == found.sha256)
}
