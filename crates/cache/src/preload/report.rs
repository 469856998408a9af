//! What is told of preloading: to scripts, to people, to monitoring. Made from the state of one moment.

use std::sync::Arc;

use super::{
    due::{self, Due},
    forecast::{self, Outlook},
    plan::{Round, Rules, Track},
    queue::Count,
    runner::{Desk, Going, State},
    walk::Met,
};
use crate::{
    shared::Shared,
    status::{Files, PreloadRound, PreloadState, PreloadStatus, PreloadedFailed, Preloading, ReadyByStatus},
    upstream::Upstream,
};

impl Desk {
    /// How it stands.
    pub(crate) fn status(&self, shared: &Shared, upstream: &Arc<Upstream>) -> PreloadStatus {
        let (now, options) = (shared.clock.now(), &upstream.options);
        let rules = Rules { mode: options.mode, options: &options.preload, now, is_down: upstream.health.is_down() };
        let state = self.state.lock();
        let listing = *self.met.lock();
        let plan = &state.plan;
        let due = due::due(options.mode, &options.preload, plan.last(), now);
        let rate = plan.rate.per_second();
        let round = |track| plan.round(track).map(|round| show_round(&state, shared, round, track, rate, listing));
        let ready_by = options.preload.ready_by.as_ref().map(|ready_by| ReadyByStatus {
            text: ready_by.text().to_owned(),
            deadline: ready_by.deadline().next(now),
            outlook: plan.outlook.map_or("unknown", outlook_name),
            is_late: plan.is_late(),
        });
        PreloadStatus {
            upstream: options.name.clone(),
            mount: options.mount.clone(),
            mode: options.mode,
            state: what_it_does(&state, &rules, due),
            schedule: options.preload.schedule.texts().to_vec(),
            ready_by,
            next: match due {
                Due::Nothing(until) => until,
                Due::Round(_) | Due::GoOn => None,
            },
            closes: due::closes(&options.preload, now).filter(|_| options.mode.preloads()),
            bytes_per_second: rate.filter(|_| !state.going.is_empty()),
            scheduled: round(Track::Clock),
            on_demand: round(Track::Demand),
            running: state.going.values().map(|going| show_going(shared, upstream, going)).collect(),
            failures: plan.failures.iter().map(|failed| show_failed(upstream, failed)).collect(),
        }
    }
}

fn outlook_name(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Unknown => "unknown",
        Outlook::InTime => "in-time",
        Outlook::Tight => "tight",
        Outlook::Late => "late",
    }
}

fn what_it_does(state: &State, rules: &Rules<'_>, due: Due) -> PreloadState {
    let is_open = !matches!(due, Due::Nothing(_));
    let on = [(Track::Demand, true), (Track::Clock, is_open)];
    let rounds = || on.iter().filter(|(_, may)| *may).filter_map(|(track, _)| state.plan.round(*track));
    let has_work = |round: &Round| round.ended.is_none() && (round.is_listing || round.left().files > 0);
    match () {
        () if !state.going.is_empty() && rounds().any(has_work) => PreloadState::Fetching,
        () if !state.going.is_empty() => PreloadState::Finishing,
        () if rounds().any(|round| round.is_listing) => PreloadState::Listing,
        () if rounds().any(has_work) && rules.is_down => PreloadState::Unreachable,
        () if rounds().any(has_work) => PreloadState::Retrying,
        () if !rules.mode.preloads() => PreloadState::Off,
        () if rules.options.schedule.texts().is_empty() && rules.options.ready_by.is_none() => PreloadState::OnDemand,
        () => PreloadState::Waiting,
    }
}

fn show_round(
    state: &State,
    shared: &Shared,
    round: &Round,
    track: Track,
    rate: Option<u64>,
    listing: Met,
) -> PreloadRound {
    let files = |Count { files, bytes }: Count| Files { files, bytes };
    let (left, total) = (round.left(), round.total());
    // Of what is on its way, what has come.
    let of_round = || state.going.values().filter(|going| going.turn.is_of(track, round));
    let arrived: u64 = of_round().map(|going| fetched(shared, going).min(going.size.unwrap_or(u64::MAX))).sum();
    let left_bytes = left.bytes.saturating_sub(arrived);
    let needs = rate.and_then(|rate| forecast::needs(left_bytes, rate)).filter(|_| round.ended.is_none());
    let met = if round.is_listing { round.met.with(listing) } else { round.met };
    PreloadRound {
        began: round.began,
        ended: round.ended,
        is_listing: round.is_listing,
        total: files(total),
        here: files(round.here),
        fetched: files(round.fetched),
        left: Files { files: left.files, bytes: left_bytes },
        beyond: files(round.beyond),
        failed: round.failed,
        gone: round.gone,
        line_bytes: round.crossed + of_round().map(|going| going.seen).sum::<u64>(),
        seconds_left: needs.map(|needs| needs.as_secs_f64()),
        folders: met.folders,
        entries: met.entries,
        circles: met.circles,
        unreadable: met.unreadable,
        is_cut: met.is_cut,
    }
}

fn fetched(shared: &Shared, going: &Going) -> u64 {
    let flight = going.flight(shared);
    flight.and_then(|flight| flight.reader.get().map(store::Reader::fetched)).unwrap_or(0)
}

fn show_going(shared: &Shared, upstream: &Upstream, going: &Going) -> Preloading {
    let flight = going.flight(shared);
    let total = flight.as_ref().and_then(|flight| flight.reader.get()?.len());
    Preloading {
        path: super::one::full(upstream, &going.target).to_string(),
        fetched: fetched(shared, going),
        total: total.or(going.size),
        began: going.began,
        is_on_demand: going.turn.track == Track::Demand,
    }
}

fn show_failed(upstream: &Upstream, failed: &super::plan::Failed) -> PreloadedFailed {
    let below = protocol::target::Target::parse(failed.path.as_bytes());
    let path = below.map_or_else(|_| failed.path.clone(), |below| super::one::full(upstream, &below).to_string());
    PreloadedFailed { path, reason: failed.reason.clone(), at: failed.at }
}
