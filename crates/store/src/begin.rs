//! What a fill begins with: a fresh part, or one from before that is what it was recorded to be.

use std::{io, sync::Arc};

use protocol::digest::DigestsHasher;

use crate::{
    active::SLACK,
    body::Body,
    fill_error::FillError,
    fill_spec::FillSpec,
    parts::Found,
    shared::Shared,
    space::{Account, Reservation, on_disk},
};

/// From this length on blocks are allocated beforehand, so that what is reserved is really there.
const ALLOCATE_MIN: u64 = 1 << 20;

/// What a fill begins with: the part's number, its open file, its room, and the hashing of what it holds.
pub(crate) type Begun = (u64, Arc<Body>, Reservation, DigestsHasher);

impl Shared {
    /// A new, empty part with room for `len` bytes.
    pub(crate) async fn fresh_part(self: &Arc<Self>, len: Option<u64>) -> Result<Begun, FillError> {
        let needed = len.map_or(0, on_disk) + SLACK;
        let mut reservation = self.reserve(needed).await?;
        for attempt in 0..2 {
            let (store, id) = (self.clone(), self.parts.next_id());
            let made = self.io.blocking(move || {
                let body = store.create_part(id, len, &mut reservation);
                (body, reservation)
            });
            match made.await {
                Some((Ok(body), reservation)) => return Ok((id, body, reservation, DigestsHasher::default())),
                // Others fill the disk too. Once more with what eviction can give.
                Some((Err(error), kept)) if error.kind() == io::ErrorKind::StorageFull && attempt == 0 => {
                    reservation = kept;
                    self.make_room(needed).await;
                }
                Some((Err(error), _)) if error.kind() == io::ErrorKind::StorageFull => break,
                Some((Err(source), _)) => return Err(self.disk_trouble("create the part", source)),
                None => return Err(FillError::closed()),
            }
        }
        Err(FillError::NoRoom { needed })
    }

    fn create_part(&self, id: u64, len: Option<u64>, reservation: &mut Reservation) -> io::Result<Arc<Body>> {
        let path = self.layout.part(id);
        let file = self.with_descriptors(|| self.disk.create(&path))?;
        if let Some(len) = len.filter(|len| *len >= ALLOCATE_MIN) {
            match self.disk.allocate(&file, len) {
                Ok(true) => reservation.back(on_disk(len)),
                Ok(false) => {}
                Err(error) => {
                    self.unlink_part(id);
                    return Err(error);
                }
            }
        }
        Ok(Body::new(file, self.space.clone()))
    }

    /// Removes a part file. Blocks.
    pub(crate) fn unlink_part(&self, id: u64) {
        if let Err(error) = self.disk.unlink(&self.layout.part(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            let _ = self.disk_trouble("remove a part", error);
        }
    }

    /// The part of an earlier fill of the same source, taken up if that is wanted and possible. Otherwise it is removed.
    pub(crate) async fn earlier_part(self: &Arc<Self>, spec: &FillSpec) -> Result<Option<Begun>, FillError> {
        match self.parts.take(&spec.source).await {
            Some(found) if spec.resume => self.take_up(found, spec).await,
            Some(found) => {
                self.drop_part(found).await;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Takes a part up where it was left, after comparing what is there with what was recorded. `None` if it is not what it should be.
    async fn take_up(self: &Arc<Self>, found: Found, spec: &FillSpec) -> Result<Option<Begun>, FillError> {
        if found.contradicts(spec) {
            self.drop_part(found).await;
            return Ok(None);
        }
        let (id, occupied) = (found.id, found.bytes);
        let Some((body, hasher)) = self.reopen_part(&found).await else {
            self.drop_part(found).await;
            return Ok(None);
        };
        let needed = spec.len.unwrap_or(found.position());
        let needed = (on_disk(needed) + SLACK).saturating_sub(occupied);
        let mut reservation = match self.reserve(needed).await {
            Ok(reservation) => reservation,
            Err(error) => {
                self.parts.put_back(found);
                return Err(error);
            }
        };
        reservation.absorb(Account::Parts, occupied);
        Ok(Some((id, body, reservation, hasher)))
    }
}
