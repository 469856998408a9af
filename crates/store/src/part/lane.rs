//! Lanes: the few threads that hash what arrives. The hashing of a fill is an actor with a queue: it runs on one lane at a time, so bytes
//! stay in order, and different fills are hashed on different cores. There is no thread per fill.
//!
//! Both digests are made in one pass, for that costs hardly more than the MD5 alone: see [`DigestsHasher`].

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use protocol::digest::{DigestsHasher, Md5};
use tokio::sync::Notify;

/// Bytes that an actor hashes before it lets another one have the lane, and before it tells of its progress: who waits for room waits
/// for a good part of it, and is not woken for every piece.
const TURN: usize = 1 << 20;
/// A lane computes for as long as there is something to hash; whoever moves bytes on the same core goes before it.
const SLICE: Duration = Duration::from_millis(20);

/// The pool of lanes. Dropping it ends them after their turn.
pub(crate) struct Lanes {
    ready: Sender<Arc<Actor>>,
}

impl Lanes {
    /// Starts one lane per core.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        // An actor stands in this queue at most once, so it is bounded by the number of fills.
        let (ready, queue) = crossbeam_channel::unbounded();
        let lanes = Arc::new(Self { ready });
        for at in 0..thread::available_parallelism().map_or(2, usize::from) {
            let (queue, lanes) = (queue.clone(), Arc::downgrade(&lanes));
            thread::Builder::new().name(format!("store-lane-{at}")).spawn(move || run(&queue, &lanes))?;
        }
        Ok(lanes)
    }

    fn enqueue(&self, actor: Arc<Actor>) {
        // Fails only when all lanes are gone, and they outlive this sender.
        let _ = self.ready.send(actor);
    }
}

fn run(queue: &Receiver<Arc<Actor>>, lanes: &Weak<Lanes>) {
    // Without it all works the same, and the first bytes of a fill come some milliseconds later where there is one core.
    if let Err(error) = os::process::set_slice(SLICE) {
        tracing::debug!(%error, "the scheduler gives no longer slices");
    }
    for actor in queue {
        while actor.turn() {
            if let Some(lanes) = lanes.upgrade() {
                lanes.enqueue(actor);
                break;
            }
        }
    }
}

/// The hashing of one stream. Its MD5 can be asked for at positions that were marked beforehand.
pub(crate) struct Actor {
    queue: Mutex<Queue>,
    state: Mutex<State>,
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

struct State {
    hasher: DigestsHasher,
    /// Position and MD5 at the last mark.
    marked: Option<(u64, Md5)>,
}

impl Actor {
    /// Continues with a state from before.
    pub(crate) fn new(hasher: DigestsHasher, moved: Arc<Notify>) -> Arc<Self> {
        let position = hasher.position();
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
        self.state.lock().hasher.update(bytes);
        self.done.fetch_add(bytes.len() as u64, Ordering::Release);
    }

    /// Queues bytes for a lane.
    pub(crate) fn feed(self: &Arc<Self>, bytes: Bytes, lanes: &Lanes) {
        self.enqueue(Item::Bytes(bytes), lanes);
    }

    /// Remembers the MD5 at the end of what was fed until now.
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
    pub(crate) fn marked(&self) -> Option<(u64, Md5)> {
        self.state.lock().marked
    }

    /// The state after what was hashed until now.
    pub(crate) fn hasher(&self) -> DigestsHasher {
        self.state.lock().hasher.clone()
    }

    /// The MD5 of what was hashed until now.
    pub(crate) fn md5(&self) -> Md5 {
        self.state.lock().hasher.md5()
    }

    /// Hashes for one turn; `true` if there is more to do.
    fn turn(&self) -> bool {
        let mut hashed = 0;
        let more = loop {
            if hashed >= TURN {
                break true;
            }
            let mut queue = self.queue.lock();
            let Some(item) = queue.items.pop_front() else {
                queue.scheduled = false;
                break false;
            };
            drop(queue);
            hashed += self.work_off(item);
        };
        self.moved.notify_waiters();
        more
    }

    /// Answers how many bytes it hashed.
    fn work_off(&self, item: Item) -> usize {
        let mut state = self.state.lock();
        match item {
            Item::Bytes(bytes) => {
                state.hasher.update(&bytes);
                self.done.fetch_add(bytes.len() as u64, Ordering::Release);
                bytes.len()
            }
            Item::Mark => {
                state.marked = Some((self.done(), state.hasher.md5()));
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::digest::Digests;

    use super::*;
    use crate::wait::until;

    #[tokio::test]
    async fn many_streams_on_few_lanes_stay_in_order() {
        let lanes = Lanes::start().expect("threads start");
        let streams: Vec<_> = (0..20u8)
            .map(|seed| {
                let moved = Arc::new(Notify::new());
                let actor = Actor::new(DigestsHasher::default(), moved.clone());
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
            assert_eq!(actor.hasher().finish(), Digests::of(&bytes));
            assert_eq!(actor.marked(), Some((70_010, Md5::of(&bytes[..70_010]))));
        }
    }
}
