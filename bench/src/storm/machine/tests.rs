//! One machine of a storm, step by step, without an origin and without a clock.

use protocol::{
    catalog::File,
    digest::Sha256,
    enrolment::{Content as Wanted, Order},
    sources::{Kind, Source, Sources},
};

use super::{
    super::world::{Environment, members},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

fn machine(number: usize, now: Instant) -> Machine {
    let member = members(Environment { upper: 1, constrained: 1, agents: 1 }).remove(number);
    let habits = Habits {
        backoff: Backoff { first: SECOND, max: 60 * SECOND },
        gather: (SECOND, 2 * SECOND),
        rate: 100,
        begin: SECOND,
        prefix: "/storm/".into(),
    };
    Machine::new(member, habits, now, 7)
}

fn file(number: u8, path: &str) -> Change {
    Change::File(File {
        path: path.into(),
        size: 1_000,
        md5: Md5([number; 16]),
        sha256: Sha256([number; 32]),
        modified: String::new(),
        generation: u64::from(number),
    })
}

fn answer(contents: &[(u8, bool)]) -> Answer {
    let source = Source {
        kind: Kind::Parent,
        name: "upper-0".into(),
        url: "http://127.1.0.1:8080/".into(),
        holds: true,
        partial: false,
    };
    let contents = contents.iter().map(|(number, ready)| Sources {
        pieces: None,
        md5: Md5([*number; 16]),
        ready: *ready,
        unknown: false,
        path: None,
        size: Some(1_000),
        sources: if *ready { vec![source.clone()] } else { Vec::new() },
        retry_after: (!ready).then_some(30),
    });
    Answer { domain: None, expires_in: 600, contents: contents.collect() }
}

/// Lets time pass until the machine does something.
fn until_it_acts(machine: &mut Machine, now: &mut Instant) -> Do {
    loop {
        match machine.next(*now) {
            Do::Wait(until) => *now = until,
            act => return act,
        }
    }
}

fn report(machine: &mut Machine, now: &mut Instant) -> Report {
    let Do::Report(report) = until_it_acts(machine, now) else { panic!("no report") };
    machine.reported(&report, Reported { full: false, next_in: 3_600, expires_in: 7_200, url_refused: false }, *now);
    *report
}

#[test]
fn what_comes_together_is_one_question_and_what_is_not_ready_is_asked_for_when_it_was_said() {
    let mut now = Instant::now();
    let mut agent = machine(2, now);
    assert!(report(&mut agent, &mut now).full);
    let heard = now;
    for number in 0..10 {
        agent.hear(file(number, "/storm/a"), now);
    }
    agent.hear(file(99, "/other/a"), now);
    let Do::Ask(asked) = until_it_acts(&mut agent, &mut now) else { panic!("nobody asks") };
    assert_eq!(asked.len(), 10);
    assert!(now >= heard + SECOND && now <= heard + 2 * SECOND);
    agent.answered(answer(&[(0, true), (1, false)]), now, now);
    (2..10).for_each(|number| agent.answered(answer(&[(number, true)]), now, now));
    let asked_first = now;
    let Do::Ask(again) = until_it_acts(&mut agent, &mut now) else { panic!("nobody asks again") };
    assert_eq!(again, [Md5([1; 16])]);
    assert!(now >= asked_first + 30 * SECOND && now <= asked_first + 33 * SECOND);
    // Nine of ten seconds each came meanwhile, the last is still on its way.
    assert_eq!(agent.held(), 3);
}

#[test]
fn a_refused_question_is_asked_again_when_it_was_said() {
    let mut now = Instant::now();
    let mut agent = machine(2, now);
    report(&mut agent, &mut now);
    agent.hear(file(1, "/storm/a"), now);
    let Do::Ask(_) = until_it_acts(&mut agent, &mut now) else { panic!("nobody asks") };
    let refused = now;
    agent.refused(Request::Sources, 20 * SECOND, now);
    let Do::Ask(_) = until_it_acts(&mut agent, &mut now) else { panic!("nobody asks again") };
    assert!(now >= refused + 20 * SECOND && now <= refused + 22 * SECOND);
    assert_eq!(agent.stories().next().unwrap().1.questions, 2);
}

#[test]
fn a_proxy_tells_when_something_will_be_here_and_that_it_is() {
    let mut now = Instant::now();
    let mut proxy = machine(1, now);
    report(&mut proxy, &mut now);
    let contents = (1..=2).map(|number| Wanted { md5: Md5([number; 16]), path: "/storm/a".into() }).collect();
    proxy.hear(Change::Order(Order { id: 5, update: Update::Contents(contents) }), now);
    let told = report(&mut proxy, &mut now);
    assert_eq!((told.orders.len(), told.orders[0].state), (1, Stage::Waiting));
    let Do::Ask(asked) = until_it_acts(&mut proxy, &mut now) else { panic!("nobody asks") };
    assert_eq!(asked.len(), 2);
    proxy.answered(answer(&[(1, true), (2, true)]), now, now);
    let forecast = report(&mut proxy, &mut now).fetching;
    let seconds: Vec<_> = forecast.iter().map(|fetching| fetching.ready_in.unwrap()).collect();
    assert!((9..=10).contains(&seconds[0]) && seconds[1] == seconds[0] + 10, "{seconds:?}");
    assert_eq!(report(&mut proxy, &mut now).holds, [Md5([1; 16])]);
    let last = report(&mut proxy, &mut now);
    assert_eq!((last.holds, last.orders[0].state), (vec![Md5([2; 16])], Stage::Done));
}
