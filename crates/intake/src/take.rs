//! What is done with one file that was found: nothing, if its name stands for it already; else it comes in the best way there is, and the name stands
//! for it.
//!
//! | asked for | same file system | blocks can be shared | otherwise |
//! | --- | --- | --- | --- |
//! | nothing | shared | shared | copied |
//! | `--link` | shared | shared | not taken |
//! | `--copy` | copied | copied | copied |
//! | `--move` | the file itself | shared, old name removed | copied, old name removed |

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::ffi::OsStrExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cache::{Binding, NamedContent, why::Account};
use os::share::{Found as Opened, Identity, Share, removal::ASIDE};
use protocol::target::Target;
use store::{AdoptError, Incoming, OldName, Room};

use crate::{crew::Work, job::Outcome, order::Way, walk::Found};

/// From where, and how.
pub(crate) struct Source {
    pub(crate) share: Arc<Share>,
    pub(crate) mount: Target,
    pub(crate) way: Way,
    /// A file system on which blocks could not be shared: it is not tried again there. 0 is none.
    refuses: AtomicU64,
}

/// A file that is open.
struct Open {
    file: Arc<File>,
    identity: Identity,
    /// Where it leaves.
    leaves: Option<OldName>,
}

/// A file that came in, but for its commit.
struct Came {
    incoming: Incoming,
    how: Outcome,
    leaves: Option<(OldName, Identity)>,
}

impl Came {
    /// What people are told who ask later how it came.
    fn account(&self, source: &Source, path: &[u8], target: Option<&Target>) -> Bytes {
        let from = source.share.path().join(OsStr::from_bytes(path)).display().to_string();
        let how = match self.how {
            Outcome::Moved => "moved",
            Outcome::Linked => "linked",
            _ => "copied",
        };
        let path = target.map(ToString::to_string).unwrap_or_default();
        Account { from, path, how: how.into(), ..Account::default() }.to_bytes()
    }
}

impl Source {
    pub(crate) fn new(share: Share, mount: Target, way: Way) -> Self {
        Self { share: Arc::new(share), mount, way, refuses: AtomicU64::new(0) }
    }

    /// How clients ask for a file.
    fn target(&self, path: &[u8]) -> Target {
        let below = Target::from_file_path(path);
        let text = format!("{}{}", self.mount.path().trim_end_matches('/'), below.path());
        // Two canonical spellings, one behind the other, are one.
        Target::parse(text.as_bytes()).unwrap_or(below)
    }
}

/// Does it. What is left of it, the commit, tells the job by itself.
pub(crate) fn take(work: &Arc<Work>, source: &Arc<Source>, found: Found) {
    let path = found.path.clone();
    let shown = || String::from_utf8_lossy(&path).into_owned();
    // Left behind by a crash between the two steps of a removal: its name was known by then, and its content is all that is to come in.
    let is_aside = path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(ASIDE));
    let target = (!is_aside).then(|| source.target(&path));
    let (cache, size) = (&work.context.cache, found.identity.size);
    if let Some(target) = &target {
        if !cache.is_mounted(target) {
            work.job.spare(size);
            return work.job.note(shown, Outcome::Failed(format!("no upstream is mounted at {target}")));
        }
        if source.way != Way::Move && cache.stands_for(target, size, found.identity.modified_time()) {
            work.job.spare(size);
            return work.job.note(shown, Outcome::Known);
        }
    }
    let mut done = 0;
    let taken = bring(work, source, &found, &mut done);
    // So that what is left is right, whatever became of it.
    work.job.spare(size.saturating_sub(done));
    match taken {
        Ok((came, identity)) => {
            let told = came.account(source, &path, target.as_ref());
            commit(work, Came { incoming: came.incoming.told(told), ..came }, target, identity, shown());
        }
        Err(error) => work.job.note(shown, outcome_of(&error)),
    }
}

