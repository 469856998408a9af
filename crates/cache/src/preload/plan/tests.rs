//! What is done next, at which time and after what.

use protocol::{schedule::Zone, target::Target, timestamp::parse_rfc3339};

use super::*;
use crate::options::{ReadyBy, Schedule};

/// A plan with its options and its clock.
struct Case {
    plan: Plan,
    options: PreloadOptions,
    now: SystemTime,
    is_down: bool,
    running: Vec<(Turn, Want)>,
    listing: Option<(Turn, Scope)>,
}

fn at(text: &str) -> SystemTime {
    parse_rfc3339(text).unwrap()
}

fn want(path: &str, size: u64) -> Want {
    let order = Order::new(0, 0, None, Target::parse(path.as_bytes()).unwrap());
    Want { order, size: Some(size), tries: 0 }
}

impl Case {
    fn new(schedule: &[&str], ready_by: Option<&str>, now: &str) -> Self {
        let zone = Zone::default();
        let texts: Vec<String> = schedule.iter().map(|text| (*text).to_owned()).collect();
        let options = PreloadOptions {
            schedule: Schedule::parse(&texts, &zone).unwrap(),
            ready_by: ready_by.map(|text| ReadyBy::parse(text, &zone).unwrap()),
            ..PreloadOptions::default()
        };
        Self { plan: Plan::default(), options, now: at(now), is_down: false, running: vec![], listing: None }
    }

    /// Does all that is to be done; how it reads, and when it is looked again.
    fn turn(&mut self) -> (Vec<String>, Option<SystemTime>) {
        let mut done = Vec::new();
        loop {
            let rules =
                Rules { mode: Mode::FetchAndPreload, options: &self.options, now: self.now, is_down: self.is_down };
            match self.plan.next(&rules, self.running.len()) {
                Step::List(turn, scope) => {
                    done.push("list".to_owned());
                    self.listing = Some((turn, scope));
                }
                Step::Fetch(turn, want, class) => {
                    let beside = if class == Class::Demand { " beside" } else { "" };
                    done.push(format!("{}{beside}", want.order.target));
                    self.running.push((turn, want));
                }
                Step::Rest(until) => return (done, until),
            }
        }
    }

    fn does(&mut self, expected: &[&str]) {
        assert_eq!(self.turn().0, expected, "at {}", protocol::timestamp::rfc3339(self.now));
    }

    fn listed(&mut self, wants: &[(&str, u64)]) {
        let (turn, scope) = self.listing.take().expect("it is being listed");
        let mut queue = Queue::default();
        wants.iter().for_each(|(path, size)| assert!(queue.push(want(path, *size))));
        self.plan.listed(turn, scope, Ok((queue, Chosen::default(), Met::default())), self.now);
    }

    fn became(&mut self, path: &str, became: Became) {
        let place = self.running.iter().position(|(_, want)| want.order.target.as_str() == path).expect("it runs");
        let (turn, want) = self.running.remove(place);
        self.plan.became(turn, want, path, became, self.now);
    }

    fn at(&mut self, now: &str) -> &mut Self {
        self.now = at(now);
        self
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.plan.take_notices()
    }

    /// What came in so many seconds, at so many bytes per second.
    fn runs(&mut self, seconds: u64, rate: u64, so_far: &mut u64, underway: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            *so_far += rate;
            self.plan.measured(self.now, *so_far, underway, true);
        }
    }
}

#[test]
fn a_window_opens_lists_fetches_and_closes_over_what_is_left() {
    let mut case = Case::new(&["02:00-04:00"], None, "2026-11-22T12:00:00Z");
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-23T02:00:00Z"))));
    case.at("2026-11-23T02:00:00Z").does(&["list"]);
    case.does(&[]);
    case.listed(&[("/a", 10), ("/b", 20), ("/c", 30), ("/d", 40)]);
    case.does(&["/a", "/b"]);
    case.became("/a", Became::Fetched { len: 10, crossed: 10 });
    case.does(&["/c"]);
    case.at("2026-11-23T04:00:00Z");
    case.became("/b", Became::Fetched { len: 20, crossed: 20 });
    case.does(&[]);
    assert!(!case.plan.is_open());
    assert_eq!(case.notices(), [Notice::Began, Notice::Closed { files: 1, bytes: 40 }]);
    // The one that was on its way may finish.
    case.became("/c", Became::Fetched { len: 30, crossed: 30 });
    let round = case.plan.round(Track::Clock).unwrap();
    assert_eq!((round.fetched, round.left()), (Count { files: 3, bytes: 60 }, Count { files: 1, bytes: 40 }));
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-24T02:00:00Z"))));
    // What is left is found again.
    case.at("2026-11-24T02:00:00Z").does(&["list"]);
    case.listed(&[("/d", 40)]);
    case.does(&["/d"]);
    case.became("/d", Became::Fetched { len: 40, crossed: 40 });
    case.turn();
    assert_eq!(case.notices(), [Notice::Began, Notice::Ended(Track::Clock)]);
    // An hour later it is looked for changes.
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-24T03:00:00Z"))));
    case.at("2026-11-24T03:00:00Z").does(&["list"]);
}

