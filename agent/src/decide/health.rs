//! What is remembered of servers beyond one content: how often one has failed in a row for a kind of request, and when it may be asked again.
//!
//! | what happened | when it is asked again for such a request |
//! | --- | --- |
//! | it answered | whenever it is wanted |
//! | it failed | after a wait that doubles with each failure in a row, all of it spread |
//! | it said to come back later | after that, spread over a tenth more; no failure is counted |
//! | somebody wants it tried now (`retry-now`) | now |
//!
//! Of several servers in their order the first that may be asked is asked. So the last good one is used while those before it wait, and who comes
//! before it is tried again when its wait is over: nobody has to shut down the second for that, and not everybody comes at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::patience::{Backoff, Next, Spread};

/// Servers and kinds of request that are remembered. One more takes the place of the one that is due first.
const STATES_MAX: usize = 4_096;
/// Nobody is asked again sooner, whatever they say.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// What is asked of a server. One that has no answer to one kind may have one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// What is at a path.
    Info,
    /// Where contents are.
    Sources,
    /// A content.
    Content,
    /// To take a report.
    Report,
    /// To be known, and what is wanted of one.
    Enrolment,
    /// To be told what changes.
    Changes,
}

/// How servers are.
#[derive(Clone, Debug)]
pub struct Health {
    backoff: Backoff,
    spread: Spread,
    states: BTreeMap<(String, Request), State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// In a row.
    failures: u32,
    due: Instant,
}

impl Health {
    /// Nothing is known. The seed is another one for each machine.
    pub fn new(backoff: Backoff, seed: u64) -> Self {
        Self { backoff, spread: Spread::new(seed), states: BTreeMap::new() }
    }

    /// When a server may be asked; `None`: now.
    pub fn due(&self, server: &str, request: Request, now: Instant) -> Option<Instant> {
        self.state(server, request).map(|state| state.due).filter(|due| *due > now)
    }

    /// Which of several is asked now, by its place.
    pub fn first<'s>(&self, servers: impl IntoIterator<Item = &'s str>, request: Request, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        for (place, server) in servers.into_iter().enumerate() {
            match self.due(server, request, now) {
                None => return Next::Ask(place),
                Some(due) => earliest = earliest.into_iter().chain([due]).min(),
            }
        }
        // Of none at all nobody can be asked, today or tomorrow: the longest wait.
        Next::Wait(earliest.unwrap_or(now + self.backoff.max))
    }

    /// It answered.
    pub fn succeeded(&mut self, server: &str, request: Request) {
        self.states.remove(&(server.to_owned(), request));
    }

    /// It failed.
    pub fn failed(&mut self, server: &str, request: Request, now: Instant) {
        let failures = self.failures(server, request).saturating_add(1);
        let due = now + self.backoff.wait(failures, &mut self.spread);
        self.put(server, request, State { failures, due }, now);
    }

    /// It said to come back later.
    pub fn busy(&mut self, server: &str, request: Request, retry_after: Duration, now: Instant) {
        let failures = self.failures(server, request);
        let due = now + Backoff::obey(retry_after.max(LEAST_WAIT), &mut self.spread);
        self.put(server, request, State { failures, due }, now);
    }

    /// Forgets all waits.
    pub fn forgive(&mut self) {
        self.states.clear();
    }

    /// In a row.
    pub fn failures(&self, server: &str, request: Request) -> u32 {
        self.state(server, request).map_or(0, |state| state.failures)
    }

    /// Those that are not asked now: server, kind of request, failures in a row, and until when.
    pub fn waiting(&self, now: Instant) -> impl Iterator<Item = (&str, Request, u32, Instant)> {
        let waits = self.states.iter().filter(move |(_, state)| state.due > now);
        waits.map(|((server, request), state)| (server.as_str(), *request, state.failures, state.due))
    }

    fn state(&self, server: &str, request: Request) -> Option<&State> {
        // Short, and only where something has failed; the map is empty on a good day.
        if self.states.is_empty() { None } else { self.states.get(&(server.to_owned(), request)) }
    }

    fn put(&mut self, server: &str, request: Request, state: State, now: Instant) {
        if self.states.len() >= STATES_MAX {
            let first = self.states.iter().min_by_key(|(_, state)| state.due.max(now)).map(|(key, _)| key.clone());
            first.map(|key| self.states.remove(&key));
        }
        self.states.insert((server.to_owned(), request), state);
    }
}

