//! One content on its way: whom to ask next, and until when to wait where nobody is to be asked.
//!
//! | what happened | what follows |
//! | --- | --- |
//! | nothing yet; the list of sources has expired | discovery: one's own cache, then whoever knows the sources |
//! | a list came | its sources in order, the nearest first. What is known of those that were in the one before stays |
//! | those who know say "not ready", or nothing | wait as long as they say, at least a second; then discovery |
//! | those who know cannot be asked | the list that is here, though it has expired |
//! | a source failed | at once the next; it is asked again after its back-off ([`Health`]) |
//! | a source broke off after 1 MiB or more | at once the next; where there is no other, the same after a moment, at the byte |
//! | 503 `max-requesters` of a proxy | nobody farther away: the file would cross the line once more. Its fill is followed, and discovery is next, when a place is free, or after the time that it said |
//! | 503 `max-requesters`, and somebody before it in its rank is back | it is asked first of its rank, until it fails, refuses or does not have it: the other would fetch it too |
//! | the one whose fill is followed goes away | its word does not count any more: it has failed, and discovery is next |
//! | another 503 | nobody of a farther rank; others of its rank may be asked |
//! | any 503 of a peer | the next |
//! | it does not have it, or not for us | never again with this list |
//! | wrong bytes | never again for this content |
//! | nobody is left, an origin among them | the end |
//! | nobody is left, and no origin was asked | discovery after a back-off |

use std::time::{Duration, Instant};

use protocol::patience::{Backoff, Spread};

use super::{
    health::{Health, Request},
    outcome::{Busy, Outcome},
    source::{Rank, Source},
};

/// From so many bytes on a source that breaks off was a good one.
const GOOD_BYTES: u64 = 1 << 20;
/// Such a source is asked again within this, where there is no other.
const MOMENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// Who hears that a place is free comes within this: others hear it too.
const PLACE_FREE_SPREAD: Duration = Duration::from_secs(1);
/// How often somebody comes before the time that was said because a place was free, until that time is over once.
const HURRIES_MAX: u32 = 2;
/// Beyond all that is waited for.
const EVER: Duration = Duration::from_secs(365 * 86_400);
/// Whoever says "not yet" is asked again no sooner.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look in one's own cache, then ask who has it; tell [`Chain::found`], [`Chain::not_ready`] or [`Chain::unknown`].
    Discover,
    /// Ask this source, by its place; tell [`Chain::outcome`].
    Ask(usize),
    /// Nobody before then.
    Wait(Wait),
    /// It will not come.
    GiveUp(End),
}

/// Why nobody is asked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Then look again.
    pub until: Instant,
    /// Why.
    pub why: Why,
    /// Whose word it is, by its place.
    pub source: Option<usize>,
    /// Its fill is worth following: tell [`Chain::place_free`] when it has ended or a place is free.
    pub follow: bool,
}

/// Why nobody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// All who could be asked have failed.
    Failing,
    /// The nearest who could is busy.
    Busy(Busy),
    /// Those who know say that it is on its way to where it can be had.
    NotReady,
}

/// Why it will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody has it.
    Absent,
    /// Nobody gives it to us.
    Refused,
    /// What comes has another digest.
    Wrong,
}

/// A source, and what came of asking it.
#[derive(Clone, Debug)]
struct Tried {
    source: Source,
    gone: Option<End>,
    /// Not before then, and why.
    until: Option<(Instant, Option<Busy>)>,
    /// It fetches or has it, as it has shown.
    brings: bool,
    /// How often it was asked before the time that it said.
    hurries: u32,
    /// It is not asked before that time now, and how often it was begins anew behind it.
    in_full: bool,
}

/// One content on its way.
#[derive(Clone, Debug)]
pub struct Chain {
    backoff: Backoff,
    spread: Spread,
    sources: Vec<Tried>,
    list: List,
    /// Discovery is not made before then, and whether "not ready" is the reason.
    discover_at: Option<(Instant, bool)>,
    /// Discoveries in a row that led to nobody.
    rounds: u32,
}

/// The list of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    None,
    /// Good until then.
    Until(Instant),
    /// There is nobody to ask for another one.
    Given,
}

impl Chain {
    /// Nothing is known. The seed is another one for each machine and content.
    pub fn new(backoff: Backoff, seed: u64) -> Self {
        let (sources, list) = (Vec::new(), List::None);
        Self { backoff, spread: Spread::new(seed), sources, list, discover_at: None, rounds: 0 }
    }

    /// Of sources that are given, where nobody knows others.
    pub fn given(sources: Vec<Source>, backoff: Backoff, seed: u64) -> Self {
        let mut chain = Self::new(backoff, seed);
        chain.put(sources);
        chain.list = List::Given;
        chain
    }

    /// A source by its place.
    ///
    /// # Panics
    /// If there is none: places come from [`Step`]s and hold until the next list.
    pub fn source(&self, place: usize) -> &Source {
        &self.sources[place].source
    }

