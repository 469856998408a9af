//! Looks before a file is sent: a page that is not in memory would block the thread and every connection on it. What is missing is
//! read by the disk engine, the next window while this one is being sent.

use std::{fs::File, os::fd::AsFd, sync::Arc};

use os::engine::Engine;
use tokio::task::JoinHandle;

use crate::link::{Link, SendError};

/// So much is looked at, and read, at a time.
const WINDOW: u64 = 4 << 20;

/// What is known of one transfer's pages.
pub(super) struct Ahead<'a> {
    file: &'a Arc<File>,
    engine: &'a Engine,
    /// Bytes before this were in memory a moment ago.
    clear: u64,
    /// A window that is being read, by its end.
    reading: Option<(u64, JoinHandle<()>)>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(file: &'a Arc<File>, engine: &'a Engine) -> Self {
        Self { file, engine, clear: 0, reading: None }
    }

    /// Waits until bytes from `position` are in memory; answers up to where, at most `until`. What is in the output buffer is
    /// sent before a wait.
    pub(super) async fn clear(&mut self, link: &mut Link, position: u64, until: u64) -> Result<u64, SendError> {
        if position < self.clear {
            return Ok(self.clear.min(until));
        }
        if let Some((end, reading)) = self.reading.take()
            && end > position
        {
            link.send_output().await?;
            // A read that failed is not repeated here: `sendfile` meets the same error and tells it.
            let _ = link.wait_for_disk(reading).await?;
            self.clear = end;
            self.begin_next(link, until);
            return Ok(end.min(until));
        }
        let end = until.min(position + WINDOW);
        if !is_resident(self.file, position, end) {
            link.worker().count_cold_read();
            link.send_output().await?;
            let read = self.engine.read_ahead(self.file.clone(), position, end - position);
            if let Err(error) = link.wait_for_disk(read).await? {
                tracing::debug!(%error, "reading ahead failed");
            }
            self.clear = end;
            self.begin_next(link, until);
        }
        self.clear = end;
        Ok(end)
    }

    /// A transfer that met a cold window will meet the next: the disk works on it while this one is sent.
    fn begin_next(&mut self, link: &Link, until: u64) {
        let (position, end) = (self.clear, until.min(self.clear + WINDOW));
        if position >= end || is_resident(self.file, position, end) {
            return;
        }
        link.worker().count_cold_read();
        let (file, engine) = (self.file.clone(), self.engine.clone());
        let reading = tokio::task::spawn_local(async move {
            if let Err(error) = engine.read_ahead(file, position, end - position).await {
                tracing::debug!(%error, "reading ahead failed");
            }
        });
        self.reading = Some((end, reading));
    }
}

/// Where nobody can say, it is sent as it is.
fn is_resident(file: &File, position: u64, end: u64) -> bool {
    os::residency::is_resident(file.as_fd(), position, end - position).unwrap_or(true)
}
