//! Parts: interrupted fills that can be continued. Beside the part file lies a small one that says of what it is a part and up to
//! where it can be trusted: that many bytes were synced before it was written, and their MD5 stands in it.
//!
//! | state | where | by |
//! | --- | --- | --- |
//! | of a running fill | only with the fill | checkpoints keep the file beside it current |
//! | suspending | in the map, to be waited for | `suspend`: settles, syncs, describes |
//! | waiting | in the map | after `suspend`, or found at the start |
//! | taken up | with the new fill | `take` |
//! | gone | | too old, room needed, another part of the same source, or not what it should be |

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::digest::{DigestsHasher, Md5};
use tokio::sync::Notify;

use crate::{
    active::Active,
    body::Body,
    fill_error::FillError,
    fill_spec::{FillSpec, Resumable},
    layout::{Layout, PartName, part_name},
    part_state::PartState,
    shared::Shared,
    space::{Account, Space, on_disk},
    wait::until,
};

/// Parts that may wait; the oldest give way.
const PARTS_MAX: usize = 1024;
/// Of these, how many keep their file open and their hashes in memory.
const WARM_MAX: usize = 64;
/// What the file beside a part occupies.
const STATE_BYTES: u64 = 4096;

/// The parts that wait.
pub(crate) struct Parts {
    space: Arc<Space>,
    layout: Layout,
    waiting: Mutex<HashMap<Bytes, Entry>>,
    next: AtomicU64,
    moved: Notify,
}

enum Entry {
    Suspending { id: u64, position: u64 },
    Waiting(Found),
}

/// A part that can be continued.
pub(crate) struct Found {
    pub(crate) id: u64,
    pub(crate) state: PartState,
    /// Bytes in the account of the parts.
    pub(crate) bytes: u64,
    /// Still open from the fill that was suspended, with its hashes: nothing needs to be read again.
    warm: Option<Box<(Arc<Body>, DigestsHasher)>>,
}

impl Found {
    pub(crate) fn position(&self) -> u64 {
        self.state.position
    }

    /// Whether it cannot be a part of what is to be filled.
    pub(crate) fn contradicts(&self, spec: &FillSpec) -> bool {
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        let (old, new) = (&self.state.claims, &spec.claims);
        differ(self.state.len, spec.len)
            || spec.len.is_some_and(|len| len < self.state.position)
            || old.md5.zip(new.md5).is_some_and(|(a, b)| a != b)
            || old.sha256.zip(new.sha256).is_some_and(|(a, b)| a != b)
    }
}

impl Parts {
    /// What is there from before. Part files without a valid description are of no use and removed; files that are not ours stay.
    pub(crate) fn open(space: &Arc<Space>, layout: &Layout, after: u64) -> io::Result<Self> {
        let disk = space.disk();
        let (mut waiting, mut last) = (HashMap::new(), after);
        let names: Vec<_> = disk.list(&layout.parts())?.into_iter().filter_map(|item| part_name(&item.name)).collect();
        for name in &names {
            let (PartName::Data(id) | PartName::State(id) | PartName::StateNew(id)) = *name;
            last = last.max(id);
            if let PartName::StateNew(id) = *name {
                let _ = disk.unlink(&layout.part_state_new(id));
            }
        }
        let parts = Self {
            space: space.clone(),
            layout: layout.clone(),
            waiting: Mutex::default(),
            next: AtomicU64::new(last + 1),
            moved: Notify::new(),
        };
        for name in &names {
            match *name {
                PartName::Data(id) => {
                    let Some(found) = parts.find(id) else {
                        parts.remove_files(id);
                        continue;
                    };
                    if let Some(Entry::Waiting(other)) =
                        waiting.insert(found.state.source.clone(), Entry::Waiting(found))
                    {
                        parts.remove_files(other.id);
                    }
                }
                PartName::State(id) if !names.contains(&PartName::Data(id)) => parts.remove_files(id),
                _ => {}
            }
        }
        let bytes = waiting.values().map(|entry| if let Entry::Waiting(found) = entry { found.bytes } else { 0 }).sum();
        space.add(Account::Parts, bytes);
        *parts.waiting.lock() = waiting;
        Ok(parts)
    }

