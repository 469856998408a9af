//! What follows for a plan from changes that an upstream tells by itself, between two listings.

use std::time::SystemTime;

use super::Plan;
use crate::preload::queue::Want;

impl Plan {
    /// A file has changed while a period is open: it belongs to the round of that, which goes on if it was done. `false` if it is for the next.
    pub(crate) fn noticed(&mut self, want: Want) -> bool {
        let Some(round) = &mut self.clock else { return false };
        if !round.queue.push(want) {
            return false;
        }
        round.ended = None;
        if let Some(last) = &mut self.last {
            last.ended = None;
        }
        true
    }

    /// A round that is done says nothing of what there is now: where others follow within its period, the next is due.
    pub(crate) fn make_due(&mut self) {
        if let Some(ended) = self.last.as_mut().and_then(|last| last.ended.as_mut()) {
            *ended = SystemTime::UNIX_EPOCH;
        }
    }
}
