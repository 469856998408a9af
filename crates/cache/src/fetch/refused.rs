//! A file that is not kept: no room for it, wrong bytes, or a disk that fails. What is remembered of its name, what followers and the next askers get
//! instead, and what the log says.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use http::StatusCode;
use protocol::problem::Kind;
use store::FillError;

use super::{
    outcome::{Content, Outcome},
    task::{Fetch, Flow},
};
use crate::{
    clock::Clock,
    failure::Failure,
    names::memo::WRONG_FOR,
    options::NoRoom,
    status::add,
    upstream::{
        Question,
        body::Body,
        reply::{Head, OpenAnswer},
    },
};

/// The answer while a name is not tried again after wrong bytes.
pub(crate) fn wrong(question: &Question) -> Failure {
    let (path, name) = (question.full.path(), &question.upstream.options.name);
    let detail = format!(
        "what the upstream '{name}' sends for {path} is not what it announces, more than once; compare the file with its digest \
         there. It is fetched again after {} s",
        WRONG_FOR.as_secs()
    );
    Failure::new(Kind::DigestMismatch, detail).with_retry_after(WRONG_FOR.as_secs())
}

/// The answer while a name is not tried again because there was no room for it.
pub(crate) fn no_room(path: &str) -> Failure {
    let detail = format!(
        "{path} found no room in the cache a moment ago, and is fetched again after a minute. The administrator can give the cache \
         more room, or let such files pass (cache.no_room)"
    );
    Failure::new(Kind::NoRoom, detail)
}

/// The answer where a file is not here and files come only beforehand.
pub(crate) fn not_preloaded(question: &Question, clock: &Clock, retry_delay: Duration) -> Failure {
    let (path, options) = (question.full.path(), &question.upstream.options);
    let seconds = options.preload.wait(clock.now(), retry_delay).as_secs().max(1);
    let detail = format!(
        "{path} is not here, and files of the upstream '{}' come only beforehand (mode \"preload\"). Ask again in {seconds} s, or ask \
         the administrator to preload it",
        options.name
    );
    Failure::new(Kind::NotPreloaded, detail).with_retry_after(seconds)
}

impl Fetch {
    /// What came is of no use, or there is no use for it here.
    pub(super) fn not_kept(&self, error: &FillError) -> Flow {
        if !error.is_room() {
            return self.fail(self.bad_bytes(error));
        }
        let (upstream, path) = (&self.question.upstream.options.name, self.question.full.path());
        tracing::warn!(upstream, path, %error, "what came of a file is not kept, for there is no room for the rest");
        self.remember_no_room(error);
        if let Some(failure) = self.refusal_for_room(error) {
            return self.fail(failure);
        }
        self.owner.conclude(Outcome::pass(None));
        Flow::Done
    }

    /// Its length was not known, or others filled the disk meanwhile: the next asker gets it uncached, if that may be.
    pub(super) fn remember_no_room(&self, error: &FillError) {
        match self.refusal_for_room(error) {
            Some(_) => self.shared.memos.no_room(&self.question.key, Instant::now()),
            None => self.shared.memos.passes(&self.question.key, Instant::now()),
        }
    }

    /// The store has no room: the file passes through, if it may.
    pub(super) fn no_room(&self, head: Head, body: Option<Body>, error: &FillError) -> Outcome {
        if let Some(failure) = self.refusal_for_room(error) {
            return Outcome::Failed(failure);
        }
        if self.question.upstream.is_directory() {
            return Content::of_shared_file(&self.shared, &self.question, &head)
                .map_or(Outcome::pass(None), Outcome::from);
        }
        if matches!(error, FillError::TooLarge { .. }) {
            self.shared.memos.passes(&self.question.key, Instant::now());
        }
        let opened = head.fields.zip(body).map(|(fields, body)| OpenAnswer {
            status: StatusCode::OK,
            fields,
            len: head.record.len,
            body,
        });
        Outcome::pass(opened)
    }

    /// Once per time of need: from here on every file is sent at the cost of the line, which nobody sees.
    pub(super) fn warn_of_no_room(&self, error: &FillError) {
        if !self.shared.is_short_of_room.swap(true, Ordering::Relaxed) {
            let (upstream, path) = (&self.question.upstream.options.name, self.question.full.path());
            tracing::warn!(
                upstream,
                path,
                %error,
                "the cache has no room for a file; until it has, files pass through uncached or are refused (cache.no_room): free space on its disk, raise cache.max_size or lower cache.min_free"
            );
        }
    }

    /// What is said where nothing may pass through uncached.
    fn refusal_for_room(&self, error: &FillError) -> Option<Failure> {
        if self.shared.settings().options.no_room != NoRoom::Refuse {
            return None;
        }
        let detail = format!(
            "{} is not served: {error}. The administrator can give the cache more room, or let such files pass (cache.no_room)",
            self.question.full.path()
        );
        Some(Failure::new(Kind::NoRoom, detail))
    }

    pub(super) fn bad_bytes(&self, error: &FillError) -> Failure {
        if error.is_mismatch() {
            add(&self.shared.counters.mismatches, 1);
            let now = Instant::now();
            self.shared.memos.was_wrong(&self.question.key, now);
            if let Some(md5) = self.owner.flight.md5.get() {
                self.shared.memos.taint(&md5.0, now);
            }
        }
        let kind = match error {
            FillError::Digest { .. } => Kind::DigestMismatch,
            FillError::Length { .. } => Kind::UpstreamInvalid,
            _ => return self.disk_failure(error),
        };
        let (path, upstream) = (self.question.full.path(), &self.question.upstream.options.name);
        tracing::warn!(upstream, path, %error, "what came of a file is not what the upstream announced, and is not kept");
        let detail = format!(
            "what the upstream '{upstream}' sent for {path} is not what it announced: {error}. Ask again; if it lasts, compare the \
             file with its digest there"
        );
        Failure::new(kind, detail)
    }

    pub(super) fn disk_failure(&self, error: &FillError) -> Failure {
        let path = self.question.full.path();
        tracing::error!(path, %error, "a file cannot be stored in the cache; look at its disk");
        let detail = format!("this server cannot store {path}: {error}. Its administrator finds more in its log");
        Failure::new(Kind::Internal, detail)
    }
}