impl Request {
    /// For people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Sources => "sources",
            Self::Content => "content",
            Self::Report => "report",
            Self::Enrolment => "enrolment",
            Self::Changes => "changes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const THREE: [&str; 3] = ["a", "b", "c"];

    fn health() -> (Health, Instant) {
        (Health::new(Backoff::default(), 7), Instant::now())
    }

    #[test]
    fn who_fails_is_left_for_the_next_and_tried_again_later() {
        let (mut health, start) = health();
        let first = |health: &Health, now| health.first(THREE, Request::Content, now);
        assert_eq!(first(&health, start), Next::Ask(0));
        health.failed("a", Request::Content, start);
        assert_eq!(first(&health, start), Next::Ask(1));
        assert_eq!(first(&health, start + MINUTE / 10), Next::Ask(1), "the first waits for 18 s at least");
        assert_eq!(first(&health, start + 3 * MINUTE), Next::Ask(0));
        health.failed("a", Request::Content, start + 3 * MINUTE);
        assert_eq!(health.failures("a", Request::Content), 2);
        health.succeeded("a", Request::Content);
        assert_eq!((first(&health, start), health.failures("a", Request::Content)), (Next::Ask(0), 0));
    }

    #[test]
    fn kinds_of_request_are_told_apart() {
        let (mut health, now) = health();
        health.failed("a", Request::Sources, now);
        assert_eq!(health.first(["a"], Request::Content, now), Next::Ask(0));
        assert!(matches!(health.first(["a"], Request::Sources, now), Next::Wait(_)));
    }

    #[test]
    fn when_all_fail_the_waits_double_up_to_two_hours() {
        let (mut health, mut now) = health();
        for failures in 1..=12_u32 {
            health.failed("a", Request::Info, now);
            let Next::Wait(until) = health.first(["a"], Request::Info, now) else { panic!("it is asked") };
            let most = (3 * MINUTE * 2_u32.pow(failures - 1)).min(120 * MINUTE);
            assert!(until - now <= most && until - now >= most / 10, "after {failures}: {:?}", until - now);
            now = until;
            assert_eq!(health.first(["a"], Request::Info, now), Next::Ask(0));
        }
    }

    #[test]
    fn what_is_said_is_obeyed_and_nobody_is_asked_in_a_tight_loop() {
        let (mut health, now) = health();
        health.busy("a", Request::Sources, 90 * Duration::from_secs(1), now);
        let due = health.due("a", Request::Sources, now).unwrap() - now;
        assert!((90..=99).contains(&due.as_secs()), "{due:?}");
        assert_eq!(health.failures("a", Request::Sources), 0);
        health.busy("a", Request::Sources, Duration::ZERO, now);
        assert!(health.due("a", Request::Sources, now).unwrap() >= now + LEAST_WAIT);
        health.forgive();
        assert_eq!(health.due("a", Request::Sources, now), None);
    }

    #[test]
    fn of_no_servers_none_is_asked() {
        let (health, now) = health();
        assert_eq!(health.first([], Request::Info, now), Next::Wait(now + 120 * MINUTE));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (mut health, now) = health();
        (0..STATES_MAX + 100).for_each(|server| health.failed(&server.to_string(), Request::Content, now));
        assert_eq!(health.states.len(), STATES_MAX);
        assert_eq!(health.waiting(now).count(), STATES_MAX);
    }
}