/// Its bytes, hashed, with what they were when they were read.
fn bring(work: &Work, source: &Source, found: &Found, done: &mut u64) -> Result<(Came, Identity), AdoptError> {
    let Opened::File(file, identity) = source.share.find(&found.path).map_err(AdoptError::Read)? else {
        return Err(AdoptError::Changed);
    };
    let old = || OldName { share: source.share.clone(), path: found.path.clone() };
    // What a link leads to has a name of its own, under which it leaves.
    let leaves = (source.way == Way::Move && !found.is_link).then(old);
    let open = Open { file: Arc::new(file), identity, leaves };
    let mut go_on = |bytes| {
        *done += bytes;
        work.job.go_on(bytes)
    };
    let came = open.come(work, source, &mut go_on)?;
    // What was hashed must be what its size and time are told of.
    if !matches!(came.how, Outcome::Moved) && Identity::of(&open.file).map_err(AdoptError::Read)? != identity {
        return Err(AdoptError::Changed);
    }
    Ok((came, identity))
}

impl Open {
    fn come(&self, work: &Work, source: &Source, go_on: store::GoOn<'_>) -> Result<Came, AdoptError> {
        let store = &work.context.store;
        if let Some(old) = &self.leaves {
            let moving = work.wait_for(store.incoming_move(&self.file, &self.identity, old))?;
            if let Some(mut incoming) = moving {
                incoming.read(go_on)?;
                return Ok(Came { incoming, how: Outcome::Moved, leaves: None });
            }
        }
        let leaves = self.leaves.clone().map(|old| (old, self.identity));
        let left = |how| if leaves.is_some() { Outcome::Moved } else { how };
        if source.way != Way::Copy
            && let Some(incoming) = self.share_blocks(work, source, go_on)?
        {
            return Ok(Came { incoming, how: left(Outcome::Linked), leaves });
        }
        if source.way == Way::Link {
            return Err(AdoptError::CannotShare);
        }
        let mut incoming = work.wait_for(store.incoming(self.identity.size, Room::New))?;
        incoming.copy(&self.file, go_on)?;
        Ok(Came { incoming, how: left(Outcome::Copied), leaves })
    }

    /// `None` where that cannot be done.
    fn share_blocks(
        &self,
        work: &Work,
        source: &Source,
        go_on: store::GoOn<'_>,
    ) -> Result<Option<Incoming>, AdoptError> {
        if source.refuses.load(Ordering::Relaxed) == self.identity.device {
            return Ok(None);
        }
        let mut incoming = work.wait_for(work.context.store.incoming(self.identity.size, Room::InPlace))?;
        if incoming.share_blocks(&self.file, go_on)? {
            return Ok(Some(incoming));
        }
        source.refuses.store(self.identity.device, Ordering::Relaxed);
        Ok(None)
    }
}

/// Makes it durable, beside whoever hashes the next.
fn commit(work: &Arc<Work>, came: Came, target: Option<Target>, identity: Identity, shown: String) {
    let Some(place) = work.commit_place() else { return };
    let Came { incoming, how, leaves } = came;
    // On this thread, which gives way: what is left of the sync has not much to write.
    if let Err(error) = incoming.sync() {
        return work.job.note(|| shown, outcome_of(&error));
    }
    let (cache, job) = (work.context.cache.clone(), work.job.clone());
    let naming = move |digests: &protocol::digest::Digests| {
        let modified = Some(identity.modified_time());
        let content = NamedContent { md5: digests.md5, len: identity.size, modified, etag: None };
        match target.map_or(Binding::Same, |target| cache.bind(&target, &content)) {
            Binding::Bound => job.named(),
            Binding::Same => {}
            Binding::Newer | Binding::Nowhere => return false,
        }
        true
    };
    let job = work.job.clone();
    let committing = incoming.commit(naming, leaves);
    work.context.runtime.spawn(async move {
        let outcome = committing.await.map_or_else(|error| outcome_of(&error), |_| how);
        job.note(|| shown, outcome);
        drop(place);
    });
}

pub(crate) fn outcome_of(error: &AdoptError) -> Outcome {
    match error {
        AdoptError::Stopped => Outcome::Stopped,
        error if error.is_room() => Outcome::NoRoom(error.to_string()),
        error => Outcome::Failed(error.to_string()),
    }
}
