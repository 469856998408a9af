//! A large site, 10,000 branches that report: what is staged is ready, what is not is not. With many [`ROUNDS`] it tells what a question costs, beside
//! the look-ups in a database: `cargo test --release -p outpost-origin --lib sources::tests::cost -- --nocapture`

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use protocol::{
    digest::Md5,
    enrolment::Role,
    report::Report,
    sources::Question,
    topology::{DomainName, Topology},
};

use super::{
    super::{Desk, File, Pending, Terms, Who},
    tree,
};
use crate::registry::{Intervals, Registry, SqliteRegistry};

const BRANCHES: usize = 10_000;
/// Later than the clock by which the registry forgets whom nobody has heard of for very long.
fn told_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33)
}

/// Of the branch that asks.
const AGENTS: usize = 20;
const CONTENTS: usize = 1_000;
/// As many digests are asked for in all, for each size of a question; 100,000 measure.
const ROUNDS: usize = 10;

fn contents() -> impl Iterator<Item = Md5> {
    (0..CONTENTS as u32).map(|number| Md5([number.to_be_bytes(); 4].concat().try_into().unwrap()))
}

/// One proxy in each branch, five above them. What is staged is at those above, at the proxy of the branch that asks, and at its agents.
fn site(directory: &Path, is_staged: bool) -> (Topology, SqliteRegistry) {
    let upper = "+hq: u0 u1 u2 u3 u4".to_owned();
    let branches = (0..BRANCHES).map(|number| format!("hq.b{number}: p{number}"));
    let written: Vec<_> = [upper].into_iter().chain(branches).collect();
    let tree = tree(&written.iter().map(String::as_str).collect::<Vec<_>>());
    let registry = SqliteRegistry::open(&directory.join(format!("{is_staged}.db"))).unwrap();
    let tell = |name: &str, role, domain: &DomainName, holds: bool| {
        let report = Report {
            node: name.into(),
            role,
            version: "1".into(),
            url: Some(format!("http://{name}/")),
            sequence: 1,
            full: true,
            holds: contents().filter(|_| holds).collect(),
            dropped: Vec::new(),
            fetching: Vec::new(),
            load: 0,
            free: 0,
            configuration: 0,
            orders: Vec::new(),
            needs_restart: Vec::new(),
            jobs: None,
            refused: Vec::new(),
        };
        registry.report(&report, Some(domain), Intervals::default(), told_at()).unwrap();
    };
    for domain in tree.domains() {
        let is_above = domain.name.as_str() == "hq";
        let is_asked = domain.name.as_str() == "hq.b17";
        for proxy in &domain.proxies {
            tell(&proxy.name, Role::Proxy, &domain.name, is_staged && (is_above || is_asked));
        }
        for number in 0..if is_asked { AGENTS } else { 1 } {
            tell(&format!("{}-{number}", domain.name), Role::Agent, &domain.name, is_staged && is_asked);
        }
    }
    (tree, registry)
}

#[test]
fn in_a_large_site_what_is_staged_is_ready_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for is_staged in [true, false] {
        let (topology, registry) = site(directory.path(), is_staged);
        let (terms, pending) = (Terms::default(), Pending::default());
        let desk = Desk {
            topology: &topology,
            terms: &terms,
            origins: &["http://hq.example:8090/".to_owned(), "http://hq2.example:8090/".to_owned()],
            registry: &registry,
            pending: &pending,
            file_of: &|md5| Some(File { path: format!("/prod/package/{md5}"), size: 1 << 20, pieces: None }),
        };
        for digests in [1, 10, CONTENTS] {
            let question = Question { digests: contents().take(digests).collect(), machines: Vec::new() };
            // Known by its last report.
            let who = Who { node: Some("hq.b17-0"), address: [192, 0, 2, 1].into() };
            let rounds = (ROUNDS / digests).max(1);
            let (start, mut bytes) = (Instant::now(), 0);
            for round in 0..rounds {
                let now = told_at() + Duration::from_millis(round as u64 % 1_000);
                let answered = desk.answer(&who, &question, now, round as u64);
                assert!(answered.answer.contents.iter().all(|content| content.ready == is_staged));
                bytes = serde_json::to_vec(&answered.answer).unwrap().len();
            }
            let each = start.elapsed() / rounds as u32;
            let ready = if is_staged { "ready" } else { "not ready" };
            println!("{digests} digests, {ready}: {each:?}, {bytes} bytes of JSON");
        }
    }
}
