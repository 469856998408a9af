//! Agents that bring the file as a whole: each does what its [`Chain`] says, one source after the other.

use std::time::Duration;

use outpost_agent::decide::{
    chain::{Chain, Step, Wait},
    health::Health,
    outcome::{Busy, Outcome, Queue},
    source::Source,
};
use protocol::patience::Backoff;

use super::{
    events::{Moment, SECOND},
    ground::{AGENTS, Ground, Happening, NO_ANSWER, ORIGIN, Owner, PEER_RETRY, PROXY, host_of, source},
    network::Flow,
    setup::{Contest, Setup},
    story::Story,
};

/// For so long an agent uses what it was told of the sources, as origins say by default.
const EXPIRES_IN: Duration = Duration::from_secs(600);
/// Peers that the origin names.
const PEERS_TOLD: usize = 4;
/// Who has the file has told the origin within this.
const REPORT_WITHIN: Moment = SECOND;
/// Who follows a fill hears of it so often.
const PROGRESS_EVERY: Moment = SECOND / 4;

/// What an agent is reminded of.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It begins.
    Begin(u32),
    /// The wait of that number is over.
    Wake(u32, u32),
    /// The sources are told.
    Told(u32),
    /// Its request is there.
    Arrive(u32),
    /// Nobody answered.
    Silence(u32),
    /// The origin knows that it has the file.
    Reported(u32),
    /// Those who follow the fill hear of it.
    Progress,
}

struct Agent {
    chain: Chain,
    health: Health,
    /// Bytes here.
    position: u64,
    asking: Option<Asking>,
    /// How many waits there were.
    waits: u32,
    /// The source whose fill it follows.
    follows: Option<usize>,
    is_done: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asking {
    place: usize,
    host: u32,
    flow: Option<Flow>,
    got: u64,
}

struct Fleet {
    ground: Ground<Event>,
    agents: Vec<Agent>,
    /// Who has the file and has reported it.
    reported: Vec<u32>,
    /// Who waits at the proxy for more of the file.
    hungry: Vec<u32>,
    is_progress_due: bool,
}

/// Runs a contest, and tells what it came to.
pub(crate) fn run(setup: &Setup, contest: Contest) -> Story {
    let mut ground = Ground::new(setup, contest);
    let agents = (0..setup.agents).map(|agent| {
        let begin = ground.within(setup.begin);
        ground.put(begin, Event::Begin(agent));
        let (seed, health) = (ground.random.number(), ground.random.number());
        Agent {
            chain: Chain::new(Backoff::default(), seed),
            health: Health::new(Backoff::default(), health),
            position: 0,
            asking: None,
            waits: 0,
            follows: None,
            is_done: false,
        }
    });
    let agents = agents.collect();
    let mut fleet = Fleet { ground, agents, reported: Vec::new(), hungry: Vec::new(), is_progress_due: false };
    while let Some(happening) = fleet.ground.next() {
        match happening {
            Happening::Due(event) => fleet.due(event),
            Happening::Came(owner, bytes) => fleet.came(owner.agent, bytes),
            Happening::Filled => fleet.filled(),
        }
    }
    fleet.ground.into_story()
}

impl Fleet {
    fn due(&mut self, event: Event) {
        match event {
            Event::Begin(agent) => {
                self.ground.story.begun.get_or_insert(self.ground.now);
                self.step(agent);
            }
            Event::Wake(agent, wait) if self.agents[agent as usize].waits == wait => self.step(agent),
            Event::Wake(..) => {}
            Event::Told(agent) => {
                let (sources, now) = (self.sources(agent), self.ground.instant());
                self.agents[agent as usize].chain.found(sources, EXPIRES_IN, now);
                self.step(agent);
            }
            Event::Arrive(agent) => self.arrive(agent),
            Event::Silence(agent) => self.outcome(agent, &Outcome::Failed { got: 0 }),
            Event::Reported(agent) => self.reported.push(agent),
            Event::Progress => self.progress(),
        }
    }

    /// What the chain says is done.
    fn step(&mut self, agent: u32) {
        let now = self.ground.instant();
        let own = &mut self.agents[agent as usize];
        own.follows = None;
        own.waits += 1;
        match own.chain.next(&own.health, now) {
            Step::Discover => self.ground.put(2 * self.ground.setup.far, Event::Told(agent)),
            Step::Ask(place) => {
                let host = host_of(own.chain.source(place));
                own.asking = Some(Asking { place, host, flow: None, got: 0 });
                let way = if host == ORIGIN { self.ground.setup.far } else { self.ground.setup.near };
                self.ground.put(way, Event::Arrive(agent));
            }
            Step::Wait(wait) => self.wait(agent, &wait),
            Step::GiveUp(_) => self.ground.story.failed += 1,
        }
    }

