//! What a question costs in a tree of 10,000 branches, beside the look-ups in a database:
//! `cargo test --release -p outpost-origin --lib sources::tests::cost -- --ignored --nocapture`

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::{digest::Md5, enrolment::Role, sources::Question, topology::Topology};

use super::{
    super::{Desk, File, Pending, Terms, Who},
    NOW,
    desk::Known,
    node, tree,
};
use crate::registry::NodeState;

const BRANCHES: usize = 10_000;

/// Each branch with a proxy that reports, below five with good lines; those hold every content.
fn site(staged: bool) -> (Topology, Known) {
    let written: Vec<_> = ["+hq: u0 u1 u2 u3 u4".to_owned()]
        .into_iter()
        .chain((0..BRANCHES).map(|number| format!("hq.b{number}: p{number}")))
        .collect();
    let tree = tree(&written.iter().map(String::as_str).collect::<Vec<_>>());
    let mut known = Known::default();
    let names = tree.domains().flat_map(|domain| &domain.proxies).map(|proxy| proxy.name.clone());
    for name in names.collect::<BTreeSet<_>>() {
        if staged && (name == "u0" || name == "p17") {
            known.holds.extend((0..100).map(|number| (name.clone(), Md5([number; 16]))));
        }
        known.nodes.insert(name.clone(), Arc::new(node(&name, false)));
    }
    // The machine that asks is in the eighteenth branch, as it has reported.
    let machine = NodeState { role: Role::Agent, domain: "hq.b17".parse().ok(), ..node("pc-1", false) };
    known.nodes.insert("pc-1".into(), Arc::new(machine));
    (tree, known)
}

#[test]
#[ignore = "a measurement"]
fn a_question() {
    for (digests, staged) in [(10, true), (10, false), (1_000, true), (1_000, false)] {
        let (topology, registry) = site(staged);
        let (terms, pending) = (Terms::default(), Pending::default());
        let origins = ["http://hq.example:8090/".to_owned(), "http://hq2.example:8090/".to_owned()];
        let file_of = |md5: &Md5| Some(File { path: format!("/prod/package/{md5}"), size: 1 << 20 });
        let desk = Desk {
            topology: &topology,
            terms: &terms,
            origins: &origins,
            registry: &registry,
            pending: &pending,
            file_of: &file_of,
        };
        let question = Question {
            digests: (0..digests).map(|number| Md5([(number % 100) as u8; 16])).collect(),
            machines: Vec::new(),
        };
        let who = Who { node: Some("pc-1"), address: [192, 0, 2, 1].into() };
        let rounds = 200_000 / digests;
        let (start, mut bytes) = (Instant::now(), 0);
        for round in 0..rounds {
            let now = NOW + Duration::from_millis(round as u64 % 1_000);
            let answered = desk.answer(&who, &question, now, round as u64);
            assert_eq!(answered.answer.contents.len(), digests);
            assert!(answered.answer.contents.iter().all(|content| content.ready == staged));
            bytes = serde_json::to_vec(&answered.answer).unwrap().len();
        }
        let each = start.elapsed() / rounds as u32;
        println!("{digests} digests, {}: {each:?}, {bytes} bytes of JSON", if staged { "ready" } else { "not ready" });
    }
}
