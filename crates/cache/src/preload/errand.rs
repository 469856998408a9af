//! An errand: what an origin orders to be brought here now, for who wants to know how far it is. Each has plans of its own, one for each upstream, beside
//! those that go by the clock, and does with them what the [runner](super::runner) does with any. A content that no name has brought is asked for by its digest.
//!
//! | an errand | ends |
//! | --- | --- |
//! | with files that come, or are here | when each has come or was given up |
//! | of an upstream that is moved or taken out meanwhile | then, and has failed |
//! | that nobody looks at any more | all the same when it is done |

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use protocol::{
    digest::Md5,
    enrolment::{Content, Update},
    target::Target,
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    demand::{self, Demand, DemandError, Task, Wanted},
    one,
    plan::Became,
    queue::{Order, Want},
    runner::{self, Desk},
};
use crate::{fetch::urgency::Class, settings::Settings, shared::Shared, upstream::Upstream};

/// Something that is being brought here.
pub struct Errand {
    shared: Arc<Shared>,
    desks: Vec<Arc<Desk>>,
    contents: Vec<Content>,
    /// What could not be had by its digest, the first one.
    trouble: Arc<Mutex<Option<String>>>,
    ended: watch::Receiver<()>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Files of which something is known.
    pub files: u64,
    /// Bytes that are here.
    pub fetched: u64,
    /// Bytes in all, as far as that is known.
    pub total: u64,
    /// Seconds until all is here, at the measured rate.
    pub seconds_left: Option<f64>,
    /// Files that could not be had.
    pub failed: u64,
    /// Why not; of one of them.
    pub reason: Option<String>,
}

/// A content that is to be here, and where it is.
struct Piece {
    upstream: Arc<Upstream>,
    below: Target,
    md5: Md5,
}

impl Errand {
    /// Begins it. `origin` is the name of the upstream whose origin orders it, and paths are as that origin has them.
    pub(crate) fn begin(shared: &Arc<Shared>, origin: &str, update: &Update) -> Result<Self, DemandError> {
        let settings = shared.settings();
        let (tasks, pieces) = match update {
            Update::Everything => (everything(&settings)?, Vec::new()),
            Update::Path(path) => (folder(&settings, origin, path)?, Vec::new()),
            Update::Contents(contents) => by_digest(shared, &settings, origin, contents)?,
        };
        let contents = match update {
            Update::Contents(contents) => contents.clone(),
            Update::Everything | Update::Path(_) => Vec::new(),
        };
        let mut desks = Vec::new();
        for (name, Task { wants, scopes }) in tasks {
            let desk = Arc::new(Desk::of_errand(&name));
            if !desk.ask_for(Task { wants, scopes }, shared.clock.now()) {
                return Err(DemandError::Full);
            }
            desks.push(desk);
        }
        let (ends, ended) = watch::channel(());
        let trouble = Arc::default();
        let run = run(shared.clone(), desks.clone(), pieces, Arc::clone(&trouble));
        shared.spawn(async move {
            run.await;
            drop(ends);
        });
        Ok(Self { shared: shared.clone(), desks, contents, trouble, ended })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let settings = self.shared.settings();
        let mut all = Progress::default();
        for desk in &self.desks {
            let Some(upstream) = settings.named(desk.name()) else {
                all.fail(format!("the upstream '{}' is not there any more", desk.name()));
                continue;
            };
            let status = desk.status(&self.shared, upstream);
            let Some(round) = status.on_demand else {
                all.fail(format!("the upstream '{}' was moved to another place meanwhile", desk.name()));
                continue;
            };
            all.files += round.total.files;
            all.total += round.total.bytes;
            all.fetched += round.total.bytes.saturating_sub(round.left.bytes);
            all.seconds_left = match (all.seconds_left, round.seconds_left) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            };
            all.failed += round.failed + round.unreadable;
            let failed = status.failures.first().map(|failed| format!("{}: {}", failed.path, failed.reason));
            all.reason = all.reason.take().or(failed);
            if round.beyond.files > 0 {
                all.fail("the cache is too small for all of it".into());
            }
        }
        match (&self.contents[..], self.trouble.lock().clone()) {
            ([], _) => {}
            // What a name did not bring its digest may have brought.
            (_, None) => (all.failed, all.reason) = (0, None),
            (_, Some(trouble)) => (all.failed, all.reason) = (1, Some(trouble)),
        }
        all
    }

    /// The contents of it that are not here yet.
    pub fn missing(&self) -> impl Iterator<Item = &Content> {
        self.contents.iter().filter(|content| self.shared.store.peek(&content.md5).is_none())
    }

    /// Waits until it has ended. Dropping the future changes nothing.
    pub async fn ended(&self) {
        // Nothing is ever sent: an error is the end.
        let _ = self.ended.clone().changed().await;
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.ended.has_changed().is_err()
    }
}

