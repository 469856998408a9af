//! Tells the origin what neighbours may have here: everything at first, in pages, then what came and went.

use std::time::Duration;

use protocol::{
    digest::Md5,
    enrolment::Role,
    info::REPORTS,
    membership::Meaning,
    report::{FETCHING_MAX, HOLDS_MAX, PAGE_MAX, Report, Reported},
};
use store::{Changed, Store, Watch};

use super::{
    downloads::NAMED_MAX,
    member::{Member, Talk},
    names, reach,
    sharing::Shared,
};
use crate::{
    bring::finder::now,
    decide::health::Request,
    net::{client::Ask, own_address},
};

/// Between two reports, whatever the origin says.
const NEXT_IN: std::ops::RangeInclusive<u64> = 1..=86_400;

/// What one report tells.
#[derive(Default)]
struct Part {
    holds: Vec<Md5>,
    dropped: Vec<Md5>,
    /// What of it is to be told again if it is not heard; none: everything is.
    changed: Option<(Changed, Vec<Md5>)>,
}

impl Member {
    /// One report, and what follows from its answer.
    pub(super) async fn report(&self, talk: &mut Talk, watch: &Watch) {
        let Some(part) = self.part(talk, watch).await else {
            talk.numbering.begin_anew();
            return talk.reports.more(now());
        };
        let report = self.written(talk, &part).await;
        let (orders, jobs) = (report.orders.clone(), report.jobs.clone());
        match self.ask(Request::Report, talk, |origin| Ask::post(origin, REPORTS, &report)).await {
            Ok(reported) => {
                self.was_heard(talk, &part, &reported);
                talk.orders.ledger.told(&orders);
                talk.told_jobs = jobs.or(talk.told_jobs.take());
            }
            Err(refused) => {
                match &part.changed {
                    Some((changed, named)) => {
                        watch.put_back(changed);
                        self.downloads.was_named(named.iter().copied());
                    }
                    // A page that may not have arrived: everything once more.
                    None => talk.numbering.begin_anew(),
                }
                if refused.meaning == Meaning::Unknown {
                    talk.is_unknown();
                }
                refused.hold(&mut talk.reports);
            }
        }
    }

    /// `None`: what changed is not known any more.
    async fn part(&self, talk: &mut Talk, watch: &Watch) -> Option<Part> {
        if talk.numbering.is_full() {
            watch.begin_anew();
            drop(self.downloads.take_named());
            talk.rest = self.all().await;
        }
        if talk.numbering.is_full() || !talk.rest.is_empty() {
            let holds = talk.rest.split_off(talk.rest.len().saturating_sub(PAGE_MAX));
            return Some(Part { holds, ..Part::default() });
        }
        let changed = watch.take(PAGE_MAX - NAMED_MAX)?;
        let named: Vec<Md5> = self.downloads.take_named().into_iter().collect();
        let (store, terms) = (self.downloads.store(), self.sharing().map(|sharing| sharing.terms()));
        let mut holds = changed.came.clone();
        holds.extend(named.iter().filter(|md5| !changed.came.contains(md5)));
        holds.retain(|md5| terms.as_ref().is_some_and(|terms| may_be_had(&terms.shared, store, md5)));
        Some(Part { holds, dropped: changed.gone.clone(), changed: Some((changed, named)) })
    }

    fn was_heard(&self, talk: &mut Talk, part: &Part, reported: &Reported) {
        talk.numbering.answered(reported.full);
        let said = self.renewal.settled.now().origins.report_every;
        let next_in = Duration::from_secs(reported.next_in.clamp(*NEXT_IN.start(), *NEXT_IN.end()));
        talk.reports.done(now(), if said.is_zero() { next_in } else { said });
        // Who is asked for everything again and again does not answer in a tight loop.
        match &part.changed {
            _ if reported.full => talk.reports.soon(now()),
            Some((changed, _)) if changed.more => talk.reports.more(now()),
            _ if !talk.rest.is_empty() => talk.reports.more(now()),
            _ => {}
        }
        if reported.url_refused {
            tracing::debug!(
                "the origin sends nobody here: it is reached from another address than the one that is told"
            );
        }
    }

    async fn written(&self, talk: &mut Talk, part: &Part) -> Report {
        let load = self.sharing().map_or(0, |sharing| sharing.load());
        let (generation, taken) = self.renewal.taken();
        let store = self.downloads.store().report();
        let room = store.max_size.saturating_sub(store.used);
        Report {
            node: self.name.clone(),
            role: Role::Agent,
            version: env!("CARGO_PKG_VERSION").into(),
            url: if self.sharing().is_some() { self.url().await } else { None },
            sequence: talk.numbering.next(),
            full: talk.numbering.is_full(),
            holds: part.holds.clone(),
            dropped: part.dropped.clone(),
            fetching: if self.sharing().is_some() {
                self.downloads.arrivals().fetching(FETCHING_MAX)
            } else {
                Vec::new()
            },
            load,
            free: room.min(store.disk_available.saturating_sub(store.min_free)),
            configuration: generation,
            orders: talk.orders.told_of(),
            refused: taken.refused,
            needs_restart: taken.needs_restart,
            jobs: self.jobs_to_tell(talk),
        }
    }

    /// What neighbours may have: of the rest nobody needs to know.
    async fn all(&self) -> Vec<Md5> {
        let Some(terms) = self.sharing().map(|sharing| sharing.terms()) else { return Vec::new() };
        let store = self.downloads.store().clone();
        // Of a large cache that was just opened it waits for the disk.
        tokio::task::spawn_blocking(move || all(&terms.shared, &store)).await.unwrap_or_default()
    }

    /// Where neighbours reach this machine. It may have come to another network since it was last asked.
    pub(super) async fn url(&self) -> Option<String> {
        let listens = self.shares.as_ref()?.1;
        let own = match self.local_address {
            Some(own) => Some(own),
            None => {
                let origins = self.origins.urls.clone();
                let asking = move || origins.iter().find_map(|origin| own_address::towards(origin));
                tokio::task::spawn_blocking(asking).await.unwrap_or_default()
            }
        };
        reach::url(&self.renewal.settled.now().peers.advertise, listens, own)
    }
}

fn all(shared: &Shared, store: &Store) -> Vec<Md5> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.objects(cursor, PAGE_MAX);
        all.extend(page.objects.iter().map(|info| info.md5).filter(|md5| may_be_had(shared, store, md5)));
        cursor = page.next;
        if cursor.is_none() || all.len() >= HOLDS_MAX {
            all.truncate(HOLDS_MAX);
            return all;
        }
    }
}

fn may_be_had(shared: &Shared, store: &Store, md5: &Md5) -> bool {
    let name = names::name_of(store, md5);
    store.peek(md5).is_some_and(|info| shared.has(name.as_deref(), info.size))
}