    fn find(&self, id: u64) -> Option<Found> {
        let disk = self.space.disk();
        let state = PartState::read(&**disk, &self.layout.part_state(id))?;
        let len = disk.stat(&self.layout.part(id)).ok()?.len;
        (len >= state.position).then(|| Found { id, state, bytes: on_disk(len) + STATE_BYTES, warm: None })
    }

    fn remove_files(&self, id: u64) {
        // Not there is as good as removed; anything else leaves a file that the next start removes.
        let _ = self.space.disk().unlink(&self.layout.part(id));
        let _ = self.space.disk().unlink(&self.layout.part_state(id));
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    pub(crate) fn resumable(&self, source: &[u8]) -> Option<Resumable> {
        let waiting = self.waiting.lock();
        let position = match waiting.get(source)? {
            Entry::Suspending { position, .. } => *position,
            Entry::Waiting(found) => found.position(),
        };
        Some(Resumable { position })
    }

    /// Takes the part of a source, waiting for one that is just being suspended.
    pub(crate) async fn take(&self, source: &Bytes) -> Option<Found> {
        if source.is_empty() {
            return None;
        }
        until(&self.moved, || {
            let mut waiting = self.waiting.lock();
            match waiting.get(source) {
                Some(Entry::Suspending { .. }) => None,
                Some(Entry::Waiting(_)) => match waiting.remove(source) {
                    Some(Entry::Waiting(found)) => Some(Some(found)),
                    _ => Some(None),
                },
                None => Some(None),
            }
        })
        .await
    }

    /// A part is durable now; given back if it is not wanted any more because another of its source came after it.
    fn suspended(&self, found: Found) -> Option<Found> {
        let mut waiting = self.waiting.lock();
        match waiting.get_mut(&found.state.source) {
            Some(entry) if matches!(&*entry, Entry::Suspending { id, .. } if *id == found.id) => {
                *entry = Entry::Waiting(found);
                None
            }
            _ => Some(found),
        }
    }

    /// A part could not be made durable.
    fn not_suspended(&self, source: &Bytes, id: u64) {
        let mut waiting = self.waiting.lock();
        if matches!(waiting.get(source), Some(Entry::Suspending { id: found, .. }) if *found == id) {
            waiting.remove(source);
        }
    }

    /// It could not be taken up now, but may be later.
    pub(crate) fn put_back(&self, found: Found) {
        self.waiting.lock().insert(found.state.source.clone(), Entry::Waiting(found));
        self.moved.notify_waiters();
    }

    /// The oldest that waits, or the oldest beyond a number or an age.
    pub(crate) fn take_oldest(&self, keep: usize, age: Option<Duration>) -> Option<Found> {
        let mut waiting = self.waiting.lock();
        let oldest = |entry: &Entry| if let Entry::Waiting(found) = entry { Some(found.state.updated) } else { None };
        let (source, updated) =
            waiting.iter().filter_map(|(source, entry)| Some((source, oldest(entry)?))).min_by_key(|(_, at)| *at)?;
        let too_old = age.is_some_and(|age| updated.elapsed().is_ok_and(|elapsed| elapsed > age));
        if waiting.len() <= keep && !too_old {
            return None;
        }
        let source = source.clone();
        match waiting.remove(&source)? {
            Entry::Waiting(found) => Some(found),
            Entry::Suspending { .. } => None,
        }
    }

    /// Removes the description of a part that is none any more. Blocks.
    pub(crate) fn forget_state(&self, id: u64) {
        let _ = self.space.disk().unlink(&self.layout.part_state(id));
    }
}

impl Shared {
    /// Removes a part; answers the bytes given free. Blocks.
    pub(crate) fn remove_part(&self, found: Found) -> u64 {
        self.parts.remove_files(found.id);
        match found.warm {
            Some(warm) => {
                let body = &warm.0;
                self.space.shift(Account::Parts, Account::Unlinked, found.bytes);
                body.unlinked(found.bytes);
            }
            None => self.space.sub(Account::Parts, found.bytes),
        }
        found.bytes
    }

    pub(crate) async fn drop_part(self: &Arc<Self>, found: Found) {
        let store = self.clone();
        self.io.blocking(move || store.remove_part(found)).await;
    }

