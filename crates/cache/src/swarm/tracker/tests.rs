//! The tracker by a clock and seeds of the test's own.

use std::collections::BTreeSet;

use super::*;

const A: Md5 = Md5([1; 16]);
const B: Md5 = Md5([2; 16]);

fn at(address: [u8; 4], port: impl Into<Option<u16>>) -> Asker {
    Asker { address: address.into(), port: port.into() }
}

fn machine(number: u32) -> Asker {
    let [_, b, c, d] = number.to_be_bytes();
    at([10, b, c, d], 9180)
}

fn second() -> Duration {
    Duration::from_secs(1)
}

#[test]
fn who_asks_for_the_same_is_told_of_each_other_and_not_of_itself() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let [one, two, three] = [1, 2, 3].map(machine);
    let told = tracker.ask(&A, one, now, 1);
    assert_eq!((told.peers, told.askers), (vec![], 1));
    let told = tracker.ask(&A, two, now, 2);
    assert_eq!((told.peers, told.askers), (vec!["http://10.0.0.1:9180/".to_owned()], 2));
    assert_eq!(tracker.ask(&B, three, now, 3).peers, Vec::<String>::new(), "of another content");
    assert_eq!(tracker.ask(&A, one, now, 4).peers, ["http://10.0.0.2:9180/"]);
    assert_eq!(tracker.len(), 3);
    assert_eq!(tracker.peers(&A, three, now, 5).into_iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(tracker.len(), 3, "who does not ask is not remembered");
}

#[test]
fn who_does_not_share_counts_and_is_not_told_of() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    tracker.ask(&A, at([10, 0, 0, 1], None), now, 1);
    let told = tracker.ask(&A, at([10, 0, 0, 2], 1), now, 2);
    assert_eq!((told.peers.len(), told.askers), (0, 2));
    // Another program at the same address.
    assert_eq!(tracker.ask(&A, at([10, 0, 0, 2], 2), now, 3).peers, ["http://10.0.0.2:1/"]);
}

#[test]
fn nobody_is_told_of_an_address_that_means_another_machine_to_it() {
    let v6 = |text: &str| Asker { address: text.parse().unwrap(), port: Some(9180) };
    for (other, asker, expected) in [
        (at([127, 0, 0, 1], 1), at([127, 0, 0, 2], 2), Some("http://127.0.0.1:1/")),
        (at([127, 0, 0, 1], 1), at([10, 0, 0, 2], 2), None),
        (at([10, 0, 0, 2], 1), at([127, 0, 0, 1], 2), None),
        (v6("2001:db8::1"), v6("2001:db8::2"), Some("http://[2001:db8::1]:9180/")),
        (v6("2001:db8::1"), at([10, 0, 0, 2], 2), None),
        (v6("fe80::1"), v6("fe80::2"), None),
    ] {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        tracker.ask(&A, other, now, 1);
        let told = tracker.ask(&A, asker, now, 2);
        assert_eq!(told.peers.first().map(String::as_str), expected, "{other:?} to {asker:?}");
        assert_eq!(told.askers, 2);
    }
}

#[test]
fn who_does_not_ask_again_is_forgotten() {
    let (mut tracker, start) = (Tracker::default(), Instant::now());
    tracker.ask(&A, machine(1), start, 1);
    let askers = |tracker: &mut Tracker, seconds: u32| {
        let told = tracker.ask(&A, machine(2), start + second() * seconds, 7);
        (told.askers, told.peers.len())
    };
    assert_eq!(askers(&mut tracker, 14), (2, 1));
    assert_eq!(askers(&mut tracker, 15), (1, 0));
    tracker.ask(&A, machine(1), start + second() * 16, 1);
    assert_eq!(askers(&mut tracker, 29), (2, 1), "it came back");
    assert_eq!(tracker.peers(&A, machine(3), start + second() * 60, 1), Vec::<String>::new());
}

#[test]
fn some_at_random_are_told_of_and_everybody_is_at_some_time() {
    for count in [20_u32, 100, 1_000] {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        (0..count).for_each(|number| _ = tracker.ask(&A, machine(number), now, number.into()));
        let told = |seed| tracker.peers(&A, machine(0), now, seed);
        let expected = HAVE_PEERS_MAX.min(count as usize - 1);
        let mut all = BTreeSet::new();
        for seed in 0..1_000 {
            let urls = told(seed);
            let different: BTreeSet<_> = urls.iter().cloned().collect();
            assert_eq!((urls.len(), different.len()), (expected, expected), "{count}, seed {seed}");
            assert!(!different.contains("http://10.0.0.0:9180/"), "itself");
            all.extend(different);
        }
        assert_eq!(all.len(), count as usize - 1);
        assert_eq!(told(7), told(7), "the same seed");
        assert!(count == 20 || told(7) != told(8));
    }
}

#[test]
fn however_many_ask_they_ask_so_often_together() {
    for (askers, least, most) in
        [(1, 375, 625), (100, 375, 625), (200, 750, 1_250), (1_000, 3_750, 6_250), (8_000, 30_000, 50_000)]
    {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        for number in 0..askers - 1 {
            tracker.ask(&A, machine(number), now, number.into());
        }
        let waits: Vec<_> = (0..500).map(|seed| tracker.ask(&A, machine(askers - 1), now, seed).next_in).collect();
        let range = Duration::from_millis(least)..=Duration::from_millis(most);
        assert!(waits.iter().all(|wait| range.contains(wait)), "{askers}: {:?}", waits.iter().max());
        let mean = waits.iter().sum::<Duration>() / 500;
        let each_second = f64::from(askers) / mean.as_secs_f64();
        assert!(each_second <= 210.0, "{askers} ask {each_second} times in a second");
    }
}

#[test]
fn what_is_remembered_has_an_end() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    // One address that says many ports.
    let flood: Vec<_> = (1..1_000).map(|port| tracker.ask(&A, at([10, 0, 0, 1], port), now, 1).askers).collect();
    assert_eq!((tracker.len(), flood.last()), (PORTS_MAX, Some(&(PORTS_MAX as u64 + 1))));
    // Many for one content.
    (0..2 * ASKERS_MAX as u32).for_each(|number| _ = tracker.ask(&B, machine(number), now, 1));
    assert_eq!(tracker.len(), PORTS_MAX + ASKERS_MAX);
    // Many contents, each with some.
    for content in 0..2 * CONTENTS_MAX as u32 {
        let md5 = Md5([content.to_be_bytes(); 4].concat().try_into().unwrap());
        for number in 0..20 {
            let told = tracker.ask(&md5, machine(1 + content * 20 + number), now + second(), 1);
            assert!(told.askers >= 1 && !told.next_in.is_zero());
        }
        assert!(tracker.contents.len() <= CONTENTS_MAX && tracker.len() <= ASKERS_TOTAL_MAX, "{}", tracker.len());
    }
    let counted: usize = tracker.contents.values().map(|content| content.askers.len()).sum();
    assert_eq!(counted, tracker.len());
    // When they are gone, there is room again.
    tracker.ask(&A, machine(1), now + NEXT_MAX * 5, 1);
    assert_eq!((tracker.len(), tracker.contents.len()), (1, 1));
}
