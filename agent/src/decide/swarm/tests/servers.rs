//! Of several servers that are equally near one brings a content.

use super::*;

/// All that waits to be heard says that it has nothing and fetches nothing.
fn nobody_brings(agent: &mut Agent, names: &str, askers: u64) {
    for name in names.split_whitespace() {
        assert_eq!(agent.next(), format!("{name}?"));
        agent.told(name, "", false, askers);
    }
}

fn untold(agent: &mut Agent, name: &str) {
    let place = agent.place(name);
    agent.swarm.untold(place, &Outcome::Failed { got: 0 }, &mut agent.health, agent.now);
}

/// The first was asked, has failed, and the second fetches it.
fn second_fetches(sources: &str, have: &str) -> Agent {
    let mut agent = Agent::new(16, sources, 3);
    assert_eq!(agent.next(), "one?");
    untold(&mut agent, "one");
    assert_eq!(agent.next(), "two?");
    agent.told("two", have, true, 40);
    agent
}

/// The back-off of the first is over, and it is there again, with nothing.
fn first_is_back(agent: &mut Agent) {
    agent.now = agent.health.due(&url("one"), Request::Content, agent.now).expect("a back-off");
    agent.told("two", "0..2", true, 40);
    let asked = agent.steps();
    assert!(asked.iter().any(|step| step == "one?"), "whether it is back: {asked:?}");
    agent.told("one", "", false, 40);
}

/// All that is handed out in so many seconds, in which `server` says once in a second that it fetches and has nothing yet.
fn steps_while(agent: &mut Agent, seconds: u32, server: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for _ in 0..seconds {
        agent.now += SEC;
        agent.told(server, "", true, 40);
        steps.extend(agent.steps());
    }
    steps
}

#[test]
fn before_a_server_is_made_to_begin_the_others_of_its_rank_are_heard() {
    // None of them brings it: the first is.
    let mut agent = Agent::new(16, "p:one p:two u:upper o:origin", 3);
    nobody_brings(&mut agent, "one two", 1);
    assert_eq!(agent.next(), "plain one");
    // The second fetches, or has all of it.
    for (have, filling) in [("", true), ("0..3", true), ("0..16", false)] {
        let mut agent = Agent::new(16, "p:one p:two o:origin", 3);
        nobody_brings(&mut agent, "one", 1);
        assert_eq!(agent.next(), "two?");
        assert_eq!(agent.next(), "wait", "one second for its answer");
        agent.told("two", have, filling, 1);
        assert_eq!(agent.next(), "plain two", "{have} {filling}");
    }
    // Who brings it need not ask around.
    let mut agent = Agent::new(16, "p:one p:two", 3);
    agent.next();
    agent.told("one", "", true, 1);
    assert_eq!(agent.next(), "plain one");
}

#[test]
fn who_says_nothing_is_waited_for_a_second_and_who_fails_not_at_all() {
    let mut agent = Agent::new(16, "p:one p:two", 3);
    nobody_brings(&mut agent, "one", 1);
    assert_eq!(agent.next(), "two?");
    assert_eq!(agent.wait(), SEC);
    agent.told("one", "", false, 1);
    assert_eq!(agent.next(), "plain one");
    let mut agent = Agent::new(16, "p:one p:two", 3);
    nobody_brings(&mut agent, "one", 1);
    assert_eq!(agent.next(), "two?");
    untold(&mut agent, "two");
    assert_eq!(agent.next(), "plain one");
    // One that does not know the question has nothing to say, and is not taken for one that has all.
    let mut agent = Agent::new(16, "p:one p:old", 3);
    nobody_brings(&mut agent, "one", 1);
    assert_eq!(agent.next(), "old?");
    let old = agent.place("old");
    agent.swarm.untold(old, &Outcome::Absent, &mut agent.health, agent.now);
    assert_eq!(agent.next(), "plain one");
}

