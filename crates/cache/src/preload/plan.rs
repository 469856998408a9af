//! What an upstream's preload does next: from its options, what it knows, what happened, and the time. Pure; [`runner`](super::runner) does what it says.
//!
//! Two rounds can be on: one by the clock, of all that the options say, and one on demand, of all that was asked for and is not done. What was
//! asked for goes first, and no window holds it.
//!
//! | a round | begins | ends |
//! | --- | --- | --- |
//! | by the clock | when [`due`] says so; it takes the place of one that is not done, of which the listing finds the rest again | when nothing is left, or never: its window closed |
//! | on demand | when something is asked for | when nothing is left |

mod noticed;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

use super::{
    due::{self, Due, Last},
    forecast::{self, Outlook, Rate},
    queue::{Chosen, Count, Order, Queue, Want},
    walk::{Met, Scope},
};
use crate::{
    fetch::urgency::Class,
    options::{Mode, PreloadOptions},
};

/// Folders that were asked for and wait to be listed.
const SCOPES_MAX: usize = 64;
/// Tries of one file in a round.
const TRIES_MAX: u32 = 5;
/// Wait before the second try; doubles.
const RETRY_WAIT: Duration = Duration::from_secs(5);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(300);
/// Files that failed, of which is told why.
const FAILURES_MAX: usize = 20;
/// What a file of unknown length counts for before any came.
const LENGTH_GUESS: u64 = 1 << 20;
/// While something is on its way it is looked again so often.
const TICK: Duration = Duration::from_secs(1);
/// An upstream that cannot be reached is looked at again so often.
const DOWN_TICK: Duration = Duration::from_secs(2);

/// Which of the two rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Track {
    Clock,
    Demand,
}

/// A round, told apart from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Turn {
    pub(crate) track: Track,
    number: u64,
}

/// What holds now.
pub(crate) struct Rules<'a> {
    pub(crate) mode: Mode,
    pub(crate) options: &'a PreloadOptions,
    pub(crate) now: SystemTime,
    /// The upstream cannot be reached.
    pub(crate) is_down: bool,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    List(Turn, Scope),
    Fetch(Turn, Want, Class),
    /// Nothing, until then or until something happens.
    Rest(Option<SystemTime>),
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// It was here as it is there, so long.
    Here { len: u64 },
    /// It came; of its bytes so many over the line just now, and the others before.
    Fetched { len: u64, crossed: u64 },
    /// It is not there any more.
    Gone,
    /// It is a folder.
    Folder,
    /// It is not for the cache.
    Refused(String),
    /// Not now; perhaps later, at the earliest after so long.
    Later { after: Option<Duration>, reason: String, counts: bool },
    /// It was told to stop at its byte.
    Stopped,
}

/// Why there is no listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// There is none.
    Nothing {
        /// Of which folder, below the mount.
        folder: String,
        /// Why not.
        reason: String,
    },
    /// The upstream could not be asked; perhaps later.
    Trouble(String),
}

/// A round.
#[derive(Debug)]
pub(crate) struct Round {
    number: u64,
    pub(crate) began: SystemTime,
    pub(crate) ended: Option<SystemTime>,
    /// Files that were here already.
    pub(crate) here: Count,
    /// Files that came.
    pub(crate) fetched: Count,
    /// Bytes that crossed the line for files that came.
    pub(crate) crossed: u64,
    pub(crate) failed: u64,
    pub(crate) gone: u64,
    /// What the cache is too small for.
    pub(crate) beyond: Count,
    pub(crate) met: Met,
    pub(crate) is_listing: bool,
    scopes: VecDeque<Scope>,
    /// Those that could not be listed, until they are tried again.
    unlisted: VecDeque<(SystemTime, Scope)>,
    listing_tries: u32,
    queue: Queue,
    later: BTreeMap<(SystemTime, Order), Want>,
    running: Count,
}

/// A file that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) at: SystemTime,
}

