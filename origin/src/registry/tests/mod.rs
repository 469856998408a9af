//! What the tests of this folder share.

mod book;

use std::time::UNIX_EPOCH;

use super::*;

pub(in crate::registry) const INTERVALS: Intervals =
    Intervals { next_in: Duration::from_secs(60), expires_in: Duration::from_secs(200) };

/// A content.
pub(in crate::registry) fn md5(number: u32) -> Md5 {
    Md5(u128::from(number).to_le_bytes())
}

/// A moment.
pub(in crate::registry) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// A full report, the first.
pub(in crate::registry) fn report(node: &str, holds: &[u32]) -> Report {
    Report {
        node: node.into(),
        role: Role::Agent,
        version: "0.1.0".into(),
        url: Some(format!("http://{node}/")),
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

/// What changed.
pub(in crate::registry) fn change(node: &str, sequence: u64, holds: &[u32], dropped: &[u32]) -> Report {
    let dropped = dropped.iter().map(|number| md5(*number)).collect();
    Report { sequence, full: false, dropped, ..report(node, holds) }
}

pub(in crate::registry) fn names(states: &[Arc<NodeState>]) -> Vec<&str> {
    states.iter().map(|state| state.name.as_str()).collect()
}

/// A number of a row that can be had again.
pub(in crate::registry) fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}