    /// The place of a source that is known by its URL.
    pub fn place_of(&self, url: &str) -> Option<usize> {
        self.sources.iter().position(|tried| tried.source.url == url)
    }

    /// All, in their order, with why they are not asked for good.
    pub fn sources(&self) -> impl Iterator<Item = (&Source, Option<End>)> {
        self.sources.iter().map(|tried| (&tried.source, tried.gone))
    }

    /// From when on a list is wanted, though others may be asked meanwhile: the one that is here has expired.
    pub fn looks_again_at(&self, now: Instant) -> Instant {
        let expires = match self.list {
            List::None => now,
            List::Until(until) => until,
            List::Given => now + EVER,
        };
        self.discover_at.map_or(expires, |(at, _)| at.max(expires))
    }

    /// What to do now.
    pub fn next(&mut self, health: &Health, now: Instant) -> Step {
        let may_discover = self.discover_at.is_none_or(|(at, _)| at <= now);
        let expired = match self.list {
            List::None => true,
            List::Until(until) => until <= now,
            List::Given => false,
        };
        let waits = match self.first(health, now) {
            Ok(_) if expired && may_discover => return Step::Discover,
            Ok(place) => return Step::Ask(place),
            Err(waits) => waits,
        };
        match (waits, self.discover_at) {
            (Some(wait), _) if !(expired && may_discover) => Step::Wait(wait),
            (_, Some((at, is_not_ready))) if at > now => {
                let why = if is_not_ready { Why::NotReady } else { Why::Failing };
                Step::Wait(Wait { until: at, why, source: None, follow: false })
            }
            _ if expired => Step::Discover,
            (Some(wait), _) => Step::Wait(wait),
            (None, _) => self.nobody_left(now),
        }
    }

    /// The first that may be asked; or until when the nearest is waited for; or nothing, where all are gone.
    fn first(&self, health: &Health, now: Instant) -> Result<usize, Option<Wait>> {
        let mut least: Option<Wait> = None;
        let mut said: Option<Wait> = None;
        let mut wall = None;
        for place in self.in_order() {
            let tried = &self.sources[place];
            let rank = tried.source.rank;
            if wall.is_some_and(|wall| rank > wall) {
                break;
            }
            let own = tried.until.filter(|(until, _)| *until > now);
            let wait = match (own, health.due(&tried.source.url, Request::Content, now)) {
                (None, None) => return Ok(place),
                (None, Some(until)) => Wait { until, why: Why::Failing, source: Some(place), follow: false },
                (Some((until, busy)), _) => {
                    let why = busy.map_or(Why::Failing, Why::Busy);
                    Wait { until, why, source: Some(place), follow: tried.is_worth_following() }
                }
            };
            least = least.into_iter().chain([wait]).min_by_key(|wait| wait.until);
            if let (Why::Busy(busy), true) = (wait.why, rank > Rank::Peer) {
                said = said.or(Some(wait));
                if matches!(busy, Busy::Places(_)) {
                    break;
                }
                wall = Some(rank);
            }
        }
        // The reason is that of the one whose word keeps us, the moment that of the first who may be asked.
        let until = least.map(|wait| wait.until);
        Err(said.or(least).map(|wait| Wait { until: until.unwrap_or(wait.until), ..wait }))
    }

    /// Those that may be asked now or later, the nearest first; of servers of one rank those that bring it before the others.
    fn in_order(&self) -> Vec<usize> {
        let is_left = |place: &usize| self.sources[*place].gone.is_none();
        let mut places: Vec<_> = (0..self.sources.len()).filter(is_left).collect();
        let of_rank = |one: &usize, other: &usize| self.sources[*one].source.rank == self.sources[*other].source.rank;
        for servers in places.chunk_by_mut(of_rank) {
            servers.sort_by_key(|place| !self.sources[*place].brings);
        }
        places
    }

    /// Nobody is left of a list that is good.
    fn nobody_left(&mut self, now: Instant) -> Step {
        let was_asked_for_good = self.list == List::Given
            || self.sources.iter().any(|tried| tried.source.rank == Rank::Origin && tried.gone.is_some());
        if was_asked_for_good {
            return Step::GiveUp(self.end());
        }
        self.rounds = self.rounds.saturating_add(1);
        let until = now + self.backoff.wait(self.rounds, &mut self.spread).max(LEAST_WAIT);
        (self.discover_at, self.list) = (Some((until, false)), List::None);
        Step::Wait(Wait { until, why: Why::Failing, source: None, follow: false })
    }

    fn end(&self) -> End {
        let is = |end: End| self.sources.iter().any(|tried| tried.gone == Some(end));
        if is(End::Wrong) {
            End::Wrong
        } else if is(End::Refused) {
            End::Refused
        } else {
            End::Absent
        }
    }

    /// Sources, the nearest first, and how long this may be used.
    pub fn found(&mut self, sources: Vec<Source>, expires_in: Duration, now: Instant) {
        self.put(sources);
        self.list = List::Until(now + expires_in.max(LEAST_WAIT));
        self.discover_at = None;
    }

