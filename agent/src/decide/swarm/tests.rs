//! The table of the swarm, line by line, with a clock that is moved by hand.

use protocol::patience::Backoff;

mod servers;

use super::{
    super::outcome::{Busy, Queue},
    *,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

/// A machine that wants a content, and its clock.
struct Agent {
    swarm: Swarm,
    health: Health,
    now: Instant,
    count: u32,
}

impl Agent {
    /// Of sources like `a:whole`, `b:partial` (neighbours), `p:one` (a proxy), `u:upper`, `o:origin`.
    fn new(count: u32, sources: &str, seed: u64) -> Self {
        let now = Instant::now();
        let mut swarm = Swarm::new(count, terms(), seed);
        swarm.put(list(sources), now);
        Self { swarm, health: Health::new(Backoff::default(), seed), now, count }
    }

    fn next(&mut self) -> String {
        let step = self.swarm.next(&self.health, self.now);
        self.name_of(step)
    }

    fn name_of(&self, step: Step) -> String {
        let name = |place| self.swarm.source(place).name.clone();
        match step {
            Step::Take { source, piece } => format!("{} {piece}", name(source)),
            Step::Have(source) => format!("{}?", name(source)),
            Step::Plain(source) => format!("plain {}", name(source)),
            Step::Wait(_) => "wait".into(),
            Step::Leave(why) => format!("leave: {why:?}"),
            Step::Done => "done".into(),
        }
    }

    fn place(&self, name: &str) -> usize {
        self.swarm.places.iter().position(|place| place.source.name == name).expect("it is known")
    }

    /// What somebody has, as `0..3` or `5`, words apart; asked once more in a second.
    fn told(&mut self, name: &str, have: &str, filling: bool, askers: u64) {
        let mut pieces = Bitmap::new(self.count);
        for run in have.split_whitespace() {
            let (from, to) = run.split_once("..").unwrap_or((run, ""));
            let from: u32 = from.parse().unwrap();
            let to = to.parse().unwrap_or(from + 1);
            (from..to).for_each(|piece| pieces.set(piece));
        }
        let coming = Bitmap::new(self.count);
        let said = Said { have: &pieces, coming: &coming, filling, askers, next_in: SEC };
        self.swarm.told(self.place(name), &said, self.now);
    }

    fn failed(&mut self, source: &str, piece: u32, outcome: Outcome) {
        self.swarm.failed(self.place(source), piece, &outcome, &mut self.health, self.now);
    }

    /// All that is handed out until there is something to wait for.
    fn steps(&mut self) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let step = self.next();
            if step == "wait" {
                return steps;
            }
            steps.push(step);
            assert!(steps.len() < 100, "{steps:?}");
        }
    }

    fn wait(&mut self) -> Duration {
        let Step::Wait(until) = self.swarm.next(&self.health, self.now) else { panic!("nobody waits") };
        let waited = until - self.now;
        self.now = until;
        waited
    }
}

/// The tables hold whatever the numbers are; these are easy to follow.
fn terms() -> Terms {
    let near = terms::Turns { copies: 2, every: 2 * SEC };
    Terms { in_flight: 4, per_peer: 2, near, ..Terms::default() }
}

fn list(sources: &str) -> Vec<Source> {
    let source = |text: &str| {
        let (kind, name) = text.split_once(':').unwrap();
        let rank = match kind {
            "a" | "b" => Rank::Peer,
            "p" => Rank::Proxy,
            "u" => Rank::Parent,
            _ => Rank::Origin,
        };
        Source { rank, name: name.into(), url: url(name), partial: kind == "b" }
    };
    sources.split_whitespace().map(source).collect()
}

fn url(name: &str) -> String {
    format!("http://{name}/")
}

fn places() -> Outcome {
    Outcome::Busy(Busy::Places(Queue::default()), 90 * SEC)
}

#[test]
fn alone_it_is_one_question_and_one_plain_download() {
    let mut agent = Agent::new(8, "p:one p:two o:origin", 1);
    assert_eq!(agent.next(), "one?");
    assert_eq!(agent.next(), "wait", "nobody else before it has answered");
    agent.told("one", "0..4", true, 1);
    assert_eq!(agent.next(), "plain one");
    // Two may do so: it is sent twice over the branch's own network.
    agent.told("one", "0..4", true, 2);
    assert_eq!(agent.next(), "plain one");
    // Of an origin nobody needs to ask what it has.
    let mut agent = Agent::new(8, "o:origin", 1);
    assert_eq!(agent.next(), "plain origin");
    // What is here before the first missing piece does not matter; what is here behind it would come again.
    agent.swarm.here(0);
    assert_eq!(agent.next(), "plain origin");
    agent.swarm.here(5);
    assert_eq!(agent.steps().len(), 2, "two pieces of one source at once");
}

