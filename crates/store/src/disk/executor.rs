//! The store's own executor: one thread that drives writes, syncs and commits, and a few for calls that block. Fills may
//! therefore be pushed, dropped and suspended from any runtime or none.

use std::{future::Future, io, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinHandle,
};

/// Blocking calls at a time: renames and directory syncs of commits, evictions, a compaction.
const BLOCKING_MAX: usize = 16;

/// The executor. Dropping it drops what still runs there, at its next await.
pub(crate) struct Executor {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Executor {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .thread_name("store-blocking")
            .max_blocking_threads(BLOCKING_MAX)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("store-io".into()).spawn(move || {
            // Ends with an error when the sender is dropped, which is the signal.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Runs what blocks. `None` if the executor is gone.
    pub(crate) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.handle.spawn_blocking(work).await.ok()
    }

    /// The same without waiting for it.
    pub(crate) fn detach(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.handle.spawn_blocking(work));
    }
}
