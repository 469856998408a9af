//! What a run came to.

use super::{
    events::{Moment, SECOND},
    setup::{Contest, Setup},
};

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Story {
    pub(crate) contest: Contest,
    pub(crate) agents: u32,
    pub(crate) size: u64,
    /// When each was done, in that order.
    pub(crate) done: Vec<Moment>,
    /// When the first began.
    pub(crate) begun: Option<Moment>,
    /// Bytes over the line, from the proxy, from agents.
    pub(crate) line: u64,
    pub(crate) proxy: u64,
    pub(crate) peers: u64,
    /// Bytes that were thrown away, because they were wrong.
    pub(crate) wrong: u64,
    /// At the proxy: requests for bytes, those refused with 503, questions for what it has.
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) questions: u64,
    /// The same at agents, in all.
    pub(crate) peer_requests: u64,
    pub(crate) peer_refused: u64,
    pub(crate) peer_questions: u64,
    /// Agents that gave up.
    pub(crate) failed: u32,
    /// When nothing happened any more.
    pub(crate) ended: Moment,
}

impl Story {
    pub(crate) fn new(setup: &Setup, contest: Contest) -> Self {
        Self {
            contest,
            agents: setup.agents,
            size: setup.size,
            done: Vec::new(),
            begun: None,
            line: 0,
            proxy: 0,
            peers: 0,
            wrong: 0,
            requests: 0,
            refused: 0,
            questions: 0,
            peer_requests: 0,
            peer_refused: 0,
            peer_questions: 0,
            failed: 0,
            ended: 0,
        }
    }

    /// Seconds from the first begin to when that part of all agents was done; `None`: they never were.
    pub(crate) fn seconds(&self, part: f64) -> Option<f64> {
        let nth = ((f64::from(self.agents) * part).ceil() as usize).clamp(1, self.agents.max(1) as usize);
        let at = self.done.get(nth - 1)?;
        Some((at - self.begun.unwrap_or(0)) as f64 / SECOND as f64)
    }

    /// How often the file went over the line.
    pub(crate) fn line_copies(&self) -> f64 {
        self.line as f64 / self.size.max(1) as f64
    }

    /// How often the proxy sent it.
    pub(crate) fn proxy_copies(&self) -> f64 {
        self.proxy as f64 / self.size.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_last_are_of_all_not_of_those_who_are_done() {
        let mut story = Story::new(&Setup { agents: 4, ..Setup::small() }, Contest::Nobody);
        (story.begun, story.done) = (Some(SECOND), vec![2 * SECOND, 3 * SECOND, 5 * SECOND]);
        assert_eq!([0.0, 0.5, 0.75, 1.0].map(|part| story.seconds(part)), [Some(1.0), Some(2.0), Some(4.0), None]);
    }
}