#[test]
fn a_proxy_that_does_not_know_the_question_is_asked_for_everything() {
    let mut agent = Agent::new(8, "p:old", 1);
    assert_eq!(agent.next(), "old?");
    let place = agent.place("old");
    agent.swarm.untold(place, &Outcome::Absent, &mut agent.health, agent.now);
    assert_eq!(agent.next(), "plain old");
}

#[test]
fn many_share_out_what_they_ask_the_proxy_for() {
    let mut copies = [0_u32; 64];
    let mut first = 0;
    for seed in 0..40 {
        let mut agent = Agent::new(64, "p:one o:origin", seed);
        assert_eq!(agent.next(), "one?");
        agent.told("one", "0..64", false, 40);
        // Everything whose turn it is at once: each piece is taken as soon as it is handed out.
        while let Step::Take { source, piece } = agent.swarm.next(&agent.health, agent.now) {
            assert_eq!(agent.swarm.source(source).name, "one");
            copies[piece as usize] += 1;
            agent.swarm.took(source, piece, &mut agent.health);
            first += 1;
        }
        assert_eq!(agent.next(), "wait");
        // Nobody brings the others: there is a further turn.
        agent.swarm.askers = 40;
        let before = agent.swarm.all_here().count();
        agent.now += 4 * SEC;
        agent.told("one", "0..64", false, 40);
        assert!(matches!(agent.swarm.next(&agent.health, agent.now), Step::Take { .. }), "seed {seed}, {before} here");
    }
    assert!((100..160).contains(&first), "{first} pieces of 64 in the first turn of 40");
    assert!(copies.iter().all(|copies| *copies < 9), "{copies:?}");
}

#[test]
fn neighbours_before_the_proxy_and_the_rarest_first() {
    let mut agent = Agent::new(8, "b:x b:y b:z p:one", 3);
    assert_eq!(agent.next(), "one?");
    assert_eq!(agent.next(), "wait");
    agent.told("one", "0..8", false, 40);
    assert_eq!(agent.next(), "x?");
    assert_eq!(agent.next(), "y?");
    assert_eq!(agent.next(), "z?");
    agent.told("x", "0..4", true, 0);
    agent.told("y", "0..3", true, 0);
    agent.told("z", "0 1 5", true, 0);
    let first = agent.next();
    assert!(["x 3", "z 5"].contains(&first.as_str()), "{first}: only one has it");
    let second = agent.next();
    assert!(["x 3", "z 5"].contains(&second.as_str()) && second != first, "{second}");
    let third = agent.next();
    assert!(third.ends_with(" 2"), "{third}: two have it");
    let fourth = agent.next();
    assert!(fourth.ends_with(" 0") || fourth.ends_with(" 1"), "{fourth}");
    assert_eq!(agent.next(), "wait", "four at once");
}

#[test]
fn agents_differ_in_what_they_ask_for_first() {
    let first = |seed| {
        let mut agent = Agent::new(64, "a:whole p:one", seed);
        agent.next();
        agent.next()
    };
    let different: BTreeSet<String> = (0..40).map(first).collect();
    assert!(different.len() > 20, "{different:?}");
}

#[test]
fn what_nobody_fetches_is_begun_by_whose_turn_it_is() {
    let mut begun = 0;
    for seed in 0..100 {
        let mut agent = Agent::new(8, "p:one o:origin", seed);
        agent.next();
        agent.told("one", "", false, 50);
        let step = agent.next();
        begun += usize::from(step == "one 0");
        assert!(step == "one 0" || step == "wait", "{step}");
        assert_eq!(agent.next(), "wait", "one piece makes it begin");
    }
    assert!((1..12).contains(&begun), "{begun} of 100 begin, two of 50");
    // What it fetches is not asked for before it is there.
    let mut agent = Agent::new(8, "p:one", 1);
    agent.next();
    agent.told("one", "", true, 50);
    assert!(agent.wait() <= SEC);
    assert_eq!(agent.next(), "one?");
}

