//! Does what the origin orders, and knows how far each order is. Nothing of it is kept over an end of the program: what has not ended is ordered again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{
    enrolment::{Order, OrderState, Stage, Update},
    jobs::State,
    membership::{Given, Ledger},
    plain::shortened,
};
use tokio::task::JoinSet;

use super::downloads::Downloads;
use crate::{
    decide::jobs::plan::Stopped,
    jobs::{
        bringing::{Thing, bring},
        keeper::Jobs,
        listing::{Listed, list},
    },
};

/// Orders that are done at once; others wait.
const RUNNING_MAX: usize = 4;

/// All that were given.
#[derive(Default)]
pub(crate) struct Orders {
    pub(super) ledger: Ledger,
    /// At most as many as the ledger has open.
    waiting: VecDeque<Order>,
    running: BTreeMap<u64, Arc<Progress>>,
    ends: JoinSet<OrderState>,
}

/// Bytes that are here, and bytes in all.
#[derive(Default)]
struct Progress {
    fetched: AtomicU64,
    total: AtomicU64,
}

impl Orders {
    /// One came.
    pub(super) fn give(&mut self, order: Order) {
        let id = order.id;
        match self.ledger.give(id) {
            Given::New => {
                tracing::info!(order = id, "the origin has ordered something: {}", what(&order.update));
                self.waiting.push_back(order);
            }
            Given::Known => {}
            Given::TooMany => {
                tracing::warn!(order = id, "the origin has ordered more than can wait, and this order has failed");
            }
        }
    }

    /// Begins what may begin now.
    pub(super) fn begin(&mut self, downloads: &Arc<Downloads>, jobs: &Arc<Jobs>) {
        while self.running.len() < RUNNING_MAX
            && let Some(order) = self.waiting.pop_front()
        {
            let (progress, id) = (Arc::<Progress>::default(), order.id);
            self.running.insert(id, progress.clone());
            self.ledger.is_at(progress.state(id, Stage::Running, ""));
            let (downloads, jobs) = (downloads.clone(), jobs.clone());
            self.ends.spawn(async move {
                match carry_out(&order.update, &downloads, &jobs, &progress).await {
                    Ok(()) => progress.state(id, Stage::Done, ""),
                    Err(why) => progress.state(id, Stage::Failed, &why),
                }
            });
        }
    }

    /// Waits until one has ended. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self) {
        let Some(ended) = self.ends.join_next().await else { return std::future::pending().await };
        // Who waits for an end neither panics nor is aborted.
        let Ok(ended) = ended else { return };
        self.running.remove(&ended.id);
        let OrderState { id, fetched, detail, .. } = &ended;
        match ended.state {
            Stage::Done => tracing::info!(order = id, bytes = fetched, "what the origin has ordered is here"),
            _ => tracing::warn!(order = id, bytes = fetched, "what the origin has ordered is not all here: {detail}"),
        }
        self.ledger.is_at(ended);
    }

    /// What a report tells.
    pub(super) fn told_of(&mut self) -> Vec<OrderState> {
        for (id, progress) in &self.running {
            self.ledger.is_at(progress.state(*id, Stage::Running, ""));
        }
        self.ledger.to_tell()
    }
}

impl Progress {
    fn state(&self, id: u64, state: Stage, detail: &str) -> OrderState {
        let [fetched, total] = [&self.fetched, &self.total].map(|count| count.load(Ordering::Relaxed));
        OrderState { id, state, fetched, total, detail: shortened(detail) }
    }
}

async fn carry_out(
    update: &Update,
    downloads: &Arc<Downloads>,
    jobs: &Arc<Jobs>,
    progress: &Progress,
) -> Result<(), String> {
    match update {
        Update::Everything => {
            let states = jobs.run_now().await;
            let failed = states.iter().find(|state| state.state != State::Installed);
            failed.map_or(Ok(()), |state| {
                Err(format!("the job {} is {}: {}", state.name, state.state.name(), state.detail))
            })
        }
        Update::Path(path) => {
            let things = things(path, downloads).await?;
            bring_all(things, downloads, progress).await?;
            jobs.changed(path);
            Ok(())
        }
        Update::Contents(contents) => {
            let thing = |content: &protocol::enrolment::Content| Thing {
                path: content.path.clone(),
                md5: Some(content.md5),
                sha256: None,
                size: None,
            };
            bring_all(contents.iter().map(thing).collect(), downloads, progress).await
        }
    }
}

/// What there is at a path: a file, or all files of a package.
async fn things(path: &str, downloads: &Arc<Downloads>) -> Result<Vec<Thing>, String> {
    if !path.ends_with('/') {
        return Ok(vec![Thing { path: path.into(), md5: None, sha256: None, size: None }]);
    }
    protocol::jobs::check_package(path).map_err(|bad| bad.to_string())?;
    match list(&downloads.ways().finder, path, None).await {
        Listed::Tree(_, tree, _) => Ok(tree.files().map(|(_, entry)| Thing::from(entry)).collect()),
        Listed::Unfit(why) => Err(why.to_string()),
        Listed::Same | Listed::Absent => {
            Err(format!("the origin has no package {path}; agents bring files and packages"))
        }
        Listed::Nobody | Listed::Changing => Err(format!("the origin does not tell now what {path} has")),
    }
}

async fn bring_all(things: Vec<Thing>, downloads: &Arc<Downloads>, progress: &Progress) -> Result<(), String> {
    let total = things.iter().filter_map(|thing| thing.size).sum();
    progress.total.store(total, Ordering::Relaxed);
    let (mut failed, mut reason, of) = (0u64, None, things.len());
    for thing in things {
        match bring(downloads, &thing).await {
            Ok((_, size)) => {
                let fetched = progress.fetched.fetch_add(size, Ordering::Relaxed) + size;
                progress.total.fetch_max(fetched, Ordering::Relaxed);
            }
            Err(Stopped::Waiting(why) | Stopped::Failed(why) | Stopped::Preload(why, _)) => {
                failed += 1;
                reason.get_or_insert(why);
            }
        }
    }
    reason.map_or(Ok(()), |why| Err(format!("{failed} of {of} failed: {why}")))
}

fn what(update: &Update) -> String {
    match update {
        Update::Everything => "all jobs".into(),
        Update::Path(path) => path.escape_debug().to_string(),
        Update::Contents(contents) => format!("{} contents", contents.len()),
    }
}
