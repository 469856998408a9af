//! One request while it is being answered: what every step of that needs.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::StatusCode;
use protocol::{cache_status::CacheStatus, target::Target};
use serve::{response::Response, source::Source};

use crate::{
    answer::{
        content::{PlaceCheck, Reply},
        pages::Pages,
    },
    asked::{Asked, Owned},
    names::representation::Representation,
    requesters::Places,
    settings::Settings,
    shared::Shared,
    status::add,
    upstream::Question,
};

/// Made for each request; borrows it.
pub(crate) struct RequestContext<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) asked: Asked<'a>,
    pub(crate) now: SystemTime,
}

impl<'a> RequestContext<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, asked: Asked<'a>) -> Self {
        Self { shared, settings: shared.settings(), asked, now: os::clock::coarse_now() }
    }

    /// Of a request that has waited for what its question came to. That may have been the end of wrong bytes that the client has a piece of.
    pub(crate) fn after_wait(shared: &'a Arc<Shared>, owned: &'a Owned, question: &Question) -> Self {
        let mut context = Self::new(shared, owned.asked());
        context.asked.range_unless(|| shared.memos.is_tainted(&question.key, Instant::now()));
        context
    }

    /// This machine's name.
    pub(crate) fn via(&self) -> &str {
        &self.settings.options.via
    }

    /// A content that is an object, if the client finds a place at it.
    pub(crate) fn content(
        &self,
        representation: &Representation,
        source: Source,
        places: &dyn Fn() -> Arc<Places>,
        status: CacheStatus,
    ) -> Response {
        self.count(status);
        let peers = |places: &Places| {
            let address = self.asked.client.address.ip().to_canonical();
            places.md5().map_or_else(Vec::new, |md5| self.shared.swarm.peers(md5, address))
        };
        let (options, counters) = (&self.settings.options, &self.shared.counters);
        let check = PlaceCheck { places, peers: &peers, options, counters };
        self.reply(representation, status).with_bytes(source, &check)
    }

    /// What a content is, if that is all that is needed.
    pub(crate) fn description(&self, representation: &Representation) -> Option<Response> {
        self.reply(representation, CacheStatus::Passed).without_bytes()
    }

    pub(crate) fn reply<'b>(&'b self, representation: &'b Representation, status: CacheStatus) -> Reply<'b> {
        Reply { representation, asked: &self.asked, now: self.now, status }
    }

    /// A directory's index.
    pub(crate) fn pages(&self, pages: &Pages, status: CacheStatus) -> Response {
        pages.respond(&self.asked, self.via(), status, self.now)
    }

    /// To the name of a directory with its slash.
    pub(crate) fn to_slash(&self, target: &Target) -> Response {
        let mut response = Response::new(StatusCode::MOVED_PERMANENTLY);
        response.fields.push("Location", target.directory_location());
        response.fields.push("Via", format!("1.1 {}", self.via()));
        response
    }

    fn count(&self, status: CacheStatus) {
        let counters = &self.shared.counters;
        let counter = match status {
            CacheStatus::Hit => &counters.hits,
            CacheStatus::Stored => &counters.misses,
            CacheStatus::Collapsed => &counters.collapsed,
            CacheStatus::Revalidated => &counters.revalidated,
            CacheStatus::Stale => &counters.stale,
            CacheStatus::Passed => &counters.passed,
        };
        add(counter, 1);
    }
}
