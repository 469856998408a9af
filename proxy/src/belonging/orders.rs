//! Does what the origin orders, a few orders at a time, and knows how far each is.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use cache::{Cache, preload::Errand};
use protocol::{
    enrolment::{Content, Order, OrderState, Stage},
    membership::{Given, Ledger},
    plain::shortened,
};
use tokio::task::JoinSet;

/// Orders that are done at once; others wait.
const RUNNING_MAX: usize = 4;
/// Orders that have ended, of which people are told.
const SHOWN_MAX: usize = 20;

/// All that were given.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) ledger: Ledger,
    /// At most as many as the ledger has open.
    waiting: VecDeque<Order>,
    running: BTreeMap<u64, Arc<Errand>>,
    ends: JoinSet<u64>,
}

impl Orders {
    /// One came. `true` if there is something to tell of it.
    pub(super) fn give(&mut self, order: Order) -> bool {
        let id = order.id;
        match self.ledger.give(id) {
            Given::New => {
                tracing::info!(order = id, "the origin has ordered something: {}", what(&order));
                self.waiting.push_back(order);
                true
            }
            Given::Known => true,
            Given::TooMany => {
                tracing::warn!(order = id, "the origin has ordered more than can wait, and this order has failed");
                true
            }
        }
    }

    /// Begins what may begin now.
    pub(super) fn begin(&mut self, cache: &Cache, upstream: &str) {
        while self.running.len() < RUNNING_MAX
            && let Some(order) = self.waiting.pop_front()
        {
            match cache.errand(upstream, &order.update) {
                Ok(errand) => {
                    let (errand, id) = (Arc::new(errand), order.id);
                    self.running.insert(id, errand.clone());
                    self.ledger.is_at(state(id, Stage::Running, &errand));
                    self.ends.spawn(async move {
                        errand.ended().await;
                        id
                    });
                }
                Err(error) => {
                    let detail = error.to_string();
                    tracing::warn!(order = order.id, "what the origin has ordered cannot be done: {detail}");
                    let ended = OrderState { id: order.id, state: Stage::Failed, fetched: 0, total: 0, detail };
                    self.ledger.is_at(ended);
                }
            }
        }
    }

    /// Waits until one has ended. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self) {
        let Some(ended) = self.ends.join_next().await else { return std::future::pending().await };
        // Who waits for an end neither panics nor is aborted.
        let Ok(id) = ended else { return };
        let Some(errand) = self.running.remove(&id) else { return };
        let failed = errand.progress().failed > 0;
        let ended = state(id, if failed { Stage::Failed } else { Stage::Done }, &errand);
        let OrderState { fetched: bytes, detail, .. } = &ended;
        match failed {
            false => tracing::info!(order = id, bytes, "what the origin has ordered is here"),
            true => tracing::warn!(order = id, bytes, "what the origin has ordered is not all here: {detail}"),
        }
        self.ledger.is_at(ended);
    }

    /// What a report tells.
    pub(super) fn told_of(&mut self) -> Vec<OrderState> {
        self.look();
        self.ledger.to_tell()
    }

    /// For people.
    pub(super) fn shown(&mut self) -> Vec<OrderState> {
        self.look();
        self.ledger.open().chain(self.ledger.ended().take(SHOWN_MAX)).cloned().collect()
    }

    fn look(&mut self) {
        for (id, errand) in &self.running {
            self.ledger.is_at(state(*id, Stage::Running, errand));
        }
    }

    /// Contents that are ordered and not here, with the seconds until all of their order is.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&Content, Option<f64>)> {
        self.running.values().flat_map(|errand| {
            let left = errand.progress().seconds_left;
            errand.missing().map(move |content| (content, left))
        })
    }

    /// Whether something is being done.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }
}

fn state(id: u64, stage: Stage, errand: &Errand) -> OrderState {
    let progress = errand.progress();
    let reason = progress.reason.filter(|_| progress.failed > 0);
    let detail = reason.map(|reason| format!("{} of {} failed: {reason}", progress.failed, progress.files.max(1)));
    let detail = shortened(&detail.unwrap_or_default());
    OrderState { id, state: stage, fetched: progress.fetched, total: progress.total, detail }
}

fn what(order: &Order) -> String {
    use protocol::enrolment::Update;
    match &order.update {
        Update::Everything => "all that is preloaded".into(),
        Update::Path(path) => path.clone(),
        Update::Contents(contents) => {
            format!("{} that others wait for", crate::banner::counted(contents.len() as u64, "content"))
        }
    }
}
