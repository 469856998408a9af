//! Parts: interrupted fills that can be continued. Beside the part file lies a small one that says of what it is a part and what of it
//! can be trusted: these bytes were synced before it was written, and the MD5 of those from the first on stands in it.
//!
//! | state | where | by |
//! | --- | --- | --- |
//! | of a running fill | only with the fill | checkpoints keep the file beside it current |
//! | suspending | in the map, to be waited for | `suspending`, while it is settled, synced and described |
//! | waiting | in the map | `suspended`, or found at the start |
//! | taken up | with the new fill | `take` |
//! | gone | | too old, room needed, another part of the same source, or not what it should be |

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::digest::DigestsHasher;
use tokio::sync::Notify;

use crate::{
    disk::layout::{Layout, PartName, part_name},
    part::{
        description::PartState,
        spec::{FillSpec, Resumable},
    },
    read::body::Body,
    space::ledger::{Account, Space, on_disk},
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
    Suspending { id: u64, at: Resumable },
    Waiting(Found),
}

/// A part that can be continued.
pub(crate) struct Found {
    pub(crate) id: u64,
    pub(crate) state: PartState,
    /// Bytes in the account of the parts.
    pub(crate) bytes: u64,
    /// Still open from the fill that was suspended, with its hashes: nothing needs to be read again.
    pub(crate) warm: Option<Box<Warm>>,
}

/// What is known of a part only while the process lives.
pub(crate) struct Warm {
    /// Its open file.
    pub(crate) body: Arc<Body>,
    /// The hashing of what is in it up to its position.
    pub(crate) hasher: DigestsHasher,
}

impl Found {
    /// A part with a file of so many bytes.
    pub(crate) fn new(id: u64, state: PartState, len: u64, warm: Option<Box<Warm>>) -> Self {
        Self { id, state, bytes: on_disk(len) + STATE_BYTES, warm }
    }

    pub(crate) fn position(&self) -> u64 {
        self.state.position
    }

    fn resumable(&self) -> Resumable {
        Resumable { position: self.state.position, taken: self.state.trusted() }
    }

    /// Whether it cannot be a part of what is to be filled.
    pub(crate) fn contradicts(&self, spec: &FillSpec) -> bool {
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        let (old, new) = (&self.state.claims, &spec.claims);
        differ(self.state.len, spec.len)
            || spec.len.is_some_and(|len| len < self.state.end())
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
        (len >= state.end()).then(|| Found::new(id, state, len, None))
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
        Some(match waiting.get(source)? {
            Entry::Suspending { at, .. } => *at,
            Entry::Waiting(found) => found.resumable(),
        })
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

    /// A fill has stopped `at` a byte and its part is being made durable: it can be asked for at once, and taken then. Answers the part of
    /// the same source that has waited until now.
    pub(crate) fn suspending(&self, source: Bytes, id: u64, at: Resumable) -> Option<Found> {
        match self.waiting.lock().insert(source, Entry::Suspending { id, at }) {
            Some(Entry::Waiting(before)) => Some(before),
            Some(Entry::Suspending { .. }) | None => None,
        }
    }

    /// A part is durable now; given back if it is not wanted any more because another of its source came after it.
    pub(crate) fn suspended(&self, found: Found) -> Option<Found> {
        let unwanted = {
            let mut waiting = self.waiting.lock();
            match waiting.get_mut(&found.state.source) {
                Some(entry) if matches!(&*entry, Entry::Suspending { id, .. } if *id == found.id) => {
                    *entry = Entry::Waiting(found);
                    None
                }
                _ => Some(found),
            }
        };
        self.moved.notify_waiters();
        unwanted
    }

    /// A part could not be made durable.
    pub(crate) fn not_suspended(&self, source: &Bytes, id: u64) {
        let mut waiting = self.waiting.lock();
        if matches!(waiting.get(source), Some(Entry::Suspending { id: found, .. }) if *found == id) {
            waiting.remove(source);
        }
        drop(waiting);
        self.moved.notify_waiters();
    }

    /// Whether one more may keep its file open and its hashes in memory.
    pub(crate) fn may_be_warm(&self) -> bool {
        self.len() <= WARM_MAX
    }

    /// It could not be taken up now, but may be later.
    pub(crate) fn put_back(&self, found: Found) {
        self.waiting.lock().insert(found.state.source.clone(), Entry::Waiting(found));
        self.moved.notify_waiters();
    }

    /// The oldest that waits.
    pub(crate) fn take_oldest(&self) -> Option<Found> {
        self.take_oldest_of(0, None)
    }

    /// The oldest, while there are more than may wait.
    pub(crate) fn take_surplus(&self) -> Option<Found> {
        self.take_oldest_of(PARTS_MAX, None)
    }

    /// Removes those that nobody continued for so long. Blocks.
    pub(crate) fn expire(&self, age: Duration) {
        while let Some(found) = self.take_oldest_of(usize::MAX, Some(age)) {
            self.remove(found);
        }
    }

    /// The oldest, if there are more than `keep` or it is older than `age`.
    fn take_oldest_of(&self, keep: usize, age: Option<Duration>) -> Option<Found> {
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

    /// Removes a part; answers the bytes given free. Blocks.
    pub(crate) fn remove(&self, found: Found) -> u64 {
        self.remove_files(found.id);
        match found.warm {
            Some(warm) => {
                self.space.shift(Account::Parts, Account::Unlinked, found.bytes);
                warm.body.unlinked(found.bytes);
            }
            None => self.space.sub(Account::Parts, found.bytes),
        }
        found.bytes
    }

    /// Removes the description of a part that is none any more. Blocks.
    pub(crate) fn forget_state(&self, id: u64) {
        let _ = self.space.disk().unlink(&self.layout.part_state(id));
    }
}