#[test]
fn a_first_that_is_back_is_left_alone_while_the_second_fetches_and_is_used_again_for_the_next_content() {
    let mut agent = second_fetches("p:one p:two o:origin", "");
    first_is_back(&mut agent);
    let steps = steps_while(&mut agent, 60, "two");
    assert!(!steps.iter().any(|step| step.starts_with("one") || step.starts_with("origin")), "{steps:?}");
    // What the second has is asked of it.
    agent.told("two", "0..16", false, 40);
    agent.now += 60 * SEC;
    let steps = agent.steps();
    assert!(steps.iter().any(|step| step.starts_with("two ")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("one")), "{steps:?}");
    // The next content: nobody holds anything against the first any more.
    let health = std::mem::replace(&mut agent.health, Health::new(Backoff::default(), 3));
    let mut later = Agent::new(16, "p:one p:two o:origin", 4);
    (later.health, later.now) = (health, agent.now);
    nobody_brings(&mut later, "one two", 1);
    assert_eq!(later.next(), "plain one");
}

#[test]
fn when_the_one_that_fetches_fails_or_refuses_another_takes_over_at_once() {
    for outcome in [
        Outcome::Failed { got: 0 },
        Outcome::Busy(Busy::Overloaded, 90 * SEC),
        Outcome::Busy(Busy::Preload, 90 * SEC),
        Outcome::Refused,
        Outcome::Absent,
    ] {
        let mut agent = second_fetches("p:one p:two o:origin", "");
        first_is_back(&mut agent);
        agent.steps();
        agent.swarm.dropped();
        agent.swarm.askers = 1;
        let piece = 7;
        let two = agent.place("two");
        agent.swarm.places[two].in_flight += 1;
        agent.swarm.flying.push(Flight { source: two, piece, since: agent.now });
        agent.failed("two", piece, outcome.clone());
        assert_eq!(agent.next(), "plain one", "{outcome:?}");
    }
    // Silent when it was asked what it has.
    let mut agent = second_fetches("p:one p:two o:origin", "");
    first_is_back(&mut agent);
    agent.swarm.dropped();
    agent.now += SEC;
    assert_eq!(agent.next(), "two?");
    untold(&mut agent, "two");
    assert_eq!(agent.next(), "one?");
    agent.told("one", "", false, 1);
    assert_eq!(agent.next(), "plain one");
}

#[test]
fn who_broke_off_is_asked_whether_it_goes_on_before_another_is_made_to_begin() {
    let broken = |has_said: &[bool]| {
        let mut agent = second_fetches("p:one p:two o:origin", "0..4");
        first_is_back(&mut agent);
        // Something that lies apart, so that it is no plain download.
        agent.swarm.here(9);
        for (time, goes_on) in has_said.iter().enumerate() {
            agent.now += 10 * SEC;
            agent.swarm.dropped();
            agent.told("two", "0..4", true, 1);
            agent.told("one", "", false, 1);
            let Step::Take { source, piece } = agent.swarm.next(&agent.health, agent.now) else { return "none".into() };
            assert_eq!(agent.name_of(Step::Have(source)), "two?", "{time}");
            agent.swarm.failed(source, piece, &Outcome::Failed { got: 9 }, &mut agent.health, agent.now);
            let asked = agent.steps();
            if let Some(begun) = asked.iter().find(|step| step.starts_with("one ")) {
                return begun.clone();
            }
            if asked.contains(&"two?".into()) && *goes_on {
                agent.told("two", "0..4", true, 1);
            } else if asked.contains(&"two?".into()) {
                untold(&mut agent, "two");
            }
        }
        // Questions of the first are answered as ever.
        for _ in 0..9 {
            let step = agent.next();
            match step.as_str() {
                "one?" => agent.told("one", "", false, 1),
                _ => return step,
            }
        }
        panic!("it asks again and again");
    };
    assert_eq!(broken(&[true]), "wait", "it goes on: in a moment it is asked again");
    assert_eq!(broken(&[false]), "one 0");
    assert_eq!(broken(&[true, true]), "wait");
    assert_eq!(broken(&[true, true, true]), "one 0", "whatever it says");
}

