//! Cold files: many clients at once on one that the server does not have, from an origin that may be slow.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::{contestant::Contestant, field::Field, hits, memory::Watch, samples::Sample};
use crate::{
    crowd::{Crowd, Summary},
    exchange::Check,
    origin::{
        Tally,
        content::{Comparison, Content},
    },
    target::Targets,
};

/// Longest that no client gets a byte.
const STALL: Duration = Duration::from_secs(60);

/// So many of the clients compare every byte that they get; of the others the length is checked. More would cost the load's processor
/// so much that it would be what is measured.
const CHECKED_MAX: usize = 4;

/// One cold file.
#[derive(Clone, Copy)]
pub(crate) struct Cold {
    pub(crate) size: u64,
    pub(crate) clients: u32,
    /// Of the origin, in bytes a second.
    pub(crate) rate: Option<u64>,
}

/// One run, on a file that nobody asked for before. The limit is one client at the origin itself.
pub(crate) fn run(field: &mut Field, contestant: Contestant, cold: Cold) -> anyhow::Result<Sample> {
    let name = contestant.program().map_or("direct", |program| program.name());
    let target = format!("/{name}/cold/{}/{}", field.number(), cold.size);
    field.origin.set_rate(cold.rate);
    let sample = match contestant {
        Contestant::Limit => direct(field, &target),
        _ => through(field, contestant, cold, &target),
    };
    field.origin.set_rate(None);
    sample
}

/// The origin's own time.
fn direct(field: &Field, target: &str) -> anyhow::Result<Sample> {
    let (url, content) = (format!("http://{}{target}", field.origin.address()), content(target)?);
    let mut crowd = Crowd::connect(Targets::new(&[url], &[])?, 1)?;
    crowd.fetch(STALL)?;
    if crowd.require_all()? != content.size() {
        bail!("the origin sent another length");
    }
    Ok(vec![("last", crowd.summary().done.max().as_secs_f64())])
}

fn through(field: &mut Field, contestant: Contestant, cold: Cold, target: &str) -> anyhow::Result<Sample> {
    let place = field.place(contestant, cold.size)?;
    let content = content(target)?;
    let mut crowd = Crowd::connect(Targets::new(&[place.url(target)], &[])?, cold.clients)?;
    let clients = cold.clients as usize;
    for client in (0..clients).step_by(clients.div_ceil(CHECKED_MAX)) {
        crowd.check(client, Check::Content(Comparison::new(content)));
    }
    let server = place.server();
    let before = server.sample()?;
    let memory = Watch::start(place.pids.clone())?;
    let fetched = crowd.fetch(STALL);
    let cpu = crate::server_cpu::between(before, server.sample()?).context("its processes were named")?;
    let anonymous = memory.stop();
    if let Err(error) = fetched {
        eprintln!("  {}: {error:#}", contestant.key());
    }
    let checks = crowd.take_checks();
    let wrong = checks.iter().filter(|(_, check)| !matches!(check, Check::Content(it) if it.is_whole())).count();
    let summary = crowd.summary();
    let right = right(&summary, &content).saturating_sub(wrong as u64);
    for (end, count) in summary.ends.iter().filter(|(end, _)| *end != "200") {
        eprintln!("  {}: {count} clients: {end}", contestant.key());
    }
    let mut sample = vec![
        ("complete", right as f64),
        ("cpu", cpu.total().as_secs_f64()),
        ("anonymous", anonymous as f64 / f64::from(1 << 20)),
    ];
    if right == clients as u64 {
        sample.push(("last", summary.done.max().as_secs_f64()));
    }
    sample.extend(upstream(field.origin.tally(target), crowd.began(), &summary, content.size()));
    // What it does behind its answers is not to be taken for the next one's work.
    hits::rest(&place)?;
    Ok(sample)
}

/// How many got an answer of the right length.
fn right(summary: &Summary, content: &Content) -> u64 {
    let complete = summary.ends.get("200").copied().unwrap_or(0);
    if summary.bytes == complete * content.size() { complete } else { 0 }
}

/// What was asked of the origin, and how much later than its first byte those of the clients came.
fn upstream(tally: Tally, began: Instant, summary: &Summary, size: u64) -> Sample {
    let mut sample = vec![("asked", tally.requests as f64), ("fetched", tally.body_bytes as f64 / size as f64)];
    if let Some(first) = tally.first_byte {
        let later =
            |client: Duration| client.saturating_sub(first.saturating_duration_since(began)).as_secs_f64() * 1e3;
        sample.push(("first", later(summary.first.quantile(0.5))));
        sample.push(("first-of-last", later(summary.first.max())));
    }
    sample
}

fn content(target: &str) -> anyhow::Result<Content> {
    Content::of(target).context("a target of ours has a size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;

    fn summary(first: &[u64], bytes: u64) -> Summary {
        let mut histogram = Histogram::new();
        first.iter().for_each(|millis| histogram.record(Duration::from_millis(*millis)));
        let ends = [("200".to_owned(), first.len() as u64)].into();
        let done = histogram.clone();
        Summary { clients: first.len(), bytes, ends, answered: histogram.clone(), first: histogram, done }
    }

    #[test]
    fn first_bytes_are_counted_from_the_origins() {
        let began = Instant::now();
        let first_byte = Some(began + Duration::from_millis(4));
        let tally = Tally { requests: 1, body_bytes: 2000, first_byte };
        let sample = upstream(tally, began, &summary(&[5, 6, 24], 3000), 1000);
        let value = |key| sample.iter().find(|(of, _)| *of == key).unwrap().1;
        assert_eq!((value("asked"), value("fetched")), (1.0, 2.0));
        assert!((value("first") - 2.0).abs() < 0.1 && (value("first-of-last") - 20.0).abs() < 0.4, "{sample:?}");
    }

    #[test]
    fn a_wrong_length_is_not_complete() {
        let content = Content::of("/x/1000").unwrap();
        assert_eq!(right(&summary(&[1, 2, 3], 3000), &content), 3);
        assert_eq!(right(&summary(&[1, 2, 3], 2999), &content), 0);
    }
}
