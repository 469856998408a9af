//! One machine of the storm: what it does next. Pure: the moment and the seed are arguments. Whom to ask, when again, when to report and which report,
//! is decided by the code that agents and proxies run (`outpost_agent::decide`, `protocol::membership`, `protocol::patience`); only its line is made up:
//! contents come one after the other, at its rate.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use outpost_agent::decide::{
    chain::{Chain, Step},
    health::{Health, Request},
};
use protocol::{
    changes::Change,
    digest::Md5,
    enrolment::{OrderState, Role, Stage, Update},
    membership::{Given, Ledger, Numbering, Rhythm},
    patience::{Backoff, Spread, together},
    report::{Fetching, Report, Reported},
    sources::{Answer, DIGESTS_MAX},
    topology::Tier,
};

use super::world::Member;

/// The only server that they ask where something is.
const ORIGIN: &str = "origin";

/// Longer than anything that is waited for.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// How the machines of a tier are.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// After failures.
    pub(crate) backoff: Backoff,
    /// When something new is heard of, it is asked for within this: what comes together is one question.
    pub(crate) gather: (Duration, Duration),
    /// Bytes per second that come over its line.
    pub(crate) rate: u64,
    /// Within so long of the start everybody reports for the first time.
    pub(crate) begin: Duration,
    /// Contents are of the packages if their path begins so.
    pub(crate) prefix: String,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Do {
    /// Ask where these are; tell [`Machine::answered`], [`Machine::refused`] or [`Machine::failed`].
    Ask(Vec<Md5>),
    /// Send this; tell [`Machine::reported`], [`Machine::refused`] or [`Machine::failed`].
    Report(Box<Report>),
    /// Nothing before then, unless something is heard.
    Wait(Instant),
}

/// What became of one content on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Story {
    /// Heard of.
    pub(crate) heard: Instant,
    /// Questions that it was part of.
    pub(crate) questions: u32,
    /// Answers that said "not ready".
    pub(crate) not_ready: u32,
    /// When the question was sent that the last such answer was to.
    pub(crate) last_not_ready: Option<Instant>,
    /// Its sources were told.
    pub(crate) told: Option<Instant>,
    /// All of it is here.
    pub(crate) held: Option<Instant>,
    /// The origin knows that it is.
    pub(crate) reported: Option<Instant>,
}

impl Story {
    fn new(heard: Instant) -> Self {
        Self { heard, questions: 0, not_ready: 0, last_not_ready: None, told: None, held: None, reported: None }
    }
}

struct Content {
    path: String,
    size: u64,
    chain: Chain,
    /// Not asked for before.
    not_before: Instant,
    is_on_its_way: bool,
    story: Story,
}

/// A content on the line.
struct Arriving {
    md5: Md5,
    begun: Instant,
    ends: Instant,
}

/// One machine.
pub(crate) struct Machine {
    pub(crate) member: Member,
    habits: Habits,
    contents: BTreeMap<Md5, Content>,
    /// Whose turn on the line is still to come.
    waiting: VecDeque<Md5>,
    arriving: Option<Arriving>,
    health: Health,
    rhythm: Rhythm,
    numbering: Numbering,
    ledger: Ledger,
    orders: BTreeMap<u64, Vec<Md5>>,
    /// Held, and not told yet.
    news: Vec<Md5>,
    spread: Spread,
    /// Of all its contents: what was asked for together and is to be asked for again at one time is one question again.
    seed: u64,
}