/// Something that whoever runs the server should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// By the clock a round began.
    Began,
    /// A round is done.
    Ended(Track),
    /// There is no listing.
    Unlisted { reason: String, is_tried_again: bool },
    /// The window closed over what is left.
    Closed { files: u64, bytes: u64 },
    /// At the measured rate it will not be here in time.
    WillBeLate { needs: Option<Duration>, has: Duration },
    /// It will again.
    InTimeAgain,
    /// The time is over, and something is left.
    Missed { files: u64, bytes: u64 },
}

/// One upstream's.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    clock: Option<Round>,
    demand: Option<Round>,
    last: Option<Last>,
    numbers: u64,
    is_open: bool,
    pub(crate) rate: Rate,
    pub(crate) outlook: Option<Outlook>,
    is_late: bool,
    pub(crate) failures: VecDeque<Failed>,
    notices: Vec<Notice>,
    /// Bytes of files on their way that are still to come.
    underway: u64,
}

impl Round {
    fn new(number: u64, began: SystemTime) -> Self {
        Self {
            number,
            began,
            ended: None,
            here: Count::default(),
            fetched: Count::default(),
            crossed: 0,
            failed: 0,
            gone: 0,
            beyond: Count::default(),
            met: Met::default(),
            is_listing: false,
            scopes: VecDeque::new(),
            unlisted: VecDeque::new(),
            listing_tries: 0,
            queue: Queue::default(),
            later: BTreeMap::new(),
            running: Count::default(),
        }
    }

    fn is_done(&self) -> bool {
        let lists = self.is_listing || !self.scopes.is_empty() || !self.unlisted.is_empty();
        !lists && self.later.is_empty() && self.queue.is_empty() && self.running.files == 0
    }

    /// Bytes that a file of unknown length counts for.
    fn average(&self) -> u64 {
        self.fetched.bytes.checked_div(self.fetched.files).unwrap_or(LENGTH_GUESS)
    }

    /// What is neither here nor on its way.
    fn waiting(&self) -> Count {
        let average = self.average();
        let later = self.later.values().map(|want| want.size.unwrap_or(average));
        Count {
            files: self.queue.len() + self.later.len() as u64,
            bytes: self.queue.bytes(average) + later.sum::<u64>(),
        }
    }

    /// What is not here yet; of what is on its way all.
    pub(crate) fn left(&self) -> Count {
        let Count { files, bytes } = self.waiting();
        Count { files: files + self.running.files, bytes: bytes + self.running.bytes }
    }

    /// All that belongs to it.
    pub(crate) fn total(&self) -> Count {
        let left = self.left();
        Count {
            files: self.here.files + self.fetched.files + self.failed + self.gone + left.files,
            bytes: self.here.bytes + self.fetched.bytes + left.bytes,
        }
    }

    fn take_due(&mut self, now: SystemTime) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            self.queue.push(entry.remove());
        }
        while self.unlisted.front().is_some_and(|(at, _)| *at <= now) {
            self.scopes.extend(self.unlisted.pop_front().map(|(_, scope)| scope));
        }
    }
}

impl Turn {
    /// Whether it is that round.
    pub(crate) fn is_of(self, track: Track, round: &Round) -> bool {
        self.track == track && self.number == round.number
    }
}

impl Plan {
    /// Begins anew; what is on its way is of no round any more.
    pub(crate) fn renew(&mut self) {
        *self = Self { numbers: self.numbers, ..Self::default() };
    }

    pub(crate) fn round(&self, track: Track) -> Option<&Round> {
        match track {
            Track::Clock => self.clock.as_ref(),
            Track::Demand => self.demand.as_ref(),
        }
    }

    fn round_mut(&mut self, track: Track) -> &mut Option<Round> {
        match track {
            Track::Clock => &mut self.clock,
            Track::Demand => &mut self.demand,
        }
    }

