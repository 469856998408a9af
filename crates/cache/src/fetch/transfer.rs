//! Fetches a file into the store, for a flight: begins, streams, continues at its byte when the upstream breaks off, checks, makes durable, and
//! writes the name's record.
//!
//! | step | goes wrong | what followers see |
//! | --- | --- | --- |
//! | begin | no room | the file passes through, or 507 |
//! | stream | cut, stalled | time, while it is continued; a short close when it is given up |
//! | | another version | a short close; the part is discarded |
//! | verify | wrong bytes, or the source changed | a short close, or 502 for who has no head yet (small files) |
//! | commit | the disk | nothing: they have all bytes; the next asker begins anew |
//! | record | | the name is known from here on |

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use protocol::{cache_status::CacheStatus, problem::Kind};
use store::{Fill, FillError, FillSpec, Vacancy};

use super::{
    account::Account,
    lines::{End, Line},
    refused::not_preloaded,
    retry::{Decision, Retries},
    task::{Fetch, Flow, PATIENCE_MAX},
};
use crate::{
    failure::Failure,
    names::{record::Record, representation::Proof},
    requesters::Places,
    status::add,
    upstream::{
        body::Body,
        error::AskError,
        reply::{Head, Wanted},
    },
};

/// A part below this is not worth a second request to continue it.
const RESUME_MIN: u64 = 1 << 20;

/// What is needed to begin.
pub(crate) enum Begin {
    /// The digest is known beforehand.
    Vacancy(Vacancy),
    /// It is not.
    New,
}

/// What becomes of a part that is not continued now.
#[derive(Clone, Copy)]
enum Fate {
    /// The next asker continues it.
    Suspend,
    /// It is of no use.
    Discard,
}

impl Fetch {
    /// Fetches into the store.
    pub(crate) async fn fetch(&self, head: Head, body: Option<Body>, begin: Begin) -> Flow {
        let Some(_slot) = self.shared.slots.take(self.shared.settings().options.fills_max) else {
            let detail = "as many files are being fetched as may be at once (cache.fills_max); ask again in 1 s";
            return self.fail(Failure::new(Kind::Overloaded, detail).with_retry_after(1));
        };
        let fill = match self.begin(&head, begin).await {
            Ok(fill) => {
                self.shared.is_short_of_room.store(false, Ordering::Relaxed);
                fill
            }
            Err(error) if error.is_room() => {
                self.warn_of_no_room(&error);
                self.owner.conclude(self.no_room(head, body, &error));
                return Flow::Done;
            }
            Err(error) => return self.fail(self.disk_failure(&error)),
        };
        let flight = &self.owner.flight;
        let places = match head.claims.md5 {
            None => self.shared.requesters.unnamed(),
            Some(md5) => self.shared.requesters.of(&md5),
        };
        let _ = flight.reader.set(fill.reader());
        let _ = flight.places.set(places.clone());
        let continued_at = fill.position();
        match self.stream(fill, &head, body, &places).await {
            Ok(fill) => self.finish(fill, &head, &places, continued_at).await,
            Err(flow) => flow,
        }
    }

    async fn begin(&self, head: &Head, begin: Begin) -> Result<Fill, FillError> {
        let part = self.shared.store.resumable(&head.source).filter(|_| !head.source.is_empty());
        let spec = FillSpec {
            len: head.record.len,
            claims: head.claims,
            source: head.source.clone(),
            label: self.question.full.path().into(),
            resume: part.is_some_and(|part| part.taken >= RESUME_MIN),
        };
        match begin {
            Begin::Vacancy(vacancy) => vacancy.begin(spec).await,
            Begin::New => self.shared.store.fill(spec).await,
        }
    }

