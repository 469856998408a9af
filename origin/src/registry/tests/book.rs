//! Tests of the book, with a clock of their own; the last ones against a simple model, with hostile reports.

use std::collections::{BTreeMap, BTreeSet};

use protocol::report::Fetching;

use super::{INTERVALS, at, change, md5, names, next, report};
use crate::registry::{book::*, numbering::Heard, *};

fn tell(book: &mut Book, report: &Report, now: SystemTime) -> (bool, Heard) {
    let (reported, heard) = book.report(report, None, INTERVALS, now).unwrap();
    (reported.full, heard)
}

fn holders(book: &Book, digest: u32, now: SystemTime) -> Vec<String> {
    let found = book.holders(&md5(digest), None, 100, 0, now);
    names(&found).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_full_report_then_what_changed() {
    let mut book = Book::default();
    assert_eq!(tell(&mut book, &report("a", &[1, 2, 2, 3]), at(0)), (false, Heard::Everything));
    assert_eq!(tell(&mut book, &report("b", &[3]), at(0)), (false, Heard::Everything));
    assert_eq!(holders(&book, 3, at(1)), ["a", "b"]);
    assert_eq!(tell(&mut book, &change("a", 2, &[4], &[3]), at(1)), (false, Heard::Changes));
    assert_eq!((holders(&book, 3, at(1)), holders(&book, 4, at(1))), (vec!["b".to_owned()], vec!["a".into()]));
    // Its answer was lost: the same number again, with a little more.
    assert_eq!(tell(&mut book, &change("a", 2, &[4, 5], &[3]), at(2)), (false, Heard::Changes));
    assert_eq!(holders(&book, 5, at(2)), ["a"]);
    // Everything anew: what is not said is not held.
    assert_eq!(tell(&mut book, &report("a", &[9]), at(3)), (false, Heard::Everything));
    assert_eq!([1, 2, 4, 5, 9].map(|digest| holders(&book, digest, at(3)).len()), [0, 0, 0, 0, 1]);
    let usage = book.usage(at(3));
    assert_eq!((usage.agents, usage.objects, usage.holdings), (2, 2, 2));
    assert_eq!(book.node("a").unwrap().holds, 1);
    assert!(book.has("a", &md5(9), at(3)) && !book.has("a", &md5(3), at(3)) && !book.has("c", &md5(9), at(3)));
}

#[test]
fn who_missed_something_is_asked_for_everything_and_counts_until_then() {
    let mut book = Book::default();
    assert_eq!(tell(&mut book, &change("a", 7, &[1], &[]), at(0)), (true, Heard::Missed));
    assert_eq!(holders(&book, 1, at(0)), [""; 0], "what came before it is not known");
    assert_eq!(tell(&mut book, &report("a", &[1, 2]), at(1)), (false, Heard::Everything));
    assert_eq!(tell(&mut book, &change("a", 3, &[], &[1]), at(2)), (true, Heard::Missed));
    assert_eq!(holders(&book, 1, at(2)), ["a"], "what was known may still be so");
    // Neither is the number that would have been right before, nor the one behind the missed.
    assert_eq!(tell(&mut book, &change("a", 2, &[], &[1]), at(3)), (true, Heard::Missed));
    assert_eq!(tell(&mut book, &change("a", 3, &[], &[1]), at(3)), (true, Heard::Missed));
    let everything = Report { sequence: 4, ..report("a", &[2]) };
    assert_eq!(tell(&mut book, &everything, at(4)), (false, Heard::Everything));
    assert_eq!(tell(&mut book, &change("a", 5, &[3], &[]), at(5)), (false, Heard::Changes));
    assert_eq!(holders(&book, 3, at(5)), ["a"]);
}

#[test]
fn those_who_are_to_tell_everything_do_so_soon_but_not_all_at_once() {
    let mut book = Book::default();
    let mut times: Vec<u64> = Vec::new();
    for node in 0..200 {
        let missed = change(&format!("a{node}"), 7, &[], &[]);
        times.push(book.report(&missed, None, INTERVALS, at(0)).unwrap().0.next_in);
    }
    assert!(times.iter().all(|seconds| (1..=10).contains(seconds)), "{times:?}");
    let most = (1..=10).map(|second| times.iter().filter(|time| **time == second).count()).max();
    assert!(most < Some(60), "{times:?}");
    let (fine, _) = book.report(&report("a1", &[]), None, INTERVALS, at(0)).unwrap();
    assert_eq!((fine.next_in, fine.expires_in), (60, 200));
}

#[test]
fn who_is_away_holds_nothing_in_any_answer_until_it_reports() {
    let mut book = Book::default();
    tell(&mut book, &report("a", &[1]), at(0));
    tell(&mut book, &report("b", &[1]), at(150));
    assert_eq!(holders(&book, 1, at(199)), ["a", "b"]);
    assert_eq!(holders(&book, 1, at(200)), ["b"]);
    assert!(!book.has("a", &md5(1), at(200)) && book.node("a").unwrap().is_away(at(200)));
    assert_eq!((book.usage(at(200)).agents, book.usage(at(200)).away), (1, 1));
    assert_eq!(tell(&mut book, &change("a", 2, &[], &[]), at(300)), (false, Heard::Changes));
    assert_eq!(holders(&book, 1, at(300)), ["a", "b"], "nothing was missed, so nothing is asked again");
}

#[test]
fn who_is_away_for_very_long_is_forgotten() {
    let mut book = Book::default();
    for node in 0..100 {
        tell(&mut book, &report(&format!("a{node}"), &[1, 1_000 + node]), at(0));
    }
    tell(&mut book, &report("b", &[1]), at(400));
    let week = 7 * 24 * 3_600;
    assert_eq!(book.forget_gone(at(199 + week)), 0);
    let mut forgotten = 0;
    loop {
        match book.forget_gone(at(200 + week)) {
            0 => break,
            some => forgotten += some,
        }
    }
    assert_eq!(forgotten, 100);
    let usage = book.usage(at(200 + week));
    assert_eq!((usage.away, usage.objects, usage.holdings), (1, 1, 1));
    assert_eq!(book.node("a7"), None);
    assert_eq!(tell(&mut book, &change("a7", 2, &[], &[]), at(300 + week)), (true, Heard::Missed));
}

#[test]
fn a_domain_has_its_own_holders_and_not_those_below_it() {
    let mut book = Book::default();
    let (hq, branch) = ("hq".parse().unwrap(), "hq.b7".parse().unwrap());
    for (node, domain) in [("a", Some(&hq)), ("b", Some(&branch)), ("c", Some(&branch)), ("d", None)] {
        book.report(&report(node, &[1]), domain, INTERVALS, at(0)).unwrap();
    }
    book.report(&report("e", &[2]), Some(&branch), INTERVALS, at(0)).unwrap();
    let within = |book: &Book, digest, domain: &DomainName| {
        let found = book.holders(&md5(digest), Some(domain), 100, 0, at(1));
        names(&found).join(" ")
    };
    assert_eq!((within(&book, 1, &hq).as_str(), within(&book, 1, &branch).as_str()), ("a", "b c"));
    assert_eq!((within(&book, 2, &hq).as_str(), within(&book, 2, &branch).as_str()), ("", "e"));
    assert_eq!(within(&book, 1, &"hq.b8".parse().unwrap()), "");
    // The tree has changed: with its next report it is elsewhere.
    book.report(&change("b", 2, &[], &[]), Some(&hq), INTERVALS, at(1)).unwrap();
    assert_eq!((within(&book, 1, &hq).as_str(), within(&book, 1, &branch).as_str()), ("a b", "c"));
}

#[test]
fn of_many_holders_others_are_told_each_time() {
    let mut book = Book::default();
    for node in 0..50 {
        tell(&mut book, &report(&format!("a{node:02}"), &[1]), at(0));
    }
    let mut told = BTreeMap::<String, u32>::new();
    for turn in 0..10 {
        let some = book.holders(&md5(1), None, 5, turn, at(1));
        assert_eq!(some.len(), 5);
        names(&some).into_iter().for_each(|name| *told.entry(name.into()).or_default() += 1);
    }
    assert!(told.len() == 50 && told.values().all(|count| *count == 1), "{told:?}");
    assert_eq!(book.holders(&md5(1), None, 0, 3, at(1)).len(), 0);
    assert_eq!(book.holders(&md5(1), None, usize::MAX, u64::MAX, at(1)).len(), 50);
}

#[test]
fn pages_are_by_name() {
    let mut book = Book::default();
    for node in ["c", "a", "d", "b"] {
        tell(&mut book, &report(node, &[]), at(0));
    }
    assert_eq!(names(&book.behind("", 2)), ["a", "b"]);
    assert_eq!(names(&book.behind("b", 2)), ["c", "d"]);
    assert_eq!(names(&book.behind("bb", 9)), ["c", "d"]);
    assert_eq!(names(&book.behind("d", 2)), [""; 0]);
}

#[test]
fn what_came_and_went_is_not_here() {
    let mut book = Book::default();
    tell(&mut book, &Report { dropped: vec![md5(2)], ..report("a", &[1, 2]) }, at(0));
    assert_eq!((holders(&book, 1, at(0)).len(), holders(&book, 2, at(0)).len()), (1, 0));
    tell(&mut book, &change("a", 2, &[3], &[3, 7]), at(0));
    assert_eq!(holders(&book, 3, at(0)), [""; 0]);
    assert_eq!(book.usage(at(0)).objects, 1);
}

#[test]
fn no_more_nodes_than_there_may_be_but_those_that_are_away_make_room() {
    let mut book = Book::default();
    let max = 1 << 16;
    for node in 0..max {
        tell(&mut book, &report(&format!("a{node}"), &[]), at(node / 1_000));
    }
    let new = report("new", &[1]);
    assert_eq!(book.report(&new, None, INTERVALS, at(199)).unwrap_err(), NotTaken::TooManyNodes);
    assert!(book.report(&change("a5", 2, &[], &[]), None, INTERVALS, at(199)).is_ok(), "who is known goes on");
    assert_eq!(tell(&mut book, &new, at(200)), (false, Heard::Everything));
    assert_eq!(book.node("a5").map(|state| state.name.clone()).as_deref(), Some("a5"));
    assert_eq!(book.usage(at(200)).holdings, 1);
}

#[test]
fn no_more_is_known_than_may_be() {
    let mut book = Book::new(Limits { objects: 2_000, holds: 1_000, holdings: 2_500 });
    let page = |from: u32| (from..from + 100).collect::<Vec<_>>();
    for (node, from) in [("a", 0), ("b", 1_000)] {
        for number in 0..10 {
            let said = change(node, 1 + u64::from(number), &page(from + number * 100), &[]);
            tell(&mut book, &Report { full: number == 0, ..said }, at(0));
        }
    }
    assert_eq!((book.node("a").unwrap().holds, book.usage(at(0)).objects), (1_000, 2_000));
    let more = change("a", 11, &[7_000], &[]);
    assert_eq!(book.report(&more, None, INTERVALS, at(1)).unwrap_err(), NotTaken::HoldsTooMuch);
    assert_eq!(tell(&mut book, &change("a", 12, &[], &[]), at(1)), (true, Heard::Missed), "it must begin anew");
    // Of a third one there is no room for a new content; what was taken stays taken, and the sums are right.
    let third = report("c", &[7, 2_001, 8]);
    assert_eq!(book.report(&third, None, INTERVALS, at(1)).unwrap_err(), NotTaken::TooManyObjects);
    assert_eq!(holders(&book, 7, at(1)), ["a", "c"]);
    assert_eq!((book.usage(at(1)).holdings, book.usage(at(1)).objects), (2_001, 2_000));
    // Nor is there for as many holdings of contents that are known.
    let fourth = report("d", &(0..500).collect::<Vec<_>>());
    assert_eq!(book.report(&fourth, None, INTERVALS, at(1)).unwrap_err(), NotTaken::TooManyObjects);
    tell(&mut book, &report("b", &[]), at(2));
    assert_eq!(tell(&mut book, &third, at(2)), (false, Heard::Everything), "there is room again");
    assert_eq!((book.usage(at(2)).holdings, book.usage(at(2)).objects), (1_003, 1_001));
}

#[test]
fn what_is_kept_of_texts_and_lists_is_bounded() {
    let mut book = Book::default();
    let refusal = Refusal { option: "o".repeat(9_999), reason: "\u{fc}".repeat(9_999) };
    let fetching = vec![Fetching { md5: md5(1), fetched: 1, total: 2, ready_in: Some(9) }; 1_000];
    let said = Report {
        load: 255,
        fetching,
        refused: vec![refusal; 64],
        needs_restart: vec!["x".repeat(9_999); 64],
        ..report("a", &[])
    };
    for node in 0..250 {
        tell(&mut book, &Report { node: node.to_string(), ..said.clone() }, at(0));
    }
    let state = book.node("7").unwrap();
    assert_eq!((state.load, state.refused.len(), state.needs_restart[15].len()), (100, 16, 200));
    assert_eq!(state.refused[0].reason.chars().count(), 200);
    let kept = |book: &Book| book.behind("", 999).iter().map(|state| state.fetching.len()).sum::<usize>();
    assert_eq!(kept(&book), 200_000);
    for node in 0..250 {
        tell(&mut book, &report(&node.to_string(), &[]), at(0));
    }
    tell(&mut book, &said, at(0));
    assert_eq!((kept(&book), book.node("a").unwrap().fetching.len()), (1_000, 1_000));
}

/// What is there to be known, in the simplest way.
#[derive(Default)]
struct Model(BTreeMap<String, (Option<u64>, BTreeSet<u32>)>);

impl Model {
    fn tell(&mut self, report: &Report, holds: &[u32], dropped: &[u32]) -> bool {
        let (last, set) = self.0.entry(report.node.clone()).or_default();
        let follows = last.is_some_and(|last| report.sequence == last || report.sequence == last + 1);
        if report.full {
            set.clear();
        }
        if report.full || follows {
            set.extend(holds);
            dropped.iter().for_each(|digest| _ = set.remove(digest));
            *last = Some(report.sequence);
            return true;
        }
        *last = None;
        false
    }

    fn holders(&self, digest: u32) -> Vec<&str> {
        self.0.iter().filter(|(_, (_, set))| set.contains(&digest)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Compares everything with the model, and a book that was made of the batches with the book.
fn compare(book: &Book, copy: &Book, model: &Model, step: u32) {
    for digest in 0..60 {
        let mut found = holders(book, digest, at(0));
        found.sort();
        assert_eq!(found, model.holders(digest), "holders of {digest} after step {step}");
        let mut copied = holders(copy, digest, at(0));
        copied.sort();
        assert_eq!(copied, found, "after step {step}");
    }
    let held: usize = model.0.values().map(|(_, set)| set.len()).sum();
    let different: BTreeSet<&u32> = model.0.values().flat_map(|(_, set)| set).collect();
    for usage in [book.usage(at(0)), copy.usage(at(0))] {
        assert_eq!((usage.holdings, usage.objects), (held as u64, different.len() as u64), "after step {step}");
    }
}

/// What the database has after some batches, as a table; and a book made of it.
#[derive(Default)]
struct Tables {
    objects: BTreeMap<u32, Md5>,
    nodes: BTreeMap<u32, (Arc<NodeState>, Option<u64>)>,
    holdings: BTreeMap<u32, roaring::RoaringBitmap>,
}

impl Tables {
    fn write(&mut self, batch: &Batch) {
        fn put<T: Clone>(table: &mut BTreeMap<u32, T>, rows: &[(u32, Option<T>)]) {
            for (number, row) in rows {
                match row {
                    Some(row) => _ = table.insert(*number, row.clone()),
                    None => _ = table.remove(number),
                }
            }
        }
        put(&mut self.objects, &batch.objects);
        put(&mut self.nodes, &batch.nodes);
        put(&mut self.holdings, &batch.holdings);
    }

    fn book(&self) -> Book {
        let mut book = Book::default();
        self.objects.iter().for_each(|(number, md5)| book.restore_object(*number, *md5));
        for (number, (state, sequence)) in &self.nodes {
            book.restore_node(*number, (**state).clone(), *sequence, &self.holdings[number]);
        }
        book.restored();
        assert!(book.take_unwritten().is_empty(), "what was written is whole");
        book
    }
}

#[test]
fn whatever_is_reported_the_book_knows_it_and_so_does_its_database() {
    for seed in 0..40 {
        let (mut seed, mut book, mut model, mut tables) = (seed, Book::default(), Model::default(), Tables::default());
        for step in 0..120 {
            let node = format!("a{}", next(&mut seed, 7));
            let mut digests = || (0..next(&mut seed, 12)).map(|_| next(&mut seed, 60) as u32).collect::<Vec<_>>();
            let (holds, dropped) = (digests(), digests());
            let sequence = 1 + next(&mut seed, 4) + u64::from(step) / 20;
            let said = Report { full: next(&mut seed, 3) == 0, ..change(&node, sequence, &holds, &dropped) };
            let is_understood = model.tell(&said, &holds, &dropped);
            assert_eq!(tell(&mut book, &said, at(0)).0, !is_understood);
            if next(&mut seed, 5) == 0 {
                let unwritten = book.take_unwritten();
                if next(&mut seed, 3) == 0 {
                    book.put_back(&unwritten);
                    continue;
                }
                tables.write(&book.batch(&unwritten));
                compare(&book, &tables.book(), &model, step);
            }
        }
    }
}
