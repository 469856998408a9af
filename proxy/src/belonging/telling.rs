//! Reports: everything at first, in pages, then what came and went.

use std::time::Duration;

use http::Method;
use protocol::{
    digest::Md5,
    info::REPORTS,
    membership::Meaning,
    report::{HOLDS_MAX, PAGE_MAX, REFUSED_MAX, Reported},
};
use store::Changed;

use super::{
    advertise::{self, Listening},
    called::{Called, read},
    holding::Holding,
    member::{Member, now, wall},
    report,
    status::seconds,
};
use crate::app::Parts;

/// Between two reports, whatever the origin says.
const NEXT_IN: std::ops::RangeInclusive<u64> = 1..=86_400;
/// While an order is being done, so that somebody can see it move.
const BUSY_EVERY: Duration = Duration::from_secs(5);

/// What one report tells of that.
enum Part {
    /// A page, the first one or a later one, and where the next begins.
    Page(Vec<Md5>, Option<Md5>),
    Changes(Changed),
}

impl Member {
    /// One report, and what follows from its answer.
    pub(super) async fn tell(&mut self) {
        let app = self.app.clone();
        let Some(parts) = app.parts() else { return };
        let part = self.part(parts).await;
        let (holds, dropped) = match &part {
            Part::Page(md5s, _) => (md5s.clone(), Vec::new()),
            Part::Changes(changed) => (changed.came.clone(), changed.gone.clone()),
        };
        let mut report = report::frame(&app, parts, &self.identity.node, &mut self.before);
        (report.sequence, report.full) = (self.numbering.next(), self.numbering.is_full());
        (report.holds, report.dropped) = (holds, dropped);
        report.url = self.url().await;
        report.fetching = report::fetching(&parts.cache.fills(), self.orders.missing());
        report.orders = self.orders.told_of();
        report.refused = report::left_out(&app);
        report.refused.extend(self.refusal());
        report.refused.truncate(REFUSED_MAX);
        let body = serde_json::to_vec(&report).unwrap_or_default();
        let called = Called::of(self.link.call(Method::POST, REPORTS, body.into()).await);
        app.belonging.lock().url = report.url;
        match called {
            Called::Answered(Meaning::Taken, body, _) => match read::<Reported>(&body) {
                Ok(reported) => {
                    self.orders.ledger.told(&report.orders);
                    self.was_heard(part, reported);
                }
                Err(reason) => self.was_not_heard(part, Some(reason), None),
            },
            Called::Answered(Meaning::Unknown, _, told) => {
                self.was_not_heard(part, None, None);
                self.standing.answered(Meaning::Unknown);
                self.is_unknown(&told);
            }
            Called::Answered(Meaning::NoInterface, ..) => {
                // Another origin than the one that gave the configuration: it is asked who it is.
                self.was_not_heard(part, None, None);
                self.asking.more(now());
            }
            Called::Answered(Meaning::TooLarge, _, told) => {
                self.was_not_heard(part, Some(told), None);
                self.numbering.begin_anew();
                self.holding.page = None;
            }
            Called::Answered(_, _, told) => self.was_not_heard(part, Some(told), None),
            Called::Silent(reason, retry_after) => self.was_not_heard(part, Some(reason), retry_after),
        }
    }

    async fn part(&mut self, parts: &Parts) -> Part {
        if !self.numbering.is_full() && self.holding.page.is_none() {
            match self.watch.take(PAGE_MAX) {
                Some(changed) => return Part::Changes(self.fitting(changed)),
                None => self.numbering.begin_anew(),
            }
        }
        if self.numbering.is_full() {
            self.holding = Holding { is_cut: self.holding.is_cut, ..Holding::default() };
            self.watch.begin_anew();
        }
        let (store, cursor) = (parts.store.clone(), self.holding.page);
        let room = HOLDS_MAX - (self.holding.told as usize).min(HOLDS_MAX);
        // Of a large cache that was just opened it waits for the disk.
        let listed = tokio::task::spawn_blocking(move || store.objects(cursor, PAGE_MAX.min(room))).await;
        let listed = listed.unwrap_or_default();
        let next = listed.next.filter(|_| room > PAGE_MAX);
        if listed.next.is_some() && next.is_none() {
            self.is_cut();
        }
        Part::Page(listed.objects.into_iter().map(|object| object.md5).collect(), next)
    }

    /// What the origin still takes of it.
    fn fitting(&mut self, mut changed: Changed) -> Changed {
        let room = HOLDS_MAX.saturating_sub(self.holding.told as usize) + changed.gone.len();
        if changed.came.len() > room {
            changed.came.truncate(room);
            self.is_cut();
        }
        changed
    }

    fn is_cut(&mut self) {
        if !std::mem::replace(&mut self.holding.is_cut, true) {
            tracing::warn!("more contents are here than an origin takes from one proxy: it is told of {HOLDS_MAX}");
        }
    }

    fn was_heard(&mut self, part: Part, reported: Reported) {
        self.has_none();
        self.numbering.answered(reported.full);
        let more = match part {
            _ if reported.full => {
                self.holding.page = None;
                true
            }
            Part::Page(md5s, next) => {
                self.holding.told += md5s.len() as u64;
                self.holding.page = next;
                next.is_some()
            }
            Part::Changes(Changed { came, gone, more }) => {
                self.holding.told = (self.holding.told + came.len() as u64).saturating_sub(gone.len() as u64);
                more
            }
        };
        let every = self.every(&reported);
        match more {
            // Who is asked for everything again and again does not answer in a tight loop.
            true if reported.full => {
                self.telling.done(now(), every);
                self.telling.soon(now());
            }
            true => self.telling.more(now()),
            false => self.telling.done(now(), every),
        }
        let mut status = self.app.belonging.lock();
        status.reports.sent += 1;
        status.reports.holds = self.holding.told;
        status.reports.last = Some(seconds(wall()));
    }

    fn every(&self, reported: &Reported) -> Duration {
        let said = self.options().report_every;
        let next_in = Duration::from_secs(reported.next_in.clamp(*NEXT_IN.start(), *NEXT_IN.end()));
        let every = if said.is_zero() { next_in } else { said };
        if self.orders.is_busy() { every.min(BUSY_EVERY) } else { every }
    }

    fn was_not_heard(&mut self, part: Part, trouble: Option<String>, retry_after: Option<Duration>) {
        if let Part::Changes(changed) = &part {
            self.watch.put_back(changed);
        }
        self.app.belonging.lock().reports.failed += 1;
        match retry_after {
            Some(retry_after) => self.telling.busy(now(), retry_after),
            None => self.telling.failed(now()),
        }
        trouble.into_iter().for_each(|trouble| self.has_trouble(trouble));
    }

    /// Where others reach this proxy.
    pub(super) async fn url(&self) -> Option<String> {
        let parts = self.app.parts()?;
        let listening = Listening { plain: parts.server.addresses(), tls: parts.server.tls_addresses() };
        advertise::url(&self.options().advertise, listening, self.link.own_address().await)
    }
}
