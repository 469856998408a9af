//! Lanes: the few threads that hash what arrives. A fill has two hashes, and each is an actor with a queue of its own: it runs on
//! one lane at a time, so bytes stay in order, and a large stream's MD5 has one core to itself while its SHA-256 runs on another.
//! There is no thread per fill.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use protocol::digest::{Md5, Md5Hasher, Sha256, Sha256Hasher};
use tokio::sync::Notify;

/// Bytes that an actor hashes before it lets another one have the lane.
const TURN: usize = 1 << 20;

/// The pool of lanes. Dropping it ends them after their turn.
pub(crate) struct Lanes {
    ready: Sender<Arc<dyn Work>>,
}

/// Something that a lane can do a piece of.
pub(crate) trait Work: Send + Sync {
    /// Does one turn; `true` if there is more to do.
    fn turn(&self) -> bool;
}

impl Lanes {
    /// Starts one lane per core.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        // An actor stands in this queue at most once, so it is bounded by twice the number of fills.
        let (ready, queue) = crossbeam_channel::unbounded();
        let lanes = Arc::new(Self { ready });
        for at in 0..thread::available_parallelism().map_or(2, usize::from) {
            let (queue, lanes) = (queue.clone(), Arc::downgrade(&lanes));
            thread::Builder::new().name(format!("store-lane-{at}")).spawn(move || run(&queue, &lanes))?;
        }
        Ok(lanes)
    }

    fn enqueue(&self, work: Arc<dyn Work>) {
        // Fails only when all lanes are gone, and they outlive this sender.
        let _ = self.ready.send(work);
    }
}

fn run(queue: &Receiver<Arc<dyn Work>>, lanes: &Weak<Lanes>) {
    for work in queue {
        while work.turn() {
            if let Some(lanes) = lanes.upgrade() {
                lanes.enqueue(work);
                break;
            }
        }
    }
}

/// One of the two hashes.
pub(crate) trait Hasher: Clone + Default + Send + 'static {
    /// What it yields.
    type Output: Copy + Send + Sync;
    /// Adds bytes.
    fn add(&mut self, bytes: &[u8]);
    /// The digest of all bytes so far.
    fn end(self) -> Self::Output;
}

impl Hasher for Md5Hasher {
    type Output = Md5;
    fn add(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
    fn end(self) -> Md5 {
        self.finish()
    }
}

impl Hasher for Sha256Hasher {
    type Output = Sha256;
    fn add(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
    fn end(self) -> Sha256 {
        self.finish()
    }
}

/// The hash of one stream. Its state can be asked for at positions that were marked beforehand.
pub(crate) struct Actor<H: Hasher> {
    queue: Mutex<Queue>,
    state: Mutex<State<H>>,
    done: AtomicU64,
    /// Told of progress.
    moved: Arc<Notify>,
}

struct Queue {
    items: VecDeque<Item>,
    scheduled: bool,
}

enum Item {
    Bytes(Bytes),
    Mark,
}

struct State<H: Hasher> {
    hasher: H,
    /// Position and digest at the last mark.
    marked: Option<(u64, H::Output)>,
}

impl<H: Hasher> Actor<H> {
    /// Continues with a state from before, at `position`.
    pub(crate) fn new(hasher: H, position: u64, moved: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue { items: VecDeque::new(), scheduled: false }),
            state: Mutex::new(State { hasher, marked: None }),
            done: AtomicU64::new(position),
            moved,
        })
    }

    /// Bytes hashed so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Hashes at once, in the caller: cheaper than waking a lane when the bytes are few. Not to be mixed with [`Actor::feed`].
    pub(crate) fn hash_here(&self, bytes: &[u8]) {
        self.state.lock().hasher.add(bytes);
        self.done.fetch_add(bytes.len() as u64, Ordering::Release);
    }

    /// Queues bytes for a lane.
    pub(crate) fn feed(self: &Arc<Self>, bytes: Bytes, lanes: &Lanes) {
        self.enqueue(Item::Bytes(bytes), lanes);
    }

    /// Remembers the digest at the end of what was fed until now.
    pub(crate) fn mark(self: &Arc<Self>, lanes: &Lanes) {
        self.enqueue(Item::Mark, lanes);
    }

    fn enqueue(self: &Arc<Self>, item: Item, lanes: &Lanes) {
        let mut queue = self.queue.lock();
        queue.items.push_back(item);
        let wake = !std::mem::replace(&mut queue.scheduled, true);
        drop(queue);
        if wake {
            lanes.enqueue(self.clone());
        }
    }

    /// The last mark that was reached.
    pub(crate) fn marked(&self) -> Option<(u64, H::Output)> {
        self.state.lock().marked
    }

    /// The state after what was hashed until now.
    pub(crate) fn hasher(&self) -> H {
        self.state.lock().hasher.clone()
    }

    /// The digest of what was hashed until now.
    pub(crate) fn digest(&self) -> H::Output {
        self.hasher().end()
    }
}

impl<H: Hasher> Work for Actor<H> {
    fn turn(&self) -> bool {
        let mut hashed = 0;
        while hashed < TURN {
            let mut queue = self.queue.lock();
            let Some(item) = queue.items.pop_front() else {
                queue.scheduled = false;
                return false;
            };
            drop(queue);
            let mut state = self.state.lock();
            match item {
                Item::Bytes(bytes) => {
                    state.hasher.add(&bytes);
                    hashed += bytes.len();
                    self.done.fetch_add(bytes.len() as u64, Ordering::Release);
                }
                Item::Mark => state.marked = Some((self.done(), state.hasher.clone().end())),
            }
            drop(state);
            self.moved.notify_waiters();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until;

    #[tokio::test]
    async fn many_streams_on_few_lanes_stay_in_order() {
        let lanes = Lanes::start().expect("threads start");
        let streams: Vec<_> = (0..20u8)
            .map(|seed| {
                let moved = Arc::new(Notify::new());
                let actor = Actor::<Md5Hasher>::new(Md5Hasher::default(), 0, moved.clone());
                let bytes = Bytes::from((0..200_000u32).map(|at| (at as u8).wrapping_mul(seed)).collect::<Vec<_>>());
                for (at, piece) in bytes.chunks(7_001).enumerate() {
                    actor.feed(bytes.slice_ref(piece), &lanes);
                    if at == 9 {
                        actor.mark(&lanes);
                    }
                }
                (actor, bytes, moved)
            })
            .collect();
        for (actor, bytes, moved) in streams {
            until(&moved, || (actor.done() == bytes.len() as u64).then_some(())).await;
            let mut all = Md5Hasher::default();
            all.update(&bytes);
            assert_eq!(actor.digest(), all.finish());
            let mut prefix = Md5Hasher::default();
            prefix.update(&bytes[..70_010]);
            assert_eq!(actor.marked(), Some((70_010, prefix.finish())));
        }
    }
}
