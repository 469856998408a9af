//! The task behind a flight: asks the upstream, and if there is something new streams it into the store, continuing at its byte when the
//! upstream breaks off. It belongs to no request.
//!
//! | step | goes wrong | what followers see |
//! | --- | --- | --- |
//! | ask | unreachable, 5xx | the last good copy if it may stand in, else 502 or 504 |
//! | begin | no room | the file passes through, or 507 |
//! | stream | cut, stalled | time, while it is continued; a short close when it is given up |
//! | | another version | a short close; the part is discarded |
//! | verify | wrong bytes, or the source changed | a short close, or 502 for who has no head yet (small files) |
//! | commit | the disk | nothing: they have all bytes; the next asker begins anew |
//! | record | | the name is known from here on |

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use protocol::{cache_status::CacheStatus, digest::Md5, problem::Kind};
use serve::source::Source;
use store::{Fill, FillError, FillSpec, Lookup, Reader, Vacancy};

use crate::{
    answer::SMALL_BODY_MAX,
    book::Known,
    cache::{Remembered, Shared},
    flights::Departure,
    freshness,
    index::Pages,
    landing::{Content, Failure, Landing},
    options::NoRoom,
    pass::Opened,
    record::Record,
    representation::{self, Representation},
    requesters::Places,
    retry::{Decision, Retries},
    status::add,
    upstream::{AskError, Body, Head, Question, Told},
};

/// Tries for the head of an answer while nothing is here that could be served instead.
const ASKS_MAX: u32 = 3;
/// A name changes at most so often between asking and fetching.
const CHANGES_MAX: u32 = 3;
/// Seconds of an upstream's `Retry-After` that a fill waits by itself; what is longer is handed on.
const PATIENCE_MAX: u64 = 5;
/// A part below this is not worth a second request to continue it.
const RESUME_MIN: u64 = 1 << 20;
/// How long a name is remembered as not for the cache.
const PASSES_FOR: Duration = Duration::from_secs(60);
/// How long after wrong bytes a name is not fetched again, once there were [`WRONG_MAX`] in a row.
const WRONG_FOR: Duration = Duration::from_secs(10);
/// Wrong bytes in a row that are tried once more.
pub(crate) const WRONG_MAX: u32 = 2;

/// One flight.
struct Flying {
    shared: Arc<Shared>,
    question: Arc<Question>,
    departure: Departure,
}

/// Flies: always lands, and ends after the name's record was written.
pub(crate) async fn fly(shared: Arc<Shared>, question: Arc<Question>, departure: Departure) {
    let flying = Flying { shared: shared.clone(), question, departure };
    match flying.question.object {
        None => flying.name().await,
        Some(md5) => flying.object(md5).await,
    }
}

/// The answer while a name is not tried again after wrong bytes.
pub(crate) fn wrong(question: &Question) -> Failure {
    let (path, name) = (question.full.path(), &question.upstream.options.name);
    let detail = format!(
        "the upstream '{name}' sent bytes for {path} that are not what it announces, more than once; compare the file with its \
         digest there. It is fetched again in some seconds"
    );
    Failure::new(Kind::DigestMismatch, detail).with_retry_after(WRONG_FOR.as_secs())
}

/// What is needed to begin.
enum Begin {
    /// The digest is known beforehand.
    Vacancy(Vacancy),
    /// It is not.
    New,
}

/// How the stream of bytes ended.
enum End {
    Complete,
    Broken(AskError),
    Refused(FillError),
    Stopping,
}

impl Flying {
    /// A name: asks whether what is known still holds, and does what follows.
    async fn name(&self) {
        let known = self.shared.book.known(&self.question.key);
        let mut copy = known.filter(|known| self.shared.store.peek(&known.md5).is_some());
        let mut wants_bytes = self.departure.flight.is_body_wanted();
        for _ in 0..CHANGES_MAX {
            let told = match self.ask(copy.as_ref(), wants_bytes).await {
                Ok(told) => told,
                Err(error) => return self.unreachable(&error, copy.as_ref()),
            };
            match told {
                Told::Unchanged(record) => match copy.take() {
                    Some(known) if self.unchanged(&known, record) => return,
                    // Evicted just now: ask for the bytes.
                    _ => continue,
                },
                Told::File(head, body) => match self.file(*head, body, wants_bytes).await {
                    Flow::Done => return,
                    Flow::AskForBytes => wants_bytes = true,
                    Flow::AskAgain => copy = None,
                },
                Told::Listing(listing) => return self.listing(&Pages::of(&listing)),
                Told::NeedsSlash => {
                    self.shared.book.forget(&self.question.key);
                    return self.departure.land(Landing::NeedsSlash);
                }
                Told::Answer(opened) => return self.other_answer(*opened, copy.as_ref()),
                Told::No(failure) => {
                    self.shared.book.forget(&self.question.key);
                    return self.departure.land(Landing::Failed(failure));
                }
            }
        }
        let changed = AskError::Changed("the file changed each time it was asked for".into());
        self.departure.land(Landing::Failed(changed.to_failure(&self.question)));
    }