impl Machine {
    pub(crate) fn new(member: Member, habits: Habits, now: Instant, seed: u64) -> Self {
        let mut seeds = Spread::new(seed);
        Self {
            health: Health::new(habits.backoff, seeds.number()),
            rhythm: Rhythm::new(now, habits.begin, habits.backoff, seeds.number()),
            spread: Spread::new(seeds.number()),
            seed: seeds.number(),
            member,
            habits,
            contents: BTreeMap::new(),
            waiting: VecDeque::new(),
            arriving: None,
            numbering: Numbering::default(),
            ledger: Ledger::default(),
            orders: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    /// What to do now.
    pub(crate) fn next(&mut self, now: Instant) -> Do {
        self.receive(now);
        if self.rhythm.due() <= now {
            return Do::Report(Box::new(self.report(now)));
        }
        let (mut asked, mut wait) = (Vec::new(), now + WAIT_MAX);
        for (md5, content) in &mut self.contents {
            if content.is_on_its_way || content.story.held.is_some() {
                continue;
            }
            if content.not_before > now {
                wait = wait.min(content.not_before);
                continue;
            }
            match content.chain.next(&self.health, now) {
                Step::Discover => asked.push(*md5),
                Step::Ask(place) => {
                    content.chain.began(place, &mut self.health);
                    content.is_on_its_way = true;
                    self.waiting.push_back(*md5);
                }
                Step::Wait(until) => wait = wait.min(until.until),
                Step::GiveUp(_) => {}
            }
        }
        self.receive(now);
        // What has just begun may be worth a report.
        wait = wait.min(self.rhythm.due());
        if let Some(arriving) = &self.arriving {
            wait = wait.min(arriving.ends);
        }
        match self.health.due(ORIGIN, Request::Sources, now) {
            _ if asked.is_empty() => Do::Wait(wait),
            Some(due) => Do::Wait(wait.min(due)),
            None => {
                asked.truncate(DIGESTS_MAX);
                self.ask(&asked);
                Do::Ask(asked)
            }
        }
    }

    fn ask(&mut self, asked: &[Md5]) {
        for md5 in asked {
            if let Some(content) = self.contents.get_mut(md5) {
                content.story.questions += 1;
            }
        }
    }

    /// The line: what is due has come, and the next begins.
    fn receive(&mut self, now: Instant) {
        loop {
            if let Some(arriving) = self.arriving.take_if(|arriving| arriving.ends <= now) {
                self.hold(arriving.md5, arriving.ends, now);
                self.begin(arriving.ends);
            } else if self.arriving.is_none() && !self.waiting.is_empty() {
                self.begin(now);
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, begun: Instant) {
        let Some(md5) = self.waiting.pop_front() else { return };
        let size = self.contents.get(&md5).map_or(0, |content| content.size);
        self.arriving = Some(Arriving { md5, begun, ends: begun + self.time_for(size) });
        self.tell_soon(begun);
    }

    fn hold(&mut self, md5: Md5, at: Instant, now: Instant) {
        if let Some(content) = self.contents.get_mut(&md5) {
            content.story.held = Some(at);
            content.is_on_its_way = false;
        }
        self.news.push(md5);
        let holds = |md5: &Md5| self.contents.get(md5).is_some_and(|content| content.story.held.is_some());
        for (id, wanted) in &self.orders {
            if wanted.iter().all(holds) {
                self.ledger.is_at(OrderState {
                    id: *id,
                    state: Stage::Done,
                    fetched: 0,
                    total: 0,
                    detail: String::new(),
                });
            }
        }
        self.tell_soon(now);
    }

    /// Others wait for what a proxy has; for what an agent has, nobody does.
    fn tell_soon(&mut self, now: Instant) {
        if self.member.tier != Tier::Client {
            self.rhythm.soon(now);
        }
    }

    fn time_for(&self, size: u64) -> Duration {
        Duration::from_secs_f64(size as f64 / self.habits.rate.max(1) as f64)
    }

    /// Something was told on the stream of changes.
    pub(crate) fn hear(&mut self, change: Change, now: Instant) {
        match change {
            Change::File(file) if file.path.starts_with(&self.habits.prefix) => {
                self.want(file.md5, file.path, file.size, now);
            }
            Change::Order(order) => {
                let Update::Contents(contents) = order.update else { return };
                if self.ledger.give(order.id) != Given::New {
                    return;
                }
                self.orders.insert(order.id, contents.iter().map(|content| content.md5).collect());
                // Its size is told with its sources.
                contents.into_iter().for_each(|content| self.want(content.md5, content.path, 0, now));
                self.tell_soon(now);
            }
            _ => {}
        }
    }

    fn want(&mut self, md5: Md5, path: String, size: u64, now: Instant) {
        // Who is about to ask asks for this too.
        let pending = self.contents.values().map(|content| content.not_before).filter(|at| *at > now).min();
        let not_before =
            pending.unwrap_or_else(|| now + self.spread.between(self.habits.gather.0, self.habits.gather.1));
        let (backoff, seed) = (self.habits.backoff, self.seed);
        let content = self.contents.entry(md5).or_insert_with(|| {
            let story = Story::new(now);
            Content { path, size, chain: Chain::new(backoff, seed), not_before, is_on_its_way: false, story }
        });
        content.size = content.size.max(size);
    }

    /// Where contents are, as an answer to a question of that moment.
    pub(crate) fn answered(&mut self, answer: Answer, asked: Instant, now: Instant) {
        self.health.succeeded(ORIGIN, Request::Sources);
        let expires_in = Duration::from_secs(answer.expires_in);
        let mut again = Vec::new();
        for told in answer.contents {
            let Some(content) = self.contents.get_mut(&told.md5) else { continue };
            content.size = told.size.unwrap_or(content.size);
            content.path = told.path.unwrap_or(std::mem::take(&mut content.path));
            if told.ready && !told.sources.is_empty() {
                content.story.told.get_or_insert(now);
                content.chain.found(told.sources.into_iter().map(Into::into).collect(), expires_in, now);
            } else {
                content.story.not_ready += 1;
                content.story.last_not_ready = Some(asked);
                content.chain.not_ready(Duration::from_secs(told.retry_after.unwrap_or(0)), now);
                again.push(told.md5);
            }
        }
        self.ask_together(&again, now);
    }

    /// What is to be asked for again at different times is asked for in a few questions.
    fn ask_together(&mut self, again: &[Md5], now: Instant) {
        let mut due = Vec::new();
        for md5 in again {
            let step = self.contents.get_mut(md5).map(|content| content.chain.next(&self.health, now));
            due.push(if let Some(Step::Wait(wait)) = step { wait.until } else { now });
        }
        for (md5, asked) in again.iter().zip(together(now, &due)) {
            if let Some(content) = self.contents.get_mut(md5) {
                content.not_before = asked;
            }
        }
    }

    /// The origin said to come again.
    pub(crate) fn refused(&mut self, what: Request, retry_after: Duration, now: Instant) {
        match what {
            Request::Report => self.rhythm.busy(now, retry_after),
            what => self.health.busy(ORIGIN, what, retry_after, now),
        }
    }

    /// No answer, or none that can be used.
    pub(crate) fn failed(&mut self, what: Request, now: Instant) {
        match what {
            Request::Report => self.rhythm.failed(now),
            what => self.health.failed(ORIGIN, what, now),
        }
    }

    fn report(&self, now: Instant) -> Report {
        let is_full = self.numbering.is_full();
        let held = self.contents.iter().filter(|(_, content)| content.story.held.is_some()).map(|(md5, _)| *md5);
        Report {
            node: self.member.name.clone(),
            role: if self.member.tier == Tier::Client { Role::Agent } else { Role::Proxy },
            version: env!("CARGO_PKG_VERSION").into(),
            url: Some(self.member.url()),
            sequence: self.numbering.next(),
            full: is_full,
            holds: if is_full { held.collect() } else { self.news.clone() },
            dropped: Vec::new(),
            fetching: self.fetching(now),
            load: 1,
            free: 1 << 40,
            configuration: 0,
            orders: self.ledger.to_tell(),
            refused: Vec::new(),
            needs_restart: Vec::new(),
            jobs: None,
        }
    }

    /// What is on the line or waits for it, and in how many seconds each will be here.
    fn fetching(&self, now: Instant) -> Vec<Fetching> {
        let Some(arriving) = &self.arriving else { return Vec::new() };
        let mut ends = arriving.ends;
        let mut fetching = Vec::new();
        for md5 in [&arriving.md5].into_iter().chain(&self.waiting) {
            let total = self.contents.get(md5).map_or(0, |content| content.size);
            let is_first = *md5 == arriving.md5;
            ends = if is_first { ends } else { ends + self.time_for(total) };
            let since = now.saturating_duration_since(arriving.begun).as_secs_f64();
            let fetched = if is_first { (since * self.habits.rate as f64) as u64 } else { 0 };
            let ready_in = ends.saturating_duration_since(now).as_secs_f64().ceil() as u64;
            fetching.push(Fetching { md5: *md5, fetched: fetched.min(total), total, ready_in: Some(ready_in) });
        }
        fetching
    }

    /// A report was taken.
    pub(crate) fn reported(&mut self, report: &Report, reported: Reported, now: Instant) {
        self.news.retain(|md5| !report.holds.contains(md5));
        for md5 in &report.holds {
            if let Some(content) = self.contents.get_mut(md5) {
                content.story.reported.get_or_insert(now);
            }
        }
        self.ledger.told(&report.orders);
        self.numbering.answered(reported.full);
        if reported.full {
            self.rhythm.more(now);
        } else {
            self.rhythm.done(now, Duration::from_secs(reported.next_in));
        }
        if !self.news.is_empty() {
            self.tell_soon(now);
        }
    }

    /// Whether a report of it was ever taken.
    pub(crate) fn is_known(&self) -> bool {
        self.numbering.next() > 1
    }

    /// How many contents are here.
    pub(crate) fn held(&self) -> usize {
        self.contents.values().filter(|content| content.story.held.is_some()).count()
    }

    pub(crate) fn stories(&self) -> impl Iterator<Item = (&Md5, &Story)> {
        self.contents.iter().map(|(md5, content)| (md5, &content.story))
    }
}

#[cfg(test)]
mod tests;
