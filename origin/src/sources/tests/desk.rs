//! Questions with several digests, and what is answered and who is told.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    digest::{Md5, Sha256},
    enrolment::Role,
    report::{Fetching, Report, Reported},
    sources::{Kind, Question, Sources},
    topology::{Domain, DomainName, Topology},
};

use super::{
    super::{Answered, Desk, File, Pending, Terms, Who},
    NOW, node, tree,
};
use crate::registry::{Intervals, NodeState, NotTaken, Registry};

/// What was said, without a report.
#[derive(Default)]
struct Known {
    nodes: BTreeMap<String, Arc<NodeState>>,
    holds: BTreeSet<(String, Md5)>,
}

impl Registry for Known {
    fn report(&self, _: &Report, _: Option<&DomainName>, _: Intervals, _: SystemTime) -> Result<Reported, NotTaken> {
        Err(NotTaken::TooManyNodes)
    }

    fn holders(&self, md5: &Md5, within: Option<&DomainName>, max: usize, now: SystemTime) -> Vec<Arc<NodeState>> {
        let is_wanted = |node: &&Arc<NodeState>| {
            self.holds(&node.name, md5, now) && within.is_none_or(|domain| node.domain.as_ref() == Some(domain))
        };
        self.nodes.values().filter(is_wanted).take(max).cloned().collect()
    }

    fn fetching(&self, md5: &Md5, within: &DomainName, max: usize, now: SystemTime) -> Vec<Arc<NodeState>> {
        let is_wanted = |node: &&Arc<NodeState>| {
            !node.is_away(now)
                && node.domain.as_ref() == Some(within)
                && node.fetching.iter().any(|fetching| fetching.md5 == *md5)
        };
        self.nodes.values().filter(is_wanted).take(max).cloned().collect()
    }

    fn holds(&self, node: &str, md5: &Md5, now: SystemTime) -> bool {
        self.nodes.get(node).is_some_and(|node| !node.is_away(now)) && self.holds.contains(&(node.to_owned(), *md5))
    }

    fn node(&self, name: &str) -> Option<Arc<NodeState>> {
        self.nodes.get(name).cloned()
    }

    fn nodes(&self, _: &str, _: usize) -> Vec<Arc<NodeState>> {
        self.nodes.values().cloned().collect()
    }
}

const A: Md5 = Md5([1; 16]);
const B: Md5 = Md5([2; 16]);
const NO_FILE: Md5 = Md5([9; 16]);
const ROOT: Sha256 = Sha256([3; 32]);

/// Two branches below headquarters, whose proxies report; an agent in the first branch holds `A`.
struct Site {
    topology: Topology,
    terms: Terms,
    registry: Known,
    pending: Pending,
    looked_up: RefCell<usize>,
}

fn site() -> Site {
    let tree = tree(&["+hq: u1", "hq.b1: p1", "hq.b2: p2"]);
    let ranges = [("hq", "10.0.0.0/16"), ("hq.b1", "10.1.0.0/16"), ("hq.b2", "10.2.0.0/16")];
    let with_ranges = |domain: &Domain| {
        let range = ranges.iter().find(|(name, _)| *name == domain.name.as_str()).unwrap().1;
        let machines =
            if domain.name.as_str() == "hq.b2" { vec!["52:54:00:00:00:00/24".parse().unwrap()] } else { vec![] };
        Domain { ranges: vec![range.parse().unwrap()], machines, ..domain.clone() }
    };
    let topology = Topology::new(tree.domains().map(with_ranges).collect()).unwrap();
    let mut registry = Known::default();
    for name in ["u1", "p1", "p2"] {
        registry.nodes.insert(name.into(), Arc::new(node(name, false)));
    }
    let agent = NodeState { role: Role::Agent, domain: "hq.b1".parse().ok(), ..node("agent", false) };
    registry.nodes.insert("agent".into(), Arc::new(agent));
    registry.holds.insert(("agent".into(), A));
    Site { topology, terms: Terms::default(), registry, pending: Pending::default(), looked_up: RefCell::new(0) }
}

impl Site {
    fn ask(&self, node: Option<&str>, address: &str, question: &Question, now: SystemTime) -> Answered {
        let file_of = |md5: &Md5| {
            *self.looked_up.borrow_mut() += 1;
            (*md5 != NO_FILE).then(|| File {
                path: format!("/{md5}"),
                size: 1 << 20,
                pieces: (*md5 == A).then_some(ROOT),
            })
        };
        let desk = Desk {
            topology: &self.topology,
            terms: &self.terms,
            origins: &["http://origin/".to_owned()],
            registry: &self.registry,
            pending: &self.pending,
            file_of: &file_of,
        };
        let address: IpAddr = address.parse().unwrap();
        desk.answer(&Who { node, address }, question, now, 7)
    }
}

