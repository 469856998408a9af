//! All figures of one moment. Console, status and metrics are pure functions of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use cache::status::{FillStatus, PreloadStatus, UpstreamStatus};
use intake::job::Status;

use crate::{
    app::{App, Phase, Scrub},
    belonging::status::Status as Belonging,
};

/// All figures of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    pub(crate) uptime: Duration,
    pub(crate) started: f64,
    pub(crate) usage: os::process::Usage,
    pub(crate) open_files_max: u64,
    pub(crate) engine: String,
    pub(crate) listen: Vec<String>,
    pub(crate) tls_listen: Vec<String>,
    pub(crate) redirect: Vec<String>,
    /// Seconds since 1970; 0 where there is no certificate.
    pub(crate) certificates_expire: u64,
    pub(crate) store: store::Report,
    pub(crate) pins: Vec<store::Pinned>,
    pub(crate) serve: ServeFigures,
    pub(crate) cache: CacheFigures,
    pub(crate) fills: Vec<FillStatus>,
    pub(crate) upstreams: Vec<UpstreamStatus>,
    pub(crate) preloads: Vec<PreloadStatus>,
    pub(crate) requesters: u64,
    /// Machines that asked lately what is here in pieces.
    pub(crate) askers: u64,
    /// Connections to clients that are paced, and the bytes per second for all of them; 0: no limit.
    pub(crate) shares: (u64, u64),
    pub(crate) access_log_dropped: u64,
    pub(crate) reloads: u64,
    pub(crate) reloads_refused: u64,
    pub(crate) admin_refused: u64,
    pub(crate) last_reload_refused: bool,
    pub(crate) scrub: Scrub,
    /// The one that runs, or the last.
    pub(crate) import: Option<Status>,
    pub(crate) export: Option<Status>,
    pub(crate) origin: Belonging,
}

/// The listener's counters, read. See [`serve::counters::Counters`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServeFigures {
    pub(crate) accepted: u64,
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) by_class: [u64; 5],
    pub(crate) bytes_sent: u64,
    pub(crate) transfers: u64,
    pub(crate) aborted: u64,
    pub(crate) malformed: u64,
    pub(crate) refused: u64,
    pub(crate) refused_client: u64,
    pub(crate) refused_access: u64,
    pub(crate) too_slow: u64,
    pub(crate) cold_reads: u64,
    pub(crate) http2_connections: u64,
    pub(crate) http2_faults: u64,
    pub(crate) http2_stalled: u64,
    pub(crate) handshakes_full: u64,
    pub(crate) handshakes_resumed: u64,
    pub(crate) handshakes_failed: u64,
}

/// The cache's counters, read. See [`cache::status::Counters`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CacheFigures {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) collapsed: u64,
    pub(crate) revalidated: u64,
    pub(crate) stale: u64,
    pub(crate) passed: u64,
    pub(crate) refused_requesters: u64,
    pub(crate) refused_overloaded: u64,
    pub(crate) refused_not_preloaded: u64,
    pub(crate) upstream_bytes: u64,
    pub(crate) upstream_bytes_ahead: u64,
    pub(crate) upstream_requests: u64,
    pub(crate) upstream_errors: u64,
    pub(crate) resumed: u64,
    pub(crate) mismatches: u64,
    pub(crate) known_by_digest: u64,
    pub(crate) have: u64,
    pub(crate) piece_lists_made: u64,
    pub(crate) piece_lists_refused: u64,
    pub(crate) streams: u64,
    pub(crate) changes: u64,
    pub(crate) preload_here: u64,
    pub(crate) preload_fetched: u64,
    pub(crate) preload_failed: u64,
    pub(crate) preload_bytes: u64,
    pub(crate) preload_rounds: u64,
}

