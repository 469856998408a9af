//! Threads with a runtime of their own: the acceptor's and the workers'. What they do is theirs.

use std::io;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Threads that may wait for a share's file system, per runtime.
const BLOCKING_THREADS_MAX: usize = 32;
/// A task that another thread woke is taken up before every so many others. Followers of a fill are woken by the store: at tokio's 31 the
/// last of 100 had its first byte after a second, for those who had theirs kept the thread busy.
const WOKEN_ELSEWHERE_EVERY: u32 = 3;

/// Starts a thread. Its runtime is made before anybody relies on it: an error says that the system has no more to give.
pub(crate) fn spawn(name: String, body: impl FnOnce(LocalRuntime) + Send + 'static) -> io::Result<()> {
    let (made, is_made) = std::sync::mpsc::sync_channel(1);
    let started = std::thread::Builder::new().name(name).spawn(move || match runtime() {
        Ok(runtime) => {
            let _ = made.send(Ok(()));
            body(runtime);
        }
        Err(error) => _ = made.send(Err(error)),
    });
    let made = started.and_then(|_| is_made.recv().map_err(io::Error::other)?);
    made.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot start the serving threads: {error}; raise the limit of processes"))
    })
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .global_queue_interval(WOKEN_ELSEWHERE_EVERY)
        .build_local(LocalOptions::default())
}
