//! What the origin answers beside files: what there is, who has it, where to get it, who belongs to it. One file per resource; `resource` says which
//! there are and what may be done with each, `asker` who asks, `body` reads what is sent with a question.
//!
//! Everything that costs a statement of a database goes by way of [`Control::later`]: on a thread that may block, and when it is admitted
//! ([`admission`](crate::admission)). Whom there is no room for is refused in [`Control::answer`], before anything else is done for it.

mod announce;
mod asker;
mod body;
mod catalog;
mod changes;
mod configuration;
mod enrol;
mod jobs;
mod nodes;
mod packages;
mod question;
mod reports;
mod resource;
mod sources;
mod topology;
pub(crate) mod work;

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use protocol::{problem::Kind, target::Target, topology::Tier};
use serve::{
    handler::{Answer, Client},
    request::Request,
    response::Response,
};
use tokio::{runtime::Handle, sync::Semaphore};

use self::reports::Pace;
pub(crate) use self::{announce::announce, asker::Asker, body::with_json, resource::Resource};
use crate::{
    admission::Admission,
    answer,
    catalogue::Catalogue,
    feed::Feed,
    members::Members,
    orders::Orders,
    queue::Queue,
    registry::{self, Registry, SqliteRegistry},
    shares::Share,
    site::Site,
    sources::Pending,
};

/// What the resources share; clones are cheap.
#[derive(Clone)]
pub(crate) struct Control {
    /// Whose threads may block.
    pub(crate) runtime: Handle,
    /// Who is answered while everybody asks.
    pub(crate) admission: Arc<Admission>,
    /// Who holds what.
    pub(crate) registry: Arc<dyn Registry>,
    /// What becomes of reports.
    reports: Arc<registry::Counters>,
    /// How often each reports.
    pace: Arc<Mutex<Pace>>,
    /// Places for reports that take long.
    large_reports: Arc<Semaphore>,
    /// What the configuration says of who stands where; the one of this moment.
    pub(crate) site: Arc<ArcSwap<Site>>,
    /// What there is.
    pub(crate) catalogue: Arc<dyn Catalogue>,
    /// What changes.
    pub(crate) feed: Arc<Feed>,
    /// What is read for its digests.
    pub(crate) queue: Arc<Queue>,
    /// What is published under which name.
    pub(crate) shares: Arc<[Share]>,
    /// What somebody waits for.
    pub(crate) pending: Arc<Pending>,
    /// Who belongs.
    pub(crate) members: Arc<Members>,
    /// Who is told to do what.
    pub(crate) orders: Arc<Orders>,
}

/// What is opened before, and given to it.
pub(crate) struct Parts {
    pub(crate) runtime: Handle,
    pub(crate) admission: Arc<Admission>,
    pub(crate) registry: Arc<SqliteRegistry>,
    pub(crate) site: Arc<ArcSwap<Site>>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shares: Vec<Share>,
    pub(crate) members: Arc<Members>,
    pub(crate) orders: Arc<Orders>,
}

