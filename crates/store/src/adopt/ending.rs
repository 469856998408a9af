//! The end of what comes in: it becomes an object, is known by its name, and where it is to leave its old place, it does.

use std::sync::{Arc, atomic::Ordering};

use os::share::Identity;
use protocol::digest::{Digests, Md5};

use super::{
    AdoptError, Adopted, Incoming,
    moving::{Naming, OldName},
};
use crate::{
    fill::commit::{Owned, Whole},
    history::event::Arrival,
    part::error::FillError,
    read::{
        body::Body,
        growing::{Growing, ReadError},
    },
    shared::Shared,
};

impl Incoming {
    /// Makes it durable: synced, moved to its digest, directory synced, journaled. If the same content is here already, that one stays.
    /// `name` makes known what it is to be asked for by; if it says that it is not, a file whose old name was to go keeps it. It goes when all that is
    /// durable.
    /// Dropping the future does not stop the commit.
    pub async fn commit(
        self,
        name: impl FnOnce(&Digests) -> bool + Send + 'static,
        leaves: Option<(OldName, Identity)>,
    ) -> Result<Adopted, AdoptError> {
        let store = self.store.clone();
        store.io.spawn(self.end(name, leaves)).await.unwrap_or_else(|_| Err(FillError::closed().into()))
    }

    async fn end(
        mut self,
        name: impl FnOnce(&Digests) -> bool + Send + 'static,
        leaves: Option<(OldName, Identity)>,
    ) -> Result<Adopted, AdoptError> {
        let digests = self.digests().ok_or(AdoptError::Changed)?;
        let store = self.store.clone();
        let _busy = Busy::begin(&store);
        if store.is_closed() {
            return Err(FillError::closed().into());
        }
        let naming = naming(&store, digests, name);
        let Some(moving) = self.moving.take() else {
            let was_here = !self.seal(digests, None).await?;
            blocking(&store, move || {
                let named = naming();
                leaves.map_or(Ok(()), |(old, identity)| named.and_then(|()| old.remove(&identity)))
            })
            .await?;
            return Ok(Adopted { digests, was_here });
        };
        let takeover = moving.takeover(&self.body, naming);
        let sealed = self.seal(digests, Some(takeover.clone())).await;
        let was_here = !sealed.map_err(|error| takeover.refusal().unwrap_or_else(|| error.into()))?;
        if was_here {
            blocking(&store, move || takeover.remove_old_name()).await?;
        }
        Ok(Adopted { digests, was_here })
    }

    /// Whether it is our own file that is the object now.
    async fn seal(&mut self, digests: Digests, owned: Option<Arc<dyn Owned>>) -> Result<bool, FillError> {
        let store = self.store.clone();
        let growing = Growing::new(store.disk.clone(), store.lanes.clone());
        let whole = Whole {
            store: &store,
            id: self.id,
            body: &self.body,
            growing: &growing,
            reservation: &self.reservation,
            len: self.len,
            told: (Arrival::Imported, std::mem::take(&mut self.about)),
        };
        match whole.seal(digests, owned).await {
            Ok((_, is_ours)) => {
                self.spent = is_ours;
                if is_ours {
                    tell(&growing, &self.body, self.len, digests);
                }
                store.moved.notify_waiters();
                Ok(is_ours)
            }
            Err(error) => {
                give_up(&store, &digests.md5, &growing);
                Err(error)
            }
        }
    }
}

/// Makes known what the content is asked for by, and waits until that is durable. What comes of it blocks.
fn naming(store: &Arc<Shared>, digests: Digests, name: impl FnOnce(&Digests) -> bool + Send + 'static) -> Naming {
    let store = store.clone();
    Box::new(move || {
        if !name(&digests) {
            return Err(AdoptError::NotNamed);
        }
        let durable = store.journal.append_durably(&[], store.clock.now()).blocking_recv();
        let durable = durable.unwrap_or_else(|_| Err(std::io::Error::other("the journal has ended")));
        durable.map_err(|error| store.disk_trouble("write the journal", error).into())
    })
}

async fn blocking(
    store: &Shared,
    work: impl FnOnce() -> Result<(), AdoptError> + Send + 'static,
) -> Result<(), AdoptError> {
    store.io.blocking(work).await.ok_or_else(FillError::closed)?
}

/// Who came while it was committed follows this.
fn tell(growing: &Growing, body: &Arc<Body>, len: u64, digests: Digests) {
    growing.begin(body.clone(), Some(len));
    growing.advance(len, len);
    growing.seal(len, digests);
}

fn give_up(store: &Shared, md5: &Md5, growing: &Arc<Growing>) {
    store.vacate(md5, growing);
    growing.fail(ReadError::Abandoned { reason: "it could not be taken into the cache; ask again".into() });
}

/// Commits of what comes in that have not ended: the end of the store waits for them.
struct Busy<'a>(&'a Shared);

impl<'a> Busy<'a> {
    fn begin(store: &'a Shared) -> Self {
        store.adopting.fetch_add(1, Ordering::AcqRel);
        Self(store)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.adopting.fetch_sub(1, Ordering::AcqRel);
        self.0.moved.notify_waiters();
    }
}