    /// That round, unless another has taken its place.
    fn of_turn(&mut self, turn: Turn) -> Option<&mut Round> {
        self.round_mut(turn.track).as_mut().filter(|round| round.number == turn.number)
    }

    /// Whether what goes by the clock may begin.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// When the last round by the clock ended.
    pub(crate) fn last(&self) -> Option<Last> {
        self.last
    }

    /// What happened since the last time that this was asked.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The class of what is fetched by the clock now.
    pub(crate) fn class(&self) -> Class {
        match self.outlook {
            Some(outlook) if outlook.is_urgent() => Class::Demand,
            Some(_) | None => Class::Preload,
        }
    }

    /// Files were asked for by name, or folders. `false` if too many wait already.
    pub(crate) fn ask_for(&mut self, wants: Vec<Want>, scopes: Vec<Scope>, now: SystemTime) -> bool {
        let round = self.on_demand(now);
        if round.scopes.len() + scopes.len() > SCOPES_MAX {
            return false;
        }
        round.scopes.extend(scopes);
        wants.into_iter().all(|want| round.queue.push(want))
    }

    /// The round on demand that is on, or a new one.
    fn on_demand(&mut self, now: SystemTime) -> &mut Round {
        self.numbers += 1;
        let number = self.numbers;
        let round = self.demand.take().filter(|round| round.ended.is_none());
        self.demand.insert(round.unwrap_or_else(|| Round::new(number, now)))
    }

    /// How it stands on the line: bytes that have come in all, and bytes of what is on its way that are still to come.
    pub(crate) fn measured(&mut self, now: SystemTime, crossed: u64, underway: u64, is_busy: bool) {
        self.underway = underway;
        match is_busy {
            true => self.rate.note(now, crossed),
            false => self.rate.pause(),
        }
    }

    /// What to do next; to be asked until it is to rest, with `running` files on their way.
    pub(crate) fn next(&mut self, rules: &Rules<'_>, running: usize) -> Step {
        let due = due::due(rules.mode, rules.options, self.last, rules.now);
        self.enter(due, rules);
        self.judge_deadline(rules);
        for round in [&mut self.demand, &mut self.clock].into_iter().flatten() {
            round.take_due(rules.now);
        }
        if let Some(step) = self.listing() {
            return step;
        }
        let may_begin = running < rules.options.concurrency && !rules.is_down;
        if may_begin && let Some(step) = self.fetching() {
            return step;
        }
        self.end(Track::Demand, rules.now);
        if self.is_open {
            self.end(Track::Clock, rules.now);
        }
        Step::Rest(self.wakes(due, rules, running))
    }

    /// What follows from the clock.
    fn enter(&mut self, due: Due, rules: &Rules<'_>) {
        let was_open = std::mem::replace(&mut self.is_open, !matches!(due, Due::Nothing(_)));
        match due {
            Due::Round(period) => {
                if let Some(left) = self.clock.as_ref().filter(|round| round.ended.is_none()).map(Round::left)
                    && rules.options.ready_by.is_some()
                    && left.files > 0
                {
                    self.notices.push(Notice::Missed { files: left.files, bytes: left.bytes });
                }
                self.numbers += 1;
                let mut round = Round::new(self.numbers, rules.now);
                let PreloadOptions { include, exclude, priority, .. } = rules.options;
                round.scopes.push_back(Scope::new(include, exclude, priority));
                self.clock = Some(round);
                self.last = Some(Last { period, ended: None });
                (self.outlook, self.is_late) = (None, false);
                self.notices.push(Notice::Began);
            }
            Due::Nothing(_) if was_open => {
                let Some(round) = self.clock.as_mut().filter(|round| round.ended.is_none()) else { return };
                // What was not listed is found in the next window.
                round.scopes.clear();
                round.unlisted.clear();
                let left = round.waiting();
                if left.files > 0 || round.is_listing {
                    self.notices.push(Notice::Closed { files: left.files, bytes: left.bytes });
                }
            }
            Due::GoOn | Due::Nothing(_) => {}
        }
    }

