//! `/healthz`, `/readyz` and `/metrics` (Prometheus text) on a listener of their own, through the same engine as the files; and what `commands` says.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::StatusCode;
use protocol::problem::Kind;
use serve::{
    handler::{Answer, Client, Handler},
    options::Options,
    request::Request,
    response::{Body, Response},
    server::Server,
};

use crate::{
    admission::{Admission, Tally},
    answer,
    catalogue::Catalogue,
    commands,
    control::Control,
    counters::Counters,
    feed::Feed,
    registry::SqliteRegistry,
};

/// Connections at once: a few monitors.
const CONNECTIONS_MAX: usize = 64;

/// What the listener answers from.
pub(crate) struct Admin {
    counters: Arc<Counters>,
    served: Arc<serve::counters::Counters>,
    admission: Arc<Admission>,
    registry: Arc<SqliteRegistry>,
    catalogue: Arc<dyn Catalogue>,
    feed: Arc<Feed>,
}

impl Admin {
    pub(crate) fn start(
        address: SocketAddr,
        counters: &Arc<Counters>,
        served: &Arc<serve::counters::Counters>,
        registry: &Arc<SqliteRegistry>,
        control: &Control,
    ) -> io::Result<Server> {
        let admin = Self {
            counters: counters.clone(),
            served: served.clone(),
            admission: control.admission.clone(),
            registry: registry.clone(),
            catalogue: control.catalogue.clone(),
            feed: control.feed.clone(),
        };
        let options =
            Options { listen: vec![address], workers: 1, connections_max: CONNECTIONS_MAX, ..Options::default() };
        Server::start(options, Arc::new(Listener { admin, control: control.clone() }), None)
    }

    fn is_ready(&self) -> bool {
        self.counters.scans.load(Ordering::Relaxed) > 0
    }

    fn metrics(&self) -> String {
        let (own, served, feed) = (&self.counters, &self.served, &self.feed.counters);
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("files", "gauge", "Files in the share at the last scan.", &own.files),
            ("hash_pending", "gauge", "Files that wait for their digests.", &own.pending),
            ("hashed_files_total", "counter", "Files read for their digests.", &own.hashed),
            ("hashed_bytes_total", "counter", "Bytes read for digests.", &own.hashed_bytes),
            ("hash_changed_total", "counter", "Files that changed while they were read.", &own.changed_while_hashing),
            ("hash_errors_total", "counter", "Files that could not be read or recorded.", &own.hash_errors),
            ("scans_total", "counter", "Complete scans of the share.", &own.scans),
            ("catalogue_files", "gauge", "Files that are known with their digests.", &self.catalogue.len().into()),
            ("catalogue_generation", "gauge", "The newest change.", &self.catalogue.generation().into()),
            ("change_streams", "gauge", "Streams of changes that are open.", &feed.subscribers),
            ("change_streams_cut_total", "counter", "Streams that were cut off, being too slow.", &feed.cut),
            ("changes_told_total", "counter", "Changes told to all streams.", &feed.events),
            ("stale_paths", "gauge", "Paths that have changed and are not known yet.", &feed.stale),
            (
                "admission_places",
                "gauge",
                "Questions that may be answered at once.",
                &(self.admission.places() as u64).into(),
            ),
            ("http_connections", "gauge", "Connections that are open.", &served.connections),
            ("http_requests_total", "counter", "Requests answered.", &served.requests),
            ("http_sent_bytes_total", "counter", "Bytes sent, heads included.", &served.bytes_sent),
            ("http_transfers", "gauge", "Bodies that are being sent.", &served.transfers),
            ("http_aborted_total", "counter", "Bodies that ended short.", &served.aborted),
        ] {
            push_metric(&mut text, name, kind, help, value);
        }
        self.push_admission(&mut text);
        self.push_registry(&mut text);
        text
    }

    fn push_registry(&self, text: &mut String) {
        let (usage, counters) = (self.registry.usage(SystemTime::now()), self.registry.counters());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let nodes = [("proxy", usage.proxies), ("agent", usage.agents), ("away", usage.away)];
        push_labelled(
            text,
            "nodes",
            "gauge",
            "Proxies and agents that report, and those that are away.",
            "role",
            &nodes,
        );
        let reports = [
            ("full", count(&counters.full)),
            ("changes", count(&counters.changes)),
            ("missed", count(&counters.missed)),
            ("refused", count(&counters.refused)),
        ];
        push_labelled(text, "reports_total", "counter", "Reports by what they were.", "kind", &reports);
        for (name, kind, help, value) in [
            ("objects", "gauge", "Different contents that somebody holds.", usage.objects),
            ("holdings", "gauge", "Contents that each node holds, together.", usage.holdings),
            ("unwritten", "gauge", "Nodes whose news are not in the database yet.", usage.unwritten),
            (
                "urls_refused_total",
                "counter",
                "Reports whose url was at another address.",
                count(&counters.urls_refused),
            ),
            ("batches_total", "counter", "Batches written to the database.", count(&counters.batches)),
            ("write_errors_total", "counter", "Batches that could not be written.", count(&counters.write_errors)),
            ("database_bytes", "gauge", "Size of the database, with its log.", count(&counters.database_bytes)),
        ] {
            push_metric(text, &format!("registry_{name}"), kind, help, &AtomicU64::new(value));
        }
    }

    /// Each tier on a line of its own.
    fn push_admission(&self, text: &mut String) {
        let tallies = self.admission.tallies();
        let mut push = |name, kind, help, value: fn(&Tally) -> u64| {
            let name = format!("outpost_origin_admission_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (tier, tally) in &tallies {
                let _ = writeln!(text, "{name}{{tier=\"{}\"}} {}", tier.name(), value(tally));
            }
        };
        push("admitted_total", "counter", "Questions admitted.", |tally| tally.admitted);
        push("refused_total", "counter", "Questions refused.", |tally| tally.refused);
        push("running", "gauge", "Questions being answered.", |tally| tally.present.running as u64);
        push("waiting", "gauge", "Questions that wait.", |tally| tally.present.waiting as u64);
    }
}