#[test]
fn a_busy_neighbour_is_left_for_a_moment_and_a_busy_proxy_keeps_from_those_behind_it() {
    let mut agent = Agent::new(8, "a:x p:one p:two o:origin", 4);
    assert_eq!(agent.next(), "one?");
    agent.told("one", "0..8", false, 3);
    agent.told("one", "0..8", false, 40);
    let first = agent.next();
    let piece: u32 = first.strip_prefix("x ").expect("of the neighbour").parse().unwrap();
    agent.failed("x", piece, places());
    let x = agent.place("x");
    let until = agent.swarm.places[x].until.expect("it waits").0;
    assert!(until - agent.now >= 50 * MS && until - agent.now <= 250 * MS, "{:?}", until - agent.now);
    let one = agent.place("one");
    agent.swarm.plain_ended(one, &places(), agent.now);
    agent.now += 300 * MS;
    assert_eq!(agent.next(), "one?", "who is busy names others");
    agent.told("one", "0..8", false, 40);
    let of = |step: String| step.split(' ').next().unwrap().to_owned();
    assert_eq!([agent.next(), agent.next(), agent.next()].map(of), ["x", "x", "wait"], "neither two nor origin");
    agent.now += 100 * SEC;
    assert_eq!(agent.next(), "one?");
    agent.told("one", "0..8", false, 1);
    assert_eq!(of(agent.next()), "one");
}

#[test]
fn a_server_that_fails_is_left_for_the_next_and_then_for_those_behind() {
    let mut agent = Agent::new(8, "p:one p:two u:upper o:origin", 5);
    for name in ["one", "two", "upper"] {
        assert_eq!(agent.next(), format!("{name}?"));
        let place = agent.place(name);
        agent.swarm.untold(place, &Outcome::Failed { got: 0 }, &mut agent.health, agent.now);
    }
    assert_eq!(agent.next(), "plain origin");
    let origin = agent.place("origin");
    agent.health.failed(&url("origin"), Request::Content, agent.now);
    agent.swarm.plain_ended(origin, &Outcome::Failed { got: 0 }, agent.now);
    assert_eq!(agent.next(), "leave: Nobody");
    let mut agent = Agent::new(8, "p:one", 5);
    agent.next();
    agent.told("one", "", false, 1);
    agent.swarm.plain_ended(0, &places(), agent.now);
    assert_eq!(agent.next(), "one?");
    agent.told("one", "", false, 3);
    assert_eq!(agent.next(), "leave: Busy");
    // It names somebody: there is something to wait for again.
    agent.swarm.peers([url("n")], agent.now);
    assert_eq!(agent.next(), "n?");
    assert_eq!(agent.next(), "wait");
}

#[test]
fn a_proxy_that_was_busy_and_is_gone_keeps_nobody_from_those_behind_it() {
    let mut agent = Agent::new(8, "p:one o:origin", 5);
    agent.next();
    agent.told("one", "", false, 1);
    agent.swarm.plain_ended(0, &places(), agent.now);
    assert_eq!(agent.next(), "one?");
    agent.told("one", "", false, 1);
    assert_eq!(agent.next(), "leave: Busy", "its places are taken for 90 s");
    agent.now += 2 * SEC;
    assert_eq!(agent.next(), "one?");
    agent.swarm.untold(0, &Outcome::Failed { got: 0 }, &mut agent.health, agent.now);
    assert_eq!(agent.next(), "plain origin");
}

#[test]
fn what_a_server_had_said_counts_no_more_when_it_has_failed_and_it_is_asked_anew_when_it_is_due() {
    let mut agent = Agent::new(8, "b:x p:one o:origin", 5);
    agent.next();
    agent.told("one", "0..4", true, 40);
    agent.next();
    agent.told("x", "", true, 0);
    (0..4).for_each(|piece| agent.swarm.here(piece));
    agent.now += 3 * SEC;
    let place = agent.place("one");
    agent.swarm.untold(place, &Outcome::Failed { got: 0 }, &mut agent.health, agent.now);
    let due = agent.health.due(&url("one"), Request::Content, agent.now).expect("a back-off");
    assert!(!agent.steps().iter().any(|step| step.starts_with("one")), "it is left");
    // Others are waited for, and then it comes from beyond the line, though the first would be due by then.
    agent.now = due + 200 * SEC;
    assert_eq!(agent.next(), "one?", "whether it is back");
    let steps = agent.steps();
    assert!(steps.iter().any(|step| step.starts_with("origin ")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("one ")), "{steps:?}");
    agent.told("one", "0..8", false, 40);
    agent.steps();
    agent.now += 60 * SEC;
    assert!(agent.steps().iter().any(|step| step.starts_with("one ")), "it is the nearest again");
}