    /// An object by its digest, from the upstream that is asked.
    async fn object(&self, md5: Md5) {
        let crate::upstream::Kind::Outpost(outpost) = &self.question.upstream.kind else { return };
        let asked = self.unless_closing(outpost.object(md5, &self.question.target)).await;
        self.shared.report(&self.question.upstream, &asked);
        match asked {
            Ok(Some((head, body))) => _ = self.file(head, Some(body), true).await,
            Ok(None) => {}
            Err(error) => self.unreachable(&error, None),
        }
        let detail = format!("there is no object {md5} here, and no upstream that knows digests has it");
        self.departure.land(Landing::Failed(Failure::new(Kind::NotFound, detail)));
    }

    /// Asks; while nothing is here to serve instead, a connection that broke or an upstream that is busy for a moment is asked again.
    async fn ask(&self, copy: Option<&Arc<Known>>, wants_bytes: bool) -> Result<Told, AskError> {
        let options = &self.question.upstream.options;
        let mut tries = 1;
        loop {
            let asking = self.question.upstream.ask(&self.question, copy.map(Arc::as_ref), wants_bytes);
            let asked = self.unless_closing(asking).await;
            self.shared.report(&self.question.upstream, &asked);
            let wait = match &asked {
                Err(AskError::Unreachable(_)) => options.retry_backoff,
                Err(AskError::Busy { retry_after, .. }) if *retry_after <= PATIENCE_MAX => {
                    Duration::from_secs(*retry_after)
                }
                _ => return asked,
            };
            if tries >= ASKS_MAX || copy.is_some() || self.question.upstream.health.is_open() || !self.pause(wait).await
            {
                return asked;
            }
            tries += 1;
        }
    }

    /// What is here is still right. `false` if it was evicted meanwhile.
    fn unchanged(&self, known: &Arc<Known>, record: Record) -> bool {
        let known = self.shared.book.confirm(&self.question.key, known, record);
        let Some(reader) = self.shared.sealed(&known.md5) else { return false };
        let status = if self.question.upstream.is_directory() { CacheStatus::Hit } else { CacheStatus::Revalidated };
        self.departure.land(self.shared.land_sealed(&known, reader, self.question.full.path(), status));
        true
    }

    /// The upstream cannot be asked: the last good copy, if it may stand in.
    fn unreachable(&self, error: &AskError, copy: Option<&Arc<Known>>) {
        let stand_in = copy.and_then(|known| self.stand_in(known));
        self.departure.land(stand_in.unwrap_or_else(|| Landing::Failed(error.to_failure(&self.question))));
    }

    fn stand_in(&self, known: &Arc<Known>) -> Option<Landing> {
        let now = SystemTime::now();
        let stale_if_error = self.shared.settings().options.stale_if_error;
        let checked = self.shared.book.checked(known, now);
        if !freshness::may_stand_in(&known.record, checked, now, stale_if_error) {
            return None;
        }
        let reader = self.shared.sealed(&known.md5)?;
        self.shared.book.hold(known);
        Some(self.shared.land_sealed(known, reader, self.question.full.path(), CacheStatus::Stale))
    }

    fn listing(&self, pages: &Arc<Pages>) {
        self.shared.keep_pages(&self.question.key, pages, self.question.upstream.options.recheck);
        self.departure.land(Landing::Index(pages.clone()));
    }

    /// An answer that is not for the cache.
    fn other_answer(&self, opened: Opened, copy: Option<&Arc<Known>>) {
        let status = opened.status;
        if status.is_server_error()
            && let Some(landing) = copy.and_then(|known| self.stand_in(known))
        {
            return self.departure.land(landing);
        }
        if matches!(status, StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::GONE) {
            self.shared.book.forget(&self.question.key);
        }
        if status == StatusCode::OK {
            self.shared.remember(&self.question.key, Remembered::Passes, PASSES_FOR);
        }
        self.departure.land(Landing::pass(Some(opened)));
    }