#[test]
fn what_stops_at_the_end_of_a_window_goes_on_first() {
    let mut case = Case::new(&["02:00-04:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    case.listed(&[("/a", 10)]);
    case.does(&["/a"]);
    case.at("2026-11-23T04:00:00Z").does(&[]);
    case.became("/a", Became::Stopped);
    case.does(&[]);
    assert_eq!(case.plan.round(Track::Clock).unwrap().left(), Count { files: 1, bytes: 10 });
}

#[test]
fn what_is_asked_for_goes_first_and_no_window_holds_it() {
    let mut case = Case::new(&["02:00-04:00"], None, "2026-11-22T12:00:00Z");
    let all = protocol::glob::Globs::default();
    assert!(case.plan.ask_for(vec![want("/x", 1)], vec![Scope::new(&all, &all, &all)], case.now));
    case.does(&["list", "/x"]);
    case.listed(&[("/y", 1)]);
    case.does(&["/y"]);
    case.became("/x", Became::Gone);
    case.became("/y", Became::Here { len: 1 });
    case.turn();
    let round = case.plan.round(Track::Demand).unwrap();
    assert_eq!((round.failed, round.here.files, round.ended.is_some()), (1, 1, true));
    assert_eq!(case.plan.failures[0].reason, "the upstream has no such file");
    // A path of which it turns out that it is a folder.
    assert!(case.plan.ask_for(vec![want("/folder", 1)], vec![], case.now));
    case.does(&["/folder"]);
    case.became("/folder", Became::Folder);
    case.does(&["list"]);
    case.listed(&[("/folder/a", 1)]);
    case.does(&["/folder/a"]);
    // As much as may wait.
    let many = vec![Scope::new(&all, &all, &all); SCOPES_MAX + 1];
    assert!(!case.plan.ask_for(vec![], many, case.now));
}

#[test]
fn a_file_that_fails_is_tried_again_and_not_for_ever() {
    let mut case = Case::new(&["00:00-24:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    case.listed(&[("/a", 1)]);
    let later = |counts, after: Option<u64>| Became::Later {
        after: after.map(Duration::from_secs),
        reason: "why".into(),
        counts,
    };
    case.does(&["/a"]);
    case.became("/a", later(true, Some(90)));
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-23T02:01:30Z"))));
    for (number, wait) in [(2, 10), (3, 20), (4, 40)] {
        case.now += Duration::from_secs(100);
        case.does(&["/a"]);
        case.became("/a", later(false, None));
        case.now += Duration::from_secs(5);
        // What says nothing of the file does not count.
        case.now += Duration::from_secs(300);
        case.does(&["/a"]);
        case.became("/a", later(true, None));
        assert_eq!(case.turn().1, Some(case.now + Duration::from_secs(wait)), "after {number} tries");
    }
    case.now += Duration::from_secs(100);
    case.does(&["/a"]);
    case.became("/a", later(true, None));
    case.turn();
    let round = case.plan.round(Track::Clock).unwrap();
    assert_eq!((round.failed, round.ended), (1, Some(case.now)));
}

#[test]
fn an_upstream_that_cannot_be_reached_is_waited_for() {
    let mut case = Case::new(&["00:00-24:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    let (turn, scope) = case.listing.take().unwrap();
    case.plan.listed(turn, scope, Err(Unlisted::Trouble("away".into())), case.now);
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-23T02:00:05Z"))));
    case.at("2026-11-23T02:00:05Z").does(&["list"]);
    case.listed(&[("/a", 1)]);
    case.is_down = true;
    assert_eq!(case.turn(), (vec![], Some(at("2026-11-23T02:00:07Z"))));
    case.is_down = false;
    case.does(&["/a"]);
    assert!(case.notices().contains(&Notice::Unlisted { reason: "away".into(), is_tried_again: true }));
    // One that has no listing is not asked again and again.
    let mut case = Case::new(&["00:00-24:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    let (turn, scope) = case.listing.take().unwrap();
    case.plan.listed(
        turn,
        scope,
        Err(Unlisted::Nothing { folder: "/office/".into(), reason: "no index".into() }),
        case.now,
    );
    assert_eq!(case.turn().0, [] as [&str; 0]);
    assert_eq!(case.turn().1, Some(at("2026-11-23T03:00:00Z")));
    let failed = &case.plan.failures[0];
    assert_eq!((failed.path.as_str(), failed.reason.as_str()), ("/office/", "no index"));
}

#[test]
fn a_deadline_is_gone_for_in_peace_then_in_haste_and_it_is_said_when_it_will_be_missed() {
    // Monday 08:00 is in an hour; 3,600,000 bytes are to come.
    let mut case = Case::new(&[], Some("Mon 08:00"), "2026-11-23T07:00:00Z");
    case.options.concurrency = 1;
    case.does(&["list"]);
    case.listed(&[("/a", 1_200_000), ("/b", 1_200_000), ("/c", 1_200_000)]);
    case.does(&["/a"]);
    let mut crossed = 0;
    // 1,500 bytes per second take 40 minutes.
    case.runs(600, 1500, &mut crossed, 300_000);
    case.does(&[]);
    assert_eq!(case.plan.outlook, Some(Outlook::InTime));
    case.became("/a", Became::Fetched { len: 1_200_000, crossed: 1_200_000 });
    case.does(&["/b"]);
    assert_eq!(case.notices(), [Notice::Began]);
    // It slows down: 2,000,000 bytes at 800 per second take 42 of 45 minutes.
    case.runs(300, 800, &mut crossed, 800_000);
    case.does(&[]);
    assert_eq!((case.plan.outlook, case.plan.class()), (Some(Outlook::Tight), Class::Demand));
    case.became("/b", Became::Fetched { len: 1_200_000, crossed: 1_200_000 });
    case.does(&["/c beside"]);
    assert_eq!(case.notices(), [] as [Notice; 0]);
    case.runs(600, 300, &mut crossed, 1_100_000);
    case.does(&[]);
    let told = case.notices();
    assert!(matches!(told[..], [Notice::WillBeLate { .. }]), "{told:?}");
    assert!(case.plan.is_late());
    case.runs(60, 200, &mut crossed, 1_090_000);
    case.does(&[]);
    assert_eq!(case.notices(), [] as [Notice; 0], "it is said once");
    // The line is fast again.
    case.runs(400, 8000, &mut crossed, 500_000);
    case.does(&[]);
    assert_eq!(case.notices(), [Notice::InTimeAgain]);
    // And the time is over.
    case.at("2026-11-23T08:00:00Z").does(&["list"]);
    assert_eq!(case.notices(), [Notice::Missed { files: 1, bytes: 1_200_000 }, Notice::Began]);
    assert_eq!(case.plan.class(), Class::Preload, "it is for the next Monday now");
}

#[test]
fn what_ends_of_a_round_that_is_over_changes_no_other() {
    let mut case = Case::new(&["02:00-04:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    case.listed(&[("/a", 1)]);
    case.does(&["/a"]);
    case.at("2026-11-24T02:00:00Z").does(&["list"]);
    case.became("/a", Became::Refused("no".into()));
    let round = case.plan.round(Track::Clock).unwrap();
    assert_eq!((round.failed, round.is_listing), (0, true));
}

#[test]
fn a_reload_that_says_fetch_ends_what_goes_by_the_clock() {
    let mut case = Case::new(&["00:00-24:00"], None, "2026-11-23T02:00:00Z");
    case.does(&["list"]);
    case.listed(&[("/a", 1), ("/b", 1), ("/c", 1)]);
    let rules = Rules { mode: Mode::Fetch, options: &case.options, now: case.now, is_down: false };
    assert!(matches!(case.plan.next(&rules, 0), Step::Rest(None)));
}
