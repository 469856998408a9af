//! The table of the chain, line by line, with a clock that is moved by hand.

mod fleet;

use super::{super::outcome::Queue, *};

const SEC: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const EXPIRY: Duration = Duration::from_secs(600);

/// A machine that wants a content, and its clock.
struct Agent {
    chain: Chain,
    health: Health,
    now: Instant,
}

impl Agent {
    fn new(seed: u64) -> Self {
        let backoff = Backoff::default();
        Self { chain: Chain::new(backoff, seed), health: Health::new(backoff, seed), now: Instant::now() }
    }

    /// Each written as a letter for its rank and a name: `a:peer`, `p:proxy`, `u:upper`, `o:origin`.
    fn found(&mut self, sources: &str) {
        self.chain.found(list(sources), EXPIRY, self.now);
    }

    fn next(&mut self) -> String {
        match self.chain.next(&self.health, self.now) {
            Step::Discover => "discover".into(),
            Step::Ask(place) => self.chain.source(place).name.clone(),
            Step::Wait(wait) => {
                let why = match wait.why {
                    Why::Failing => "failing",
                    Why::Busy(busy) => busy.name(),
                    Why::NotReady => "not ready",
                };
                let follow = if wait.follow { " follow" } else { "" };
                format!("wait: {why}{follow}")
            }
            Step::GiveUp(end) => format!("{end:?}"),
        }
    }

    /// Moves the clock to the end of a wait, and answers how long it was.
    fn wait(&mut self) -> Duration {
        let Step::Wait(wait) = self.chain.next(&self.health, self.now) else { panic!("nobody waits") };
        let waited = wait.until - self.now;
        self.now = wait.until;
        waited
    }

    fn came(&mut self, outcome: Outcome) {
        let Step::Ask(place) = self.chain.next(&self.health, self.now) else { panic!("nobody is asked") };
        self.chain.outcome(place, &outcome, &mut self.health, self.now);
    }
}

fn list(sources: &str) -> Vec<Source> {
    let source = |text: &str| {
        let (rank, name) = text.split_once(':').unwrap();
        let rank = match rank {
            "a" => Rank::Peer,
            "p" => Rank::Proxy,
            "u" => Rank::Parent,
            _ => Rank::Origin,
        };
        Source { rank, name: name.into(), url: format!("http://{name}/"), partial: false }
    };
    sources.split(' ').map(source).collect()
}

const FAILED: Outcome = Outcome::Failed { got: 0 };

fn queue(fetched: u64) -> Outcome {
    Outcome::Busy(Busy::Places(Queue { position: 3, places: 5, fetched, total: 100 }), 90 * SEC)
}

#[test]
fn the_nearest_first_and_each_failure_leads_to_the_next() {
    let mut agent = Agent::new(1);
    assert_eq!(agent.next(), "discover");
    agent.found("a:peer p:one p:two u:upper o:origin");
    for name in ["peer", "one", "two", "upper", "origin"] {
        assert_eq!(agent.next(), name);
        agent.came(FAILED);
    }
    assert_eq!(agent.next(), "wait: failing");
    let waited = agent.wait();
    assert!(waited >= 18 * SEC && waited <= 3 * MINUTE, "{waited:?}");
    assert_ne!(agent.next(), "wait: failing");
}

#[test]
fn a_first_server_that_is_back_is_not_made_to_fetch_what_the_second_has_a_queue_for() {
    let mut agent = Agent::new(1);
    agent.next();
    agent.found("p:one p:two o:origin");
    agent.came(FAILED);
    assert_eq!(agent.next(), "two");
    agent.came(queue(10));
    agent.now += 85 * SEC;
    agent.health.forgive();
    assert_eq!(agent.next(), "wait: queue follow", "the first is back");
    agent.now += 15 * SEC;
    assert_eq!(agent.next(), "discover");
    agent.found("p:one p:two o:origin");
    assert_eq!(agent.next(), "two");
    // It fails: the other at once.
    agent.came(FAILED);
    assert_eq!(agent.next(), "one");
}

#[test]
fn all_failing_for_a_day_is_some_dozen_questions() {
    let mut agent = Agent::new(2);
    agent.chain = Chain::given(list("p:one p:two"), Backoff::default(), 2);
    let (end, mut asked) = (agent.now + 1440 * MINUTE, 0);
    while agent.now < end {
        if agent.next().starts_with("wait") {
            agent.wait();
        } else {
            agent.came(FAILED);
            asked += 1;
        }
    }
    assert!((30..90).contains(&asked), "{asked} questions to two servers in a day");
}