    /// A file that is not here, or not as it is upstream now.
    async fn file(&self, head: Head, body: Option<Body>, asked_for_bytes: bool) -> Flow {
        let described = || Landing::Described(Arc::new(self.describe(&head.record, known_of(&head))));
        if self.departure.land_unless_body_wanted(described) {
            return Flow::Done;
        }
        if !asked_for_bytes && body.is_none() && matches!(head.grip, crate::upstream::Grip::Name) {
            return Flow::AskForBytes;
        }
        let begin = match head.claims.md5 {
            None => Begin::New,
            Some(md5) => match self.by_digest(md5, &head).await {
                Some(begin) => begin,
                None => return Flow::Done,
            },
        };
        self.fetch(head, body, begin).await
    }

    /// The digest is known beforehand: what is here is not fetched, what is being fetched is followed.
    async fn by_digest(&self, md5: Md5, head: &Head) -> Option<Begin> {
        for _ in 0..CHANGES_MAX {
            match self.shared.store.lookup(&md5) {
                Lookup::Hit(reader) if head.record.len.is_none_or(|len| reader.len() == Some(len)) => {
                    add(&self.shared.counters.known_by_digest, 1);
                    self.adopt(md5, head, reader);
                    return None;
                }
                // Equal digests and different lengths: one of the two is a lie, which the fill will show.
                Lookup::Hit(_) => return Some(Begin::New),
                Lookup::Filling(reader) => {
                    // A fill that ends before its first byte leaves the place to us.
                    if self.unless_closing_bytes(&reader).await {
                        add(&self.shared.counters.known_by_digest, 1);
                        self.follow(md5, head, reader).await;
                        return None;
                    }
                }
                Lookup::Miss(vacancy) => return Some(Begin::Vacancy(vacancy)),
            }
        }
        let failure = Failure::new(Kind::Overloaded, "other fetches of the same content failed; ask again");
        self.departure.land(Landing::Failed(failure.with_retry_after(1)));
        None
    }

    /// The content is here, whole.
    fn adopt(&self, md5: Md5, head: &Head, reader: Reader) {
        let record = Record { len: reader.len(), ..head.record.clone() };
        if self.question.object.is_some() {
            let digests = reader.digests().map_or(representation::Known::Md5(md5), representation::Known::Both);
            let content = self.content(&record, digests, reader, self.shared.requesters.of(&md5), CacheStatus::Hit);
            return self.departure.land(content);
        }
        let known = self.shared.book.write(&self.question.key, md5, record);
        self.departure.land(self.shared.land_sealed(&known, reader, self.question.full.path(), CacheStatus::Hit));
    }

    /// Another flight is fetching the same content.
    async fn follow(&self, md5: Md5, head: &Head, reader: Reader) {
        let places = self.shared.requesters.of(&md5);
        let known = representation::Known::Md5(md5);
        self.departure.land(self.content(&head.record, known, reader.clone(), places, CacheStatus::Collapsed));
        let sealed = tokio::select! {
            () = self.shared.closing.cancelled() => return,
            sealed = reader.sealed() => sealed,
        };
        if sealed.is_ok() && self.question.object.is_none() {
            let record = Record { len: reader.len(), ..head.record.clone() };
            self.shared.book.write(&self.question.key, md5, record);
        }
    }

    /// Fetches into the store.
    async fn fetch(&self, head: Head, body: Option<Body>, begin: Begin) -> Flow {
        let Some(_slot) = self.shared.fill_slot() else {
            let detail = "as many files as may be at once are being fetched; ask again";
            return self.fail(Failure::new(Kind::Overloaded, detail).with_retry_after(1));
        };
        let fill = match self.begin(&head, begin).await {
            Ok(fill) => fill,
            Err(error) if error.is_room() => {
                self.departure.land(self.no_room(head, body, &error));
                return Flow::Done;
            }
            Err(error) => return self.fail(self.disk_failure(&error)),
        };
        let flight = &self.departure.flight;
        let places = match head.claims.md5 {
            None => self.shared.requesters.unnamed(),
            Some(md5) => self.shared.requesters.of(&md5),
        };
        if let Some(md5) = head.claims.md5 {
            let _ = flight.md5.set(md5);
        }
        let _ = flight.reader.set(fill.reader());
        let _ = flight.places.set(places.clone());
        match self.stream(fill, &head, body, &places).await {
            Ok(fill) => self.finish(fill, &head, &places).await,
            Err(flow) => flow,
        }
    }