impl Control {
    /// Over what there is.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { runtime, admission, registry, site, catalogue, feed, queue, shares, members, orders } = parts;
        Self {
            runtime,
            admission,
            reports: registry.counters().clone(),
            registry,
            pace: Arc::default(),
            large_reports: Arc::new(reports::places()),
            site,
            catalogue,
            feed,
            queue,
            shares: shares.into(),
            pending: Arc::default(),
            members,
            orders,
        }
    }

    /// Answers a question about a resource.
    pub(crate) fn answer(&self, resource: Resource, target: &Target, request: &Request<'_>, client: &Client) -> Answer {
        if !resource.takes(&request.method) {
            return Answer::Now(Response::method_not_allowed(resource.methods()));
        }
        let asker = Asker::of(request, client, &self.site.load(), &self.members);
        if let Some(refused) = self.unproven(resource, &asker) {
            return Answer::Now(refused);
        }
        if let Err(refused) = self.admission.knock(asker.tier, Instant::now()) {
            return Answer::Now(self.admission.answer(refused));
        }
        let (this, asked, tier) = (self.clone(), target.clone(), asker.tier);
        match resource {
            Resource::Catalog => this.catalogue(tier, move |this| catalog::answer(this, &asked)),
            Resource::Packages => this.catalogue(tier, move |this| packages::list(this, &asked)),
            Resource::Package => this.catalogue(tier, move |this| packages::one(this, &asked)),
            Resource::Changes => this.catalogue(tier, move |this| changes::answer(this, &asker, &asked)),
            Resource::Topology => this.catalogue(tier, move |this| topology::answer(this, &asked)),
            Resource::Sources => sources::answer(self, asker, request, client),
            Resource::Reports => reports::answer(self, asker, request),
            Resource::Enrol => enrol::answer(self, asker, request),
            Resource::Configuration => {
                Answer::later(this.later(tier, move |control| configuration::answer(&control, &asker)))
            }
            Resource::Holders(md5) => {
                Answer::later(this.later(tier, move |control| nodes::holders(&control, &md5, &asked)))
            }
            Resource::Nodes => Answer::later(this.later(tier, move |control| nodes::page(&control, &asked))),
            Resource::Node => Answer::Now(nodes::one(self, target)),
            Resource::Jobs => Answer::later(this.later(tier, |control| jobs::all(&control))),
            Resource::Job => Answer::later(this.later(tier, move |control| jobs::one(&control, &asked))),
        }
    }

    /// Why somebody is not listened to where names have to be proven: it has said one without proof, or none where one is needed.
    fn unproven(&self, resource: Resource, asker: &Asker) -> Option<Response> {
        let needs_name = matches!(resource, Resource::Reports | Resource::Configuration);
        let is_nameless = needs_name && asker.node.is_none() && self.site.load().enrolment_required;
        let is_refused = resource != Resource::Enrol && (asker.is_stranger || is_nameless);
        let detail = "this origin believes a name only with its credential: enrol, and send it as Authorization: Bearer CREDENTIAL";
        is_refused.then(|| answer::problem(Kind::Unauthorized, detail))
    }

    /// Who has reported, for the commands.
    pub(crate) fn nodes(&self, target: &Target) -> Response {
        nodes::page(self, target)
    }

    /// How jobs stand, likewise: all of them, or one.
    pub(crate) fn jobs(&self, target: &Target) -> Response {
        if target.path().ends_with("/jobs") { jobs::all(self) } else { jobs::one(self, target) }
    }

    /// What a statement of the catalogue's answers, or why it is refused.
    fn catalogue(
        self,
        tier: Tier,
        make: impl FnOnce(&Self) -> Result<Response, question::Refused> + Send + 'static,
    ) -> Answer {
        Answer::later(self.later(tier, move |control| make(&control).unwrap_or_else(|refused| *refused)))
    }

    /// An answer that is made on a thread that may block, as soon as one of that tier is admitted. Dropping it does not stop what has begun.
    pub(crate) async fn later(self, tier: Tier, make: impl FnOnce(Self) -> Response + Send + 'static) -> Response {
        let entry = match self.admission.enter(tier, Instant::now()) {
            Ok(entry) => entry,
            Err(refused) => return self.admission.answer(refused),
        };
        let permit = match entry.turn().await {
            Ok(permit) => permit,
            Err(refused) => return self.admission.answer(refused),
        };
        let working = move |control| {
            // It goes with the work: that does not end when the client leaves.
            let _permit = permit;
            make(control)
        };
        self.aside(working).await
    }

    /// An answer that is made on a thread that may block, by one who has been admitted. Dropping it does not stop what has begun.
    pub(crate) async fn aside(self, make: impl FnOnce(Self) -> Response + Send + 'static) -> Response {
        let runtime = self.runtime.clone();
        // Fails only when the program ends, or by a panic, which has been reported.
        let made = runtime.spawn_blocking(move || make(self)).await;
        made.unwrap_or_else(|_| answer::problem(Kind::Internal, "this server is stopping; ask again later"))
    }
}
