//! Agents that bring the file in pieces: each does what its [`Swarm`] says, and serves what it has.

use std::{net::IpAddr, time::Duration};

use cache::swarm::tracker::{Asker, Tracker};
use outpost_agent::decide::{
    health::Health,
    outcome::{Busy, Outcome, Queue},
    swarm::{Said, Step, Swarm, terms::Terms},
};
use protocol::{
    digest::Md5,
    patience::Backoff,
    pieces::{Bitmap, Layout},
};

use super::{
    events::{Moment, SECOND},
    ground::{
        AGENTS, Ground, Happening, NO_ANSWER, ORIGIN, Owner, PEER_RETRY, PORT, PROXY, address_of, host_of, source,
    },
    network::Flow,
    setup::{Contest, Setup},
    story::Story,
};

/// Whose swarm leads nowhere looks around again after this.
const LOOK_AROUND: Moment = 5 * SECOND;
/// Who brings all of it in one download tells the proxy no more often that it is there, and no less.
const BESIDE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The file's name.
const FILE: Md5 = Md5([7; 16]);

/// What an agent is reminded of.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It begins, or looks around once more: the sources are told.
    Told(u32),
    /// It wanted to look again then.
    Wake(u32),
    /// The request of this slot is there.
    Arrive(Owner, u32),
    /// Its question to this source of its is there.
    Question(u32, usize),
    /// Nobody answers the request of this slot.
    Silence(Owner, u32),
    /// Nor this question.
    NoWord(u32, usize),
    /// It tells the proxy again that it is there, while it brings all in one download.
    Beside(u32, usize),
}

/// A request for a piece, or for all that is missing.
#[derive(Clone, Copy, Debug)]
struct Asked {
    source: usize,
    host: u32,
    /// `None`: everything from the first missing byte on.
    piece: Option<u32>,
    /// Where the next byte belongs.
    position: u64,
    state: State,
    /// Slots are used again: which request of this slot it is.
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// On its way to the server.
    Sent,
    /// At the server, which has not got it yet.
    Waits,
    Comes(Flow),
}

struct Agent {
    swarm: Swarm,
    health: Health,
    asked: Vec<Option<Asked>>,
    /// Requests so far.
    requests: u32,
    /// When it wants to look again, and when it is to be woken for that.
    look_at: Moment,
    wake_at: Option<Moment>,
    /// It waits for nothing that is on its way, but for the sources.
    looks_around: bool,
    is_liar: bool,
    is_done: bool,
}

impl Agent {
    /// What it brings over the line just now.
    fn coming(&self, count: u32) -> Bitmap {
        let mut coming = Bitmap::new(count);
        let far = self.asked.iter().flatten().filter(|asked| asked.host == ORIGIN);
        far.filter_map(|asked| asked.piece).for_each(|piece| coming.set(piece));
        coming
    }
}

struct Fleet {
    ground: Ground<Event>,
    layout: Layout,
    agents: Vec<Agent>,
    tracker: Tracker,
    /// What the proxy has.
    proxy_has: Bitmap,
    /// Who waits at the proxy for more of the file.
    hungry: Vec<Owner>,
}

/// Runs it, and tells what it came to.
pub(crate) fn run(setup: &Setup, terms: Terms) -> Story {
    let mut fleet = Fleet::new(setup, terms);
    while let Some(happening) = fleet.ground.next() {
        match happening {
            Happening::Due(event) => fleet.due(event),
            Happening::Came(owner, bytes) => fleet.came(owner, bytes),
            Happening::Filled => fleet.filled(),
        }
        if fleet.ground.story.done.len() == fleet.agents.len() {
            break;
        }
    }
    fleet.ground.into_story()
}

impl Fleet {
    fn new(setup: &Setup, terms: Terms) -> Self {
        let mut ground = Ground::new(setup, Contest::Pieces);
        let layout = Layout::of(setup.size);
        ground.fill_step = layout.piece_size();
        let agents = (0..setup.agents).map(|agent| {
            let begin = ground.within(setup.begin);
            ground.put(begin, Event::Told(agent));
            Agent {
                swarm: Swarm::new(layout.count(), terms, ground.random.number()),
                health: Health::new(Backoff::default(), ground.random.number()),
                asked: Vec::new(),
                requests: 0,
                look_at: 0,
                wake_at: None,
                looks_around: true,
                is_liar: (ground.random.number() >> 11) as f64 / (1_u64 << 53) as f64 + setup.liars >= 1.0,
                is_done: false,
            }
        });
        let agents = agents.collect();
        let proxy_has = if setup.warm { Bitmap::full(layout.count()) } else { Bitmap::new(layout.count()) };
        Self { ground, layout, agents, tracker: Tracker::default(), proxy_has, hungry: Vec::new() }
    }

