//! Looks before a file is sent: a page that is not in memory would block the thread and every connection on it. What is missing is
//! read by the disk engine, the next window while this one is being sent.

use std::{fs::File, os::fd::AsFd, sync::Arc};

use os::engine::Engine;
use tokio::task::JoinHandle;

use crate::{
    link::{Link, SendError},
    worker::Worker,
};

/// So much is looked at, and read, at a time.
const WINDOW: u64 = 4 << 20;

/// What is known of one transfer's pages.
pub(super) struct Ahead {
    file: Arc<File>,
    engine: Engine,
    /// Bytes before this were in memory a moment ago.
    clear: u64,
    /// A window that is being read, by its end.
    reading: Option<(u64, JoinHandle<()>)>,
}

/// What a look finds.
pub(super) enum Look {
    /// Bytes are in memory up to here.
    Clear(u64),
    /// They will be, when this is over; then it is to be told by [`Ahead::arrived`]. A read that failed is not repeated: who sends meets the same error and
    /// tells it.
    Cold(u64, JoinHandle<()>),
}

impl Ahead {
    pub(super) fn new(file: &Arc<File>, engine: &Engine) -> Self {
        Self { file: file.clone(), engine: engine.clone(), clear: 0, reading: None }
    }

    /// Waits until bytes from `position` are in memory; answers up to where, at most `until`. What is in the output buffer is
    /// sent before a wait.
    pub(super) async fn clear(&mut self, link: &mut Link, position: u64, until: u64) -> Result<u64, SendError> {
        match self.look(link.worker(), position, until) {
            Look::Clear(end) => Ok(end),
            Look::Cold(end, reading) => {
                link.send_output().await?;
                let _ = link.wait_for_disk(reading).await?;
                self.arrived(link.worker(), end, until);
                Ok(end.min(until))
            }
        }
    }

    /// Looks at the window that begins at `position`, which is below `until`.
    pub(super) fn look(&mut self, worker: &Worker, position: u64, until: u64) -> Look {
        if position < self.clear {
            return Look::Clear(self.clear.min(until));
        }
        if let Some((end, reading)) = self.reading.take()
            && end > position
        {
            return Look::Cold(end, reading);
        }
        let end = until.min(position + WINDOW);
        if is_resident(&self.file, position, end) {
            self.clear = end;
            return Look::Clear(end);
        }
        Look::Cold(end, self.read(worker, position, end))
    }

    /// A cold window has come in. A transfer that met one will meet the next: the disk works on it while this one is sent.
    pub(super) fn arrived(&mut self, worker: &Worker, end: u64, until: u64) {
        self.clear = end;
        let (position, end) = (end, until.min(end + WINDOW));
        if position < end && !is_resident(&self.file, position, end) {
            self.reading = Some((end, self.read(worker, position, end)));
        }
    }

    fn read(&self, worker: &Worker, position: u64, end: u64) -> JoinHandle<()> {
        worker.count_cold_read();
        let (file, engine) = (self.file.clone(), self.engine.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = engine.read_ahead(file, position, end - position).await {
                tracing::debug!(%error, "reading ahead failed");
            }
        })
    }
}

/// Where nobody can say, it is sent as it is.
fn is_resident(file: &File, position: u64, end: u64) -> bool {
    os::residency::is_resident(file.as_fd(), position, end - position).unwrap_or(true)
}
