//! All that the registry knows, in memory: hears reports and answers questions. Pure but for the secret of its hash: the time is an argument, and what is to be
//! written to the database is told to who asks for it.
//!
//! | a node | until |
//! | --- | --- |
//! | here | it has not reported by its `expires` -> away |
//! | away: holds nothing in any answer, but what it said is kept | it reports -> here, as it was if no report was missed; or nothing is heard of it for `FORGET_AFTER`, or its place is needed -> unknown |
//! | unknown | it reports: everything is asked of it |

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    digest::Md5,
    enrolment::Role,
    jobs::JobState,
    patience::Spread,
    report::{HOLDS_MAX, Refusal, Report, Reported},
    topology::DomainName,
};
use roaring::RoaringBitmap;

use super::{
    Intervals, NodeState, NotTaken, Usage,
    fetching::FetchingIndex,
    nodes::{Changed, NODES_MAX, Node, Nodes},
    numbering::Heard,
    objects::{Full, Holders, OBJECTS_MAX, Objects},
};

/// Holdings of all nodes together. Each takes two to four bytes.
const HOLDINGS_MAX: u64 = 50_000_000;
/// States of jobs that are kept of all nodes together, and how many there may be for what commands have printed to be kept too.
const JOB_STATES_TOTAL_MAX: usize = 1_000_000;
const JOB_OUTPUTS_UNTIL: usize = 50_000;
/// Of what a node refuses, and what needs a restart of it, so many are kept, and so many letters of each.
const REFUSED_KEPT_MAX: usize = 16;
const TEXT_KEPT_MAX: usize = 200;
/// How long after it should have reported a node is forgotten for good.
const FORGET_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Nodes that are forgotten at once, so that nobody waits long meanwhile.
const FORGET_AT_ONCE: usize = 16;
/// Who must tell everything does so after at most this: not at once, for many may have to.
const FULL_WITHIN: Duration = Duration::from_secs(10);

/// How much is known at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Different contents.
    pub(super) objects: usize,
    /// Contents of one node.
    pub(super) holds: u64,
    /// Contents of all nodes together.
    pub(super) holdings: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { objects: OBJECTS_MAX, holds: HOLDS_MAX as u64, holdings: HOLDINGS_MAX }
    }
}

/// See above.
pub(super) struct Book {
    limits: Limits,
    nodes: Nodes,
    objects: Objects,
    holdings: u64,
    fetching: FetchingIndex,
    /// Of all nodes together.
    job_states: usize,
}

/// All of a node but what it holds: its state, and the number of its last report.
pub(super) type Described = (Arc<NodeState>, Option<u64>);

/// What is to be written to the database, whole: the digests that its nodes' sets mean are in it, or were written before. `None` is deleted.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) nodes: Vec<(u32, Option<Described>)>,
    pub(super) holdings: Vec<(u32, Option<RoaringBitmap>)>,
    pub(super) jobs: Vec<(u32, Option<Arc<NodeState>>)>,
    pub(super) objects: Vec<(u32, Option<Md5>)>,
}

/// What is not in the database as it is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten {
    pub(super) nodes: Changed,
    pub(super) objects: RoaringBitmap,
}

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.states.is_empty()
            && self.nodes.holdings.is_empty()
            && self.nodes.jobs.is_empty()
            && self.objects.is_empty()
    }
}

impl From<Full> for NotTaken {
    fn from(_: Full) -> Self {
        Self::TooManyObjects
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Book {
    /// Of nobody yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: Nodes::default(),
            objects: Objects::new(limits.objects),
            holdings: 0,
            fetching: FetchingIndex::default(),
            job_states: 0,
        }
    }

