//! What a flight comes to: the closed set of outcomes that its followers are answered from.

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::cache_status::CacheStatus;
use serve::source::Source;

use crate::{
    answer::{pages::Pages, said::Said},
    failure::Failure,
    names::{lines::Lines, record::Record, representation::Representation},
    requesters::Places,
    upstream::reply::OpenAnswer,
};

/// Clones share it.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// There are bytes to follow.
    Content(Arc<Content>),
    /// What the content is, without its bytes.
    Described(Arc<Representation>),
    /// A directory.
    Index(Arc<Pages>),
    /// A directory whose name lacks its slash.
    NeedsSlash,
    /// Not for the cache: everybody asks for themselves. The one whose request it was may take the answer that is already open.
    Pass(Arc<Mutex<Option<OpenAnswer>>>),
    /// A short answer for all who wait, kept for nobody.
    Said(Arc<Said>),
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
    /// For the one who began the flight; see [`Content::status`].
    pub(crate) first_status: CacheStatus,
    /// Lines that only that one gets.
    pub(crate) withheld: Lines,
}

/// Whose request it is that a flight answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It began the flight.
    First,
    /// It came to one that was on.
    Follower,
}

impl Content {
    /// What is said of how it came.
    pub(crate) fn status(&self, role: Role) -> CacheStatus {
        match (self.first_status, role) {
            (CacheStatus::Stored, Role::Follower) => CacheStatus::Collapsed,
            (status, _) => status,
        }
    }
}

impl From<Content> for Outcome {
    fn from(content: Content) -> Self {
        Self::Content(Arc::new(content))
    }
}

impl Outcome {
    pub(crate) fn pass(opened: Option<OpenAnswer>) -> Self {
        Self::Pass(Arc::new(Mutex::new(opened)))
    }
}
