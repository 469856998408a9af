//! Who has reported and who holds what, asked as others ask it.

use std::time::Duration;

use config::origin::DomainOptions;
use protocol::{
    digest::Md5,
    enrolment::Role,
    info::{NODE_FIELD, NODES, OBJECTS, REPORTS},
    report::{Holders, Node, Nodes, PAGE_MAX, Report, Reported},
    topology::{Domain, Proxy, Tier},
};
use serde::de::DeserializeOwned;

use crate::harness::{Answer, Fixture};

pub(crate) fn md5(number: u32) -> Md5 {
    Md5::of(&number.to_le_bytes())
}

pub(crate) fn report(node: &str, holds: &[u32]) -> Report {
    Report {
        node: node.into(),
        role: Role::Agent,
        version: "0.1.0".into(),
        url: Some("http://127.0.0.1:7778/".into()),
        sequence: 1,
        full: true,
        holds: holds.iter().map(|number| md5(*number)).collect(),
        dropped: vec![],
        fetching: vec![],
        load: 7,
        free: 1 << 40,
        configuration: 3,
        orders: vec![],
        refused: vec![],
        needs_restart: vec![],
        jobs: None,
    }
}

fn started() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.start();
    fixture
}

fn tell(fixture: &Fixture, report: &Report) -> Answer {
    fixture.post(REPORTS, &[(NODE_FIELD, &report.node)], &serde_json::to_vec(report).expect("JSON"))
}

#[track_caller]
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> T {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).expect("as the protocol has it")
}

pub(crate) fn holders_of(number: u32) -> String {
    format!("{OBJECTS}{}/holders", md5(number))
}

fn holders(fixture: &Fixture, number: u32) -> Vec<String> {
    let found: Holders = read(&fixture.get(&holders_of(number)));
    found.holders.into_iter().map(|node| node.name).collect()
}

#[test]
fn what_is_reported_can_be_asked() {
    let mut fixture = started();
    assert_eq!(holders(&fixture, 1), [""; 0]);
    let reported: Reported = read(&tell(&fixture, &report("a", &[1, 2])));
    assert!(!reported.full && !reported.url_refused && reported.next_in > 0 && reported.expires_in > reported.next_in);
    read::<Reported>(&tell(&fixture, &Report { role: Role::Proxy, ..report("b", &[2]) }));
    assert_eq!((holders(&fixture, 1), holders(&fixture, 2)), (vec!["a".to_owned()], vec!["a".into(), "b".into()]));
    let limited: Holders = read(&fixture.get(&format!("{}?limit=1", holders_of(2))));
    assert_eq!(limited.holders.len(), 1);
    let elsewhere: Holders = read(&fixture.get(&format!("{}?domain=hq.b7", holders_of(2))));
    assert!(elsewhere.holders.is_empty());

    let node: Node = read(&fixture.get(&format!("{NODES}/b")));
    assert_eq!((node.role, node.holds, node.load, node.free, node.configuration), (Role::Proxy, 1, 7, 1 << 40, 3));
    assert_eq!((node.url.as_deref(), node.away), (Some("http://127.0.0.1:7778/"), false));
    let first: Nodes = read(&fixture.get(&format!("{NODES}?limit=1")));
    assert_eq!((first.nodes[0].name.as_str(), first.cursor.as_deref()), ("a", Some("a")));
    let second: Nodes = read(&fixture.get(&format!("{NODES}?cursor=a")));
    assert_eq!((second.nodes.len(), second.cursor), (1, None));

    // Started again, it knows all of it, and asks nobody for everything.
    fixture.start();
    assert_eq!(holders(&fixture, 2), ["a", "b"]);
    let change = Report { sequence: 2, full: false, dropped: vec![md5(2)], ..report("a", &[3]) };
    assert!(!read::<Reported>(&tell(&fixture, &change)).full);
    assert_eq!((holders(&fixture, 2), holders(&fixture, 3)), (vec!["b".to_owned()], vec!["a".into()]));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let fixture = started();
    for (target, status) in [
        (format!("{NODES}/nobody"), 404),
        (format!("{NODES}?limit=0"), 400),
        (format!("{NODES}?limit=1001"), 400),
        (format!("{NODES}?limit=x"), 400),
        (format!("{}?domain=a..b", holders_of(1)), 400),
        (format!("{OBJECTS}abc/holders"), 404),
        (REPORTS.into(), 405),
    ] {
        assert_eq!(fixture.get(&target).status, status, "{target}");
    }
    assert_eq!(fixture.post(NODES, &[], b"{}").status, 405);
}

