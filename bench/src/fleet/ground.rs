//! A branch without anybody's decisions: its machines with their cards, the line, the proxy's fill, and what is counted.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use cache::requesters::queue::{Queue, Refused};
use outpost_agent::decide::source::{Rank, Source};
use protocol::patience::Spread;

use super::{
    events::{Events, Moment, SECOND},
    network::{Flow, Network, Pipe},
    setup::{Contest, Setup},
    story::Story,
};

/// The origin's place among the machines; the proxy's; that of the first agent.
pub(crate) const ORIGIN: u32 = 0;
pub(crate) const PROXY: u32 = 1;
pub(crate) const AGENTS: u32 = 2;
/// Bits per second of the origin's card: it is not what this is about.
const ORIGIN_CARD: u64 = 100_000_000_000;
/// The fill is looked at in so many steps at least, and in steps of at most this many bytes.
const FILL_STEPS_MIN: u64 = 1_024;
const FILL_STEP_MAX: u64 = 1 << 20;

/// The address of the first machine, and the port of all.
const FIRST_ADDRESS: u32 = 0x0a00_0000;
pub(crate) const PORT: u16 = 7_778;
/// A peer without a place says so.
pub(crate) const PEER_RETRY: Duration = Duration::from_secs(5);
/// Who asks a machine that is gone knows so after this.
pub(crate) const NO_ANSWER: Moment = 3 * SECOND;

/// What happens next.
#[derive(Debug)]
pub(crate) enum Happening<E> {
    /// Something that was put down.
    Due(E),
    /// All that was sent has come.
    Came(Owner, u64),
    /// The proxy has more of the file.
    Filled,
}

/// Whose transfer it is: of which agent, and which of its transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) agent: u32,
    pub(crate) slot: u32,
}

/// A machine.
#[derive(Clone, Debug)]
struct Host {
    up: Pipe,
    down: Pipe,
    is_there: bool,
    uploads: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    from: u32,
    /// `None`: the proxy's fill.
    owner: Option<Owner>,
}

/// The branch. `E` is what the agents put down to be reminded of.
pub(crate) struct Ground<E> {
    pub(crate) setup: Setup,
    pub(crate) contest: Contest,
    pub(crate) now: Moment,
    pub(crate) random: Spread,
    pub(crate) story: Story,
    start: Instant,
    events: Events<E>,
    network: Network,
    line: Pipe,
    hosts: Vec<Host>,
    /// By the place of the flow.
    sending: Vec<Option<Sending>>,
    /// Who has places for the file at the proxy, and at the origin.
    places: [Queue<u32>; 2],
    /// Bytes that the proxy has, from the first on.
    pub(crate) fetched: u64,
    fill: Option<Flow>,
    /// Bytes after which it is told that the proxy has more.
    pub(crate) fill_step: u64,
}

impl<E> Ground<E> {
    pub(crate) fn new(setup: &Setup, contest: Contest) -> Self {
        let mut network = Network::default();
        let line = network.pipe(setup.line);
        let host = |number| {
            let bits = if number == ORIGIN { ORIGIN_CARD } else { setup.card };
            let is_there = number != PROXY || contest.has_proxy();
            Host { up: network.pipe(bits), down: network.pipe(bits), is_there, uploads: 0 }
        };
        let hosts: Vec<Host> = (0..AGENTS + setup.agents).map(host).collect();
        let is_warm = setup.warm && contest.has_proxy();
        Self {
            now: 0,
            random: Spread::new(setup.seed),
            story: Story::new(setup, contest),
            start: Instant::now(),
            events: Events::new(),
            network,
            line,
            hosts,
            sending: Vec::new(),
            places: [Queue::default(), Queue::default()],
            fetched: if is_warm { setup.size } else { 0 },
            fill: None,
            fill_step: (setup.size / FILL_STEPS_MIN).clamp(1, FILL_STEP_MAX),
            setup: setup.clone(),
            contest,
        }
    }

