//! Hits: a closed loop of clients on one object that is in the cache, and what it cost the server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::{
    contestant::Contestant,
    field::{Field, Place},
    samples::Sample,
};
use crate::{
    crowd::Crowd,
    exchange::Check,
    load::{GB, Job, Report, Until, measure},
    origin::content::{Comparison, Content},
    pause::pause,
    server_cpu::between,
    target::Targets,
};

/// Longest that nothing comes while the cache is filled.
const STALL: Duration = Duration::from_secs(60);

/// Processor time below which the clock's 10 ms are too coarse for a figure.
const CPU_MIN: Duration = Duration::from_millis(50);

/// Bodies from this size on are counted in bytes.
const LARGE: u64 = 1 << 20;

/// So that one server's last work is not taken for the next one's.
const SETTLE: Duration = Duration::from_millis(100);

/// Longest that a server may go on working after its cache has been filled.
const REST_MAX: Duration = Duration::from_secs(20);

/// A server that used no more than one tick of the clock in this time rests.
const REST: Duration = Duration::from_millis(200);
const TICK: Duration = Duration::from_millis(10);

/// What is asked for an object of this size: of each server its own, so that the origin can tell them apart.
pub(super) fn target(place: &Place, size: u64) -> String {
    format!("/{}/hot/{size}", place.name)
}

/// One run. The first fills the cache, and checks every byte.
pub(crate) fn run(
    field: &mut Field,
    contestant: Contestant,
    (size, clients): (u64, u32),
    duration: Duration,
) -> anyhow::Result<Sample> {
    let place = field.place(contestant, size)?;
    let target = target(&place, size);
    prime(field, contestant, &place, &target)?;
    let asked = field.origin.tally(&target).requests;
    let report = measure(Job {
        targets: Targets::new(&[place.url(&target)], &[])?,
        clients,
        threads: 1,
        cpus: Vec::new(),
        warmup: duration / 4,
        think: Duration::ZERO,
        until: Until::Time(duration),
        server: place.server(),
    })?;
    pause(SETTLE);
    let more = field.origin.tally(&target).requests - asked;
    if more > 0 {
        bail!("{more} requests went to the origin: these were no hits");
    }
    sample(&report, size)
}

/// Brings an object into the cache, once. The minimal loop has nothing to be filled with.
pub(super) fn prime(field: &Field, contestant: Contestant, place: &Place, target: &str) -> anyhow::Result<()> {
    if contestant == Contestant::Limit || field.origin.tally(target).requests > 0 {
        return Ok(());
    }
    let content = Content::of(target).context("a target of ours has a size")?;
    // The second fetch waits for what the first leaves to be done behind its answer.
    for _ in 0..2 {
        let mut crowd = Crowd::connect(Targets::new(&[place.url(target)], &[])?, 1)?;
        crowd.check(0, Check::Content(Comparison::new(content)));
        crowd.fetch(STALL)?;
        crowd.require_all()?;
        if !crowd.take_checks().iter().all(|(_, check)| matches!(check, Check::Content(it) if it.is_whole())) {
            bail!("the bytes of {target} are wrong");
        }
        pause(SETTLE);
    }
    rest(place)
}

/// Waits until what a server does behind its answers is done: syncing what it fetched costs it processor time, too.
pub(super) fn rest(place: &Place) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let before = place.server().sample()?;
        pause(REST);
        let used = between(before, place.server().sample()?).map_or(Duration::ZERO, |cpu| cpu.total());
        if used <= TICK || began.elapsed() > REST_MAX {
            return Ok(());
        }
    }
}

fn sample(report: &Report, size: u64) -> anyhow::Result<Sample> {
    let (tally, seconds) = (&report.tally, report.elapsed.as_secs_f64());
    if let Some((failure, count)) = tally.failures.first_key_value() {
        bail!("{count} requests failed: {failure}");
    }
    if let Some(status) = tally.statuses.keys().find(|status| **status != 200) {
        bail!("it answered {status}");
    }
    let cpu = report.server.map(|cpu| cpu.total()).filter(|cpu| *cpu >= CPU_MIN).map(|cpu| cpu.as_secs_f64());
    if tally.bytes == 0 {
        bail!("no byte came");
    }
    if size >= LARGE {
        let gigabytes = tally.bytes as f64 / GB;
        let mut sample = vec![("rate", gigabytes / seconds)];
        sample.extend(cpu.map(|cpu| ("cpu", cpu / gigabytes)));
        return Ok(sample);
    }
    let requests = tally.latency.count() as f64;
    let millis = |part| tally.latency.quantile(part).as_secs_f64() * 1e3;
    let mut sample = vec![("rate", requests / seconds), ("p50", millis(0.5)), ("p99", millis(0.99))];
    sample.extend(cpu.map(|cpu| ("cpu", cpu * 1e6 / requests)));
    Ok(sample)
}
