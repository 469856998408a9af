//! Work on the disk for one job, and what follows where it fails.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use tokio::sync::OwnedMutexGuard;

use crate::decide::jobs::plan::Stopped;

/// Works off the threads that serve. What was begun goes on if nobody waits for it any more, and holds the place meanwhile.
pub(super) async fn blocking<T: Send + 'static>(
    place: Arc<OwnedMutexGuard<()>>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Stopped> {
    let working = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    match working.await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(Stopped::Waiting("the service is stopping".into())),
    }
}

/// What a disk that does not do it means for a job.
pub(super) fn failed(error: io::Error) -> Stopped {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    Stopped::Failed(if full { format!("the disk is full: {error}") } else { format!("the disk: {error}") })
}
