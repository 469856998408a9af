//! What a flight comes to: the closed set of outcomes that its followers are answered from.

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::{
    cache_status::CacheStatus,
    problem::{Kind, Problem},
};
use serve::{response::Response, source::Source};

use crate::{
    index::Pages,
    pass::Opened,
    record::{HttpMeta, Record},
    representation::Representation,
    requesters::Places,
};

/// Clones share it.
#[derive(Clone)]
pub(crate) enum Landing {
    /// There are bytes to follow.
    Content(Arc<Content>),
    /// What the content is, without its bytes.
    Described(Arc<Representation>),
    /// A directory.
    Index(Arc<Pages>),
    /// A directory whose name lacks its slash.
    NeedsSlash,
    /// Not for the cache: everybody asks for themselves. The one whose request it was may take the answer that is already open.
    Pass(Arc<Mutex<Option<Opened>>>),
    /// None of these.
    Failed(Failure),
}

/// A content and how it came.
pub(crate) struct Content {
    pub(crate) representation: Arc<Representation>,
    pub(crate) source: Source,
    /// What the upstream said of it: until when it may be given out without asking.
    pub(crate) record: Record,
    pub(crate) places: Arc<Places>,
    /// For the one who began the flight.
    pub(crate) leader_status: CacheStatus,
    /// For the others.
    pub(crate) follower_status: CacheStatus,
    /// If it is one of several variants.
    pub(crate) variant: Option<HttpMeta>,
}

/// Why there is nothing to serve.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) problem: Arc<Problem>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, problem: Arc::new(Problem::new(kind, detail)) }
    }

    pub(crate) fn with_retry_after(self, seconds: u64) -> Self {
        Self { kind: self.kind, problem: Arc::new(Problem::clone(&self.problem).retry_after(seconds)) }
    }

    /// The task that should have answered ended.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Overloaded, "the fetch was interrupted because this server is stopping; try again")
            .with_retry_after(1)
    }

    pub(crate) fn to_response(&self) -> Response {
        Response::problem(&self.problem, self.kind)
    }
}

impl Landing {
    pub(crate) fn pass(opened: Option<Opened>) -> Self {
        Self::Pass(Arc::new(Mutex::new(opened)))
    }
}
