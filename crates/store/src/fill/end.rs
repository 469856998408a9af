//! How a fill ends: verified, or suspended, discarded, rejected. Each end is reached once; the table stands in `part/state.rs`.

use protocol::digest::{Digests, Md5};

use crate::{
    fill::active::Active,
    part::{error::FillError, state::Stage},
    read::growing::ReadError,
};

/// How a fill stops before it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The part is kept if it is worth it.
    Suspend,
    /// The part is removed.
    Discard,
    /// The part goes to quarantine.
    Reject,
}

impl Active {
    /// Waits for writes and hashes and judges what came.
    pub(crate) async fn verify(&self, is_unchanged: bool) -> Result<Digests, FillError> {
        let fill = &self.fill;
        fill.pipe.until_settled().await?;
        let digests = fill.judge().inspect_err(|_| self.reject(End::Reject))?;
        if !is_unchanged {
            self.reject(End::Discard);
            return Err(FillError::Changed);
        }
        if !fill.leave(Stage::Running, Stage::Verified) {
            return Err(FillError::closed());
        }
        let growing = &fill.pipe.growing;
        self.store.claim(&digests.md5, growing);
        if let Some(slot) = fill.slot.filter(|slot| *slot != digests.md5) {
            self.store.vacate(&slot, growing);
        }
        growing.seal(fill.pipe.pushed(), digests);
        Ok(digests)
    }

    /// Ends a running fill; who follows it is told the reason.
    pub(crate) fn end(&self, end: End, reason: &str) {
        self.finish(end, ReadError::Abandoned { reason: reason.into() });
    }

    /// Ends a running fill whose bytes are wrong.
    pub(crate) fn reject(&self, end: End) {
        self.finish(end, ReadError::Rejected);
    }

    fn finish(&self, end: End, error: ReadError) {
        let fill = &self.fill;
        let keep = end == End::Suspend && fill.is_worth_keeping();
        if !fill.leave(Stage::Running, if keep { Stage::Suspended } else { Stage::Over }) {
            return;
        }
        if error == ReadError::Rejected {
            self.store.counters.rejections.add(1);
        }
        // What can be continued is known before anybody is told: who comes at once finds it.
        if keep {
            self.suspend();
        }
        if let Some(slot) = fill.slot {
            self.store.vacate(&slot, &fill.pipe.growing);
        }
        fill.pipe.growing.fail(error);
        if !keep {
            self.remove_part(end == End::Reject);
        }
    }

    /// Verified, but not to be kept.
    pub(crate) fn drop_verified(&self, md5: &Md5) {
        if self.fill.leave(Stage::Verified, Stage::Over) {
            self.give_back(md5);
        }
    }

    /// The commit takes over from here: a drop does nothing any more.
    pub(crate) fn begin_commit(&self) -> bool {
        self.fill.leave(Stage::Verified, Stage::Over)
    }

    /// The slot and the part: the commit failed, or is not wanted.
    pub(crate) fn give_back(&self, md5: &Md5) {
        self.store.vacate(md5, &self.pipe().growing);
        self.remove_part(false);
    }
}
