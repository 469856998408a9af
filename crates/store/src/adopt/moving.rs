//! Moving a file in as it is, without a copy: it gets a name in the cache (a hard link), and loses its old one.
//!
//! While it has two names, or somebody has it open for writing, it must not be an object. So from before the first byte is hashed until the
//! end a read lease is held on it: nobody has it open for writing, and who wants to open it so waits, and is noticed. The steps, and what
//! a crash behind each leaves:
//!
//! | step | a crash behind it leaves |
//! | --- | --- |
//! | lease; a second name among the parts | the file where it was; the start removes the name among the parts |
//! | hashed, synced | likewise |
//! | moved from the parts to its digest, directory synced | likewise: the start removes a stray that has another name besides |
//! | what it is to be asked for by is written down, durably | likewise, and a name whose content is not here |
//! | the old name is removed, directory synced | the content at its digest, which the start searches for and hashes |
//! | nobody else has a name of it, the lease is unbroken, it is ours to write to alone | likewise |
//! | index, journal | an object |
//!
//! What fails behind the removal of the old name gives the name back; if not even that can be done, our name of it stays.

use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use os::{
    lease::{Lease, Leased},
    share::{Identity, Share},
};
use parking_lot::Mutex;

use super::{AdoptError, Incoming, Room};
use crate::{fill::commit::Owned, part::error::FillError, read::body::Body, shared::Shared, store::Store};

/// What may be done with an object's file: who else has an account here need not read it, and nobody else writes to it.
const MODE: u32 = 0o600;

/// The name that a file had until now.
#[derive(Clone, Debug)]
pub struct OldName {
    /// The directory that it is beneath.
    pub share: Arc<Share>,
    /// Its path there.
    pub path: Vec<u8>,
}

impl OldName {
    /// Removes it, durably, if it is still the name of that file, and that is what it was. Blocks.
    pub(super) fn remove(&self, identity: &Identity) -> Result<(), AdoptError> {
        match self.share.remove_if(&self.path, identity).map_err(AdoptError::Removal)? {
            true => Ok(()),
            false => Err(AdoptError::Changed),
        }
    }
}

/// A file that is being moved.
pub(super) struct Moving {
    file: Arc<File>,
    identity: Identity,
    lease: Lease,
    old: OldName,
}

/// Called before the old name goes: makes known what the content is asked for by, durably.
pub(super) type Naming = Box<dyn FnOnce() -> Result<(), AdoptError> + Send>;

/// The end of a move.
pub(super) struct Takeover {
    moving: Moving,
    body: Arc<Body>,
    naming: Mutex<Option<Naming>>,
    is_removed: AtomicBool,
    refused: Mutex<Option<AdoptError>>,
}

impl Store {
    /// Begins to move a file in: `file` is open for reading only, and was `identity` when it was opened. It is hashed by [`Incoming::read`].
    /// `None` if it cannot be moved (another file system, no leases, not ours, a name more): then it can be copied. Must be called on a thread
    /// that may wait for the disk.
    pub async fn incoming_move(
        &self,
        file: &Arc<File>,
        identity: &Identity,
        old: &OldName,
    ) -> Result<Option<Incoming>, AdoptError> {
        let (store, file, identity, old) = (self.shared.clone(), file.clone(), *identity, old.clone());
        store.until_counted().await;
        let making = store.clone();
        let made = store.io.blocking(move || making.begin_move(file, identity, old)).await;
        made.ok_or_else(FillError::closed)?
    }
}

