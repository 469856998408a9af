//! The threads that hash: all cores but one, and they give way to whoever else wants the processor or the disk. What they have hashed is
//! committed beside, a few at a time, so that nobody waits for a sync while there is something to hash.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use cache::Cache;
use crossbeam_channel::{Sender, bounded};
use store::Store;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::job::{Job, State, Status};

/// Pieces of work that wait for a thread.
const QUEUE_MAX: usize = 64;
/// Commits under way.
const COMMITS_MAX: usize = 16;

/// What every work needs.
#[derive(Clone)]
pub struct Context {
    /// Where it goes, or comes from.
    pub store: Store,
    /// Who knows what names stand for.
    pub cache: Cache,
    /// Where commits are waited for.
    pub runtime: Handle,
}

/// A work with its means.
pub(crate) struct Work {
    pub(crate) context: Context,
    pub(crate) job: Arc<Job>,
    commits: Arc<Semaphore>,
}

impl Work {
    pub(crate) fn new(context: Context, job: Arc<Job>) -> Arc<Self> {
        Arc::new(Self { context, job, commits: Arc::new(Semaphore::new(COMMITS_MAX)) })
    }

    /// Waits for something of the store's, on a thread that may.
    pub(crate) fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.context.runtime.block_on(future)
    }

    /// A place for a commit; it is given back with the permit.
    pub(crate) fn commit_place(&self) -> Option<OwnedSemaphorePermit> {
        self.wait_for(self.commits.clone().acquire_owned()).ok()
    }

    /// Waits until all commits have ended.
    fn until_committed(&self) {
        drop(self.wait_for(self.commits.acquire_many(COMMITS_MAX as u32)));
    }
}

/// The threads.
pub(crate) struct Crew<T> {
    sender: Sender<T>,
    threads: Vec<JoinHandle<()>>,
    work: Arc<Work>,
}

impl<T: Send + 'static> Crew<T> {
    /// All of them do `each`.
    pub(crate) fn start(work: &Arc<Work>, each: fn(&Arc<Work>, T)) -> io::Result<Self> {
        let (sender, receiver) = bounded(QUEUE_MAX);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        for number in 1..cores.max(2) {
            let (work, receiver) = (work.clone(), receiver.clone());
            threads.push(thread::Builder::new().name(format!("import-{number}")).spawn(move || {
                give_way();
                receiver.iter().for_each(|piece| each(&work, piece));
            })?);
        }
        Ok(Self { sender, threads, work: work.clone() })
    }

    /// Waits for a place in the queue. `false` if the work is to stop, or the threads are gone.
    pub(crate) fn send(&self, piece: T) -> bool {
        !self.work.job.is_stopped() && self.sender.send(piece).is_ok()
    }

    /// Waits until everything is done. `false` if a thread did not come to its end.
    pub(crate) fn finish(self) -> bool {
        drop(self.sender);
        let ended = self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        self.work.until_committed();
        ended == 0
    }
}

/// Runs a work on a thread of its own, and tells the job how it ended.
pub(crate) fn run(
    work: &Arc<Work>,
    does: impl FnOnce(&Arc<Work>) -> Result<Option<String>, String> + Send + 'static,
) -> io::Result<()> {
    let work = work.clone();
    let spawned = thread::Builder::new().name("import".into()).spawn(move || {
        give_way();
        // Whatever happens, who waits for the end is told of it.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| does(&work)));
        work.job.end(ended.unwrap_or_else(|_| Err("a fault of the program ended it; its log says more".into())));
        tell_end(&work.job);
    });
    spawned.map(drop)
}

fn tell_end(job: &Job) {
    let Status { subject, state, detail, known, moved, linked, copied, skipped, no_room, failed, seconds, .. } =
        job.status();
    let came = moved + linked + copied;
    match (state, detail) {
        (State::Failed, Some(error)) => tracing::warn!(subject, %error, "an import or export failed"),
        (State::Stopped, _) => {
            tracing::info!(subject, came, known, "an import or export was stopped; begun again, it goes on there")
        }
        _ if failed + no_room > 0 => {
            tracing::warn!(
                subject,
                came,
                known,
                skipped,
                no_room,
                failed,
                seconds,
                "an import or export is done, but not all of it could be taken"
            );
        }
        _ => tracing::info!(subject, came, known, skipped, seconds, "an import or export is done"),
    }
}

fn give_way() {
    if let Err(error) = os::priority::give_way() {
        tracing::debug!(%error, "a thread that imports cannot be given the least priority");
    }
}