    fn wait(&mut self, agent: u32, wait: &Wait) {
        let own = &mut self.agents[agent as usize];
        own.follows = wait.source.filter(|_| wait.follow);
        let number = own.waits;
        let until = self.ground.moment(wait.until);
        self.ground.put(until - self.ground.now, Event::Wake(agent, number));
        if wait.follow {
            // Where the fill has ended already, or a place is free, it hears so at once.
            self.tell_progress();
        }
    }

    /// Peers that have the file, the proxy, the origin.
    fn sources(&mut self, agent: u32) -> Vec<Source> {
        let mut sources = Vec::new();
        if self.ground.contest.has_whole_peers() && !self.reported.is_empty() {
            for _ in 0..4 * PEERS_TOLD {
                let drawn = self.ground.random.number() as usize % self.reported.len();
                let source = source(AGENTS + self.reported[drawn]);
                if self.reported[drawn] != agent && !sources.contains(&source) && sources.len() < PEERS_TOLD {
                    sources.push(source);
                }
            }
        }
        if self.ground.contest.has_proxy() {
            sources.push(source(PROXY));
        }
        sources.push(source(ORIGIN));
        sources
    }

    /// A request is at its server, which decides by its own rules.
    fn arrive(&mut self, agent: u32) {
        let Some(asking) = self.agents[agent as usize].asking else { return };
        let host = asking.host;
        if !self.ground.is_there(host) {
            return self.ground.put(NO_ANSWER, Event::Silence(agent));
        }
        let refusal = if host >= AGENTS { self.ask_peer(host) } else { self.ask_server(host, agent) };
        match refusal {
            Some(outcome) => self.outcome(agent, &outcome),
            None => {
                let own = &mut self.agents[agent as usize];
                own.chain.began(asking.place, &mut own.health);
                self.supply(agent);
            }
        }
    }

    fn ask_peer(&mut self, host: u32) -> Option<Outcome> {
        self.ground.story.peer_requests += 1;
        let is_whole = self.agents[(host - AGENTS) as usize].is_done;
        if !is_whole {
            return Some(Outcome::Absent);
        }
        let is_taken = !self.ground.take_upload(host);
        self.ground.story.peer_refused += u64::from(is_taken);
        let places = Queue { places: self.ground.setup.uploads as u64, ..Queue::default() };
        is_taken.then_some(Outcome::Busy(Busy::Places(places), PEER_RETRY))
    }

    fn ask_server(&mut self, host: u32, agent: u32) -> Option<Outcome> {
        let is_proxy = host == PROXY;
        self.ground.story.requests += u64::from(is_proxy);
        if is_proxy {
            self.ground.fill();
        }
        let refused = self.ground.take_place(host, agent).err()?;
        self.ground.story.refused += u64::from(is_proxy);
        let (size, places) = (self.ground.setup.size, self.ground.setup.places as u64);
        let fetched = if is_proxy { self.ground.fetched } else { size };
        let queue = Queue { position: refused.position, places, fetched, total: size };
        Some(Outcome::Busy(Busy::Places(queue), self.ground.setup.retry_delay))
    }

    /// More of the file is sent, as far as the server has it.
    fn supply(&mut self, agent: u32) {
        let own = &mut self.agents[agent as usize];
        let Some(asking) = &mut own.asking else { return };
        let has = if asking.host == PROXY { self.ground.fetched } else { self.ground.setup.size };
        if has > own.position {
            let owner = Owner { agent, slot: 0 };
            asking.flow = Some(self.ground.send(asking.host, AGENTS + agent, has - own.position, owner));
        } else {
            asking.flow = None;
            self.hungry.push(agent);
        }
    }

    fn came(&mut self, agent: u32, bytes: u64) {
        let own = &mut self.agents[agent as usize];
        own.position += bytes;
        if let Some(asking) = &mut own.asking {
            (asking.flow, asking.got) = (None, asking.got + bytes);
        }
        if own.position < self.ground.setup.size {
            return self.supply(agent);
        }
        if let Some(asking) = own.asking.take() {
            own.is_done = true;
            self.give_back(asking.host, agent);
            self.ground.story.done.push(self.ground.now);
            if self.ground.setup.leave {
                self.gone(AGENTS + agent);
            } else {
                let after = self.ground.within(REPORT_WITHIN);
                self.ground.put(after, Event::Reported(agent));
            }
        }
    }

    fn filled(&mut self) {
        for agent in std::mem::take(&mut self.hungry) {
            self.supply(agent);
        }
        if self.ground.is_sealed() {
            self.tell_progress();
        }
        if self.ground.proxy_is_to_die() {
            self.gone(PROXY);
        }
    }

    /// A machine is gone, with all that it was sending.
    fn gone(&mut self, host: u32) {
        let mut broken: Vec<u32> = self.ground.gone(host).into_iter().map(|owner| owner.agent).collect();
        if host == PROXY {
            broken.append(&mut self.hungry);
            self.tell_progress();
        }
        for agent in broken {
            let own = &mut self.agents[agent as usize];
            let Some(asking) = &mut own.asking else { continue };
            let came = asking.flow.take().map_or(0, |flow| self.ground.stop(flow));
            own.position += came;
            let got = asking.got + came;
            self.give_back(host, agent);
            self.outcome(agent, &Outcome::Failed { got });
        }
    }

