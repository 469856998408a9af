//! The table of all metrics: what each is called, what it tells, and where its values come from. How they are written is not its concern.

use cache::status::{LineStatus, PreloadStatus, UpstreamStatus};
use intake::job::Status;

use crate::{admin::preload::left, app::Phase, belonging::status as origin, snapshot::Snapshot};

/// One metric.
pub(super) struct Metric {
    /// As it stands in the answer.
    pub(super) name: &'static str,
    /// What it tells.
    pub(super) help: &'static str,
    pub(super) read: Read,
}

/// What a metric is, and where its values come from.
pub(super) enum Read {
    /// Only grows.
    Counter(fn(&Snapshot) -> u64),
    /// Only grows, with a fraction.
    CounterOfSeconds(fn(&Snapshot) -> f64),
    /// Goes up and down.
    Gauge(fn(&Snapshot) -> u64),
    /// Goes up and down, with a fraction.
    GaugeOfSeconds(fn(&Snapshot) -> f64),
    /// Several counters, told apart by one label.
    Counters(&'static str, fn(&Snapshot) -> Vec<(String, u64)>),
    /// Several gauges, told apart by one label.
    Gauges(&'static str, fn(&Snapshot) -> Vec<(String, u64)>),
    /// Always 1; what it tells is in its labels.
    Info(&'static [&'static str], fn(&Snapshot) -> Vec<(&'static str, String)>),
}

/// A figure of each upstream's preloading.
fn per_upstream(now: &Snapshot, read: fn(&PreloadStatus) -> u64) -> Vec<(String, u64)> {
    now.preloads.iter().map(|status| (status.upstream.clone(), read(status))).collect()
}

const fn metric(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, help, read }
}

/// A figure of each upstream's line.
fn of_lines(now: &Snapshot, figure: fn(&LineStatus) -> u64) -> Vec<(String, u64)> {
    now.upstreams.iter().map(|upstream| (upstream.name.clone(), figure(&upstream.line))).collect()
}

/// All of them, in the order of the answer.
pub(super) static METRICS: &[Metric] = &[
    metric(
        "outpost_build_info",
        "Version and disk engine",
        Read::Info(&["version", "disk_engine"], |s| {
            // The engine's reason for its choice stands in the log, not in a label.
            let engine = s.engine.split(' ').next().unwrap_or_default().to_owned();
            vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("disk_engine", engine)]
        }),
    ),
    metric(
        "outpost_http_requests_total",
        "Requests answered, by class of status code",
        Read::Counters("code", |s| {
            let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(str::to_owned);
            classes.into_iter().zip(s.serve.by_class).collect()
        }),
    ),
    metric("outpost_http_connections_total", "Connections accepted", Read::Counter(|s| s.serve.accepted)),
    metric("outpost_http_connections", "Connections open now", Read::Gauge(|s| s.serve.connections)),
    metric(
        "outpost_http_connections_refused_total",
        "Connections refused, by the limit that was met: of all, or of one client",
        Read::Counters("limit", |s| {
            vec![("all".to_owned(), s.serve.refused), ("client".to_owned(), s.serve.refused_client)]
        }),
    ),
    metric(
        "outpost_tls_handshakes_total",
        "TLS handshakes: with new keys, taking up an earlier session, come to nothing",
        Read::Counters("kind", |s| {
            vec![
                ("full".to_owned(), s.serve.handshakes_full),
                ("resumed".to_owned(), s.serve.handshakes_resumed),
                ("failed".to_owned(), s.serve.handshakes_failed),
            ]
        }),
    ),
    metric(
        "outpost_tls_certificate_expiry_timestamp_seconds",
        "When the first of the certificates expires, since 1970; 0 where TLS is not spoken",
        Read::Gauge(|s| s.certificates_expire),
    ),
    metric(
        "outpost_http2_connections_total",
        "Connections on which HTTP/2 was spoken",
        Read::Counter(|s| s.serve.http2_connections),
    ),
    metric(
        "outpost_http2_faults_total",
        "Connections of HTTP/2 that were ended for a mistake of the client, or for too many frames of a kind",
        Read::Counter(|s| s.serve.http2_faults),
    ),
    metric(
        "outpost_http2_stalled_total",
        "Streams of HTTP/2 that were reset because their client took nothing",
        Read::Counter(|s| s.serve.http2_stalled),
    ),
    metric("outpost_http_malformed_total", "Requests refused as malformed", Read::Counter(|s| s.serve.malformed)),
    metric(
        "outpost_http_refused_access_total",
        "Requests refused because their client may not ask (`[access]`)",
        Read::Counter(|s| s.serve.refused_access),
    ),
    metric(
        "outpost_http_too_slow_total",
        "Connections ended because their client took an answer, or sent a request's body, too slowly",
        Read::Counter(|s| s.serve.too_slow),
    ),
    metric("outpost_transfers", "Bodies being sent now", Read::Gauge(|s| s.serve.transfers)),
    metric(
        "outpost_transfers_aborted_total",
        "Bodies that ended short: the client left, or the source failed",
        Read::Counter(|s| s.serve.aborted),
    ),
    metric("outpost_served_bytes_total", "Sent to clients, heads included", Read::Counter(|s| s.serve.bytes_sent)),
    metric(
        "outpost_cold_reads_total",
        "Times a body's pages were not in memory and were read first",
        Read::Counter(|s| s.serve.cold_reads),
    ),
    metric("outpost_cache_hits_total", "Answered from the store", Read::Counter(|s| s.cache.hits)),
    metric("outpost_cache_misses_total", "Made a fetch begin", Read::Counter(|s| s.cache.misses)),
    metric(
        "outpost_cache_collapsed_total",
        "Followed a fetch that another request began",
        Read::Counter(|s| s.cache.collapsed),
    ),
    metric("outpost_cache_revalidated_total", "Found unchanged upstream", Read::Counter(|s| s.cache.revalidated)),
    metric("outpost_cache_stale_total", "Answered with the last good copy", Read::Counter(|s| s.cache.stale)),
    metric("outpost_cache_passed_total", "Passed through uncached", Read::Counter(|s| s.cache.passed)),
    metric(
        "outpost_refusals_total",
        "Answered 503, by reason",
        Read::Counters("reason", |s| {
            vec![
                ("max-requesters".to_owned(), s.cache.refused_requesters),
                ("overloaded".to_owned(), s.cache.refused_overloaded),
                ("not-preloaded".to_owned(), s.cache.refused_not_preloaded),
            ]
        }),
    ),
    metric("outpost_requesters", "Transfers that hold a requester place now", Read::Gauge(|s| s.requesters)),
    metric(
        "outpost_askers",
        "Machines that asked lately which pieces of a content are here, once for each content",
        Read::Gauge(|s| s.askers),
    ),
    metric("outpost_have_total", "Answers to which pieces of a content are here", Read::Counter(|s| s.cache.have)),
    metric(
        "outpost_piece_lists_made_total",
        "Lists of digests of pieces that were made from objects here, for want of one from an upstream",
        Read::Counter(|s| s.cache.piece_lists_made),
    ),
    metric(
        "outpost_piece_lists_refused_total",
        "Lists of digests of pieces from upstreams that were of another content, and not used",
        Read::Counter(|s| s.cache.piece_lists_refused),
    ),
    metric("outpost_fills", "Fetches in progress", Read::Gauge(|s| s.fills.len() as u64)),
    metric("outpost_fills_resumed_total", "Fetches continued at their byte", Read::Counter(|s| s.cache.resumed)),
    metric("outpost_mismatches_total", "Fetches with a wrong length or digest", Read::Counter(|s| s.cache.mismatches)),
    metric(
        "outpost_known_by_digest_total",
        "Fetches saved because the upstream's digest was already here",
        Read::Counter(|s| s.cache.known_by_digest),
    ),
    metric("outpost_wan_bytes_total", "Bodies that came from upstreams", Read::Counter(|s| s.cache.upstream_bytes)),
    metric(
        "outpost_wan_bytes_ahead_total",
        "Of these, bytes that came before their turn because a range was waited for",
        Read::Counter(|s| s.cache.upstream_bytes_ahead),
    ),
    metric("outpost_upstream_requests_total", "Requests to upstreams", Read::Counter(|s| s.cache.upstream_requests)),
    metric(
        "outpost_upstream_errors_total",
        "Requests to upstreams that failed: unreachable, timed out, cut",
        Read::Counter(|s| s.cache.upstream_errors),
    ),
    metric(
        "outpost_upstream_up",
        "Whether the last try reached it",
        Read::Gauges("upstream", |s| {
            s.upstreams.iter().map(|upstream| (upstream.name.clone(), u64::from(upstream.reachable))).collect()
        }),
    ),
    metric(
        "outpost_upstream_origin",
        "Which of its origins an upstream is asked at; 0 is the first",
        Read::Gauges("upstream", |s| {
            let place = |upstream: &UpstreamStatus| upstream.origins.iter().position(|origin| origin.in_use);
            s.upstreams.iter().filter_map(|upstream| Some((upstream.name.clone(), place(upstream)? as u64))).collect()
        }),
    ),
    metric(
        "outpost_upstream_follows",
        "Whether it tells what changes, so that its names need no question",
        Read::Gauges("upstream", |s| {
            let follows = |upstream: &UpstreamStatus| upstream.stream.as_ref().map(|stream| u64::from(stream.is_live));
            s.upstreams.iter().filter_map(|upstream| Some((upstream.name.clone(), follows(upstream)?))).collect()
        }),
    ),
    metric(
        "outpost_change_streams_total",
        "Streams of changes that upstreams began to tell",
        Read::Counter(|s| s.cache.streams),
    ),
    metric("outpost_changes_total", "Changes and other events of these", Read::Counter(|s| s.cache.changes)),
    metric(
        "outpost_line_rate_bytes",
        "Bytes per second that may come from an upstream now; 0: no limit",
        Read::Gauges("upstream", |s| of_lines(s, |line| line.rate.unwrap_or(0))),
    ),
    metric(
        "outpost_line_bytes_total",
        "Bytes that came over a line with a limit, heads and records of TLS too",
        Read::Counters("upstream", |s| of_lines(s, |line| line.bytes)),
    ),
    metric(
        "outpost_line_waiting",
        "Fetches that clients wait for and that wait for their turn on the line now",
        Read::Gauges("upstream", |s| of_lines(s, |line| line.demand_waiting as u64)),
    ),
    metric(
        "outpost_line_waiting_preloads",
        "Preloads that wait for their turn on the line now",
        Read::Gauges("upstream", |s| of_lines(s, |line| line.preload_waiting as u64)),
    ),
    metric(
        "outpost_line_background_rate_bytes",
        "Bytes per second of fetches that yield to others on the line; 0: none do",
        Read::Gauges("upstream", |s| of_lines(s, |line| line.background_rate.unwrap_or(0))),
    ),
    metric(
        "outpost_line_queueing_milliseconds",
        "How long packets wait in the queues of the line, as fetches that yield saw it last",
        Read::Gauges("upstream", |s| {
            of_lines(s, |line| line.queueing.map_or(0, |queueing| queueing.as_millis() as u64))
        }),
    ),
    metric(
        "outpost_line_held_seconds_total",
        "Seconds that fetches waited for their turns on lines, all together",
        Read::CounterOfSeconds(|s| s.upstreams.iter().map(|upstream| upstream.line.held.as_secs_f64()).sum()),
    ),
    metric(
        "outpost_preload_files_total",
        "Files that were to be preloaded, by what became of them: here already, fetched, failed",
        Read::Counters("result", |s| {
            vec![
                ("here".to_owned(), s.cache.preload_here),
                ("fetched".to_owned(), s.cache.preload_fetched),
                ("failed".to_owned(), s.cache.preload_failed),
            ]
        }),
    ),
    metric("outpost_preload_bytes_total", "Bodies that were preloaded", Read::Counter(|s| s.cache.preload_bytes)),
    metric(
        "outpost_preload_rounds_total",
        "Rounds of preload that were done",
        Read::Counter(|s| s.cache.preload_rounds),
    ),
    metric(
        "outpost_preload_left_files",
        "Files that are still to be preloaded, of the rounds that are not done",
        Read::Gauges("upstream", |s| per_upstream(s, |status| left(status).files)),
    ),
    metric(
        "outpost_preload_left_bytes",
        "Their bytes, as far as they are known",
        Read::Gauges("upstream", |s| per_upstream(s, |status| left(status).bytes)),
    ),
    metric(
        "outpost_preload_late",
        "Whether at the measured rate not all will be here by `ready_by`",
        Read::Gauges("upstream", |s| {
            per_upstream(s, |status| status.ready_by.as_ref().map_or(0, |ready_by| u64::from(ready_by.is_late)))
        }),
    ),
    metric("outpost_cache_objects", "Objects in the store", Read::Gauge(|s| s.store.objects)),
    metric("outpost_cache_names", "Names that are known", Read::Gauge(|s| s.store.names)),
    metric(
        "outpost_cache_bytes",
        "Taken by the cache directory, reservations and unlinked files that are still being sent included",
        Read::Gauge(|s| s.store.used),
    ),
    metric("outpost_cache_reserved_bytes", "Of that, reserved by fetches", Read::Gauge(|s| s.store.reserved)),
    metric("outpost_cache_unlinked_bytes", "Of that, unlinked but still being sent", Read::Gauge(|s| s.store.unlinked)),
    metric("outpost_cache_limit_bytes", "The limit cache.max_size", Read::Gauge(|s| s.store.max_size)),
    metric("outpost_disk_free_bytes", "Free on the cache's disk", Read::Gauge(|s| s.store.disk_available)),
    metric("outpost_disk_min_free_bytes", "The limit cache.min_free", Read::Gauge(|s| s.store.min_free)),
    metric("outpost_cache_parts", "Interrupted fetches that can be continued", Read::Gauge(|s| s.store.parts)),
    metric("outpost_cache_hot_bytes", "Small, often asked-for bodies in memory", Read::Gauge(|s| s.store.hot_bytes)),
    metric("outpost_cache_quarantined", "Rejected parts kept for inspection", Read::Gauge(|s| s.store.quarantined)),
    metric("outpost_cache_commits_total", "Objects that came in", Read::Counter(|s| s.store.commits)),
    metric(
        "outpost_cache_duplicates_total",
        "Fetches that found their content already here under another name",
        Read::Counter(|s| s.store.duplicates),
    ),
    metric("outpost_cache_evictions_total", "Objects evicted", Read::Counter(|s| s.store.evictions)),
    metric("outpost_cache_evicted_bytes_total", "Bytes evicted", Read::Counter(|s| s.store.evicted_bytes)),
    metric("outpost_cache_pinned_objects", "Objects that are pinned", Read::Gauge(|s| s.store.pinned_objects)),
    metric("outpost_cache_pinned_bytes", "Bytes of pinned objects", Read::Gauge(|s| s.store.pinned_bytes)),
    metric(
        "outpost_cache_pins_refused_objects",
        "Objects that are to be pinned and do not fit beside those that are; they are kept like any other",
        Read::Gauge(|s| s.store.unpinned_objects),
    ),
    metric(
        "outpost_cache_pins_refused_bytes",
        "Bytes of objects that are to be pinned and do not fit",
        Read::Gauge(|s| s.store.unpinned_bytes),
    ),
    metric("outpost_cache_history_bytes", "Bytes of the history of objects", Read::Gauge(|s| s.store.history_bytes)),
    metric(
        "outpost_cache_history_lost_total",
        "Entries of the history that could not be written",
        Read::Counter(|s| s.store.history_lost),
    ),
    metric("outpost_disk_errors_total", "Errors of the cache's disk", Read::Counter(|s| s.store.disk_errors)),
    metric(
        "outpost_access_log_dropped_total",
        "Lines of the access log dropped because its queue was full",
        Read::Counter(|s| s.access_log_dropped),
    ),
    metric(
        "outpost_ready",
        "Whether requests are answered: 0 while starting and draining",
        Read::Gauge(|s| u64::from(s.phase == Phase::Serving)),
    ),
    metric(
        "outpost_admin_refused_total",
        "Requests to the admin interface without its token, or with a wrong one",
        Read::Counter(|s| s.admin_refused),
    ),
    metric("outpost_config_reloads_total", "Reloads that were taken", Read::Counter(|s| s.reloads)),
    metric("outpost_config_reloads_refused_total", "Reloads that were refused", Read::Counter(|s| s.reloads_refused)),
    metric(
        "outpost_origin_member",
        "Whether this proxy belongs to an origin",
        Read::Gauge(|s| u64::from(s.origin.state == origin::State::Member)),
    ),
    metric(
        "outpost_origin_trouble",
        "Whether it and its origin do not come together now",
        Read::Gauge(|s| u64::from(s.origin.trouble.is_some())),
    ),
    metric(
        "outpost_origin_configuration",
        "Generation of the delivered configuration that is in use; 0: none",
        Read::Gauge(|s| s.origin.configuration.generation.unwrap_or(0)),
    ),
    metric(
        "outpost_origin_options_refused",
        "Delivered options that are not taken",
        Read::Gauge(|s| s.origin.configuration.refused.len() as u64),
    ),
    metric(
        "outpost_origin_reports_total",
        "Reports that the origin answered",
        Read::Counter(|s| s.origin.reports.sent),
    ),
    metric(
        "outpost_origin_reports_failed_total",
        "Reports that it did not take",
        Read::Counter(|s| s.origin.reports.failed),
    ),
    metric(
        "outpost_origin_orders",
        "Orders of the origin that are being done",
        Read::Gauge(|s| s.origin.orders.iter().filter(|order| !order.state.is_end()).count() as u64),
    ),
    metric(
        "outpost_config_last_reload_successful",
        "Whether the last reload was taken; 1 before the first",
        Read::Gauge(|s| u64::from(!s.last_reload_refused)),
    ),
    metric("process_cpu_seconds_total", "Processor time", Read::CounterOfSeconds(|s| s.usage.user + s.usage.system)),
    metric(
        "process_resident_memory_bytes",
        "Resident memory, mapped files included",
        Read::Gauge(|s| s.usage.resident),
    ),
    metric("process_open_fds", "Open file descriptors", Read::Gauge(|s| s.usage.open_files)),
    metric("process_max_fds", "Most of them", Read::Gauge(|s| s.open_files_max)),
    metric("process_start_time_seconds", "Start of the process, since 1970", Read::GaugeOfSeconds(|s| s.started)),
    metric(
        "outpost_import_files",
        "Files of the import that runs, or of the last: how many there are (all), and what became of them",
        Read::Gauges("outcome", |s| files_by_outcome(s.import.as_ref())),
    ),
    metric(
        "outpost_import_bytes",
        "Bytes of these files: how many there are (all), and how many are done with (done)",
        Read::Gauges("part", |s| bytes_by_part(s.import.as_ref())),
    ),
    metric(
        "outpost_import_running",
        "1 while an import runs, else 0",
        Read::Gauge(|s| s.import.as_ref().map_or(0, |status| u64::from(!status.state.is_end()))),
    ),
    metric(
        "outpost_export_bytes",
        "Bytes of the export that runs, or of the last, likewise",
        Read::Gauges("part", |s| bytes_by_part(s.export.as_ref())),
    ),
    metric(
        "outpost_export_running",
        "1 while an export runs, else 0",
        Read::Gauge(|s| s.export.as_ref().map_or(0, |status| u64::from(!status.state.is_end()))),
    ),
];

type Count = fn(&Status) -> u64;

fn files_by_outcome(status: Option<&Status>) -> Vec<(String, u64)> {
    let counts: [(&str, Count); 8] = [
        ("all", |status| status.files_total),
        ("known", |status| status.known),
        ("moved", |status| status.moved),
        ("linked", |status| status.linked),
        ("copied", |status| status.copied),
        ("skipped", |status| status.skipped),
        ("no_room", |status| status.no_room),
        ("failed", |status| status.failed),
    ];
    counts.map(|(outcome, count)| (outcome.to_owned(), status.map_or(0, count))).into()
}

fn bytes_by_part(status: Option<&Status>) -> Vec<(String, u64)> {
    let counts: [(&str, Count); 2] = [("all", |status| status.bytes_total), ("done", |status| status.bytes_done)];
    counts.map(|(part, count)| (part.to_owned(), status.map_or(0, count))).into()
}
