//! What the origin answers beside files: what there is, who has it, where to get it, who belongs to it. One file per resource; `resource` says which
//! there are and what may be done with each, `asker` who asks, `body` reads what is sent with a question.
//!
//! Everything that costs a statement of a database goes by way of [`Control::later`], on a thread that may block.

#![allow(dead_code, reason = "each resource comes with its file")]

mod asker;
mod body;
mod resource;

use protocol::{problem::Kind, target::Target};
use serve::{
    handler::{Answer, Client},
    request::Request,
    response::Response,
};
use tokio::runtime::Handle;

pub(crate) use self::{asker::Asker, resource::Resource};
use crate::answer;

/// What the resources share; clones are cheap.
#[derive(Clone)]
pub(crate) struct Control {
    /// Whose threads may block.
    pub(crate) runtime: Handle,
}

impl Control {
    /// Answers a question about a resource.
    pub(crate) fn answer(&self, resource: Resource, target: &Target, request: &Request<'_>, client: &Client) -> Answer {
        if !resource.takes(&request.method) {
            return Answer::Now(Response::method_not_allowed(resource.methods()));
        }
        let _asker = Asker::of(request, client);
        Answer::Now(answer::not_found(target))
    }

    /// An answer that is made on a thread that may block. Dropping it does not stop what has begun.
    pub(crate) async fn later(self, make: impl FnOnce(Self) -> Response + Send + 'static) -> Response {
        let runtime = self.runtime.clone();
        // Fails only when the program ends, or by a panic, which has been reported.
        let made = runtime.spawn_blocking(move || make(self)).await;
        made.unwrap_or_else(|_| answer::problem(Kind::Internal, "this server is stopping; ask again later"))
    }
}