impl Snapshot {
    /// As it is now. While the program starts, what does not run yet is zero.
    pub(crate) fn take(app: &App) -> Self {
        let mut now = Self {
            phase: app.phase(),
            uptime: app.started.elapsed(),
            started: app.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            usage: os::process::usage(),
            open_files_max: app.open_files_max,
            reloads: app.reloads.load(Ordering::Relaxed),
            admin_refused: app.refusals.count(),
            reloads_refused: app.reloads_refused.load(Ordering::Relaxed),
            last_reload_refused: app.last_reload_refused.load(Ordering::Relaxed),
            scrub: *app.scrub.lock(),
            import: app.import.last().map(|job| job.status()),
            export: app.export.last().map(|job| job.status()),
            origin: app.belonging.lock().clone(),
            ..Self::default()
        };
        if let Some(parts) = app.parts() {
            now.engine = parts.store.engine().describe();
            now.listen = parts.server.addresses().iter().map(ToString::to_string).collect();
            now.tls_listen = parts.server.tls_addresses().iter().map(ToString::to_string).collect();
            now.redirect = parts.server.redirect_addresses().iter().map(ToString::to_string).collect();
            let expire = parts.server.identities().and_then(|identities| identities.expire());
            let since_1970 = expire.and_then(|expire| expire.duration_since(SystemTime::UNIX_EPOCH).ok());
            now.certificates_expire = since_1970.map_or(0, |since| since.as_secs());
            now.store = parts.store.report();
            now.pins = parts.store.pinned();
            now.serve = ServeFigures::read(parts.server.counters());
            now.cache = CacheFigures::read(parts.cache.counters());
            now.fills = parts.cache.fills();
            now.upstreams = parts.cache.upstreams();
            now.preloads = parts.cache.preloads();
            now.requesters = parts.cache.requesters() as u64;
            now.askers = parts.cache.askers() as u64;
            now.shares = parts.server.shares();
            now.access_log_dropped = parts.access_log.as_ref().map_or(0, serve::access_log::AccessLog::dropped);
        }
        now
    }

    /// Of the requests for files, how many were answered with an object that was here (a revalidation moves no body);
    /// `None` before the first.
    pub(crate) fn hit_percent(&self) -> Option<f64> {
        let cache = &self.cache;
        let from_store = cache.hits + cache.revalidated + cache.stale;
        let asked = from_store + cache.misses + cache.collapsed + cache.passed;
        (asked > 0).then(|| from_store as f64 * 100.0 / asked as f64)
    }
}

impl ServeFigures {
    fn read(counters: &serve::counters::Counters) -> Self {
        Self {
            accepted: of(&counters.accepted),
            connections: of(&counters.connections),
            requests: of(&counters.requests),
            by_class: std::array::from_fn(|class| of(&counters.by_class[class])),
            bytes_sent: of(&counters.bytes_sent),
            transfers: of(&counters.transfers),
            aborted: of(&counters.aborted),
            malformed: of(&counters.malformed),
            refused: of(&counters.refused),
            refused_client: of(&counters.refused_client),
            refused_access: of(&counters.refused_access),
            too_slow: of(&counters.too_slow),
            cold_reads: of(&counters.cold_reads),
            http2_connections: of(&counters.http2_connections),
            http2_faults: of(&counters.http2_faults),
            http2_stalled: of(&counters.http2_stalled),
            handshakes_full: of(&counters.handshakes_full),
            handshakes_resumed: of(&counters.handshakes_resumed),
            handshakes_failed: of(&counters.handshakes_failed),
        }
    }
}

impl CacheFigures {
    fn read(counters: &cache::status::Counters) -> Self {
        Self {
            hits: of(&counters.hits),
            misses: of(&counters.misses),
            collapsed: of(&counters.collapsed),
            revalidated: of(&counters.revalidated),
            stale: of(&counters.stale),
            passed: of(&counters.passed),
            refused_requesters: of(&counters.refused_requesters),
            refused_overloaded: of(&counters.refused_overloaded),
            refused_not_preloaded: of(&counters.refused_not_preloaded),
            upstream_bytes: of(&counters.upstream_bytes),
            upstream_bytes_ahead: of(&counters.upstream_bytes_ahead),
            upstream_requests: of(&counters.upstream_requests),
            upstream_errors: of(&counters.upstream_errors),
            resumed: of(&counters.resumed),
            mismatches: of(&counters.mismatches),
            known_by_digest: of(&counters.known_by_digest),
            have: of(&counters.have),
            piece_lists_made: of(&counters.piece_lists_made),
            piece_lists_refused: of(&counters.piece_lists_refused),
            streams: of(&counters.streams),
            changes: of(&counters.changes),
            preload_here: of(&counters.preload_here),
            preload_fetched: of(&counters.preload_fetched),
            preload_failed: of(&counters.preload_failed),
            preload_bytes: of(&counters.preload_bytes),
            preload_rounds: of(&counters.preload_rounds),
        }
    }
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