#[test]
fn hostile_reports_are_refused_and_change_nothing() {
    let fixture = started();
    read::<Reported>(&tell(&fixture, &report("a", &[1])));
    let send = |report: &Report, sender: &str| {
        fixture.post(REPORTS, &[(NODE_FIELD, sender)], &serde_json::to_vec(report).expect("JSON")).status
    };
    assert_eq!(send(&report("a", &[2]), "b"), 403, "each reports for itself");
    assert_eq!(send(&report("a b", &[2]), "b"), 400);
    assert_eq!(send(&Report { version: "x".repeat(65), ..report("b", &[2]) }, "b"), 400);
    assert_eq!(send(&Report { url: Some("http://root:x@10.0.0.1/".into()), ..report("b", &[2]) }, "b"), 400);
    let page: Vec<u32> = (0..PAGE_MAX as u32).collect();
    assert_eq!(send(&report("c", &page), "c"), 200, "as many as one may tell");
    let dropped = vec![md5(1)];
    assert_eq!(send(&Report { dropped, ..report("c", &page) }, "c"), 413);
    let million: Vec<u32> = (0..1_000_000).collect();
    assert_eq!(send(&report("b", &million), "b"), 413);
    assert_eq!(send(&report("b", &[2; 9_000]), "b"), 200, "the same again and again is once");
    let b: Node = read(&fixture.get(&format!("{NODES}/b")));
    assert_eq!(b.holds, 1);
    for body in [&b""[..], b"{", b"[]", b"{\"node\":\"b\"}", &b"[".repeat(60_000), b"\xff\xfe"] {
        assert_eq!(fixture.post(REPORTS, &[], body).status, 400);
    }
    let unknown = serde_json::to_string(&report("d", &[7])).expect("JSON").replacen('{', "{\"new\":{\"x\":[1]},", 1);
    assert_eq!(fixture.post(REPORTS, &[], unknown.as_bytes()).status, 200, "a later release may say more");
    assert_eq!(holders(&fixture, 1), ["a", "c"]);
}

#[test]
fn a_url_at_another_address_is_not_taken_and_the_reporter_is_told() {
    let fixture = started();
    for (url, is_own) in
        [("http://127.0.0.1:7778/", true), ("http://10.0.0.1:7778/", false), ("http://victim.example/", false)]
    {
        let said = Report { url: Some(url.into()), ..report("a", &[1]) };
        assert_eq!(read::<Reported>(&tell(&fixture, &said)).url_refused, !is_own, "{url}");
        let found: Holders = read(&fixture.get(&holders_of(1)));
        assert_eq!(found.holders[0].url.is_some(), is_own, "{url}");
    }
}

#[test]
fn who_reports_all_the_time_is_told_to_wait_and_others_are_not() {
    let fixture = started();
    let mut statuses = Vec::new();
    for sequence in 1..=400 {
        let answer = tell(&fixture, &Report { sequence, full: sequence == 1, ..report("a", &[]) });
        let retry_after = answer.field("Retry-After").and_then(|seconds| seconds.parse().ok());
        statuses.push((answer.status, retry_after.unwrap_or(0)));
    }
    let taken = statuses.iter().filter(|(status, _)| *status == 200).count();
    assert!((128..400).contains(&taken), "{taken} of 400 at once were taken");
    let refused = statuses.iter().find(|(status, _)| *status != 200).expect("some are refused");
    assert_eq!(*refused, (503, 1));
    assert_eq!(tell(&fixture, &report("b", &[1])).status, 200);
}

#[test]
fn a_node_is_in_its_domain_and_the_administrator_may_send_others_anywhere() {
    let mut fixture = Fixture::new();
    let domain = |name: &str, ranges: &[&str], proxies: &[(&str, &str)]| Domain {
        name: name.parse().expect("a name"),
        ranges: ranges.iter().map(|range| range.parse().expect("a range")).collect(),
        machines: vec![],
        tier: Tier::Constrained,
        proxies: proxies.iter().map(|(name, url)| Proxy { name: (*name).into(), url: (*url).into() }).collect(),
    };
    let hq = domain("hq", &[], &[("hq-1", "http://files.example:8080/")]);
    let b7 = domain("hq.b7", &["127.0.0.0/8"], &[]);
    fixture.options.domains =
        [hq, b7].map(|domain| DomainOptions { domain, proxy: Default::default(), agent: Default::default() }).into();
    fixture.options.registry.report_every = Duration::from_secs(7);
    fixture.options.registry.expiry = Duration::from_secs(21);
    fixture.start();
    let reported: Reported = read(&tell(&fixture, &report("pc", &[1])));
    assert_eq!((reported.next_in, reported.expires_in), (7, 21));
    let said = Report { url: Some("http://files.example:8080/".into()), role: Role::Proxy, ..report("hq-1", &[1]) };
    assert!(!read::<Reported>(&tell(&fixture, &said)).url_refused, "its URL is written in the tree");
    assert!(read::<Reported>(&tell(&fixture, &Report { node: "hq-2".into(), ..said })).url_refused);
    for (domain, expected) in [("hq", "hq-1"), ("hq.b7", "hq-2 pc"), ("hq.b8", "")] {
        let found: Holders = read(&fixture.get(&format!("{}?domain={domain}", holders_of(1))));
        let mut names: Vec<&str> = found.holders.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{domain}");
    }
}
