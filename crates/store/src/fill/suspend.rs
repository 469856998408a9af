//! Making a fill continuable: when it stops, and at checkpoints while it runs, so that a crash does not take everything.

use std::{io, time::SystemTime};

use protocol::digest::Md5;

use crate::{
    fill::active::Active,
    part::{
        description::PartState,
        error::FillError,
        extents::Extents,
        parts::{Found, Warm},
        spec::Resumable,
    },
    space::ledger::Account,
};

impl Active {
    /// Keeps the part of a fill that has stopped. It can be asked for at once, and taken once it is durable.
    pub(crate) fn suspend(&self) {
        let (source, id) = (self.fill.spec.source.clone(), self.fill.id);
        let at = Resumable { position: self.pipe().pushed(), taken: self.pipe().taken() };
        let before = self.store.parts.suspending(source.clone(), id, at);
        let active = self.clone();
        self.store.io.spawn(async move {
            let store = &active.store;
            if let Some(before) = before {
                store.drop_part(before).await;
            }
            match active.keep().await {
                Ok(found) => {
                    if let Some(found) = store.parts.suspended(found) {
                        store.drop_part(found).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what came of an interrupted fetch cannot be kept; it begins anew when the file is asked for");
                    store.parts.not_suspended(&source, id);
                    active.remove_part(false);
                }
            }
            store.unregister(id);
            while let Some(oldest) = store.parts.take_surplus() {
                store.drop_part(oldest).await;
            }
        });
    }

    /// Settles, syncs and describes the part of a fill that has stopped.
    async fn keep(&self) -> Result<Found, FillError> {
        let pipe = self.pipe();
        pipe.until_settled().await?;
        let (position, hasher) = (pipe.written(), pipe.hasher());
        let prefix = hasher.md5();
        let warm = self.store.parts.may_be_warm();
        let warm = warm.then(|| Box::new(Warm { body: pipe.body.clone(), hasher }));
        let state = self.describe(position, prefix, true).await?;
        let len = state.end();
        let found = Found::new(self.fill.id, state, len, warm);
        if let Some(reservation) = pipe.reservation.lock().take() {
            reservation.settle(Account::Parts, found.bytes);
        }
        Ok(found)
    }

    /// Makes the fill continuable from where it is, if it is time to.
    pub(crate) fn checkpoint_if_due(&self) {
        if !self.fill.is_checkpoint_due() {
            return;
        }
        let position = self.pipe().mark();
        let active = self.clone();
        self.store.io.spawn(async move {
            active.checkpoint(position).await;
            active.fill.checkpoint_made();
        });
    }

    /// Makes a running fill continuable from `position` after a crash.
    async fn checkpoint(&self, position: u64) {
        let Ok(prefix) = self.pipe().until_marked(position).await else { return };
        if let Err(error) = self.describe(position, prefix, false).await {
            tracing::warn!(%error, "a checkpoint of a fetch could not be written; after a crash it would begin anew or further back");
        }
    }

    /// Syncs the part, then writes what it is and what of it can be trusted. Of one that has come to rest, what was allocated behind that is given back: nobody
    /// reads there who has not been told that this is over.
    async fn describe(&self, position: u64, prefix: Md5, has_come_to_rest: bool) -> Result<PartState, FillError> {
        let (store, fill) = (&self.store, &self.fill);
        let mut described = fill.described.lock().await;
        let state = PartState {
            source: fill.spec.source.clone(),
            len: fill.spec.len,
            claims: fill.spec.claims,
            position,
            prefix,
            // Looked at before the sync: what is written meanwhile may not be on the disk.
            ahead: self.written_beyond(position),
            updated: SystemTime::now(),
        };
        if *described > state.trusted() {
            // A later one was faster.
            return Ok(state);
        }
        let file = fill.pipe.body.file().clone();
        store.disk.sync(file).await.map_err(|error| store.disk_trouble("sync what has come", error))?;
        let (active, written) = (self.clone(), state.clone());
        let result = store.io.blocking(move || active.write_description(&written, has_come_to_rest)).await;
        result
            .unwrap_or_else(|| Err(io::Error::other("this server is stopping")))
            .map_err(|error| store.disk_trouble("write the checkpoint", error))?;
        *described = state.trusted();
        Ok(state)
    }

    /// The runs that are written behind `position`, but for one that the front has just reached.
    fn written_beyond(&self, position: u64) -> Extents {
        let mut ahead = self.pipe().growing.ahead();
        ahead.reach(position);
        ahead
    }

    /// The file beside the part, unless the fill has ended otherwise. Blocks.
    fn write_description(&self, state: &PartState, has_come_to_rest: bool) -> io::Result<()> {
        let (store, fill) = (&self.store, &self.fill);
        if has_come_to_rest {
            store.disk.truncate(fill.pipe.body.file(), state.end())?;
        }
        if fill.is_running() || fill.is_suspended() {
            state.write(&*store.disk, &store.layout, fill.id)?;
        }
        Ok(())
    }
}
