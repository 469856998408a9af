//! What a flight comes to: the closed set of outcomes that its followers are answered from.

use std::sync::Arc;

use parking_lot::Mutex;
use protocol::cache_status::CacheStatus;
use serve::source::Source;

use crate::{
    answer::pages::Pages,
    failure::Failure,
    names::{record::Record, representation::Representation},
    requesters::Places,
    upstream::told::Opened,
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
}

impl From<Content> for Landing {
    fn from(content: Content) -> Self {
        Self::Content(Arc::new(content))
    }
}

impl Landing {
    pub(crate) fn pass(opened: Option<Opened>) -> Self {
        Self::Pass(Arc::new(Mutex::new(opened)))
    }
}