    fn fail(&self, failure: Failure) -> Flow {
        self.departure.land(Landing::Failed(failure));
        Flow::Done
    }

    async fn begin(&self, head: &Head, begin: Begin) -> Result<Fill, FillError> {
        let part = self.shared.store.resumable(&head.source).filter(|_| !head.source.is_empty());
        let spec = FillSpec {
            len: head.record.len,
            claims: head.claims,
            source: head.source.clone(),
            resume: part.is_some_and(|part| part.position >= RESUME_MIN),
        };
        match begin {
            Begin::Vacancy(vacancy) => vacancy.begin(spec).await,
            Begin::New => self.shared.store.fill(spec).await,
        }
    }

    /// Streams to the end, over as many connections as it takes.
    async fn stream(
        &self,
        mut fill: Fill,
        head: &Head,
        body: Option<Body>,
        places: &Arc<Places>,
    ) -> Result<Fill, Flow> {
        let options = &self.question.upstream.options;
        let mut retries = Retries::new(options.retries_max, options.retry_backoff, options.retry_backoff_max);
        let mut body = body.filter(|_| fill.position() == 0);
        if fill.position() > 0 {
            add(&self.shared.counters.resumed, 1);
        }
        loop {
            let before = fill.position();
            let end = match self.open(head, body.take(), before).await {
                Ok(mut open) => {
                    self.land_fill(&fill, head, places);
                    self.pump(&mut fill, &mut open, head.record.len).await
                }
                Err(error) => End::Broken(error),
            };
            let error = match end {
                End::Complete => return Ok(fill),
                End::Broken(error) => error,
                End::Refused(error) => return Err(self.refused(fill, &error)),
                End::Stopping => {
                    self.departure.leave();
                    fill.suspend("this server is stopping");
                    return Err(Flow::Done);
                }
            };
            let progressed = fill.position() > before;
            if let Err(fate) = self.retry(&mut retries, progressed, &error).await {
                return Err(self.give_up(fill, &error, fate));
            }
            if fill.position() > 0 {
                add(&self.shared.counters.resumed, 1);
            }
        }
    }

    /// The bytes from a position on: those that are on the way already, or asked for anew.
    async fn open(&self, head: &Head, body: Option<Body>, position: u64) -> Result<Body, AskError> {
        if let Some(body) = body {
            return Ok(body);
        }
        let asked = self.unless_closing(self.question.upstream.bytes(&self.question, head, position)).await;
        self.shared.report(&self.question.upstream, &asked);
        asked
    }

    /// Moves bytes until something ends it.
    async fn pump(&self, fill: &mut Fill, body: &mut Body, len: Option<u64>) -> End {
        loop {
            let piece = tokio::select! {
                biased;
                () = self.shared.closing.cancelled() => return End::Stopping,
                piece = body.next() => piece,
            };
            match piece {
                Ok(Some(piece)) => {
                    if let Body::File(_) = body {
                        add(&self.shared.counters.upstream_bytes, piece.len() as u64);
                    }
                    if let Err(error) = fill.push(piece).await {
                        return End::Refused(error);
                    }
                }
                Ok(None) if len.is_some_and(|len| fill.position() < len) => {
                    return End::Broken(AskError::Unreachable("the bytes ended before the announced length".into()));
                }
                Ok(None) => return End::Complete,
                Err(error) => return End::Broken(error),
            }
        }
    }

    /// Waits before the next try, or says what becomes of the part.
    async fn retry(&self, retries: &mut Retries, progressed: bool, error: &AskError) -> Result<(), Fate> {
        let path = self.question.full.path();
        add(&self.shared.counters.upstream_errors, 1);
        let wait = match error {
            AskError::Unreachable(_) | AskError::TimedOut(_) => None,
            AskError::Busy { retry_after, .. } if *retry_after <= PATIENCE_MAX => {
                Some(Duration::from_secs(*retry_after))
            }
            AskError::Busy { .. } => return Err(Fate::Suspend),
            AskError::Changed(_) | AskError::Invalid(_) => return Err(Fate::Discard),
        };
        match retries.after_failure(progressed, seed()) {
            Decision::GiveUp => Err(Fate::Suspend),
            // Who waits for a head is not kept waiting for all the tries: nothing was promised yet.
            Decision::Again(_) if !self.departure.has_landed() && self.question.upstream.health.is_open() => {
                Err(Fate::Suspend)
            }
            Decision::Again(backoff) => {
                let wait = wait.unwrap_or(backoff).max(backoff);
                tracing::info!(path, %error, wait_ms = wait.as_millis() as u64, "a fetch broke off and will be continued");
                if self.pause(wait).await { Ok(()) } else { Err(Fate::Suspend) }
            }
        }
    }

