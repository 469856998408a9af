//! SHA-256 of spans of a fill, read back for those who know what a span must be. One is made at a time for each fill, a block of it in memory; the last
//! few are remembered, for all of a branch ask for the same.

use std::{collections::VecDeque, fs::File, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{
    digest::{DigestsHasher, Sha256},
    span::Span,
};
use tokio::sync::{Notify, Semaphore};

use crate::{
    disk::Disk,
    part::lane::{Actor, Lanes},
    wait::until,
};

/// Bytes that are read at a time.
const READ: u64 = 1 << 20;
/// Spans whose digest is remembered: those that reach into the end of one file, as it is commonly cut.
const REMEMBERED_MAX: usize = 8;

/// Of one fill.
pub(crate) struct Proofs {
    lanes: Arc<Lanes>,
    turn: Semaphore,
    made: Mutex<VecDeque<(Span, Sha256)>>,
}

impl Proofs {
    pub(crate) fn new(lanes: Arc<Lanes>) -> Self {
        Self { lanes, turn: Semaphore::new(1), made: Mutex::default() }
    }

    /// Of bytes that are written, and will never be written again. `None` if they cannot be read. Waits for those who came before. Dropping the
    /// future gives the turn to the next.
    pub(crate) async fn sha256(&self, disk: &dyn Disk, file: &Arc<File>, span: Span) -> Option<Sha256> {
        if let Some(known) = self.known(span) {
            return Some(known);
        }
        let _turn = self.turn.acquire().await.ok()?;
        if let Some(known) = self.known(span) {
            return Some(known);
        }
        let sha256 = self.make(disk, file, span).await?;
        let mut made = self.made.lock();
        made.truncate(REMEMBERED_MAX - 1);
        made.push_front((span, sha256));
        Some(sha256)
    }

    fn known(&self, span: Span) -> Option<Sha256> {
        self.made.lock().iter().find(|(known, _)| *known == span).map(|(_, sha256)| *sha256)
    }

    async fn make(&self, disk: &dyn Disk, file: &Arc<File>, span: Span) -> Option<Sha256> {
        let moved = Arc::new(Notify::new());
        let hashing = Actor::new(DigestsHasher::default(), moved.clone());
        let mut position = span.start;
        while position < span.end {
            let want = (span.end - position).min(READ) as usize;
            let bytes = Bytes::from(disk.read(file.clone(), position, want).await.ok()?);
            if bytes.len() != want {
                return None;
            }
            position += want as u64;
            hashing.feed(bytes, &self.lanes);
            until(&moved, || (hashing.done() == position - span.start).then_some(())).await;
        }
        Some(hashing.hasher().finish().sha256)
    }
}
