//! What the steps of a flight's task share: the question, the right to announce and to conclude, and the ways of doing so and of waiting.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::{cache_status::CacheStatus, digest::Md5, problem::Kind, target::Target};
use serve::source::Source;
use store::{Fill, Reader};

use super::{
    flights::FlightOwner,
    outcome::{Content, Outcome},
};
use crate::{
    answer::content::SMALL_BODY_MAX,
    failure::Failure,
    names::{
        book::Known,
        lines::Lines,
        record::Record,
        representation::{Naming, Proof, Representation},
    },
    requesters::Places,
    shared::Shared,
    upstream::{Question, error::AskError, reply::Head},
};

/// Seconds of an upstream's `Retry-After` that a flight waits by itself; what is longer is handed on.
pub(crate) const PATIENCE_MAX: u64 = 5;

/// One flight, as its task holds it.
pub(crate) struct Fetch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) question: Arc<Question>,
    pub(crate) owner: FlightOwner,
    /// When it began to ask, by the book.
    pub(crate) asked: u64,
    /// Lines of the answer that only the one gets who began.
    pub(crate) withheld: Mutex<Lines>,
}

/// What follows a file's head.
pub(crate) enum Flow {
    /// The flight is concluded.
    Done,
    /// The description is not enough.
    AskForBytes,
    /// It is another file by now.
    AskAgain,
}

impl Fetch {
    pub(crate) fn fail(&self, failure: Failure) -> Flow {
        self.owner.conclude(Outcome::Failed(failure));
        Flow::Done
    }

    /// From here on the name is known by this content, unless what it stands for may have changed meanwhile.
    /// `is_told`: the upstream has said beforehand that this is its digest.
    pub(crate) fn keep(&self, md5: Md5, record: Record, is_told: bool) -> Option<Arc<Known>> {
        let asked = self.vouched_from(is_told);
        self.owner.unless_forgotten(|| self.shared.book.write(&self.question.name, md5, record, asked))
    }

    /// From when on the upstream may vouch for what it has said of the name: see [`Book::write`](crate::names::book::Book::write).
    pub(crate) fn vouched_from(&self, is_told: bool) -> u64 {
        if is_told && is_listed_so(&self.question.target) { self.asked } else { 0 }
    }

    /// Nobody who comes from now on is to follow what is about to fail.
    pub(crate) fn close_if_announced(&self) {
        if self.owner.has_announced() {
            self.owner.close();
        }
    }

    /// Nobody was told of a content that changed before its first byte: it is asked for again.
    pub(crate) fn changed_or(&self, error: &AskError, failure: impl FnOnce() -> Failure) -> Flow {
        match error {
            AskError::Changed(_) if !self.owner.has_announced() => Flow::AskAgain,
            _ => self.fail(failure()),
        }
    }

    pub(crate) fn content(
        &self,
        record: &Record,
        proof: Proof,
        reader: Reader,
        places: Arc<Places>,
        first_status: CacheStatus,
    ) -> Outcome {
        Outcome::from(Content {
            representation: Arc::new(self.describe(record, proof)),
            source: Source::Object(reader),
            record: record.clone(),
            places,
            first_status,
            withheld: self.withheld.lock().clone(),
        })
    }

    /// Announces what is being filled, unless it is so small that it can be checked before anybody gets a head.
    pub(crate) fn announce_fill(&self, fill: &Fill, head: &Head, places: &Arc<Places>) {
        let is_small = head.record.len.is_some_and(|len| len <= SMALL_BODY_MAX);
        if !is_small && !self.owner.has_announced() {
            let content = self.content(
                &head.record,
                Proof::claimed(&head.claims),
                fill.reader(),
                places.clone(),
                CacheStatus::Stored,
            );
            self.owner.announce(content);
        }
    }

    pub(crate) fn describe(&self, record: &Record, proof: Proof) -> Representation {
        let settings = self.shared.settings();
        let (via, relocate) = (&settings.options.via, |location: &str| self.question.relocate(location));
        match self.question.object {
            None => {
                let naming = Naming { path: self.question.full.path(), via, relocate: &relocate };
                Representation::of_name(record, proof, &naming)
            }
            Some(_) => Representation::of_object(proof, record.len, Some(self.question.target.path()), via),
        }
    }

    /// Waits, visibly for those who follow the progress. `false` if it is to stop.
    pub(crate) async fn pause(&self, wait: Duration) -> bool {
        *self.owner.flight.pausing_until.lock() = Some(Instant::now() + wait);
        let slept = tokio::select! {
            () = self.owner.flight.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        };
        *self.owner.flight.pausing_until.lock() = None;
        slept
    }

    /// Of one that is told to stop at its byte.
    pub(crate) fn why_stopped(&self) -> &'static str {
        if self.shared.closing.is_cancelled() { "this server is stopping" } else { "the window of preload has closed" }
    }

    pub(crate) async fn unless_closing<T>(
        &self,
        asking: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, AskError> {
        tokio::select! {
            () = self.owner.flight.stop.cancelled() => {
                let detail = format!("{}; ask again in a moment", self.why_stopped());
                Err(AskError::Busy { retry_after: PATIENCE_MAX + 1, detail, kind: Kind::Overloaded })
            }
            asked = asking => asked,
        }
    }
}

/// Whether a name is spelled as an upstream spells it when it tells what changes. Of others it would be told under another name.
fn is_listed_so(target: &Target) -> bool {
    target.query().is_none() && !target.path().contains("//")
}