#[test]
fn a_server_that_fetches_what_is_here_already_is_asked_for_what_is_missing() {
    let of = |first_missing: u32, have: &str, seed: u64| {
        let mut agent = Agent::new(64, "p:one", seed);
        (0..first_missing).for_each(|piece| agent.swarm.here(piece));
        agent.next();
        agent.told("one", have, true, 40);
        agent.steps()
    };
    let asked: Vec<_> = (0..40).flat_map(|seed| of(32, "0..2", seed)).collect();
    // Of the eight next pieces about one copy each, or two: these are the terms of the tests.
    assert!((8..=32).contains(&asked.len()), "{asked:?}");
    let piece = |step: &String| step.strip_prefix("one ")?.parse::<u32>().ok();
    assert!(asked.iter().all(|step| piece(step).is_some_and(|piece| (32..40).contains(&piece))), "{asked:?}");
    // Where its fill is about as far as we are it comes by itself.
    assert!((0..40).all(|seed| of(32, "0..30", seed).is_empty()));
}

#[test]
fn a_neighbour_that_has_not_begun_is_asked_again_a_few_times() {
    let mut agent = Agent::new(8, "b:x", 5);
    for time in 0..9 {
        assert_eq!(agent.next(), "x?", "{time}");
        agent.swarm.untold(0, &Outcome::Absent, &mut agent.health, agent.now);
        agent.now += 3 * SEC;
    }
    assert_eq!(agent.next(), "leave: Nobody");
}

#[test]
fn who_lies_about_what_it_has_is_left_the_third_time() {
    let mut agent = Agent::new(8, "b:liar p:one", 6);
    agent.next();
    agent.told("one", "", true, 40);
    assert_eq!(agent.next(), "liar?");
    agent.told("liar", "0..8", true, 0);
    // Who has all is not asked again: a lie of such a one is its last.
    agent.next();
    let taken = agent.swarm.flying[0];
    agent.failed("liar", taken.piece, Outcome::Absent);
    assert!(agent.swarm.places[taken.source].is_gone());
    let mut agent = Agent::new(8, "b:liar p:one", 6);
    agent.next();
    agent.told("one", "", true, 40);
    agent.next();
    for lie in 1..=3 {
        agent.told("liar", "0..7", true, 0);
        let piece = loop {
            match agent.swarm.next(&agent.health, agent.now) {
                Step::Take { piece, .. } => break piece,
                Step::Have(place) if place == agent.place("one") => agent.told("one", "", true, 40),
                step => panic!("lie {lie}: {step:?}"),
            }
        };
        agent.failed("liar", piece, Outcome::Absent);
        let place = agent.place("liar");
        assert_eq!(agent.swarm.places[place].is_gone(), lie == 3, "lie {lie}");
        assert!(lie == 3 || !agent.swarm.places[place].has_piece(piece));
        agent.now += 3 * SEC;
    }
    assert!(agent.swarm.rarity.iter().all(|holders| *holders == 0), "who is gone counts no more");
}

#[test]
fn a_wrong_piece_bans_its_sender_for_good() {
    let mut agent = Agent::new(8, "a:liar p:one", 7);
    agent.next();
    let Step::Take { source, piece } = agent.swarm.next(&agent.health, agent.now) else { panic!("the neighbour") };
    agent.swarm.wrong(source, piece, agent.now);
    agent.told("one", "0..8", false, 1);
    assert_eq!(agent.next(), "plain one");
    agent.now += 600 * SEC;
    agent.swarm.put(list("a:liar p:one"), agent.now);
    agent.swarm.peers([url("liar")], agent.now);
    agent.swarm.forgive(agent.now);
    assert_eq!(agent.next(), "one?");
    agent.told("one", "0..8", false, 1);
    assert_eq!(agent.next(), "plain one", "neither with a new list nor when all is forgiven");
}