/// One of the registry, each value on a line of its own.
fn push_labelled(text: &mut String, name: &str, kind: &str, help: &str, label: &str, values: &[(&str, u64)]) {
    let name = format!("outpost_origin_registry_{name}");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (of, value) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{of}\"}} {value}");
    }
}

fn push_metric(text: &mut String, name: &str, kind: &str, help: &str, value: &AtomicU64) {
    let value = value.load(Ordering::Relaxed);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP outpost_origin_{name} {help}\n# TYPE outpost_origin_{name} {kind}\noutpost_origin_{name} {value}"
    );
}

/// The listener: what monitors ask, and what the commands do.
struct Listener {
    admin: Admin,
    control: Control,
}

impl Handler for Listener {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        commands::answer(&self.control, request, client).unwrap_or_else(|| self.admin.answer(request))
    }
}

impl Admin {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let path = request.target.split(|&byte| byte == b'?').next().unwrap_or_default();
        Answer::Now(match path {
            b"/healthz" => text(StatusCode::OK, "ok\n".into()),
            b"/readyz" if self.is_ready() => text(StatusCode::OK, "ready\n".into()),
            b"/readyz" => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the share is being looked through for the first time\n".into())
            }
            b"/metrics" => text(StatusCode::OK, self.metrics()),
            _ => {
                let detail = format!(
                    "there is no {}; there are /healthz, /readyz, /metrics, /v1/nodes and /v1/orders",
                    path.escape_ascii()
                );
                answer::problem(Kind::NotFound, detail)
            }
        })
    }
}

fn text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(status);
    response.fields.push("Content-Type", "text/plain; version=0.0.4; charset=utf-8").push("Cache-Control", "no-store");
    response.body = Body::Memory(Bytes::from(text));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Limits;
    use crate::catalogue::sqlite::SqliteCatalogue;

    #[test]
    fn every_metric_has_help_type_and_value() {
        let admission = Admission::new(Limits::of(16), 1);
        let directory = tempfile::tempdir().expect("a directory");
        let registry = Arc::new(SqliteRegistry::open(&directory.path().join("registry")).expect("opens"));
        let feed = Arc::new(Feed::new(std::time::Duration::from_secs(1)));
        let catalogue =
            SqliteCatalogue::open(&directory.path().join("db"), directory.path(), feed.clone()).expect("opens");
        let (counters, served) = (Arc::default(), Arc::default());
        let admin = Admin { counters, served, admission, registry, catalogue: Arc::new(catalogue), feed };
        admin.counters.hashed.store(7, Ordering::Relaxed);
        let text = admin.metrics();
        assert!(text.contains("\noutpost_origin_hashed_files_total 7\n"), "{text}");
        let lines = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        assert_eq!(lines("# HELP"), lines("# TYPE"));
        // Those of admission have a line for each tier, of nodes there are three kinds, of reports four.
        assert_eq!(lines("outpost_origin_"), lines("# TYPE") + 4 * 2 + 2 + 3);
        assert!(text.contains("\noutpost_origin_admission_places 16\n"), "{text}");
        assert!(text.contains("\noutpost_origin_admission_waiting{tier=\"client\"} 0\n"), "{text}");
    }
}
