//! Idle connections: what a client that may come back costs the server in memory of its own.

use std::time::Duration;

use super::{contestant::Contestant, field::Field, hits, memory::anonymous, samples::Sample};
use crate::{crowd::Crowd, pause::pause, target::Targets};

/// What each client has asked for once.
const SIZE: u64 = 1 << 10;

/// Longest that no client gets a byte.
const STALL: Duration = Duration::from_secs(30);

/// So that what was allocated for a while is given back.
const SETTLE: Duration = Duration::from_millis(500);

/// Connects so many, has each ask once, and looks.
pub(crate) fn run(field: &mut Field, contestant: Contestant, clients: u32) -> anyhow::Result<Sample> {
    let place = field.place(contestant, SIZE)?;
    let target = hits::target(&place, SIZE);
    hits::prime(field, contestant, &place, &target)?;
    pause(SETTLE);
    let before = anonymous(&place.pids);
    let mut crowd = Crowd::connect(Targets::new(&[place.url(&target)], &[])?, clients)?;
    crowd.fetch(STALL)?;
    crowd.require_all()?;
    pause(SETTLE);
    let after = anonymous(&place.pids);
    Ok(vec![("each", after.saturating_sub(before) as f64 / f64::from(1 << 10) / f64::from(clients))])
}