    /// Streams to the end, over as many connections as it takes.
    async fn stream(&self, fill: Fill, head: &Head, body: Option<Body>, places: &Arc<Places>) -> Result<Fill, Flow> {
        let options = &self.question.upstream.options;
        let mut retries = Retries::new(options.retries_max, options.retry_backoff, options.retry_backoff_max);
        let mut body = body.filter(|_| fill.position() == 0);
        // The length, for as long as spans can be asked for.
        let mut spans = head.record.len.filter(|_| self.question.upstream.gives_spans(head));
        let announce = || self.announce_fill(&fill, head, places);
        loop {
            let before = fill.taken();
            let end = match spans.filter(|_| before > fill.position()) {
                // It came in segments until now.
                Some(len) => {
                    add(&self.shared.counters.resumed, 1);
                    self.carry(&fill, head, len, [None, None], &announce).await
                }
                None => match self.open(head, body.take(), fill.position()).await {
                    Ok(open) => {
                        if before > 0 {
                            add(&self.shared.counters.resumed, 1);
                        }
                        announce();
                        self.pump(&fill, open, head, &mut spans, &announce).await
                    }
                    Err(error) => End::Broken(error),
                },
            };
            let error = match end {
                End::Complete => return Ok(fill),
                End::Broken(error) => error,
                End::Refused(error) => return Err(self.refused(fill, &error)),
                End::Stopping => return Err(self.stopped(fill)),
            };
            if self.owner.flight.stop.is_cancelled() {
                return Err(self.stopped(fill));
            }
            if matches!(error, AskError::Invalid(_)) {
                // It gives other ranges than it is asked for, or none: what is missing comes in one stream.
                spans = None;
            }
            let progressed = fill.taken() > before;
            if let Err(fate) = self.retry(&mut retries, progressed, &error).await {
                return Err(self.give_up(fill, &error, fate));
            }
        }
    }

    /// The bytes from a position on: those that are on the way already, or asked for anew.
    async fn open(&self, head: &Head, body: Option<Body>, position: u64) -> Result<Body, AskError> {
        if let Some(body) = body {
            return Ok(body);
        }
        let wanted = Wanted::From(position);
        let asked = self.unless_closing(self.question.upstream.bytes(&self.question, head, wanted)).await;
        self.shared.report(&self.question.upstream, &asked);
        asked
    }

    /// Moves the bytes of a stream until something ends it, and goes on in segments where somebody waits far ahead of it and the upstream gives them.
    async fn pump(
        &self,
        fill: &Fill,
        mut body: Body,
        head: &Head,
        spans: &mut Option<u64>,
        opened: &(dyn Fn() + Sync),
    ) -> End {
        let mut position = fill.position();
        let mut closing = pin!(self.owner.flight.stop.cancelled());
        let mut aside = pin!(self.aside(fill, head, spans.unwrap_or_default()));
        loop {
            let piece = tokio::select! {
                biased;
                () = &mut closing => return End::Stopping,
                asked = &mut aside, if spans.is_some() => match asked {
                    Ok(line) => {
                        let len = spans.unwrap_or_default();
                        return self.carry(fill, head, len, [Line::rest(body, position), Some(line)], opened).await;
                    }
                    Err(error) => {
                        self.not_aside(&error);
                        *spans = None;
                        continue;
                    }
                },
                piece = body.next() => piece,
            };
            match piece {
                Ok(Some(piece)) => {
                    let len = piece.len();
                    self.count(&body, len);
                    if let Err(error) = fill.push_at(position, piece).await {
                        return End::Refused(error);
                    }
                    position += len as u64;
                }
                Ok(None) if head.record.len.is_some_and(|len| fill.position() < len) => {
                    return End::Broken(AskError::cut());
                }
                Ok(None) => return End::Complete,
                Err(error) => {
                    add(&self.shared.counters.upstream_errors, 1);
                    return End::Broken(error);
                }
            }
        }
    }

    /// Who waits far ahead goes on waiting.
    fn not_aside(&self, error: &AskError) {
        let (upstream, path) = (&self.question.upstream.options.name, self.question.full.path());
        tracing::info!(upstream, path, %error, "a range that somebody waits for could not be fetched before its turn; it comes with the rest of the file");
    }

    /// Keeps what has come, for who asks next.
    fn stopped(&self, fill: Fill) -> Flow {
        self.owner.close();
        fill.suspend(self.why_stopped());
        if self.shared.closing.is_cancelled() {
            return Flow::Done;
        }
        self.fail(not_preloaded(&self.question, &self.shared.clock, self.shared.settings().options.retry_delay))
    }

