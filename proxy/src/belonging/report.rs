//! How this proxy is, as a report tells it.

use cache::status::FillStatus;
use protocol::{
    enrolment::{Content, Role},
    report::{FETCHING_MAX, Fetching, REFUSED_MAX, Refusal, Report},
};

use super::load::{Moment, percent};
use crate::app::{App, Parts};

/// A rate says little before so many seconds.
const SECONDS_LEAST: f64 = 1.0;

/// A report without what it holds, and without orders.
pub(super) fn frame(app: &App, parts: &Parts, node: &str, before: &mut Moment) -> Report {
    let now = moment(app, parts);
    let load = percent(std::mem::replace(before, now), now);
    let store = parts.store.report();
    let room = store.max_size.saturating_sub(store.used);
    let configuration = app.config.lock().generation().unwrap_or(0);
    Report {
        node: node.to_owned(),
        role: Role::Proxy,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: None,
        sequence: 0,
        full: false,
        holds: Vec::new(),
        dropped: Vec::new(),
        fetching: Vec::new(),
        load,
        free: room.min(store.disk_available.saturating_sub(store.min_free)),
        configuration,
        orders: Vec::new(),
        refused: Vec::new(),
        needs_restart: needs_restart(app),
        jobs: None,
    }
}

fn moment(app: &App, parts: &Parts) -> Moment {
    let usage = os::process::usage();
    let connections = parts.server.counters().connections.load(std::sync::atomic::Ordering::Relaxed);
    Moment {
        seconds: app.started.elapsed().as_secs_f64(),
        processor: usage.user + usage.system,
        connections,
        connections_max: app.at_start.settings.serve.connections_max as u64,
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
    }
}

/// Of what was delivered, what is in use with the next start only.
pub(super) fn needs_restart(app: &App) -> Vec<String> {
    let now = app.config.lock();
    let changed = config::print::needs_restart(&app.at_start, &now);
    let delivered = now.delivered().filter(|key| changed.contains(key));
    delivered.take(REFUSED_MAX).map(str::to_owned).collect()
}

/// What of the delivered layer was left out.
pub(super) fn left_out(app: &App) -> Vec<Refusal> {
    let now = app.config.lock();
    let refusal = |left: &config::LeftOut| Refusal { option: left.option.clone(), reason: left.reason.clone() };
    now.left_out().iter().take(REFUSED_MAX).map(refusal).collect()
}

/// Contents on their way, those that have begun first.
pub(super) fn fetching<'c>(
    fills: &[FillStatus],
    missing: impl Iterator<Item = (&'c Content, Option<f64>)>,
) -> Vec<Fetching> {
    let mut all: Vec<Fetching> = fills.iter().filter_map(on_its_way).collect();
    for (content, left) in missing {
        if all.len() >= FETCHING_MAX {
            break;
        }
        if !all.iter().any(|known| known.md5 == content.md5) {
            let ready_in = left.map(|left| left.ceil() as u64);
            all.push(Fetching { md5: content.md5, fetched: 0, total: 0, ready_in });
        }
    }
    all.truncate(FETCHING_MAX);
    all
}

/// At the rate that it has had so far. Bytes that a part had already count along, which makes it sound better than it is: it is looked at again with
/// each report.
fn on_its_way(fill: &FillStatus) -> Option<Fetching> {
    let total = fill.total.unwrap_or(0);
    let rate = fill.fetched as f64 / fill.seconds.max(SECONDS_LEAST);
    let left = total.saturating_sub(fill.fetched) as f64;
    let ready_in = (total > 0 && fill.seconds >= SECONDS_LEAST && rate > 0.0).then(|| (left / rate).ceil() as u64);
    Some(Fetching { md5: fill.md5?, fetched: fill.fetched, total, ready_in })
}

#[cfg(test)]
mod tests {
    use protocol::digest::Md5;

    use super::*;

    fn fill(md5: Option<u8>, fetched: u64, total: Option<u64>, seconds: f64) -> FillStatus {
        let md5 = md5.map(|byte| Md5([byte; 16]));
        FillStatus { upstream: "a".into(), path: "/a".into(), md5, fetched, total, seconds, followers: 0 }
    }

    #[test]
    fn when_a_content_will_be_here() {
        for (fetched, total, seconds, expected) in [
            (500, Some(1000), 10.0, Some(10)),
            (0, Some(1000), 10.0, None),
            (500, Some(1000), 0.1, None),
            (500, None, 10.0, None),
            (1000, Some(1000), 10.0, Some(0)),
        ] {
            let found = fetching(&[fill(Some(1), fetched, total, seconds)], std::iter::empty());
            assert_eq!(found[0].ready_in, expected, "{fetched} of {total:?} in {seconds} s");
        }
        assert!(fetching(&[fill(None, 1, None, 1.0)], std::iter::empty()).is_empty(), "it has no name yet");
    }

    #[test]
    fn what_is_ordered_and_has_not_begun_is_told_behind_what_has() {
        let content = |byte: u8| Content { md5: Md5([byte; 16]), path: "/a".into() };
        let (one, other) = (content(1), content(2));
        let found =
            fetching(&[fill(Some(1), 5, Some(10), 5.0)], [(&one, Some(60.0)), (&other, Some(59.5))].into_iter());
        let told: Vec<_> = found.iter().map(|one| (one.md5.0[0], one.fetched, one.ready_in)).collect();
        assert_eq!(told, [(1, 5, Some(5)), (2, 0, Some(60))]);
        let many: Vec<_> =
            (0..2000_u128).map(|number| Content { md5: Md5(number.to_be_bytes()), path: "/a".into() }).collect();
        assert_eq!(fetching(&[], many.iter().map(|content| (content, None))).len(), FETCHING_MAX);
    }
}