    fn due(&mut self, event: Event) {
        match event {
            Event::Told(agent) => {
                let (now, begun) = (self.ground.instant(), self.ground.now);
                self.ground.story.begun.get_or_insert(begun);
                let own = &mut self.agents[agent as usize];
                own.looks_around = false;
                own.swarm.put(vec![source(PROXY), source(ORIGIN)], now);
                self.step(agent);
            }
            Event::Wake(agent) => self.wake(agent),
            Event::Arrive(owner, number) if self.is_asked(owner, number) => self.arrive(owner),
            Event::Question(agent, place) => self.question(agent, place),
            Event::Silence(owner, number) if self.is_asked(owner, number) => {
                self.failed(owner, &Outcome::Failed { got: 0 })
            }
            Event::Arrive(..) | Event::Silence(..) => {}
            Event::NoWord(agent, place) => self.no_word(agent, place),
            Event::Beside(agent, place) => self.beside(agent, place),
        }
    }

    fn wake(&mut self, agent: u32) {
        let own = &mut self.agents[agent as usize];
        if own.wake_at != Some(self.ground.now) {
            return;
        }
        own.wake_at = None;
        if own.look_at > self.ground.now {
            self.wake_later(agent);
        } else {
            self.step(agent);
        }
    }

    fn wake_later(&mut self, agent: u32) {
        let own = &mut self.agents[agent as usize];
        if own.wake_at.is_none_or(|at| at > own.look_at) {
            own.wake_at = Some(own.look_at);
            self.ground.put(own.look_at - self.ground.now, Event::Wake(agent));
        }
    }

    /// What the swarm says is done.
    fn step(&mut self, agent: u32) {
        let now = self.ground.instant();
        while !self.agents[agent as usize].looks_around {
            let own = &mut self.agents[agent as usize];
            match own.swarm.next(&own.health, now) {
                Step::Take { source, piece } => self.ask(agent, source, Some(piece)),
                Step::Plain(source) => {
                    self.put_beside(agent, source, BESIDE.0);
                    return self.ask(agent, source, None);
                }
                Step::Have(place) => {
                    let host = host_of(own.swarm.source(place));
                    let way = self.way(host);
                    self.ground.put(way, Event::Question(agent, place));
                }
                Step::Wait(until) => {
                    own.look_at = self.ground.moment(until).max(self.ground.now + 1);
                    return self.wake_later(agent);
                }
                Step::Leave(_) => {
                    own.looks_around = true;
                    self.ground.put(LOOK_AROUND, Event::Told(agent));
                }
                Step::Done => return self.done(agent),
            }
        }
    }

    fn way(&self, host: u32) -> Moment {
        if host == ORIGIN { self.ground.setup.far } else { self.ground.setup.near }
    }

    fn ask(&mut self, agent: u32, source: usize, piece: Option<u32>) {
        let own = &mut self.agents[agent as usize];
        let host = host_of(own.swarm.source(source));
        let first = piece.unwrap_or_else(|| own.swarm.first_missing());
        let asked = Asked {
            source,
            host,
            piece,
            position: self.layout.span(first).start,
            state: State::Sent,
            number: own.requests,
        };
        own.requests += 1;
        let slot = own.asked.iter().position(Option::is_none).unwrap_or_else(|| {
            own.asked.push(None);
            own.asked.len() - 1
        });
        own.asked[slot] = Some(asked);
        self.ground.put(self.way(host), Event::Arrive(Owner { agent, slot: slot as u32 }, asked.number));
    }

    fn asked(&mut self, owner: Owner) -> Option<&mut Asked> {
        self.agents[owner.agent as usize].asked[owner.slot as usize].as_mut()
    }

    fn is_asked(&mut self, owner: Owner, number: u32) -> bool {
        self.asked(owner).is_some_and(|asked| asked.number == number)
    }

    /// A request is at its server, which decides by its own rules.
    fn arrive(&mut self, owner: Owner) {
        let Some(asked) = self.asked(owner).copied() else { return };
        if !self.ground.is_there(asked.host) {
            return self.ground.put(NO_ANSWER, Event::Silence(owner, asked.number));
        }
        let refusal = if asked.host >= AGENTS {
            self.ask_peer(asked.host, asked.piece)
        } else {
            self.ask_server(asked.host, owner.agent)
        };
        match refusal {
            Some(outcome) => self.failed(owner, &outcome),
            None => self.supply(owner),
        }
    }