    fn listing(&mut self) -> Option<Step> {
        let is_open = self.is_open;
        let rounds = [(Track::Demand, &mut self.demand), (Track::Clock, &mut self.clock)];
        for (track, round) in rounds {
            let Some(round) = round.as_mut().filter(|round| !round.is_listing) else { continue };
            if track == Track::Clock && !is_open {
                continue;
            }
            if let Some(scope) = round.scopes.pop_front() {
                round.is_listing = true;
                return Some(Step::List(Turn { track, number: round.number }, scope));
            }
        }
        None
    }

    fn fetching(&mut self) -> Option<Step> {
        let (is_open, urgent) = (self.is_open, self.class());
        let tracks = [(&mut self.demand, Track::Demand, true), (&mut self.clock, Track::Clock, is_open)];
        for (round, track, may) in tracks {
            let Some(round) = round.as_mut().filter(|_| may) else { continue };
            let Some(want) = round.queue.pop() else { continue };
            round.running.add(want.size.unwrap_or(0));
            let class = if track == Track::Clock { urgent } else { Class::Preload };
            return Some(Step::Fetch(Turn { track, number: round.number }, want, class));
        }
        None
    }

    fn end(&mut self, track: Track, now: SystemTime) {
        let Some(round) = self.round_mut(track).as_mut().filter(|round| round.ended.is_none() && round.is_done())
        else {
            return;
        };
        round.ended = Some(now);
        if track == Track::Clock
            && let Some(last) = &mut self.last
        {
            last.ended = Some(now);
        }
        self.notices.push(Notice::Ended(track));
    }

    fn wakes(&self, due: Due, rules: &Rules<'_>, running: usize) -> Option<SystemTime> {
        let now = rules.now;
        let has_work = |round: &&Round| round.ended.is_none() && !round.is_done();
        let rounds = [self.demand.as_ref(), self.clock.as_ref().filter(|_| self.is_open)];
        let is_busy = rounds.iter().flatten().any(has_work);
        let tick = if running > 0 { Some(now + TICK) } else { (is_busy && rules.is_down).then(|| now + DOWN_TICK) };
        let retries = |round: &&Round| {
            let listing = round.unlisted.front().map(|(at, _)| *at);
            round.later.keys().next().map(|(at, _)| *at).into_iter().chain(listing).min()
        };
        let retry = rounds.iter().flatten().filter_map(retries).min();
        let clock = match due {
            Due::Nothing(until) => until,
            // It may have ended just now, and then there is another time to wake at.
            Due::GoOn | Due::Round(_) if self.last.is_some_and(|last| last.ended.is_some()) => Some(now),
            Due::GoOn | Due::Round(_) => due::closes(rules.options, now),
        };
        [tick, retry, clock].into_iter().flatten().min()
    }

    fn judge_deadline(&mut self, rules: &Rules<'_>) {
        let (Some(ready_by), Some(round)) = (&rules.options.ready_by, &self.clock) else {
            (self.outlook, self.is_late) = (None, false);
            return;
        };
        let (deadline, rate) = (ready_by.deadline().next(rules.now), self.rate.per_second());
        let left = round.waiting().bytes.saturating_add(self.underway);
        let has_more = round.is_listing || round.ended.is_none() && left == 0 && !round.is_done();
        let outlook = match forecast::outlook(rules.now, deadline, left, rate) {
            // What is not listed yet is not known to be little.
            Outlook::InTime if has_more => Outlook::Unknown,
            outlook => outlook,
        };
        self.outlook = Some(outlook);
        match (outlook, self.is_late) {
            (Outlook::Late, false) => {
                let has = deadline.duration_since(rules.now).unwrap_or_default();
                let needs = forecast::needs(left, rate.unwrap_or(0));
                self.notices.push(Notice::WillBeLate { needs, has });
                self.is_late = true;
            }
            // Not at once: a rate goes up and down.
            (Outlook::InTime, true) => {
                self.notices.push(Notice::InTimeAgain);
                self.is_late = false;
            }
            _ => {}
        }
    }