    fn give_up(&self, fill: Fill, error: &AskError, fate: Fate) -> Flow {
        tracing::warn!(path = self.question.full.path(), position = fill.position(), %error, "a fetch was given up");
        self.leave_if_landed();
        match fate {
            Fate::Suspend => fill.suspend(&error.to_string()),
            Fate::Discard => fill.discard(&error.to_string()),
        }
        self.changed_or(error, || error.to_failure(&self.question))
    }

    /// Nobody who comes from now on is to follow what is about to fail.
    fn leave_if_landed(&self) {
        if self.departure.has_landed() {
            self.departure.leave();
        }
    }

    /// Nobody was told of a content that changed before its first byte: it is asked for again.
    fn changed_or(&self, error: &AskError, failure: impl FnOnce() -> Failure) -> Flow {
        match error {
            AskError::Changed(_) if !self.departure.has_landed() => Flow::AskAgain,
            _ => self.fail(failure()),
        }
    }

    /// The store took no more: too many bytes, no room for them, or the disk.
    fn refused(&self, fill: Fill, error: &FillError) -> Flow {
        tracing::warn!(path = self.question.full.path(), %error, "a fetch cannot be stored");
        self.leave_if_landed();
        if error.is_room() {
            // Only a fill of unknown length comes here: the next asker gets it uncached.
            self.shared.remember(&self.question.key, Remembered::Passes, PASSES_FOR);
            fill.discard(&error.to_string());
            self.departure.land(Landing::pass(None));
            return Flow::Done;
        }
        fill.discard(&error.to_string());
        self.fail(self.bad_bytes(error))
    }