    fn ask_peer(&mut self, host: u32, piece: Option<u32>) -> Option<Outcome> {
        self.ground.story.peer_requests += 1;
        let has = self.agents[(host - AGENTS) as usize].swarm.all_here();
        let is_here = piece.map_or(has.is_full(), |piece| has.get(piece));
        if !is_here {
            return Some(Outcome::Absent);
        }
        if self.ground.take_upload(host) {
            return None;
        }
        self.ground.story.peer_refused += 1;
        let places = Queue { places: self.ground.setup.uploads as u64, ..Queue::default() };
        Some(Outcome::Busy(Busy::Places(places), PEER_RETRY))
    }

    fn ask_server(&mut self, host: u32, agent: u32) -> Option<Outcome> {
        let is_proxy = host == PROXY;
        self.ground.story.requests += u64::from(is_proxy);
        if is_proxy {
            self.ground.fill();
        }
        let refused = self.ground.take_place(host, agent).err()?;
        self.ground.story.refused += u64::from(is_proxy);
        let (total, places) = (self.ground.setup.size, self.ground.setup.places as u64);
        let queue = Queue { position: refused.position, places, fetched: self.ground.fetched, total };
        Some(Outcome::Busy(Busy::Places(queue), self.ground.setup.retry_delay))
    }

    /// Bytes are sent, as far as the server has them: a piece as a whole, the rest of the file as it comes.
    fn supply(&mut self, owner: Owner) {
        let Some(asked) = self.asked(owner).copied() else { return };
        let has = if asked.host == PROXY { self.ground.fetched } else { self.ground.setup.size };
        let end = asked.piece.map_or(has, |piece| self.layout.span(piece).end);
        let state = if has >= end && end > asked.position {
            State::Comes(self.ground.send(asked.host, AGENTS + owner.agent, end - asked.position, owner))
        } else {
            self.hungry.push(owner);
            State::Waits
        };
        if let Some(asked) = self.asked(owner) {
            asked.state = state;
        }
    }

    fn came(&mut self, owner: Owner, bytes: u64) {
        let (now, agent) = (self.ground.instant(), owner.agent as usize);
        let Some(asked) = self.asked(owner) else { return };
        let before = asked.position;
        asked.position += bytes;
        let asked = *asked;
        let is_wrong = asked.host >= AGENTS && self.agents[(asked.host - AGENTS) as usize].is_liar;
        let own = &mut self.agents[agent];
        match asked.piece {
            Some(piece) if is_wrong => {
                self.ground.story.wrong += bytes;
                own.swarm.wrong(asked.source, piece, now);
            }
            Some(piece) => own.swarm.took(asked.source, piece, &mut own.health),
            None => {
                let size = self.layout.piece_size();
                let whole = if asked.position == self.layout.size() {
                    u64::from(self.layout.count())
                } else {
                    asked.position / size
                };
                (before / size..whole).for_each(|piece| own.swarm.here(piece as u32));
                if asked.position < self.layout.size() {
                    return self.supply(owner);
                }
            }
        }
        self.ended(owner);
        self.cancel_needless(owner.agent);
        self.step(owner.agent);
    }

    /// What came from somebody else meanwhile is waited for no more.
    fn cancel_needless(&mut self, agent: u32) {
        let own = &mut self.agents[agent as usize];
        let needless: Vec<(usize, u32)> = own.swarm.needless().collect();
        for (source, piece) in needless {
            let own = &mut self.agents[agent as usize];
            own.swarm.cancelled(source, piece);
            let is_it =
                |asked: &Option<Asked>| asked.is_some_and(|asked| (asked.source, asked.piece) == (source, Some(piece)));
            if let Some(slot) = own.asked.iter().position(is_it) {
                self.stop(Owner { agent, slot: slot as u32 });
            }
        }
    }

    /// Breaks a request off; answers the bytes that came.
    fn stop(&mut self, owner: Owner) -> u64 {
        let Some(asked) = self.asked(owner).copied() else { return 0 };
        let came = match asked.state {
            State::Comes(flow) => self.ground.stop(flow),
            State::Sent | State::Waits => 0,
        };
        self.hungry.retain(|hungry| *hungry != owner);
        self.ended(owner);
        came
    }

    /// A request is over: its place is free.
    fn ended(&mut self, owner: Owner) {
        let slot = &mut self.agents[owner.agent as usize].asked[owner.slot as usize];
        if let Some(asked) = slot.take()
            && asked.state != State::Sent
        {
            self.ground.give_back(asked.host, owner.agent);
        }
    }