impl Shared {
    fn begin_move(
        self: &Arc<Self>,
        file: Arc<File>,
        identity: Identity,
        old: OldName,
    ) -> Result<Option<Incoming>, AdoptError> {
        if file.metadata().map_err(AdoptError::Read)?.nlink() != 1 {
            return Ok(None);
        }
        let lease = match Lease::take(&file).map_err(AdoptError::Read)? {
            Leased::Yes(lease) => lease,
            Leased::IsWritten => return Err(AdoptError::IsWritten),
            Leased::Unknown => return Ok(None),
        };
        if Identity::of(&file).map_err(AdoptError::Read)? != identity {
            return Err(AdoptError::Changed);
        }
        let reservation = self.room_for(identity.size, Room::InPlace)?;
        let (id, len) = (self.parts.next_id(), identity.size);
        let path = self.layout.part(id);
        match self.disk.link(&file, &path) {
            Err(error) if matches!(error.kind(), ErrorKind::CrossesDevices | ErrorKind::PermissionDenied) => {
                return Ok(None);
            }
            Err(error) => return Err(self.disk_trouble("move a file into the cache", error).into()),
            Ok(()) => {}
        }
        let opened = self.with_descriptors(|| self.disk.open(&path, false));
        let opened = opened.map_err(|error| {
            self.unlink_part(id);
            self.disk_trouble("open a file that is moved into the cache", error)
        })?;
        let body = Body::new(opened, self.space.clone());
        let mut incoming = Incoming::new(self, id, body, len, reservation);
        incoming.moving = Some(Moving { file, identity, lease, old });
        Ok(Some(incoming))
    }
}

impl Moving {
    /// Whether nobody has tried to write.
    pub(super) fn is_alone(&self) -> bool {
        self.lease.is_unbroken()
    }

    pub(super) fn takeover(self, body: &Arc<Body>, naming: Naming) -> Arc<Takeover> {
        let (naming, refused) = (Mutex::new(Some(naming)), Mutex::default());
        Arc::new(Takeover { moving: self, body: body.clone(), naming, is_removed: AtomicBool::new(false), refused })
    }

    /// Whether it has so many names, and is what it was.
    fn check(&self, names: u64) -> Result<(), AdoptError> {
        let now = Identity::of(&self.file).map_err(AdoptError::Read)?;
        if (now.size, now.modified) != (self.identity.size, self.identity.modified) {
            return Err(AdoptError::Changed);
        }
        if !self.is_alone() {
            return Err(AdoptError::IsWritten);
        }
        match self.file.metadata().map_err(AdoptError::Read)?.nlink() == names {
            true => Ok(()),
            false => Err(AdoptError::HasOtherNames),
        }
    }
}

impl Takeover {
    /// Why it was refused, where that was not the store's doing.
    pub(super) fn refusal(&self) -> Option<AdoptError> {
        self.refused.lock().take()
    }

    /// The content is here already: only the old name is to go. Blocks.
    pub(super) fn remove_old_name(&self) -> Result<(), AdoptError> {
        self.name()?;
        if !self.moving.is_alone() {
            return Err(AdoptError::IsWritten);
        }
        self.moving.old.remove(&self.moving.identity)
    }

    fn name(&self) -> Result<(), AdoptError> {
        let naming = self.naming.lock().take();
        naming.map_or(Ok(()), |naming| naming())
    }

    fn try_to_take(&self) -> Result<(), AdoptError> {
        self.moving.check(2)?;
        self.name()?;
        self.moving.old.remove(&self.moving.identity)?;
        self.is_removed.store(true, Ordering::Release);
        // Nobody has a name of it any more but us; behind this nobody can write to it.
        self.moving.check(1)?;
        own(self.body.file()).map_err(AdoptError::Read)?;
        self.moving.check(1)
    }
}

impl Owned for Takeover {
    fn take(&self) -> Result<(), FillError> {
        self.try_to_take().map_err(|error| {
            *self.refused.lock() = Some(error);
            // Who asked is told the other one.
            FillError::Changed
        })
    }

    fn give_back(&self) -> bool {
        if !self.is_removed.load(Ordering::Acquire) {
            return true;
        }
        let OldName { share, path } = &self.moving.old;
        let Err(error) = share.put_back(path, &self.moving.file) else { return true };
        let path = share.path().join(String::from_utf8_lossy(path).as_ref());
        tracing::error!(path = %path.display(), %error, "a file could not be moved into the cache, nor given its old name back; it stays in the cache under its digest");
        false
    }
}

/// Makes a file one that only we can write to.
fn own(file: &File) -> io::Result<()> {
    let (found, user) = (file.metadata()?, rustix::process::geteuid().as_raw());
    if found.uid() != user {
        fchown(file, Some(user), Some(rustix::process::getegid().as_raw()))?;
    }
    file.set_permissions(Permissions::from_mode(MODE))
}
