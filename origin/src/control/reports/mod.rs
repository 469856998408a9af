//! `POST /.outpost/v1/reports`: what somebody holds, and how it is. `pace` says how often one may, `check` what is believed; the rest is the registry's.
//!
//! A report of a few hundred digests is taken where it arrives, in less time than to hand it to another thread; larger ones on a thread that may take long, and only
//! so many at once.

mod check;
mod pace;

use std::{
    net::IpAddr,
    sync::atomic::Ordering,
    time::{Instant, SystemTime},
};

use protocol::{
    problem::Kind,
    report::{REPORT_BYTES_MAX, Report, Reported},
    topology::Topology,
};
use serve::{
    handler::Answer,
    request::{Announced, Request},
    response::Response,
};
use tokio::sync::Semaphore;

use self::check::{check, is_own};
pub(crate) use self::pace::Pace;
use super::{Asker, Control, body};
use crate::{answer, registry::NotTaken};

/// A report of at most so many bytes is taken where it arrives.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// Larger ones at once: so many times [`REPORT_BYTES_MAX`] of memory.
const LARGE_MAX: usize = 24;
/// Seconds after which one comes again for whose report there is no room.
const LARGE_RETRY_AFTER: u64 = 10;
/// Likewise where the registry is as large as it may be.
const FULL_RETRY_AFTER: u64 = 600;

/// Places for large reports.
pub(super) fn places() -> Semaphore {
    Semaphore::new(LARGE_MAX)
}

/// The answer, when the report has come.
pub(super) fn answer(control: &Control, asker: Asker, request: &Request<'_>) -> Answer {
    let name = asker.node.clone().unwrap_or_else(|| asker.address.to_string());
    if let Err(wait) = control.pace.lock().take(&name, Instant::now()) {
        control.reports.refused.fetch_add(1, Ordering::Relaxed);
        let seconds = wait.as_secs() + 1;
        let detail = format!("this node reports more often than it is asked to; come again in {seconds} s");
        return Answer::Now(answer::problem_for_now(Kind::Overloaded, detail, seconds));
    }
    let announced = match request.body {
        Announced::None => 0,
        Announced::Length(len) => len,
        Announced::Unknown => REPORT_BYTES_MAX as u64,
    };
    if announced > REPORT_BYTES_MAX as u64 {
        return Answer::Now(body::too_large(REPORT_BYTES_MAX));
    }
    let control = control.clone();
    if announced <= SMALL_BYTES_MAX as u64 {
        return Answer::reads(move |upload| async move {
            let body = body::read(upload, SMALL_BYTES_MAX).await;
            body.map_or_else(|refused| refused, |body| take(&control, &asker, &body))
        });
    }
    let Ok(place) = control.large_reports.clone().try_acquire_owned() else {
        let detail = "this server takes as many large reports as it can; come again later";
        return Answer::Now(answer::problem_for_now(Kind::Overloaded, detail, LARGE_RETRY_AFTER));
    };
    Answer::reads(move |upload| async move {
        match body::read(upload, REPORT_BYTES_MAX).await {
            Err(refused) => refused,
            Ok(body) => {
                let working = move |control: Control| {
                    let _place = place;
                    take(&control, &asker, &body)
                };
                control.aside(working).await
            }
        }
    })
}

/// Of a whole report.
fn take(control: &Control, asker: &Asker, body: &[u8]) -> Response {
    let mut report: Report = match serde_json::from_slice(body) {
        Ok(report) => report,
        Err(error) => return body::not_valid(&error),
    };
    if let Err(unfit) = check(&report, asker.node.as_deref()) {
        control.reports.refused.fetch_add(1, Ordering::Relaxed);
        let kind = match &unfit {
            unfit if unfit.is_too_large() => Kind::ContentTooLarge,
            unfit if unfit.is_of_another() => Kind::NotAllowed,
            _ => Kind::BadRequest,
        };
        return answer::problem(kind, unfit.to_string());
    }
    let site = control.site.load();
    let url_refused = !keep_own_url(control, &site.topology, &mut report, asker.address);
    take_orders(control, &mut report);
    let domain = site.topology.home_of(&report.node).or(asker.domain.as_ref());
    match control.registry.report(&report, domain, site.intervals, SystemTime::now()) {
        Ok(reported) => answer::json(&Reported { url_refused, ..reported }),
        Err(NotTaken::HoldsTooMuch) => answer::problem(Kind::ContentTooLarge, NotTaken::HoldsTooMuch.to_string()),
        Err(full) => answer::problem_for_now(Kind::Overloaded, full.to_string(), FULL_RETRY_AFTER),
    }
}

/// How far the orders of the node are. Their ends are written down aside: this may be a thread that must not wait for a disk.
fn take_orders(control: &Control, report: &mut Report) {
    let states = std::mem::take(&mut report.orders);
    if !states.is_empty() {
        let (orders, node) = (control.orders.clone(), report.node.clone());
        control.runtime.spawn_blocking(move || orders.reported(&node, &states, SystemTime::now()));
    }
}

/// Takes the URL out of a report if it leads elsewhere than to who sent it; answers whether it may stay.
fn keep_own_url(control: &Control, topology: &Topology, report: &mut Report, address: IpAddr) -> bool {
    let Some(url) = &report.url else { return true };
    let home = topology.home_of(&report.node).and_then(|home| topology.domain(home));
    let known = home.and_then(|home| home.proxies.iter().find(|proxy| proxy.name == report.node));
    if is_own(url, address, known.map(|proxy| proxy.url.as_str())) {
        return true;
    }
    control.reports.urls_refused.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(node = report.node, url, %address, "a URL is not at the address that reports it");
    report.url = None;
    false
}