#[test]
fn where_all_places_are_taken_it_is_fetched_and_nobody_else_is_made_to_begin() {
    let mut agent = second_fetches("b:x p:one p:two u:upper o:origin", "");
    agent.swarm.plain_ended(agent.place("two"), &places(), agent.now);
    first_is_back(&mut agent);
    let steps = steps_while(&mut agent, 30, "two");
    assert!(steps.iter().all(|step| step == "x?" || step == "two?"), "{steps:?}");
    // It is said while it has fetched nothing yet, as far as is known.
    let mut agent = Agent::new(16, "b:x p:one p:two", 3);
    nobody_brings(&mut agent, "one two", 1);
    agent.swarm.plain_ended(agent.place("one"), &places(), agent.now);
    let steps = agent.steps();
    assert!(!steps.iter().any(|step| step.starts_with("two ") || step == "plain two"), "{steps:?}");
}

#[test]
fn a_server_that_only_preloads_makes_room_for_one_that_fetches() {
    let mut agent = Agent::new(16, "p:one p:two o:origin", 3);
    nobody_brings(&mut agent, "one two", 1);
    assert_eq!(agent.next(), "plain one");
    agent.swarm.plain_ended(agent.place("one"), &Outcome::Busy(Busy::Preload, 90 * SEC), agent.now);
    assert_eq!(agent.next(), "two?");
    agent.told("two", "", false, 1);
    assert_eq!(agent.next(), "plain two");
    // It is told to preload it, and both fetch: what is under way goes on.
    agent.told("two", "", true, 1);
    agent.now += 100 * SEC;
    agent.told("one", "", true, 1);
    agent.told("two", "", true, 1);
    assert_eq!(agent.next(), "plain two");
}

#[test]
fn of_two_that_fetch_the_second_gives_what_only_it_has() {
    let mut agent = second_fetches("p:one p:two", "0..2");
    agent.now = agent.health.due(&url("one"), Request::Content, agent.now).expect("a back-off");
    agent.told("two", "0..2", true, 40);
    agent.steps();
    // It was not idle: it goes on with what is on its disk.
    agent.told("one", "8..12", true, 40);
    (0..2).for_each(|piece| agent.swarm.here(piece));
    agent.now += 60 * SEC;
    agent.told("two", "0..2", true, 40);
    let steps = agent.steps();
    let pieces: Vec<u32> = steps.iter().filter_map(|step| step.strip_prefix("one ")?.parse().ok()).collect();
    assert!(!pieces.is_empty() && pieces.iter().all(|piece| (8..12).contains(piece)), "{steps:?}");
    // All of it is better than a part.
    agent.swarm.dropped();
    agent.told("one", "0..16", false, 40);
    agent.steps();
    agent.swarm.dropped();
    agent.now += 60 * SEC;
    agent.told("two", "0..2", true, 40);
    let steps = agent.steps();
    assert!(steps.iter().filter(|step| step.starts_with("one ")).count() == 2, "{steps:?}");
}

#[test]
fn turns_begin_when_a_server_becomes_the_one_that_is_asked() {
    // Idle for a minute, as it said, and then the first fails: not everybody makes it begin at once.
    let begun = (0..100).filter(|seed| {
        let mut agent = Agent::new(16, "b:x p:one p:two o:origin", *seed);
        nobody_brings(&mut agent, "one two", 50);
        agent.steps();
        agent.told("one", "", true, 50);
        agent.now += 60 * SEC;
        agent.swarm.dropped();
        untold(&mut agent, "one");
        let asked = agent.steps();
        agent.told("two", "", false, 50);
        asked.into_iter().chain(agent.steps()).any(|step| step.starts_with("two "))
    });
    let begun = begun.count();
    assert!((1..12).contains(&begun), "{begun} of 100 begin, two of 50");
}
