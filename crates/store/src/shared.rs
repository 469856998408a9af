//! What all handles, fills and tasks of a store share. What is done with it stands above, each in its own file; what it consists
//! of stands below, and knows nothing of it.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use tokio::sync::Notify;

use crate::{
    counters::Counters,
    disk::{Disk, executor::Executor, layout::Layout},
    history::{History, event::Asked},
    index::{
        row::{NameRow, Object},
        slots::Slots,
        strays::Strays,
        table::Table,
        touched::Touched,
    },
    journal::Journal,
    options::Options,
    part::{error::FillError, lane::Lanes, parts::Parts, state::FillState},
    read::{hot::HotBytes, open_files::KeptOpen},
    space::{
        dirs::Dirs,
        evict::{Clock, Evictor, Returns},
        ledger::Space,
        pins::Pins,
        quarantine::Quarantine,
    },
    wait::until,
};

/// What all handles, fills and tasks share.
///
/// Locks, outermost first: `evicting`, `kept_open`, `evictor`, a shard of `names`, a shard of `objects`, then `parts`,
/// `journal`, `history`, `pins` and `space` inside, each alone.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) space: Arc<Space>,
    pub(crate) objects: Table<Object, Slots>,
    pub(crate) names: Table<NameRow, ()>,
    pub(crate) journal: Journal,
    pub(crate) history: History,
    pub(crate) pins: Pins,
    pub(crate) dirs: Dirs,
    pub(crate) parts: Parts,
    pub(crate) quarantine: Quarantine,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) io: Executor,
    pub(crate) clock: Clock,
    pub(crate) returns: Arc<Returns>,
    pub(crate) evictor: Mutex<Evictor<Md5>>,
    pub(crate) evicting: Mutex<()>,
    pub(crate) shrinking: AtomicBool,
    /// A limit is exceeded and nothing is left that may go, and that has been told.
    pub(crate) is_stuck: AtomicBool,
    /// Not all fits that is to be pinned, and that has been told.
    pub(crate) pins_told: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) kept_open: Mutex<KeptOpen>,
    pub(crate) hot: Arc<HotBytes>,
    /// Fills that have not ended, by the number of their part.
    pub(crate) fills: Mutex<HashMap<u64, Weak<FillState>>>,
    /// Commits of what is taken in that have not ended.
    pub(crate) adopting: AtomicUsize,
    /// A slot became free, an unlink is done, a fill has ended.
    pub(crate) moved: Notify,
    pub(crate) closed: AtomicBool,
    pub(crate) snapshot_bytes: Mutex<u64>,
    pub(crate) compacting: tokio::sync::Mutex<()>,
    pub(crate) tidying: tokio::sync::Mutex<()>,
    /// Whether it is known how many bytes there are, and whether every file is known to the index.
    pub(crate) counted: AtomicBool,
    pub(crate) searched: AtomicBool,
    pub(crate) strays: Strays,
    pub(crate) touched: Touched,
    /// Files could not be opened for want of descriptors, and that has been told.
    pub(crate) short_of_files: AtomicBool,
    /// When this instance began.
    pub(crate) started: SystemTime,
    /// Seconds since 1970, as of the last look around: near enough to tell people when something was asked for.
    pub(crate) second: AtomicU32,
}

impl Shared {
    pub(crate) fn register(&self, fill: &Arc<FillState>) {
        self.fills.lock().insert(fill.id, Arc::downgrade(fill));
    }

    pub(crate) fn unregister(&self, id: u64) {
        self.fills.lock().remove(&id);
        self.moved.notify_waiters();
    }

    /// Fills that have not ended.
    pub(crate) fn running(&self) -> Vec<Arc<FillState>> {
        self.fills.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Whether nothing is on its way to anywhere.
    pub(crate) fn is_quiet(&self) -> bool {
        self.fills.lock().is_empty() && self.adopting.load(Ordering::Acquire) == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Counts an error of the disk; whoever gets it from here says it once.
    pub(crate) fn disk_trouble(&self, action: &'static str, source: io::Error) -> FillError {
        self.counters.disk_errors.add(1);
        FillError::Io { action, source }
    }

    /// Likewise, where nobody waits for the outcome.
    pub(crate) fn note_disk_trouble(&self, action: &'static str, source: io::Error) {
        let error = self.disk_trouble(action, source);
        tracing::warn!(dir = %self.options.dir.display(), %error, "an operation on the cache's disk failed; if it happens again, look at the disk");
    }

    /// Waits until it is known how many bytes there are. Only after the loss of the index there is anything to wait for.
    pub(crate) async fn until_counted(&self) {
        let reached = || self.counted.load(Ordering::Acquire) || self.is_closed();
        until(&self.moved, || reached().then_some(())).await;
    }

    /// Waits until the tables are wholly in memory (or the store is closing, for then they never will be).
    pub(crate) async fn until_loaded(&self) {
        until(&self.moved, || (self.is_loaded() || self.is_closed()).then_some(())).await;
    }

    /// Waits until it is also known what is pinned.
    pub(crate) async fn until_settled(&self) {
        until(&self.moved, || (self.is_settled() || self.is_closed()).then_some(())).await;
    }

    /// Whether it is known what is here, and what of it is pinned: before, nothing is evicted.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_loaded() && self.pins.is_settled()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.objects.is_loaded() && self.names.is_loaded()
    }

    /// Looks at the clock on the wall.
    pub(crate) fn tell_time(&self, now: SystemTime) {
        self.second.store(second_of(now), Ordering::Relaxed);
    }

    /// What is counted of an object's requests, for people.
    pub(crate) fn asked(&self, object: &Object) -> Asked {
        let last = UNIX_EPOCH + Duration::from_secs(u64::from(object.last));
        Asked { since: self.started, times: object.times, last: (object.last > 0).then_some(last) }
    }
}

/// Seconds since 1970, until the year 2106.
pub(crate) fn second_of(time: SystemTime) -> u32 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}
