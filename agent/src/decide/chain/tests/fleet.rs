//! Many chains over one clock that is moved by hand: what all machines of a company do together when a server goes and comes back, and what one does with
//! servers that answer anything at all.

use std::collections::BTreeMap;

use super::*;

fn proxies(names: &[&str]) -> Vec<Source> {
    let source = |name: &&str| Source {
        rank: Rank::Proxy,
        name: (*name).into(),
        url: format!("http://{name}/"),
        partial: false,
    };
    names.iter().map(source).collect()
}

/// A machine that gets one file after the other.
struct Machine {
    chain: Chain,
    health: Health,
    /// When it does something next.
    due: Instant,
}

/// A company before two servers, of which the first may be away.
struct Company {
    machines: Vec<Machine>,
    start: Instant,
    /// Machines that asked the first server, by the second from the start.
    first: BTreeMap<u64, usize>,
    /// When each first had something of the first server after its return.
    returned: Vec<Option<Instant>>,
}

impl Company {
    fn new(machines: u64) -> Self {
        let start = Instant::now();
        // Not all at once: that would be their own doing.
        let machine = |seed: u64| {
            let backoff = Backoff::default();
            let chain = Chain::given(proxies(&["one", "two"]), backoff, seed);
            Machine { chain, health: Health::new(backoff, seed), due: start + Duration::from_millis(seed * 20) }
        };
        let returned = vec![None; machines as usize];
        Self { machines: (0..machines).map(machine).collect(), start, first: BTreeMap::new(), returned }
    }

    /// Until `end`; the first server is away from one moment to another. A file takes each machine ten seconds, and then it wants the next.
    fn run(&mut self, end: Duration, away: std::ops::Range<Duration>) {
        while let Some((number, machine)) = self.machines.iter_mut().enumerate().min_by_key(|(_, machine)| machine.due)
        {
            let now = machine.due;
            let at = now - self.start;
            if at >= end {
                return;
            }
            match machine.chain.next(&machine.health, now) {
                Step::Ask(place) => {
                    let is_first = machine.chain.source(place).name == "one";
                    if is_first {
                        *self.first.entry(at.as_secs()).or_default() += 1;
                    }
                    if is_first && away.contains(&at) {
                        machine.chain.outcome(place, &Outcome::Failed { got: 0 }, &mut machine.health, now);
                        continue;
                    }
                    if is_first && at >= away.end {
                        self.returned[number].get_or_insert(now);
                    }
                    machine.chain.began(place, &mut machine.health);
                    machine.due = now + 10 * SEC;
                }
                Step::Wait(wait) => machine.due = wait.until,
                step => panic!("{step:?}"),
            }
        }
    }
}

#[test]
fn a_first_server_that_is_back_is_used_by_all_again_and_stormed_by_nobody() {
    let mut company = Company::new(500);
    let (goes, comes) = (100 * SEC, 160 * SEC);
    company.run(30 * MINUTE, goes..comes);
    // Everybody was at the second meanwhile, which nobody has shut down.
    let returns: Vec<_> = company.returned.iter().map(|at| at.expect("it is used again") - company.start).collect();
    assert!(returns.iter().all(|at| *at >= comes));
    // After one failure at most 3 minutes, after a second one at most 6 more, and the file that was on.
    let last = returns.iter().max().unwrap();
    assert!(*last <= comes + 9 * MINUTE + 10 * SEC, "{last:?}");
    let half = returns.iter().filter(|at| **at < comes + 3 * MINUTE).count();
    assert!(half > 250, "{half} of 500 are back within three minutes");
    // All of them want something every ten seconds, 50 in a second: no more come at any moment than that, and the first to come back are few.
    let (at, most) =
        company.first.range(goes.as_secs() + 20..comes.as_secs() + 600).max_by_key(|(_, count)| **count).unwrap();
    assert!(*most < 120, "{most} of 500 ask the first in second {at}");
    let at_once = company.first.range(comes.as_secs()..comes.as_secs() + 10).map(|(_, count)| *count).sum::<usize>();
    assert!(at_once < 100, "{at_once} of 500 in the first ten seconds");
    // While it was away it was asked once by each at first, and then by few.
    let in_vain = company.first.range(goes.as_secs() + 11..comes.as_secs()).map(|(_, count)| *count).sum::<usize>();
    assert!(in_vain < 300, "{in_vain} questions in vain in 50 s");
}

