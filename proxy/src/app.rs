//! What the parts of the program share: where it is in its life, its parts once they run, and its configuration.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use cache::Cache;
use config::{AdminAddress, Loaded, Settings, Sources};
use intake::job::Slot;
use parking_lot::Mutex;
use serve::{access_log::AccessLog, server::Server};
use store::{ScrubReport, Store};
use tokio::sync::Notify;

use crate::{
    banner::Facts,
    belonging::status::Status,
    self_signed::SelfSigned,
    token::{Refusals, Token},
};

/// Where the program is in its life. It only goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The store is being opened.
    #[default]
    Starting,
    /// Requests are answered.
    Serving,
    /// What is being sent may finish, nothing new is taken.
    Draining,
}

/// What runs.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) server: Arc<Server>,
    pub(crate) access_log: Option<AccessLog>,
}

/// How scrubbing stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Scrub {
    /// The one that runs now.
    pub(crate) now: Option<ScrubNow>,
    /// What the last one found, and how long it took.
    pub(crate) last: Option<(ScrubReport, Duration)>,
}

/// A scrub that is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScrubNow {
    pub(crate) began: Instant,
    /// There were when it began.
    pub(crate) objects: u64,
    /// So far.
    pub(crate) found: ScrubReport,
}

/// Shared by everything in this crate.
pub(crate) struct App {
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    pub(crate) open_files_max: u64,
    /// Told by the admin interface: as if SIGTERM had come.
    pub(crate) drain_wanted: Notify,
    pub(crate) scrub: Mutex<Scrub>,
    pub(crate) import: Slot,
    pub(crate) export: Slot,
    /// That the admin interface asks for.
    pub(crate) token: Mutex<Option<Token>>,
    /// Who asked without it.
    pub(crate) refusals: Refusals,
    /// Held by the reload that is under way.
    pub(crate) reloading: Mutex<()>,
    /// Reloads that were taken and that were refused.
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_refused: AtomicU64,
    /// Whether the last one was refused.
    pub(crate) last_reload_refused: AtomicBool,
    /// In force now. Options that need a restart are compared with `at_start`, for those are the ones in force.
    pub(crate) config: Mutex<Loaded>,
    pub(crate) at_start: Loaded,
    /// What `config` was made from.
    pub(crate) sources: Mutex<Sources>,
    /// Told when another configuration was read.
    pub(crate) reconfigured: Notify,
    /// The origin that it belongs to.
    pub(crate) belonging: Mutex<Status>,
    phase: AtomicU8,
    parts: OnceLock<Parts>,
}

impl App {
    pub(crate) fn new(loaded: Loaded, sources: Sources, open_files_max: u64, token: Option<Token>) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            open_files_max,
            drain_wanted: Notify::new(),
            scrub: Mutex::default(),
            import: Slot::default(),
            export: Slot::default(),
            token: Mutex::new(token),
            refusals: Refusals::default(),
            reloading: Mutex::new(()),
            reloads: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            last_reload_refused: AtomicBool::new(false),
            config: Mutex::new(loaded.clone()),
            at_start: loaded,
            sources: Mutex::new(sources),
            reconfigured: Notify::new(),
            belonging: Mutex::default(),
            phase: AtomicU8::new(Phase::Starting as u8),
            parts: OnceLock::new(),
        }
    }

    /// What runs; `None` while it is being started.
    pub(crate) fn parts(&self) -> Option<&Parts> {
        self.parts.get()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// The start is done.
    pub(crate) fn serving(&self, parts: Parts) {
        if self.parts.set(parts).is_ok() {
            self.phase.fetch_max(Phase::Serving as u8, Ordering::AcqRel);
        }
    }

    /// The end has begun.
    pub(crate) fn draining(&self) {
        self.phase.fetch_max(Phase::Draining as u8, Ordering::AcqRel);
    }
}

impl Parts {
    /// What the start lines tell beyond the settings.
    pub(crate) fn describe(&self, settings: &Settings, admin: AdminAddress, own: Option<SelfSigned>) -> Facts {
        Facts {
            own,
            listen: self.server.addresses().to_vec(),
            redirect: self.server.redirect_addresses().to_vec(),
            tls_listen: self.server.tls_addresses().to_vec(),
            admin,
            report: self.store.report(),
            engine: self.store.engine().describe(),
            threads: match settings.serve.workers {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                workers => workers,
            },
        }
    }
}
