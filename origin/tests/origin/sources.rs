//! Where to get a file, asked as others ask it, while a new one comes down the tree.

use config::origin::DomainOptions;
use protocol::{
    digest::Md5,
    enrolment::Role,
    info::{NODE_FIELD, REPORTS, SOURCES, TOPOLOGY},
    report::Report,
    sources::{Answer, DIGESTS_MAX, Kind, Question, Sources},
    topology::{Domain, Proxy, Tier},
};

use crate::{
    harness::Fixture,
    registry::{read, report},
};

const TEXT: &[u8] = b"a package";

fn domain(name: &str, tier: Tier, ranges: &[&str], proxy: &str) -> DomainOptions {
    let domain = Domain {
        name: name.parse().expect("a name"),
        ranges: ranges.iter().map(|range| range.parse().expect("a range")).collect(),
        machines: Vec::new(),
        tier,
        proxies: vec![Proxy { name: proxy.into(), url: format!("http://{proxy}.example:8080/") }],
    };
    DomainOptions { domain, proxy: Default::default(), agent: Default::default() }
}

/// One file, and a branch below headquarters in which everybody is who asks from this machine.
fn site() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.write("office/setup.exe", TEXT);
    fixture.options.origins = vec!["http://hq.example:8090/".into()];
    fixture.options.domains = vec![
        domain("hq", Tier::Unconstrained, &[], "upper"),
        domain("hq.b1", Tier::Constrained, &["127.0.0.0/8"], "branch"),
    ];
    fixture.start();
    fixture.wait_until_known(1);
    fixture
}

fn tell(fixture: &Fixture, node: &str, sequence: u64, holds: &[Md5]) {
    let report = Report { role: Role::Proxy, sequence, full: true, holds: holds.to_vec(), ..report(node, &[]) };
    let body = serde_json::to_vec(&report).expect("JSON");
    assert_eq!(fixture.post(REPORTS, &[(NODE_FIELD, node)], &body).status, 200);
}

#[track_caller]
fn ask(fixture: &Fixture, node: &str, md5: Md5) -> (Option<String>, Sources) {
    let body = serde_json::to_vec(&Question { digests: vec![md5], machines: Vec::new() }).expect("JSON");
    let mut answer: Answer = read(&fixture.post(SOURCES, &[(NODE_FIELD, node)], &body));
    assert_eq!((answer.expires_in, answer.contents.len()), (600, 1));
    (answer.domain.map(|domain| domain.to_string()), answer.contents.remove(0))
}

fn names(content: &Sources) -> Vec<&str> {
    content.sources.iter().map(|source| source.name.as_str()).collect()
}

#[test]
fn a_new_file_comes_down_the_tree_tier_by_tier() {
    let fixture = site();
    let md5 = Md5::of(TEXT);
    tell(&fixture, "upper", 1, &[]);
    tell(&fixture, "branch", 1, &[]);
    // The upper proxy has its source at the first question; the others are told when to come again.
    let (domain, first) = ask(&fixture, "upper", md5);
    assert_eq!((domain.as_deref(), names(&first)), (Some("hq"), vec!["http://hq.example:8090/"]));
    assert_eq!((first.path.as_deref(), first.size), (Some("/office/setup.exe"), Some(TEXT.len() as u64)));
    for node in ["branch", "pc"] {
        let (domain, content) = ask(&fixture, node, md5);
        assert_eq!((domain.as_deref(), content.ready, content.sources.len()), (Some("hq.b1"), false, 0), "{node}");
        assert!(content.retry_after.is_some_and(|seconds| (5..=600).contains(&seconds)), "{content:?}");
    }
    tell(&fixture, "upper", 2, &[md5]);
    assert_eq!(names(&ask(&fixture, "branch", md5).1), ["upper", "http://hq.example:8090/"]);
    // The branch's proxy was told to fetch it when its machine asked first, and may do so now: it gives each byte on as it comes.
    let (_, content) = ask(&fixture, "pc", md5);
    assert_eq!((content.ready, content.sources[0].name.as_str(), content.sources[0].holds), (true, "branch", false));
    tell(&fixture, "branch", 2, &[md5]);
    let (_, content) = ask(&fixture, "pc", md5);
    let kinds: Vec<_> = content.sources.iter().map(|source| (source.kind, source.holds)).collect();
    assert_eq!(names(&content), ["branch", "upper", "http://hq.example:8090/"]);
    assert_eq!(kinds, [(Kind::Proxy, true), (Kind::Parent, true), (Kind::Origin, true)]);
    assert_eq!(content.sources[0].url, "http://branch.example:8080/");
}

#[test]
fn without_a_tree_there_is_the_origin_as_it_was_reached() {
    let mut fixture = Fixture::new();
    fixture.write("a", TEXT);
    fixture.start();
    fixture.wait_until_known(1);
    let (domain, content) = ask(&fixture, "pc", Md5::of(TEXT));
    assert_eq!((domain, content.ready, content.sources.len()), (None, true, 1));
    assert!(content.sources[0].url.starts_with("http://") && content.sources[0].url.ends_with('/'), "{content:?}");
    let (_, content) = ask(&fixture, "pc", Md5::of(b"something else"));
    assert_eq!((content.ready, content.path, content.unknown), (false, None, false));
    assert!(content.retry_after.is_some());
}

#[test]
fn questions_that_are_none_are_refused() {
    let fixture = site();
    let many = Question { digests: vec![Md5::of(b""); DIGESTS_MAX + 1], machines: Vec::new() };
    for (body, status) in [
        (serde_json::to_vec(&many).expect("JSON"), 413),
        (vec![b' '; 100_000], 413),
        (b"{}".to_vec(), 400),
        (br#"{"digests": ["abc"]}"#.to_vec(), 400),
        (br#"{"digests": []}"#.to_vec(), 200),
        (br#"{"digests": [], "machines": ["no card", "", "::"]}"#.to_vec(), 200),
    ] {
        let answer = fixture.post(SOURCES, &[], &body);
        assert_eq!(answer.status, status, "{:?}", body.get(..40));
    }
    assert_eq!(fixture.get(SOURCES).status, 405);
}

#[test]
fn the_tree_can_be_looked_at() {
    let fixture = site();
    tell(&fixture, "branch", 1, &[]);
    let of = |query: &str| fixture.get(&format!("{TOPOLOGY}{query}"));
    let tree: serde_json::Value = read(&of(""));
    assert_eq!(tree[0]["proxies"][0]["state"], "silent");
    assert_eq!(tree[0]["domains"][0]["proxies"][0]["state"], "alive");
    let branch: serde_json::Value = read(&of("?domain=HQ.b1"));
    assert_eq!(branch[0], tree[0]["domains"][0]);
    assert_eq!((of("?domain=hq.b2").status, of("?domain=h%20q").status), (404, 400));
}