impl Progress {
    fn fail(&mut self, reason: String) {
        self.failed += 1;
        self.reason.get_or_insert(reason);
    }
}

async fn run(shared: Arc<Shared>, desks: Vec<Arc<Desk>>, pieces: Vec<Piece>, trouble: Arc<Mutex<Option<String>>>) {
    let mut runners: JoinSet<()> = desks.into_iter().map(|desk| runner::run(desk, Arc::downgrade(&shared))).collect();
    while runners.join_next().await.is_some() {}
    for Piece { upstream, below, md5 } in pieces {
        if shared.store.peek(&md5).is_some() {
            continue;
        }
        let became = one::fetch_object(&shared, &upstream, &below, md5, Class::Preload).await;
        if let Some(reason) = why_not(became) {
            let told = format!("{}: {reason}", one::full(&upstream, &below));
            trouble.lock().get_or_insert(told);
        }
    }
}

fn why_not(became: Became) -> Option<String> {
    match became {
        Became::Here { .. } | Became::Fetched { .. } => None,
        Became::Gone | Became::Folder => Some("the origin has no such content".into()),
        Became::Refused(reason) | Became::Later { reason, .. } => Some(reason),
        Became::Stopped => Some("it was told to stop at its byte".into()),
    }
}

fn everything(settings: &Settings) -> Result<BTreeMap<String, Task>, DemandError> {
    demand::tasks(settings, &Demand { wanted: Wanted::Everything, upstream: None, priority: 0 })
}

fn folder(settings: &Settings, origin: &str, path: &str) -> Result<BTreeMap<String, Task>, DemandError> {
    let (upstream, below) = place(settings, origin, path)?;
    let wanted = Wanted::Paths(vec![one::full(&upstream, &below).to_string()]);
    demand::tasks(settings, &Demand { wanted, upstream: Some(upstream.options.name.clone()), priority: 0 })
}

/// Others wait for these, whatever is preloaded here: the mode has no say. Names first, so that they are known to clients who ask for them.
fn by_digest(
    shared: &Shared,
    settings: &Settings,
    origin: &str,
    contents: &[Content],
) -> Result<(BTreeMap<String, Task>, Vec<Piece>), DemandError> {
    let (mut tasks, mut pieces) = (BTreeMap::<String, Task>::new(), Vec::new());
    for content in contents.iter().filter(|content| shared.store.peek(&content.md5).is_none()) {
        let (upstream, below) = place(settings, origin, &content.path)?;
        let order = Order::new(0, usize::MAX, None, below.clone());
        let task = tasks.entry(upstream.options.name.clone()).or_default();
        task.wants.push(Want { order, size: None, tries: 0 });
        pieces.push(Piece { upstream, below, md5: content.md5 });
    }
    Ok((tasks, pieces))
}

/// Where a path of the origin is seen here: below the mount of the upstream whose origin it is, or of another one of the same origin.
fn place(settings: &Settings, origin: &str, path: &str) -> Result<(Arc<Upstream>, Target), DemandError> {
    let bad = |reason: String| DemandError::Path { path: path.to_owned(), reason };
    Target::parse(path.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let known = settings.upstreams.iter().filter(|upstream| upstream.knows_digests());
    let (own, others): (Vec<_>, Vec<_>) = known.partition(|upstream| upstream.options.name == origin);
    own.into_iter()
        .chain(others)
        .find_map(|upstream| {
            let full = Target::parse(upstream.relocate(path)?.as_bytes()).ok()?;
            let (found, below) = settings.upstream_of(&full)?;
            Arc::ptr_eq(found, upstream).then(|| (upstream.clone(), below.into_owned()))
        })
        .ok_or_else(|| DemandError::NowhereMounted { path: path.to_owned() })
}
