//! The history: what happened to objects, so that a person can be told why one is here or is not. Appended to one file by a thread of its own; nobody
//! waits for it, and what it cannot take in time is not written and counted. It decides nothing: whatever is lost of it, objects are not.
//!
//! It is synced now and then and at an orderly end, so that `kill -9` loses nothing that was handed to the thread, and a power loss the last minute. How
//! long it may become, and what is left out then, is decided by [`trim`]; `upkeep` does it.

pub(crate) mod event;
mod frames;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod reader;
pub(crate) mod trim;
mod writer;

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

pub(crate) use self::writer::Swap;
use self::{
    event::{Entry, Event},
    writer::Writer,
};
use crate::{
    disk::{Disk, layout::Layout},
    space::ledger::Space,
};
use protocol::digest::Md5;

/// Bytes of entries that may wait to be written. Beyond, they are lost and counted.
const QUEUE_MAX: usize = 1 << 20;

/// However long the file may become, it is at most this part of the cache.
const PART_OF_CACHE: u64 = 32;

/// Handle to the history's thread.
pub(crate) struct History {
    shared: Arc<Inner>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Inner {
    queue: Mutex<Queue>,
    filled: Condvar,
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    layout: Layout,
    /// What can be read, once the thread has looked what is there.
    readable: Mutex<Option<Readable>>,
    lost: AtomicU64,
    /// A shorter one is about to take over.
    swapping: AtomicBool,
    /// Bytes that the file may have; 0: nothing is written down.
    max: u64,
}

/// The file as far as it is written.
#[derive(Clone)]
pub(crate) struct Readable {
    pub(crate) file: Arc<File>,
    pub(crate) len: u64,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    entries: u64,
    /// Told when everything queued before is written, or lost.
    waiting: Vec<oneshot::Sender<()>>,
    swap: Option<Swap>,
    ended: bool,
}

impl History {
    /// Begins the thread, which looks what is there already. `max` is how long the file may become, 0 for none. `held` is what must outlive the last
    /// write: the directory's lock.
    pub(crate) fn start(
        space: &Arc<Space>,
        layout: &Layout,
        max: u64,
        held: impl Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Inner {
            queue: Mutex::default(),
            filled: Condvar::new(),
            disk: space.disk().clone(),
            space: space.clone(),
            layout: layout.clone(),
            readable: Mutex::new(None),
            lost: AtomicU64::new(0),
            swapping: AtomicBool::new(false),
            max,
        });
        let (over, ended) = oneshot::channel();
        // What is there counts from the first moment on.
        let writer = Writer::find(shared.clone());
        thread::Builder::new().name("store-history".into()).spawn(move || {
            writer.run();
            drop(held);
            let _ = over.send(());
        })?;
        Ok(Self { shared, ended: Mutex::new(Some(ended)) })
    }

    /// Something happened. Never waits for the disk; a short lock.
    pub(crate) fn note(&self, md5: Md5, event: Event) {
        if self.shared.max == 0 {
            return;
        }
        let entry = Entry::new(md5, event);
        let mut queue = self.shared.queue.lock();
        if queue.ended || queue.bytes.len() > QUEUE_MAX {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        frames::frame(&entry, &mut queue.bytes);
        queue.entries += 1;
        drop(queue);
        self.shared.filled.notify_one();
    }

    /// Entries that could not be written down, since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Bytes of the file; 0 until it is known.
    pub(crate) fn len(&self) -> u64 {
        self.shared.readable.lock().as_ref().map_or(0, |readable| readable.len)
    }

    /// How long the file may become.
    pub(crate) fn max(&self) -> u64 {
        self.shared.max()
    }

    /// Replaces the file by a shorter one, which the thread completes with what was written meanwhile.
    pub(crate) fn swap(&self, swap: Swap) {
        self.shared.swapping.store(true, Ordering::Release);
        self.shared.queue.lock().swap = Some(swap);
        self.shared.filled.notify_one();
    }

    /// Whether one is about to.
    pub(crate) fn is_swapping(&self) -> bool {
        self.shared.swapping.load(Ordering::Acquire)
    }

    /// Nothing is written any more after what is queued.
    pub(crate) fn end(&self) {
        self.shared.queue.lock().ended = true;
        self.shared.filled.notify_one();
    }

    /// Waits until the thread has ended.
    pub(crate) async fn ended(&self) {
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

impl Inner {
    fn max(&self) -> u64 {
        self.max.min(self.space.sums().max_size / PART_OF_CACHE)
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.end();
    }
}
