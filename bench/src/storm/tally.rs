//! What was asked and what came of it, counted by kind and tier, and when.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::topology::Tier;

use crate::histogram::Histogram;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Where contents are.
    Sources,
    /// What one holds and fetches.
    Report,
    /// The stream of changes.
    Changes,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Sources, Self::Report, Self::Changes];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Report => "reports",
            Self::Changes => "change streams",
        }
    }
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer.
    Answer,
    /// 503.
    Refusal,
    /// Another status, or none.
    Failure,
}

/// Of one kind and tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
}

/// All of it.
pub(crate) struct Tally {
    /// What comes before is counted apart.
    published: Option<Instant>,
    before: BTreeMap<(Kind, Tier), Count>,
    since: BTreeMap<(Kind, Tier), Count>,
    /// Requests by the second since the publication.
    seconds: Vec<u64>,
    pub(crate) answers: Histogram,
    pub(crate) refusals: Histogram,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            published: None,
            before: BTreeMap::new(),
            since: BTreeMap::new(),
            seconds: Vec::new(),
            answers: Histogram::new(),
            refusals: Histogram::new(),
        }
    }

    /// From now on it counts.
    pub(crate) fn publish(&mut self, now: Instant) {
        self.published = Some(now);
    }

    /// A request that was sent at some time is over.
    pub(crate) fn add(&mut self, kind: Kind, tier: Tier, came: Came, sent: Instant, took: Duration) {
        let counts = match self.published {
            Some(published) if sent >= published => {
                let second = sent.duration_since(published).as_secs() as usize;
                if self.seconds.len() <= second {
                    self.seconds.resize(second + 1, 0);
                }
                self.seconds[second] += 1;
                match came {
                    Came::Answer => self.answers.record(took),
                    Came::Refusal => self.refusals.record(took),
                    Came::Failure => {}
                }
                &mut self.since
            }
            _ => &mut self.before,
        };
        let count = counts.entry((kind, tier)).or_default();
        count.requests += 1;
        count.refused += u64::from(came == Came::Refusal);
        count.failed += u64::from(came == Came::Failure);
    }

    /// Since the publication.
    pub(crate) fn count(&self, kind: Kind, tier: Tier) -> Count {
        self.since.get(&(kind, tier)).copied().unwrap_or_default()
    }

    /// Since the publication, without the streams of changes.
    pub(crate) fn requests(&self) -> u64 {
        self.since.iter().filter(|((kind, _), _)| *kind != Kind::Changes).map(|(_, count)| count.requests).sum()
    }

    /// Until the publication, likewise.
    pub(crate) fn requests_before(&self) -> u64 {
        self.before.iter().filter(|((kind, _), _)| *kind != Kind::Changes).map(|(_, count)| count.requests).sum()
    }

    /// The most requests of one second.
    pub(crate) fn peak(&self) -> u64 {
        self.seconds.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_is_counted_apart_and_streams_are_no_requests() {
        let (mut tally, start) = (Tally::new(), Instant::now());
        let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
        tally.add(Kind::Report, Tier::Client, Came::Answer, start, ms);
        tally.publish(start + second);
        tally.add(Kind::Report, Tier::Client, Came::Answer, start, ms);
        for came in [Came::Answer, Came::Refusal, Came::Failure] {
            tally.add(Kind::Sources, Tier::Client, came, start + 3 * second, ms);
        }
        tally.add(Kind::Changes, Tier::Client, Came::Answer, start + 4 * second, ms);
        assert_eq!((tally.requests_before(), tally.requests(), tally.peak()), (2, 3, 3));
        assert_eq!(tally.count(Kind::Sources, Tier::Client), Count { requests: 3, refused: 1, failed: 1 });
        assert_eq!((tally.answers.count(), tally.refusals.count()), (2, 1));
    }
}
