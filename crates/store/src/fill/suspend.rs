//! Making a fill continuable: when it stops, and at checkpoints while it runs, so that a crash does not take everything.

use std::{io, time::SystemTime};

use protocol::digest::Md5;

use crate::{
    fill::active::Active,
    part::{
        description::PartState,
        error::FillError,
        parts::{Found, Warm},
    },
    space::ledger::Account,
};

impl Active {
    /// Keeps the part of a fill that has stopped. It can be asked for at once, and taken once it is durable.
    pub(crate) fn suspend(&self) {
        let (source, id) = (self.fill.spec.source.clone(), self.fill.id);
        let before = self.store.parts.suspending(source.clone(), id, self.pipe().pushed());
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
        let warm = warm.then(|| Box::new(Warm { body: pipe.body.clone(), hasher, ahead: pipe.growing.ahead() }));
        // What was allocated beyond is given back; nobody reads there who has not been told that this is over.
        let len = warm.as_ref().map_or(position, |warm| warm.ahead.end().max(position));
        let state = self.describe(position, prefix, Some(len)).await?;
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
        if let Err(error) = self.describe(position, prefix, None).await {
            tracing::warn!(%error, "a checkpoint of a fetch could not be written; after a crash it would begin anew or further back");
        }
    }

    /// Syncs the part, then writes what it is and how far it can be trusted. Of one that has come to rest, what is behind `len` is cut off.
    async fn describe(&self, position: u64, prefix: Md5, len: Option<u64>) -> Result<PartState, FillError> {
        let (store, fill) = (&self.store, &self.fill);
        let mut described = fill.described.lock().await;
        let state = PartState {
            source: fill.spec.source.clone(),
            len: fill.spec.len,
            claims: fill.spec.claims,
            position,
            prefix,
            updated: SystemTime::now(),
        };
        if *described > position {
            // A later one was faster.
            return Ok(state);
        }
        let file = fill.pipe.body.file().clone();
        store.disk.sync(file).await.map_err(|error| store.disk_trouble("sync what has come", error))?;
        let (active, written) = (self.clone(), state.clone());
        let result = store.io.blocking(move || active.write_description(&written, len)).await;
        result
            .unwrap_or_else(|| Err(io::Error::other("this server is stopping")))
            .map_err(|error| store.disk_trouble("write the checkpoint", error))?;
        *described = position;
        Ok(state)
    }

    /// The file beside the part, unless the fill has ended otherwise. Blocks.
    fn write_description(&self, state: &PartState, len: Option<u64>) -> io::Result<()> {
        let (store, fill) = (&self.store, &self.fill);
        if let Some(len) = len {
            store.disk.truncate(fill.pipe.body.file(), len)?;
        }
        if fill.is_running() || fill.is_suspended() {
            state.write(&*store.disk, &store.layout, fill.id)?;
        }
        Ok(())
    }
}