#[test]
fn what_a_stalling_neighbour_has_is_asked_of_another_one_in_the_end() {
    let mut agent = Agent::new(2, "a:slow a:quick p:one", 8);
    agent.next();
    let steps = agent.steps();
    assert_eq!(steps.len(), 2, "{steps:?}");
    let slow = agent.swarm.flying.iter().find(|flight| flight.source == agent.place("slow")).copied();
    let slow = slow.unwrap_or(agent.swarm.flying[0]);
    let other = agent.swarm.flying.iter().find(|flight| flight.piece != slow.piece).copied().unwrap();
    agent.swarm.took(other.source, other.piece, &mut agent.health);
    assert_eq!(agent.next(), "wait");
    agent.now += 3 * SEC;
    let Step::Take { source, piece } = agent.swarm.next(&agent.health, agent.now) else { panic!("asked once more") };
    assert!(source != slow.source && piece == slow.piece);
    assert_eq!(agent.next(), "wait", "twice is enough");
    agent.swarm.took(source, piece, &mut agent.health);
    assert_eq!(agent.swarm.needless().collect::<Vec<_>>(), [(slow.source, slow.piece)]);
    agent.swarm.cancelled(slow.source, slow.piece);
    assert_eq!((agent.next().as_str(), agent.swarm.flying.len()), ("done", 0));
}

#[test]
fn neighbours_come_and_go_and_there_are_never_more_than_thirty() {
    let mut agent = Agent::new(8, "p:one", 9);
    let names: Vec<_> = (0..100).map(|number| format!("n{number}")).collect();
    agent.swarm.peers(names.iter().map(|name| url(name)), agent.now);
    assert_eq!(agent.swarm.sources().count(), 1 + PEERS_MAX);
    agent.next();
    agent.told("one", "", true, 100);
    assert_eq!(agent.steps().len(), 4, "four questions at once");
    for place in 1..=4 {
        agent.swarm.untold(place, &Outcome::Failed { got: 0 }, &mut agent.health, agent.now);
    }
    agent.swarm.peers([url("late")], agent.now);
    assert_eq!(agent.swarm.sources().count(), 1 + PEERS_MAX - 3);
    // Who did not answer may have come back when it is named again later.
    agent.swarm.peers([url("n1")], agent.now);
    assert_eq!(agent.swarm.sources().count(), 1 + PEERS_MAX - 3);
    agent.now += 30 * SEC;
    agent.swarm.peers([url("n1")], agent.now);
    assert_eq!(agent.swarm.sources().count(), 1 + PEERS_MAX - 2);
}

#[test]
fn a_list_that_comes_later_changes_who_is_asked_and_keeps_what_is_known() {
    let mut agent = Agent::new(8, "b:x p:one", 10);
    agent.next();
    agent.told("one", "0..8", false, 40);
    agent.next();
    agent.told("x", "1..3", true, 0);
    agent.swarm.put(list("a:x p:other"), agent.now);
    assert!(agent.swarm.rarity.iter().all(|holders| *holders == 0), "who has all counts for no piece");
    assert_eq!(agent.next(), "other?");
    let steps = agent.steps();
    assert!(steps.iter().all(|step| step.starts_with("x ")) && steps.len() == 2, "{steps:?}");
    // Only the window is looked at: what is far behind would be one run more in the store.
    let mut agent = Agent::new(4_096, "a:x p:one", 10);
    for _ in 0..50 {
        if let Step::Take { source, piece } = agent.swarm.next(&agent.health, agent.now) {
            assert!(piece < 512, "{piece}");
            if piece > 0 {
                agent.swarm.took(source, piece, &mut agent.health);
            } else {
                agent.swarm.cancelled(source, piece);
            }
        }
    }
}

#[test]
fn all_of_them_get_it_with_a_few_copies_from_the_proxy() {
    // Twenty agents and a proxy that has it all; every step takes one tick, and neighbours tell what they have every second.
    let (count, agents) = (48, 20_usize);
    let mut all: Vec<Agent> = (0..agents).map(|seed| Agent::new(count, "p:one", seed as u64)).collect();
    let start = all[0].now;
    let mut of_proxy = 0;
    for agent in &mut all {
        agent.now = start;
        let others = (0..agents as u64).map(|other| url(&format!("n{other}")));
        agent.swarm.peers(others, start);
    }
    for tick in 0..600_u32 {
        let now = start + tick * 100 * MS;
        let here: Vec<Bitmap> = all.iter().map(|agent| agent.swarm.all_here().clone()).collect();
        for (number, agent) in all.iter_mut().enumerate() {
            agent.now = now;
            loop {
                let step = agent.swarm.next(&agent.health, now);
                let holder = |source: usize, agent: &Agent| {
                    let name = agent.swarm.source(source).name.clone();
                    name.strip_prefix('n').map(|number| number.parse::<usize>().unwrap())
                };
                match step {
                    Step::Have(source) => {
                        let have = match holder(source, agent) {
                            Some(other) => here[other].clone(),
                            None => Bitmap::full(count),
                        };
                        let (coming, askers) = (Bitmap::new(count), agents as u64);
                        let said = Said { have: &have, coming: &coming, filling: true, askers, next_in: SEC };
                        agent.swarm.told(source, &said, now);
                    }
                    Step::Take { source, piece } => {
                        match holder(source, agent) {
                            Some(other) => assert!(here[other].get(piece) && other != number),
                            None => of_proxy += 1,
                        }
                        agent.swarm.took(source, piece, &mut agent.health);
                        break;
                    }
                    _ => break,
                }
            }
        }
    }
    assert!(all.iter().all(|agent| agent.swarm.all_here().is_full()));
    let copies = f64::from(of_proxy) / f64::from(count);
    assert!(copies < 5.0, "{copies} copies from the proxy");
}