#[test]
fn a_first_server_that_is_back_is_used_again() {
    let mut agent = Agent::new(3);
    agent.found("p:one p:two o:origin");
    agent.came(FAILED);
    assert_eq!(agent.next(), "two");
    agent.chain.began(1, &mut agent.health);
    agent.now += 3 * MINUTE;
    assert_eq!(agent.next(), "one");
    agent.chain.began(0, &mut agent.health);
    assert_eq!(agent.health.failures("http://one/", Request::Content), 0);
    // For another content of this machine likewise: health is that of the machine.
    let mut other = Chain::given(list("p:one p:two"), Backoff::default(), 4);
    agent.health.failed("http://one/", Request::Content, agent.now);
    assert_eq!(other.next(&agent.health, agent.now), Step::Ask(1));
}

#[test]
fn who_breaks_off_in_mid_file_is_left_for_the_next_and_is_not_bad() {
    let mut agent = Agent::new(5);
    agent.found("p:one p:two");
    agent.came(Outcome::Failed { got: 5 << 20 });
    assert_eq!(agent.next(), "two");
    assert_eq!(agent.health.failures("http://one/", Request::Content), 0);
    agent.came(Outcome::Failed { got: 2 << 20 });
    // Nobody else is there: soon again, but not at once.
    assert_eq!(agent.next(), "wait: failing");
    let waited = agent.wait();
    assert!(waited >= SEC && waited <= 3 * SEC, "{waited:?}");
    assert!(["one", "two"].contains(&agent.next().as_str()));
    // A few bytes are no sign of a good server.
    agent.chain = Chain::given(list("p:one"), Backoff::default(), 5);
    agent.came(Outcome::Failed { got: 100 });
    assert!(agent.wait() >= 18 * SEC);
}

#[test]
fn a_queue_keeps_everybody_from_those_who_are_farther() {
    let mut agent = Agent::new(6);
    agent.found("a:peer p:one p:two u:upper o:origin");
    agent.came(FAILED);
    agent.came(queue(10));
    assert_eq!(agent.next(), "wait: queue follow");
    // The peer is due before the server: it is nearer, and asked.
    agent.now += 89 * SEC;
    agent.health.forgive();
    assert_eq!(agent.next(), "peer");
    agent.came(Outcome::Absent);
    assert_eq!(agent.next(), "wait: queue follow");
    agent.wait();
    assert_eq!(agent.next(), "discover", "not just to the same server");
    agent.found("a:other p:one o:origin");
    assert_eq!(agent.next(), "other");
}

#[test]
fn a_free_place_is_taken_soon_and_not_again_and_again() {
    let mut agent = Agent::new(7);
    agent.found("p:one o:origin");
    for _ in 0..HURRIES_MAX {
        agent.came(queue(10));
        assert_eq!(agent.next(), "wait: queue follow");
        agent.chain.place_free(0, agent.now);
        assert!(agent.wait() <= PLACE_FREE_SPREAD);
        assert_eq!(agent.next(), "discover");
        agent.found("p:one o:origin");
        assert_eq!(agent.next(), "one");
    }
    agent.came(queue(10));
    assert_eq!(agent.next(), "wait: queue");
    agent.chain.place_free(0, agent.now);
    assert!(agent.wait() >= 90 * SEC);
    // Then it begins anew.
    agent.found("p:one o:origin");
    agent.came(queue(10));
    assert_eq!(agent.next(), "wait: queue follow");
    agent.wait();
    // A fill that has ended is nothing to follow.
    agent.found("p:one");
    agent.came(queue(100));
    assert_eq!(agent.next(), "wait: queue");
}

#[test]
fn whose_fill_is_followed_keeps_nobody_when_it_is_gone() {
    let mut agent = Agent::new(7);
    agent.found("p:one p:two o:origin");
    agent.came(queue(10));
    assert_eq!(agent.next(), "wait: queue follow");
    agent.chain.lost(0, &mut agent.health, agent.now);
    assert_eq!(agent.health.failures("http://one/", Request::Content), 1);
    assert_eq!(agent.next(), "discover");
    agent.found("p:one p:two o:origin");
    assert_eq!(agent.next(), "two", "not for the rest of the time that was said");
    // Where nobody tells another list, the one that is here goes on.
    agent.chain = Chain::given(list("p:three p:four"), Backoff::default(), 7);
    agent.came(queue(10));
    agent.chain.lost(0, &mut agent.health, agent.now);
    assert_eq!(agent.next(), "four");
}