    /// Hears a report; answers what is expected of the node next, and what the report was.
    pub(super) fn report(
        &mut self,
        report: &Report,
        domain: Option<&DomainName>,
        intervals: Intervals,
        now: SystemTime,
    ) -> Result<(Reported, Heard), NotTaken> {
        let number = match self.nodes.find(&report.node) {
            Some(number) => number,
            None => self.enter(report, now)?,
        };
        let last = self.nodes.get_mut(number).and_then(|node| node.sequence.take());
        let heard = Heard::of(report, last);
        let taken = match heard {
            Heard::Everything => self.replace(number, report),
            Heard::Changes => self.change(number, report),
            Heard::Missed => Ok(()),
        };
        let is_missed = heard == Heard::Missed || taken.is_err();
        self.describe(number, report, domain, (!is_missed).then_some(report.sequence));
        self.nodes.update(number, |state| (state.last_seen, state.expires) = (now, now + intervals.expires_in));
        taken?;
        let next_in = if is_missed { full_in(report, intervals) } else { intervals.next_in };
        let expires_in = intervals.expires_in.as_secs();
        Ok((Reported { full: is_missed, next_in: next_in.as_secs(), expires_in, url_refused: false }, heard))
    }

    /// Somebody new, of whom nothing is known yet. If there are too many, who is away for the longest time makes room.
    fn enter(&mut self, report: &Report, now: SystemTime) -> Result<u32, NotTaken> {
        if self.nodes.len() >= NODES_MAX {
            let away = self.nodes.longest_away(now).ok_or(NotTaken::TooManyNodes)?;
            self.forget(away);
        }
        let state = Arc::new(NodeState::new(&report.node, report.role, now));
        let node = Node { state, sequence: None, holds: RoaringBitmap::new() };
        self.nodes.add(node).ok_or(NotTaken::TooManyNodes)
    }

    /// It holds what the report says, and nothing else. If that is too much, what was taken of it stands beside what it held.
    fn replace(&mut self, number: u32, report: &Report) -> Result<(), NotTaken> {
        let mut said = RoaringBitmap::new();
        let taken = self.hold(number, &report.holds, &mut said);
        let Some(node) = self.nodes.get_mut(number) else { return taken };
        let before = std::mem::take(&mut node.holds);
        let mut after = said.clone();
        if taken.is_err() {
            after |= &before;
        }
        for dropped in report.dropped.iter().filter_map(|md5| self.objects.find(md5)) {
            after.remove(dropped);
        }
        for gone in (&before | &said) - &after {
            self.objects.release(gone, number);
        }
        self.holds(number, &before, after);
        taken
    }

    /// Something came, something went. What did both is not here: nobody is sent in vain.
    fn change(&mut self, number: u32, report: &Report) -> Result<(), NotTaken> {
        if report.holds.is_empty() && report.dropped.is_empty() {
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(number) else { return Ok(()) };
        let before = node.holds.clone();
        if before.len() + report.holds.len() as u64 > self.limits.holds {
            return Err(NotTaken::HoldsTooMuch);
        }
        let mut after = before.clone();
        let taken = self.hold(number, &report.holds, &mut after);
        for md5 in &report.dropped {
            let dropped = self.objects.find(md5).filter(|object| after.remove(*object));
            dropped.into_iter().for_each(|object| self.objects.release(object, number));
        }
        self.holds(number, &before, after);
        taken
    }

    /// Enters a node as the holder of contents, and their numbers in a set.
    fn hold(&mut self, number: u32, contents: &[Md5], set: &mut RoaringBitmap) -> Result<(), NotTaken> {
        if self.holdings + contents.len() as u64 > self.limits.holdings {
            return Err(NotTaken::TooManyObjects);
        }
        for md5 in contents {
            set.insert(self.objects.hold(md5, number)?);
        }
        Ok(())
    }

    fn holds(&mut self, number: u32, before: &RoaringBitmap, after: RoaringBitmap) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        let (was, is, is_other) = (before.len(), after.len(), *before != after);
        node.holds = after;
        self.holdings = self.holdings - was + is;
        if is_other {
            self.nodes.holds_changed(number);
        }
    }