    /// A request brought nothing, or not all.
    fn failed(&mut self, owner: Owner, outcome: &Outcome) {
        let Some(asked) = self.asked(owner).copied() else { return };
        let now = self.ground.instant();
        self.ended(owner);
        let own = &mut self.agents[owner.agent as usize];
        match asked.piece {
            Some(piece) => own.swarm.failed(asked.source, piece, outcome, &mut own.health, now),
            None => own.swarm.plain_ended(asked.source, outcome, now),
        }
        self.step(owner.agent);
    }

    fn put_beside(&mut self, agent: u32, place: usize, after: Duration) {
        self.ground.put(after.clamp(BESIDE.0, BESIDE.1).as_nanos() as Moment, Event::Beside(agent, place));
    }

    /// Whoever brings all in one download is still known to others.
    fn beside(&mut self, agent: u32, place: usize) {
        let own = &self.agents[agent as usize];
        let is_plain = own.asked.iter().flatten().any(|asked| asked.piece.is_none());
        if is_plain && self.ground.is_there(PROXY) && host_of(own.swarm.source(place)) == PROXY {
            let next_in = self.tell(agent, place);
            self.put_beside(agent, place, next_in);
        }
    }

    /// The proxy says what it has and who else is around.
    fn tell(&mut self, agent: u32, place: usize) -> Duration {
        let now = self.ground.instant();
        self.ground.story.questions += 1;
        let asker = Asker { address: IpAddr::V4(address_of(AGENTS + agent)), port: Some(PORT) };
        let answer = self.tracker.ask(&FILE, asker, now, self.ground.random.number());
        let filling = self.ground.is_filling();
        let coming = Bitmap::new(self.layout.count());
        let (askers, next_in) = (answer.askers, answer.next_in);
        let said = Said { have: &self.proxy_has, coming: &coming, filling, askers, next_in };
        let own = &mut self.agents[agent as usize];
        own.swarm.told(place, &said, now);
        own.swarm.peers(answer.peers, now);
        answer.next_in
    }

    /// A question is at its server.
    fn question(&mut self, agent: u32, place: usize) {
        let now = self.ground.instant();
        let host = host_of(self.agents[agent as usize].swarm.source(place));
        if !self.ground.is_there(host) {
            return self.ground.put(NO_ANSWER, Event::NoWord(agent, place));
        }
        if host >= AGENTS {
            self.ground.story.peer_questions += 1;
            let other = &self.agents[(host - AGENTS) as usize];
            let (have, filling) = (other.swarm.all_here().clone(), !other.is_done);
            let (coming, next_in) = (other.coming(self.layout.count()), self.ground.setup.peer_every);
            let said = Said { have: &have, coming: &coming, filling, askers: 0, next_in };
            self.agents[agent as usize].swarm.told(place, &said, now);
        } else {
            self.tell(agent, place);
        }
        self.step(agent);
    }

    fn no_word(&mut self, agent: u32, place: usize) {
        let now = self.ground.instant();
        let own = &mut self.agents[agent as usize];
        own.swarm.untold(place, &Outcome::Failed { got: 0 }, &mut own.health, now);
        self.step(agent);
    }

    fn filled(&mut self) {
        let whole = if self.ground.is_sealed() {
            u64::from(self.layout.count())
        } else {
            self.ground.fetched / self.layout.piece_size()
        };
        for piece in self.proxy_has.count()..whole as u32 {
            self.proxy_has.set(piece);
        }
        for owner in std::mem::take(&mut self.hungry) {
            self.supply(owner);
        }
        if self.ground.proxy_is_to_die() {
            self.gone(PROXY);
        }
    }

    /// A machine is gone, with all that it was sending.
    fn gone(&mut self, host: u32) {
        let mut broken = self.ground.gone(host);
        if host == PROXY {
            broken.append(&mut self.hungry);
        }
        for owner in broken {
            let Some(asked) = self.asked(owner).copied() else { continue };
            let mut got = asked.position - asked.piece.map_or(0, |piece| self.layout.span(piece).start);
            if let State::Comes(flow) = asked.state {
                got += self.ground.stop(flow);
            }
            self.failed(owner, &Outcome::Failed { got });
        }
    }

    fn done(&mut self, agent: u32) {
        let own = &mut self.agents[agent as usize];
        if !std::mem::replace(&mut own.is_done, true) {
            self.ground.story.done.push(self.ground.now);
            for slot in 0..self.agents[agent as usize].asked.len() as u32 {
                self.stop(Owner { agent, slot });
            }
            if self.ground.setup.leave {
                self.gone(AGENTS + agent);
            }
        }
    }
}

#[cfg(test)]
mod tests;