    /// Takes a list; who was in the one before, and is banned or said to come back later, still is.
    fn put(&mut self, sources: Vec<Source>) {
        let before = std::mem::take(&mut self.sources);
        // Who is still fetching gives pieces, and a whole is asked for here.
        let whole = sources.into_iter().filter(|source| !source.partial);
        self.sources.extend(whole.map(|source| match before.iter().find(|tried| tried.source.url == source.url) {
            Some(known) => Tried { source, gone: known.gone.filter(|gone| *gone == End::Wrong), ..known.clone() },
            None => Tried { source, gone: None, until: None, brings: false, hurries: 0, in_full: false },
        }));
    }

    /// It cannot be had yet, and they said when to ask again.
    pub fn not_ready(&mut self, retry_after: Duration, now: Instant) {
        let until = now + Backoff::obey(retry_after.max(LEAST_WAIT), &mut self.spread);
        (self.discover_at, self.list) = (Some((until, true)), List::None);
        self.sources.clear();
    }

    /// Nobody who knows can be asked before then. What is known is used, though it is old.
    pub fn unknown(&mut self, until: Instant, now: Instant) {
        self.discover_at = Some((until.max(now + LEAST_WAIT), false));
    }

    /// What came of asking.
    pub fn outcome(&mut self, place: usize, outcome: &Outcome, health: &mut Health, now: Instant) {
        let tried = &mut self.sources[place];
        tried.until = None;
        let is_server = tried.source.rank > Rank::Peer;
        tried.brings = match *outcome {
            Outcome::Failed { got } => tried.brings && got >= GOOD_BYTES,
            Outcome::Busy(Busy::Places(_), _) => is_server,
            _ => false,
        };
        match *outcome {
            Outcome::Failed { got } if got >= GOOD_BYTES => {
                health.succeeded(&tried.source.url, Request::Content);
                let most = self.backoff.first;
                tried.until = Some((now + self.spread.between(MOMENT.0.min(most), MOMENT.1.min(most)), None));
            }
            Outcome::Failed { .. } => health.failed(&tried.source.url, Request::Content, now),
            Outcome::Busy(busy, retry_after) => {
                let until = now + Backoff::obey(retry_after.max(LEAST_WAIT), &mut self.spread);
                tried.until = Some((until, Some(busy)));
                if matches!(busy, Busy::Places(_)) && tried.source.rank > Rank::Peer {
                    tried.hurries = if tried.in_full { 0 } else { tried.hurries };
                    tried.in_full = tried.hurries >= HURRIES_MAX;
                    self.look_around_at(until);
                }
            }
            Outcome::Absent => tried.gone = Some(End::Absent),
            Outcome::Refused => tried.gone = Some(End::Refused),
            Outcome::Wrong => tried.gone = Some(End::Wrong),
        }
    }

    /// A source is sending.
    pub fn began(&mut self, place: usize, health: &mut Health) {
        self.rounds = 0;
        let tried = &mut self.sources[place];
        (tried.hurries, tried.in_full) = (0, false);
        health.succeeded(&tried.source.url, Request::Content);
    }

    /// The fill that was followed has ended, or a place is free: back to discovery before the time that was said, soon but not with all others.
    pub fn place_free(&mut self, place: usize, now: Instant) {
        let soon = now + self.spread.between(Duration::ZERO, PLACE_FREE_SPREAD);
        let tried = &mut self.sources[place];
        if tried.hurries < HURRIES_MAX && tried.until.is_some() {
            tried.hurries += 1;
            tried.until = Some((soon, tried.until.and_then(|(_, busy)| busy)));
            self.look_around_at(soon);
        }
    }

    /// The one whose fill was followed went away: it has failed as one that breaks off does.
    pub fn lost(&mut self, place: usize, health: &mut Health, now: Instant) {
        self.outcome(place, &Outcome::Failed { got: 0 }, health, now);
        self.look_around_at(now);
    }

    /// The list is good until then, and no longer.
    fn look_around_at(&mut self, at: Instant) {
        if let List::Until(until) = self.list {
            self.list = List::Until(until.min(at));
        }
    }

    /// Forgets all waits, but nobody's wrong bytes.
    pub fn forgive(&mut self) {
        (self.discover_at, self.rounds) = (None, 0);
        for tried in &mut self.sources {
            (tried.until, tried.hurries, tried.in_full) = (None, 0, false);
            tried.gone = tried.gone.filter(|gone| *gone == End::Wrong);
        }
    }
}

impl Tried {
    /// A fill that is on, and has not been a reason to come too often.
    fn is_worth_following(&self) -> bool {
        let Some((_, Some(Busy::Places(queue)))) = self.until else { return false };
        let is_on = queue.total == 0 || queue.fetched < queue.total;
        self.source.rank > Rank::Peer && is_on && self.hurries < HURRIES_MAX
    }
}

#[cfg(test)]
mod tests;
