//! One fill: its part, its pipeline and its slot, held together, and how far it has come. Knows nothing of the store it is in.
//!
//! | from | by | to |
//! | --- | --- | --- |
//! | vacancy | `begin` | running |
//! | running | `verify`, all right | verified: readers have everything, the slot says so |
//! | running | `verify`, not right | rejected: part in quarantine, readers fail |
//! | running | `end` | suspended (a part that can be continued) or discarded |
//! | verified | `commit` | sealed: in the index; or a duplicate: dropped |
//! | verified | `drop_verified` | dropped; who reads it keeps it |
//!
//! Each arrow is taken once: [`Stage`] decides, whoever comes second does nothing. The slot is always given free before the
//! readers are told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::digest::{Digests, Md5};

use crate::part::{error::FillError, pipe::Pipe, spec::FillSpec};

/// Room kept for the directories that an object may need, and the file that describes its part.
pub(crate) const SLACK: u64 = 3 * 4096;
/// A part smaller than this is sooner fetched again than continued.
const PART_MIN: u64 = 64 << 10;
/// A fill is made continuable every so many bytes, or every so often if so many bytes came.
const CHECKPOINT_BYTES: u64 = 64 << 20;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);
const CHECKPOINT_MIN: u64 = 1 << 20;

/// How far a fill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    Verified,
    Suspended,
    Over,
}

/// One fill.
pub(crate) struct FillState {
    pub(crate) pipe: Pipe,
    /// The part file's number.
    pub(crate) id: u64,
    pub(crate) spec: FillSpec,
    /// The digest whose slot it holds, if that is known beforehand.
    pub(crate) slot: Option<Md5>,
    /// What the history is to tell of how it came.
    pub(crate) about: Mutex<Bytes>,
    stage: Mutex<Stage>,
    checkpoint: Mutex<Checkpoint>,
    /// Bytes of which the file beside the part tells; 0 if there is none. Held while that file is written.
    pub(crate) described: tokio::sync::Mutex<u64>,
}

/// When the next checkpoint is due.
struct Checkpoint {
    /// Bytes that were here in all at the one before.
    taken: u64,
    at: Instant,
    running: bool,
}

impl FillState {
    /// Running from now on.
    pub(crate) fn new(pipe: Pipe, id: u64, spec: FillSpec, slot: Option<Md5>) -> Self {
        let checkpoint = Checkpoint { taken: pipe.taken(), at: Instant::now(), running: false };
        Self {
            pipe,
            id,
            spec,
            slot,
            about: Mutex::default(),
            stage: Mutex::new(Stage::Running),
            described: tokio::sync::Mutex::new(checkpoint.taken),
            checkpoint: Mutex::new(checkpoint),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.stage.lock() == Stage::Running
    }

    pub(crate) fn is_suspended(&self) -> bool {
        *self.stage.lock() == Stage::Suspended
    }

    /// Takes the arrow out of `from`, unless somebody took one before.
    pub(crate) fn leave(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock();
        let mine = *stage == from;
        if mine {
            *stage = to;
        }
        mine
    }

    /// Whether length and digests are what they should be. All bytes must be written and hashed.
    pub(crate) fn judge(&self) -> Result<Digests, FillError> {
        let found = self.pipe.pushed();
        if let Some(expected) = self.spec.len.filter(|expected| *expected != found) {
            return Err(FillError::Length { expected, found });
        }
        let digests = self.pipe.digests();
        if self.spec.claims.refuted_by(&digests) { Err(self.refuted(&digests)) } else { Ok(digests) }
    }

    fn refuted(&self, found: &Digests) -> FillError {
        match self.spec.claims.md5 {
            Some(md5) if md5 != found.md5 => {
                FillError::Digest { claimed: format!("md5:{md5}"), found: format!("md5:{}", found.md5) }
            }
            _ => FillError::Digest {
                claimed: self.spec.claims.sha256.map_or_else(String::new, |sha256| format!("sha256:{sha256}")),
                found: format!("sha256:{}", found.sha256),
            },
        }
    }

    /// Whether its part would be continued rather than fetched again.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        !self.spec.source.is_empty() && self.pipe.taken() >= PART_MIN && self.pipe.check().is_ok()
    }

    /// The name under which a rejected part is kept: what it was claimed to be, else what was hashed of it.
    pub(crate) fn suspect(&self) -> Md5 {
        self.spec.claims.md5.unwrap_or_else(|| self.pipe.hashing.md5())
    }

    /// Whether it is time for a checkpoint. If so, it is to be followed by [`FillState::checkpoint_made`].
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        if self.spec.source.is_empty() {
            return false;
        }
        let taken = self.pipe.taken();
        let mut checkpoint = self.checkpoint.lock();
        let new = taken.saturating_sub(checkpoint.taken);
        let due = new >= CHECKPOINT_BYTES || (new >= CHECKPOINT_MIN && checkpoint.at.elapsed() >= CHECKPOINT_AFTER);
        if !due || checkpoint.running {
            return false;
        }
        *checkpoint = Checkpoint { taken, at: Instant::now(), running: true };
        true
    }

    /// The next one may be made when it is due.
    pub(crate) fn checkpoint_made(&self) {
        self.checkpoint.lock().running = false;
    }
}
