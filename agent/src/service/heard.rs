//! What follows from what the origin tells, and from what becomes of jobs and orders.

use std::time::Duration;

use protocol::{changes::Change, jobs::JobState};

use super::{
    hearing::Interest,
    member::{Member, Talk},
};
use crate::bring::finder::now;

/// What everybody hears at the same moment is acted on within so long.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// That there is another configuration is heard by those whom it concerns: a machine, or a domain.
const CONFIGURED_WITHIN: Duration = Duration::from_secs(3);

impl Member {
    /// One change.
    pub(super) fn heard(&self, talk: &mut Talk, change: Change) {
        match change {
            // Whatever was told meanwhile was not heard.
            Change::Hello(_) => {
                talk.questions.within(now(), HEARD_WITHIN);
                talk.reports.back(now(), HEARD_WITHIN);
                self.jobs.changed("/");
            }
            Change::Configuration(_) => talk.questions.within(now(), CONFIGURED_WITHIN),
            Change::Topology(_) => talk.questions.within(now(), HEARD_WITHIN),
            Change::Order(order) => {
                talk.orders.give(order);
                talk.orders.begin(&self.downloads, &self.jobs);
                talk.reports.soon(now());
            }
            Change::File(file) => self.jobs.changed(&file.path),
            Change::Gone(gone) => self.jobs.changed(&gone.path),
            // What is there now is told when its digest is known.
            Change::Stale(_) => {}
        }
    }

    /// An order has ended, and another may begin.
    pub(super) fn order_ended(&self, talk: &mut Talk) {
        talk.orders.begin(&self.downloads, &self.jobs);
        talk.reports.soon(now());
    }

    /// Says what is listened for: nothing, until the origin knows who listens.
    pub(super) fn listen_as(&self, talk: &Talk) {
        let node = self.downloads.ways().finder.node.clone();
        let is_wanted = talk.is_member && self.origins.changes;
        let interest = node.filter(|_| is_wanted).map(|node| Interest::of(&node, self.jobs.folders()));
        self.interest.send_if_modified(|known| {
            let is_other = *known != interest;
            *known = interest;
            is_other
        });
    }

    /// How jobs stand, where that is to be told.
    pub(super) fn jobs_to_tell(&self, talk: &Talk) -> Option<Vec<JobState>> {
        let states = self.jobs.board().states();
        let is_new = talk.told_jobs.as_ref() != Some(&states);
        (is_new || talk.numbering.is_full()).then_some(states)
    }
}
