//! A fill and the store that it is in: what is done with both stands in the files beside. Here, how parts are got rid of.

use std::{io, sync::Arc};

use crate::{
    part::{parts::Found, pipe::Pipe, state::FillState},
    shared::Shared,
    space::ledger::{Account, Reservation},
};

/// One fill of a store.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) store: Arc<Shared>,
    pub(crate) fill: Arc<FillState>,
}

impl Active {
    pub(crate) fn pipe(&self) -> &Pipe {
        &self.fill.pipe
    }

    /// Takes the part's name, or moves it to quarantine, in the background.
    pub(crate) fn remove_part(&self, quarantine: bool) {
        self.pipe().stop();
        let active = self.clone();
        self.store.io.spawn(async move {
            active.forget_description().await;
            let store = active.store.clone();
            let disposing = move || {
                // Gone after a failed commit: then the file has been dealt with as an object.
                if let Some(reservation) = active.pipe().reservation.lock().take() {
                    active.dispose(reservation, quarantine);
                }
                active.store.unregister(active.fill.id);
            };
            store.io.blocking(disposing).await;
        });
    }

    fn dispose(&self, reservation: Reservation, quarantine: bool) {
        if let Some(bytes) = quarantine.then(|| self.quarantine()).flatten() {
            reservation.settle(Account::Quarantine, bytes);
            return;
        }
        self.store.unlink_part(self.fill.id);
        let bytes = reservation.bytes();
        reservation.settle(Account::Unlinked, bytes);
        self.pipe().body.unlinked(bytes);
    }

    /// Moves the part to quarantine, cut to what was written of it; the bytes it occupies there.
    fn quarantine(&self) -> Option<u64> {
        let (store, id, len) = (&self.store, self.fill.id, self.pipe().written());
        store.disk.truncate(self.pipe().body.file(), len).ok()?;
        store.quarantine.take_in(id, &store.layout.part(id), &self.fill.suspect(), len)
    }

    /// Removes the file beside the part, if there is one: it is none any more. A checkpoint being written is waited for, and not on one
    /// of the few threads that may block, for it needs one itself.
    pub(crate) async fn forget_description(&self) {
        if *self.fill.described.lock().await > 0 {
            let (store, id) = (self.store.clone(), self.fill.id);
            self.store.io.blocking(move || store.parts.forget_state(id)).await;
        }
    }
}

impl Shared {
    /// Removes a part file. Blocks.
    pub(crate) fn unlink_part(&self, id: u64) {
        if let Err(error) = self.disk.unlink(&self.layout.part(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            self.note_disk_trouble("remove the part of a fetch", error);
        }
    }

    /// Removes a part that is not wanted.
    pub(crate) async fn drop_part(self: &Arc<Self>, found: Found) {
        let store = self.clone();
        self.io.blocking(move || store.parts.remove(found)).await;
    }
}