    /// As the decisions have it.
    pub(crate) fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    /// A moment that a decision has named; not before now.
    pub(crate) fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.start).as_nanos();
        Moment::try_from(since).unwrap_or(Moment::MAX).max(self.now)
    }

    /// Some time up to so long.
    pub(crate) fn within(&mut self, most: Moment) -> Moment {
        self.random.between(Duration::ZERO, Duration::from_nanos(most)).as_nanos() as Moment
    }

    /// Reminds of something, after so long.
    pub(crate) fn put(&mut self, after: Moment, event: E) {
        self.events.put(self.now.saturating_add(after), event);
    }

    /// Goes on to what happens next; `None`: nothing will.
    pub(crate) fn next(&mut self) -> Option<Happening<E>> {
        let ends = self.network.next_end();
        match (self.events.due(), ends) {
            (Some(due), Some((end, _))) if due <= end => {}
            (_, Some((end, flow))) => {
                self.now = end;
                return Some(self.ended(flow));
            }
            (None, None) => return None,
            (Some(_), None) => {}
        }
        let (due, event) = self.events.take()?;
        self.now = due;
        Some(Happening::Due(event))
    }

    fn ended(&mut self, flow: Flow) -> Happening<E> {
        let bytes = self.network.end(flow, self.now);
        let owner = self.sending[flow.place()].take().and_then(|sending| sending.owner);
        if let Some(owner) = owner {
            return Happening::Came(owner, bytes);
        }
        self.fetched += bytes;
        self.fill = None;
        self.fill_on();
        Happening::Filled
    }

    /// The proxy fetches, if it does not yet.
    pub(crate) fn fill(&mut self) {
        if self.fill.is_none() {
            self.fill_on();
        }
    }

    fn fill_on(&mut self) {
        let left = self.setup.size - self.fetched;
        if left > 0 && self.is_there(PROXY) {
            let path = [self.hosts[ORIGIN as usize].up, self.line, self.hosts[PROXY as usize].down];
            let flow = self.network.begin(&path, left.min(self.fill_step), self.now);
            self.note(flow, Sending { from: ORIGIN, owner: None });
            self.fill = Some(flow);
        }
    }

    /// Whether the proxy has all of it.
    pub(crate) fn is_sealed(&self) -> bool {
        self.fetched == self.setup.size
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.fill.is_some()
    }

    /// Whether the moment has come at which the proxy is to be gone.
    pub(crate) fn proxy_is_to_die(&self) -> bool {
        let part = self.setup.proxy_dies.map(|part| (self.setup.size as f64 * part) as u64);
        part.is_some_and(|part| self.fetched >= part) && self.is_there(PROXY)
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, from: u32, to: u32, bytes: u64, owner: Owner) -> Flow {
        let (up, down) = (self.hosts[from as usize].up, self.hosts[to as usize].down);
        let (over, within) = ([up, self.line, down], [up, down]);
        let path = if from == ORIGIN { &over[..] } else { &within };
        let flow = self.network.begin(path, bytes, self.now);
        self.note(flow, Sending { from, owner: Some(owner) });
        flow
    }

    fn note(&mut self, flow: Flow, sending: Sending) {
        if self.sending.len() <= flow.place() {
            self.sending.resize(flow.place() + 1, None);
        }
        self.sending[flow.place()] = Some(sending);
    }

    /// Breaks a transfer off; answers the bytes that came.
    pub(crate) fn stop(&mut self, flow: Flow) -> u64 {
        self.sending[flow.place()] = None;
        self.network.end(flow, self.now)
    }

    pub(crate) fn is_there(&self, host: u32) -> bool {
        self.hosts[host as usize].is_there
    }

    /// A machine is gone; answers whose transfers break off. They are still to be stopped.
    pub(crate) fn gone(&mut self, host: u32) -> Vec<Owner> {
        self.hosts[host as usize].is_there = false;
        if host == PROXY
            && let Some(fill) = self.fill.take()
        {
            self.fetched += self.stop(fill);
        }
        let of_it = |sending: &&Sending| sending.from == host;
        self.sending.iter().flatten().filter(of_it).filter_map(|sending| sending.owner).collect()
    }

    /// A place for a transfer of the proxy or the origin.
    pub(crate) fn take_place(&mut self, host: u32, who: u32) -> Result<(), Refused> {
        let (now, places_max) = (self.instant(), self.setup.places);
        if host == ORIGIN && self.contest != Contest::PeersInTurn {
            return Ok(());
        }
        self.places[host as usize].take(&who, places_max, now, now + self.setup.retry_delay * 2)
    }

    /// One of the uploads of an agent.
    pub(crate) fn take_upload(&mut self, host: u32) -> bool {
        let host = &mut self.hosts[host as usize];
        let is_free = host.uploads < self.setup.uploads;
        host.uploads += usize::from(is_free);
        is_free
    }

    /// A transfer has ended, at whomever.
    pub(crate) fn give_back(&mut self, host: u32, who: u32) {
        match self.places.get_mut(host as usize) {
            Some(places) => places.give_back(&who),
            None => self.hosts[host as usize].uploads -= 1,
        }
    }

    /// 0 if the agent would get a place of the proxy now.
    pub(crate) fn position(&self, who: u32) -> u64 {
        self.places[PROXY as usize].position(&who, self.setup.places, self.instant())
    }

    /// What it came to.
    pub(crate) fn into_story(mut self) -> Story {
        // What is still on its way counts, too: it has used the line.
        self.network.end_all(self.now);
        let carried = |host: u32| self.network.carried(self.hosts[host as usize].up);
        self.story.line = self.network.carried(self.line);
        self.story.proxy = carried(PROXY);
        self.story.peers = (AGENTS..AGENTS + self.setup.agents).map(carried).sum();
        self.story.ended = self.now;
        self.story
    }
}

/// The address of a machine.
pub(crate) fn address_of(host: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_ADDRESS + host)
}

/// A machine as others are told of it.
pub(crate) fn source(host: u32) -> Source {
    let rank = match host {
        ORIGIN => Rank::Origin,
        PROXY => Rank::Proxy,
        _ => Rank::Peer,
    };
    Source { rank, name: String::new(), url: format!("http://{}:{PORT}/", address_of(host)), partial: false }
}

/// The machine that a source is.
pub(crate) fn host_of(source: &Source) -> u32 {
    let address = source.url.strip_prefix("http://").and_then(|rest| rest.split(':').next()?.parse::<Ipv4Addr>().ok());
    address.map_or(ORIGIN, |address| address.to_bits().wrapping_sub(FIRST_ADDRESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_known_by_their_urls() {
        for host in [ORIGIN, PROXY, AGENTS, AGENTS + 299, 1_000_000] {
            assert_eq!(host_of(&source(host)), host);
        }
    }
}