    /// All bytes came: checks them, releases the tail, makes it durable, and writes the name.
    async fn finish(&self, fill: Fill, head: &Head, places: &Arc<Places>) -> Flow {
        let (key, path) = (&self.question.key, self.question.full.path());
        let reader = fill.reader();
        let changed = Arc::new(AtomicBool::new(false));
        let check = {
            let (unchanged, changed) = (self.question.upstream.unchanged(head), changed.clone());
            move || {
                let is_unchanged = unchanged();
                changed.store(!is_unchanged, Ordering::Release);
                is_unchanged
            }
        };
        let verified = match fill.verify(check).await {
            Ok(verified) => verified,
            Err(error) if changed.load(Ordering::Acquire) => {
                tracing::warn!(path, "a file changed while it was fetched; what came is of no use");
                let error = AskError::Changed(format!("the file changed while it was fetched ({error})"));
                return self.changed_or(&error, || error.to_failure(&self.question));
            }
            Err(error) => {
                tracing::warn!(path, %error, "what was fetched is not kept");
                return self.fail(self.bad_bytes(&error));
            }
        };
        let digests = verified.digests();
        let _ = self.departure.flight.md5.set(digests.md5);
        self.shared.requesters.name(&digests.md5, places);
        self.shared.unremember(key);
        let record = Record { len: reader.len(), ..head.record.clone() };
        let known = representation::Known::Both(digests);
        self.departure.land(self.content(&record, known, reader, places.clone(), CacheStatus::Stored));
        match verified.commit().await {
            Ok(_) if self.question.object.is_none() => _ = self.shared.book.write(key, digests.md5, record),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(path, %error, "a fetched file could not be made durable; it will be fetched again")
            }
        }
        Flow::Done
    }

    /// Lands what is being filled, unless it is so small that it can be checked before anybody gets a head.
    fn land_fill(&self, fill: &Fill, head: &Head, places: &Arc<Places>) {
        let is_small = head.record.len.is_some_and(|len| len <= SMALL_BODY_MAX);
        if !is_small && !self.departure.has_landed() {
            let content =
                self.content(&head.record, known_of(head), fill.reader(), places.clone(), CacheStatus::Stored);
            self.departure.land(content);
        }
    }

    fn content(
        &self,
        record: &Record,
        known: representation::Known,
        reader: Reader,
        places: Arc<Places>,
        leader_status: CacheStatus,
    ) -> Landing {
        let follower_status = match leader_status {
            CacheStatus::Stored => CacheStatus::Collapsed,
            status => status,
        };
        Landing::Content(Arc::new(Content {
            representation: Arc::new(self.describe(record, known)),
            source: Source::Object(reader),
            places,
            leader_status,
            follower_status,
            variant: crate::upstream::variant(record),
        }))
    }

    fn describe(&self, record: &Record, known: representation::Known) -> Representation {
        let settings = self.shared.settings();
        let (path, via) = (self.question.full.path(), &settings.options.via);
        match self.question.object {
            None => Representation::of_name(record, known, path, via),
            Some(_) => Representation::of_object(known, record.len, Some(self.question.target.path()), via),
        }
    }

    /// The store has no room: the file passes through, if it may.
    fn no_room(&self, head: Head, body: Option<Body>, error: &FillError) -> Landing {
        if self.shared.settings().options.no_room == NoRoom::Refuse {
            let detail = format!("{} cannot be kept: {error}. A larger cache would help", self.question.full.path());
            return Landing::Failed(Failure::new(Kind::NoRoom, detail));
        }
        if self.question.upstream.is_directory() {
            return self.shared.land_shared_file(&self.question, &head);
        }
        if matches!(error, FillError::TooLarge { .. }) {
            self.shared.remember(&self.question.key, Remembered::Passes, PASSES_FOR);
        }
        let opened = head.fields.zip(body).map(|(fields, body)| Opened {
            status: StatusCode::OK,
            fields,
            len: head.record.len,
            body,
        });
        Landing::pass(opened)
    }

    fn count_wrong(&self) {
        add(&self.shared.counters.mismatches, 1);
        let times = match self.shared.recall(&self.question.key) {
            Some(Remembered::Wrong(times)) => times.saturating_add(1),
            _ => 1,
        };
        self.shared.remember(&self.question.key, Remembered::Wrong(times), WRONG_FOR);
    }

    fn bad_bytes(&self, error: &FillError) -> Failure {
        if error.is_mismatch() {
            self.count_wrong();
        }
        let kind = match error {
            FillError::Digest { .. } => Kind::DigestMismatch,
            FillError::Length { .. } => Kind::UpstreamInvalid,
            _ => return self.disk_failure(error),
        };
        let (path, name) = (self.question.full.path(), &self.question.upstream.options.name);
        Failure::new(kind, format!("what the upstream '{name}' sent for {path} is not what it announced: {error}"))
    }

    fn disk_failure(&self, error: &FillError) -> Failure {
        tracing::error!(path = self.question.full.path(), %error, "the cache cannot store a file");
        let detail = format!("this server cannot store the file: {error}. Its administrator finds more in its log");
        Failure::new(Kind::Internal, detail)
    }

    /// Waits, visibly for those who follow the progress. `false` if the program is stopping.
    async fn pause(&self, wait: Duration) -> bool {
        *self.departure.flight.pausing_until.lock() = Some(Instant::now() + wait);
        let slept = tokio::select! {
            () = self.shared.closing.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        };
        *self.departure.flight.pausing_until.lock() = None;
        slept
    }

    async fn unless_closing<T>(&self, asking: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
        tokio::select! {
            () = self.shared.closing.cancelled() => {
                let detail = "this server is stopping; ask again".into();
                Err(AskError::Busy { retry_after: PATIENCE_MAX + 1, detail, kind: Kind::Overloaded })
            }
            asked = asking => asked,
        }
    }

    /// Whether another fill of the same content got anywhere.
    async fn unless_closing_bytes(&self, reader: &Reader) -> bool {
        tokio::select! {
            () = self.shared.closing.cancelled() => false,
            readable = reader.readable(0) => readable.is_ok(),
        }
    }
}

/// What follows a file's head.
enum Flow {
    /// It has landed.
    Done,
    /// The description is not enough.
    AskForBytes,
    /// It is another file by now.
    AskAgain,
}

/// What becomes of a part that is not continued now.
#[derive(Clone, Copy)]
enum Fate {
    /// The next asker continues it.
    Suspend,
    /// It is of no use.
    Discard,
}

fn known_of(head: &Head) -> representation::Known {
    match (head.claims.md5, head.claims.sha256) {
        (Some(md5), Some(sha256)) => representation::Known::Both(protocol::digest::Digests { md5, sha256 }),
        (Some(md5), None) => representation::Known::Md5(md5),
        (None, _) => representation::Known::Nothing,
    }
}

/// Something that differs from call to call, for jitter.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now())
}