    /// Whether it was said that it will be late, and nothing better since.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// A listing ended: with what is to be fetched, or why there is nothing.
    pub(crate) fn listed(
        &mut self,
        turn: Turn,
        scope: Scope,
        listed: Result<(Queue, Chosen, Met), Unlisted>,
        now: SystemTime,
    ) {
        let Some(round) = self.of_turn(turn) else { return };
        round.is_listing = false;
        match listed {
            Ok((mut queue, chosen, met)) => {
                round.met = round.met.with(met);
                round.here.files += chosen.here.files;
                round.here.bytes += chosen.here.bytes;
                round.beyond.files += chosen.beyond.files;
                round.beyond.bytes += chosen.beyond.bytes;
                if round.queue.is_empty() {
                    round.queue = queue;
                } else {
                    while let Some(want) = queue.pop() {
                        round.met.is_cut |= !round.queue.push(want);
                    }
                }
            }
            Err(Unlisted::Nothing { folder, reason }) => {
                round.failed += 1;
                self.notices.push(Notice::Unlisted { reason: format!("{folder}: {reason}"), is_tried_again: false });
                self.fail(Failed { path: folder, reason, at: now });
            }
            Err(Unlisted::Trouble(reason)) => {
                round.listing_tries += 1;
                let tries = round.listing_tries;
                round.unlisted.push_back((now + retry_wait(tries), scope));
                if tries == 1 {
                    self.notices.push(Notice::Unlisted { reason, is_tried_again: true });
                }
            }
        }
    }

    /// A listing was broken off, for its window closed.
    pub(crate) fn unlisted(&mut self, turn: Turn) {
        if let Some(round) = self.of_turn(turn) {
            round.is_listing = false;
        }
    }

    /// What became of a file. What is shown of it is `path`. Answers whether it is given up.
    pub(crate) fn became(&mut self, turn: Turn, want: Want, path: &str, became: Became, now: SystemTime) -> bool {
        let Some(round) = self.of_turn(turn) else { return false };
        round.running.files = round.running.files.saturating_sub(1);
        round.running.bytes = round.running.bytes.saturating_sub(want.size.unwrap_or(0));
        let failed = |reason: String| Some(Failed { path: path.to_owned(), reason, at: now });
        let failure = match became {
            Became::Here { len } => {
                round.here.add(len);
                None
            }
            Became::Fetched { len, crossed } => {
                round.fetched.add(len);
                round.crossed += crossed;
                None
            }
            Became::Gone if turn.track == Track::Demand => failed("the upstream has no such file".into()),
            Became::Gone => {
                round.gone += 1;
                None
            }
            Became::Folder if turn.track == Track::Demand && round.scopes.len() < SCOPES_MAX => {
                round.scopes.push_back(Scope::below(&want.order.target));
                None
            }
            Became::Folder => failed("it is a folder".into()),
            Became::Refused(reason) => failed(reason),
            Became::Stopped => {
                round.queue.push(want);
                None
            }
            Became::Later { after, reason, counts } => {
                let tries = want.tries + u32::from(counts);
                if tries < TRIES_MAX {
                    let wait = after.unwrap_or_default().max(retry_wait(tries));
                    let want = Want { tries, ..want };
                    round.later.insert((now + wait, want.order.clone()), want);
                    None
                } else {
                    failed(reason)
                }
            }
        };
        let Some(failure) = failure else { return false };
        round.failed += 1;
        self.fail(failure);
        true
    }

    fn fail(&mut self, failed: Failed) {
        self.failures.truncate(FAILURES_MAX - 1);
        self.failures.push_front(failed);
    }
}

/// The pause before a try, by how many there were.
fn retry_wait(tries: u32) -> Duration {
    RETRY_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(RETRY_WAIT_MAX)
}

#[cfg(test)]
mod tests;