    /// Keeps the part of a fill that has stopped. It can be asked for at once, and taken once it is durable.
    pub(crate) fn suspend(self: &Arc<Self>, active: &Arc<Active>) {
        let (source, id) = (active.spec.source.clone(), active.id);
        let entry = Entry::Suspending { id, position: active.pipe.pushed() };
        let before = self.parts.waiting.lock().insert(source.clone(), entry);
        let (store, active) = (self.clone(), active.clone());
        self.io.spawn(async move {
            if let Some(Entry::Waiting(before)) = before {
                store.drop_part(before).await;
            }
            match store.keep(&active).await {
                Ok(found) => {
                    if let Some(found) = store.parts.suspended(found) {
                        store.drop_part(found).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "an interrupted fetch cannot be kept to be continued");
                    store.parts.not_suspended(&source, id);
                    active.remove_part(false);
                }
            }
            store.parts.moved.notify_waiters();
            store.unregister(id);
            while let Some(oldest) = store.parts.take_oldest(PARTS_MAX, None) {
                store.drop_part(oldest).await;
            }
        });
    }

    /// Settles, syncs and describes the part of a fill that has stopped.
    async fn keep(self: &Arc<Self>, active: &Arc<Active>) -> Result<Found, FillError> {
        active.pipe.until_settled().await?;
        let position = active.pipe.written();
        let hasher = active.pipe.hasher();
        let prefix = hasher.md5();
        let state = self.describe(active, position, prefix).await?;
        let bytes = on_disk(position) + STATE_BYTES;
        if let Some(reservation) = active.pipe.reservation.lock().take() {
            reservation.settle(Account::Parts, bytes);
        }
        let warm = (self.parts.len() <= WARM_MAX).then(|| Box::new((active.pipe.body.clone(), hasher)));
        Ok(Found { id: active.id, state, bytes, warm })
    }

    /// Makes a running fill continuable from `position` after a crash.
    pub(crate) async fn checkpoint(self: &Arc<Self>, active: &Arc<Active>, position: u64) {
        let Ok(prefix) = active.pipe.until_marked(position).await else { return };
        if let Err(error) = self.describe(active, position, prefix).await {
            tracing::warn!(%error, "a fetch in progress cannot be made continuable");
        }
    }

    /// Syncs the part, then writes what it is and how far it can be trusted.
    async fn describe(
        self: &Arc<Self>,
        active: &Arc<Active>,
        position: u64,
        prefix: Md5,
    ) -> Result<PartState, FillError> {
        let mut described = active.described.lock().await;
        let state = PartState {
            source: active.spec.source.clone(),
            len: active.spec.len,
            claims: active.spec.claims,
            position,
            prefix,
            updated: SystemTime::now(),
        };
        if *described > position {
            // A later one was faster.
            return Ok(state);
        }
        let file = active.pipe.body.file();
        self.disk.sync(file.clone()).await.map_err(|error| self.disk_trouble("sync the part", error))?;
        let (store, active, written) = (self.clone(), active.clone(), state.clone());
        let result = self.io.blocking(move || {
            if active.is_running() || active.is_suspended() {
                if active.is_suspended() {
                    // What was allocated beyond is given back; nobody reads there.
                    store.disk.truncate(active.pipe.body.file(), position)?;
                }
                written.write(&*store.disk, &store.layout, active.id)?;
            }
            Ok(())
        });
        result
            .await
            .unwrap_or_else(|| Err(io::Error::other("the store is closed")))
            .map_err(|error| self.disk_trouble("describe the part", error))?;
        *described = position;
        Ok(state)
    }

    /// Opens a part where it was left: its file and hashes. `None` if its bytes are not those that were recorded.
    pub(crate) async fn reopen_part(self: &Arc<Self>, found: &Found) -> Option<(Arc<Body>, DigestsHasher)> {
        let position = found.position();
        if let Some(warm) = &found.warm {
            let (body, hasher) = &**warm;
            return Some((body.clone(), hasher.clone()));
        }
        let (store, id) = (self.clone(), found.id);
        let file = self.io.blocking(move || store.disk.open(&store.layout.part(id), true)).await?.ok()?;
        let body = Body::new(file, self.space.clone());
        let hasher = self.hash(&body, position, false).await?;
        if hasher.md5() != found.state.prefix {
            return None;
        }
        // What is behind was never known to be durable. Nobody can have read it: the part is from before the start.
        let (store, file) = (self.clone(), body.file().clone());
        self.io.blocking(move || store.disk.truncate(&file, position)).await?.ok()?;
        Some((body, hasher))
    }
}