#[test]
fn of_a_server_that_has_everything_turns_begin_when_a_piece_is_looked_at() {
    let terms = Terms { window: 10, ..terms() };
    let mut agent = Agent::new(100, "p:one", 1);
    agent.swarm.terms = terms;
    agent.next();
    agent.told("one", "0..100", false, 1_000);
    agent.steps();
    let one = agent.place("one");
    let turn = |agent: &Agent, piece| agent.swarm.turn(one, piece, agent.now).expect("it has it") - agent.now;
    let longest = (0..10).map(|piece| turn(&agent, piece)).max().unwrap();
    agent.now += longest;
    (0..10).for_each(|piece| agent.swarm.here(piece));
    agent.steps();
    let later: Vec<_> = (10..20).map(|piece| turn(&agent, piece)).collect();
    assert!(later.iter().filter(|wait| wait.as_secs() >= 1).count() >= 8, "{later:?}");
}

#[test]
fn beyond_the_line_others_wait_as_long_as_somebody_brings_news() {
    let mut agents: Vec<_> = (0..40).map(|seed| Agent::new(64, "b:near o:origin", seed)).collect();
    for agent in &mut agents {
        agent.next();
        agent.told("near", "", true, 0);
        agent.swarm.askers = 40;
    }
    let (mut begun, mut brought) = (0, 0);
    for _ in 0..60 {
        // News, once a second, as soon as somebody has begun: what the neighbour has now.
        brought += u32::from(begun > 0);
        agents.retain_mut(|agent| {
            agent.now += SEC;
            if brought > 0 {
                agent.told("near", &format!("0..{brought}"), true, 0);
            }
            let begins = agent.steps().iter().any(|step| step.starts_with("origin "));
            begun += u32::from(begins);
            !begins
        });
    }
    assert!((1..=3).contains(&begun), "{begun} of 40 begin at once, and nobody else while it goes on");
    // Nobody brings anything: after a few turns everybody would.
    let mut agent = Agent::new(64, "b:near o:origin", 7);
    agent.next();
    agent.told("near", "", true, 0);
    agent.swarm.askers = 40;
    agent.now += 60 * SEC;
    agent.steps();
    agent.told("near", "0", true, 0);
    let asked = agent.steps();
    assert!(agent.swarm.far.is_some_and(|(_, has_begun)| has_begun), "{asked:?}");
}

#[test]
fn what_a_neighbour_brings_over_the_line_is_not_brought_once_more() {
    let mut agent = Agent::new(8, "b:x b:y o:origin", 7);
    agent.steps();
    agent.swarm.askers = 40;
    agent.now += 60 * SEC;
    let (none, mut coming) = (Bitmap::new(8), Bitmap::new(8));
    (0..7).for_each(|piece| coming.set(piece));
    let tell = |agent: &mut Agent, name: &str, coming: &Bitmap| {
        let said = Said { have: &none, coming, filling: true, askers: 0, next_in: SEC };
        agent.swarm.told(agent.place(name), &said, agent.now);
        agent.steps().into_iter().filter(|step| step.starts_with("origin ")).collect::<Vec<_>>()
    };
    assert!(tell(&mut agent, "x", &coming).is_empty(), "somebody has begun: that is news");
    agent.now += 45 * SEC;
    assert!(!tell(&mut agent, "x", &none).is_empty(), "nobody brings anything any more");
    agent.swarm.dropped();
    // We have begun ourselves, and so has a neighbour: the other piece is ours.
    assert_eq!(tell(&mut agent, "y", &coming), ["origin 7"]);
    agent.swarm.dropped();
    agent.now += 6 * SEC;
    assert_eq!(agent.steps().iter().filter(|step| step.starts_with("origin ")).count(), 2, "it has said no more of it");
}