#[test]
fn the_last_good_one_is_used_until_the_one_before_it_is_due() {
    let mut company = Company::new(1);
    company.run(18 * MINUTE, SEC..2 * MINUTE);
    let machine = &mut company.machines[0];
    assert_eq!(machine.health.failures("http://one/", Request::Content), 0);
    // It was asked in vain at most three times in two minutes: waits are 18 s at least.
    let in_vain = company.first.range(1..120).map(|(_, count)| *count).sum::<usize>();
    assert!((1..=6).contains(&in_vain), "{in_vain}");
}

/// What may come of asking, in any order.
fn anything(spread: &mut Spread) -> Outcome {
    let queue = Queue { position: 1, places: 5, fetched: spread.number() % 3, total: 2 };
    let wait = Duration::from_secs(spread.number() % 3);
    match spread.number() % 9 {
        0 => Outcome::Failed { got: 0 },
        1 => Outcome::Failed { got: 5 << 20 },
        2 => Outcome::Busy(Busy::Places(queue), wait),
        3 => Outcome::Busy(Busy::Preload, wait),
        4 => Outcome::Busy(Busy::Overloaded, wait),
        5 => Outcome::Busy(Busy::NotReady, Duration::ZERO),
        6 => Outcome::Absent,
        7 => Outcome::Refused,
        _ => Outcome::Failed { got: 1 },
    }
}

/// Likewise of looking for sources, an origin among them now and then.
fn look(chain: &mut Chain, spread: &mut Spread, now: Instant) {
    let wait = Duration::from_secs(spread.number() % 3);
    match spread.number() % 5 {
        0 => chain.found(Vec::new(), wait, now),
        1 => chain.not_ready(wait, now),
        2 => chain.unknown(now + wait, now),
        _ => {
            let mut sources = proxies(&["one", "two", "three"]);
            sources.insert(
                0,
                Source { rank: Rank::Peer, name: "peer".into(), url: "http://peer/".into(), partial: false },
            );
            chain.found(sources, wait, now);
        }
    }
}

#[test]
fn whatever_is_answered_nobody_asks_in_a_tight_loop() {
    for seed in 0..300 {
        let (mut spread, start) = (Spread::new(seed), Instant::now());
        let backoff = Backoff { first: 2 * SEC, max: 20 * SEC };
        let (mut chain, mut health, mut now) = (Chain::new(backoff, seed), Health::new(backoff, seed), start);
        // Nothing takes any time but waiting, and all that is said is "at once".
        let (mut steps, mut questions) = (0, 0);
        while now < start + 10 * MINUTE {
            match chain.next(&health, now) {
                Step::Discover => {
                    look(&mut chain, &mut spread, now);
                    steps += 1;
                }
                Step::Ask(place) => {
                    chain.outcome(place, &anything(&mut spread), &mut health, now);
                    steps += 1;
                }
                Step::Wait(wait) => {
                    assert!(wait.until > now, "seed {seed}: a wait of nothing");
                    questions += steps;
                    steps = 0;
                    match (wait.follow, wait.source, spread.number() % 4) {
                        (true, Some(place), 0) => chain.place_free(place, now),
                        (true, Some(place), 1) => chain.lost(place, &mut health, now),
                        _ => now = wait.until,
                    }
                }
                Step::GiveUp(end) => panic!("seed {seed}: no origin has said {end:?}"),
            }
            // A question for the list, each of four sources, and once more for what came of them.
            assert!(steps <= 10, "seed {seed}: {steps} questions at the same moment");
        }
        let most = 5 * 600;
        assert!(questions < most, "seed {seed}: {questions} questions in ten minutes");
    }
}
