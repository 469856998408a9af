//! Opening: the directory is made ours, what is in it is read, and all that a store shares is put together.

mod marker;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    counters::Counters,
    disk::{Disk, executor::Executor, layout::Layout},
    history::History,
    index::{strays::Strays, table::Table, touched::Touched},
    journal::{
        Journal,
        recover::{Index, Recovered, Search},
    },
    options::{OpenError, Options},
    part::{lane::Lanes, parts::Parts},
    read::{hot::HotBytes, open_files::KeptOpen},
    shared::{Shared, second_of},
    space::{
        dirs::Dirs,
        evict::{Clock, Evictor, Returns},
        ledger::{Account, Space},
        pins::Pins,
        quarantine::Quarantine,
    },
};

/// Opens the directory and everything in it.
pub(crate) fn open(options: Options, disk: Arc<dyn Disk>) -> Result<(Shared, Recovered), OpenError> {
    let (held, sip) = marker::take(&options.dir, &*disk)?;
    // Two threads write, and the directory is ours until the last of them has ended.
    let held = Arc::new(held);
    let (layout, started) = (Layout::new(options.dir.clone()), SystemTime::now());
    let space = Space::new(disk.clone(), options.dir.clone());
    space.set_limits(options.max_size, options.min_free).map_err(|reason| OpenError::Limits { reason })?;
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { action, path, source }
    };
    let objects = {
        let space = space.clone();
        Table::new(sip, move |difference| space.correct(Account::Objects, difference))
    };
    let names = Table::new(sip, |_| {});
    let dirs = Dirs::new(space.clone(), layout.clone());
    let index = Index { space: &space, layout: &layout, objects: &objects, names: &names, dirs: &dirs };
    let recovered = index.load().map_err(failed("read", &layout.index()))?;
    let quarantine =
        Quarantine::open(&space, &layout, options.quarantine_max).map_err(failed("read", &layout.quarantine()))?;
    let parts = Parts::open(&space, &layout, quarantine.last_id()).map_err(failed("read", &layout.parts()))?;
    let journal = Journal::start(&space, &layout, &recovered.journal, held.clone())
        .map_err(failed("write to", &layout.index()))?;
    let threads = failed("start the threads for", &options.dir);
    let history = History::start(&space, &layout, options.history_max, held)
        .map_err(failed("start the threads for", &options.dir))?;
    let (lanes, io) = Lanes::start().and_then(|lanes| Ok((lanes, Executor::start()?))).map_err(threads)?;
    let returns = Arc::new(Returns::default());
    let shared = Shared {
        kept_open: Mutex::new(KeptOpen::new(options.open_files_max)),
        hot: HotBytes::new(options.hot_bytes_max),
        options,
        layout,
        disk,
        space,
        objects,
        names,
        journal,
        history,
        pins: Pins::default(),
        dirs,
        parts,
        quarantine,
        lanes,
        io,
        clock: Clock::default(),
        evictor: Mutex::new(Evictor::new(sip.0[0], returns.clone())),
        returns,
        evicting: Mutex::default(),
        shrinking: AtomicBool::new(false),
        is_stuck: AtomicBool::new(false),
        pins_told: AtomicBool::new(false),
        counters: Counters::default(),
        fills: Mutex::new(HashMap::new()),
        adopting: AtomicUsize::new(0),
        moved: Notify::new(),
        closed: AtomicBool::new(false),
        snapshot_bytes: Mutex::new(recovered.snapshot_bytes),
        compacting: tokio::sync::Mutex::default(),
        tidying: tokio::sync::Mutex::default(),
        counted: AtomicBool::new(recovered.search != Search::Everything),
        searched: AtomicBool::new(recovered.search == Search::No),
        strays: Strays::default(),
        touched: Touched::default(),
        short_of_files: AtomicBool::new(false),
        started,
        second: AtomicU32::new(second_of(started)),
    };
    Ok((shared, recovered))
}