    /// All else that a report says.
    fn describe(&mut self, number: u32, report: &Report, domain: Option<&DomainName>, sequence: Option<u64>) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        node.sequence = sequence;
        let holds = node.holds.len();
        let fetching = self.fetching.replace(number, &node.state.fetching, &report.fetching);
        self.nodes.update(number, |state| {
            state.role = report.role;
            state.version.clone_from(&report.version);
            state.url.clone_from(&report.url);
            (state.load, state.free, state.holds) = (report.load.min(100), report.free, holds);
            state.configuration = report.configuration;
            state.fetching.clear();
            state.fetching.extend_from_slice(fetching);
            state.refused = report.refused.iter().take(REFUSED_KEPT_MAX).map(shortened).collect();
            let options = report.needs_restart.iter().take(REFUSED_KEPT_MAX);
            state.needs_restart = options.map(|option| short(option)).collect();
        });
        self.nodes.move_to(number, domain);
        if let Some(jobs) = &report.jobs {
            self.jobs(number, jobs);
        }
    }

    /// How its jobs stand, as far as there is room.
    fn jobs(&mut self, number: u32, jobs: &[JobState]) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.state.jobs != jobs) else { return };
        self.job_states -= node.state.jobs.len();
        let room = JOB_STATES_TOTAL_MAX - self.job_states;
        let mut kept: Vec<JobState> = jobs.iter().take(room).cloned().collect();
        if self.job_states > JOB_OUTPUTS_UNTIL {
            kept.iter_mut().for_each(|state| state.output = String::new());
        }
        self.job_states += kept.len();
        Arc::make_mut(&mut node.state).jobs = kept;
        self.nodes.jobs_changed(number);
    }

    /// Who holds a content and is not away: at most `max`, with another `turn` others if there are more.
    pub(super) fn holders(
        &self,
        md5: &Md5,
        within: Option<&DomainName>,
        max: usize,
        turn: u64,
        now: SystemTime,
    ) -> Vec<Arc<NodeState>> {
        match (self.objects.holders(md5), within) {
            (Holders::Free | Holders::Nobody, _) => Vec::new(),
            (Holders::One(number), _) => {
                let is_within =
                    |state: &Arc<NodeState>| within.is_none_or(|domain| state.domain.as_ref() == Some(domain));
                self.here(*number, now).filter(is_within).into_iter().take(max).collect()
            }
            (Holders::Many(set), None) => self.some(set, max, turn, now),
            (Holders::Many(set), Some(domain)) => {
                let members = self.nodes.within(domain);
                members.map_or_else(Vec::new, |members| self.some(&(&**set & members), max, turn, now))
            }
        }
    }

    /// Who of a domain has a content on its way and is not away: at most `max`, with another `turn` others if there are more.
    pub(super) fn fetching(
        &self,
        md5: &Md5,
        within: &DomainName,
        max: usize,
        turn: u64,
        now: SystemTime,
    ) -> Vec<Arc<NodeState>> {
        let both = self.fetching.of(md5).zip(self.nodes.within(within));
        both.map_or_else(Vec::new, |(fetching, members)| self.some(&(fetching & members), max, turn, now))
    }

    fn some(&self, set: &RoaringBitmap, max: usize, turn: u64, now: SystemTime) -> Vec<Arc<NodeState>> {
        let has_more = set.len() > max as u64;
        let place = if has_more { turn.wrapping_mul(max as u64) % set.len() } else { 0 };
        let first = set.select(place as u32).unwrap_or(0);
        let numbers = set.range(first..).chain(set.range(..first));
        numbers.filter_map(|number| self.here(number, now)).take(max).collect()
    }

    /// Somebody who is not away.
    fn here(&self, number: u32, now: SystemTime) -> Option<Arc<NodeState>> {
        self.nodes.get(number).map(|node| &node.state).filter(|state| !state.is_away(now)).cloned()
    }

    /// Whether somebody holds a content and is not away.
    pub(super) fn has(&self, name: &str, md5: &Md5, now: SystemTime) -> bool {
        let node = self.nodes.named(name).filter(|node| !node.state.is_away(now));
        node.zip(self.objects.find(md5)).is_some_and(|(node, object)| node.holds.contains(object))
    }

    /// Somebody, away or not.
    pub(super) fn node(&self, name: &str) -> Option<Arc<NodeState>> {
        self.nodes.named(name).map(|node| node.state.clone())
    }

    /// Those whose names come behind one.
    pub(super) fn behind(&self, name: &str, max: usize) -> Vec<Arc<NodeState>> {
        self.nodes.behind(name).take(max).map(|node| node.state.clone()).collect()
    }

    /// How much it is.
    pub(super) fn usage(&self, now: SystemTime) -> Usage {
        let mut usage = Usage {
            objects: self.objects.len() as u64,
            holdings: self.holdings,
            unwritten: self.nodes.unwritten(),
            ..Usage::default()
        };
        for node in self.nodes.iter() {
            let count = match node.state.role {
                _ if node.state.is_away(now) => &mut usage.away,
                Role::Proxy => &mut usage.proxies,
                Role::Agent => &mut usage.agents,
            };
            *count += 1;
        }
        usage
    }

    /// Forgets a few of those of whom nothing has been heard for very long; answers how many.
    pub(super) fn forget_gone(&mut self, now: SystemTime) -> usize {
        let Some(long_ago) = now.checked_sub(FORGET_AFTER) else { return 0 };
        let gone = self.nodes.away_since(long_ago, FORGET_AT_ONCE);
        gone.iter().for_each(|number| self.forget(*number));
        gone.len()
    }

    fn forget(&mut self, number: u32) {
        let Some(node) = self.nodes.remove(number) else { return };
        self.holdings -= node.holds.len();
        self.fetching.remove(number, &node.state.fetching);
        self.job_states -= node.state.jobs.len();
        for object in &node.holds {
            self.objects.release(object, number);
        }
    }

    /// What is to be written to the database. Until the next change, [`batch`](Self::batch) tells it.
    pub(super) fn take_unwritten(&mut self) -> Unwritten {
        Unwritten { nodes: self.nodes.take_changed(), objects: self.objects.take_changed() }
    }

    /// It could not be written.
    pub(super) fn put_back(&mut self, unwritten: &Unwritten) {
        self.nodes.put_back_changed(&unwritten.nodes);
        self.objects.put_back_changed(&unwritten.objects);
    }

    /// Everything that was not written, as it is now.
    pub(super) fn batch(&self, unwritten: &Unwritten) -> Batch {
        let node = |number: u32| self.nodes.get(number).map(|node| (node.state.clone(), node.sequence));
        let holdings = |number: u32| self.nodes.get(number).map(|node| node.holds.clone());
        Batch {
            nodes: unwritten.nodes.states.iter().map(|number| (number, node(number))).collect(),
            holdings: unwritten.nodes.holdings.iter().map(|number| (number, holdings(number))).collect(),
            jobs: unwritten.nodes.jobs.iter().map(|number| (number, node(number).map(|(state, _)| state))).collect(),
            objects: unwritten.objects.iter().map(|number| (number, self.objects.digest(number))).collect(),
        }
    }

    /// From the database, in the order of their numbers, all of them before the first node.
    pub(super) fn restore_object(&mut self, number: u32, md5: Md5) {
        self.objects.restore(number, md5);
    }

    /// From the database, in the order of their numbers. What cannot be is left out, and asked of the node again.
    pub(super) fn restore_node(
        &mut self,
        number: u32,
        mut state: NodeState,
        sequence: Option<u64>,
        said: &RoaringBitmap,
    ) {
        let holds: RoaringBitmap = said.iter().filter(|object| self.objects.is_known(*object)).collect();
        let sequence = sequence.filter(|_| holds.len() == said.len());
        (state.holds, state.fetching) = (holds.len(), Vec::new());
        state.jobs.truncate(JOB_STATES_TOTAL_MAX - self.job_states);
        let (held, jobs) = (holds.clone(), state.jobs.len());
        if self.nodes.restore(number, Node { state: Arc::new(state), sequence, holds }) {
            self.holdings += held.len();
            self.job_states += jobs;
            held.iter().for_each(|object| self.objects.restore_holder(object, number));
        }
    }

    /// That was all.
    pub(super) fn restored(&mut self) {
        self.objects.restored();
    }
}

/// Others may have to tell everything too, so each is given its own moment.
fn full_in(report: &Report, intervals: Intervals) -> Duration {
    let Md5([a, b, c, d, e, f, g, h, ..]) = Md5::of(report.node.as_bytes());
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ report.sequence;
    Spread::new(seed).between(Duration::from_secs(1), FULL_WITHIN.min(intervals.next_in))
}

fn shortened(refusal: &Refusal) -> Refusal {
    Refusal { option: short(&refusal.option), reason: short(&refusal.reason) }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_KEPT_MAX).collect()
}