    /// Waits before the next try, or says what becomes of the part.
    async fn retry(&self, retries: &mut Retries, progressed: bool, error: &AskError) -> Result<(), Fate> {
        let (upstream, path) = (&self.question.upstream.options.name, self.question.full.path());
        let wait = match error {
            // An answer that makes no sense says nothing against the bytes that are here, and the next one may.
            AskError::Unreachable(_) | AskError::TimedOut(_) | AskError::Failing(_) | AskError::Invalid(_) => None,
            AskError::Busy { retry_after, .. } if *retry_after <= PATIENCE_MAX => {
                Some(Duration::from_secs(*retry_after))
            }
            AskError::Busy { .. } => return Err(Fate::Suspend),
            AskError::Changed(_) => return Err(Fate::Discard),
        };
        match retries.after_failure(progressed, seed()) {
            Decision::GiveUp => Err(Fate::Suspend),
            // Who waits for a head is not kept waiting for all the tries: nothing was promised yet.
            Decision::Again(_) if !self.owner.has_announced() && self.question.upstream.health.is_down() => {
                Err(Fate::Suspend)
            }
            Decision::Again(backoff) => {
                let wait = wait.unwrap_or(backoff).max(backoff);
                let pause_ms = wait.as_millis() as u64;
                tracing::info!(upstream, path, %error, pause_ms, "a fetch broke off; it is continued after a pause");
                if self.pause(wait).await { Ok(()) } else { Err(Fate::Suspend) }
            }
        }
    }

    fn give_up(&self, fill: Fill, error: &AskError, fate: Fate) -> Flow {
        let (upstream, path) = (&self.question.upstream.options.name, self.question.full.path());
        let bytes = fill.position();
        self.close_if_announced();
        match fate {
            Fate::Suspend => {
                tracing::warn!(upstream, path, bytes, %error, "a fetch was given up; the next request for the file continues it");
                fill.suspend(&error.to_string());
            }
            Fate::Discard => {
                tracing::warn!(upstream, path, bytes, %error, "a fetch was given up; the next request for the file begins it anew");
                fill.discard(&error.to_string());
            }
        }
        self.changed_or(error, || self.question.failure(error))
    }

    /// The store took no more: too many bytes, no room for them, or the disk.
    fn refused(&self, fill: Fill, error: &FillError) -> Flow {
        // Before anybody who followed can see the end and ask again.
        if error.is_room() {
            self.remember_no_room(error);
        }
        self.close_if_announced();
        fill.discard(&error.to_string());
        self.not_kept(error)
    }

    /// All bytes came: checks them, releases the tail, makes it durable, and writes the name.
    async fn finish(&self, fill: Fill, head: &Head, places: &Arc<Places>, continued_at: u64) -> Flow {
        let (key, path) = (&self.question.key, self.question.full.path());
        let upstream = &self.question.upstream.options.name;
        let reader = fill.reader();
        let is_unchanged = match self.unless_closing(self.question.upstream.is_unchanged(head)).await {
            Ok(is_unchanged) => is_unchanged,
            Err(error) => return self.give_up(fill, &error, Fate::Suspend),
        };
        let verified = match fill.verify(is_unchanged).await {
            Ok(verified) => verified,
            Err(FillError::Changed) => {
                tracing::warn!(upstream, path, "a file changed while it was fetched; what came of it is not kept");
                let error = AskError::Changed("the file changed while it was fetched".into());
                return self.changed_or(&error, || self.question.failure(&error));
            }
            Err(error) => return self.not_kept(&error),
        };
        let digests = verified.digests();
        let _ = self.owner.flight.md5.set(digests.md5);
        self.shared.requesters.name(&digests.md5, places);
        self.shared.memos.forget(key);
        let record = Record { len: reader.len(), ..head.record.clone() };
        let content = self.content(&record, Proof::Both(digests), reader, places.clone(), CacheStatus::Stored);
        self.owner.announce(content);
        match verified.told(self.account(continued_at).to_bytes()).commit().await {
            Ok(_) if self.question.object.is_none() => {
                _ = self.keep(digests.md5, record, head.claims.md5.is_some());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(upstream, path, %error, "a file was fetched and sent, but is not kept; it is fetched again when it is asked for")
            }
        }
        Flow::Done
    }
}

impl Fetch {
    /// How the content came, for those who ask later.
    fn account(&self, continued_at: u64) -> Account {
        let (options, flight) = (&self.question.upstream.options, &self.owner.flight);
        let account = Account {
            upstream: options.name.clone(),
            from: options.location.to_string(),
            // Without its query: that may be a password.
            path: self.question.full.path().into(),
            seconds: Some(flight.began.elapsed().as_secs_f64()),
            continued_at,
            ..Account::default()
        };
        account.waited_for_by(&flight.waiters.read())
    }
}

/// Something that differs from call to call, for jitter.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now())
}