    fn give_back(&mut self, host: u32, agent: u32) {
        self.ground.give_back(host, agent);
        if host == PROXY {
            self.tell_progress();
        }
    }

    fn outcome(&mut self, agent: u32, outcome: &Outcome) {
        let now = self.ground.instant();
        let own = &mut self.agents[agent as usize];
        if let Some(asking) = own.asking.take() {
            own.chain.outcome(asking.place, outcome, &mut own.health, now);
        }
        self.step(agent);
    }

    fn tell_progress(&mut self) {
        if !self.is_progress_due {
            self.is_progress_due = true;
            self.ground.put(PROGRESS_EVERY, Event::Progress);
        }
    }

    /// Who follows comes, if a place is free or the fill has ended.
    fn progress(&mut self) {
        self.is_progress_due = false;
        let now = self.ground.instant();
        let is_over = self.ground.is_sealed() || !self.ground.is_there(PROXY);
        for agent in 0..self.agents.len() as u32 {
            let Some(place) = self.agents[agent as usize].follows else { continue };
            if is_over || self.ground.position(agent) == 0 {
                self.agents[agent as usize].chain.place_free(place, now);
                self.step(agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(story: &Story) -> (f64, f64) {
        let of = |part| (story.seconds(part).unwrap_or(f64::INFINITY) * 10.0).round() / 10.0;
        (of(0.5), of(1.0))
    }

    /// 64 MiB need 5.4 s of the line, and 0.5 s of a card.
    fn story(contest: Contest, change: impl FnOnce(&mut Setup)) -> Story {
        let mut setup = Setup::small();
        change(&mut setup);
        run(&setup, contest)
    }

    #[test]
    fn without_anybody_managing_the_line_carries_a_copy_for_each() {
        let story = story(Contest::Nobody, |_| {});
        assert_eq!((story.line, story.done.len(), story.requests), (20 * story.size, 20, 0));
        let (_, last) = seconds(&story);
        assert!((107.0..109.0).contains(&last), "20 copies of 5.4 s: {last}");
    }

    #[test]
    fn whole_peers_help_only_those_who_come_when_somebody_has_it() {
        let together = story(Contest::Peers, |_| {});
        assert_eq!(together.line_copies(), 20.0, "all have begun before anybody has it");
        let one_by_one = story(Contest::Peers, |setup| setup.begin = 200 * SECOND);
        assert!((1.0..3.0).contains(&one_by_one.line_copies()), "{}", one_by_one.line_copies());
        assert_eq!(one_by_one.line + one_by_one.peers, 20 * one_by_one.size);
        let in_turn = story(Contest::PeersInTurn, |_| {});
        assert!((5.0..8.0).contains(&in_turn.line_copies()), "{}", in_turn.line_copies());
        assert!(seconds(&in_turn).1 < 130.0, "{:?}", seconds(&in_turn));
    }

    #[test]
    fn a_proxy_takes_one_copy_over_the_line_and_gives_it_to_a_few_at_a_time() {
        let limited = story(Contest::Proxy, |_| {});
        assert_eq!((limited.line, limited.proxy), (limited.size, 20 * limited.size));
        assert!(limited.refused >= 15, "{limited:?}");
        // The first five follow the fill, and others wait for 90 s.
        let (_, last) = seconds(&limited);
        assert!((90.0..300.0).contains(&last), "{last}");
        let unlimited = story(Contest::Proxy, |setup| setup.places = 0);
        assert_eq!((unlimited.refused, unlimited.line), (0, unlimited.size));
        let (_, last) = seconds(&unlimited);
        // 20 copies through the card of the proxy need 10.7 s.
        assert!((10.7..12.5).contains(&last), "{last}");
        let warm = story(Contest::Proxy, |setup| (setup.warm, setup.places) = (true, 0));
        assert_eq!((warm.line, warm.proxy), (0, 20 * warm.size));
    }

    #[test]
    fn a_proxy_that_dies_leaves_its_agents_to_the_origin() {
        let story = story(Contest::Proxy, |setup| setup.proxy_dies = Some(0.5));
        assert_eq!((story.done.len(), story.failed), (20, 0));
        assert!(story.line_copies() > 15.0, "{}", story.line_copies());
    }

    #[test]
    fn the_same_seed_gives_the_same_and_another_another() {
        let of = |seed| story(Contest::ProxyAndPeers, |setup| setup.seed = seed);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3).done, of(4).done);
    }

    #[test]
    fn who_leaves_takes_its_transfers_along_and_still_everybody_ends() {
        let story = story(Contest::ProxyAndPeers, |setup| setup.leave = true);
        assert_eq!((story.done.len(), story.failed, story.peers), (20, 0, 0));
    }
}