fn question(digests: &[Md5]) -> Question {
    Question { digests: digests.to_vec(), machines: Vec::new() }
}

fn names(content: &Sources) -> String {
    content.sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn at(seconds: u64) -> SystemTime {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn each_digest_is_answered_in_its_place() {
    let site = site();
    let Answered { answer, tell } = site.ask(None, "10.1.0.9", &question(&[B, A, NO_FILE]), NOW);
    assert_eq!((answer.domain.unwrap().as_str(), answer.expires_in), ("hq.b1", 600));
    let [b, a, unknown] = &answer.contents[..] else { panic!("three were asked for") };
    assert_eq!((b.md5, b.ready, b.sources.len(), b.path.as_deref()), (B, false, 0, Some(&*format!("/{B}"))));
    assert!(b.retry_after.is_some_and(|seconds| (5..=600).contains(&seconds)), "{:?}", b.retry_after);
    assert_eq!((a.md5, a.ready, a.size, a.retry_after), (A, true, Some(1 << 20), None));
    assert_eq!((a.pieces, b.pieces), (Some(ROOT), None));
    assert_eq!(names(a), "agent p1 p2 u1 http://origin/");
    let kinds: Vec<_> = a.sources.iter().map(|source| (source.kind, source.holds)).collect();
    let expected =
        [(Kind::Peer, true), (Kind::Proxy, false), (Kind::Parent, false), (Kind::Parent, false), (Kind::Origin, true)];
    assert_eq!(kinds, expected);
    assert_eq!(a.sources[0].url, "http://agent/");
    assert!(!unknown.ready && !unknown.unknown && unknown.path.is_none() && unknown.retry_after.is_some());
    // The proxy of the branch and the one above it are told of what is not there, and of nothing else.
    let told: Vec<_> = tell.iter().map(|(node, contents)| (node.as_str(), contents[0].md5, contents.len())).collect();
    assert_eq!(told, [("p1", B, 1), ("u1", B, 1)]);
    assert_eq!(*site.looked_up.borrow(), 3);
}

#[test]
fn however_many_ask_each_proxy_is_told_once() {
    let site = site();
    let mut told = BTreeMap::<String, usize>::new();
    for agent in 0..250 {
        for branch in [1, 2] {
            let answered = site.ask(None, &format!("10.{branch}.0.{agent}"), &question(&[B]), at(agent / 10));
            assert!(!answered.answer.contents[0].ready);
            answered.tell.into_keys().for_each(|node| *told.entry(node).or_default() += 1);
        }
    }
    assert_eq!(
        told.into_iter().collect::<Vec<_>>(),
        [("p1", 1), ("p2", 1), ("u1", 1)].map(|(name, count)| (name.to_owned(), count))
    );
}

#[test]
fn who_asks_is_known_by_its_name_its_card_or_its_address() {
    let site = site();
    let asked = |node, address, cards: &[&str]| {
        let question = Question { digests: vec![A], machines: cards.iter().map(ToString::to_string).collect() };
        let answer = site.ask(node, address, &question, NOW).answer;
        (answer.domain.map(|domain| domain.to_string()), names(&answer.contents[0]))
    };
    let of = |domain: &str, names: &str| (Some(domain.to_owned()), names.to_owned());
    assert_eq!(asked(Some("u1"), "10.1.0.1", &[]), of("hq", "http://origin/"), "a proxy of the tree");
    assert_eq!(asked(None, "10.1.0.1", &["no card", "52:54:00:12:34:56"]).0.unwrap(), "hq.b2");
    assert_eq!(asked(Some("agent"), "10.2.0.1", &[]).0.unwrap(), "hq.b2", "it has moved");
    assert_eq!(asked(Some("agent"), "192.0.2.1", &[]).0.unwrap(), "hq.b1", "where it was last");
    assert_eq!(asked(Some("agent"), "10.1.0.1", &[]), of("hq.b1", ""), "it is not its own peer");
    assert_eq!(asked(None, "192.0.2.1", &[]), (None, "u1 p1 p2 http://origin/".to_owned()));
}

#[test]
fn what_no_file_has_is_unknown_after_a_while_and_told_with_a_date_all_the_same() {
    let site = site();
    let asked = |second| site.ask(None, "10.1.0.9", &question(&[NO_FILE]), at(second)).answer.contents.remove(0);
    for (second, unknown) in [(0, false), (300, false), (599, false), (600, true), (3_000, true)] {
        let content = asked(second);
        assert_eq!((content.ready, content.unknown), (false, unknown), "at {second}");
        assert!(content.retry_after.is_some_and(|seconds| seconds > 0), "at {second}");
    }
}

#[test]
fn a_content_becomes_ready_as_it_comes_down() {
    let mut site = site();
    let first = |site: &Site, node, address| site.ask(node, address, &question(&[B]), NOW).answer.contents.remove(0);
    assert!(!first(&site, None, "10.2.0.9").ready && !first(&site, Some("p2"), "10.2.0.1").ready);
    assert_eq!(names(&first(&site, Some("u1"), "10.0.0.1")), "http://origin/");
    site.registry.holds.insert(("u1".into(), B));
    // Its proxy was told to fetch it, and may now.
    assert_eq!(names(&first(&site, None, "10.2.0.9")), "p2 p1 u1 http://origin/");
    assert_eq!(names(&first(&site, Some("p2"), "10.2.0.1")), "u1 http://origin/");
    site.registry.holds.insert(("p2".into(), B));
    assert_eq!(names(&first(&site, None, "10.2.0.9")), "p2 p1 u1 http://origin/");
}

#[test]
fn who_is_fetching_it_is_told_of_behind_all_others_and_makes_nobody_ready() {
    let mut site = site();
    let fetching = |md5| vec![Fetching { md5, fetched: 5, total: 10, ready_in: None }];
    let mut agent = |name: &str, domain: &str, md5: &[Md5], change: &dyn Fn(&mut NodeState)| {
        let fetching = md5.iter().flat_map(|md5| fetching(*md5)).collect();
        let mut state = NodeState { role: Role::Agent, domain: domain.parse().ok(), fetching, ..node(name, false) };
        change(&mut state);
        site.registry.nodes.insert(name.into(), Arc::new(state));
    };
    let as_it_is = |_: &mut NodeState| {};
    agent("comes", "hq.b1", &[A, B], &as_it_is);
    agent("elsewhere", "hq.b2", &[A], &as_it_is);
    agent("other", "hq.b1", &[B], &as_it_is);
    agent("away", "hq.b1", &[A], &|state| state.expires = NOW);
    agent("mute", "hq.b1", &[A], &|state| state.url = None);
    agent("agent", "hq.b1", &[A], &as_it_is);
    let asked = |node| site.ask(node, "10.1.0.9", &question(&[A, B]), NOW).answer.contents;
    let [a, b] = &asked(None)[..] else { panic!("two were asked for") };
    assert_eq!(names(a), "agent p1 p2 u1 http://origin/ comes", "who has it already is told of once");
    let told: Vec<_> = a.sources.iter().map(|source| (source.kind, source.holds, source.partial)).collect();
    assert_eq!((told[0], told[5]), ((Kind::Peer, true, false), (Kind::Peer, false, true)));
    assert_eq!((b.ready, b.sources.len()), (false, 0), "what only comes is not here");
    assert_eq!(names(&asked(Some("comes"))[0]), "agent p1 p2 u1 http://origin/", "not of oneself");
    site.registry.holds.insert(("u1".into(), A));
    let proxy = site.ask(Some("p1"), "10.1.0.9", &question(&[A]), NOW).answer.contents;
    assert_eq!(names(&proxy[0]), "u1 http://origin/", "a proxy asks no agents");
}

/// The longest answer that there can be.
#[test]
fn an_answer_has_an_end() {
    let many = (0..40).map(|number| format!("p{number} ")).collect::<String>();
    let above: Vec<_> = ["+hq", "+hq.a", "+hq.a.b", "+hq.a.b.c"]
        .iter()
        .enumerate()
        .map(|(level, name)| {
            format!("{name}: {}", (0..20).map(|number| format!("x{level}-{number} ")).collect::<String>())
        })
        .chain([format!("hq.a.b.c.d: {many}")])
        .collect();
    let topology = tree(&above.iter().map(String::as_str).collect::<Vec<_>>());
    let mut site = Site { topology, registry: Known::default(), ..site() };
    for number in 0..100 {
        let fetching = (0..=255).map(|byte| Fetching { md5: Md5([byte; 16]), fetched: 0, total: 1, ready_in: None });
        let (domain, name) = ("hq.a.b.c.d".parse().ok(), format!("agent{number}"));
        let state = NodeState { role: Role::Agent, domain, fetching: fetching.collect(), ..node(&name, false) };
        site.registry.nodes.insert(name, Arc::new(state));
    }
    let digests: Vec<_> = (0..protocol::sources::DIGESTS_MAX).map(|number| Md5([number as u8; 16])).collect();
    let answer = site.ask(Some("p39"), "10.1.0.9", &question(&digests), NOW).answer;
    assert_eq!(answer.contents.len(), 1_000);
    assert!(answer.contents.iter().all(|content| content.sources.len() <= protocol::sources::SOURCES_MAX));
    let bytes = serde_json::to_vec(&answer).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes} bytes");
}
