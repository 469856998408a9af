//! Belonging to an origin: enrols, takes its configuration and its orders, and tells what is here.
//!
//! In reading order: `begin` is a start with what was delivered last, `member` the conversation with an origin, made of `asking` (who we are, what is wanted
//! of us) and `telling` (reports); `orders` does what is ordered, `report` says how this proxy is, `status` is what people are told, `called` what an answer is, `holding` what the origin knows already. `keep` has what outlives
//! a restart, `identity` as whom we speak, `advertise` and `load` are pure.
//!
//! When one asks, what an answer means and which report is next is decided in `protocol::membership`; what becomes of a configuration in `life`, as with SIGHUP.

mod advertise;
pub(crate) mod begin;
mod called;
mod holding;
mod identity;
mod keep;
mod load;
mod member;
mod orders;
mod report;
pub(crate) mod status;

mod asking;
mod telling;

use std::sync::Arc;

use self::{identity::Identity, member::Member, status::Status};
use crate::app::App;

/// Belongs to whichever origin the options name, until the runtime ends.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let identity = Identity::of(&app.config.lock().settings);
        let member = identity.and_then(|identity| Member::new(&app, identity));
        match member {
            Some(member) => member.run().await,
            None => {
                *app.belonging.lock() = Status::default();
                app.reconfigured.notified().await;
            }
        }
    }
}
