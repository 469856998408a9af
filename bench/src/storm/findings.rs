//! What a storm came to: who had what when, and whether the goals are met. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::{digest::Md5, topology::Tier};

use super::{
    machine::{Machine, Story},
    world::Environment,
};
use crate::histogram::Histogram;

/// Requests for each machine and package, without the streams of changes: the goal is below this.
pub(crate) const REQUESTS_MAX: f64 = 1.5;

/// What was seen of one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfTier {
    pub(crate) machines: usize,
    /// All their contents had sources at the first question that they were part of.
    pub(crate) at_once: usize,
    /// Had sources for all of their contents in the end.
    pub(crate) told: usize,
    /// Hold all of them.
    pub(crate) hold: usize,
    /// Answers "not ready", by content.
    pub(crate) not_ready: u64,
    /// The most questions that one content took.
    pub(crate) questions_max: u32,
}

/// What was seen.
pub(crate) struct Findings {
    pub(crate) tiers: BTreeMap<Tier, OfTier>,
    /// "Not ready" was said of a content that the asker's proxy held and had reported.
    pub(crate) denied: u64,
    /// How long after its proxy held a content an agent had the sources of it; none if it had them before.
    pub(crate) late: Histogram,
    /// From the publication to when the last one had all.
    pub(crate) took: Option<Duration>,
}

/// Whether one of the goals is met, and what it says.
pub(crate) struct Goal {
    pub(crate) text: &'static str,
    pub(crate) is_met: bool,
}

impl Findings {
    /// Of machines in the order of their numbers, and so many contents for each.
    pub(crate) fn of(machines: &[Machine], contents: usize, published: Instant) -> Self {
        let stories: Vec<BTreeMap<Md5, Story>> =
            machines.iter().map(|machine| machine.stories().map(|(md5, story)| (*md5, *story)).collect()).collect();
        let mut findings = Self { tiers: BTreeMap::new(), denied: 0, late: Histogram::new(), took: None };
        let mut last = Some(published);
        for (machine, own) in machines.iter().zip(&stories) {
            findings.tiers.entry(machine.member.tier).or_default().add(own, contents);
            let is_whole = own.len() >= contents && own.values().all(|story| story.held.is_some());
            last = last
                .filter(|_| is_whole)
                .and_then(|last| own.values().filter_map(|story| story.held).chain([last]).max());
            if let Some(proxy) = machine.member.proxy {
                findings.compare(own, &stories[proxy]);
            }
        }
        findings.took = last.map(|last| last.saturating_duration_since(published));
        findings
    }

    /// An agent with its proxy.
    fn compare(&mut self, own: &BTreeMap<Md5, Story>, proxys: &BTreeMap<Md5, Story>) {
        for (md5, story) in own {
            let Some(proxy) = proxys.get(md5) else { continue };
            if let (Some(told), Some(held)) = (story.told, proxy.held) {
                self.late.record(told.saturating_duration_since(held));
            }
            let was_denied = story.last_not_ready.zip(proxy.reported).is_some_and(|(asked, known)| asked > known);
            self.denied += u64::from(was_denied);
        }
    }

    pub(crate) fn of_tier(&self, tier: Tier) -> OfTier {
        self.tiers.get(&tier).cloned().unwrap_or_default()
    }

    pub(crate) fn goals(&self, environment: Environment, per_machine_and_package: f64) -> Vec<Goal> {
        let upper = self.of_tier(Tier::Unconstrained);
        let all = |count: fn(&OfTier) -> usize| {
            Tier::ALL.iter().all(|tier| count(&self.of_tier(*tier)) == environment.of(*tier))
        };
        vec![
            Goal {
                text: "every upper proxy has its sources at the first question",
                is_met: upper.at_once == environment.upper,
            },
            Goal { text: "everyone has the sources of all packages", is_met: all(|tier| tier.told) },
            Goal {
                text: "nobody is told \"not ready\" once its proxy has reported the package",
                is_met: self.denied == 0,
            },
            Goal { text: "everyone has all packages", is_met: all(|tier| tier.hold) },
            Goal {
                text: "requests stay below 1.5 per machine and package",
                is_met: per_machine_and_package < REQUESTS_MAX,
            },
        ]
    }
}

impl OfTier {
    fn add(&mut self, stories: &BTreeMap<Md5, Story>, contents: usize) {
        let is_whole = stories.len() >= contents;
        let all = |test: fn(&Story) -> bool| usize::from(is_whole && stories.values().all(test));
        self.machines += 1;
        self.at_once += all(|story| story.told.is_some() && story.questions == 1);
        self.told += all(|story| story.told.is_some());
        self.hold += all(|story| story.held.is_some());
        self.not_ready += stories.values().map(|story| u64::from(story.not_ready)).sum::<u64>();
        self.questions_max =
            stories.values().map(|story| story.questions).chain([self.questions_max]).max().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(now: Instant) -> Story {
        let then = |seconds| Some(now + Duration::from_secs(seconds));
        Story {
            heard: now,
            questions: 1,
            not_ready: 0,
            last_not_ready: None,
            told: then(1),
            held: then(2),
            reported: then(3),
        }
    }

    #[test]
    fn a_machine_counts_only_with_all_its_contents() {
        let now = Instant::now();
        let whole: BTreeMap<_, _> = (0..2).map(|number| (Md5([number; 16]), story(now))).collect();
        let mut part = whole.clone();
        part.pop_last();
        let mut waits = whole.clone();
        waits.insert(Md5([0; 16]), Story { questions: 3, not_ready: 2, held: None, ..story(now) });
        let mut tier = OfTier::default();
        [whole, part, waits].iter().for_each(|stories| tier.add(stories, 2));
        let expected = OfTier { machines: 3, at_once: 1, told: 2, hold: 1, not_ready: 2, questions_max: 3 };
        assert_eq!(tier, expected);
    }

    #[test]
    fn who_is_told_not_ready_after_the_proxy_has_reported_is_noticed() {
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        let proxys = BTreeMap::from([(Md5([1; 16]), story(now))]);
        let mut findings = Findings { tiers: BTreeMap::new(), denied: 0, late: Histogram::new(), took: None };
        for (asked, told, denied, late) in [(2, 5, 0, 3), (4, 9, 1, 7)] {
            let own = Story { last_not_ready: at(asked), told: at(told), ..story(now) };
            findings.compare(&BTreeMap::from([(Md5([1; 16]), own)]), &proxys);
            assert_eq!((findings.denied, findings.late.max()), (denied, Duration::from_secs(late)));
        }
    }
}