#[test]
fn other_refusals_keep_from_farther_ranks_only_and_those_of_peers_from_nobody() {
    for busy in [Busy::Preload, Busy::Overloaded, Busy::NotReady] {
        let mut agent = Agent::new(8);
        agent.found("a:peer p:one p:two u:upper o:origin");
        agent.came(Outcome::Busy(Busy::Places(Queue::default()), 5 * SEC));
        assert_eq!(agent.next(), "one", "a peer's word keeps nobody");
        agent.came(Outcome::Busy(busy, 30 * SEC));
        assert_eq!(agent.next(), "two");
        agent.came(Outcome::Busy(busy, 60 * SEC));
        assert_eq!(agent.next(), format!("wait: {}", busy.name()));
        assert!((5..=6).contains(&agent.wait().as_secs()), "the peer is due first");
        assert_eq!(agent.next(), "peer");
        agent.came(Outcome::Absent);
        let waited = agent.wait();
        assert!((23..=28).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(agent.next(), "one");
    }
}

#[test]
fn not_ready_is_never_a_tight_loop() {
    let mut agent = Agent::new(9);
    agent.chain.not_ready(40 * SEC, agent.now);
    assert_eq!(agent.next(), "wait: not ready");
    let waited = agent.wait();
    assert!((40..=44).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(agent.next(), "discover");
    agent.chain.not_ready(Duration::ZERO, agent.now);
    assert!(agent.wait() >= SEC);
    // An empty list is as good as none.
    agent.chain.found(Vec::new(), EXPIRY, agent.now);
    assert_eq!(agent.next(), "wait: failing");
    assert!(agent.wait() >= 18 * SEC);
    assert_eq!(agent.next(), "discover");
}

#[test]
fn an_old_list_is_used_where_nobody_knows_a_newer_one() {
    let mut agent = Agent::new(10);
    agent.found("p:one o:origin");
    agent.now += EXPIRY;
    assert_eq!(agent.next(), "discover");
    agent.chain.unknown(agent.now + MINUTE, agent.now);
    assert_eq!(agent.next(), "one");
    agent.came(FAILED);
    agent.came(FAILED);
    assert_eq!(agent.next(), "wait: failing");
    agent.now += MINUTE;
    assert_eq!(agent.next(), "discover");
    // Without any list there is nothing to do but wait.
    let mut agent = Agent::new(11);
    agent.chain.unknown(agent.now + MINUTE, agent.now);
    assert_eq!(agent.wait(), MINUTE);
    assert_eq!(agent.next(), "discover");
}

#[test]
fn wrong_bytes_are_never_asked_for_again_and_what_is_nowhere_ends() {
    let mut agent = Agent::new(12);
    agent.found("a:liar p:one o:origin");
    agent.came(Outcome::Wrong);
    assert_eq!(agent.next(), "one");
    agent.now += EXPIRY;
    agent.found("a:liar p:one o:origin");
    assert_eq!(agent.next(), "one", "also with a new list");
    agent.chain.forgive();
    assert_eq!(agent.next(), "one", "also when all is forgiven");
    agent.came(Outcome::Absent);
    agent.came(Outcome::Refused);
    assert_eq!(agent.next(), "Wrong");
    // Without the origin's word it may only be that nobody has it yet.
    let mut agent = Agent::new(13);
    agent.found("p:one u:upper");
    agent.came(Outcome::Absent);
    agent.came(Outcome::Absent);
    assert_eq!(agent.next(), "wait: failing");
    agent.wait();
    assert_eq!(agent.next(), "discover");
    for (outcome, expected) in [(Outcome::Absent, "Absent"), (Outcome::Refused, "Refused")] {
        let mut agent = Agent::new(14);
        agent.chain = Chain::given(list("p:one"), Backoff::default(), 1);
        agent.came(outcome);
        assert_eq!(agent.next(), expected);
    }
}

#[test]
fn thousands_who_failed_together_come_back_one_by_one() {
    let start = Instant::now();
    let mut returns: Vec<_> = (0..2_000)
        .map(|seed| {
            let mut agent = Agent { now: start, ..Agent::new(seed) };
            agent.chain = Chain::given(list("p:one"), Backoff::default(), seed);
            agent.came(FAILED);
            agent.wait().as_secs()
        })
        .collect();
    returns.sort_unstable();
    let most = returns.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
    assert!(most < 40, "{most} of 2000 come in the same second");
}
