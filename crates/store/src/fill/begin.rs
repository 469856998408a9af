//! What a fill begins with: a fresh part, or one from before that is what it was recorded to be.

use std::{io, sync::Arc};

use protocol::digest::{DigestsHasher, Md5};

use crate::{
    fill::{active::Active, end::End},
    history::event::Need,
    part::{
        error::FillError,
        extents::Extents,
        parts::Found,
        pipe::{OpenPart, Pipe},
        spec::FillSpec,
        state::{FillState, SLACK},
    },
    read::{body::Body, growing::Growing},
    shared::Shared,
    space::ledger::{Account, Reservation, on_disk},
};

/// From this length on blocks are allocated beforehand, so that what is reserved is really there.
const ALLOCATE_MIN: u64 = 1 << 20;

impl Active {
    /// Reserves room, makes or takes up the part, and tells the followers.
    pub(crate) async fn begin(
        store: &Arc<Shared>,
        slot: Option<Md5>,
        growing: Arc<Growing>,
        spec: FillSpec,
    ) -> Result<Self, FillError> {
        if store.is_closed() {
            return Err(FillError::closed());
        }
        let part = match store.earlier_part(&spec).await? {
            Some(taken) => taken,
            None => store.fresh_part(spec.len, &spec.label).await?,
        };
        let len = spec.len;
        let (id, body, ahead) = (part.id, part.body.clone(), part.ahead.clone());
        let pipe = Pipe::new(&store.options, &store.lanes, growing.clone(), len, part);
        let fill = Arc::new(FillState::new(pipe, id, spec, slot));
        growing.allow_ahead(len.map_or(0, |len| len.saturating_sub(store.options.withheld_tail)), ahead);
        growing.begin(body, len);
        growing.advance(fill.pipe.written(), fill.pipe.released());
        store.register(&fill);
        let active = Self { store: store.clone(), fill };
        if store.is_closed() {
            // The end has looked through the fills already, and waits for all of them.
            active.end(End::Suspend, "this server is stopping");
            return Err(FillError::closed());
        }
        Ok(active)
    }
}

impl Shared {
    /// A new, empty part with room for `len` bytes.
    async fn fresh_part(self: &Arc<Self>, len: Option<u64>, label: &str) -> Result<OpenPart, FillError> {
        let needed = len.map_or(0, on_disk) + SLACK;
        let mut reservation = self.reserve(Need::fill(needed, label)).await?;
        for attempt in 0..2 {
            let (store, id) = (self.clone(), self.parts.next_id());
            let made = self.io.blocking(move || {
                let body = store.create_part(id, len, &mut reservation);
                (body, reservation)
            });
            match made.await {
                Some((Ok(body), reservation)) => {
                    let (hasher, ahead) = (DigestsHasher::default(), Extents::default());
                    return Ok(OpenPart { id, body, reservation, hasher, ahead });
                }
                // Others fill the disk too. Once more with what eviction can give.
                Some((Err(error), kept)) if error.kind() == io::ErrorKind::StorageFull && attempt == 0 => {
                    reservation = kept;
                    self.make_room(Need::fill(needed, label)).await;
                }
                Some((Err(error), _)) if error.kind() == io::ErrorKind::StorageFull => break,
                Some((Err(source), _)) => return Err(self.disk_trouble("create a file in the cache", source)),
                None => return Err(FillError::closed()),
            }
        }
        Err(FillError::NoRoom { needed })
    }

    pub(crate) fn create_part(
        &self,
        id: u64,
        len: Option<u64>,
        reservation: &mut Reservation,
    ) -> io::Result<Arc<Body>> {
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

    /// The part of an earlier fill of the same source, taken up if that is wanted and possible. Otherwise it is removed.
    async fn earlier_part(self: &Arc<Self>, spec: &FillSpec) -> Result<Option<OpenPart>, FillError> {
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
    async fn take_up(self: &Arc<Self>, found: Found, spec: &FillSpec) -> Result<Option<OpenPart>, FillError> {
        if found.contradicts(spec) {
            self.drop_part(found).await;
            return Ok(None);
        }
        let (id, occupied) = (found.id, found.bytes);
        let Some((body, hasher)) = self.reopen_part(&found).await else {
            self.drop_part(found).await;
            return Ok(None);
        };
        let ahead = found.state.ahead.clone();
        let needed = spec.len.unwrap_or(found.position());
        let needed = (on_disk(needed) + SLACK).saturating_sub(occupied);
        let mut reservation = match self.reserve(Need::fill(needed, &spec.label)).await {
            Ok(reservation) => reservation,
            Err(error) => {
                self.parts.put_back(found);
                return Err(error);
            }
        };
        reservation.absorb(Account::Parts, occupied);
        Ok(Some(OpenPart { id, body, reservation, hasher, ahead }))
    }

    /// Opens a part where it was left: its file and hashes. `None` if its bytes are not those that were recorded.
    async fn reopen_part(self: &Arc<Self>, found: &Found) -> Option<(Arc<Body>, DigestsHasher)> {
        let position = found.position();
        if let Some(warm) = &found.warm {
            return Some((warm.body.clone(), warm.hasher.clone()));
        }
        let (store, id) = (self.clone(), found.id);
        let file = self.io.blocking(move || store.disk.open(&store.layout.part(id), true)).await?.ok()?;
        let body = Body::new(file, self.space.clone());
        let hasher = self.hash(&body, position, false).await?;
        if hasher.md5() != found.state.prefix {
            return None;
        }
        // What is behind was never known to be durable. Nobody can have read it: the part is from before the start.
        let (store, file, end) = (self.clone(), body.file().clone(), found.state.end());
        self.io.blocking(move || store.disk.truncate(&file, end)).await?.ok()?;
        Some((body, hasher))
    }
}
